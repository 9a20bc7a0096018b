r"""Pitch by probabilistic YIN: the states of librosa's decoder at a fraction of its cost.

The chain is the one of [1]_ in the form that its authors' own program and librosa 0.11
give it: YIN's difference function [2]_, a beta distribution over YIN's threshold that
turns the troughs into weighted candidates, and a hidden Markov model over pitch bins,
each once voiced and once unvoiced. Where the usual program spends a dense
:math:`(2N)^2` maximum per frame, the decoder here looks at the band of transitions that
are possible and at one bound for all the others, keeps no back pointers, and searches
the predecessors again along the one path that won.

References
----------
.. [1] M. Mauch and S. Dixon, "pYIN: a fundamental frequency estimator using probabilistic
   threshold distributions", ICASSP 2014.
.. [2] A. de Cheveigné and H. Kawahara, "YIN, a fundamental frequency estimator for speech
   and music", J. Acoust. Soc. Am. 111(4), 2002.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal
import scipy.special
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError

N_THRESHOLDS = 100
BOLTZMANN = 2.0  # prior over the troughs below a threshold: short periods first
TINY = float(np.finfo(np.float64).tiny)  # stands for "impossible" where a logarithm is taken
BLOCK = 128  # frames transformed at once: 2 MB of work space at a frame length of 2048


@dataclass(frozen=True, slots=True)
class Pitch:
    """The fundamental frequency of one voice over time.

    Parameters
    ----------
    f0_hz : ndarray of float64, shape (frames,)
        Fundamental frequency in hertz; in unvoiced frames the best guess.
    voiced : ndarray of bool, shape (frames,)
        Whether there is a pitch at all.
    voiced_probability : ndarray of float64, shape (frames,), in [0, 1]
        How much of the evidence in that frame alone speaks for a pitch.
    """

    f0_hz: NDArray[np.float64]
    voiced: NDArray[np.bool_]
    voiced_probability: NDArray[np.float64]


def pyin(
    waveform: NDArray[np.float32],
    sample_rate: float,
    *,
    f0_min_hz: float,
    f0_max_hz: float,
    frame_length: int = 2048,
    hop_length: int | None = None,
    threshold_prior: tuple[float, float] = (2.0, 18.0),
    resolution_semitones: float = 0.1,
    max_transition_octaves_per_s: float = 35.92,
    switch_probability: float = 0.01,
    no_trough_probability: float = 0.01,
) -> Pitch:
    r"""Return the pitch of a single voice, frame by frame.

    Parameters
    ----------
    waveform : ndarray of float32, shape (samples,)
        One channel, at least one sample, at any level that float32 can square.
    sample_rate : float
        Samples per second, in hertz.
    f0_min_hz, f0_max_hz : float
        Range of the search, in hertz; :math:`0 < f_{min} < f_{max} \le` half the sample
        rate, and a frame must be longer than one period of the lowest pitch by two samples.
    frame_length : int
        Samples per frame; two periods of the lowest pitch or more are good.
    hop_length : int, optional
        Samples from frame to frame; a quarter of a frame if not given. Frame ``t`` is
        centered on sample ``t * hop_length``.
    threshold_prior : tuple of float
        Shape of the beta distribution over YIN's threshold. The paper's three are (2, 18),
        (2, 34/3) and (2, 8), with means of 0.1, 0.15 and 0.2; the larger the mean, the
        noisier a voice may be.
    resolution_semitones : float
        Spacing of the pitch bins, in (0, 1].
    max_transition_octaves_per_s : float
        The fastest glide.
    switch_probability : float
        Chance that voicing changes from one frame to the next, in (0, 1).
    no_trough_probability : float
        Weight of the deepest trough where no trough is below the threshold.

    Returns
    -------
    Pitch
        ``1 + samples // hop_length`` frames for an even ``frame_length``.

    Raises
    ------
    AudioError
        If the waveform is not one channel of finite samples.
    SettingsError
        If the range of the search and the frame do not fit together.

    Notes
    -----
    For float32 input ``librosa.pyin`` decodes the same states. Work space is 16 bytes times
    frames times pitch bins: 12 MB for 20 s at 100 frames per second from 65 to 600 Hz.

    Examples
    --------
    >>> time_s = np.arange(8000) / 16000
    >>> tone = np.sin(2 * np.pi * 220 * time_s).astype(np.float32)
    >>> found = pyin(tone, 16000, f0_min_hz=65, f0_max_hz=600, frame_length=1024)
    >>> bool(found.voiced[8:-8].all()), int(np.median(found.f0_hz).round())
    (True, 220)
    """
    hop = frame_length // 4 if hop_length is None else hop_length
    _check(waveform, sample_rate, f0_min_hz, f0_max_hz, frame_length, hop)
    observe, decode = _kernels()
    min_period = int(np.floor(sample_rate / f0_max_hz))
    max_period = min(int(np.ceil(sample_rate / f0_min_hz)), frame_length - 1)
    per_semitone = int(np.ceil(1 / resolution_semitones))
    n_bins = int(np.floor(12 * per_semitone * np.log2(f0_max_hz / f0_min_hz))) + 1
    padded = np.pad(np.asarray(waveform, np.float32), frame_length // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::hop]
    n_pad = scipy.fft.next_fast_len(2 * frame_length - 1, real=True)
    prior = _troughs_prior(threshold_prior, no_trough_probability, max_period)
    search = (min_period, float(sample_rate), float(f0_min_hz), 12.0 * per_semitone)
    n_frames = len(frames)
    chance = np.zeros((n_frames, 2 * n_bins))
    voiced_probability = np.empty(n_frames)
    for start in range(0, n_frames, BLOCK):
        block = frames[start : start + BLOCK]
        stop = start + len(block)
        spectrum = scipy.fft.rfft(block, n_pad, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        lags = scipy.fft.irfft(power, n_pad, axis=1)[:, : max_period + 1].copy()
        heads = block[:, :max_period].copy()
        observe(heads, lags, prior, search, chance[start:stop], voiced_probability[start:stop])
    semitones = round(max_transition_octaves_per_s * 12 * hop / sample_rate)
    first, stay, switch = _transitions(n_bins, semitones * per_semitone + 1, switch_probability)
    chance += TINY
    score = np.log(chance, out=chance)
    score[0] += np.log(1 / (2 * n_bins) + TINY)
    states = decode(score, first, stay, switch, float(np.log(TINY)))
    grid_hz = f0_min_hz * 2 ** (np.arange(n_bins) / (12 * per_semitone))
    return Pitch(grid_hz[states % n_bins], states < n_bins, voiced_probability)


def spread_cents(pitch: Pitch, n_frames: int) -> NDArray[np.float64]:
    """Return how far the voiced pitch around every frame spreads, in cents, shape (frames,).

    The distance from the 10th to the 90th percentile within ``n_frames``, an odd number; 0 in
    unvoiced frames.
    """
    cents = np.where(pitch.voiced, 1200 * np.log2(pitch.f0_hz), np.inf)
    padded = np.pad(cents, n_frames // 2, constant_values=np.inf)
    window = np.sort(np.lib.stride_tricks.sliding_window_view(padded, n_frames), axis=1)
    last = np.maximum(np.isfinite(window).sum(axis=1) - 1, 0)
    row = np.arange(len(window))
    low, high = (window[row, np.rint(q * last).astype(np.int64)] for q in (0.1, 0.9))
    return np.where(pitch.voiced, high, 0.0) - np.where(pitch.voiced, low, 0.0)


def _check(
    waveform: NDArray[np.float32],
    sample_rate: float,
    f0_min_hz: float,
    f0_max_hz: float,
    frame_length: int,
    hop: int,
) -> None:
    if waveform.ndim != 1 or waveform.size == 0:
        raise AudioError(f"a waveform of shape {waveform.shape} came; (samples,) is wanted")
    if not np.isfinite(waveform).all():
        raise AudioError("the waveform holds NaN or infinite samples; finite ones are wanted")
    if not 0 < f0_min_hz < f0_max_hz <= sample_rate / 2:
        raise SettingsError(
            f"f0_min_hz={f0_min_hz:g} and f0_max_hz={f0_max_hz:g} came; "
            f"0 < f0_min_hz < f0_max_hz <= {sample_rate / 2:g} is wanted"
        )
    if sample_rate / f0_min_hz >= frame_length - 1:
        raise SettingsError(
            f"frame_length={frame_length} came; at least {int(sample_rate / f0_min_hz) + 2} "
            f"samples are needed for f0_min_hz={f0_min_hz:g}"
        )
    if hop < 1:
        raise SettingsError(f"hop_length={hop} came; at least 1 is wanted")


@lru_cache(maxsize=8)
def _troughs_prior(
    threshold_prior: tuple[float, float], no_trough_probability: float, max_period: int
) -> tuple[NDArray[Any], ...]:
    """Return thresholds, their weights, the weight of "none below", and Boltzmann's two factors."""
    thresholds = np.linspace(0, 1, N_THRESHOLDS + 1)
    weights = np.diff(scipy.special.betainc(*threshold_prior, thresholds))
    none_below = np.array([weights[:n].sum() for n in range(N_THRESHOLDS + 1)])
    counts = np.arange(max_period + 2)
    decay = np.exp(-BOLTZMANN * counts)
    norm = (1 - np.exp(-BOLTZMANN)) / (1 - np.exp(-BOLTZMANN * np.maximum(counts, 1)))
    return thresholds[1:].copy(), weights, no_trough_probability * none_below, decay, norm


@lru_cache(maxsize=8)
def _transitions(
    n_bins: int, width: int, switch_probability: float
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest jump in bins and two tables of log chances, each (jumps, from bin)."""
    window = scipy.signal.get_window("triangle", width, fftbins=False)
    # For an even width the middle lies half a bin to one side, which one depends on n_bins.
    first = (n_bins - width) // 2 + n_bins // 2 + 1 - n_bins
    jumps = first + np.arange(width)[:, None]
    source = np.broadcast_to(np.arange(n_bins), (width, n_bins))
    target = source + jumps
    inside = (target >= 0) & (target < n_bins) & (np.abs(jumps) <= width // 2)
    # Whole rows are added up as the reference does: where paths tie, the last bit decides.
    rows = np.zeros((n_bins, n_bins))
    rows[source[inside], target[inside]] = np.broadcast_to(window[:, None], source.shape)[inside]
    chance = np.where(inside, window[:, None], 0.0) / rows.sum(axis=1)
    stay = 1 - switch_probability
    return first, np.log(stay * chance + TINY), np.log((1 - stay) * chance + TINY)


def _observe(
    heads: Any, lags: Any, prior: Any, search: Any, chance: Any, voiced_probability: Any
) -> None:
    """Fill ``chance`` (frames, 2 bins) with the chance of every state in every frame."""
    thresholds, weights, none_below, decay, norm = prior
    min_period, sample_rate, f0_min_hz, bins_per_octave = search
    n_thresholds = len(thresholds)
    n_bins = chance.shape[1] // 2
    max_period = heads.shape[1]
    size = max_period - min_period + 1
    depth = np.empty(size)
    where = np.empty(size, np.int64)
    level = np.empty(size, np.int64)
    mass = np.empty(size)
    entering = np.empty(n_thresholds, np.int64)
    for t in range(len(heads)):
        # Cumulative mean normalized difference, [2] eq. 8. The sums stay in single precision,
        # the precision of the samples, as in the reference.
        energy = np.float32(0)
        total = np.float32(0)
        for k in range(1, max_period + 1):
            x = heads[t, k - 1]
            energy = np.float32(energy + np.float32(x * x))
            d = np.float32(np.float32(np.float32(2) * (lags[t, 0] - lags[t, k])) - energy)
            total = np.float32(total + d)
            if k >= min_period:
                depth[k - min_period] = np.float64(d) / (np.float64(total) / k + TINY)
        # Troughs, and the first threshold that each lies below.
        n_troughs = 0
        deepest = 0
        entering[:] = 0
        for i in range(size):
            falls = i == 0 or depth[i] < depth[i - 1]
            rises = i == size - 1 or depth[i] < depth[i + 1]
            if falls and (rises or (i > 0 and depth[i] == depth[i + 1])):
                h = depth[i]
                place = n_thresholds
                if h < 1:
                    place = max(0, int(max(h, 0.0) * n_thresholds) - 1)
                    while place < n_thresholds and not h < thresholds[place]:
                        place += 1
                if place < n_thresholds:
                    entering[place] += 1
                where[n_troughs] = i
                level[n_troughs] = place
                mass[n_troughs] = 0
                if h < depth[where[deepest]]:
                    deepest = n_troughs
                n_troughs += 1
        # All thresholds between the same two troughs share one prior, so their weights add first.
        below = 0
        weight = 0.0
        for i in range(n_thresholds):
            below += entering[i]
            weight += weights[i]
            if i + 1 < n_thresholds and entering[i + 1] == 0:
                continue
            if below > 0 and weight > 0:
                rank = 0
                for m in range(n_troughs):
                    if level[m] <= i:
                        mass[m] += norm[below] * decay[rank] * weight
                        rank += 1
            weight = 0.0
        if n_troughs > 0:
            mass[deepest] += none_below[level[deepest]]
        # Candidates, refined by a parabola through three points, go to their pitch bins.
        for m in range(n_troughs):
            if mass[m] == 0:
                continue
            i = where[m]
            shift = 0.0
            if 0 < i < size - 1:
                curve = depth[i + 1] + depth[i - 1] - 2 * depth[i]
                slope = (depth[i + 1] - depth[i - 1]) / 2
                if abs(slope) < abs(curve):
                    shift = -slope / curve
            f0 = sample_rate / (min_period + i + shift)
            place = max(0, int(np.round(bins_per_octave * np.log2(f0 / f0_min_hz))))
            if place < n_bins:
                chance[t, place] = mass[m]
        voiced = 0.0
        for i in range(n_bins):
            voiced += chance[t, i]
        voiced = min(max(voiced, 0.0), 1.0)
        voiced_probability[t] = voiced
        chance[t, n_bins:] = (1 - voiced) / n_bins


def _decode(score: Any, first: Any, stay: Any, switch: Any, log_tiny: Any) -> Any:
    """Return the likeliest states; ``score`` (frames, 2 bins) turns into the path scores."""
    n_frames, n_states = score.shape
    n = n_states // 2
    width = stay.shape[0]
    best = np.empty(n_states)
    for t in range(1, n_frames):
        before = score[t - 1]
        # Any jump outside the band costs the same, so the best of them is one number.
        best[:] = before.max() + log_tiny
        for m in range(width):
            jump = first + m
            low = max(0, -jump)
            high = min(n, n - jump)
            was_voiced = before[low:high]
            was_unvoiced = before[n + low : n + high]
            stays = stay[m, low:high]
            switches = switch[m, low:high]
            voiced = best[low + jump : high + jump]
            unvoiced = best[n + low + jump : n + high + jump]
            for i in range(high - low):
                a = was_voiced[i] + stays[i]
                b = was_unvoiced[i] + switches[i]
                a = a if a > b else b
                voiced[i] = a if a > voiced[i] else voiced[i]
                a = was_voiced[i] + switches[i]
                b = was_unvoiced[i] + stays[i]
                a = a if a > b else b
                unvoiced[i] = a if a > unvoiced[i] else unvoiced[i]
        score[t] += best
    states = np.empty(n_frames, np.int64)
    states[-1] = score[-1].argmax()
    for t in range(n_frames - 2, -1, -1):
        to = states[t + 1]
        top = -np.inf
        for k in range(n_states):
            m = to % n - k % n - first
            cost = log_tiny
            if 0 <= m < width:
                cost = stay[m, k % n] if (to < n) == (k < n) else switch[m, k % n]
            if score[t, k] + cost > top:
                top = score[t, k] + cost
                states[t] = k
    return states


@cache
def _kernels() -> tuple[Callable[..., None], Callable[..., NDArray[np.int64]]]:
    """Return the compiled `_observe` and `_decode`.

    numba's cache on disk breaks, and from then on crashes every process that reads it, when
    two processes fill it at once. So all reading and filling happens here, once per process,
    behind a lock; the signatures are spelled out so that no later call compiles anything.
    """
    import numba
    from filelock import FileLock
    from numba import types as nb

    # Per user: a lock in a shared folder for temporary files belongs to whoever made it.
    owner = getattr(os, "getuid", lambda: "user")()
    single, double, line = nb.float32[:, ::1], nb.float64[:, ::1], nb.float64[::1]
    search = nb.Tuple((nb.int64, nb.float64, nb.float64, nb.float64))
    observe = nb.void(single, single, nb.UniTuple(line, 5), search, double, line)
    decode = nb.int64[::1](double, nb.int64, double, double, nb.float64)
    with FileLock(Path(tempfile.gettempdir()) / f"unstir-numba-{owner}.lock"):
        return (
            numba.njit(observe, cache=True, nogil=True)(_observe),
            numba.njit(decode, cache=True, nogil=True)(_decode),
        )
