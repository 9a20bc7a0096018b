"""Reaper projects (``.rpp``): stems in a folder, the original muted below.

Equalizers on stems are the one that ``unstir reaper install`` puts among Reaper's effects, whose
state is plain text. Not done here: frame rates that are no whole number go in rounded up (29.97 as
30), since how Reaper marks them is not known here for certain; other effects.
"""

import uuid
from pathlib import Path
from typing import Any

from unstir.errors import SettingsError
from unstir.journal import write_whole
from unstir.sessions.session import GRAY, Clip, Session, media_path

_SOURCES = {
    **dict.fromkeys(("WAV", "RF64", "BW64", "AIFF", "W64"), "WAVE"),
    "FLAC": "FLAC",
    "MP3": "MP3",
    "OGG": "VORBIS",
}
_CUSTOM_COLOR = 0x1000000
_EQUALIZER = "unstir/equalizer.jsfx"  # within Reaper's folder of effects
_SLIDERS = 64  # that Reaper keeps of every effect of its own language; those that are not there: -


def write_rpp(session: Session, path: Path) -> None:
    """Write a Reaper project.

    Raises
    ------
    SettingsError
        If a path holds what the format cannot.
    """
    import rpp

    write_whole(path, rpp.dumps(_project(session, path.parent)).encode("utf-8"))


def _project(session: Session, folder: Path) -> Any:
    from rpp import Element

    n_channels = session.n_channels + session.n_channels % 2  # Reaper's tracks are even
    numbers = [["MARKER", i, _seconds(m.sample, session), m.name, 0] for i, m in _numbered(session)]
    last = session.stems[-1]
    tracks = [_track(session, "Stems", GRAY, n_channels, bus=(1, 1))]
    for clip in session.stems:
        bus = (2, -1) if clip is last else (0, 0)
        tracks.append(_track(session, clip.name, clip.color, n_channels, bus=bus))
        if clip.equalizer:
            tracks[-1].append(_effects(session, clip))
        tracks[-1].append(_item(session, clip, folder))
    if session.original is not None:
        clip = session.original
        tracks.append(_track(session, clip.name, clip.color, n_channels, bus=(0, 0), muted=True))
        tracks[-1].append(_item(session, clip, folder))
    return Element(
        "REAPER_PROJECT",
        ["0.1", "7.0/unstir", "0"],
        [
            ["PROJOFFS", _number(session.start / session.sample_rate), 0, 0],
            ["TIMEMODE", 1, 5, -1, session.nominal_fps, 0, 0, -1],
            ["SAMPLERATE", session.sample_rate, 1, 0],
            ["TEMPO", 120, 4, 4],
            ["MASTER_NCH", n_channels, 2],
            *numbers,
            *tracks,
        ],
    )


def _numbered(session: Session) -> Any:
    return enumerate(session.markers, 1)


def _track(
    session: Session,
    name: str,
    color: tuple[int, int, int],
    n_channels: int,
    *,
    bus: tuple[int, int],
    muted: bool = False,
) -> Any:
    from rpp import Element

    red, green, blue = color
    guid = _guid(session, "track", name)
    native = red | green << 8 | blue << 16 | _CUSTOM_COLOR
    return Element(
        "TRACK",
        [guid],
        [
            ["NAME", name],
            ["PEAKCOL", native],
            ["VOLPAN", 1, 0, -1, -1, 1],
            ["MUTESOLO", int(muted), 0, 0],
            ["ISBUS", *bus],
            ["NCHAN", n_channels],
            ["FX", 1],
            ["TRACKID", guid],
            ["MAINSEND", 1, 0],
        ],
    )


def _effects(session: Session, clip: Clip) -> Any:
    from rpp import Element

    values = [_number(value) for value in clip.equalizer]
    return Element(
        "FXCHAIN",
        [],
        [
            ["SHOW", 0],
            ["LASTSEL", 0],
            ["DOCKED", 0],
            ["BYPASS", 0, 0, 0],
            Element("JS", [_EQUALIZER, ""], [[*values, *["-"] * (_SLIDERS - len(values))]]),
            ["FXID", _guid(session, "equalizer", clip.name)],
            ["WAK", 0, 0],
        ],
    )


def _item(session: Session, clip: Clip, folder: Path) -> Any:
    from rpp import Element

    file = media_path(clip.file, folder)
    if "`" in file:  # the third of the format's three quotation marks, and it has no escapes
        raise SettingsError(
            f"the path {file!r} came; a Reaper project cannot hold a backtick, so rename it"
        )
    return Element(
        "ITEM",
        [],
        [
            ["POSITION", 0],
            ["SNAPOFFS", 0],
            ["LENGTH", _seconds(session.n_samples, session)],
            ["LOOP", 0],
            ["ALLTAKES", 0],
            ["FADEIN", 0, 0, 0],
            ["FADEOUT", 0, 0, 0],
            ["MUTE", 0, 0],
            ["IGUID", _guid(session, "item", clip.name)],
            ["NAME", clip.name],
            ["VOLPAN", 1, 0, 1, -1],
            ["SOFFS", _seconds(clip.first_sample, session)],
            ["PLAYRATE", 1, 1, 0, -1, 0, "0.0025"],
            ["CHANMODE", 0],
            ["GUID", _guid(session, "take", clip.name)],
            Element("SOURCE", [_SOURCES.get(clip.format, "VIDEO")], [["FILE", file]]),
        ],
    )


def _seconds(sample: int, session: Session) -> str:
    return _number(sample / session.sample_rate)


def _number(value: float) -> str:
    """Return a number without an exponent, exact to a hundredth of a sample for days of sound."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _guid(session: Session, kind: str, name: str) -> str:
    """Return the same identity for the same thing, so that the same session has the same bytes."""
    key = f"unstir:{session.name}:{session.n_samples}:{kind}:{name}"
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, key)).upper() + "}"
