"""The stems of an item add up to what the item played, wherever and however it plays."""

from pathlib import Path

import numpy as np
import pytest

from tests.daw.conftest import RATE, item_of
from tests.daw.host import Reaper
from tests.daw.mixer import mix
from tests.daw.model import Fx, Item, Project, Source, value

SEPARATE = "Separate selected items (last settings)"
SECONDS = 4.0


def heard(project: Project) -> np.ndarray:
    return mix(project, RATE, SECONDS)


def separated(reaper: Reaper, *items: Item) -> tuple[np.ndarray, np.ndarray]:
    """Return the project's sound before and after."""
    project = reaper.front
    project.tracks[0].items += items
    before = heard(project)
    reaper.run(SEPARATE)
    reaper.pump()
    assert not reaper.messages
    assert all(value(item, "B_MUTE") for item in items)
    assert len(project.tracks) == 4
    return before, heard(project)


SOURCES = {
    "a stereo file": ("stereo.wav", {}),
    "a start offset": ("stereo.wav", {"D_STARTOFFS": 0.37}),
    "an offset between two samples": ("stereo.wav", {"D_STARTOFFS": 0.2 + 0.3 / RATE}),
    "silence before the file begins": ("stereo.wav", {"D_STARTOFFS": -0.4}),
    "an item longer than its file": ("stereo.wav", {"length": 2.5}),
    "a faster rate": ("stereo.wav", {"D_PLAYRATE": 1.25, "B_PPITCH": 0.0}),
    "a slower rate and an offset": (
        "stereo.wav",
        {"D_PLAYRATE": 0.7, "D_STARTOFFS": 0.11, "B_PPITCH": 0.0},
    ),
    "a loop": ("stereo.wav", {"B_LOOPSRC": 1.0, "D_STARTOFFS": 1.5, "length": 2.0}),
    "a loop that begins before its file": (
        "stereo.wav",
        {"B_LOOPSRC": 1.0, "D_STARTOFFS": -0.5, "length": 1.0},
    ),
    "swapped channels": ("stereo.wav", {"I_CHANMODE": 1.0}),
    "both channels as one": ("stereo.wav", {"I_CHANMODE": 2.0}),
    "the left channel": ("stereo.wav", {"I_CHANMODE": 3.0}),
    "the right channel": ("stereo.wav", {"I_CHANMODE": 4.0}),
    "a mono file": ("mono.wav", {"D_STARTOFFS": 0.1}),
    "a FLAC file": ("song.flac", {"D_STARTOFFS": 0.1}),
    "six channels": ("film.wav", {"D_STARTOFFS": 0.1}),
    "gain and fades": (
        "stereo.wav",
        {"D_VOL": 0.5, "D_FADEINLEN": 0.2, "D_FADEOUTLEN": 0.3},
    ),
}
MONO = ("both channels as one", "the left channel", "the right channel", "a mono file")


@pytest.mark.parametrize("case", SOURCES)
def test_stems_add_up_to_an_item_with(case: str, reaper: Reaper, sounds: Path) -> None:
    name, values = SOURCES[case]
    if case in MONO:
        reaper.ext_state["unstir", "method"] = "bands"  # the fast one that needs no stereo
    reaper.front.tracks[0].values["I_NCHAN"] = 6.0 if case == "six channels" else 2.0
    before, after = separated(reaper, item_of(Source.of_file(sounds / name), **values))
    assert np.abs(before).max() > 0.05
    assert np.abs(after - before).max() < 1e-6


def test_inverted_polarity_stays(reaper: Reaper, sounds: Path) -> None:
    item = item_of(Source.of_file(sounds / "stereo.wav"))
    item.take.values["D_VOL"] = -0.8
    before, after = separated(reaper, item)
    assert np.abs(after - before).max() < 1e-6


SECTIONS = {
    "a section": lambda file: file.cut(0.3, 1.2),
    "a reversed file": lambda file: file.cut(0.0, 2.0, backward=True),
    "a reversed section": lambda file: file.cut(0.25, 1.25, backward=True),
    "a section of a reversed section": lambda file: file.cut(0.2, 1.6, backward=True).cut(0.3, 1.1),
    "a reversed section of a section": lambda file: file.cut(0.2, 1.6).cut(0.1, 1.2, backward=True),
    "a section reversed twice": lambda file: file.cut(0.2, 1.6, backward=True).cut(
        0.1, 1.2, backward=True
    ),
}


@pytest.mark.parametrize("case", SECTIONS)
def test_stems_add_up_to(case: str, reaper: Reaper, sounds: Path) -> None:
    source = SECTIONS[case](Source.of_file(sounds / "stereo.wav"))
    before, after = separated(reaper, item_of(source, D_STARTOFFS=0.05))
    assert np.abs(before).max() > 0.05
    assert np.abs(after - before).max() < 1e-6


def test_a_looped_reversed_section_is_laid_out(reaper: Reaper, sounds: Path) -> None:
    source = Source.of_file(sounds / "stereo.wav").cut(0.5, 0.3, backward=True)
    item = item_of(source, length=1.0, B_LOOPSRC=1.0, D_STARTOFFS=0.2)
    before, after = separated(reaper, item)
    assert np.abs(after - before).max() < 1e-6


def test_a_stem_can_be_trimmed_outward_by_the_handle(reaper: Reaper, sounds: Path) -> None:
    reaper.ext_state["unstir", "handles_s"] = "0.25"
    item = item_of(Source.of_file(sounds / "stereo.wav"), D_STARTOFFS=0.5)
    separated(reaper, item)
    stems = [stem for stem in reaper.front.items if stem is not item]
    for one in [item, *stems]:  # all edges 0.2 s outward, as a user would drag them
        one.values["D_POSITION"] -= 0.2
        one.values["D_LENGTH"] += 0.4
        one.take.values["D_STARTOFFS"] -= 0.2
    together = heard(reaper.front)
    for stem in stems:
        stem.values["B_MUTE"] = 1.0
    item.values["B_MUTE"] = 0.0
    assert np.abs(together - heard(reaper.front)).max() < 1e-6


RENDERED = {
    "an MP3 file": ("song.mp3", {}),
    "an MP3 file with an offset and a rate": (
        "song.mp3",
        {"D_STARTOFFS": 0.3, "D_PLAYRATE": 1.2},
    ),
}


@pytest.mark.parametrize("case", RENDERED)
def test_reaper_itself_decodes(case: str, reaper: Reaper, sounds: Path) -> None:
    name, values = RENDERED[case]
    reaper.front.rate = RATE
    before, after = separated(reaper, item_of(Source.of_file(sounds / name), **values))
    assert reaper.calls["reaper.GetAudioAccessorSamples"] > 0
    assert reaper.functions.open_accessors == 0
    assert np.abs(after - before).max() < 1e-6


def test_stretch_markers_are_rendered_at_rate_one(reaper: Reaper, sounds: Path) -> None:
    reaper.front.rate = RATE
    item = item_of(Source.of_file(sounds / "stereo.wav"), D_PLAYRATE=0.9, D_PITCH=0.0)
    item.take.stretch_markers = 3
    separated(reaper, item)
    stem = reaper.front.tracks[1].items[0].take
    assert value(stem, "D_PLAYRATE") == 1
    assert value(stem, "D_STARTOFFS") == 0


def test_pitch_and_rate_travel_with_the_stems_of_source_mode(reaper: Reaper, sounds: Path) -> None:
    item = item_of(Source.of_file(sounds / "stereo.wav"), D_PLAYRATE=0.8, D_PITCH=2.0)
    separated(reaper, item)
    for track in reaper.front.tracks[1:]:
        take = track.items[0].take
        assert value(take, "D_PLAYRATE") == 0.8
        assert value(take, "D_PITCH") == 2.0
        assert value(take, "I_CHANMODE") == 0


def test_take_effects_and_envelopes_travel_with_the_stems(reaper: Reaper, sounds: Path) -> None:
    item = item_of(Source.of_file(sounds / "stereo.wav"))
    item.take.fx = [Fx("ReaEQ")]
    item.take.envelopes = ["<VOLENV\nPT 0 1 0\nPT 1 0.5 0\n>", "<PITCHENV\nPT 0 2 0\n>"]
    separated(reaper, item)
    for track in reaper.front.tracks[1:]:
        assert track.items[0].take.fx == [Fx("ReaEQ")]
        assert track.items[0].take.envelopes == item.take.envelopes


def test_several_items_on_several_tracks_in_one_run(reaper: Reaper, sounds: Path) -> None:
    from tests.daw.model import Track

    file = Source.of_file(sounds / "stereo.wav")
    project = reaper.front
    project.tracks.append(Track("Atmo"))
    project.tracks[0].items += [item_of(file, 0.0, 0.5), item_of(file, 0.5, 0.5, D_STARTOFFS=0.7)]
    project.tracks[1].items.append(item_of(file, 1.0, 0.5, D_STARTOFFS=1.0))
    before = heard(project)
    reaper.run(SEPARATE)
    reaper.pump()
    assert [track.name for track in project.tracks] == [
        *("Dialogue", "Speech", "Music", "Effects"),
        *("Atmo", "Speech", "Music", "Effects"),
    ]
    assert [len(track.items) for track in project.tracks] == [2, 2, 2, 2, 1, 1, 1, 1]
    assert len(project.undo_names) == 1
    assert np.abs(heard(project) - before).max() < 1e-6
