"""``unstir evaluate``: figures kept, added to, and refused where the recordings are others."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sounds import scene
from tests.tiny_corpus import write_corpus
from unstir.cli import main
from unstir.evaluate import si_sdr_db, snr_db
from unstir.neural.checkpoint import save
from unstir.neural.compact import Compact, CompactConfig
from unstir.neural.folders import write_scene
from unstir.neural.pack import pack
from unstir.neural.separator import NetSeparator
from unstir.separate import separate_with
from unstir.types import FILM, Mixture
from unstir.weights import locate

RATE = 8000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(3):
        stems = {k: v * np.float32(1 + index) / 3 for k, v in scene(1.5, RATE).items()}
        write_scene(tmp_path / "set" / f"{index:05}", stems, sample_rate=RATE)
    return tmp_path / "set"


def run(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def test_methods_come_in_a_list_and_one_by_one(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    words = ["--methods", "midside,oracle", "--method", "mixture", "--methods", "oracle"]
    assert run(folder, *words, "--scenes", 1, "--out", out) == 0
    rows = json.loads(out.read_text())["figures"][str(folder)]
    assert [row["method"] for row in rows] == ["mixture", "oracle", "midside"]


def test_a_folder_of_scenes_gives_the_figures_of_its_stems(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    assert run(folder, "--method", "mixture", "--scenes", 2, "--out", out) == 0
    rows = json.loads(out.read_text())["figures"][str(folder)]
    assert [row["mix"] for row in rows] == ["00000", "00001"]
    stems = scene(1.5, RATE)
    mix = np.sum(list(stems.values()), axis=0)
    for row in rows:
        for name, stem in stems.items():
            assert row["si_sdr_db"][name] == pytest.approx(si_sdr_db(stem, mix), abs=0.01)
            assert row["gain_db"][name] == pytest.approx(0, abs=0.01)
            # An even share: a third of the mix each.
            assert row["sdr_db"][name] == pytest.approx(snr_db(stem, mix / 3), abs=0.01)
    assert "mixture" in capsys.readouterr().out
    assert "| `mixture` |" in out.with_suffix(".md").read_text()


def test_another_method_is_added_to_what_is_there(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    run(folder, "--method", "midside", "--out", out)
    before = json.loads(out.read_text())["figures"][str(folder)]
    run(folder, "--method", "oracle", "--out", out)
    rows = json.loads(out.read_text())["figures"][str(folder)]
    assert [row for row in rows if row["method"] == "midside"] == before
    assert len([row for row in rows if row["method"] == "oracle"]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "foreign"], "needs --corpus"),
        (["--set", "report"], "needs --pack"),
        (["--scenes", "0", "--set", "report"], "1 or more"),
        (["nowhere"], "nowhere"),
    ],
)
def test_what_is_missing_is_said(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_on_a_narrow_terminal_long_names_fold_and_no_figure_is_cut(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = 'query:"talking; a song; noises"'
    assert run(folder, "--method", name, "--method", "mixture", "--scenes", 1) == 0
    shown = capsys.readouterr().out
    names = "".join(line.split("│")[1] for line in shown.splitlines() if "│" in line)
    assert "".join(name.split()) in "".join(names.split())
    assert "mean" in shown and "…" not in shown


def test_a_file_of_something_else_is_not_overwritten(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.json"
    out.write_text('{"mine": 1}')
    assert run(folder, "--method", "mixture", "--out", out) == 2
    assert out.read_text() == '{"mine": 1}'
    assert "another --out" in capsys.readouterr().err


def test_other_recordings_than_those_of_the_frozen_list_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(pack(write_corpus(tmp_path / "corpus"), tmp_path / "pack"))
    assert run("--set", "report", "--pack", tmp_path / "pack") == 2
    assert "frozen" in capsys.readouterr().err


def test_methods_of_another_stem_set_are_passed_over(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    assert run(folder, "--method", "demucs", "--out", out) == 0
    assert "none of these methods gives its stems" in capsys.readouterr().out
    assert json.loads(out.read_text())["figures"] == {}


def model_file(path: Path, sources: tuple[str, ...] = FILM) -> Path:
    config = CompactConfig(n_sources=len(sources), channels=(4, 4, 4), hidden=8)
    torch.manual_seed(0)
    save(path, "compact", Compact(config), config, sources, {}, sample_rate=44100)
    return path


def test_a_trained_net_is_measured_beside_methods(folder: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "figures.json", model_file(tmp_path / "mine.safetensors")
    assert run(folder, "--method", "mixture", "--out", out, "--scenes", 1) == 0
    assert run(folder, "--model", model, "--out", out, "--scenes", 1) == 0
    rows = json.loads(out.read_text())["figures"][str(folder)]
    assert [row["method"] for row in rows] == ["mixture", "mine"]
    stems = scene(1.5, RATE)
    truth = {name: value * np.float32(1 / 3) for name, value in stems.items()}
    mix = Mixture(np.sum(list(truth.values()), axis=0, dtype=np.float64).astype(np.float32), RATE)
    found = separate_with(NetSeparator(FILM, f"file:{model}"), mix)
    assert rows[1]["si_sdr_db"]["speech"] == pytest.approx(
        si_sdr_db(truth["speech"], found["speech"]), abs=0.02
    )


@pytest.mark.parametrize(
    ("name", "sources", "sentence"),
    [
        ("odd", ("a", "b"), "a net that gives the stems of film or song is wanted"),
        ("midside", FILM, "there is a midside already"),
    ],
)
def test_a_model_that_cannot_be_measured_is_refused(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    sources: tuple[str, ...],
    sentence: str,
) -> None:
    assert run(folder, "--model", model_file(tmp_path / f"{name}.safetensors", sources)) == 2
    assert sentence in capsys.readouterr().err


def test_a_refiner_is_no_model_to_measure_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refiner = locate("unstir.neural/hybrid-film.safetensors")
    assert run(folder, "--model", refiner) == 2
    assert "refines speech, music, effects; a net that gives" in capsys.readouterr().err
