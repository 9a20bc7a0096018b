"""The simulator's project as a file: for Reaper, for Ardour, and for MLT.

RPP takes all of it but effects. The two that real programs play take what they can do to the
sample: rate 1, plain files, no pans; the gains of folders are multiplied into their tracks'.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import Element

import rpp

from tests.daw.model import ITEM_DEFAULTS, Item, Project, Source, Take, Track, value
from unstir.sessions import ardour
from unstir.sessions.session import GRAY, Clip
from unstir.sessions.xmlfile import add, write_xml

ITEM_LINES = {
    "POSITION": ("D_POSITION",),
    "SNAPOFFS": ("D_SNAPOFFSET",),
    "LENGTH": ("D_LENGTH",),
    "LOOP": ("B_LOOPSRC",),
    "MUTE": ("B_MUTE",),
    "FADEIN": ("C_FADEINSHAPE", "D_FADEINLEN"),
    "FADEOUT": ("C_FADEOUTSHAPE", "D_FADEOUTLEN"),
}
TAKE_LINES = {
    "SOFFS": ("D_STARTOFFS",),
    "PLAYRATE": ("D_PLAYRATE", "B_PPITCH", "D_PITCH"),
    "CHANMODE": ("I_CHANMODE",),
}
TRACK_LINES = {
    "VOLPAN": ("D_VOL", "D_PAN"),
    "MUTESOLO": ("B_MUTE",),
    "NCHAN": ("I_NCHAN",),
    "PEAKCOL": ("I_CUSTOMCOLOR",),
}


# Reaper


def to_rpp(project: Project) -> str:
    """Return a project as Reaper would save it, as far as our scripts change it."""
    tracks = [_rpp_track(track) for track in project.tracks]
    return str(rpp.dumps(rpp.Element("REAPER_PROJECT", ["0.1", "7.40/simulated", "0"], tracks)))


def _lines(thing: Item | Take | Track, table: dict[str, tuple[str, ...]]) -> list[list[Any]]:
    return [[tag, *(repr(value(thing, key)) for key in keys)] for tag, keys in table.items()]


def _rpp_track(track: Track) -> Any:
    depth = int(value(track, "I_FOLDERDEPTH"))
    bus = (1, 1) if depth > 0 else (2, depth) if depth < 0 else (0, 0)
    head = [["NAME", track.name], ["ISBUS", *bus], ["TRACKID", track.guid]]
    items = [_rpp_item(item) for item in track.items]
    return rpp.Element("TRACK", [track.guid], [*head, *_lines(track, TRACK_LINES), *items])


def _rpp_item(item: Item) -> Any:
    found = [*_lines(item, ITEM_LINES), ["IGUID", item.guid]]
    for i, take in enumerate(item.takes):
        if i:
            found.append(["TAKE", "SEL"] if i == item.active else ["TAKE"])
        gains = [value(item, "D_VOL"), value(take, "D_PAN"), value(take, "D_VOL")]
        found += [["NAME", take.name], ["VOLPAN", *(repr(one) for one in gains)]]
        found += [*_lines(take, TAKE_LINES), ["GUID", take.guid], _rpp_source(take.source)]
    return rpp.Element("ITEM", [], found)


def _rpp_source(source: Source) -> Any:
    if source.parent is None or source.section is None:
        return rpp.Element("SOURCE", [source.kind], [["FILE", source.path]] if source.path else [])
    offset, length, backward = source.section
    lines = [["LENGTH", repr(length)], ["MODE", 2 if backward else 0], ["STARTPOS", repr(offset)]]
    return rpp.Element("SOURCE", ["SECTION"], [*lines, _rpp_source(source.parent)])


def from_rpp(text: str, folder: str) -> Project:
    """Return the project that a file describes, read by `rpp`."""
    project = Project(folder)
    for track in rpp.loads(text).findall("TRACK"):
        made = Track(_one(track, "NAME")[0], guid=track.attrib[0], values=_read(track, TRACK_LINES))
        made.values["I_FOLDERDEPTH"] = float(_one(track, "ISBUS")[1])
        made.items = [_read_item(item) for item in track.findall("ITEM")]
        project.tracks.append(made)
    return project


def _one(element: Any, tag: str) -> list[str]:
    return list(element.find(tag)[1:])


def _read(element: Any, table: dict[str, tuple[str, ...]]) -> dict[str, float]:
    return {
        key: float(given)
        for tag, keys in table.items()
        for key, given in zip(keys, _one(element, tag), strict=False)
    }


def _read_item(element: Any) -> Item:
    item = Item(
        guid=_one(element, "IGUID")[0], values={**ITEM_DEFAULTS, **_read(element, ITEM_LINES)}
    )
    parts: list[list[Any]] = [[]]
    for child in element.children:
        # A line of one word is a text, others are lists.
        if child == "TAKE" or (isinstance(child, list) and child[0] == "TAKE"):
            item.active = len(parts) if child == ["TAKE", "SEL"] else item.active
            parts.append([])
        parts[-1].append(child)
    for part in parts:
        one = rpp.Element("TAKE", [], part)
        gain, pan, take_gain = map(float, _one(one, "VOLPAN"))
        values = {**_read(one, TAKE_LINES), "D_PAN": pan, "D_VOL": take_gain}
        item.values["D_VOL"] = gain
        source = _read_source(one.find("SOURCE"))
        item.takes.append(Take(source, _one(one, "NAME")[0], values=values))
    return item


def _read_source(element: Any) -> Source:
    if element.attrib[0] == "SECTION":
        offset, length = (float(_one(element, tag)[0]) for tag in ("STARTPOS", "LENGTH"))
        parent = _read_source(element.find("SOURCE"))
        return parent.cut(offset, length, backward=_one(element, "MODE")[0] == "2")
    file = element.find("FILE")
    return Source.of_file(file[1]) if file else Source(element.attrib[0])


# What real programs play


def _tracks(project: Project) -> Iterator[tuple[Track, float, bool]]:
    """Yield tracks with items, with their own and their folders' gains, and whether one is mute."""
    folders: list[Track] = []
    for track, level in zip(project.tracks, project.levels(), strict=True):
        folders = [*folders[:level], track]
        gain, muted = 1.0, False
        for one in folders:
            assert not value(one, "D_PAN")
            gain, muted = gain * value(one, "D_VOL"), muted or bool(value(one, "B_MUTE"))
        if track.items:
            yield track, gain, muted


def _samples(seconds: float, rate: int) -> int:
    found = round(seconds * rate)
    assert abs(found - seconds * rate) < 1e-3, f"{seconds} s are no whole samples"
    return found


def _is_plain(item: Item) -> bool:
    take = item.take
    return (
        take.source.kind in ("WAVE", "FLAC")
        and not value(item, "B_LOOPSRC")
        and value(take, "D_PLAYRATE") == 1
        and not any(value(take, key) for key in ("D_PITCH", "I_CHANMODE", "D_PAN"))
        and not (take.fx or take.envelopes or take.stretch_markers)
    )


def _playable(track: Track) -> list[Item]:
    """Return the items that are written, in order: what is not plain must be mute."""
    odd = [item for item in track.items if not _is_plain(item) and not value(item, "B_MUTE")]
    assert not odd, f"{odd} would have to be played"
    return sorted(filter(_is_plain, track.items), key=lambda item: value(item, "D_POSITION"))


def to_ardour(project: Project, path: Path, rate: int, n_channels: int, seconds: float) -> None:
    """Write an Ardour session: regions with places, offsets, gains, fades and mutes."""
    n_samples = _samples(seconds, rate)
    whole = _session(rate, n_channels, 0, n_samples)
    ardour.write_ardour(whole, path)  # which makes the folders
    sounds = path.parent / "interchange" / path.parent.name / "audiofiles"
    root = ardour._session(whole, path.stem, sounds)
    for option in root.iter("Option"):
        if option.get("name") == "use-region-fades":
            option.set("value", "1")
    found = list(_tracks(project))
    names = ardour._distinct([track.name for track, _, _ in found])
    ids = count(50000)
    routes, sources, playlists = (_child(root, tag) for tag in ("Routes", "Sources", "Playlists"))
    routes.clear()
    ardour._add_master(routes, whole, names, ids)
    for order, ((track, gain, muted), name) in enumerate(zip(found, names, strict=True), 1):
        own = next(ids)
        ardour._add_track(
            routes, name, n_channels, GRAY, ids, order=order, playlist=own, muted=muted
        )
        for control in routes[-1].iter("Controllable"):
            if control.get("name") == "gaincontrol":
                control.set("value", repr(gain))
        playlist = add(
            playlists, "Playlist", id=own, name=name, type="audio", frozen=0, combine_ops=0
        )
        for item in _playable(track):
            playlist.append(_region(item, rate, n_channels, sources, sounds, ids))
    write_xml(root, path)


def _child(root: Element, tag: str) -> Element:
    child = root.find(tag)
    assert child is not None
    return child


def _session(rate: int, n_channels: int, start: int, n_samples: int) -> Any:
    """Return as much of a session as the writer for Ardour looks at."""
    return SimpleNamespace(
        stems=(),
        clips=(),
        original=None,
        sample_rate=rate,
        n_channels=n_channels,
        n_samples=n_samples,
        fps=Fraction(25),
        start=start,
        markers=(),
    )


def _region(
    item: Item, rate: int, n_channels: int, sources: Element, sounds: Path, ids: "count[int]"
) -> Element:
    take = item.take
    first, start, n = (
        _samples(seconds, rate)
        for seconds in (
            value(take, "D_STARTOFFS"),
            value(item, "D_POSITION"),
            value(item, "D_LENGTH"),
        )
    )
    assert first >= 0, "a region cannot begin before its file"
    clip = Clip(take.name or "take", Path(take.source.path), "WAV", GRAY, first)
    session = _session(rate, take.source.n_channels, start, n)
    channels = ardour._add_sources(sources, clip, session, sounds, ids)
    # One channel sounds from both sides.
    channels = channels * n_channels if len(channels) == 1 else channels[:n_channels]
    region = ardour._region(clip, session, channels, next(ids))
    region.set("muted", str(int(value(item, "B_MUTE"))))
    region.set("scale-amplitude", repr(value(item, "D_VOL") * value(take, "D_VOL")))
    for key, tag, levels in (
        ("D_FADEINLEN", "FadeIn", (0, 1)),
        ("D_FADEOUTLEN", "FadeOut", (1, 0)),
    ):
        if value(item, key):
            end = ardour._clock(_samples(value(item, key), rate), session)
            region.set(f"fade-{tag[4:].lower()}-active", "1")
            curve = add(
                add(region, tag),
                "AutomationList",
                **{"automation-id": tag.lower(), "interpolation-style": "Linear"},
                **{"id": next(ids), "time-domain": "AudioTime"},
            )
            add(curve, "events", f"a0 {levels[0]}\n{end} {levels[1]}\n")
    return region


def to_mlt(project: Project, path: Path, fps: int, seconds: float) -> None:
    """Write an MLT project: entries with places and gains, to the frame, without what is mute."""
    last = round(seconds * fps) - 1
    root = Element("mlt", {"version": "7.12.0", "producer": "all"})
    profile = {"description": "simulated", "frame_rate_num": fps, "frame_rate_den": 1}
    profile |= {"width": 64, "height": 36, "progressive": 1, "colorspace": 709}
    profile |= {"sample_aspect_num": 1, "sample_aspect_den": 1}
    profile |= {"display_aspect_num": 16, "display_aspect_den": 9}
    root.append(Element("profile", {key: str(one) for key, one in profile.items()}))
    heard = [
        ([item for item in _playable(track) if not value(item, "B_MUTE")], gain)
        for track, gain, muted in _tracks(project)
        if not muted
    ]
    found = [(items, gain) for items, gain in heard if items]
    ids = count()
    for i, (items, gain) in enumerate(found):
        playlist = Element("playlist", {"id": f"track{i}"})
        at = 0
        for item in items:
            assert not value(item, "D_FADEINLEN") and not value(item, "D_FADEOUTLEN")
            # Seeking, MLT 7.12 lands half a packet off.
            assert not value(item.take, "D_STARTOFFS")
            take, own = item.take, next(ids)
            start, first, n = (
                _samples(one, fps)
                for one in (
                    value(item, "D_POSITION"),
                    value(take, "D_STARTOFFS"),
                    value(item, "D_LENGTH"),
                )
            )
            clip = {"resource": take.source.path, "mlt_service": "avformat-novalidate"}
            clip |= {"length": str(first + n), "eof": "pause", "video_index": "-1"}
            producer = Element(
                "producer", {"id": f"clip{own}", "in": "0", "out": str(first + n - 1)}
            )
            _add_properties(producer, clip)
            level = gain * value(item, "D_VOL") * value(take, "D_VOL")
            if take.source.n_channels == 1:
                level *= 2**0.5  # one channel sounds from both sides, and in MLT 3 dB softer
            _add_properties(add(producer, "filter"), {"mlt_service": "volume", "gain": repr(level)})
            root.append(producer)
            if start > at:
                add(playlist, "blank", length=start - at)
            bounds = {"in": str(first), "out": str(first + n - 1)}
            playlist.append(Element("entry", {"producer": f"clip{own}", **bounds}))
            at = start + n
        root.append(playlist)
    tractor = Element("tractor", {"id": "all", "in": "0", "out": str(last)})
    for i in range(len(found)):
        add(tractor, "track", producer=f"track{i}", hide="video")
    for i in range(1, len(found)):
        mix = add(tractor, "transition")
        service = {"mlt_service": "mix", "sum": "1", "always_active": "1"}
        _add_properties(mix, {"a_track": "0", "b_track": str(i), **service})
    root.append(tractor)
    write_xml(root, path)


def _add_properties(parent: Element, values: dict[str, str]) -> None:
    for key, one in values.items():
        add(parent, "property", one, name=key)
