"""The picture of chains: how loud each lets every frequency through, one panel each."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.picture import FAINT, FONT, INK, drawable

COLUMNS, PANEL_PX, DPI = 4, (300, 210), 100
RANGE_DB = (-30.0, 12.0)
LINE = "#2266cc"
MARKS_HZ = {50: "50", 200: "200", 1000: "1k", 5000: "5k", 20000: "20k"}


def draw_responses(
    path: Path | str, frequencies_hz: NDArray[np.float64], curves: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write a PNG with a panel for each curve, at most four in a row.

    Parameters
    ----------
    path : path-like
        Where the PNG goes. An existing file is replaced.
    frequencies_hz : ndarray of float64, shape (points,)
        Rising, all above zero.
    curves : mapping of str to ndarray of float64, shape (points,)
        Levels in decibels, under the names that stand above the panels.

    Examples
    --------
    >>> import tempfile
    >>> frequencies_hz = np.geomspace(20, 20000, 50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "flat.png")
    ...     draw_responses(path, frequencies_hz, {"flat": np.zeros(50)})
    ...     path.read_bytes()[1:4]
    b'PNG'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    size = (columns * PANEL_PX[0] / DPI, rows * PANEL_PX[1] / DPI)
    figure = Figure(size, dpi=DPI, facecolor="white", layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)  # its methods carry no types
    panels: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, (name, level_db) in zip(panels.flat, curves.items(), strict=False):
        axes.axhline(0, color=FAINT, linewidth=0.6)
        axes.semilogx(frequencies_hz, level_db, color=LINE, linewidth=1.6)
        axes.set_title(drawable(name, 26), fontsize=11, family=FONT, color=INK, loc="left")
        axes.set_xlim(frequencies_hz[0], frequencies_hz[-1])
        axes.set_ylim(RANGE_DB)
        axes.set_yticks([-24, -12, 0, 12], ["-24", "-12", "0", "12 dB"])
        axes.set_xticks(list(MARKS_HZ), list(MARKS_HZ.values()))
        axes.minorticks_off()
        axes.tick_params(length=2, color=FAINT, labelsize=8, labelcolor=FAINT)
        axes.grid(color="#e8e8ee", linewidth=0.6)
        for spine in axes.spines.values():
            spine.set_visible(False)
    file = io.BytesIO()
    canvas.print_png(file)
    Image.open(file).convert("RGB").quantize(32).save(path, "PNG", optimize=True)
