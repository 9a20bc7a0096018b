"""MLT XML, which Kdenlive and Shotcut open and ``melt`` renders.

A film lies on the topmost track, without its sound. Shotcut's and Kdenlive's own marks (track
names, colors, markers) are not written: the file is plain MLT. To render without loss, say
``mlt_audio_format=f32le``; MLT mixes 16-bit samples otherwise.
"""

from pathlib import Path
from xml.etree.ElementTree import Element

from unstir.sessions.session import Session, media_path
from unstir.sessions.xmlfile import add, write_xml


def write_mlt(session: Session, path: Path) -> None:
    """Write an MLT project, stems on tracks that add up, the original on a silent one.

    Positions are frames. An original whose stretch does not begin with a frame lies up to half a
    frame off.

    Raises
    ------
    SettingsError
        If a path holds what the format cannot.
    """
    last = session.n_frames - 1
    root = Element("mlt", {"version": "7.12.0", "producer": "session"})
    # Without a film the picture is black and only there because MLT's profiles have one.
    shown = session.film.pictures if session.film else None
    width, height = (shown.width, shown.height) if shown else (1920, 1080)
    profile = {
        "description": "Unstir",
        **{"frame_rate_num": session.fps.numerator, "frame_rate_den": session.fps.denominator},
        **{"width": width, "height": height, "progressive": 1, "colorspace": 709},
        **{"sample_aspect_num": 1, "sample_aspect_den": 1},
        **{"display_aspect_num": width, "display_aspect_den": height},
    }
    root.append(Element("profile", {key: str(value) for key, value in profile.items()}))
    for i, clip in enumerate(session.clips):
        part = (session.first_frame(clip), session.n_frames)
        _add_track(root, f"{i}", clip.name, clip.file, "video", part, path.parent)
    film, pictures = session.film, session.picture_frames
    if film is not None and pictures[1]:
        _add_track(root, "film", film.name, film.file, "audio", pictures, path.parent)
    tractor = Element("tractor", {"id": "session", "in": "0", "out": str(last)})
    _add_properties(tractor, {"unstir:timecode_start_frame": session.start_frame})
    for i, clip in enumerate(session.clips):
        hide = "both" if clip is session.original else "video"
        add(tractor, "track", producer=f"track{i}", hide=hide)
    if film is not None and pictures[1]:
        add(tractor, "track", producer="trackfilm", hide="audio")
    for i in range(1, len(session.stems)):
        mix = Element("transition", {"id": f"mix{i}"})
        _add_properties(
            mix,
            {"a_track": 0, "b_track": i, "mlt_service": "mix", "sum": 1, "always_active": 1},
        )
        tractor.append(mix)
    root.append(tractor)
    write_xml(root, path)


def _add_track(
    root: Element, key: str, name: str, file: Path, off: str, part: tuple[int, int], folder: Path
) -> None:
    """Add a file from a frame on, so many frames, without its ``"video"`` or its ``"audio"``."""
    first, last = part[0], sum(part) - 1
    chain = Element("producer", {"id": f"clip{key}", "in": "0", "out": str(last)})
    _add_properties(
        chain,
        {
            "resource": media_path(file, folder),
            # Pictures are only shown of files that were looked into first.
            "mlt_service": "avformat" if off == "audio" else "avformat-novalidate",
            "length": last + 1,
            "eof": "pause",
            f"{off}_index": -1,
        },
    )
    root.append(chain)
    playlist = add(root, "playlist", id=f"track{key}")
    _add_properties(playlist, {"shotcut:name": name, "kdenlive:track_name": name})
    entry = {"producer": f"clip{key}", "in": str(first), "out": str(last)}
    playlist.append(Element("entry", entry))


def _add_properties(parent: Element, values: dict[str, object]) -> None:
    for key, value in values.items():
        add(parent, "property", value, name=key)
