"""Glottal epochs and pitch by REAPER: the second opinion on what pYIN found.

REAPER [1]_ looks for the instants at which the glottis closes, so it errs elsewhere than
pYIN does, and where both agree the pitch can be trusted. It comes as the package
``pyreaper`` (the extra ``epochs``), which needs a compiler to install; `available` says
whether it is there.

Its cost grows with the sample rate, and faster than the length. So it is fed 16 kHz, in
pieces of a few seconds, and only where the caller expects a voice. On 60 s of read speech
that took 0.5 s on one core, against 2.6 s for one call at 16 kHz.

References
----------
.. [1] D. Talkin, "REAPER: Robust Epoch And Pitch EstimatoR", 2015,
   https://github.com/google/REAPER
"""

import ctypes
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError
from unstir.hybrid.pyin import Pitch

RATE_HZ = 16000
HOP_LENGTH = 160  # 10 ms, the grid on which the other tracker runs
PIECE_S = 5.0
MARGIN_S = 0.2  # REAPER settles within this time at the edges of a piece
MIN_PIECE_S = 0.06  # it refuses 50 ms and less
DITHER = 3
RUMBLE_HZ = 80.0
AGREEMENT_SEMITONES = 1.0
MIN_LAGS = 3  # it reads outside its memory if the search spans fewer samples

_TERMINAL = threading.Lock()


@dataclass(frozen=True, slots=True)
class Epochs:
    """What REAPER found.

    Parameters
    ----------
    f0_hz : ndarray of float64, shape (frames,)
        Fundamental frequency every 10 ms, in hertz; NaN where unvoiced or not looked at.
    times_s : ndarray of float64, shape (epochs,)
        Instants of glottal closure in voiced speech, in seconds, in rising order.
    """

    f0_hz: NDArray[np.float64]
    times_s: NDArray[np.float64]


def available() -> bool:
    """Return whether pyreaper is installed and can be imported."""
    return _reaper() is not None


def find_epochs(
    waveform: NDArray[np.float32],
    sample_rate: float,
    *,
    f0_min_hz: float,
    f0_max_hz: float,
    where: NDArray[np.bool_] | None = None,
) -> Epochs:
    """Return the pitch and the epochs of a single voice.

    Parameters
    ----------
    waveform : ndarray of float32, shape (samples,)
        One channel at any level.
    sample_rate : float
        Samples per second, in hertz; anything but 16 kHz is resampled to it.
    f0_min_hz, f0_max_hz : float
        Range of the search, in hertz.
    where : ndarray of bool, shape (frames,), optional
        The frames, one every 10 ms, to look at, with a margin of 0.2 s around them; all
        if not given.

    Returns
    -------
    Epochs
        ``1 + n // 160`` frames for ``n`` samples at 16 kHz.

    Raises
    ------
    AudioError
        If the waveform is not one channel of finite samples.
    SettingsError
        If pyreaper is not installed, or the range is empty.

    Examples
    --------
    >>> pulses = np.zeros(16000, np.float32)
    >>> pulses[::100] = 1
    >>> if available():
    ...     found = find_epochs(pulses, 16000, f0_min_hz=65, f0_max_hz=600)
    ...     assert 155 < np.nanmedian(found.f0_hz) < 165
    """
    if waveform.ndim != 1 or not np.isfinite(waveform).all():
        raise AudioError(
            f"a waveform of shape {waveform.shape} came; (samples,) of finite samples is wanted"
        )
    if not 0 < f0_min_hz < f0_max_hz or RATE_HZ / f0_min_hz - RATE_HZ / f0_max_hz < MIN_LAGS:
        raise SettingsError(
            f"f0_min_hz={f0_min_hz:g} and f0_max_hz={f0_max_hz:g} came; "
            f"0 < f0_min_hz < f0_max_hz, {MIN_LAGS} samples at 16 kHz apart, is wanted"
        )
    reaper = _reaper()
    if reaper is None:
        raise SettingsError("pyreaper is not installed; install unstir[epochs] to find epochs")
    if sample_rate != RATE_HZ and waveform.size:
        import soxr

        waveform = soxr.resample(waveform, sample_rate, RATE_HZ)
    n_frames = 1 + len(waveform) // HOP_LENGTH
    looked_at = np.ones(n_frames, np.bool_) if where is None else where
    pcm = _pcm(waveform)
    margin = round(MARGIN_S * RATE_HZ)
    times = [np.empty(0)]
    for first, stop in _pieces(looked_at) if pcm.any() else ():
        begin = max(0, first * HOP_LENGTH - margin)
        piece = pcm[begin : stop * HOP_LENGTH + margin]
        if len(piece) <= MIN_PIECE_S * RATE_HZ:
            continue
        with _silenced():
            try:
                at, is_voiced, *_ = reaper(
                    piece, RATE_HZ, minf0=f0_min_hz, maxf0=f0_max_hz, do_high_pass=False
                )
            except (RuntimeError, IndexError):  # its answers to a piece without pulses
                continue
        at = np.rint(at[is_voiced == 1] * RATE_HZ) + begin
        mine = (at >= first * HOP_LENGTH) & (at < stop * HOP_LENGTH) & (at < len(pcm))
        times.append(at[mine] / RATE_HZ)
    times_s = np.unique(np.concatenate(times))
    return Epochs(_f0_between(times_s, f0_min_hz, n_frames), times_s)


def second_opinion(
    pitch: Pitch, waveform: NDArray[np.float32], *, f0_min_hz: float, f0_max_hz: float
) -> Pitch:
    """Return a pitch with the confidence that it deserves in the light of REAPER's.

    Parameters
    ----------
    pitch : Pitch
        One value every 10 ms.
    waveform : ndarray of float32, shape (samples,)
        The sound at 16 kHz that it was found in.
    f0_min_hz, f0_max_hz : float
        Range of the search, in hertz.

    Returns
    -------
    Pitch
        Where REAPER finds the same pitch within a semitone, the doubt, which is what the
        voiced probability lacks to 1, is halved. Three quarters of the probability are left
        where it finds another pitch, and half where it finds none.

    Notes
    -----
    On scenes of speech, music and effects, pYIN was right in 75 % of the frames of the first
    kind, 40 % of the second and 25 % of the third.
    """
    other = find_epochs(
        waveform, RATE_HZ, f0_min_hz=f0_min_hz, f0_max_hz=f0_max_hz, where=pitch.voiced
    )
    found = np.isfinite(other.f0_hz)
    ratio = np.divide(other.f0_hz, pitch.f0_hz, out=np.ones_like(pitch.f0_hz), where=found)
    agree = found & (np.abs(12 * np.log2(ratio)) < AGREEMENT_SEMITONES)
    p = pitch.voiced_probability
    return replace(
        pitch, voiced_probability=np.where(agree, (1 + p) / 2, np.where(found, 0.75, 0.5) * p)
    )


def _pcm(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return the waveform without rumble, as loud as 16 bits allow."""
    peak = np.abs(waveform).max(initial=0)
    if peak == 0 or len(waveform) < 2:
        return np.zeros(len(waveform), np.int16)
    sos = scipy.signal.butter(2, RUMBLE_HZ, "highpass", fs=RATE_HZ, output="sos")
    filtered = scipy.signal.sosfiltfilt(sos, waveform / peak, padlen=0)
    # A constant leaves only rounding noise, which must not be blown up to a signal.
    scaled = filtered * (29000 / max(np.abs(filtered).max(), 1e-3))
    # REAPER reads outside its memory if the first pulse it sees lies within a period of the
    # end; in noise at -80 dB it sees one at once.
    noise = np.random.default_rng(0).integers(-DITHER, DITHER + 1, len(scaled))
    return np.asarray(scaled + noise, np.int16)


def _f0_between(
    times_s: NDArray[np.float64], f0_min_hz: float, n_frames: int
) -> NDArray[np.float64]:
    """Return one over the time between epochs, per frame, as a mean over three periods."""
    f0_hz = np.full(n_frames, np.nan)
    if len(times_s) < 4:
        return f0_hz
    period = np.diff(times_s)
    # Epochs further apart than the longest period belong to two stretches of speech.
    together = period < 1.25 / f0_min_hz
    sums = scipy.ndimage.uniform_filter1d(np.where(together, period, 0), 3, mode="constant")
    counts = scipy.ndimage.uniform_filter1d(together.astype(np.float64), 3, mode="constant")
    smooth = sums / np.maximum(counts, 1e-9)
    at = np.arange(n_frames) * (HOP_LENGTH / RATE_HZ)
    k = np.searchsorted(times_s, at, side="right") - 1
    inside = (k >= 0) & (k < len(period))
    k = np.clip(k, 0, len(period) - 1)
    inside &= together[k]
    f0_hz[inside] = 1 / smooth[k[inside]]
    return f0_hz


def _pieces(where: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield where every stretch to look at begins and ends, in frames; five seconds at most."""
    gap = round(2 * MARGIN_S * RATE_HZ / HOP_LENGTH)
    longest = round(PIECE_S * RATE_HZ / HOP_LENGTH)
    frames = np.flatnonzero(where)
    if frames.size == 0:
        return
    # Stretches whose margins would overlap are one piece.
    breaks = np.flatnonzero(np.diff(frames) > gap)
    firsts = frames[np.concatenate([[0], breaks + 1])]
    stops = frames[np.concatenate([breaks, [-1]])] + 1
    for first, stop in zip(firsts.tolist(), stops.tolist(), strict=True):
        parts = -(-(stop - first) // longest)
        edges = [first + (stop - first) * k // parts for k in range(parts + 1)]
        yield from pairwise(edges)


@cache
def _reaper() -> Callable[..., Any] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports the deprecated pkg_resources
        try:
            from pyreaper import reaper
        except ImportError:
            return None
    return reaper  # type: ignore[no-any-return]


@contextmanager
def _silenced() -> Iterator[None]:
    """Send what C code prints nowhere.

    REAPER writes its diagnostics with ``fprintf``, out of the reach of ``sys.stdout``, so
    the file descriptors themselves are turned away. They belong to the whole process, hence
    the lock; what the C library still buffers is flushed before and after, or it would come
    out later.
    """
    libc = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    with _TERMINAL:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        libc.fflush(None)
        kept = []
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            for descriptor in (1, 2):
                try:
                    kept.append((descriptor, os.dup(descriptor)))
                except OSError:  # a service may have closed it
                    continue
                os.dup2(sink, descriptor)
            yield
        finally:
            libc.fflush(None)
            for descriptor, copy in kept:
                os.dup2(copy, descriptor)
                os.close(copy)
            os.close(sink)
