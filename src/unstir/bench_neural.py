"""Speed and memory of nets: ours as files are separated with them, and HTDemucs beside them.

``python -m unstir.bench_neural NAME PRECISION`` measures one, in the process that it is. The hybrid
is measured whole: its base, every prior and the refiner. For HTDemucs, the package's class alone is
measured, on whole segments of its own length end to end and with random weights: less than what it
takes to use it, which overlaps segments.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unstir.bench import keep
from unstir.bench_tasks import measure
from unstir.errors import SettingsError, UnknownNameError, UnstirError
from unstir.registry import methods, weights_of
from unstir.separate import separate_with
from unstir.settings import HYBRID
from unstir.types import FILM, Mixture, Waveform

SAMPLE_RATE = 44100
OURS = "compact-film"
PEER = "htdemucs"
NETS = {OURS: "compact", HYBRID: "refiner", "mrx": "mrx", PEER: "demucs"}
PRECISIONS = ("bf16", "fp32")
COLUMNS = ("net", "weights", "device", "sound s", "took s", "x real time", "peak MB")


def neural(seconds: float, wanted: Sequence[str] | None = None, out: Path | None = None) -> None:
    """Print seconds, speed and peak memory of every net in both precisions.

    Parameters
    ----------
    seconds : float
        How much stereo noise at 44.1 kHz is separated; HTDemucs gets as many whole segments
        of its own length as that takes.
    wanted : sequence of str, optional
        Names of `NETS`; by default all.
    out : Path, optional
        Where to keep the figures as JSON: of each net and precision, None if its package is not
        installed, and how many times faster ours is than HTDemucs.

    Raises
    ------
    SettingsError
        If there is nothing to separate.
    UnknownNameError
        If there is no net of a name.
    """
    if seconds <= 0:
        raise SettingsError(f"--seconds {seconds:g} came; a time above 0 is wanted")
    unknown = sorted(set(wanted or ()) - set(NETS))
    if unknown:
        raise UnknownNameError(f"no net {unknown[0]!r} is measured; choose from {', '.join(NETS)}")
    pairs = [(net, precision) for net in wanted or NETS for precision in PRECISIONS]
    shown = track(pairs, "measuring", console=Console(stderr=True), transient=True)
    figures: dict[str, Any] = {
        f"{net} {precision}": _measured(net, precision, seconds) for net, precision in shown
    }
    for precision in PRECISIONS:
        ours, peer = (figures.get(f"{net} {precision}") for net in (OURS, PEER))
        if ours and peer:
            figures[f"ratio {precision}"] = _speed(ours) / _speed(peer)
    console = Console(highlight=False)
    console.print(table(figures))
    console.print("x real time: seconds of sound, as this row was given it, in a second")
    if None in figures.values():
        console.print(f"{PEER} is not installed: pip install 'unstir\\[demucs]'")
    if "ratio fp32" in figures:
        console.print(f"ratio: how many times faster {OURS} is than {PEER}")
    keep(out, "neural", figures)


def table(figures: Mapping[str, Any]) -> Table:
    """Return the figures that `neural` keeps as the table that it prints."""
    shown = Table(title="44.1 kHz stereo", title_justify="left")
    for title in COLUMNS:
        on_left = title in ("net", "weights")
        shown.add_column(title, justify="left" if on_left else "right", no_wrap=title == "net")
    for name, found in figures.items():
        if found is None:
            shown.add_row(name, "absent")
        elif isinstance(found, float):
            shown.add_row(name, "", "", "", "", f"{found:.1f}", "", style="bold")
        else:
            shown.add_row(
                name,
                found["weights"],
                found["device"],
                f"{found['duration_s']:.1f}",
                f"{found['seconds']:.2f}",
                f"{_speed(found):.1f}",
                f"{found['peak_mb']:.0f}",
            )
    return shown


def _speed(figures: dict[str, Any]) -> float:
    return float(figures["duration_s"] / figures["seconds"])


def _measured(net: str, precision: str, seconds: float) -> dict[str, Any] | None:
    if net == PEER and find_spec("demucs") is None:
        return None
    done = subprocess.run(
        [sys.executable, "-m", "unstir.bench_neural", net, precision, "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UnstirError(f"measuring {net} in {precision} failed: {lines[-1]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def noise(seconds: float) -> Waveform:
    """Return stereo noise at about the level of the nets' training.

    Examples
    --------
    >>> noise(0.5).shape
    (2, 22050)
    """
    n = max(1, round(seconds * SAMPLE_RATE))
    return (0.05 * np.random.default_rng(0).standard_normal((2, n))).astype(np.float32)


def _task(net: str, precision: str, seconds: float) -> tuple[Callable[[], Any], str, float]:
    """Return what is measured, with whose weights, and how many seconds of sound that is."""
    from unstir.joined import Hybrid
    from unstir.neural.checkpoint import random_model
    from unstir.neural.device import resolve
    from unstir.neural.separator import NetSeparator, run

    if net == PEER:
        device = str(resolve("auto"))
        inner: Any = random_model(NETS[net]).net.to(device).net
        length = int(inner.segment * inner.samplerate)
        n_segments = -(-round(seconds * SAMPLE_RATE) // length)
        x = noise(length / SAMPLE_RATE)
        return (
            lambda: [run(inner, x, device, precision) for _ in range(n_segments)],
            "random",
            n_segments * length / SAMPLE_RATE,
        )
    mix = Mixture(noise(seconds), SAMPLE_RATE)
    if net == HYBRID:
        model = weights_of(methods()[HYBRID], "film")[0]
        hybrid = Hybrid(FILM, model, precision=precision)
        return lambda: separate_with(hybrid, mix), "trained", mix.duration_s
    method = methods().get(net)
    trained = method is not None and not method.needs
    model = method.weights[0] if method and trained else f"random:{NETS[net]}"
    separator = NetSeparator(FILM, model, precision=precision)
    return (
        lambda: separate_with(separator, mix),
        "trained" if trained else "random",
        mix.duration_s,
    )


def main() -> None:
    """Measure one net in one precision and print its figures as JSON."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", choices=list(NETS))
    parser.add_argument("precision", choices=PRECISIONS)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    task, weights, duration_s = _task(options.net, options.precision, options.seconds)
    figures: dict[str, Any] = dict(measure(task, duration_s))
    figures |= {"weights": weights, "device": "cuda" if on_gpu else "cpu"}
    if on_gpu:
        figures["gpu_peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
        figures["gpu"] = torch.cuda.get_device_name()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
