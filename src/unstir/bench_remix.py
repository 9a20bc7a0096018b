"""Speed and memory of a rack over three stems, beside ffmpeg's own filters on the same files.

Every figure is taken in a process of its own, ``python -m unstir.bench_remix TASK FOLDER``, from
files of 24 bits to a file of 24 bits. Seconds of the processor are what counts: on a busy machine
the clock on the wall tells of the others.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from unstir.audio import open_writer
from unstir.bench import keep
from unstir.errors import UnstirError
from unstir.pcm import to_integers
from unstir.scene import load_scene

if TYPE_CHECKING:
    from unstir.plugins.rack import StemRack

GAINS_DB = {"speech": 3.0, "music": -6.0, "effects": -3.0}
BANDS = ((250.0, -3.0), (3000.0, 2.0))  # of every stem, after a high-pass at 80 Hz
CEILING_DB = -1.0
TITLES = {
    "full": "EQ, ducking, reverb, limiter",
    "eq-limiter": "EQ, gain and limiter",
    "eq-gain": "EQ and gain",
}
FFMPEG = "ffmpeg"


def bench_remix(seconds: float = 120.0, out: Path | None = None) -> None:
    """Print real-time factors and peak memory of racks, and of ffmpeg where it can do the same.

    Parameters
    ----------
    seconds : float
        Length of the stems: the demo scene over and over.
    out : Path, optional
        Where to keep the figures as JSON.

    Raises
    ------
    UnstirError
        If a measured process fails.
    """
    console = Console(highlight=False)
    has_peer = shutil.which(FFMPEG) is not None
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="unstir-bench-") as folder:
        _write_stems(Path(folder), seconds)
        for task in TITLES:
            figures[task] = _measured(task, folder)
            if has_peer and task != "full":
                figures[f"{task}-ffmpeg"] = _measured(f"{task}-ffmpeg", folder)
    shown = Table(title=f"three stems of {seconds:g} s, 44.1 kHz stereo", title_justify="left")
    for title in ("rack", "by", "x real time on one core", "x by the wall", "peak MB"):
        shown.add_column(title, justify="left" if title in ("rack", "by") else "right")
    for name, row in figures.items():
        task = name.removesuffix("-ffmpeg")
        shown.add_row(
            TITLES[task],
            "unstir" if name == task else FFMPEG,
            f"{seconds / row['cpu_seconds']:.0f}",
            f"{seconds / row['seconds']:.0f}",
            f"{row['peak_mb']:.0f}",
        )
    console.print(shown)
    if not has_peer:
        console.print(f"{FFMPEG} is not installed, so nothing stands beside these figures")
    keep(out, "remix", {"duration_s": seconds, "ffmpeg": has_peer, **figures})


def _write_stems(folder: Path, seconds: float) -> None:
    scene = load_scene()
    n_samples = round(seconds * scene.sample_rate)
    for name, wave in scene.stems.items():
        block = to_integers(wave, 24)
        with open_writer(
            folder / f"{name}.wav",
            "wav",
            sample_rate=scene.sample_rate,
            n_channels=len(wave),
            n_samples=n_samples,
            subtype="PCM_24",
        ) as writer:
            left = n_samples
            while left:
                writer.write(block[:, :left])
                left -= min(left, block.shape[1])


def _measured(task: str, folder: str) -> dict[str, float]:
    one_core = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-m", "unstir.bench_remix", task, folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **one_core},
    )
    if done.returncode:
        raise UnstirError(f"the task {task} failed: {done.stderr.strip().splitlines()[-1]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def rack_of(task: str) -> "StemRack":
    """Return the rack of a task, one of `TITLES`.

    Examples
    --------
    >>> len(rack_of("eq-gain").strips["speech"].chain.effects)
    3
    """
    from unstir.plugins.chains import Chain, Effect
    from unstir.plugins.rack import StemRack
    from unstir.plugins.strips import Strip

    bands = [
        Effect("peak", {"cutoff_hz": hz, "gain_db": gain_db, "q": 1.0}) for hz, gain_db in BANDS
    ]
    more = {
        "music": [Effect("ducking", {"by": "speech", "range_db": -9.0})],
        "effects": [Effect("reverb", {"wet_db": -15.0})],
    }
    strips = {}
    for name, gain_db in GAINS_DB.items():
        effects = [Effect("high-pass", {"cutoff_hz": 80.0}), *bands]
        effects += more.get(name, []) if task == "full" else []
        strips[name] = Strip(Chain(name, tuple(effects)), gain_db=gain_db)
    limiter = (Effect("limiter", {"ceiling_db": CEILING_DB}),)
    return StemRack(strips, Chain("master", () if task == "eq-gain" else limiter))


def filters_of(task: str) -> str:
    """Return what ``ffmpeg -filter_complex`` is given for the same.

    Examples
    --------
    >>> filters_of("eq-gain").split(";")[-1]
    '[s0][s1][s2]amix=inputs=3:normalize=0:duration=longest[out]'
    """
    bands = "".join(f",equalizer=f={hz:g}:t=q:w=1:g={gain_db:g}" for hz, gain_db in BANDS)
    parts = [
        f"[{i}:a]highpass=f=80:p=2{bands},volume={gain_db:g}dB:precision=double[s{i}]"
        for i, gain_db in enumerate(GAINS_DB.values())
    ]
    inputs = "".join(f"[s{i}]" for i in range(len(parts)))
    limit = 10 ** (CEILING_DB / 20)
    limiter = f",alimiter=limit={limit:.6f}:attack=5:level=0" if task == "eq-limiter" else ""
    total = f"{inputs}amix=inputs={len(parts)}:normalize=0:duration=longest{limiter}[out]"
    return ";".join([*parts, total])


def _run_rack(task: str, folder: Path) -> None:
    from unstir.stem_folder import find_stems

    found, rack = find_stems(folder), rack_of(task)
    info = found.info
    stream = rack.open(info.sample_rate, info.n_channels, tuple(found.files))
    (folder / "out").mkdir(exist_ok=True)
    with open_writer(
        folder / "out" / f"{task}.wav",
        "wav",
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        n_samples=found.n_samples + stream.tail,
        subtype="PCM_24",
    ) as writer:
        for stems in found.blocks():
            writer.write(to_integers(stream.process(stems), 24))
        writer.write(to_integers(stream.finish(), 24))


def _run_ffmpeg(task: str, folder: Path) -> None:
    (folder / "out").mkdir(exist_ok=True)
    words = [FFMPEG, "-v", "error", "-nostdin", "-y", "-filter_complex_threads", "1"]
    for name in GAINS_DB:
        words += ["-i", str(folder / f"{name}.wav")]
    words += ["-filter_complex", filters_of(task), "-map", "[out]", "-c:a", "pcm_s24le"]
    subprocess.run([*words, str(folder / "out" / f"{task}-ffmpeg.wav")], check=True)


def _time(work: Callable[[], None], who: int) -> dict[str, float]:
    """Return the median of three runs after one to warm up (compilers, caches of the disk)."""
    work()
    walls, cpus = [], []
    for _ in range(3):
        wall, before = time.perf_counter(), resource.getrusage(who)
        work()
        walls.append(time.perf_counter() - wall)
        after = resource.getrusage(who)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    peak = resource.getrusage(who).ru_maxrss / 1024
    return {
        "seconds": float(np.median(walls)),
        "cpu_seconds": float(np.median(cpus)),
        "peak_mb": peak,
    }


def main() -> None:
    """Measure one task and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", help=f"{', '.join(TITLES)}, or one with -ffmpeg")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    task = options.task.removesuffix("-ffmpeg")
    run: Callable[[str, Path], Any] = _run_rack if task == options.task else _run_ffmpeg
    who = resource.RUSAGE_SELF if task == options.task else resource.RUSAGE_CHILDREN
    print(json.dumps(_time(lambda: run(task, options.folder), who)))


if __name__ == "__main__":
    main()
