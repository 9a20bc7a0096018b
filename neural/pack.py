"""A folder of packed recordings that needs nothing but NumPy to be read.

``index.json`` lists the clips; shards hold their samples one after the other, at 44.1 kHz,
channel by channel, each clip scaled to a peak of one. A shard stays below a given size, so
that it can travel to a machine that trains.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError
from unstir.neural.split import Row, assign, family, halves

SAMPLE_RATE = 44100
MU = 255.0
COLUMNS = ("path", "kind", "label", "source_repo", "licence", "seconds", "samplerate")
_WANTED = f"{', '.join(COLUMNS)} and, where it is known, author_if_known"
Encoding = Literal["pcm16", "mulaw8"]


@dataclass(frozen=True, slots=True)
class Clip:
    """One packed recording.

    Parameters
    ----------
    path : str
        Where it came from, relative to the corpus; behind its name if it is not the first.
    kind : str
        ``"speech"``, ``"music"``, ``"singing"``, ``"effects"`` or ``"rir"``.
    label, family, split, license : str
        What it is, what must stay together, where it is used, and under what terms.
    channels, n_samples : int
        Its shape, at 44.1 kHz.
    shard, offset : int
        Where its samples begin.
    active_rms : float
        Root mean square of its loud parts (within 40 dB of the loudest tenth of a second)
        relative to its peak.
    bandwidth_hz : float
        Below it lies all but a hundred-thousandth of its energy.
    """

    path: str
    kind: str
    label: str
    family: str
    split: str
    license: str
    channels: int
    n_samples: int
    shard: int
    offset: int
    active_rms: float
    bandwidth_hz: float


def pack(
    corpora: Path | Sequence[Path],
    out: Path,
    *,
    shard_mb: float = 48,
    encoding: Encoding = "pcm16",
) -> Iterator[Clip]:
    """Pack folders with ``MANIFEST.csv`` into ``out``; yield every clip when it is in.

    Parameters
    ----------
    corpora : Path or sequence of Path
        Folders with ``MANIFEST.csv``, which has the columns of `COLUMNS` and may have
        author_if_known, from which families are named; others are not looked at. Recordings of
        the first folder keep their paths; to those of the others the name of their folder is
        put in front, so that a pack of one folder stays a part of the pack of several.
    out : Path
        A new or empty folder.
    shard_mb : float
        Largest size of a shard file in megabytes; a longer clip gets a shard of its own.
    encoding : {"pcm16", "mulaw8"}
        16 bits, or 8 bits companded (ITU-T G.711's law, continuous form): half the size,
        noise about 38 dB below the signal.

    Raises
    ------
    AudioError
        If there is no manifest, no recording in it can be read, two folders give the same
        paths, or ``out`` holds files.
    """
    folders = [corpora] if isinstance(corpora, Path) else list(corpora)
    rows: list[Row] = []
    taken: set[str] = set()
    for k, corpus in enumerate(folders):
        name = corpus.resolve().name
        found = [
            {**row, "path": f"{name}/{row['path']}" if k else row["path"],
             "file": str(corpus.resolve() / row["path"])}
            for row in _manifest(corpus)
        ]  # fmt: skip
        paths = {row["path"] for row in found}
        if taken & paths:
            raise AudioError(
                f"{corpus} gives {min(taken & paths)!r}, and so does a folder before it; give "
                "folders that differ in name"
            )
        taken |= paths
        rows += found
    splits = assign(rows)
    yield from pack_rows(rows, folders[0], out, splits, shard_mb=shard_mb, encoding=encoding)


def _manifest(corpus: Path) -> list[dict[str, str]]:
    """Return the rows of a manifest that can be split and packed."""
    path = corpus / "MANIFEST.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(
            f"{path} cannot be read ({getattr(error, 'strerror', 'no text')}); a folder of "
            f"recordings is wanted, with a table of these columns: {_WANTED}"
        ) from None
    missing = [name for name in COLUMNS if rows and name not in rows[0]]
    try:
        if not missing:
            assign(rows)
    except KeyError as error:  # the author of what was gathered
        missing = [str(name) for name in error.args]
    except (ValueError, TypeError):
        raise AudioError(f"{path} is damaged: seconds and sample rates must be numbers") from None
    if missing:
        raise AudioError(f"{path} has no column {missing[0]!r}; wanted are {_WANTED}")
    return rows


def pack_rows(
    rows: Sequence[Row],
    root: Path,
    out: Path,
    splits: Mapping[str, str],
    *,
    shard_mb: float = 48,
    encoding: Encoding = "pcm16",
) -> Iterator[Clip]:
    """Pack recordings whose split is given; parameters and errors as in `pack`.

    Parameters
    ----------
    rows : sequence of mapping
        As in a manifest: path (below ``root``), kind, label, source_repo, author_if_known
        and licence; ``file``, if there, says where a recording lies instead.
    splits : mapping of str to str
        The split of every family.
    """
    if shard_mb <= 0:
        raise SettingsError(f"shards of {shard_mb} MB came; a size above 0 is wanted")
    try:
        out.mkdir(parents=True, exist_ok=True)
        occupied = any(out.iterdir())
    except OSError as error:
        raise AudioError(f"{out} cannot be written ({error.strerror}); name another") from None
    if occupied:
        raise AudioError(f"{out} holds files already; name a new or empty folder")
    clips: list[Clip] = []
    skipped: list[str] = []
    parts: list[NDArray[Any]] = []
    limit = int(shard_mb * 2**20) // (2 if encoding == "pcm16" else 1)
    filled, shard = 0, 0
    for row in rows:
        try:
            waveform = _load(root / row.get("file", row["path"]), mono=row["kind"] == "speech")
        except AudioError as error:
            skipped.append(f"{row['path']}: {error}")
            continue
        peak = float(np.abs(waveform).max(initial=0))
        if not peak >= 1e-4:  # nor if it is no number
            skipped.append(f"{row['path']}: silent or not finite")
            continue
        waveform = waveform / np.float32(peak)
        if filled and filled + waveform.size > limit:
            np.save(out / f"shard-{shard:03}.npy", np.concatenate(parts))
            parts, filled, shard = [], 0, shard + 1
        name = family(row)
        clip = Clip(
            row["path"],
            row["kind"],
            row["label"],
            name,
            splits[name],
            row["licence"],
            waveform.shape[0],
            waveform.shape[1],
            shard,
            filled,
            _active_rms(waveform),
            _bandwidth_hz(waveform),
        )
        parts.append(encode(waveform, encoding).reshape(-1))
        filled += waveform.size
        clips.append(clip)
        yield clip
    if not clips:
        raise AudioError(
            f"{root} holds no recording that can be read ({len(skipped)} tried"
            f"{': ' + skipped[0] if skipped else ''})"
        )
    np.save(out / f"shard-{shard:03}.npy", np.concatenate(parts))
    index = {
        "format": 1,
        "encoding": encoding,
        "skipped": skipped,
        "clips": [asdict(clip) for clip in clips],
    }
    (out / "index.json").write_text(json.dumps(index, indent=0), encoding="utf-8")


@dataclass(frozen=True)
class Pack:
    """A packed corpus, read through memory maps.

    Parameters
    ----------
    folder : Path
        What `pack` wrote.
    half : 0, 1 or None
        Only one half of the families that train, as `unstir.neural.split.halves` has them.
        Rooms are in both.
    """

    folder: Path
    half: int | None = None

    @cached_property
    def _index(self) -> dict[str, Any]:
        path = self.folder / "index.json"
        try:
            index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AudioError(
                f"{path} cannot be read ({error}); make a pack by: unstir data pack CORPUS -o DIR"
            ) from None
        if index.get("format") != 1:
            raise AudioError(f"{path} has format {index.get('format')}; this version reads 1")
        return index

    @property
    def skipped(self) -> tuple[str, ...]:
        """A sentence for every recording that could not be packed."""
        return tuple(self._index["skipped"])

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """Every clip, in the manifest's order."""
        every = tuple(Clip(**clip) for clip in self._index["clips"])
        if self.half is None:
            return every
        seconds: dict[tuple[str, str], float] = defaultdict(float)
        for clip in every:
            if clip.split == "train" and clip.kind != "rir":
                seconds[clip.kind, clip.family] += clip.n_samples / SAMPLE_RATE
        of = halves(seconds)
        return tuple(
            clip
            for clip in every
            if clip.split != "train" or clip.kind == "rir" or of[clip.family] == self.half
        )

    @cached_property
    def _shards(self) -> dict[int, NDArray[Any]]:
        try:
            return {
                shard: np.load(self.folder / f"shard-{shard:03}.npy", mmap_mode="r")
                for shard in sorted({clip.shard for clip in self.clips})
            }
        except (OSError, ValueError) as error:
            raise AudioError(
                f"a shard of {self.folder} is missing or damaged ({error}); pack the corpus anew"
            ) from None

    def select(self, split: str, *kinds: str) -> list[Clip]:
        """Return the clips of a split and of some kinds."""
        return [clip for clip in self.clips if clip.split == split and clip.kind in kinds]

    def read(self, clip: Clip, start: int = 0, n_samples: int | None = None) -> NDArray[np.float32]:
        """Return samples of a clip, float32 in [-1, 1], shape (channels, n_samples).

        Beyond its end there is silence.
        """
        n = clip.n_samples - start if n_samples is None else n_samples
        whole = self._shards[clip.shard][clip.offset : clip.offset + clip.channels * clip.n_samples]
        part = whole.reshape(clip.channels, clip.n_samples)[:, start : start + n]
        found = decode(part, self._index["encoding"])
        return np.pad(found, ((0, 0), (0, n - found.shape[1])))


def encode(waveform: NDArray[np.float32], encoding: Encoding) -> NDArray[Any]:
    """Return samples in [-1, 1] as int16, or as int8 companded by the mu-law.

    Examples
    --------
    >>> encode(np.array([-1, 0, 0.01, 1], np.float32), "mulaw8")
    array([-127,    0,   29,  127], dtype=int8)
    """
    if encoding == "pcm16":
        return np.asarray(np.round(waveform * 32767), np.int16)
    law = np.sign(waveform) * np.log1p(MU * np.abs(waveform)) / np.log1p(MU)
    return np.asarray(np.round(law * 127), np.int8)


def decode(samples: NDArray[Any], encoding: Encoding) -> NDArray[np.float32]:
    """Return what `encode` was given, but for its rounding."""
    if encoding == "pcm16":
        return samples.astype(np.float32) / np.float32(32767)
    law = samples.astype(np.float32) / np.float32(127)
    return np.asarray(np.sign(law) * np.expm1(np.abs(law) * np.log1p(MU)) / MU, np.float32)


def _load(path: Path, *, mono: bool) -> NDArray[np.float32]:
    import soxr

    from unstir.audio import open_audio

    with open_audio(path) as reader:
        waveform = reader.read()[:2]
        rate = reader.info.sample_rate
    if mono:
        waveform = waveform.mean(axis=0, keepdims=True)
    if rate != SAMPLE_RATE:
        waveform = soxr.resample(waveform.T, rate, SAMPLE_RATE, quality="VHQ").T
    return np.ascontiguousarray(waveform, np.float32)


def _active_rms(waveform: NDArray[np.float32]) -> float:
    frame = SAMPLE_RATE // 10
    n = max(1, waveform.shape[1] // frame)
    power = np.array([np.mean(part**2) for part in np.array_split(waveform, n, axis=1)])
    return float(np.sqrt(power[power >= power.max() * 1e-4].mean()))


def _bandwidth_hz(waveform: NDArray[np.float32]) -> float:
    # In float64: sums of float32 would never come as near to the whole.
    mono = waveform[:, : 30 * SAMPLE_RATE].mean(axis=0, dtype=np.float64)
    spectrum = np.abs(np.fft.rfft(mono)) ** 2
    share = np.cumsum(spectrum) / max(1e-20, float(spectrum.sum()))
    edge = int(np.searchsorted(share, 1 - 1e-5))
    return edge / len(spectrum) * SAMPLE_RATE / 2


def of_labels(clips: Iterable[Clip]) -> dict[str, Sequence[Clip]]:
    """Return clips by family, in order."""
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.family, []).append(clip)
    return {name: tuple(part) for name, part in found.items()}
