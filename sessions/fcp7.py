"""Final Cut Pro 7 XML, which Premiere, Resolve and Vegas import.

Written here rather than through OpenTimelineIO, whose adapter leaves out how many channels a file
has and which of them a track plays. A track of this format is one channel: stems of two channels
take two linked tracks. Tracks have no names, the clips on them do. Positions are whole frames:
what is left of the last frame is in the files but not on the timeline. Paths are absolute, as the
format wants.
"""

from pathlib import Path
from urllib.parse import quote
from xml.etree.ElementTree import Element

from unstir.audio import probe
from unstir.sessions.session import Clip, Film, Session, media_path
from unstir.sessions.xmlfile import add, write_xml


def write_fcp7(session: Session, path: Path) -> None:
    """Write Final Cut Pro 7 XML, the original's clips switched off, the picture of a film above.

    Raises
    ------
    SettingsError
        If a path holds what no project file can.
    """
    n_frames = session.n_whole_frames
    root = Element("xmeml", {"version": "5"})
    sequence = add(root, "sequence", id="sequence-1")
    add(sequence, "name", session.name)
    add(sequence, "duration", n_frames)
    _add_rate(sequence, session)
    timecode = add(sequence, "timecode")
    _add_rate(timecode, session)
    add(timecode, "string", timecode_text(session.start_frame, session.nominal_fps))
    add(timecode, "frame", session.start_frame)
    add(timecode, "displayformat", "NDF")
    for marker in session.markers:
        mark = add(sequence, "marker")
        add(mark, "name", marker.name)
        add(mark, "in", session.frame(marker.sample))
        add(mark, "out", -1)
    media = add(sequence, "media")
    described: set[str] = set()  # later mentions of a file are by its id alone
    if session.film is not None and session.picture_frames[1]:
        _add_film(add(media, "video"), session, session.film, described)
    audio = add(media, "audio")
    add(audio, "numOutputChannels", session.n_channels)
    form = add(add(audio, "format"), "samplecharacteristics")
    add(form, "depth", 24)
    add(form, "samplerate", session.sample_rate)
    for i, clip in enumerate(session.clips):
        for channel in range(session.n_channels):
            track = add(audio, "track")
            _add_clip(track, session, i, clip, channel, n_frames, described)
            add(track, "enabled", _truth(clip is not session.original))
            add(track, "locked", "FALSE")
            add(track, "outputchannelindex", channel + 1)
    write_xml(root, path, "<!DOCTYPE xmeml>")


def _add_clip(
    track: Element,
    session: Session,
    i: int,
    clip: Clip,
    channel: int,
    n_frames: int,
    described: set[str],
) -> None:
    first = session.first_frame(clip)
    item = add(track, "clipitem", id=f"clip-{i + 1}-{channel + 1}")
    add(item, "name", clip.name)
    add(item, "enabled", _truth(clip is not session.original))
    add(item, "duration", first + n_frames)
    _add_rate(item, session)
    for tag, value in (("start", 0), ("end", n_frames), ("in", first), ("out", first + n_frames)):
        add(item, tag, value)
    name = "file-film" if session.is_film(clip) else f"file-{i + 1}"
    file = add(item, "file", id=name)
    if name not in described:
        described.add(name)
        _describe(file, session, clip, first + n_frames)
    source = add(item, "sourcetrack")
    add(source, "mediatype", "audio")
    add(source, "trackindex", channel + 1)
    for other in range(session.n_channels if session.n_channels > 1 else 0):
        link = add(item, "link")
        add(link, "linkclipref", f"clip-{i + 1}-{other + 1}")
        add(link, "mediatype", "audio")
        add(link, "trackindex", i * session.n_channels + other + 1)
        add(link, "clipindex", 1)


def _add_film(video: Element, session: Session, film: Film, described: set[str]) -> None:
    form = add(add(video, "format"), "samplecharacteristics")
    _add_rate(form, session)
    add(form, "width", film.pictures.width)
    add(form, "height", film.pictures.height)
    first, n_pictures = session.picture_frames
    duration = round(film.pictures.duration_s * session.fps)
    track = add(video, "track")
    item = add(track, "clipitem", id="clip-film")
    add(item, "name", film.name)
    add(item, "enabled", "TRUE")
    add(item, "duration", duration)
    _add_rate(item, session)
    for tag, value in (("start", 0), ("end", n_pictures), ("in", first)):
        add(item, tag, value)
    add(item, "out", first + n_pictures)
    file = add(item, "file", id="file-film")
    described.add("file-film")
    add(file, "name", media_path(film.file, film.file.parent))
    add(file, "pathurl", url(film.file))
    _add_rate(file, session)
    add(file, "duration", duration)
    media = add(file, "media")
    form = add(add(media, "video"), "samplecharacteristics")
    add(form, "width", film.pictures.width)
    add(form, "height", film.pictures.height)
    if session.original is not None and session.is_film(session.original):
        audio = add(media, "audio")
        add(add(audio, "samplecharacteristics"), "samplerate", session.sample_rate)
        add(audio, "channelcount", session.n_channels)


def _describe(file: Element, session: Session, clip: Clip, n_frames: int) -> None:
    name = media_path(clip.file, clip.file.parent)
    add(file, "name", name)
    add(file, "pathurl", url(clip.file))
    _add_rate(file, session)
    add(file, "duration", n_frames)
    timecode = add(file, "timecode")
    _add_rate(timecode, session)
    begin = (session.start - clip.first_sample) if session.is_stamped else 0
    frame = max(0, session.frame(begin))
    add(timecode, "string", timecode_text(frame, session.nominal_fps))
    add(timecode, "frame", frame)
    add(timecode, "displayformat", "NDF")
    audio = add(add(file, "media"), "audio")
    form = add(audio, "samplecharacteristics")
    add(form, "depth", probe(clip.file).pcm_bits or 32)
    add(form, "samplerate", session.sample_rate)
    add(audio, "channelcount", session.n_channels)


def url(file: Path, host: str = "localhost") -> str:
    """Return an absolute path as a URL.

    Raises
    ------
    SettingsError
        If it holds what no project file can.

    Examples
    --------
    >>> url(Path("/films/it's 1.mov"), host="")
    'file:///films/it%27s%201.mov'
    """
    media_path(file, file.parent.parent)  # refuses what cannot be written
    path = file.as_posix()
    return f"file://{host}" + quote(path if path.startswith("/") else f"/{path}")


def _add_rate(parent: Element, session: Session) -> None:
    rate = add(parent, "rate")
    add(rate, "timebase", session.nominal_fps)
    add(rate, "ntsc", _truth(session.fps.denominator == 1001))


def _truth(value: bool) -> str:
    return "TRUE" if value else "FALSE"


def timecode_text(frame: int, nominal_fps: int) -> str:
    """Return a frame of the day as non-drop time code.

    Examples
    --------
    >>> timecode_text(90012, 25)
    '01:00:00:12'
    """
    seconds, frames = divmod(frame, nominal_fps)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours % 24:02d}:{minutes:02d}:{seconds % 60:02d}:{frames:02d}"
