"""Filters: Butterworth high-pass and low-pass, shelves, peaks and notches."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from unstir.plugins.processors import Memoryless, Processor
from unstir.types import Waveform

Settings = Mapping[str, float | str]
HIGHEST = 0.49  # of the sample rate: above, a filter has nothing left to shape


class Sections:
    """Second-order sections in double precision.

    Pedalboard's filters compute in single precision, which at 60 Hz adds noise at -83 dB; and
    its high-pass and low-pass are of first order.

    Parameters
    ----------
    sections : ndarray of float64, shape (sections, 6)
        As scipy designs them.
    n_channels : int
        Of the sound.
    """

    latency = 0

    def __init__(self, sections: NDArray[np.float64], n_channels: int) -> None:
        self._sections = sections
        self._state: NDArray[Any] = np.zeros((len(sections), n_channels, 2))

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        if not block.shape[1]:
            return block
        done, state = scipy.signal.sosfilt(self._sections, block, axis=1, zi=self._state)
        # In long silence the filters' memory would fade into slow subnormal numbers.
        self._state = np.where(np.abs(state) < 1e-100, 0.0, state)
        return np.asarray(done, np.float32)


def _identity(block: Waveform) -> Waveform:
    return block


def open_high_pass(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a Butterworth high-pass: -3 dB at ``cutoff_hz``, 6 dB per octave and order."""
    cutoff_hz = min(float(settings["cutoff_hz"]), HIGHEST * sample_rate)
    return Sections(_butterworth(settings, cutoff_hz, "highpass", sample_rate), n_channels)


def open_low_pass(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a Butterworth low-pass: -3 dB at ``cutoff_hz``, 6 dB per octave and order."""
    cutoff_hz = float(settings["cutoff_hz"])
    if cutoff_hz >= HIGHEST * sample_rate:
        return Memoryless(_identity)
    return Sections(_butterworth(settings, cutoff_hz, "lowpass", sample_rate), n_channels)


def _butterworth(
    settings: Settings, cutoff_hz: float, kind: Literal["highpass", "lowpass"], sample_rate: int
) -> NDArray[np.float64]:
    order = round(float(settings["order"]))
    found = scipy.signal.butter(order, cutoff_hz, kind, fs=sample_rate, output="sos")
    return np.asarray(found, np.float64)


def butterworth_qs(order: int) -> tuple[float, ...]:
    """Return the Q of each pair of poles of a Butterworth filter; an odd order has one pole more.

    Examples
    --------
    >>> [round(q, 4) for q in butterworth_qs(4)]
    [1.3066, 0.5412]
    """
    pairs = range(order // 2)
    return tuple(0.5 / math.sin(math.pi * (2 * k + 1) / (2 * order)) for k in pairs)


def open_notch(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a notch: nothing is left at ``cutoff_hz``, -3 dB at a band of ``cutoff_hz / q``."""
    cutoff_hz = float(settings["cutoff_hz"])
    if cutoff_hz >= HIGHEST * sample_rate:
        return Memoryless(_identity)
    b, a = scipy.signal.iirnotch(cutoff_hz, float(settings["q"]), sample_rate)
    return Sections(np.concatenate([b, a])[None], n_channels)


def open_peak(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a bell of ``gain_db`` around ``cutoff_hz``."""
    return _band("peak", settings, sample_rate, n_channels)


def open_high_shelf(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a shelf that reaches half its ``gain_db`` at ``cutoff_hz``, and all of it above."""
    return _band("high-shelf", settings, sample_rate, n_channels)


def open_low_shelf(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a shelf that reaches half its ``gain_db`` at ``cutoff_hz``, and all of it below."""
    return _band("low-shelf", settings, sample_rate, n_channels)


def _band(kind: str, settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    cutoff_hz = float(settings["cutoff_hz"])
    if cutoff_hz >= HIGHEST * sample_rate:
        if kind != "low-shelf":
            return Memoryless(_identity)  # all that it shapes lies above the sound
        cutoff_hz = HIGHEST * sample_rate
    section = biquad(
        kind, cutoff_hz / sample_rate, float(settings["gain_db"]), float(settings["q"])
    )
    return Sections(section, n_channels)


def biquad(kind: str, cutoff: float, gain_db: float, q: float) -> NDArray[np.float64]:
    """Return a bell or shelf as a second-order section [1]_, as Pedalboard's filters are.

    Parameters
    ----------
    kind : {"peak", "low-shelf", "high-shelf"}
        Its shape.
    cutoff : float
        Center, or where a shelf has half its gain, in (0, 0.5) of the sample rate.
    gain_db : float
        At the center, or on the shelf.
    q : float
        How narrow, or how steep.

    Returns
    -------
    ndarray of float64, shape (1, 6)

    References
    ----------
    .. [1] R. Bristow-Johnson, "Audio EQ cookbook", W3C Working Group Note, 2021.

    Examples
    --------
    >>> at_nyquist = np.array([1, -1, 1])
    >>> section = biquad("high-shelf", 0.1, 6.0, 0.7)[0]
    >>> round(float(20 * np.log10(section[:3] @ at_nyquist / (section[3:] @ at_nyquist))), 6)
    6.0
    """
    root = 10 ** (gain_db / 40)  # of the amplitude: bells and their inverses are alike
    cosine, alpha = np.cos(2 * np.pi * cutoff), np.sin(2 * np.pi * cutoff) / (2 * q)
    if kind == "peak":
        b = [1 + alpha * root, -2 * cosine, 1 - alpha * root]
        a = [1 + alpha / root, -2 * cosine, 1 - alpha / root]
    else:
        sign = 1 if kind == "high-shelf" else -1  # one shelf is the other, mirrored in frequency
        slope = 2 * np.sqrt(root) * alpha
        up, down = root + 1, root - 1
        b = [
            root * (up + sign * down * cosine + slope),
            -2 * sign * root * (down + sign * up * cosine),
            root * (up + sign * down * cosine - slope),
        ]
        a = [
            up - sign * down * cosine + slope,
            2 * sign * (down - sign * up * cosine),
            up - sign * down * cosine - slope,
        ]
    return np.asarray(np.divide([[*b, *a]], a[0]), np.float64)
