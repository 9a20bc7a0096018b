#!/usr/bin/env python3
"""Compare how long the windows are that a method gets of a long recording: quality against memory.

    python scripts/compare_windows.py --pack PACK --out benchmarks/windows.json

Scenes of two minutes whose recordings choose between weights, as our recipe draws them and staged,
are taken apart as a file is: in windows joined by cross-fades, a tenth of each. Told is the gain in
SI-SDR, and its difference to that of the first length with a 95 % interval over plans.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from set_trust import drawn

from unstir.channels import Routed, groups
from unstir.compare import sum_of
from unstir.evaluate import bootstrap_interval, si_sdr_db
from unstir.journal import write_whole
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.registry import make
from unstir.streaming import Grid, separate_stream
from unstir.types import Mixture, Stems

SCENE_S = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--method", default="compact-film")
    parser.add_argument("--scenes", type=int, default=12, help="plans; each counts twice")
    parser.add_argument(
        "--windows", type=float, nargs="+", default=[20, 40, 60, 80], help="seconds"
    )
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args()
    console = Console(stderr=True)
    scenes = drawn("film", Pack(options.pack), options.scenes, SCENE_S)
    gained_db = np.array(
        [
            gains_db(options.method, truth, options.windows)
            for truth in track(scenes, options.method, total=2 * options.scenes, console=console)
        ]
    )  # (scenes, windows, stems)
    means_db = np.nanmean(gained_db, axis=2)
    plans = [k // 2 for k in range(len(means_db))]
    rows = []
    for k, window_s in enumerate(options.windows):
        over_first = means_db[:, k] - means_db[:, 0]
        rows.append(
            {
                "window_s": window_s,
                "gain_db": round(float(np.nanmean(gained_db[:, k])), 3),
                "gain_db_by_stem": np.nanmean(gained_db[:, k], axis=0).round(3).tolist(),
                "over_first_db": round(float(over_first.mean()), 3),
                "interval_db": bootstrap_interval(over_first, groups=plans, seed=0),
            }
        )
    shown = Table(title=f"{options.method}, {len(means_db)} scenes", title_justify="left")
    for title in ("window, s", "gain, dB", "over the first", "95 %"):
        shown.add_column(title, justify="right")
    for row in rows:
        low, high = row["interval_db"]
        shown.add_row(
            f"{row['window_s']:g}", f"{row['gain_db']:+.2f}", f"{row['over_first_db']:+.2f}",
            f"{low:+.2f} to {high:+.2f}",
        )  # fmt: skip
    Console().print(shown)
    if options.out:
        found = {"method": options.method, "scenes": len(means_db), "rows": rows}
        write_whole(options.out, (json.dumps(found, indent=1) + "\n").encode())


def gains_db(method: str, truth: Stems, windows_s: list[float]) -> NDArray[np.float64]:
    """Return the SI-SDR improvement with each length, shape (windows, stems)."""
    mix = Mixture(sum_of(truth), SAMPLE_RATE)
    separator = Routed(make(method), groups(mix.n_channels))
    state = separator.survey([mix])
    rows = []
    for window_s in windows_s:
        window = round(window_s * SAMPLE_RATE)
        parts = list(
            separate_stream(
                separator,
                [mix.waveform],
                sample_rate=SAMPLE_RATE,
                grid=Grid(window, window // 10),
                state=state,
            )
        )
        stems = {name: np.concatenate([part[name] for part in parts], axis=1) for name in truth}
        gains = [si_sdr_db(truth[k], stems[k]) - si_sdr_db(truth[k], mix.waveform) for k in truth]
        rows.append(gains)
    return np.array(rows)


if __name__ == "__main__":
    main()
