"""Speed, memory and quality on this machine: tables for people, JSON to keep.

Every figure is taken in a process of its own, ours and the peer's in the same run, so
that peak memory is that of the task and a warm cache helps nobody twice.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unstir import __version__
from unstir.audio import open_writer
from unstir.compare import candidates, compare, markdown, summary, table
from unstir.errors import UnstirError
from unstir.journal import write_whole
from unstir.mixes import SAMPLE_RATE, film_mixes, song_mixes
from unstir.pcm import to_integers
from unstir.registry import methods
from unstir.scene import load_scene
from unstir.settings import QUERY_METHOD

PAIRS = (
    ("STFT", "stft", "stft-librosa"),
    ("HPSS masks", "hpss", "hpss-librosa"),
    ("KL-NMF, 30 components, 100 updates", "nmf", "nmf-sklearn"),
    ("pYIN, 16 kHz, hop 160", "pyin", "pyin-librosa"),
)
MEASURED = """
import resource, sys
from unstir.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
sys.exit(code)
"""


def classical(out: Path | None = None) -> None:
    """Print speed and peak memory, ours beside librosa and scikit-learn, and every method's.

    Parameters
    ----------
    out : Path, optional
        Where to keep the figures as JSON.
    """
    console = Console(highlight=False)
    ready = [name for name, method in methods().items() if not method.needs]
    tasks = [task for pair in PAIRS for task in pair[1:]] + ["priors"]
    tasks += [f"method:{name}" for name in ready]
    figures = {
        task: _measure(task)
        for task in track(
            tasks, description="measuring", console=Console(stderr=True), transient=True
        )
    }
    pairs = Table(title="one minute of 44.1 kHz stereo, ours and the peer", title_justify="left")
    for title in ("task", "ours s", "peer s", "ratio", "ratio CPU", "ours MB", "peer MB"):
        pairs.add_column(title, justify="left" if title == "task" else "right")
    for title, ours, peer in PAIRS:
        a, b = figures[ours], figures[peer]
        pairs.add_row(
            title,
            f"{a['seconds']:.2f}",
            f"{b['seconds']:.2f}",
            f"{b['seconds'] / a['seconds']:.1f}",
            f"{b['cpu_seconds'] / a['cpu_seconds']:.1f}",
            f"{a['peak_mb']:.0f}",
            f"{b['peak_mb']:.0f}",
        )
    console.print(pairs)
    speeds = Table(title="the same minute, method by method", title_justify="left")
    for title in ("method", "seconds", "x real time", "peak MB"):
        speeds.add_column(title, justify="left" if title == "method" else "right")
    for task in ["priors", *(f"method:{name}" for name in ready)]:
        a = figures[task]
        label = "default priors together" if task == "priors" else task.partition(":")[2]
        speeds.add_row(
            label,
            f"{a['seconds']:.2f}",
            f"{a['duration_s'] / a['seconds']:.1f}",
            f"{a['peak_mb']:.0f}",
        )
    row_s = sum(figures[f"method:{name}"]["seconds"] for name in ready)
    speeds.add_row("all methods in a row", f"{row_s:.2f}", f"{60 / row_s:.1f}", "", style="bold")
    console.print(speeds)
    keep(out, "classical", figures)


def _measure(task: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "unstir.bench_tasks", task],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UnstirError(f"the task {task} failed: {done.stderr.strip().splitlines()[-1]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def memory(
    minutes: Sequence[float], wanted: Sequence[str] | None = None, out: Path | None = None
) -> None:
    """Print the peak memory of whole runs on files of several lengths, and its slope.

    Of `query` it is that of ``unstir extract``, which listens first.

    Parameters
    ----------
    minutes : sequence of float
        Lengths of 48 kHz, 24-bit stereo files.
    wanted : sequence of str, optional
        Methods; by default all.
    out : Path, optional
        Where to keep the figures as JSON.
    """
    names = [name for name in candidates("film", wanted) if not methods()[name].needs]
    lengths = sorted(set(minutes))
    shown = Table(title="peak memory of a whole run, MB", title_justify="left")
    shown.add_column("method")
    for length in lengths:
        shown.add_column(f"{length:g} min", justify="right")
    shown.add_column("MB a minute", justify="right")
    shown.add_column("x real time", justify="right")
    rows = {}
    with tempfile.TemporaryDirectory(prefix="unstir-bench-") as folder:
        files = {length: _long_file(Path(folder), length) for length in lengths}
        for name in track(
            names, description="measuring", console=Console(stderr=True), transient=True
        ):
            runs = [_peak(files[length], name, Path(folder)) for length in lengths]
            peaks = [run["peak_mb"] for run in runs]
            slope = float(np.polyfit(lengths, peaks, 1)[0]) if len(lengths) > 1 else 0.0
            rows[name] = {
                "minutes": lengths,
                "peak_mb": peaks,
                "slope_mb_per_minute": slope,
                "real_time_factor": runs[-1]["real_time_factor"],
            }
            speed = f"{runs[-1]['real_time_factor']:.1f}"
            shown.add_row(name, *(f"{peak:.0f}" for peak in peaks), f"{slope:+.3f}", speed)
            # Method by method: all of them take the better part of an hour.
            keep(out, "memory", rows)
    Console(highlight=False).print(shown)


def _long_file(folder: Path, minutes: float) -> Path:
    """Write the demo scene over and over, at 48 kHz and 24 bits."""
    scene = load_scene()
    once = soxr.resample(scene.mix.T, scene.sample_rate, 48000, quality="HQ").T
    block = to_integers(np.asarray(once, np.float32), 24)
    n_samples = round(minutes * 60 * 48000)
    path = folder / f"{minutes:g}.wav"
    with open_writer(
        path, "wav", sample_rate=48000, n_channels=2, n_samples=n_samples, subtype="PCM_24"
    ) as writer:
        left = n_samples
        while left:
            writer.write(block[:, :left])
            left -= min(left, block.shape[1])
    return path


def _peak(path: Path, method: str, folder: Path) -> dict[str, float]:
    what = ["extract", str(path), "speech"] if method == QUERY_METHOD else ["separate", str(path)]
    words = [*what, "--method", method, "-o", str(folder / "out"), "--json", "--overwrite"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UnstirError(f"{method} failed on {path.stem} minutes: {done.stderr.strip()}")
    result = json.loads(done.stdout.splitlines()[-1])
    return {
        "peak_mb": float(done.stderr.split()[-1]),
        "real_time_factor": result["real_time_factor"],
    }


def separation(corpus: Path, wanted: Sequence[str] | None = None, out: Path | None = None) -> None:
    """Print SI-SDR gains on mixes of real recordings, with intervals over sources.

    Parameters
    ----------
    corpus : Path
        See `unstir.mixes`.
    wanted : sequence of str, optional
        Methods; by default all.
    out : Path, optional
        Where to keep the figures as JSON; a table for the documents goes beside it, as .md.
    """
    console = Console(highlight=False)
    kept: dict[str, Any] = {}
    texts = []
    for set_name, mixes in (("film", film_mixes(corpus)), ("song", song_mixes(corpus))):
        names = candidates(set_name, wanted)
        pairs = [(name, mix) for name in names for mix in mixes]
        rows = [
            compare(name, set_name, mix.stems, SAMPLE_RATE, mix_name=mix.name, source=mix.source)
            for name, mix in track(
                pairs, description=set_name, console=Console(stderr=True), transient=True
            )
        ]
        if not rows:
            continue
        entries = summary(rows)
        console.print(table(entries, f"{set_name}: {len(mixes)} real mixes, SI-SDR in dB (gain)"))
        kept[set_name] = {"mixes": [mix.name for mix in mixes], "methods": entries}
        texts.append(f"{set_name}, {len(mixes)} mixes\n\n{markdown(entries)}")
    keep(out, "separation", kept)
    if out is not None:
        write_whole(out.with_suffix(".md"), "\n".join(texts).encode())


def keep(out: Path | None, what: str, figures: Any) -> None:
    """Write figures as JSON with where they were made; nothing if ``out`` is None."""
    if out is None:
        return
    content = {
        "what": what,
        "unstir": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "figures": figures,
    }
    write_whole(out, json.dumps(content, indent=2).encode() + b"\n")
