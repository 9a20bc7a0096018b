"""FCPXML 1.9, which Final Cut Pro imports.

All clips hang on the picture, or on a gap where there is none: stems below it with their roles, the
original switched off. Picture and places are whole frames, as the format wants; what is left of the
last frame is in the files but not on the timeline. Paths are absolute URLs.
"""

from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element

from unstir.sessions.fcp7 import url
from unstir.sessions.session import Clip, Session
from unstir.sessions.xmlfile import add, write_xml

ROLES = {
    "speech": "dialogue",
    "vocals": "dialogue",
    "music": "music",
    "accompaniment": "music",
    "effects": "effects",
}
_LAYOUTS = {1: "mono", 2: "stereo"}
_RATES = {32000: "32k", 44100: "44.1k", 48000: "48k", 88200: "88.2k", 96000: "96k", 192000: "192k"}


def write_fcpx(session: Session, path: Path) -> None:
    """Write FCPXML.

    Raises
    ------
    SettingsError
        If a path holds what no project file can.
    """
    root = Element("fcpxml", {"version": "1.9"})
    resources = add(root, "resources")
    _add_resources(resources, session)
    event = add(add(root, "library"), "event", name=session.name)
    n_frames = session.n_whole_frames
    start = session.start_frame / session.fps
    sequence = add(
        add(event, "project", name=session.name),
        "sequence",
        format="r0",
        duration=seconds(n_frames / session.fps),
        tcStart=seconds(start),
        tcFormat="NDF",
        audioLayout=_LAYOUTS.get(session.n_channels, "surround"),
    )
    if session.sample_rate in _RATES:
        sequence.set("audioRate", _RATES[session.sample_rate])
    spine = add(sequence, "spine")
    first, n_pictures = session.picture_frames
    n_pictures = min(n_pictures, n_frames)
    end = start + n_pictures / session.fps
    if session.film is not None and n_pictures:
        begin = first / session.fps
        host = add(spine, "asset-clip", ref="film", name=session.film.name, srcEnable="video")
        _place(host, offset=start, start=begin, duration=n_pictures / session.fps)
    else:
        begin, end = start, start + n_frames / session.fps
        host = add(spine, "gap", name="Gap")
        _place(host, offset=start, start=begin, duration=n_frames / session.fps)
    for i, clip in enumerate(session.clips, 1):
        ref = "film" if session.is_film(clip) else f"r{i}"
        child = add(host, "asset-clip", ref=ref, name=clip.name, lane=-i)
        _place(
            child,
            offset=begin,
            start=_begins(session, clip) + session.first_s(clip),
            duration=n_frames / session.fps,
        )
        child.set("enabled", str(int(clip is not session.original)))
        child.set("srcEnable", "audio")
        own = (
            "original" if clip is session.original else clip.name.replace(".", " ")
        )  # a dot parts subroles
        child.set("audioRole", ROLES.get(clip.name, own))
    for marker in session.markers:
        at = begin + session.frame(marker.sample) / session.fps
        mark = add(host, "marker", start=seconds(at), duration=seconds(1 / session.fps))
        mark.set("value", marker.name)
    rest = start + n_frames / session.fps - end
    if rest > 0:
        _place(add(spine, "gap", name="Gap"), offset=end, start=end, duration=rest)
    write_xml(root, path, "<!DOCTYPE fcpxml>")


def _add_resources(resources: Element, session: Session) -> None:
    shown = session.film.pictures if session.film else None
    form = add(resources, "format", id="r0", frameDuration=seconds(1 / session.fps))
    form.set("width", str(shown.width if shown else 1920))
    form.set("height", str(shown.height if shown else 1080))
    if session.film is not None and shown is not None:
        n_frames = round(shown.duration_s * session.fps)
        asset = add(resources, "asset", id="film", name=session.film.name, start="0s")
        asset.set("duration", seconds(n_frames / session.fps))
        for key, value in (("hasVideo", "1"), ("format", "r0"), ("videoSources", "1")):
            asset.set(key, value)
        if any(session.is_film(clip) for clip in session.clips):
            _describe_sound(asset, session)
        add(asset, "media-rep", kind="original-media", src=url(session.film.file, host=""))
    for i, clip in enumerate(session.clips, 1):
        if session.is_film(clip):
            continue
        asset = add(resources, "asset", id=f"r{i}", name=clip.name)
        asset.set("start", seconds(_begins(session, clip)))
        n_samples = clip.first_sample + session.n_samples
        asset.set("duration", seconds(Fraction(n_samples, session.sample_rate)))
        _describe_sound(asset, session)
        add(asset, "media-rep", kind="original-media", src=url(clip.file, host=""))


def _describe_sound(asset: Element, session: Session) -> None:
    for key, number in (
        ("hasAudio", 1),
        ("audioSources", 1),
        ("audioChannels", session.n_channels),
        ("audioRate", session.sample_rate),
    ):
        asset.set(key, str(number))


def _begins(session: Session, clip: Clip) -> Fraction:
    """Return the time of day of a file's first sample, which programs read from its stamp."""
    if not session.is_stamped or session.is_film(clip):
        return Fraction(0)
    return Fraction(max(0, session.start - clip.first_sample), session.sample_rate)


def _place(element: Element, *, offset: Fraction, start: Fraction, duration: Fraction) -> None:
    for key, value in (("offset", offset), ("start", start), ("duration", duration)):
        element.set(key, seconds(value))


def seconds(value: Fraction) -> str:
    """Return seconds as the format writes them.

    Examples
    --------
    >>> seconds(Fraction(1001, 30000)), seconds(Fraction(3600))
    ('1001/30000s', '3600s')
    """
    return f"{value}s"
