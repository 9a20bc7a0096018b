"""``unstir evaluate --controls``: every control of every mix, paired, kept, and errors said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.hall.test_evaluation import model_file
from tests.hall.test_joined import saved
from tests.sounds import mixture_of, scene
from unstir.ablation import ELSEWHERE, HYBRID, MIXTURE, ONLY, WITHOUT, ZEROED, open_refiner
from unstir.cli import main
from unstir.compare import candidates
from unstir.contest import Contest, compete, heard, pieces
from unstir.evaluate import improvement
from unstir.evaluation import Known
from unstir.hybrid.bank import TELLS
from unstir.neural.folders import write_scene
from unstir.proof_tables import BASE, BLIND, TRAINED_ON
from unstir.registry import make
from unstir.streaming import WINDOW_S
from unstir.types import FILM, Mixture

RATE = 44100
BOTH = ("--controls", "--refiner", "REFINER", "--methods", "midside")


def run(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def known(seed: int, seconds: float = 1.0, rate: int = RATE) -> Known:
    return Known(f"mix {seed}", f"source {seed}", scene(seconds, rate, seed=seed), rate)


def contest(folder: Path, *, learned: bool) -> Contest:
    net, stems = open_refiner(saved(folder, learned=learned), torch.device("cpu"))
    return Contest(stems, net, {"midside": make("midside")})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a set of two scenes, refiners, and what a run over them left."""
    place = tmp_path_factory.mktemp("proof")
    for index in range(2):
        write_scene(place / "set" / f"{index:05}", scene(1.0, RATE, seed=index), sample_rate=RATE)
    (place / "blind").mkdir()
    refiner, blind = (
        text.removeprefix("file:") for text in (saved(place), saved(place / "blind", n_priors=0))
    )
    longer = model_file(place / "longer.safetensors")
    arguments = ["--controls", place / "set", "--base", "midside", "--refiner", refiner]
    arguments += ["--blind", blind, "--trained-on", longer, "--out", place / "controls.json"]
    assert run(*arguments) == 0
    return place


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[str, Any]:
    """Return the figures of the set."""
    content = json.loads((folder / "controls.json").read_text())
    assert content["what"] == "controls"
    figures: dict[str, Any] = content["figures"]["sets"][str(folder / "set")]
    return figures


def test_every_control_is_measured_on_every_mix(measured: dict[str, Any]) -> None:
    common = {"mixture", BASE, TRAINED_ON, HYBRID, BLIND, ZEROED, ELSEWHERE, MIXTURE, "oracle"}
    each = {kind + prior for kind in (ONLY, WITHOUT) for prior in TELLS[FILM]}
    leakages = {f"leakage {x:g}" for x in (-0.5, -0.25, 0.25, 0.5)}
    for condition, wanted in (("stereo", common | each | leakages), ("mono", common)):
        rows = measured[condition]["bases"]["midside"]["rows"]
        found = {(row["method"], row["mix"]) for row in rows}
        assert len(found) == len(rows) == 2 * len(wanted)
        assert found == {(name, mix) for name in wanted for mix in ("00000", "00001")}


def test_the_base_gains_what_it_gains_by_itself(measured: dict[str, Any]) -> None:
    truth = scene(1.0, RATE, seed=1)
    mix = mixture_of(truth)
    base = make("midside")
    stems = base.separate(Mixture(mix, RATE), base.survey([Mixture(mix, RATE)]))
    rows = measured["stereo"]["bases"]["midside"]["rows"]
    (row,) = (row for row in rows if (row["method"], row["mix"]) == (BASE, "00001"))
    for name in FILM:
        wanted = improvement(truth[name], stems[name], mix)
        assert row["gain_db"][name] == pytest.approx(wanted, abs=0.02)


def test_methods_and_controls_are_measured_by_one_command(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    out = tmp_path / "figures.json"
    assert run(folder / "set", "--methods", "all", "--controls", "--out", out) == 0
    shown = capsys.readouterr().out
    assert 0 < shown.index("2 mixes, SI-SDR") < shown.index("2 mixes, stereo, over compact-film")
    content = json.loads(out.read_text())
    assert content["what"] == "evaluation"
    found = [row["method"] for row in content["figures"][str(folder / "set")]]
    assert sorted(found) == sorted(2 * candidates("film"))
    content = json.loads((tmp_path / "figures.controls.json").read_text())
    assert content["what"] == "controls"
    assert content["figures"]["sets"][str(folder / "set")]["stereo"]["bases"]["compact-film"]
    assert "over compact-film" in (tmp_path / "figures.controls.md").read_text()
    assert "| `midside` |" in out.with_suffix(".md").read_text()


def test_tables_and_costs_lie_beside_the_rows(folder: Path, measured: dict[str, Any]) -> None:
    text = (folder / "controls.md").read_text()
    for words in ("stereo, over midside", "mono, over midside", "no priors in training", "oracle"):
        assert words in text
    costs_ms = measured["stereo"]["costs_ms"]
    assert {"midside", "refiner", *TELLS[FILM]} <= set(costs_ms)
    assert all(value >= 0 for value in costs_ms.values())
    assert list(measured["stereo"]["bases"]["midside"]["leakage"])[2] == "0"


def test_a_refiner_that_learned_nothing_is_its_base_whatever_priors_say(tmp_path: Path) -> None:
    of = contest(tmp_path, learned=False)
    for condition, one in heard(known(0), of).items():
        priors = {base: at.seen.priors.flip(1) for base, at in one.looks.items()}
        rows = {row.method: row for row in compete(one, priors, of)["midside"]}
        base = rows.pop(BASE)
        for name, row in rows.items():
            if name not in ("mixture", "oracle") and not name.startswith("leakage"):
                for stem in FILM:
                    gap_db = row.gain_db[stem] - base.gain_db[stem]
                    assert abs(gap_db) < 1e-6, (condition, name)


def test_long_mixes_of_another_rate_come_in_windows(tmp_path: Path) -> None:
    duration_s = 2.1 * WINDOW_S
    long = known(0, duration_s, 8000)
    found = list(pieces([long], contest(tmp_path, learned=False)))
    assert [one.name for one in found] == [f"mix 0, {k} of 3" for k in (1, 2, 3)]
    assert {one.sample_rate for one in found} == {RATE}
    total = np.concatenate([one.stems["music"] for one in found], axis=1)
    assert total.shape == (2, round(duration_s * RATE))


def test_a_silent_mix_is_left_out(tmp_path: Path) -> None:
    silent = Known("s", "s", {name: np.zeros((2, RATE), np.float32) for name in FILM}, RATE)
    found = list(pieces([silent, known(1)], contest(tmp_path, learned=False)))
    assert [one.name for one in found] == ["mix 1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--refiner", "x.safetensors"], "--refiner came without --controls"),
        (["--base", "midside"], "--base came without --controls"),
        (["--trained-on", "x.safetensors"], "--trained-on came without --controls"),
        (["--methods", ",", "--controls", "SET"], "--methods came without a name"),
        ([*BOTH, "--scenes", 1, "SET"], "fewer than two mixes"),
        ([*BOTH, "--out", "OTHER", "SET"], "another --out"),
        ([*BOTH, "--set", "report"], "needs --pack"),
        (["--controls", "--methods", "spleeter", "SET"], "no method 'spleeter'"),
        (["--controls", "--refiner", "REFINER", "--base", "spleeter"], "no method 'spleeter'"),
        (["--controls", "--refiner", "REFINER", "--base", "oracle"], "needs references"),
        (["--controls", "--refiner", "REFINER", "--blind", "REFINER"], "trained on 0 is wanted"),
        (["--controls", "--refiner", "REFINER", "--base", "REFINER"], "refines speech"),
        (["--controls", "--refiner", "REFINER", "--set", "song", "--pack", "nowhere"], "nowhere"),
        (["--controls", "--refiner", "REFINER", "--scenes", 1, "SET"], "fewer than two mixes"),
        (["--controls", "--refiner", "REFINER", "--out", "OTHER", "SET"], "another --out"),
    ],
)
def test_what_cannot_be_is_said(
    folder: Path, arguments: list[Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = folder / "other.json"
    other.write_text('{"mine": 1}')
    files = {"REFINER": folder / "refiner.safetensors", "SET": folder / "set", "OTHER": other}
    assert run(*(files.get(word, word) for word in arguments)) == 2
    said = capsys.readouterr()
    error = said.err.strip()
    assert words in error and "\n" not in error
    assert not said.out  # refused before work began
    assert other.read_text() == '{"mine": 1}'
