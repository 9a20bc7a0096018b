import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from unstir.registry import methods


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo once, as a user does."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [sys.executable, "-m", "unstir", "demo", "-o", str(out)],
        capture_output=True,
        text=True,
        env={"COLUMNS": "120", "PATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_demo_leaves_stems_that_add_up_to_its_scene(demo) -> None:
    out, _ = demo
    scene = sf.read(out / "scene.wav", dtype="int16")[0]
    for folder in ("scene", "true"):
        parts = [
            sf.read(out / folder / f"{name}.wav", dtype="int32")[0] >> 16
            for name in ("speech", "music", "effects")
        ]
        np.testing.assert_array_equal(sum(parts), scene)
    assert json.loads((out / "scene/report.json").read_text())["null"]["exact"]
    assert (out / "scene/stems.png").stat().st_size > 50_000


def test_the_demo_compares_every_method_whose_weights_are_there(demo) -> None:
    _, said = demo
    for name, method in methods().items():
        if method.needs != "weights" and "film" in method.stem_sets:
            assert f" {name} " in said
