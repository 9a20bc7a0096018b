"""What the scripts leave in a project, played by real programs: nothing is lost, nothing moves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.daw.conftest import item_of
from tests.daw.dump import to_ardour, to_mlt
from tests.daw.host import Reaper
from tests.daw.mixer import mix
from tests.daw.model import Project, Source, Track
from tests.sessions.test_hosts import NULL, ardour_error, melt, needs, sound
from unstir.worker import work

pytestmark = pytest.mark.hosts
RATE = 48000
SECONDS = 2.5
FPS = 100  # so that a frame of MLT is 10 ms, and all places below are whole frames
SEPARATE = "Separate selected items (last settings)"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a second of noise in several shapes."""
    folder = tmp_path_factory.mktemp("files")
    wave = 0.1 * np.random.default_rng(8).standard_normal((RATE, 6))
    wave[:, 1] = 0.6 * wave[:, 0] + 0.4 * wave[:, 1]
    sf.write(folder / "stereo.wav", wave[:, :2], RATE, subtype="FLOAT")
    sf.write(folder / "mono.wav", wave[:, :1], RATE, subtype="FLOAT")
    sf.write(folder / "film.wav", wave, RATE, subtype="FLOAT", format="WAVEX")
    sf.write(folder / "song.mp3", wave[:, :2], RATE)
    return folder


def of(files: Path, name: str = "stereo.wav") -> Source:
    return Source.of_file(files / name)


def folders(project: Project, files: Path) -> None:
    """Two items in a folder, a second folder within, gains everywhere, a mute track."""
    inner = item_of(of(files), 1.0, 0.4, D_STARTOFFS=0.2, D_VOL=0.7)
    inner.take.values["D_VOL"] = 0.9
    project.tracks = [
        Track("Bus", values={"I_FOLDERDEPTH": 1.0, "D_VOL": 0.8}),
        Track("Dialogue", items=[item_of(of(files), 0.5, 0.4, D_STARTOFFS=0.37), inner]),
        Track("Inner", values={"I_FOLDERDEPTH": 1.0, "D_VOL": 0.5}),
        Track("Atmo", values={"I_FOLDERDEPTH": -2.0}, items=[item_of(of(files), 0.7, 0.5)]),
        Track("Mute", values={"B_MUTE": 1.0}, items=[item_of(of(files), 0.1, 0.5)]),
    ]


def one(**values: float) -> Callable[[Project, Path], None]:
    def fill(project: Project, files: Path) -> None:
        project.tracks[0].items.append(item_of(of(files), 0.5, 0.6, **values))

    return fill


def backward(project: Project, files: Path) -> None:
    source = of(files).cut(0.1, 0.8).cut(0.05, 0.7, backward=True)
    project.tracks[0].items.append(item_of(source, 0.5, 0.5, D_STARTOFFS=0.1))


def loop(project: Project, files: Path) -> None:
    source = of(files).cut(0.3, 0.3)
    project.tracks[0].items.append(item_of(source, 0.5, 1.0, B_LOOPSRC=1.0, D_STARTOFFS=0.2))


def mono(project: Project, files: Path) -> None:
    project.tracks[0].items.append(item_of(of(files, "mono.wav"), 0.5, 0.6, D_STARTOFFS=0.1))


def surround(project: Project, files: Path) -> None:
    project.tracks[0].values["I_NCHAN"] = 6.0
    project.tracks[0].items.append(item_of(of(files, "film.wav"), 0.5, 0.6, D_STARTOFFS=0.1))


def decoded(project: Project, files: Path) -> None:
    project.tracks[0].items.append(item_of(of(files, "song.mp3"), 0.5, 0.6, D_STARTOFFS=0.1))


def in_part(project: Project, files: Path) -> None:
    """The item is cut in three, and what lies outside the time selection sounds as before."""
    project.time_selection = (0.7, 0.9)
    project.tracks[0].items.append(item_of(of(files), 0.5, 0.6, D_STARTOFFS=0.1))


CASES = {
    "an offset": one(D_STARTOFFS=0.37),
    "swapped channels": one(I_CHANMODE=1.0),
    "folders, gains and mutes": folders,
    "a reversed section of a section": backward,
    "a looped section": loop,
    "a mono file": mono,
    "six channels": surround,
    "an MP3 file": decoded,
    "a part of an item": in_part,
}


def filled(case: str, folder: Path, files: Path) -> Project:
    project = Project(str(folder), [Track("Dialogue")], rate=RATE)
    (CASES | FADED)[case](project, files)
    return project


def separated(
    case: str, folder: Path, files: Path, *, handles_s: str = "1"
) -> tuple[Project, np.ndarray]:
    """Return the project after a run, and what it sounded like before."""
    project = filled(case, folder, files)
    width = 6 if case == "six channels" else 2
    before = mix(project, RATE, SECONDS)[:width].astype(np.float32)
    reaper = Reaper("5.4", project)
    reaper.ext_state["unstir", "python"] = "python"
    reaper.ext_state["unstir", "method"] = "bands" if case == "a mono file" else "midside"
    reaper.ext_state["unstir", "handles_s"] = handles_s
    reaper.worker = work
    reaper.run(SEPARATE)
    reaper.pump()
    assert not reaper.messages
    assert np.abs(before).max() > 0.05
    return project, before


FADED = {
    "fades": one(D_STARTOFFS=0.2, D_FADEINLEN=0.2, D_FADEOUTLEN=0.3),
    "a fade and its polarity inverted": one(D_VOL=-0.6, D_FADEINLEN=0.1),
}


@needs("ardour7-export")
@pytest.mark.parametrize("case", CASES)
def test_ardour_plays_the_item_from_its_stems(case: str, tmp_path: Path, files: Path) -> None:
    project, before = separated(case, tmp_path / "project", files)
    session = tmp_path / "session" / "stems.ardour"
    to_ardour(project, session, RATE, len(before), SECONDS)
    assert ardour_error(session, tmp_path / "out.wav", before) <= NULL


@needs("ardour7-export")
@pytest.mark.parametrize("case", FADED)
def test_ardour_fades_the_stems_as_it_fades_the_item(
    case: str, tmp_path: Path, files: Path
) -> None:
    """Its fades are not Reaper's to the last digit, so that Ardour plays the item too."""
    item = tmp_path / "item" / "item.ardour"
    to_ardour(filled(case, tmp_path / "before", files), item, RATE, 2, SECONDS)
    project, mixed = separated(case, tmp_path / "project", files)
    assert ardour_error(item, tmp_path / "item.wav", mixed) < 1e-2
    session = tmp_path / "session" / "stems.ardour"
    to_ardour(project, session, RATE, 2, SECONDS)
    assert ardour_error(session, tmp_path / "out.wav", sound(tmp_path / "item.wav")) <= NULL


@needs("melt")
@pytest.mark.parametrize("case", [case for case in CASES if case != "a part of an item"])
def test_melt_plays_the_item_from_its_stems(case: str, tmp_path: Path, files: Path) -> None:
    project, before = separated(case, tmp_path / "project", files, handles_s="0")
    to_mlt(project, tmp_path / "stems.mlt", FPS, SECONDS)
    melt(tmp_path / "stems.mlt", tmp_path / "out.wav", len(before), RATE)
    found = sound(tmp_path / "out.wav")
    n = found.shape[1]  # melt ends with the last item
    assert np.abs(found - before[:, :n]).max() <= NULL
    assert not before[:, n:].any()
