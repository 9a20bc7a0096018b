"""The project after a run, saved as RPP and read again; and where stretched stems sound."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.daw.conftest import RATE, item_of
from tests.daw.dump import from_rpp, to_rpp
from tests.daw.host import Reaper
from tests.daw.mixer import mix
from tests.daw.model import Item, Project, Source, Take, Track, value

SEPARATE = "Separate selected items (last settings)"
SECONDS = 3.0


def run(reaper: Reaper) -> None:
    reaper.run(SEPARATE)
    reaper.pump()
    assert not reaper.messages


def panned(sounds: Path) -> Item:
    return item_of(Source.of_file(sounds / "stereo.wav"), D_PAN=-0.4, D_STARTOFFS=0.3)


def faded(sounds: Path) -> Item:
    shape = {"D_FADEINLEN": 0.2, "D_FADEOUTLEN": 0.3, "D_VOL": 0.7}
    return item_of(Source.of_file(sounds / "stereo.wav"), **shape)


def faster(sounds: Path) -> Item:
    return item_of(Source.of_file(sounds / "stereo.wav"), D_PLAYRATE=1.3, B_PPITCH=0.0)


def backward(sounds: Path) -> Item:
    source = Source.of_file(sounds / "stereo.wav").cut(0.2, 1.6).cut(0.1, 1.2, backward=True)
    return item_of(source, D_STARTOFFS=0.05)


def surround(sounds: Path) -> Item:
    return item_of(Source.of_file(sounds / "film.wav"), D_STARTOFFS=0.1)


def quoted(sounds: Path) -> Item:
    item = item_of(Source.of_file(sounds / "stereo.wav"))
    item.take.name = 'it\'s a "take" \U0001f3ac 50 %'
    return item


ITEMS = (panned, faded, faster, backward, surround, quoted)


@pytest.mark.parametrize("make", ITEMS, ids=lambda make: make.__name__)
def test_a_saved_project_sounds_like_the_item_did(
    make: object, reaper: Reaper, project: Project, sounds: Path
) -> None:
    assert callable(make)
    project.tracks = [
        Track("Bus", values={"I_FOLDERDEPTH": 1.0, "D_VOL": 0.8, "I_NCHAN": 6.0}),
        Track("Dialogue", values={"I_FOLDERDEPTH": -1.0, "I_NCHAN": 6.0}, items=[make(sounds)]),
        Track("Next", items=[item_of(Source.of_file(sounds / "mono.wav"), 0.2, 0.3)]),
    ]
    project.items[1].selected = False
    before = mix(project, RATE, SECONDS)
    run(reaper)
    text = to_rpp(project)
    again = from_rpp(text, project.folder)
    assert again.levels() == project.levels()
    assert [track.name for track in again.tracks] == [track.name for track in project.tracks]
    assert np.abs(before).max() > 0.05
    assert np.abs(mix(again, RATE, SECONDS) - before).max() < 1e-6
    # Nothing that matters was lost in between, to the last bit.
    assert (mix(again, RATE, SECONDS) == mix(project, RATE, SECONDS)).all()
    assert sum(value(track, "I_FOLDERDEPTH") for track in again.tracks) == 0
    assert len({track.guid for track in again.tracks}) == len(again.tracks)


def test_takes_and_the_active_one_are_saved(reaper: Reaper, project: Project, sounds: Path) -> None:
    project.tracks[0].items.append(item_of(Source.of_file(sounds / "stereo.wav")))
    reaper.answers = ["midside bands"]
    reaper.run("Compare methods on selected items")
    reaper.pump()
    project.tracks[2].items[0].active = 1
    again = from_rpp(to_rpp(project), project.folder)
    assert [[take.name for take in item.takes] for item in again.items] == [
        [take.name for take in item.takes] for item in project.items
    ]
    assert [item.active for item in again.items] == [0, 0, 1, 0]


# Stretching is not linear, so that sums say nothing; but every moment must stay in its place.

CLICKS = np.arange(700, 2 * RATE, 1237)


@pytest.fixture
def clicks(tmp_path: Path) -> Source:
    wave = np.zeros((2 * RATE, 2))
    wave[CLICKS] = [0.5, 0.3]
    sf.write(tmp_path / "clicks.wav", wave, RATE, subtype="FLOAT")
    return Source.of_file(tmp_path / "clicks.wav")


def found_s(project: Project) -> np.ndarray:
    """Return when the clicks in the files of the stems sound within their items."""
    stems = [track.items[0] for track in project.tracks[1:]]
    wave = np.abs(sum(sf.read(stem.take.source.path)[0] for stem in stems).sum(axis=1))
    peaks = np.flatnonzero((wave > 0.2) & (wave >= np.roll(wave, 1)) & (wave > np.roll(wave, -1)))
    times = [{*_times(stem, stem.take, peaks)} for stem in stems]
    assert times[0] == times[1] == times[2]
    return np.sort(list(times[0]))


def _times(item: Item, take: Take, samples: np.ndarray) -> np.ndarray:
    """Return when samples of a take's file sound, by Reaper's own definition."""
    inside = (samples / take.source.rate - value(take, "D_STARTOFFS")) / value(take, "D_PLAYRATE")
    inside = inside[(inside >= 0) & (inside < value(item, "D_LENGTH"))]
    return inside + value(item, "D_POSITION")


STRETCHED = {
    "a faster rate": {"D_PLAYRATE": 1.37, "D_STARTOFFS": 0.23},
    "a slower rate": {"D_PLAYRATE": 0.61, "D_STARTOFFS": 0.1},
    "another pitch": {"D_PITCH": 3.0, "D_STARTOFFS": 0.4},
    "a silent start": {"D_PLAYRATE": 1.1, "D_STARTOFFS": -0.3},
}


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("case", STRETCHED)
def test_every_moment_of_a_stretched_item_stays_in_its_place(
    case: str, backward: bool, reaper: Reaper, project: Project, clicks: Source
) -> None:
    # A section of samples 3200 to 28800, which backward begins with 28799.
    section = clicks.cut(0.2, 1.6, backward=backward)
    item = item_of(section, **STRETCHED[case])
    heard = 28799 - CLICKS if backward else CLICKS - 3200
    wanted = np.sort(_times(item, item.take, heard[(heard >= 0) & (heard < 25600)]))
    assert len(wanted) > 5
    project.tracks[0].items.append(item)
    run(reaper)
    assert np.abs(found_s(project) - wanted).max() < 1e-9


def test_every_moment_of_a_rendered_item_stays_within_a_sample(
    reaper: Reaper, project: Project, clicks: Source
) -> None:
    project.rate = RATE
    item = item_of(clicks, D_PLAYRATE=0.8, D_STARTOFFS=0.23)
    item.take.stretch_markers = 2  # which the simulator does not play, but render it does
    wanted = _times(item, item.take, CLICKS)
    project.tracks[0].items.append(item)
    run(reaper)
    assert project.tracks[1].items[0].take.values["D_PLAYRATE"] == 1
    assert np.abs(found_s(project) - wanted).max() <= 1 / RATE
