"""What several rooms' tests share."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

# numba's on-disk cache breaks when two processes fill it at once, and then crashes every process
# that reads it. So every test process has one of its own; always set, since workers inherit the
# environment of the process that starts them.
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="unstir-numba-")
atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)

# Nor may the models that the user of this machine has added change what is tested.
os.environ["UNSTIR_MODELS"] = tempfile.mkdtemp(prefix="unstir-models-")
atexit.register(shutil.rmtree, os.environ["UNSTIR_MODELS"], ignore_errors=True)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return seeded randomness."""
    return np.random.default_rng(440)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder of real recordings, or skip the test."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "corpus"
    if not (folder / "MANIFEST.csv").exists():
        pytest.skip("the corpus of real recordings is not here")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave real hosts to ``make test-hosts``: they take minutes, and hang at times."""
    if not os.environ.get("UNSTIR_HOSTS"):
        for item in items:
            if item.get_closest_marker("hosts"):
                item.add_marker(pytest.mark.skip(reason="make test-hosts runs it"))
