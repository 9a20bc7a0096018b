"""What a project file says, whatever the program: clips on a timeline, colors, markers, time code.

A session begins where its stems begin, at sample 0. All positions are whole samples; formats that
count in frames or seconds convert once, when they write.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from unstir.audio import AudioInfo, probe
from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.framerate import Pictures, pictures
from unstir.journal import file_digest
from unstir.markers import SPEECH, speech_starts
from unstir.stem_folder import BLOCK as BLOCK
from unstir.stem_folder import blocks_of, find_stems
from unstir.types import Stems

DEFAULT_FPS = Fraction(25)
Color = tuple[int, int, int]  # red, green, blue, 0 to 255
GRAY: Color = (128, 128, 136)
COLORS: dict[str, Color] = {
    "speech": (63, 125, 245),
    "vocals": (63, 125, 245),
    "music": (31, 174, 98),
    "accompaniment": (31, 174, 98),
    "effects": (245, 130, 32),
}
_SPARE: tuple[Color, ...] = ((168, 96, 224), (224, 176, 0), (47, 196, 232), (240, 80, 122))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]+")


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound file on a track of its own, as long as the session.

    Parameters
    ----------
    name : str
        Of the track, without control characters.
    file : Path
        Absolute.
    format : str
        As in `AudioInfo`.
    color : tuple of int
        Red, green and blue, 0 to 255.
    first_sample : int
        The sample of the file with which the session begins.
    equalizer : tuple of float
        Values of the sliders of the equalizer among the Reaper scripts; none: no equalizer.
    """

    name: str
    file: Path
    format: str
    color: Color
    first_sample: int = 0
    equalizer: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Marker:
    """A name at a sample of the session."""

    name: str
    sample: int


@dataclass(frozen=True, slots=True)
class Film:
    """A video whose picture lies over the stems.

    Parameters
    ----------
    name : str
        Of the clip, without control characters.
    file : Path
        Absolute.
    pictures : Pictures
        What it shows.
    first_s : float
        The second of the file with which the session begins.
    """

    name: str
    file: Path
    pictures: Pictures
    first_s: float


@dataclass(frozen=True, slots=True)
class Session:
    """Stems on a timeline, and the sound that they were made from.

    Parameters
    ----------
    name : str
        Without control characters.
    stems : tuple of Clip
        They add up to the original.
    sums : tuple of Clip
        Sums of some of them, which stand on no timeline.
    original : Clip or None
        The sound they were made from; None if it is not at hand.
    film : Film or None
        The picture that belongs to them, with its sound off.
    sample_rate, n_channels, n_samples : int
        Of every stem; the rate in hertz.
    layout : tuple of str or None
        Speakers in channel order.
    fps : Fraction
        Frames a second.
    start : int
        Time of day of the first sample, in samples since midnight.
    is_stamped : bool
        Whether the stems say that time; else it is taken for 0.
    markers : tuple of Marker
        In order.
    """

    name: str
    stems: tuple[Clip, ...]
    sums: tuple[Clip, ...]
    original: Clip | None
    film: Film | None
    sample_rate: int
    n_channels: int
    n_samples: int
    layout: tuple[str, ...] | None
    fps: Fraction
    start: int
    is_stamped: bool
    markers: tuple[Marker, ...]

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The stems, then the original if it is there."""
        return self.stems if self.original is None else (*self.stems, self.original)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate

    @property
    def n_frames(self) -> int:
        """Frames that the sound takes, the last perhaps in part."""
        return -int(-self.n_samples * self.fps // self.sample_rate)

    @property
    def n_whole_frames(self) -> int:
        """Frames that the sound fills, but at least one."""
        return max(1, int(self.n_samples * self.fps // self.sample_rate))

    @property
    def picture_frames(self) -> tuple[int, int]:
        """Frame of the film with which the timeline begins, and how many of it lie there."""
        if self.film is None:
            return 0, 0
        first = round(self.film.first_s * float(self.fps))
        # Containers round the length of their last frame.
        n_film = round(self.film.pictures.duration_s * self.fps)
        return first, max(0, min(self.n_frames, n_film - first))

    @property
    def nominal_fps(self) -> int:
        """Frames that a second of time code counts: 30 for 29.97."""
        return -int(-self.fps // 1)

    @property
    def start_frame(self) -> int:
        """Frame of the day that is nearest to the start."""
        return round(self.start * self.fps / self.sample_rate)

    def frame(self, sample: int) -> int:
        """Return the frame that is nearest to a sample."""
        return round(sample * self.fps / self.sample_rate)

    def is_film(self, clip: Clip) -> bool:
        """Return whether a clip's sound lies in the film's file."""
        return self.film is not None and clip.file == self.film.file

    def first_s(self, clip: Clip) -> Fraction:
        """Return the second of a clip's file with which the session begins."""
        if self.film is not None and self.is_film(clip):
            return Fraction(self.film.first_s).limit_denominator(10**6)
        return Fraction(clip.first_sample, self.sample_rate)

    def first_frame(self, clip: Clip) -> int:
        """Return the frame of a clip's file that is nearest to the session's beginning."""
        return round(self.first_s(clip) * self.fps)

    def blocks(self) -> Iterator[Stems]:
        """Yield all stems, piece by piece.

        Yields
        ------
        dict of str to ndarray of float32, shape (channels, samples)
        """
        yield from blocks_of({clip.name: clip.file for clip in self.stems})


def clean(text: str) -> str:
    r"""Return a name that no format chokes on: control characters and lone surrogates replaced.

    Examples
    --------
    >>> clean('two\nlines "quoted"')
    'two lines "quoted"'
    """
    printable = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(_CONTROL.sub(" ", printable).split()) or "untitled"


def media_path(file: Path, folder: Path) -> str:
    """Return how a project file in ``folder`` names ``file``: relative, with forward slashes.

    Where there is no relative way (another drive) it is absolute.

    Raises
    ------
    SettingsError
        If the path holds what no project file can: a control character, or bytes that are no
        UTF-8.

    Examples
    --------
    >>> media_path(Path("/stems/film/speech.wav"), Path("/stems/film/session"))
    '../speech.wav'
    """
    try:
        text = Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        text = file.as_posix()
    if clean(text) != " ".join(text.split()) or _CONTROL.search(text):
        raise SettingsError(
            f"the path {text!a} came, with characters that project files cannot hold; "
            "rename the folder or the file"
        )
    return text


def read_session(
    folder: str | Path,
    *,
    original: str | Path | None = None,
    video: str | Path | None = None,
    fps: Fraction | None = None,
    markers: bool = True,
) -> Session:
    """Return the session of a folder of stems.

    Parameters
    ----------
    folder : str or Path
        What ``unstir separate`` made; or WAV and FLAC files, each a stem.
    original : str or Path, optional
        The sound that the stems were made from. Left out, a file of the name and content that
        ``report.json`` states is looked for in the two folders above and in the current one.
    video : str or Path, optional
        Whose picture lies over the stems and whose frame rate counts, begun together with the
        original; by default the original, if it shows pictures.
    fps : Fraction, optional
        Frames a second; by default the video's, or 25.
    markers : bool
        Whether to look where speech starts, which reads all stems once.

    Raises
    ------
    AudioError
        If a stem is missing or cannot be read, or they differ in rate, channels or length.
    SettingsError
        If ``original`` is another sound, ``video`` shows no pictures, or ``fps`` is out of range.
    """
    folder = Path(os.path.abspath(folder))
    found = find_stems(folder)
    info = found.info
    source = _original(folder, original, found.report, info)
    film = _film(source, video, found.report, info.sample_rate)
    if fps is None:
        fps = film.pictures.rate if film else DEFAULT_FPS
    if not 1 <= fps <= 240:
        raise SettingsError(f"fps={float(fps):g} came; 1 to 240 frames a second are allowed")
    session = Session(
        name=clean(folder.name),
        stems=_clips(found.files),
        sums=_clips(found.sums),
        original=source,
        film=film,
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        n_samples=found.n_samples,
        layout=info.layout,
        fps=fps,
        start=info.time_reference or 0,
        is_stamped=info.time_reference is not None,
        markers=(),
    )
    if not markers or SPEECH not in found.files:
        return session
    return _marked(session, found.report)


def equalized(session: Session, equalizers: Mapping[str, tuple[float, ...]]) -> Session:
    """Return a session with equalizers on some of its stems, by name; see `Clip.equalizer`.

    Raises
    ------
    UnknownNameError
        If there is no stem of such a name.
    """
    names = [clip.name for clip in session.stems]
    unknown = [name for name in equalizers if name not in names]
    if unknown:
        raise UnknownNameError(f"there is no stem {unknown[0]!r}; there are: {', '.join(names)}")
    stems = tuple(replace(c, equalizer=equalizers.get(c.name, ())) for c in session.stems)
    return replace(session, stems=stems)


def _marked(session: Session, report: Mapping[str, Any]) -> Session:
    lufs = report.get("mixture", {}).get("loudness_lufs") if report else -27.0
    starts = speech_starts(session.blocks(), sample_rate=session.sample_rate, mix_lufs=lufs)
    found = tuple(Marker(f"Speech {i}", sample) for i, sample in enumerate(starts, 1))
    return replace(session, markers=found)


def _clips(files: Mapping[str, Path]) -> tuple[Clip, ...]:
    spare = iter(_SPARE * (1 + len(files) // len(_SPARE)))
    return tuple(
        Clip(clean(name), file, probe(file).format, COLORS.get(name) or next(spare))
        for name, file in files.items()
    )


def _original(
    folder: Path, given: str | Path | None, report: Mapping[str, Any], info: AudioInfo
) -> Clip | None:
    described = report.get("input", {})
    digest = described.get("sha256")
    first = int(report.get("stretch", {}).get("first_sample", 0))
    if given is not None:
        file = Path(os.path.abspath(given))
        if not file.is_file():
            raise AudioError(f"there is no file {file}; name the sound the stems were made from")
        if digest and file_digest(file) != digest:
            raise SettingsError(
                f"{file} is not the sound that the stems in {folder} were made from; name that "
                "one, or none"
            )
    else:
        name = described.get("file")
        places = (folder.parent, folder.parent.parent, Path.cwd()) if name and digest else ()
        found = (place / name for place in places if (place / name).is_file())
        match = next((path for path in found if file_digest(path) == digest), None)
        if match is None:
            return None
        file = Path(os.path.abspath(match))
    source = probe(file, stream=int(described.get("stream", 0)), allow_truncated=True)
    if (source.sample_rate, source.n_channels) != (info.sample_rate, info.n_channels):
        raise SettingsError(
            f"{file} has {source.n_channels} channels at {source.sample_rate} Hz and the stems "
            f"have {info.n_channels} at {info.sample_rate}; name the sound they were made from"
        )
    return Clip(clean(f"{file.name} (original)"), file, source.format, GRAY, first)


def _film(
    source: Clip | None, video: str | Path | None, report: Mapping[str, Any], sample_rate: int
) -> Film | None:
    if video is None and source is None:
        return None
    file = Path(os.path.abspath(video)) if video is not None else source.file if source else Path()
    shown = pictures(file)
    if shown is None:
        if video is None:
            return None
        raise SettingsError(f"{video} shows no moving pictures; name a video, or use --fps")
    first_s = int(report.get("stretch", {}).get("first_sample", 0)) / sample_rate
    if source is not None and os.path.samefile(source.file, file):
        # Sound may begin after the picture, or the other way round.
        stream = int(report.get("input", {}).get("stream", 0))
        first_s += probe(file, stream=stream, allow_truncated=True).start_s - shown.begins_s
    return Film(clean(file.name), file, shown, max(0.0, first_s))
