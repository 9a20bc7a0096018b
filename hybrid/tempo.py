r"""Beats: where a listener taps, by onset strength and dynamic programming (Ellis 2007).

The onset strength is the mean rise, over bands, of the level in decibels. Its autocorrelation,
weighted by how usual a tempo is, gives the period :math:`p`. The beats are the instants
:math:`t_i` with the greatest sum of onset strengths :math:`O(t_i)` less
:math:`\alpha \log^2((t_i - t_{i-1}) / p)` ([1]_, eq. 5).

References
----------
.. [1] D. P. W. Ellis, "Beat tracking by dynamic programming", J. New Music Research 36(1), 2007.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from unstir.types import Waveform

RATE_HZ = 22050
HOP_LENGTH = 256  # 11.6 ms
FRAME_LENGTH = 1024
LOWEST_HZ, HIGHEST_HZ, N_BANDS = 40.0, 8000.0, 24
FLOOR_DB = -80.0
MIN_BPM, MAX_BPM = 30.0, 300.0
USUAL_BPM, SPREAD_OCTAVES = 120.0, 1.0
TIGHTNESS = 100.0
TEMPO_FRAMES = 26000  # five minutes, around the strongest onset
MIN_BEATS = 4


def mono_at(
    blocks: Iterable[Waveform], sample_rate: int, wanted_hz: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the mean of the channels at another rate, in pieces of any size.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, each of shape (channels, any)
        The sound, in order.
    sample_rate, wanted_hz : int
        In hertz.

    Yields
    ------
    ndarray of float32, shape (samples,)

    Examples
    --------
    >>> pieces = list(mono_at([np.ones((2, 300), np.float32)] * 4, 400, 100))
    >>> sum(len(piece) for piece in pieces)
    300
    """
    import soxr

    resampler = soxr.ResampleStream(sample_rate, wanted_hz, 1, dtype="float32")
    any_came = False
    for block in blocks:
        if block.shape[1]:
            any_came = True
            yield resampler.resample_chunk(block.mean(axis=0))
    if any_came:  # to end a stream that never began would take forever
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def onset_strength(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how strongly something begins in every frame.

    Parameters
    ----------
    waveform : ndarray of float32, shape (samples,)
        One channel at 22050 Hz.

    Returns
    -------
    ndarray of float32, shape (1 + samples // 256,), at least 0
        Frame ``t`` is centered on sample ``256 * t``.
    """
    window = np.hanning(FRAME_LENGTH + 2)[1:-1].astype(np.float32)
    padded = np.pad(waveform, FRAME_LENGTH // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_LENGTH)[::HOP_LENGTH]
    f_hz = np.fft.rfftfreq(FRAME_LENGTH, 1 / RATE_HZ)
    edges = np.unique(np.searchsorted(f_hz, np.geomspace(LOWEST_HZ, HIGHEST_HZ, N_BANDS + 1)))
    power = np.square(np.abs(np.fft.rfft(frames * window, axis=1)) / window.sum())
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    level_db = 10 * np.log10(np.maximum(bands, 10 ** (FLOOR_DB / 10)))
    rise_db = np.maximum(np.diff(level_db, axis=0, prepend=level_db[:1]), 0)
    return np.asarray(rise_db.mean(axis=1), np.float32)


def find_beats(strength: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the beats of a whole recording, in seconds, in rising order.

    Parameters
    ----------
    strength : ndarray of float32, shape (frames,)
        As `onset_strength` gives it.

    Returns
    -------
    ndarray of float64, shape (beats,)
        Empty where fewer than four beats are found: in silence, or in a drone.

    Examples
    --------
    >>> strength = np.zeros(2584, np.float32)
    >>> strength[20::43] = 1
    >>> float(np.median(np.diff(find_beats(strength))).round(2))
    0.5
    """
    if len(strength) < 2 or not strength.any():
        return np.empty(0)
    first = max(0, int(strength.argmax()) - TEMPO_FRAMES // 2)
    period = _period(strength[first : first + TEMPO_FRAMES])
    if period is None:
        return np.empty(0)
    n = len(strength)
    around = np.exp(-0.5 * np.square(np.arange(-period, period + 1) * 32 / period))
    local = scipy.signal.fftconvolve(strength / strength.std(), around, mode="same")
    back = np.arange(round(period / 2), 2 * period + 1)
    cost = TIGHTNESS * np.square(np.log(back / period))
    total = np.full(n + back[-1], -np.inf)  # that many frames before the first
    came_from = np.full(n, -1)
    for t in range(n):
        ways = total[t + back[-1] - back] - cost
        best = int(ways.argmax())
        total[t + back[-1]] = local[t] + max(ways[best], 0.0)
        if ways[best] > 0:
            came_from[t] = t - back[best]
    total = total[back[-1] :]
    beats = [int(n - 1 - total[::-1][: 2 * period].argmax())]
    while came_from[beats[-1]] >= 0:
        beats.append(int(came_from[beats[-1]]))
    found = np.array(beats[::-1])
    # Taps before the music begins and after it has ended are no beats.
    strong = np.flatnonzero(local[found] > 0.5 * np.sqrt(np.mean(np.square(local[found]))))
    if len(strong) < MIN_BEATS:
        return np.empty(0)
    return np.asarray(found[strong[0] : strong[-1] + 1] * (HOP_LENGTH / RATE_HZ), np.float64)


def _period(strength: NDArray[np.float32]) -> int | None:
    """Return the frames from beat to beat; None where nothing recurs."""
    away = strength - strength.mean()
    n = len(away)
    spectrum = np.fft.rfft(away, 2 * n)
    likeness = np.fft.irfft(np.square(np.abs(spectrum)))[:n]
    per_minute = 60 * RATE_HZ / HOP_LENGTH
    lags = np.arange(round(per_minute / MAX_BPM), min(round(per_minute / MIN_BPM), n - 1) + 1)
    if len(lags) == 0 or not likeness[0] > 0:
        return None
    usual = np.log2(per_minute / lags / USUAL_BPM) / SPREAD_OCTAVES
    weighted = likeness[lags] * np.exp(-0.5 * np.square(usual))
    return int(lags[weighted.argmax()]) if weighted.max() > 0 else None
