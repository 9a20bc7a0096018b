#!/usr/bin/env python3
"""Compare what can run the shipped film net: torch as it is, torch.compile and ONNX Runtime.

    python -m pip install onnx onnxscript onnxruntime
    python scripts/compare_runtimes.py --out benchmarks/runtimes.json

The net alone is measured, from planes to logits, on windows of 20 s of stereo. Runs of all take
turns, so that what else the machine does hits all alike; the median of each is told.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from unstir.journal import write_whole
from unstir.neural.checkpoint import load
from unstir.neural.planes import planes_of
from unstir.weights import locate

WINDOW_S, RATE = 20, 44100
Run = Callable[[Tensor], Tensor]


class Logits(nn.Module):
    """The part of the net that runtimes may differ in, as a module of its own."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, seen: Tensor) -> Tensor:
        """Return the logits, shape (batch, sources, frames, bands)."""
        found: Tensor = self.net.logits(seen)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args()
    net = load(locate("unstir.neural/compact-film.safetensors")).net.eval()
    noise = 0.05 * torch.randn(1, 2, WINDOW_S * RATE, generator=torch.Generator().manual_seed(0))
    seen = planes_of(noise, net.bands)
    runs, start_s = {}, {}
    for name, prepare in PREPARED.items():
        began = time.perf_counter()
        runs[name] = prepare(Logits(net).eval(), seen)
        runs[name](seen)  # what is compiled is compiled at the first call
        start_s[name] = time.perf_counter() - began
    truth = runs["torch, fp32"](seen).softmax(dim=1)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run(seen)
            seconds[name].append(time.perf_counter() - began)
    figures = {
        name: {
            "seconds": statistics.median(taken),
            "real_time_factor": WINDOW_S / statistics.median(taken),
            "start_s": start_s[name],
            "largest_difference_of_a_mask": float(
                (runs[name](seen).float().softmax(dim=1) - truth).abs().max()
            ),
        }
        for name, taken in seconds.items()
    }
    shown = Table(title=f"{WINDOW_S} s of stereo, {os.cpu_count()} cores", title_justify="left")
    for title in ("runtime", "s", "x real time", "start, s", "masks differ by"):
        shown.add_column(title, justify="left" if title == "runtime" else "right")
    for name, row in figures.items():
        cells = [f"{row['seconds']:.3f}", f"{row['real_time_factor']:.0f}", f"{row['start_s']:.1f}"]
        shown.add_row(name, *cells, f"{row['largest_difference_of_a_mask']:.1e}")
    Console().print(shown)
    if options.out:
        versions = {"torch": torch.__version__, "cores": os.cpu_count()}
        write_whole(options.out, (json.dumps({**versions, "figures": figures}, indent=1)).encode())


def plain(precision: torch.dtype) -> Callable[[Logits, Tensor], Run]:
    """Return what prepares torch as it is."""

    def prepare(net: Logits, _: Tensor) -> Run:
        return _within(net, precision)

    return prepare


def compiled(precision: torch.dtype) -> Callable[[Logits, Tensor], Run]:
    """Return what prepares torch.compile."""

    def prepare(net: Logits, _: Tensor) -> Run:
        return _within(torch.compile(net), precision)

    return prepare


def onnx_runtime(net: Logits, seen: Tensor) -> Run:
    """Export the net, and return what runs it in ONNX Runtime."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        torch.onnx.export(net, (seen,), path, input_names=["seen"], dynamo=False)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(given: Tensor) -> Tensor:
        [found] = session.run(None, {"seen": np.asarray(given)})
        return torch.from_numpy(found)

    return run


def _within(net: Callable[[Tensor], Tensor], precision: torch.dtype) -> Run:
    def run(given: Tensor) -> Tensor:
        reduced = precision != torch.float32
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            return net(given)

    return run


PREPARED: dict[str, Callable[[Logits, Tensor], Run]] = {
    "torch, fp32": plain(torch.float32),
    "torch, bf16": plain(torch.bfloat16),
    "torch.compile, fp32": compiled(torch.float32),
    "torch.compile, bf16": compiled(torch.bfloat16),
    "ONNX Runtime, fp32": onnx_runtime,
}

if __name__ == "__main__":
    main()
