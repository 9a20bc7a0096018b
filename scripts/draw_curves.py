#!/usr/bin/env python3
"""Draw how the shipped nets got better in training, as their model cards have it.

    python scripts/draw_curves.py -o docs/curves.png

A panel per net, a line per leg; what is drawn is measured on scenes that choose, whose recordings
do not train. Where a leg has other scenes than the one before, its line begins elsewhere.
"""

import argparse
import io
import json
from pathlib import Path
from typing import Any

from unstir.chain_picture import DPI, LINE, PANEL_PX
from unstir.picture import FAINT, FONT, INK

ROOT = Path(__file__).resolve().parents[1]
NETS = ("compact-film", "compact-film-causal", "compact-song", "query", "vad")
OTHER_LINE = "#cc6622"  # every second leg
Curve = list[tuple[int, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="PNG")
    draw(parser.parse_args().out)


def legs(card: dict[str, Any]) -> list[Curve]:
    """Return the curve of every leg, in order, at steps from the first leg's first one on."""
    parts = [*(leg["curve"] for leg in card.get("earlier_legs", [])), card["curve"]]
    found: list[Curve] = []
    before = 0
    for part in parts:
        found.append([(before + step, value) for step, value in part])
        before += part[-1][0]
    return found


def draw(path: Path) -> None:
    """Write the PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    size = (len(NETS) * PANEL_PX[0] / DPI, 1.2 * PANEL_PX[1] / DPI)
    figure = Figure(size, dpi=DPI, facecolor="white", layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)  # its methods carry no types
    panels: Any = figure.subplots(1, len(NETS), squeeze=False)
    for axes, name in zip(panels.flat, NETS, strict=True):
        card = json.loads((ROOT / "neural" / f"{name}.json").read_text())["card"]
        for number, leg in enumerate(legs(card)):
            color = (LINE, OTHER_LINE)[number % 2]
            axes.plot(*zip(*leg, strict=True), color=color, linewidth=1.6, marker=".", markersize=4)
        axes.set_title(name, fontsize=11, family=FONT, color=INK, loc="left")
        is_detector = "balanced_accuracy" in card["validation"]
        axes.set_ylabel("balanced accuracy" if is_detector else "SI-SDR gain, dB", fontsize=8)
        axes.set_xlabel("steps", fontsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlim(left=0)
        axes.grid(color=FAINT, linewidth=0.5, alpha=0.5)
        axes.tick_params(labelsize=8)
    file = io.BytesIO()
    canvas.print_png(file)
    Image.open(file).convert("RGB").quantize(48).save(path, "PNG", optimize=True)


if __name__ == "__main__":
    main()
