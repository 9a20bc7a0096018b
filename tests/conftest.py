"""What several rooms' tests share."""

import os
from pathlib import Path

import numpy as np
import pytest

# numba's on-disk cache breaks when two processes fill it at once; each test worker has its own.
os.environ.setdefault(
    "NUMBA_CACHE_DIR", f"/tmp/unstir-numba-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
)


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
