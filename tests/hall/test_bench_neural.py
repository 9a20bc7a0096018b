import importlib.util
import json
from pathlib import Path

import pytest

from unstir.cli import main


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
        (["--method", "midside"], "choose from compact-film, mrx, htdemucs"),
        (["--seconds", "0"], "a time above 0 is wanted"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "neural", *words]) == 2
    assert said in capsys.readouterr().err
