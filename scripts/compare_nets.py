#!/usr/bin/env python3
"""Compare nets at equal compute: the same recordings, the same seconds of one processor each.

    python scripts/compare_nets.py runs --pack PACK --minutes 10 --out benchmarks/nets.json

Every recipe trains for so many minutes of processor time of one thread (what mixes the scenes is
not counted), so a net that costs more makes fewer steps. They are judged on scenes of recordings
that choose, none of which trains. A run that was interrupted goes on.
"""

import argparse
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unstir.compare import compare, summary
from unstir.journal import write_whole
from unstir.neural.batches import TrainConfig
from unstir.neural.checkpoint import load
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.recipes import RECIPES, export
from unstir.neural.separator import NetSeparator
from unstir.neural.train import train
from unstir.neural.validation import validation_scenes
from unstir.types import STEM_SETS

STEMS = STEM_SETS["film"]
COMPARED = {  # what is compared, and what the recipe is called
    "convolutions around a BLSTM (compact)": "family-compact-si-sdr",
    "the same, SNR alone as loss": "family-compact",
    "the same, SNR and spectra as loss": "family-compact-spectral",
    "BLSTM on band features": "family-blstm",
    "band-split recurrent": "family-bandsplit",
    "MRX, reduced": "mrx-small",
    "U-Net of Jansson 2017, reduced": "unet-small",
    "chimera, reduced": "chimera-small",
    "mask net of 513 x 25, ratio targets": "vocalnet-small",
    "mask net of 513 x 25, binary targets": "vocalnet-small-binary",
}
LOSSES = ("family-compact", "family-compact-spectral")  # compared for what they are trained by
RATE = 1e-3
N_MEASURED = 10  # steps that say how long one takes
N_SCENES, SCENE_S = 36, 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, help="folder for the runs")
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10, help="of processor time, each")
    parser.add_argument("--only", nargs="+", default=list(COMPARED), choices=list(COMPARED))
    parser.add_argument("--out", type=Path, help="JSON with a table beside it")
    options = parser.parse_args()
    console = Console(stderr=True)
    pack = Pack(options.pack)
    scenes = validation_scenes(pack, n=N_SCENES, seconds=SCENE_S).numpy()
    rows = []
    for title in options.only:
        folder = options.runs / title.replace(" ", "_")
        row = {"net": title, **trained(title, pack, folder, options.minutes)}
        row |= worth(folder / "net.safetensors", scenes)
        console.print(row)
        rows.append(row)
        if options.out:
            write_whole(options.out, (json.dumps(rows, indent=1) + "\n").encode())
            write_whole(options.out.with_suffix(".md"), (table(rows) + "\n").encode())
    print(table(rows))


def config_of(title: str, steps: int) -> TrainConfig:
    """Return a recipe for a short run: up at once, and most of it on the way down.

    Where the comparison is not one of losses, nets that could train by the SNR alone do so by the
    SI-SDR as well: without it, some end in a few minutes at giving all to one stem.
    """
    name = COMPARED[title]
    config = replace(RECIPES[name], learning_rate=RATE, decay=0.6, warmup=20, made=0.0, seed=3)
    if config.loss == "snr" and name not in LOSSES:
        config = replace(config, loss="si_sdr")
    return replace(config, steps=steps, validate_every=steps)


def trained(title: str, pack: Pack, folder: Path, minutes: float) -> dict[str, Any]:
    """Train for so long, unless that is done, and leave the model in the folder."""
    plan = folder / "plan.json"
    if not plan.exists():
        folder.mkdir(parents=True, exist_ok=True)
        steps = max(20, int(60 * minutes / seconds_per_step(title, pack, folder / "trial")))
        write_whole(plan, json.dumps({"steps": steps, "minutes": minutes}).encode())
    steps = json.loads(plan.read_text())["steps"]
    config = config_of(title, steps)
    net = train(config, pack, folder, threads=1)
    export("net", config, net, pack, folder)
    return {
        "steps": steps,
        "scenes": steps * config.batch,
        "parameters": sum(p.numel() for p in net.parameters()),
        "multiply_adds_per_s": multiply_adds(net),
    }


def seconds_per_step(title: str, pack: Pack, folder: Path) -> float:
    """Return the processor time of a step, after the first two."""
    times: list[float] = []

    def stop(_: int) -> None:
        times.append(time.process_time())
        if len(times) > N_MEASURED:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        train(config_of(title, 1000), pack, folder, threads=1, on_step=stop)
    return (times[-1] - times[2]) / (len(times) - 3)


def multiply_adds(net: nn.Module) -> float:
    """Return how many multiplications with an addition a second of stereo takes."""
    seconds = 10
    rate = getattr(net.config, "sample_rate", SAMPLE_RATE)
    net.eval()
    counter = FlopCounterMode(display=False)  # knows nothing of recurrent layers on processors
    recurrent = [0]

    def count(lstm: nn.Module, given: tuple[torch.Tensor, ...], _: object) -> None:
        assert isinstance(lstm, nn.LSTM)
        weights = sum(p.numel() for name, p in lstm.named_parameters() if "weight" in name)
        recurrent[0] += given[0].shape[0] * given[0].shape[1] * weights

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.LSTM)]
    with torch.no_grad(), counter:
        net(0.1 * torch.randn(1, 2, seconds * rate))
    for hook in hooks:
        hook.remove()
    return (counter.get_total_flops() / 2 + recurrent[0]) / seconds


def worth(path: Path, scenes: np.ndarray) -> dict[str, Any]:
    """Return the mean SI-SDR improvement with its interval over scenes, and that of every stem."""
    separator = NetSeparator(load(path).sources, f"file:{path}")
    rows = [
        compare(
            "net", "film", dict(zip(STEMS, scene, strict=True)), SAMPLE_RATE,
            source=str(number), separator=separator,
        )
        for number, scene in enumerate(scenes)
    ]  # fmt: skip
    [entry] = summary(rows)
    return {
        "gain_db": round(entry["mean_gain_db"], 2),
        "interval_db": [round(edge, 2) for edge in entry["mean_interval_db"]],
        **{f"{name}_db": round(entry["stems"][name]["gain_db"], 2) for name in STEMS},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| net | parameters, millions | multiply-adds per second, billions | steps | mean gain, dB "
        "| speech | music | effects |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*lines, *map(_line, rows)])


def _line(row: Mapping[str, Any]) -> str:
    low, high = row["interval_db"]
    stems = " | ".join(f"{row[f'{name}_db']:+.1f}" for name in STEMS)
    return (
        f"| {row['net']} | {row['parameters'] / 1e6:.1f} | {row['multiply_adds_per_s'] / 1e9:.1f} "
        f"| {row['steps']} | {row['gain_db']:+.2f} ({low:+.2f} to {high:+.2f}) | {stems} |"
    )


if __name__ == "__main__":
    main()
