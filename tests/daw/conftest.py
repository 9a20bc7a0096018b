"""Sounds, projects and a running Reaper for the scenarios."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.daw.host import LUAS, Reaper
from tests.daw.model import Item, Project, Source, Take, Track
from unstir.worker import work

RATE = 16000


@pytest.fixture(params=sorted(LUAS))
def lua(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two seconds of noise in several shapes."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(6)
    wave = (0.1 * rng.standard_normal((2 * RATE, 6))).astype(np.float32)
    wave[:, 1] = 0.6 * wave[:, 0] + 0.4 * wave[:, 1]
    sf.write(folder / "stereo.wav", wave[:, :2], RATE, subtype="FLOAT")
    sf.write(folder / "mono.wav", wave[:, :1], RATE, subtype="PCM_24")
    sf.write(folder / "film.wav", wave, RATE, subtype="FLOAT", format="WAVEX")
    sf.write(folder / "song.flac", wave[:, :2], RATE)
    sf.write(folder / "song.mp3", wave[:, :2], RATE)
    return folder


Maker = Callable[..., Item]


def item_of(source: Source, start: float = 1.0, length: float = 1.0, **values: float) -> Item:
    """Return a selected item; D_STARTOFFS and other values of takes are set on its take."""
    on_take = {"D_STARTOFFS", "D_PLAYRATE", "D_PITCH", "I_CHANMODE", "B_PPITCH", "D_PAN"}
    take = Take(source, "Scene 1", values={k: v for k, v in values.items() if k in on_take})
    item = Item([take], selected=True)
    item.values.update({"B_LOOPSRC": 0.0, "D_POSITION": start, "D_LENGTH": length})
    item.values.update({k: v for k, v in values.items() if k not in on_take})
    return item


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(str(tmp_path), [Track("Dialogue")])


@pytest.fixture
def reaper(lua: str, project: Project) -> Reaper:
    """Return Reaper set up for unstir, with a method that is fast."""
    host = Reaper(lua, project)
    host.ext_state["unstir", "python"] = "python"
    host.ext_state["unstir", "method"] = "midside"
    host.worker = work
    return host
