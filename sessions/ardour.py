"""Ardour sessions: the least that Ardour 7 loads, found by leaving things out until it did not.

A session is a folder with the ``.ardour`` file in it. Sounds stay where they are and are named
relative to the folder in which Ardour looks for its own, so that session and stems move together.
The timeline is the time of day: stems that begin at one o'clock lie at one o'clock. (Ardour's own
offset between the two moves what ``ardour7-export`` writes.)
"""

from itertools import count
from pathlib import Path
from xml.etree.ElementTree import Element

from unstir.sessions.session import Clip, Color, Session, media_path
from unstir.sessions.xmlfile import add, write_xml

SUPERCLOCKS_PER_S = 282_240_000
READ = ("WAV", "RF64", "BW64", "FLAC", "AIFF", "CAF", "W64", "OGG")
_TIMECODES = {
    "24000/1001": "23976",
    "24": "24",
    "25": "25",
    "30000/1001": "2997",
    "30": "30",
    "60000/1001": "5994",
    "60": "60",
}


def write_ardour(session: Session, path: Path) -> None:
    """Write an Ardour session into the folder of ``path``, which is made if need be.

    An original that is a video, or another file that Ardour does not read, is left out.

    Raises
    ------
    SettingsError
        If a path holds what the format cannot.
    """
    # Ardour names the folder of its sounds after the session's folder, and asks questions that
    # nobody answers if there is another one beside it.
    sounds = path.parent / "interchange" / path.parent.name / "audiofiles"
    for folder in (sounds, path.parent / "export", path.parent / "peaks"):
        folder.mkdir(parents=True, exist_ok=True)
    write_xml(_session(session, path.stem, sounds), path)


def _session(session: Session, name: str, sounds: Path) -> Element:
    ids = count(1000)
    root = Element(
        "Session",
        {
            "version": "7002",
            "name": name,
            "sample-rate": str(session.sample_rate),
            "session-range-is-free": "0",
            "id-counter": "100000",
            "name-counter": "1",
            "event-counter": "1",
            "vca-counter": "1",
        },
    )
    add(root, "ProgramVersion", created_with="Unstir", modified_with="Unstir")
    config = add(root, "Config")
    for key, value in _options(session).items():
        add(config, "Option", name=key, value=value)
    sources = add(root, "Sources")
    add(root, "Regions")  # those on tracks are enough
    locations = add(root, "Locations")
    routes = add(root, "Routes")
    add(root, "RouteGroups")
    playlists = add(root, "Playlists")
    _add_locations(locations, session, ids)
    clips = [clip for clip in session.clips if clip.format in READ]
    names = _distinct([clip.name for clip in clips])
    _add_master(routes, session, names, ids)
    for order, (clip, track) in enumerate(zip(clips, names, strict=True), 1):
        playlist = next(ids)
        _add_track(
            routes,
            track,
            session.n_channels,
            clip.color,
            ids,
            order=order,
            playlist=playlist,
            muted=clip is session.original,
        )
        channels = _add_sources(sources, clip, session, sounds, ids)
        own = add(
            playlists, "Playlist", id=playlist, name=track, type="audio", frozen=0, combine_ops=0
        )
        own.append(_region(clip, session, channels, next(ids)))
    tempo = add(root, "TempoMap", superclocks_per_second=SUPERCLOCKS_PER_S)
    origin = {"sclock": "0", "quarters": "0:0", "bbt": "1|1|0"}
    constant: dict[str, object] = {"type": "Tempo::Constant", "active": 1, "omega": 0}
    add(
        add(tempo, "Tempos"),
        "Tempo",
        **{**constant, **origin},
        npm=120,
        enpm=120,
        note_type=4,
        locked_to_meter=0,
        continuing=0,
    )
    add(add(tempo, "Meters"), "Meter", note_value=4, divisions_per_bar=4, **origin)
    add(tempo, "MusicTimes")
    return root


def _options(session: Session) -> dict[str, str]:
    timecode = _TIMECODES.get(str(session.fps))
    found = {
        "native-file-data-format": "FormatFloat",
        "native-file-header-format": "WAVE",
        "use-region-fades": "0",
    }
    return found | ({"timecode-format": f"timecode_{timecode}"} if timecode else {})


def _distinct(names: list[str]) -> list[str]:
    """Return names of tracks: colons and slashes part ports from tracks, and Master is taken."""
    found: list[str] = []
    for name in names:
        base = own = name.replace(":", "-").replace("/", "-")
        number = 2
        while own in (*found, "Master"):
            own, number = f"{base} {number}", number + 1
        found.append(own)
    return found


def _clock(sample: int, session: Session) -> str:
    return f"a{round(sample * SUPERCLOCKS_PER_S / session.sample_rate)}"


def _add_locations(locations: Element, session: Session, ids: "count[int]") -> None:
    begin, end = (_clock(session.start + at, session) for at in (0, session.n_samples))
    common: dict[str, object] = {"locked": 0}
    add(
        locations,
        "Location",
        **{"id": next(ids), "name": "session", "start": begin, "end": end},
        flags="IsSessionRange",
        **common,
    )
    for marker in session.markers:
        at = _clock(session.start + marker.sample, session)
        add(
            locations,
            "Location",
            **{"id": next(ids), "name": marker.name, "start": at, "end": at},
            flags="IsMark",
            **common,
        )


def _add_master(routes: Element, session: Session, names: list[str], ids: "count[int]") -> None:
    route = _add_route(routes, "Master", ids, order=0, flags="MasterOut,OrderSet", color=None)
    inputs = add(route, "IO", name="Master", id=next(ids), direction="Input", default_type="audio")
    outputs = add(
        route, "IO", name="Master", id=next(ids), direction="Output", default_type="audio"
    )
    for c in range(1, session.n_channels + 1):
        port = add(inputs, "Port", type="audio", name=f"Master/audio_in {c}")
        for name in names:
            add(port, "Connection", other=f"{name}/audio_out {c}")
        port = add(outputs, "Port", type="audio", name=f"Master/audio_out {c}")
        if c <= 2:
            add(port, "Connection", other=f"system:playback_{c}")
    _add_end(route, "Master", ids)


def _add_track(
    routes: Element,
    name: str,
    n_channels: int,
    color: Color,
    ids: "count[int]",
    *,
    order: int,
    playlist: int,
    muted: bool,
) -> None:
    route = _add_route(
        routes, name, ids, order=order, flags="AudioTrack,OrderSet", color=color, muted=muted
    )
    route.set("audio-playlist", str(playlist))
    route.set("mode", "Normal")
    inputs = add(route, "IO", name=name, id=next(ids), direction="Input", default_type="audio")
    outputs = add(route, "IO", name=name, id=next(ids), direction="Output", default_type="audio")
    for c in range(1, n_channels + 1):
        add(inputs, "Port", type="audio", name=f"{name}/audio_in {c}")
        port = add(outputs, "Port", type="audio", name=f"{name}/audio_out {c}")
        add(port, "Connection", other=f"Master/audio_in {c}")
    for kind, title in (("diskwriter", f"recorder:{name}"), ("diskreader", f"player:{name}")):
        add(route, "Processor", id=next(ids), name=title, active=1, type=kind)
    _add_end(route, name, ids)


def _add_route(
    routes: Element,
    name: str,
    ids: "count[int]",
    *,
    order: int,
    flags: str,
    color: Color | None,
    muted: bool = False,
) -> Element:
    route = add(
        routes,
        "Route",
        **{"version": 7002, "id": next(ids), "name": name, "default_type": "audio"},
        strict_io=1,
        active=1,
    )
    red, green, blue = color or (0, 0, 0)
    rgba = red << 24 | green << 16 | blue << 8 | 255 if color else 0
    add(route, "PresentationInfo", order=order, flags=flags, color=rgba)
    add(route, "MuteMaster", mute_point="PostFader,Listen,Main", muted=int(muted))
    add(route, "Controllable", name="mute", id=next(ids), flags="Toggle,RealTime", value=int(muted))
    return route


def _add_end(route: Element, name: str, ids: "count[int]") -> None:
    amp = add(route, "Processor", id=next(ids), name="Amp", active=1, type="amp")
    add(amp, "Controllable", name="gaincontrol", id=next(ids), flags="GainLike", value=1)
    out = add(
        route,
        "Processor",
        **{"id": next(ids), "name": name, "active": 1, "type": "main-outs", "role": "Main"},
        own_input=1,
        own_output=0,
        output=name,
    )
    # Channels go where they are connected: panners would mix those of surround sound.
    add(out, "PannerShell", bypassed=1, user_panner="", linked_to_route=1)


def _add_sources(
    sources: Element, clip: Clip, session: Session, sounds: Path, ids: "count[int]"
) -> list[int]:
    found = []
    for channel in range(session.n_channels):
        found.append(next(ids))
        add(
            sources,
            "Source",
            **{"name": media_path(clip.file, sounds), "type": "audio", "id": found[-1]},
            channel=channel,
            origin=clip.name,
            take_id="",
            flags="",
        )
    return found


def _region(clip: Clip, session: Session, channels: list[int], own_id: int) -> Element:
    length = f"{_clock(session.n_samples, session)}@{_clock(session.start, session)}"
    region = Element("Region")
    values: dict[str, object] = {
        "name": clip.name,
        "id": own_id,
        "type": "audio",
        "muted": 0,
        "opaque": 1,
        "locked": 0,
        "whole-file": 0,
        "start": _clock(clip.first_sample, session),
        "length": length,
        "channels": len(channels),
        "scale-amplitude": 1,
        "default-fade-in": 0,
        "default-fade-out": 0,
        "fade-in-active": 0,
        "fade-out-active": 0,
        "layering-index": 0,
    }
    for i, source in enumerate(channels):
        values[f"source-{i}"] = values[f"master-source-{i}"] = source
    for key, value in values.items():
        region.set(key, str(value))
    return region
