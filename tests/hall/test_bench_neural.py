import importlib.util
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.sounds import null_db
from unstir import bench_neural
from unstir.cli import main
from unstir.types import FILM


def test_the_bench_of_nets_measures_ours_in_both_precisions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the processes that it starts
    out = tmp_path / "neural.json"
    words = ["--seconds", "0.2", "--method", "compact-film", "--out", str(out)]
    assert main(["bench", "neural", *words]) == 0
    figures = json.loads(out.read_text())["figures"]
    assert set(figures) == {"compact-film bf16", "compact-film fp32"}
    shown = capsys.readouterr().out
    for name, row in figures.items():
        assert row["seconds"] > 0 and row["duration_s"] == pytest.approx(0.2)
        assert 100 < row["peak_mb"] < 4000
        assert row["weights"] in ("random", "trained")
        assert name in shown


def test_the_hybrid_is_measured_whole() -> None:
    task, weights, duration_s = bench_neural._task("hybrid", "fp32", 0.5)
    stems = task()
    assert tuple(stems) == FILM and duration_s == 0.5
    assert null_db(bench_neural.noise(0.5), stems) < -100
    assert weights in ("trained", "random")


def test_a_row_of_the_table_says_how_much_sound_it_is_of() -> None:
    of = {"weights": "random", "device": "cpu", "seconds": 4.0, "duration_s": 15.6, "peak_mb": 9.0}
    console = Console(width=80, record=True)
    console.print(bench_neural.table({"compact-film bf16": of, "ratio bf16": 9.2}))
    lines = console.export_text().splitlines()
    (row,) = (line for line in lines if "compact-film bf16" in line)
    assert row.split()[6:13:2] == ["cpu", "15.6", "4.00", "3.9"]


@pytest.mark.skipif(importlib.util.find_spec("demucs") is not None, reason="demucs is installed")
def test_without_the_package_it_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "neural.json"
    assert main(["bench", "neural", "--method", "htdemucs", "--out", str(out)]) == 0
    assert "pip install 'unstir[demucs]'" in capsys.readouterr().out
    assert json.loads(out.read_text())["figures"] == {"htdemucs bf16": None, "htdemucs fp32": None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "midside"], "choose from compact-film, hybrid, mrx, htdemucs"),
        (["--seconds", "0"], "a time above 0 is wanted"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "neural", *words]) == 2
    assert said in capsys.readouterr().err
