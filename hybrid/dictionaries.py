"""Dictionaries of spectral templates: loading them, and laying them on any frequency grid.

A template says how the magnitude of one sound spreads over frequency, now and in a few spans of
time around now. Templates are kept on a fixed set of bands, one bin of a 2048-point transform at
44.1 kHz wide at low frequencies and about 3 % of their center above 700 Hz, as the mean magnitude
per bin; `on_bins` interpolates them in hertz to the bins of any transform.

**Above 22.05 kHz** nothing was learned. Bins up there keep the value of the highest band, so that
the share of a stem in them is its share in the highest band, and they have no part in finding
the activations.

``dictionaries.safetensors`` holds the templates in half precision; ``dictionaries.json`` beside it
says how they were learned, from which recordings under which licences, and what they reached on
recordings they had not seen. ``scripts/learn_dictionaries.py`` makes both.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BIN_HZ = 44100 / 2048  # width of the narrowest band
TOP_HZ = 22050.0  # nothing was learned above
RELATIVE_WIDTH = 0.03  # of a band to its center, where that is wider than a bin
FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Dictionaries:
    """Templates per kind of sound, on common bands and common spans of time.

    Parameters
    ----------
    templates : mapping of str to ndarray of float32, each of shape (spans, bands, components)
        Mean magnitude per bin of every band, positive. Span 0 is the frame itself.
    bands_hz : ndarray of float64, shape (bands,)
        Centers of the bands, ascending.
    spans_s : sequence of (float, float)
        First and last frame center of every span, in seconds from the frame itself.
    """

    templates: Mapping[str, NDArray[np.float32]]
    bands_hz: NDArray[np.float64]
    spans_s: Sequence[tuple[float, float]]


@lru_cache(maxsize=1)
def load_dictionaries() -> Dictionaries:
    """Return the dictionaries that ship: speech, singing, music and effects.

    Examples
    --------
    >>> sorted(load_dictionaries().templates)
    ['effects', 'music', 'singing', 'speech']
    """
    from safetensors.numpy import load_file

    arrays = load_file(FOLDER / "dictionaries.safetensors")
    config = describe_dictionaries()["config"]
    return Dictionaries(
        {kind: arrays[kind].astype(np.float32) for kind in config["kinds"]},
        arrays["bands_hz"],
        tuple((float(first), float(last)) for first, last in config["spans_s"]),
    )


def describe_dictionaries() -> dict[str, Any]:
    """Return what ``dictionaries.json`` says: config, recipe, data, licences, figures.

    Examples
    --------
    >>> describe_dictionaries()["config"]["kinds"]
    ['speech', 'singing', 'music', 'effects']
    """
    text = (FOLDER / "dictionaries.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def band_starts(
    frequencies_hz: NDArray[np.float64], relative_width: float = RELATIVE_WIDTH
) -> NDArray[np.intp]:
    """Return the first bin of every band, and one past the last bin, for the bins of a grid.

    Parameters
    ----------
    frequencies_hz : ndarray of float64, shape (bins,)
        Centers of the bins, evenly spaced from 0. Bins above 22.05 kHz are in no band.
    relative_width : float
        Width of a band as a part of its lowest frequency, at least one bin.

    Returns
    -------
    ndarray of int, shape (bands + 1,)
        Strictly ascending from 0.

    Examples
    --------
    >>> starts = band_starts(np.fft.rfftfreq(2048, 1 / 44100))
    >>> len(starts) - 1, starts[:3].tolist(), int(starts[-1])
    (152, [0, 1, 2], 1025)
    """
    n_bins = max(1, int(np.count_nonzero(frequencies_hz <= TOP_HZ)))
    starts = [0]
    while starts[-1] < n_bins:
        width = max(1, round(relative_width * starts[-1]))
        starts.append(min(n_bins, starts[-1] + width))
    return np.asarray(starts, np.intp)


def pool(values: NDArray[np.float32], starts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the sum over the bins of every band.

    Parameters
    ----------
    values : ndarray of float32, shape (..., bins, columns)
        Magnitudes or templates.
    starts : ndarray of int, shape (bands + 1,)
        As `band_starts` gives them.

    Returns
    -------
    ndarray of float32, shape (..., bands, columns)

    Examples
    --------
    >>> pool(np.ones((5, 1), np.float32), np.array([0, 1, 4])).ravel().tolist()
    [1.0, 3.0]
    """
    return np.add.reduceat(values[..., : starts[-1], :], starts[:-1], axis=-2)


def band_centers_hz(
    frequencies_hz: NDArray[np.float64], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the mean frequency of the bins of every band, in hertz, shape (bands,)."""
    return 0.5 * (frequencies_hz[starts[:-1]] + frequencies_hz[starts[1:] - 1])


def on_bins(
    templates: NDArray[np.float32],
    bands_hz: NDArray[np.float64],
    frequencies_hz: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return templates at the bins of a grid, linearly interpolated in hertz.

    Parameters
    ----------
    templates : ndarray of float32, shape (..., bands, components)
        Mean magnitude per bin of every band.
    bands_hz : ndarray of float64, shape (bands,)
        Centers of the bands, ascending.
    frequencies_hz : ndarray of float64, shape (bins,)
        Centers of the bins; those beyond the outermost bands keep its value.

    Returns
    -------
    ndarray of float32, shape (..., bins, components)

    Examples
    --------
    >>> ramp = np.array([[0.0], [2.0]], np.float32)
    >>> on_bins(ramp, np.array([0.0, 100.0]), np.array([0.0, 50.0, 300.0])).ravel().tolist()
    [0.0, 1.0, 2.0]
    """
    position = np.interp(frequencies_hz, bands_hz, np.arange(len(bands_hz)))
    below = np.minimum(position.astype(np.intp), max(0, len(bands_hz) - 2))
    above = np.minimum(below + 1, len(bands_hz) - 1)
    share = (position - below).astype(np.float32)[:, None]
    # Fancy indexing runs along axis -2 of whatever leads.
    low, high = templates[..., below, :], templates[..., above, :]
    return np.asarray(low + share * (high - low), np.float32)


def with_context(
    values: NDArray[np.float32], spans_s: Sequence[tuple[float, float]], hop_s: float
) -> NDArray[np.float32]:
    """Return every frame stacked upon the means of the frames around it.

    Parameters
    ----------
    values : ndarray of float32, shape (bands, frames)
        Magnitudes per band. The first and the last frame go on for ever.
    spans_s : sequence of (float, float)
        First and last frame of every span, in seconds from the frame itself.
    hop_s : float
        Seconds from frame to frame.

    Returns
    -------
    ndarray of float32, shape (spans * bands, frames)

    Examples
    --------
    >>> ramp = np.arange(4, dtype=np.float32)[None]
    >>> with_context(ramp, [(0.0, 0.0), (-0.2, -0.1)], 0.1)[1].tolist()
    [0.0, 0.0, 0.5, 1.5]
    """
    n_frames = values.shape[1]
    lags = [(round(first / hop_s), round(last / hop_s)) for first, last in spans_s]
    reach = max(max(abs(first), abs(last)) for first, last in lags)
    padded = np.pad(values.astype(np.float64), ((0, 0), (reach, reach)), mode="edge")
    sums = np.pad(np.cumsum(padded, axis=1), ((0, 0), (1, 0)))
    stacked = [
        values
        if first == last == 0
        else (sums[:, reach + last + 1 :][:, :n_frames] - sums[:, reach + first :][:, :n_frames])
        / (last - first + 1)
        for first, last in lags
    ]
    # Differences of running sums may fall a rounding error below zero.
    return np.asarray(np.maximum(np.concatenate(stacked), 0), np.float32)
