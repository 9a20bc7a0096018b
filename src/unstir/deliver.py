"""From scratch files to the result folder: stems that add up, their figures, the report."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unstir.audio import ixml_with_start, open_writer
from unstir.containers import AudioInfo
from unstir.errors import SettingsError
from unstir.loudness import Meter
from unstir.pcm import quantize_together, to_integers
from unstir.riff import Subtype, bext_with_start
from unstir.settings import FORMATS
from unstir.soundfiles import check_flac
from unstir.types import Stems, Waveform

BLOCK = 2**18


@dataclass(frozen=True, slots=True)
class Format:
    """How stems are written.

    Parameters
    ----------
    container : {"wav", "flac"}
        The kind of file.
    bits : int or None
        16 or 24 for PCM, None for 32-bit float.
    """

    container: Literal["wav", "flac"]
    bits: int | None

    @property
    def subtype(self) -> Subtype:
        """The sample format in libsndfile's words."""
        return "FLOAT" if self.bits is None else "PCM_16" if self.bits == 16 else "PCM_24"


def choose_format(info: AudioInfo, wanted: str) -> Format:
    """Return the format to write, the source's own where it has one that we write.

    PCM of 8 bits becomes 16, other PCM up to 24 bits stays; lossy sources, floats and
    32-bit integers become 32-bit float, which holds what was decoded exactly (32-bit
    integers but for their lowest bits). FLAC stays FLAC.

    Raises
    ------
    SettingsError
        If ``wanted`` is none of ``FORMATS``.
    """
    own = Format("flac" if info.format == "FLAC" else "wav", info.pcm_bits)
    choices = {
        "source": own,
        "pcm16": Format("wav", 16),
        "pcm24": Format("wav", 24),
        "float32": Format("wav", None),
        "flac": Format("flac", 16 if info.pcm_bits == 16 else 24),
    }
    if wanted not in choices:
        raise SettingsError(f"format={wanted!r} came; choose from {', '.join(FORMATS)}")
    return choices[wanted]


def check_fits(format: Format, peak: float, info: AudioInfo) -> None:
    """Refuse sound that the format cannot hold.

    Raises
    ------
    SettingsError
        If it is louder than PCM's full scale.
    AudioError
        If it has more channels, or another layout, than FLAC allows.
    """
    if format.bits and peak > 1:
        raise SettingsError(
            f"the sound peaks at {20 * math.log10(peak):+.1f} dBFS, which {format.bits}-bit PCM "
            "cannot hold; use --format float32"
        )
    if format.container == "flac":
        check_flac(info.n_channels, info.layout)


def write_stems(
    folder: Path,
    mix_blocks: Iterable[Waveform],
    stem_blocks: Iterable[Stems],
    *,
    names: Sequence[str],
    sums: Mapping[str, Sequence[str]],
    format: Format,
    info: AudioInfo,
    n_samples: int,
    start: int,
    picture: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Write every stem and sum into ``folder``; return their figures and the null depth.

    Parameters
    ----------
    folder : Path
        Exists; files in it are replaced.
    mix_blocks, stem_blocks : iterables
        The mix and its stems in blocks of the same lengths.
    names : sequence of str
        The stems.
    sums : mapping of str to sequence of str
        Further files, each the sum of some stems.
    format : Format
        How to write them.
    info : AudioInfo
        The source, whose layout and metadata are carried over.
    n_samples, start : int
        Length of the stretch, and where it begins in the source.
    picture : bool
        Whether to draw the mix and its stems.
    progress : callable
        Told the number of samples written so far.
    """
    outputs = [*names, *sums]
    suffix = format.container
    meters = {
        n: Meter(info.sample_rate, info.n_channels, info.layout) for n in ["mixture", *outputs]
    }
    peaks = dict.fromkeys(["mixture", *outputs], 0.0)
    columns = _columns(["mixture", *outputs], n_samples, info.sample_rate) if picture else {}
    metadata = {} if suffix == "flac" else _metadata(info, start)
    error, handed, done = 0.0, 0, 0
    with ExitStack() as stack:
        writers: dict[str, Any] = {
            name: stack.enter_context(
                open_writer(
                    folder / f"{name}.{suffix}",
                    format.container,
                    sample_rate=info.sample_rate,
                    n_channels=info.n_channels,
                    n_samples=n_samples,
                    subtype=format.subtype,
                    layout=info.layout,
                    **metadata,
                )
            )
            for name in outputs
        }
        for mix, stems in zip(mix_blocks, stem_blocks, strict=True):
            heard: Stems
            if format.bits:
                target = to_integers(mix, format.bits)
                whole, moved = quantize_together(target, stems, format.bits, sums)
                handed += moved
                total = np.sum([whole[n] for n in names], axis=0, dtype=np.int64)
                scale = 2.0 ** -(format.bits - 1)
                error = max(error, float(np.abs(total - target).max(initial=0)) * scale)
                for name in outputs:
                    writers[name].write(whole[name])
                heard = {n: (whole[n] * scale).astype(np.float32) for n in outputs}
            else:
                heard = dict(stems)
                for name, inside in sums.items():
                    parts = np.sum([stems[n] for n in inside], axis=0, dtype=np.float64)
                    heard[name] = np.asarray(parts, np.float32)
                total64 = np.sum([stems[n] for n in names], axis=0, dtype=np.float64)
                error = max(error, float(np.abs(total64 - mix).max(initial=0)))
                for name in outputs:
                    writers[name].write(heard[name])
            for name, block in {"mixture": mix, **heard}.items():
                meters[name].push(block)
                peaks[name] = max(peaks[name], float(np.abs(block).max(initial=0)))
                if picture:
                    columns[name].push(block)
            done += mix.shape[1]
            progress(done)
    if picture:
        _draw(folder / "stems.png", columns, meters, info)
    figures = {
        name: {
            "file": None if name == "mixture" else f"{name}.{suffix}",
            "loudness_lufs": _rounded(meters[name].integrated_lufs()),
            "peak_dbfs": _rounded(20 * math.log10(peaks[name]) if peaks[name] else None),
        }
        for name in meters
    }
    reference = max(1.0, peaks["mixture"])
    return {
        "mixture": figures.pop("mixture"),
        "stems": {name: figures[name] for name in names},
        "sums": {name: {**figures[name], "of": list(sums[name])} for name in sums},
        "null": {
            "exact": error == 0,
            "depth_db": _rounded(20 * math.log10(error / reference)) if error else None,
        },
        "handed_over_samples": handed,
    }


def _metadata(info: AudioInfo, start: int) -> dict[str, bytes | None]:
    """Return the chunks to carry over, the time of day moved to where the stretch begins."""
    bext = None if info.bext is None else bext_with_start(info.bext, start)
    ixml = None if info.ixml is None else ixml_with_start(info.ixml, start)
    return {"bext": bext, "ixml": ixml}


def _columns(names: Sequence[str], n_samples: int, sample_rate: int) -> dict[str, Any]:
    from unstir.picture import SpectrogramColumns

    return {name: SpectrogramColumns(n_samples, sample_rate) for name in names}


def _draw(path: Path, columns: dict[str, Any], meters: dict[str, Meter], info: AudioInfo) -> None:
    from unstir.picture import draw

    loudness = {name: meter.integrated_lufs() for name, meter in meters.items()}
    draw(path, columns, loudness_lufs=loudness, title=info.path.name)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write ``report.json``, last of all, so that a folder with one is whole."""
    from unstir.journal import write_whole

    text = json.dumps(report, indent=2, ensure_ascii=True, allow_nan=False)
    write_whole(folder / "report.json", text.encode() + b"\n")
