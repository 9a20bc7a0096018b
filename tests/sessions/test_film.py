"""A film's picture lies over its stems, to the frame, and its sound is off."""

import hashlib
import json
import os
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import av
import numpy as np
import opentimelineio
import pytest

from tests.sessions.made import HOUR_S, Made, make
from tests.sessions.test_hosts import NULL, melt, needs, sound
from tests.small_films import film
from unstir.errors import SettingsError
from unstir.sessions.fcp7 import write_fcp7
from unstir.sessions.fcpx import ROLES, write_fcpx
from unstir.sessions.mlt import write_mlt
from unstir.sessions.otio import write_otio
from unstir.sessions.session import Session, read_session

RATE, FPS, FIRST = 48000, 25, 5


def of_film(root: Path, *, late: int = 0, start: int | None = None) -> tuple[Made, Session]:
    """Make stems of a film from its fifth frame on; its sound begins ``late`` samples in."""
    lead = FIRST * RATE // FPS - late
    made = make(root, seconds=0.8, lead=lead, subtype="PCM_24", name="it's a film", start=start)
    made.original.unlink()
    video = root / "it's 1 film.mkv"
    whole = np.concatenate([np.zeros((2, lead), np.float32), made.mix], axis=1)
    film(video, [whole], "pcm_s24le", start=late, n_pictures=40)
    path = made.folder / "report.json"
    report = json.loads(path.read_text())
    report["input"]["file"] = video.name
    report["input"]["sha256"] = hashlib.sha256(video.read_bytes()).hexdigest()
    path.write_text(json.dumps(report))
    return made, read_session(made.folder)


@pytest.mark.parametrize("late", [0, 2 * RATE // FPS])
def test_a_film_lies_where_its_sound_was(late: int, tmp_path: Path) -> None:
    _, session = of_film(tmp_path, late=late)
    assert session.film is not None
    assert session.fps == FPS
    assert session.picture_frames == (FIRST, 20)
    assert session.original is not None
    assert session.first_frame(session.original) == FIRST


def test_a_video_given_begins_with_the_original_and_is_no_longer_than_it_is(tmp_path: Path) -> None:
    made = make(tmp_path, lead=RATE // FPS)
    video = tmp_path / "short.mov"
    film(video, [], "pcm_s24le", languages=(), n_pictures=20)
    session = read_session(made.folder, video=video)
    assert session.picture_frames == (1, 19)
    assert session.n_frames == 33


def test_otio_has_the_picture_on_a_track_of_its_own(tmp_path: Path) -> None:
    made, session = of_film(tmp_path)
    path = made.folder / "p.otio"
    write_otio(session, path)
    timeline = opentimelineio.adapters.read_from_file(str(path))
    (track,) = timeline.video_tracks()
    (clip,) = track
    assert (clip.source_range.start_time.value, clip.source_range.duration.value) == (FIRST, 20)
    assert session.film is not None
    url = unquote(clip.media_reference.target_url)
    assert os.path.samefile(made.folder / url, session.film.file)
    assert [t.enabled for t in timeline.audio_tracks()] == [True, True, True, False]


def test_fcp7_has_the_picture_and_its_sound_off(tmp_path: Path) -> None:
    made, session = of_film(tmp_path)
    path = made.folder / "p.xml"
    write_fcp7(session, path)
    root = ElementTree.parse(path).getroot()
    (item,) = root.findall("sequence/media/video/track/clipitem")
    places = [item.findtext(tag) for tag in ("start", "end", "in", "out")]
    assert places == ["0", "20", str(FIRST), str(FIRST + 20)]
    assert item.findtext("file/media/video/samplecharacteristics/width") == "32"
    assert item.findtext("file/media/audio/channelcount") == "2"
    items = root.findall("sequence/media/audio/track/clipitem")
    film_sound = [i for i in items if i.find("file").get("id") == "file-film"]  # type: ignore[union-attr]
    assert [i.findtext("enabled") for i in film_sound] == ["FALSE", "FALSE"]
    described = [f.get("id") for f in root.iter("file") if len(f)]
    assert len(described) == len(set(described)) == 4
    timeline = opentimelineio.adapters.read_from_file(str(path), adapter_name="fcp_xml")
    assert len(timeline.video_tracks()) == 1


def seconds(text: str | None) -> Fraction:
    assert text is not None and text.endswith("s")
    return Fraction(text[:-1])


# What FCPXML 1.9 allows in the elements that are written, in this order.
INSIDE = {
    "fcpxml": "resources library",
    "resources": "format asset",
    "asset": "media-rep",
    "library": "event",
    "event": "project",
    "project": "sequence",
    "sequence": "spine",
    "spine": "asset-clip gap",
    "asset-clip": "asset-clip marker",
    "gap": "asset-clip marker",
}


@pytest.mark.parametrize("shows", [True, False])
def test_fcpx_hangs_stems_with_roles_on_the_picture(shows: bool, tmp_path: Path) -> None:
    made, session = of_film(tmp_path, start=HOUR_S * RATE)
    if not shows:
        made = make(tmp_path / "sound", start=HOUR_S * RATE, lead=480)
        session = read_session(made.folder, fps=Fraction(30000, 1001))
    path = made.folder / "p.fcpxml"
    write_fcpx(session, path)
    root = ElementTree.parse(path).getroot()
    frame = 1 / session.fps
    for element in root.iter():
        inside = INSIDE.get(element.tag, "").split()
        order = [inside.index(child.tag) for child in element]
        assert element.tag in ("resources", "spine") or order == sorted(order)
    sequence = root.find("library/event/project/sequence")
    assert sequence is not None
    assert seconds(sequence.get("tcStart")) == session.start_frame * frame
    assert seconds(root.find("resources/format").get("frameDuration")) == frame  # type: ignore[union-attr]
    host = sequence.find("spine")[0]  # type: ignore[index]
    assert host.tag == ("asset-clip" if shows else "gap")
    assert host.get("srcEnable") == ("video" if shows else None)
    assets = {asset.get("id"): asset for asset in root.iter("asset")}
    children = host.findall("asset-clip")
    assert [c.get("enabled") for c in children] == ["1", "1", "1", "0"]
    assert [c.get("audioRole") for c in children] == [
        *(ROLES[clip.name] for clip in session.stems),
        "original",
    ]
    for clip, child in zip(session.clips, children, strict=True):
        assert child.get("offset") == host.get("start")
        assert child.get("srcEnable") == "audio"
        asset = assets[child.get("ref")]
        src = asset.find("media-rep").get("src")  # type: ignore[union-attr]
        assert unquote(str(src)) == f"file://{clip.file}"
        into = seconds(child.get("start")) - seconds(asset.get("start"))
        assert into == session.first_s(clip)
        assert into + seconds(child.get("duration")) <= seconds(asset.get("duration"))
        for key in ("duration", "offset"):
            assert (seconds(child.get(key)) / frame).denominator == 1
    marks = [(m.get("value"), seconds(m.get("start"))) for m in host.findall("marker")]
    begin = seconds(host.get("start"))
    assert marks == [(m.name, begin + session.frame(m.sample) * frame) for m in session.markers]
    assert marks


@pytest.mark.filterwarnings("default")
def test_fcpx_is_read_by_opentimelineio(tmp_path: Path) -> None:
    pytest.importorskip("otio_fcpx_xml_adapter")
    made, session = of_film(tmp_path)
    path = made.folder / "p.fcpxml"
    write_fcpx(session, path)
    timeline = opentimelineio.adapters.read_from_file(str(path))
    stack = next(iter(timeline)) if not hasattr(timeline, "tracks") else timeline.tracks
    names = {clip.name for clip in stack.find_clips()}
    assert {clip.name for clip in session.stems} <= names


def test_fcpx_refuses_what_a_path_cannot_hold(tmp_path: Path) -> None:
    made = make(tmp_path, name="a\nb")
    with pytest.raises(SettingsError, match="cannot hold"):
        write_fcpx(read_session(made.folder), tmp_path / "p.fcpxml")


@pytest.mark.hosts
@needs("melt")
def test_melt_shows_the_film_and_plays_the_stems(tmp_path: Path) -> None:
    made, session = of_film(tmp_path)
    project = made.folder / "p.mlt"
    write_mlt(session, project)
    out = tmp_path / "out.wav"
    melt(project, out, 2, RATE)
    found = sound(out)
    assert np.abs(found[:, : made.mix.shape[1]] - made.mix).max() <= NULL
    shown = tmp_path / "out.mkv"
    melt(project, shown, 2, RATE, video="ffv1")
    assert session.film is not None
    pictures, found = grays(session.film.file), grays(shown)[:20]
    away = [np.abs(found - pictures[at : at + 20]).mean() for at in range(FIRST - 2, FIRST + 3)]
    assert int(np.argmin(away)) == 2
    assert away[2] < 4 < min(away[1], away[3])


def grays(path: Path) -> np.ndarray:
    """Return the middle of each picture, where it is gray."""
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
    return np.array([np.median(frame) for frame in frames])
