"""Pictures for a page: spectrograms on one color scale and shares of power, as small PNGs."""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from unstir.picture import F_MIN_HZ, RANGE_DB, SpectrogramColumns, mel, top_hz
from unstir.types import Waveform

WIDTH = 640
N_COLORS = 64  # a step is 1.2 dB; fewer colors than 256 halve the file
MARKS_HZ = (300, 1000, 3000, 8000)


def power_columns(waveform: Waveform, *, sample_rate: int) -> NDArray[np.float32]:
    """Return the power of sound on the mel scale, at most 640 columns wide.

    Parameters
    ----------
    waveform : ndarray of float32, shape (channels, samples)
        The sound.
    sample_rate : int
        In hertz.

    Returns
    -------
    ndarray of float32, shape (192, at most 640)
        As `unstir.picture.SpectrogramColumns` has it, neighboring columns averaged.
    """
    columns = SpectrogramColumns(waveform.shape[1], sample_rate)
    columns.push(waveform)
    n = columns.power.shape[1]
    edges = np.linspace(0, n, min(n, WIDTH) + 1).astype(int)
    sums = np.add.reduceat(columns.power, edges[:-1], axis=1)
    return np.asarray(sums / np.diff(edges), np.float32)


def shares(powers: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return what share of the power of all stems each one has, cell by cell.

    Parameters
    ----------
    powers : mapping of str to ndarray of float32, each of shape (rows, columns)
        Of the stems of one method.

    Returns
    -------
    dict of str to ndarray of float32, each of shape (rows, columns), in [0, 1]
        They add up to one; even shares where all are silent.

    Examples
    --------
    >>> one = np.ones((1, 1), np.float32)
    >>> shares({"speech": 3 * one, "music": one})["speech"].item()
    0.75
    """
    total = np.sum(list(powers.values()), axis=0, dtype=np.float64)
    silent = total == 0
    safe = np.where(silent, 1, total)
    return {
        name: np.asarray(np.where(silent, 1 / len(powers), power / safe), np.float32)
        for name, power in powers.items()
    }


def spectrogram_png(power: NDArray[np.float32], *, top_db: float) -> bytes:
    r"""Return a PNG of power, its color spanning the 75 dB below ``top_db``.

    Parameters
    ----------
    power : ndarray of float32, shape (rows, columns)
        Rows from low to high frequency.
    top_db : float
        What is brightest; the same for all pictures that are to be compared.

    Examples
    --------
    >>> spectrogram_png(np.ones((4, 4), np.float32), top_db=0)[:4]
    b'\x89PNG'
    """
    level_db = 10 * np.log10(np.maximum(power, 1e-20))
    return _png((level_db - top_db) / RANGE_DB + 1, "magma")


def share_png(share: NDArray[np.float32]) -> bytes:
    """Return a PNG of shares from 0, dark, to 1, bright; rows from low to high frequency."""
    return _png(share, "viridis")


def colored_png(panel: NDArray[np.float32]) -> bytes:
    r"""Return a PNG of colors; rows from low to high frequency.

    Parameters
    ----------
    panel : ndarray of float32, shape (rows, columns, 3), in [0, 1]
        Red, green and blue.

    Examples
    --------
    >>> colored_png(np.ones((4, 4, 3), np.float32))[:4]
    b'\x89PNG'
    """
    from PIL import Image

    levels = np.rint(255 * panel[::-1]).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels, "RGB").quantize(256).save(file, "PNG", optimize=True)
    return file.getvalue()


def gradient(name: str, n: int = 9) -> str:
    """Return the stops of a CSS gradient of one of matplotlib's color maps.

    Examples
    --------
    >>> gradient("magma", 2)
    '#000003, #fbfcbf'
    """
    return ", ".join("#" + bytes(color).hex() for color in _colors(name, n))


def marks(sample_rate: int) -> list[tuple[str, float]]:
    """Return frequencies to write beside a picture, and how high each stands, in percent."""
    low, high = float(mel(F_MIN_HZ)), float(mel(top_hz(sample_rate)))
    return [
        (
            f"{hz // 1000}k" if hz >= 1000 else f"{hz}",
            round(100 * (float(mel(hz)) - low) / (high - low), 1),
        )
        for hz in MARKS_HZ
        if hz < 0.9 * top_hz(sample_rate)
    ]


def _colors(name: str, n: int) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    return np.asarray(colormaps[name](np.linspace(0, 1, n), bytes=True), np.uint8)[:, :3]


def _png(brightness: NDArray[np.floating], name: str) -> bytes:
    from PIL import Image

    levels = np.clip(np.rint(brightness * (N_COLORS - 1)), 0, N_COLORS - 1).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(levels[::-1]), "L")
    picture.putpalette(_colors(name, N_COLORS).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
