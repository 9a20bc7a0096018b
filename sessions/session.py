"""What a project file says, whatever the program: clips on a timeline, colors, markers, time code.

A session begins where its stems begin, at sample 0. All positions are whole samples; formats that
count in frames or seconds convert once, when they write.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from unstir.audio import AudioInfo, open_audio, probe
from unstir.errors import AudioError, SettingsError
from unstir.framerate import frame_rate
from unstir.journal import file_digest
from unstir.markers import SPEECH, speech_starts
from unstir.types import FILM, SONG, Stems

BLOCK = 2**16
DAY_S = 24 * 3600
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
    """

    name: str
    file: Path
    format: str
    color: Color
    first_sample: int = 0


@dataclass(frozen=True, slots=True)
class Marker:
    """A name at a sample of the session."""

    name: str
    sample: int


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

    def blocks(self) -> Iterator[Stems]:
        """Yield all stems, piece by piece.

        Yields
        ------
        dict of str to ndarray of float32, shape (channels, samples)
        """
        with ExitStack() as stack:
            readers = [stack.enter_context(open_audio(clip.file)) for clip in self.stems]
            names = [clip.name for clip in self.stems]
            for parts in zip(*(reader.blocks(BLOCK) for reader in readers), strict=True):
                yield dict(zip(names, parts, strict=True))


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
        Whose frame rate counts; by default that of the original, if it shows pictures.
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
    stems, sums, report = _listed(folder)
    infos = [probe(file) for file in (*stems.values(), *sums.values())]
    info = infos[0]
    shapes = {(i.sample_rate, i.n_channels, i.n_samples) for i in infos}
    if len(shapes) > 1 or info.n_samples is None:
        raise AudioError(
            f"the stems in {folder} differ in rate, channels or length, or do not say how long "
            "they are; stems of one sound, as 'unstir separate' makes them, are wanted"
        )
    source = _original(folder, original, report, info)
    if fps is None:
        fps = _frame_rate(source, video)
    if not 1 <= fps <= 240:
        raise SettingsError(f"fps={float(fps):g} came; 1 to 240 frames a second are allowed")
    session = Session(
        name=clean(folder.name),
        stems=_clips(stems, infos),
        sums=_clips(sums, infos[len(stems) :]),
        original=source,
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        n_samples=info.n_samples,
        layout=info.layout,
        fps=fps,
        start=info.time_reference or 0,
        is_stamped=info.time_reference is not None,
        markers=(),
    )
    if not markers or SPEECH not in stems:
        return session
    return _marked(session, report)


def _marked(session: Session, report: dict[str, Any]) -> Session:
    lufs = report.get("mixture", {}).get("loudness_lufs") if report else -27.0
    starts = speech_starts(session.blocks(), sample_rate=session.sample_rate, mix_lufs=lufs)
    found = tuple(Marker(f"Speech {i}", sample) for i, sample in enumerate(starts, 1))
    return replace(session, markers=found)


def _clips(files: dict[str, Path], infos: list[AudioInfo]) -> tuple[Clip, ...]:
    spare = iter(_SPARE * (1 + len(files) // len(_SPARE)))
    return tuple(
        Clip(clean(name), file, info.format, COLORS.get(name) or next(spare))
        for (name, file), info in zip(files.items(), infos, strict=False)
    )


def _listed(folder: Path) -> tuple[dict[str, Path], dict[str, Path], dict[str, Any]]:
    """Return files of stems and of sums by name, and the report."""
    path = folder / "report.json"
    sums: dict[str, Path] = {}
    report: dict[str, Any] = {}
    try:
        if path.is_file():
            report = json.loads(path.read_text(encoding="utf-8"))
            stems = {str(name): folder / row["file"] for name, row in report["stems"].items()}
            sums = {str(name): folder / row["file"] for name, row in report["sums"].items()}
        else:
            found = (p for p in folder.iterdir() if p.suffix.lower() in (".wav", ".flac"))
            usual = [*FILM, *SONG]
            stems = {
                p.stem: p
                for p in sorted(
                    found, key=lambda p: (usual.index(p.stem) if p.stem in usual else 9, p.name)
                )
            }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise AudioError(
            f"{folder} is no folder of stems that can be read; "
            "the result of 'unstir separate', or a folder of WAV or FLAC files, is wanted"
        ) from None
    missing = [str(p) for p in (*stems.values(), *sums.values()) if not p.is_file()]
    outside = [str(p) for p in (*stems.values(), *sums.values()) if p.parent != folder]
    if not stems or missing or outside:
        what = f"lacks {(missing + outside)[0]}" if missing or outside else "holds no stem"
        raise AudioError(f"the folder {folder} {what}; separate again")
    return stems, sums, report


def _original(
    folder: Path, given: str | Path | None, report: dict[str, Any], info: AudioInfo
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


def _frame_rate(source: Clip | None, video: str | Path | None) -> Fraction:
    if video is not None:
        rate = frame_rate(Path(video))
        if rate is None:
            raise SettingsError(f"{video} shows no moving pictures; name a video, or use --fps")
        return rate
    return (frame_rate(source.file) if source else None) or DEFAULT_FPS
