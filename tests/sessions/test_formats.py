"""Every format says where each sound lies, and what it says can be read back."""

import os
import re
import zipfile
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import aaf2
import numpy as np
import opentimelineio
import pytest
import rpp
import soundfile as sf

from tests.sessions.made import HOUR_S, make
from unstir.errors import SettingsError, UnknownNameError
from unstir.sessions.aaf import write_aaf
from unstir.sessions.dawproject import write_dawproject
from unstir.sessions.fcp7 import timecode_text, write_fcp7
from unstir.sessions.formats import FORMATS, write_sessions
from unstir.sessions.otio import write_otio
from unstir.sessions.reaper import write_rpp
from unstir.sessions.session import read_session

RATE = 48000
ODD = 'it\'s "50%" & <odd> \U0001f436'


def mixed(project: Path, n_samples: int) -> np.ndarray:
    """Play a Reaper project as far as its items' files, offsets, lengths and mutes go."""
    total = np.zeros(0)
    parsed = rpp.loads(project.read_text(encoding="utf-8"))
    for track in parsed.findall(".//TRACK"):
        item = track.find("ITEM")
        if item is None or track.find("MUTESOLO")[1] != "0":
            continue
        source = item.find("SOURCE")
        x, rate = sf.read(project.parent / source.find("FILE")[1], dtype="float64")
        first = round(float(item.find("SOFFS")[1]) * rate)
        length = round(float(item.find("LENGTH")[1]) * rate)
        assert float(item.find("POSITION")[1]) == 0
        part = x[first : first + length]
        total = part if not total.size else total + part
    assert len(total) == n_samples
    return total.T


@pytest.mark.parametrize("name", ["film one", ODD])
def test_a_reaper_project_plays_the_original(name: str, tmp_path: Path) -> None:
    made = make(tmp_path, name=name, start=HOUR_S * RATE, lead=123)
    session = read_session(made.folder)
    path = made.folder / "p.rpp"
    write_rpp(session, path)
    assert np.abs(mixed(path, session.n_samples) - made.mix).max() <= 1e-6
    parsed = rpp.loads(path.read_text(encoding="utf-8"))
    tracks = parsed.findall("TRACK")
    assert [t.find("NAME")[1] for t in tracks] == ["Stems", *(c.name for c in session.clips)]
    assert [t.find("MUTESOLO")[1] for t in tracks] == ["0", "0", "0", "0", "1"]
    depths = [int(t.find("ISBUS")[2]) for t in tracks]
    assert depths == [1, 0, 0, -1, 0]
    assert parsed.find("PROJOFFS")[1] == str(HOUR_S)
    assert len({t.find("PEAKCOL")[1] for t in tracks[1:]}) == 4
    assert parsed.findall("MARKER")[0][3] == "Speech 1"
    assert len(set(re.findall(r"[{][0-9A-F-]{36}[}]", path.read_text(encoding="utf-8")))) == 13


def test_a_backtick_in_a_path_is_refused_by_reaper_projects(tmp_path: Path) -> None:
    made = make(tmp_path, name="a`b")
    with pytest.raises(SettingsError, match="backtick"):
        write_rpp(read_session(made.folder), tmp_path / "p.rpp")
    assert not list(tmp_path.glob("*.rpp*"))


def test_otio_gives_back_tracks_times_and_colors(tmp_path: Path) -> None:
    made = make(tmp_path, name=ODD, start=HOUR_S * RATE, lead=480)
    session = read_session(made.folder, fps=Fraction(30000, 1001))
    path = made.folder / "p.otio"
    write_otio(session, path)
    timeline = opentimelineio.adapters.read_from_file(str(path))
    assert [t.name for t in timeline.tracks] == [c.name for c in session.clips]
    assert [t.enabled for t in timeline.tracks] == [True, True, True, False]
    assert timeline.global_start_time.value == session.start_frame
    for track, clip in zip(timeline.tracks, session.clips, strict=True):
        (item,) = track
        assert os.path.samefile(made.folder / unquote(item.media_reference.target_url), clip.file)
        length = item.source_range.duration
        assert round(length.value / length.rate * RATE) == session.n_samples
        into = item.source_range.start_time - item.media_reference.available_range.start_time
        assert round(into.value / into.rate * RATE) == clip.first_sample
    assert [m.name for m in timeline.tracks.markers] == [m.name for m in session.markers]


def test_fcp7_is_read_back_with_a_clip_for_every_channel(tmp_path: Path) -> None:
    made = make(tmp_path, name=ODD, start=HOUR_S * RATE)
    session = read_session(made.folder)
    path = made.folder / "p.xml"
    write_fcp7(session, path)
    timeline = opentimelineio.adapters.read_from_file(str(path), adapter_name="fcp_xml")
    clips = [clip for track in timeline.tracks for clip in track]
    assert [clip.name for clip in clips] == [c.name for c in session.clips for _ in range(2)]
    assert {int(clip.source_range.duration.value) for clip in clips} == {32}  # of 32.5 frames
    for clip, own in zip(clips[::2], session.clips, strict=True):
        url = clip.media_reference.target_url
        assert unquote(url.removeprefix("file://localhost")) == str(own.file)
    root = ElementTree.parse(path).getroot()
    assert {e.text for e in root.iter("channelcount")} == {"2"}
    assert [e.text for e in root.iter("trackindex")][::3] == ["1", "2"] * 4
    items = {item.get("id"): item for item in root.iter("clipitem")}
    assert {e.text for e in root.iter("linkclipref")} == set(items)
    assert root.findtext("sequence/timecode/string") == "01:00:00:00"
    assert [t.findtext("enabled") for t in root.iter("track")] == ["TRUE"] * 6 + ["FALSE"] * 2


def test_time_code_counts_whole_frames() -> None:
    assert timecode_text(30 * 3600 - 1, 30) == "00:59:59:29"


# What the schema of DAWproject 1.0 (Project.xsd) says of the elements written here: what may stand
# within each, in this order; attributes that must be there; all that may. As facts, in our words.
NAMED = ("name", "color", "comment")
KNOWN = (*NAMED, "id")
LINE = (*KNOWN, "timeUnit", "track")
TEXT = "Title Artist Album OriginalArtist Composer Songwriter Producer Arranger Year Genre"
SCHEMA: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "Project": ("Application Transport Structure Arrangement Scenes", "version", ()),
    "Application": ("", "name version", ()),
    "Transport": ("Tempo TimeSignature", "", ()),
    "Tempo": ("", "unit", (*KNOWN, "parameterID", "max", "min", "value")),
    "TimeSignature": ("", "numerator denominator", (*KNOWN, "parameterID")),
    "Structure": ("Track", "", ()),
    "Track": ("Channel Track", "", (*KNOWN, "contentType", "loaded")),
    "Channel": (
        "Devices Mute Pan Sends Volume",
        "",
        (*KNOWN, "audioChannels", "destination", "role", "solo"),
    ),
    "Mute": ("", "", (*KNOWN, "parameterID", "value")),
    "Volume": ("", "unit", (*KNOWN, "parameterID", "max", "min", "value")),
    "Arrangement": ("Lanes Markers TempoAutomation TimeSignatureAutomation", "", KNOWN),
    "Lanes": ("Lanes Clips", "", LINE),
    "Clips": ("Clip", "", LINE),
    "Clip": ("Audio", "time", (*NAMED, "duration", "contentTimeUnit", "playStart", "playStop")),
    "Audio": ("File", "duration channels sampleRate", (*LINE, "algorithm")),
    "File": ("", "path", ("external",)),
    "Markers": ("Marker", "", LINE),
    "Marker": ("", "time", NAMED),
    "MetaData": (TEXT + " Copyright Website Comment", "", ()),
    "Title": ("", "", ()),
}
VALUES = {
    "unit": ["linear", "bpm"],  # of nine
    "timeUnit": ["beats", "seconds"],
    "contentTimeUnit": ["beats", "seconds"],
    "role": ["regular", "master", "effect", "submix", "vca"],
    "contentType": ["audio", "automation", "notes", "video", "markers", "tracks"],
}


def check_schema(root: ElementTree.Element) -> None:
    """Hold a document against what its schema demands."""
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        inside, needed, optional = SCHEMA[element.tag]
        order = [inside.split().index(child.tag) for child in element]
        assert order == sorted(order), element.tag
        assert set(needed.split()) <= set(element.attrib), element.tag
        assert set(element.attrib) <= {*needed.split(), *optional}, element.tag
        for key, value in element.attrib.items():
            assert value in VALUES.get(key, [value]), (element.tag, key)
            if key in ("track", "destination"):
                assert value in ids
            if key in ("time", "duration", "playStart"):
                float(value)
            if key in ("channels", "sampleRate", "audioChannels", "numerator", "denominator"):
                int(value)


def test_a_dawproject_stands_on_its_own(tmp_path: Path) -> None:
    made = make(tmp_path, name=ODD)
    session = read_session(made.folder)
    path = made.folder / "p.dawproject"
    write_dawproject(session, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        root = ElementTree.fromstring(archive.read("project.xml"))
        metadata = ElementTree.fromstring(archive.read("metadata.xml"))
        audible = np.zeros(made.mix.shape)
        muted = {
            track.get("id")
            for track in root.iter("Track")
            if track.find("Channel/Mute").get("value") == "true"
        }
        for lanes in root.findall("Arrangement/Lanes/Lanes"):
            file = lanes.find(".//File").get("path")
            assert file in names
            (tmp_path / "one.wav").write_bytes(archive.read(file))
            if lanes.get("track") not in muted:
                audible += sf.read(tmp_path / "one.wav")[0].T
    check_schema(metadata)
    assert metadata.findtext("Title") == session.name
    assert np.abs(audible - made.mix).max() <= 1e-6
    assert len(muted) == 1
    check_schema(root)


@pytest.mark.parametrize("channels", [1, 6])
def test_an_aaf_holds_mono_clips_that_add_up_bit_for_bit(channels: int, tmp_path: Path) -> None:
    made = make(tmp_path, channels=channels, subtype="PCM_24", start=HOUR_S * RATE)
    session = read_session(made.folder, fps=Fraction(24000, 1001))
    path = made.folder / "p.aaf"
    write_aaf(session, path)
    total = np.zeros((channels, session.n_samples), np.int64)
    with aaf2.open(str(path)) as file:
        (composition,) = file.content.toplevel()
        time, *tracks, events = list(composition.slots)
        found = [(e["Comment"].value, e["Position"].value) for e in events.segment.components]
        assert found == [(m.name, session.frame(m.sample)) for m in session.markers] != []
        assert set(events.segment.components[0]["DescribedSlots"].value) == {tracks[0].slot_id}
        assert (time.segment.fps, time.segment.start) == (24, session.start_frame)
        assert str(time.edit_rate) == "24000/1001"
        for i, track in enumerate(tracks):
            (clip,) = list(track.segment.components)
            assert (clip.start, clip.length) == (0, session.n_samples)
            physical = clip.mob.slots[0].segment.mob
            raw = np.frombuffer(physical.essence.open("r").read(), np.uint8).reshape(-1, 3)
            wide = np.zeros((len(raw), 4), np.uint8)
            wide[:, 1:] = raw
            total[i % channels] += wide.view("<i4")[:, 0] >> 8
        names = [track.name for track in tracks]
    np.testing.assert_array_equal(total, np.rint(made.mix.astype(np.float64) * 2**23))
    assert names[:2] == (["speech", "music"] if channels == 1 else ["speech.L", "speech.R"])


@pytest.mark.filterwarnings("default")
def test_an_aaf_is_read_by_opentimelineio(tmp_path: Path) -> None:
    pytest.importorskip("otio_aaf_adapter")
    made = make(tmp_path)
    write_aaf(read_session(made.folder), made.folder / "p.aaf")
    timeline = opentimelineio.adapters.read_from_file(str(made.folder / "p.aaf"))
    found = [(t.name, int(c.source_range.duration.value)) for t in timeline.tracks for c in t]
    stems = ("speech", "music", "effects")
    assert found == [(f"{s}.{side}", made.mix.shape[1]) for s in stems for side in "LR"]


def test_sound_beyond_full_scale_is_refused_by_aaf(tmp_path: Path) -> None:
    made = make(tmp_path)
    for file in made.folder.glob("*.wav"):
        x, rate = sf.read(file)
        sf.write(file, 4 * x, rate, subtype="FLOAT")
    with pytest.raises(SettingsError, match="full scale"):
        write_aaf(read_session(made.folder), tmp_path / "p.aaf")
    assert [p.name for p in tmp_path.iterdir() if "aaf" in p.name] == []


def test_all_formats_at_once_change_no_input(tmp_path: Path) -> None:
    made = make(tmp_path, name=ODD, rate=8000)
    before = {p: p.read_bytes() for p in (*made.folder.iterdir(), made.original)}
    session = read_session(made.folder)
    written = write_sessions(session, tuple(FORMATS), made.folder)
    assert list(written) == list(FORMATS)
    assert all(path.exists() for path in written.values())
    assert {p: p.read_bytes() for p in before} == before
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".part")]
    with pytest.raises(SettingsError, match="--overwrite"):
        write_sessions(session, ["rpp"], made.folder)
    write_sessions(session, tuple(FORMATS), made.folder, overwrite=True)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    made = make(tmp_path, rate=8000)
    with pytest.raises(UnknownNameError, match="ptx"):
        write_sessions(read_session(made.folder), ["ptx"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
