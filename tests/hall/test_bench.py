import json
import subprocess
import sys
from pathlib import Path


def test_the_memory_bench_measures_whole_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "unstir",
            "bench",
            "memory",
            "--minutes",
            "0.2",
            "0.5",
            "--method",
            "midside",
            "--out",
            str(tmp_path / "m.json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "m.json").read_text())["figures"]["midside"]
    assert figures["minutes"] == [0.2, 0.5]
    assert all(50 < peak < 1500 for peak in figures["peak_mb"])
    assert "midside" in done.stdout


def test_a_bench_task_gives_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unstir.bench_tasks", "stft", "--seconds", "5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert 0 < figures["seconds"] < 5 and figures["duration_s"] == 5
    assert figures["peak_mb"] > 20


def test_separation_wants_a_corpus(tmp_path: Path) -> None:
    for words in ([], ["--corpus", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-m", "unstir", "bench", "separation", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2 and "recordings" in done.stderr
        assert "Traceback" not in done.stderr
