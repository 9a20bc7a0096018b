"""DAWproject 1.0, which Bitwig, Studio One and Cubase open.

The format is a zip of XML and sounds: the stems go in whole, so that the file stands on its own. It
has no time code and no frame rate.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from unstir import __version__
from unstir.sessions.otio import hex_color
from unstir.sessions.session import GRAY, Clip, Session
from unstir.sessions.whole import whole
from unstir.sessions.xmlfile import add, xml_bytes

READ = ("WAV", "FLAC", "AIFF", "MP3", "OGG")


def write_dawproject(session: Session, path: Path) -> None:
    """Write a DAWproject with the sounds in it.

    An original that is a video, or in a form of WAV beyond 4 GiB, is left out.

    Raises
    ------
    AudioError
        If the file cannot be written.
    """
    clips = [c for c in session.clips if c is not session.original or c.format in READ]
    inside = {clip: f"audio/{i} {clip.file.name}" for i, clip in enumerate(clips, 1)}
    # Names in a zip are text; what is none was cleaned out of the session's names, not of files'.
    inside = {c: name.encode("utf-8", "replace").decode() for c, name in inside.items()}
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, root in (("metadata.xml", _metadata(session)), ("project.xml", None)):
            content = xml_bytes(_project(session, inside) if root is None else root)
            archive.writestr(zipfile.ZipInfo(name), content)
        for clip, name in inside.items():
            archive.write(clip.file, name)


def _metadata(session: Session) -> Element:
    root = Element("MetaData")
    add(root, "Title", session.name)
    return root


def _project(session: Session, inside: Mapping[Clip, str]) -> Element:
    root = Element("Project", {"version": "1.0"})
    add(root, "Application", name="Unstir", version=__version__)
    transport = add(root, "Transport")
    add(transport, "Tempo", id="tempo", unit="bpm", value=120)
    add(transport, "TimeSignature", id="meter", numerator=4, denominator=4)
    structure = add(root, "Structure")
    color = hex_color(GRAY)
    folder = add(structure, "Track", id="folder", name="Stems", color=color, contentType="tracks")
    _add_channel(folder, "folder", session, destination="main", role="submix", muted=False)
    tracks = {}
    for i, clip in enumerate(inside, 1):
        tracks[clip] = f"track{i}"
        is_original = clip is session.original
        track = add(
            structure if is_original else folder,
            "Track",
            **{"id": tracks[clip], "name": clip.name, "color": hex_color(clip.color)},
            contentType="audio",
        )
        _add_channel(
            track,
            tracks[clip],
            session,
            destination="main" if is_original else "folder-channel",
            role="regular",
            muted=is_original,
        )
    main = add(structure, "Track", id="main-track", name="Main", contentType="audio")
    _add_channel(main, "main", session, destination=None, role="master", muted=False)
    main[0].set("id", "main")
    arrangement = add(root, "Arrangement", id="arrangement")
    lanes = add(arrangement, "Lanes", id="lanes", timeUnit="seconds")
    for clip, name in inside.items():
        _add_clip(lanes, session, clip, tracks[clip], name)
    if session.markers:
        markers = add(arrangement, "Markers", id="markers", timeUnit="seconds")
        for marker in session.markers:
            at = _seconds(marker.sample, session)
            add(markers, "Marker", name=marker.name, time=at)
    return root


def _add_channel(
    track: Element,
    name: str,
    session: Session,
    *,
    destination: str | None,
    role: str,
    muted: bool,
) -> None:
    channel = add(
        track, "Channel", id=f"{name}-channel", audioChannels=session.n_channels, role=role
    )
    if destination:
        channel.set("destination", destination)
    add(channel, "Mute", id=f"{name}-mute", value=str(muted).lower())
    add(channel, "Volume", id=f"{name}-volume", unit="linear", value=1)


def _add_clip(lanes: Element, session: Session, clip: Clip, track: str, file: str) -> None:
    own = add(lanes, "Lanes", id=f"{track}-lanes", track=track, timeUnit="seconds")
    clips = add(own, "Clips", id=f"{track}-clips")
    first, length = (_seconds(n, session) for n in (clip.first_sample, session.n_samples))
    item = add(
        clips,
        "Clip",
        **{"name": clip.name, "time": 0, "duration": length},
        contentTimeUnit="seconds",
        playStart=first,
    )
    audio = add(
        item,
        "Audio",
        **{"id": f"{track}-audio", "channels": session.n_channels},
        sampleRate=session.sample_rate,
        duration=_seconds(clip.first_sample + session.n_samples, session),
    )
    add(audio, "File", path=file)


def _seconds(sample: int, session: Session) -> str:
    return f"{sample / session.sample_rate:.9f}"
