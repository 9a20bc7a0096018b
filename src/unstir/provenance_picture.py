"""The picture of a provenance: one panel per stem, colored by the evidence that moved most."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unstir.picture import F_MIN_HZ, FAINT, FONT, INK, RANGE_DB, drawable, mel, top_hz

if TYPE_CHECKING:
    from unstir.provenance import Provenance

WIDTH_PX, ROW_PX, TOP_PX, BOTTOM_PX, LEFT_PX, RIGHT_PX, GAP_PX = 1400, 190, 64, 44, 220, 250, 12
N_ROWS, N_COLUMNS = 190, 930
# One hue for each piece of evidence, far from its neighbors, also for the color-blind, and seen
# on white as on black; the base is gray, since it is what all the others move.
COLORS = (
    "#b4b4be",
    "#b08458",
    "#3f7df5",
    "#2fc4e8",
    "#e0b000",
    "#1fae62",
    "#f0507a",
    "#a860e0",
    "#f58220",
    "#9ccc2e",
    "#8c564b",
)
BLIND = ("mix", "leakage")  # what needs no prior: one of them at most, so one color does for both
HALF_DB = -20.0  # movement, over what the base gave, that makes a cell half colored
LOUDEST = 99.5  # percentile of all cells that is as bright as can be: peaks leave the rest dark
GAMMA = 0.7


def draw_provenance(
    path: Path | str, found: "Provenance", *, title: str, start_s: float = 0.0
) -> None:
    """Write a PNG: how bright says how loud a stem is, which color what moved it.

    Gray is what the base gave. A cell takes on the color of the evidence that moved most there,
    the more fully the more it moved: half where it is 20 dB below what the base gave. Beside each
    panel stands what share of all movement each piece of evidence has.

    Parameters
    ----------
    path : path-like
        Where the PNG goes. An existing file is replaced.
    found : Provenance
        What to draw.
    title : str
        Stands above the panels.
    start_s : float
        Where the time axis begins, in seconds.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n = len(found.stems)
    height_px = TOP_PX + n * (ROW_PX + GAP_PX) - GAP_PX + BOTTOM_PX
    figure = Figure((WIDTH_PX / 100, height_px / 100), dpi=100, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)  # its methods carry no types

    def write(x_px: float, y_px: float, text: str, size: float, **style: Any) -> None:
        place = x_px / WIDTH_PX, y_px / height_px
        figure.text(*place, text, size=size, family=FONT, parse_math=False, **style)

    write(LEFT_PX, height_px - 22, drawable(title, 68), 18, weight="bold", color=INK, va="top")
    duration_s = (found.moved.shape[2] - 1) * found.hop_length / found.sample_rate
    top = float(mel(top_hz(found.sample_rate)))
    left, width = LEFT_PX / WIDTH_PX, (WIDTH_PX - LEFT_PX - RIGHT_PX) / WIDTH_PX
    for k, stem in enumerate(found.stems):
        bottom = height_px - TOP_PX - (k + 1) * ROW_PX - k * GAP_PX
        axes = figure.add_axes((left, bottom / height_px, width, ROW_PX / height_px))
        axes.imshow(
            painted(found, k),
            aspect="auto",
            origin="lower",
            extent=(start_s, start_s + max(duration_s, 1e-3), float(mel(F_MIN_HZ)), top),
            interpolation="nearest",
        )
        marks_hz = [f for f in (100, 500, 1000, 2000, 4000, 8000) if f < top_hz(found.sample_rate)]
        names = [f"{f} Hz" if f < 1000 else f"{f // 1000} kHz" for f in marks_hz]
        axes.set_yticks([float(mel(f)) for f in marks_hz], names, fontsize=11, color=FAINT)
        axes.tick_params(length=3, color=FAINT, labelsize=11, labelcolor=FAINT)
        if k + 1 < n:
            axes.set_xticks([])
        else:
            axes.set_xlabel("seconds", fontsize=11, color=FAINT)
        for spine in axes.spines.values():
            spine.set_visible(False)
        label = drawable(stem, 20)
        size = min(18.0, 18 * 8 / max(1, len(label)))
        write(20, bottom + ROW_PX / 2, label, size, weight="bold", color=INK, va="center")
        _write_legend(write, legend(found, stem), bottom + ROW_PX)
    x_px = WIDTH_PX - RIGHT_PX + 16
    write(x_px, 22, "\N{BLACK SQUARE}", 13, color=COLORS[0])
    write(x_px + 20, 23, "base", 12, color=INK)
    canvas.print_png(path)


def painted(found: "Provenance", stem: int, *, n_columns: int = N_COLUMNS) -> NDArray[np.float32]:
    """Return one stem's panel.

    Parameters
    ----------
    found : Provenance
        What to draw.
    stem : int
        Its index.
    n_columns : int
        Largest width.

    Returns
    -------
    ndarray of float32, shape (rows, columns, 3), in [0, 1]
        Rows on the mel scale, from low to high.
    """
    moved = _pooled(found, found.moved[stem], n_columns)  # (E, rows, columns)
    base, rest = moved[0], moved[1:]
    colors = np.array([_rgb(color) for color in colors_of(found.evidence)], np.float32)
    strongest = rest.argmax(axis=0)
    most = rest.max(axis=0)
    # Amplitudes rather than energies: what is 10 dB below is seen.
    a, b = np.sqrt(most), np.sqrt(base) * np.float32(10 ** (HALF_DB / 20))
    tint = np.divide(a, a + b, out=np.zeros_like(a), where=a + b > 0)[..., None]
    color = (1 - tint) * colors[0] + tint * colors[1:][strongest]
    level_db = 10 * np.log10(np.maximum(base + most, 1e-20))
    light = np.clip(1 + (level_db - _top_db(found)) / RANGE_DB, 0, 1) ** GAMMA
    return np.asarray(light[..., None] * color, np.float32)


def _top_db(found: "Provenance") -> float:
    """Return the level that is brightest, the same for all stems; infinite where all is silent."""
    per_bin = found.power / np.diff(found.edges)
    heard = per_bin[per_bin > 0]
    return float(10 * np.log10(np.percentile(heard, LOUDEST))) if heard.size else float("inf")


def _pooled(
    found: "Provenance", planes: NDArray[np.float32], n_columns: int
) -> NDArray[np.float32]:
    """Return (planes, frames, bands) as (planes, mel rows, columns)."""
    n_frames = planes.shape[1]
    columns = min(n_columns, n_frames)
    starts = np.arange(columns) * n_frames // columns
    sums = np.add.reduceat(planes, starts, axis=1)
    means = sums / np.diff(np.append(starts, n_frames))[None, :, None]
    rows_mel = np.linspace(float(mel(F_MIN_HZ)), float(mel(top_hz(found.sample_rate))), N_ROWS)
    bins = 700 * np.expm1(rows_mel / 1127) * found.n_fft / found.sample_rate
    band = np.clip(np.searchsorted(found.edges, bins, side="right") - 1, 0, planes.shape[2] - 1)
    per_bin = means / np.diff(found.edges)  # wide bands are no louder for being wide
    return np.asarray(per_bin[:, :, band].transpose(0, 2, 1), np.float32)


def _rgb(color: str) -> tuple[float, float, float]:
    r, g, b = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return r, g, b


def colors_of(evidence: Sequence[str]) -> tuple[str, ...]:
    """Return one color per piece of evidence; the priors', whatever corrects without any.

    Examples
    --------
    >>> colors_of(["base", "alike"])[1] == colors_of(["base", "leakage", "alike"])[2]
    True
    """
    kept = COLORS if set(BLIND) & set(evidence) else (COLORS[0], *COLORS[2:])
    return kept[: len(evidence)]


def legend(found: "Provenance", stem: str) -> list[tuple[str, str, float]]:
    """Return name, color and share of each piece of evidence that moved a stem, most first."""
    shares = found.shares()[stem]
    colors = dict(zip(found.evidence, colors_of(found.evidence), strict=True))
    order = sorted(shares, key=lambda name: -shares[name])
    return [(name, colors[name], shares[name]) for name in order]


def _write_legend(write: Any, lines: Sequence[tuple[str, str, float]], top_px: float) -> None:
    x_px = WIDTH_PX - RIGHT_PX + 16
    for line, (name, color, moved) in enumerate(lines):
        y_px = top_px - 8 - 20 * line
        write(x_px, y_px, "\N{BLACK SQUARE}", 13, color=color, va="top")
        write(x_px + 20, y_px, drawable(name, 12), 12, color=INK, va="top")
        write(WIDTH_PX - 24, y_px, f"{100 * moved:.0f} %", 12, color=FAINT, va="top", ha="right")
