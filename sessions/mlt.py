"""MLT XML, which Kdenlive and Shotcut open and ``melt`` renders.

Shotcut's and Kdenlive's own marks (track names, colors, markers) are not written: the file is plain
MLT. To render without loss, say ``mlt_audio_format=f32le``; MLT mixes 16-bit samples otherwise.
"""

from pathlib import Path
from xml.etree.ElementTree import Element

from unstir.sessions.session import Clip, Session, media_path
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
    # The picture is black and only there because MLT's profiles have one.
    profile = {
        "description": "Unstir",
        **{"frame_rate_num": session.fps.numerator, "frame_rate_den": session.fps.denominator},
        **{"width": 1920, "height": 1080, "progressive": 1, "colorspace": 709},
        **{"sample_aspect_num": 1, "sample_aspect_den": 1},
        **{"display_aspect_num": 16, "display_aspect_den": 9},
    }
    root.append(Element("profile", {key: str(value) for key, value in profile.items()}))
    for i, clip in enumerate(session.clips):
        _add_track(root, i, clip, session, path.parent)
    tractor = Element("tractor", {"id": "session", "in": "0", "out": str(last)})
    _add_properties(tractor, {"unstir:timecode_start_frame": session.start_frame})
    for i, clip in enumerate(session.clips):
        hide = "both" if clip is session.original else "video"
        add(tractor, "track", producer=f"track{i}", hide=hide)
    for i in range(1, len(session.stems)):
        mix = Element("transition", {"id": f"mix{i}"})
        _add_properties(
            mix,
            {"a_track": 0, "b_track": i, "mlt_service": "mix", "sum": 1, "always_active": 1},
        )
        tractor.append(mix)
    root.append(tractor)
    write_xml(root, path)


def _add_track(root: Element, i: int, clip: Clip, session: Session, folder: Path) -> None:
    first = session.frame(clip.first_sample)
    last = first + session.n_frames - 1
    chain = Element("producer", {"id": f"clip{i}", "in": "0", "out": str(last)})
    _add_properties(
        chain,
        {
            "resource": media_path(clip.file, folder),
            "mlt_service": "avformat-novalidate",
            "length": last + 1,
            "eof": "pause",
            "video_index": -1,
        },
    )
    root.append(chain)
    playlist = add(root, "playlist", id=f"track{i}")
    _add_properties(playlist, {"shotcut:name": clip.name, "kdenlive:track_name": clip.name})
    playlist.append(Element("entry", {"producer": f"clip{i}", "in": str(first), "out": str(last)}))


def _add_properties(parent: Element, values: dict[str, object]) -> None:
    for key, value in values.items():
        add(parent, "property", value, name=key)
