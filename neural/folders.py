"""Folders of sound: recordings to mix from, and scenes and songs as published sets lay them out.

=======================  ===========================================================
Divide and Remaster      ``NAME/mix.wav, speech.wav, music.wav, sfx.wav, annots.csv``
MUSDB18-HQ               ``NAME/mixture.wav, vocals.wav, drums.wav, bass.wav, other.wav``
=======================  ===========================================================

Stretches and blocks are read where they lie; no file is held whole.
"""

import csv
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.audio import open_audio, open_writer, probe
from unstir.errors import AudioError
from unstir.types import Stems, Waveform

SOUND_SUFFIXES = (
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".aif", ".aiff", ".aifc", ".caf", ".ogg"),
    *(".oga", ".opus", ".mp3", ".m4a", ".aac", ".wma", ".mka", ".mp4", ".mov", ".mkv", ".webm"),
)
DNR_FILES: Mapping[str, str] = {"speech": "speech.wav", "music": "music.wav", "effects": "sfx.wav"}
DNR_MIX = "mix.wav"
MUSDB_FILES: Mapping[str, str] = {k: f"{k}.wav" for k in ("vocals", "drums", "bass", "other")}
MUSDB_MIX = "mixture.wav"
ANNOTATION_COLUMNS = (
    *("", "file", "class", "mix start time", "mix end time"),
    *("clip start time", "clip end time", "clip gain", "annotation"),
)
_BLOCK = 2**16


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording to mix from.

    Parameters
    ----------
    path : Path
        Where it lies.
    name : str
        Its place below the folder that was given, with that folder's own name, so that it
        says the same wherever the folder is moved: ``"effects/dog/bark.wav"``.
    label : str
        What it is, for annotations: a transcript, a genre, tags. `find_sounds` takes the
        folders above the file: ``"dog"``.
    duration_s : float
        How long it is, in seconds; about, where only decoding would tell.
    """

    path: Path
    name: str
    label: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class FoundSounds:
    """What a folder holds.

    Parameters
    ----------
    sounds : tuple of Sound
        What can be read, in the order of their names.
    skipped : tuple of str
        A sentence for every file that cannot be, with its name and the reason.
    """

    sounds: tuple[Sound, ...]
    skipped: tuple[str, ...]


def find_sounds(folder: str | os.PathLike[str]) -> FoundSounds:
    """Return the recordings in a folder and all folders below it.

    Files count if they end as sound and video files do; those whose names begin with a
    dot do not. Links to folders are not followed. Only headers are read, so a file that is
    damaged further in shows itself when it is used.

    Raises
    ------
    AudioError
        If it is no folder, or holds no sound file, or none that can be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise AudioError(f"{str(root)!r} is not a folder; name one that holds recordings")
    sounds: list[Sound] = []
    skipped: list[str] = []

    def unlisted(error: OSError) -> None:
        skipped.append(f"{str(error.filename)!r} cannot be listed ({error.strerror})")

    paths = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(root, onerror=unlisted)
        for name in names
        if Path(name).suffix.lower() in SOUND_SUFFIXES and not name.startswith(".")
    )
    for path in paths:
        below = path.relative_to(root)
        try:
            sounds.append(
                Sound(
                    path,
                    name=f"{root.resolve().name}/{below.as_posix()}",
                    label=below.parent.as_posix() if below.parent.parts else path.stem,
                    duration_s=_duration_s(path),
                )
            )
        except AudioError as error:
            skipped.append(str(error))
    if not sounds:
        raise AudioError(
            f"{str(root)!r} holds no recording that can be read ({len(skipped)} sound files could "
            f"not be{': ' + skipped[0] if skipped else ''}); name a folder with sound files in it"
        )
    return FoundSounds(tuple(sounds), tuple(skipped))


def _duration_s(path: Path) -> float:
    info = probe(path)
    if info.n_samples is not None:
        return info.n_samples / info.sample_rate
    if info.duration_s:
        return info.duration_s
    with open_audio(path) as reader:
        n_samples: int = sum(block.shape[1] for block in reader.blocks(_BLOCK))
    return n_samples / info.sample_rate


def read_stretch(
    path: str | os.PathLike[str], start_s: float, duration_s: float
) -> tuple[Waveform, int]:
    """Return a stretch of a file and its sample rate.

    Parameters
    ----------
    path : str or path
        A sound file.
    start_s, duration_s : float
        Where the stretch begins and how long it is, in seconds.

    Returns
    -------
    waveform : ndarray of float32, shape (channels, samples)
        Shorter than asked for, down to no sample, where the file ends before.
    sample_rate : int
        In hertz.

    Raises
    ------
    AudioError
        If the file cannot be read there.
    """
    with open_audio(path) as reader:
        rate = reader.info.sample_rate
        start = int(start_s * rate)
        return reader.read(start, start + int(duration_s * rate)), rate


@dataclass(frozen=True, slots=True)
class Track:
    """A mix and its true stems, all of one rate, length and number of channels.

    Parameters
    ----------
    name : str
        The folder's name.
    mix : Path
        The file of the mix.
    stems : mapping of str to Path
        The files of its stems: speech, music, effects; or vocals, drums, bass, other.
    sample_rate, n_channels, n_samples : int
        Samples per second, in hertz; channels; samples per channel.
    """

    name: str
    mix: Path
    stems: Mapping[str, Path]
    sample_rate: int
    n_channels: int
    n_samples: int


def find_tracks(folder: str | os.PathLike[str]) -> tuple[tuple[Track, ...], tuple[str, ...]]:
    """Return the scenes and songs in a folder laid out as a published set.

    Parameters
    ----------
    folder : str or path
        One that holds folders in the layout of Divide and Remaster or MUSDB18-HQ, at any
        depth, so that the top of a set or one of its splits may be given.

    Returns
    -------
    tracks : tuple of Track
        Those that are whole, in the order of their paths.
    skipped : tuple of str
        A sentence for every one that is not: a stem is missing, cannot be read or does not
        fit its mix.

    Raises
    ------
    AudioError
        If no track is left.
    """
    root = Path(folder)
    tracks, skipped = [], []
    for parent, _, names in sorted(os.walk(root)):
        if Path(parent).name.startswith("."):
            continue  # a scene that was being written
        for mix, files in ((DNR_MIX, DNR_FILES), (MUSDB_MIX, MUSDB_FILES)):
            if mix in names:
                try:
                    tracks.append(_track(Path(parent), mix, files))
                except AudioError as error:
                    skipped.append(str(error))
    if not tracks:
        raise AudioError(
            f"{str(root)!r} holds no whole scene or song ({len(skipped)} are not whole"
            f"{': ' + skipped[0] if skipped else ''}); wanted are folders with {DNR_MIX} and "
            f"{', '.join(DNR_FILES.values())}, or {MUSDB_MIX} and {', '.join(MUSDB_FILES.values())}"
        )
    return tuple(tracks), tuple(skipped)


def _track(folder: Path, mix: str, files: Mapping[str, str]) -> Track:
    form: tuple[int, int, int] | None = None
    for name in (mix, *files.values()):
        info = probe(folder / name)
        if info.n_samples is None:
            raise AudioError(f"{str(folder / name)!r} is no wave file, whatever its name says")
        found = (info.sample_rate, info.n_channels, info.n_samples)
        if form is not None and found != form:
            raise AudioError(
                f"{str(folder / name)!r} has (rate, channels, samples) = {found}, its mix {form}; "
                "they must be equal"
            )
        form = found
    assert form is not None
    return Track(folder.name, folder / mix, {k: folder / v for k, v in files.items()}, *form)


def stem_blocks(
    track: Track, block_size: int, *, start: int = 0, stop: int | None = None
) -> Iterator[Stems]:
    """Yield a track's stems, block by block.

    Parameters
    ----------
    track : Track
        From `find_tracks`.
    block_size : int
        Samples per block; the last may be shorter.
    start, stop : int, optional
        The samples to read from and up to; the whole track if not given.

    Yields
    ------
    dict of str to ndarray of float32, each of shape (channels, samples)
        All stems over the same samples.

    Raises
    ------
    AudioError
        If a file cannot be read to the end.
    """
    with ExitStack() as files:
        readers = [
            files.enter_context(open_audio(path)).blocks(block_size, start, stop)
            for path in track.stems.values()
        ]
        for blocks in zip(*readers, strict=True):
            yield dict(zip(track.stems, blocks, strict=True))


def read_stems(track: Track, *, start: int = 0, stop: int | None = None) -> Stems:
    """Return a stretch of a track's stems; parameters and errors as in `stem_blocks`.

    Returns
    -------
    dict of str to ndarray of float32, each of shape (channels, samples)
        Empty in time where the stretch lies past the end.
    """
    blocks = list(stem_blocks(track, _BLOCK, start=start, stop=stop))
    none = np.zeros((track.n_channels, 0), np.float32)
    return {
        name: np.concatenate([none, *(block[name] for block in blocks)], axis=1)
        for name in track.stems
    }


@dataclass(frozen=True, slots=True)
class Annotation:
    """One row of ``annots.csv``: a stretch of a source and where it stands in the scene.

    Parameters
    ----------
    file : str
        The source, as `Sound.name`.
    kind : str
        ``"speech"``, ``"music"``, ``"sfx"`` or ``"background"``, as the published sets say.
    mix_start_s, mix_end_s, clip_start_s, clip_end_s : float
        Times in the scene and in the source, in seconds.
    gain : float
        What the source's samples were multiplied by in all, limiting aside.
    label : str
        Transcript, genre or tags.
    """

    file: str
    kind: str
    mix_start_s: float
    mix_end_s: float
    clip_start_s: float
    clip_end_s: float
    gain: float
    label: str


def write_scene(
    folder: str | os.PathLike[str],
    stems: Stems,
    *,
    sample_rate: int,
    layout: tuple[str, ...] | None = None,
    annotations: Sequence[Annotation] = (),
) -> None:
    """Write a scene in the layout of Divide and Remaster, as 32-bit float wave files.

    The mix is the stems' sum, taken in float64 and rounded once. The folder stands under
    its name only when it is whole; until then it is hidden beside it, and what an
    interrupted run left there is written anew.

    Parameters
    ----------
    folder : str or path
        What must not exist yet.
    stems : dict of str to ndarray of float32, each of shape (channels, samples)
        Speech, music and effects.
    sample_rate : int
        In hertz.
    layout : tuple of str, optional
        Loudspeaker of every channel (``"FL"``, ``"FC"`` ...). Above two channels the files name
        none without it, and whoever reads them takes neighbors for pairs.
    annotations : sequence of Annotation
        The rows of ``annots.csv``.

    Raises
    ------
    AudioError
        If the stems are not those three of one shape, the folder exists or it cannot be
        written.

    Examples
    --------
    >>> import tempfile
    >>> stems = dict.fromkeys(["speech", "music", "effects"], np.zeros((1, 8), np.float32))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_scene(f"{folder}/00000", stems, sample_rate=48000)
    ...     tracks, skipped = find_tracks(folder)
    >>> tracks[0].name, tracks[0].n_samples
    ('00000', 8)
    """
    folder = Path(folder)
    shapes = {stem.shape for stem in stems.values()}
    if set(stems) != set(DNR_FILES) or len(shapes) != 1:
        raise AudioError(
            f"stems {sorted(stems)} of shapes {sorted(shapes)} came; "
            f"{', '.join(DNR_FILES)} of one shape are wanted"
        )
    mix = np.sum([stems[name] for name in DNR_FILES], axis=0, dtype=np.float64)
    waveforms: dict[str, NDArray[Any]] = {DNR_MIX: np.asarray(mix, np.float32)}
    waveforms |= {file: stems[name] for name, file in DNR_FILES.items()}
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        if folder.exists():
            raise AudioError(f"{str(folder)!r} is there already; name a new folder")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, waveform in waveforms.items():
            shape = dict(zip(("n_channels", "n_samples"), waveform.shape, strict=True))
            with open_writer(
                partial / name,
                "wav",
                sample_rate=sample_rate,
                subtype="FLOAT",
                layout=layout,
                **shape,
            ) as writer:
                writer.write(waveform)
        _write_annotations(partial / "annots.csv", annotations)
        os.rename(partial, folder)
    except OSError as error:
        raise AudioError(
            f"{str(folder)!r} cannot be written ({error.strerror}); make room or name another"
        ) from None


def _write_annotations(path: Path, annotations: Sequence[Annotation]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(ANNOTATION_COLUMNS)
        for i, a in enumerate(annotations):
            times = (a.mix_start_s, a.mix_end_s, a.clip_start_s, a.clip_end_s)
            rows.writerow([i, a.file, a.kind, *(f"{t:.6f}" for t in times), repr(a.gain), a.label])
