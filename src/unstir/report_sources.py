"""What a comparison reads: files, folders of them, and the true stems beside them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unstir.audio import AudioInfo, open_audio
from unstir.errors import AudioError, SettingsError
from unstir.neural.folders import (
    DNR_FILES,
    DNR_MIX,
    MUSDB_FILES,
    MUSDB_MIX,
    SOUND_SUFFIXES,
    find_sounds,
    find_tracks,
)
from unstir.registry import stem_set
from unstir.scan import scan, slot_samples
from unstir.types import SONG, Waveform

_BLOCK = 2**16
References = Mapping[str, tuple[Path, ...]]  # per stem, the files that it is the sum of


@dataclass(frozen=True, slots=True)
class Source:
    """A file to compare on.

    Parameters
    ----------
    name : str
        What tells it from the others.
    path : Path
        Where it lies.
    references : mapping of str to tuple of Path, or None
        The files that each true stem is the sum of, if they are known.
    """

    name: str
    path: Path
    references: References | None


def find_sources(
    path: str | Path, /, *, stems: str = "film", reference: str | Path | None = None
) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """Return the files to compare on, and a sentence for every one that cannot be read.

    Parameters
    ----------
    path : str or Path
        A file; a folder in the layout of Divide and Remaster or MUSDB18-HQ, whose true
        stems are then known; or any other folder of sound.
    stems : str
        The stem set.
    reference : str or Path, optional
        The folder of a single file's true stems.

    Raises
    ------
    AudioError
        If there is no sound, or a reference is missing.
    SettingsError
        If references were given for a folder, or its scenes have other stems.
    """
    path, names = Path(path), stem_set(stems)
    if not path.is_dir():
        files = None if reference is None else reference_files(reference, names)
        return (Source(shown(path.name), path, files),), ()
    if reference is not None:
        raise SettingsError(
            f"--reference came with the folder {str(path)!r}; give it with a single file"
        )
    if not any(path.rglob(DNR_MIX)) and not any(path.rglob(MUSDB_MIX)):
        found = find_sounds(path)
        return tuple(Source(shown(s.name), s.path, None) for s in found.sounds), found.skipped
    tracks, skipped = find_tracks(path)
    sources = [(track, _grouped(track.stems, names)) for track in tracks]
    fitting = tuple(Source(shown(t.name), t.mix, files) for t, files in sources if files)
    if not fitting:
        raise SettingsError(
            f"{str(path)!r} holds scenes of {', '.join(tracks[0].stems)}; choose the --stems that "
            "go with them"
        )
    return fitting, skipped


def reference_files(folder: str | Path, names: Sequence[str]) -> References:
    """Return the files in a folder that the true stems are made of.

    Parameters
    ----------
    folder : str or Path
        Holds a sound file named by each stem; ``sfx`` will do for effects, and ``drums``,
        ``bass`` and ``other`` together for the accompaniment.
    names : sequence of str
        The stems.

    Raises
    ------
    AudioError
        If it is no folder, or a stem is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioError(f"{str(folder)!r} is not a folder; name the one that holds the true stems")
    found = {
        path.stem.lower(): path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SOUND_SUFFIXES
    }
    published = {Path(file).stem: name for name, file in DNR_FILES.items()}
    files = _grouped({published.get(stem, stem): path for stem, path in found.items()}, names)
    if files is None:
        raise AudioError(
            f"{str(folder)!r} holds {', '.join(sorted(found)) or 'no sound'}; a sound file named "
            f"by each of {', '.join(names)} is wanted"
        )
    return files


def _grouped(files: Mapping[str, Path], names: Sequence[str]) -> References | None:
    """Return the files of each stem, or None if one is missing."""
    others = tuple(files[name] for name in MUSDB_FILES if name in files and name not in names)
    parts: dict[str, tuple[Path, ...]] = {
        name: (files[name],) if name in files else () for name in names
    }
    if parts.get(SONG[1]) == () and len(others) == len(MUSDB_FILES) - 1:
        parts[SONG[1]] = others
    return parts if all(parts.values()) else None


def read_excerpt(
    path: Path, info: AudioInfo, seconds: float, start_s: float | None
) -> tuple[int, int, Waveform]:
    """Return an excerpt of a file and where it lies.

    Parameters
    ----------
    path : Path
        The file.
    info : AudioInfo
        What probing it told.
    seconds : float
        Length of the excerpt; the whole file if that is shorter.
    start_s : float or None
        Where it begins; None for the loudest, busiest one.

    Returns
    -------
    start, file_samples : int
        Where the excerpt begins and how long the file is, in samples.
    excerpt : ndarray of float32, shape (channels, samples)
        The sound.

    Raises
    ------
    SettingsError
        If it begins past the end.
    """
    rate = info.sample_rate
    with open_audio(path) as reader:
        found = scan(reader.blocks(_BLOCK), sample_rate=rate)
        length = min(found.n_samples, max(1, round(seconds * rate)))
        if start_s is None:
            start = found.busiest(length, slot_samples(rate))
        else:
            start = round(start_s * rate)
        if start >= found.n_samples:
            raise SettingsError(
                f"--start-s {start_s:g} lies past the end of {path}, which lasts "
                f"{found.n_samples / rate:.2f} s; choose one inside it"
            )
        return start, found.n_samples, reader.read(start, start + length)


def read_reference(
    files: Sequence[Path], info: AudioInfo, file_samples: int, start: int, shape: tuple[int, ...]
) -> Waveform:
    """Return the excerpt of a true stem, the sum of its files.

    Parameters
    ----------
    files : sequence of Path
        Of the rate, channels and length of the mix.
    info : AudioInfo
        Of the mix.
    file_samples, start : int
        Length of the mix, and where the excerpt begins.
    shape : tuple of int
        Channels and samples of the excerpt.

    Returns
    -------
    ndarray of float32, of that shape
        The sum, taken in float64.

    Raises
    ------
    AudioError
        If a file does not fit the mix.
    """
    total = np.zeros(shape, np.float64)
    for path in files:
        with open_audio(path) as reader:
            form = (reader.info.sample_rate, reader.info.n_channels)
            if form != (info.sample_rate, info.n_channels):
                raise AudioError(
                    f"{str(path)!r} has {form[1]} channels at {form[0]} Hz, the mix "
                    f"{info.n_channels} at {info.sample_rate}; they must be equal"
                )
            part = reader.read(start, start + shape[1])
        if part.shape[1] != shape[1] or reader.info.n_samples not in (None, file_samples):
            raise AudioError(f"{str(path)!r} is not as long as the mix; they must be equal")
        total += part
    return total.astype(np.float32)


def shown(name: str) -> str:
    """Return a file's name as text that can be written, whatever bytes it consists of."""
    return os.fsencode(name).decode("utf-8", "replace")


def read_whole(path: Path) -> Waveform:
    """Return all samples of a short file."""
    with open_audio(path) as reader:
        return reader.read()
