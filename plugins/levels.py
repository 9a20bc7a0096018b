"""Gain, balance and width: what changes the level of channels, or of their sum and difference."""

from collections.abc import Mapping

import numpy as np
import scipy.signal

from unstir.errors import SettingsError
from unstir.plugins.equalizer import HIGHEST, Sections
from unstir.plugins.processors import Memoryless, Processor
from unstir.types import Waveform

Settings = Mapping[str, float | str]

# Left and right by number of channels, in the order of WAV: the front pair first; 5.1 is
# FL FR FC LFE BL BR. Where the number says nothing of the layout, the first two are taken.
PAIRS: Mapping[int, tuple[tuple[int, int], ...]] = {
    1: (),
    4: ((0, 1), (2, 3)),
    5: ((0, 1), (3, 4)),
    6: ((0, 1), (4, 5)),
    8: ((0, 1), (4, 5), (6, 7)),
}


def pairs(n_channels: int) -> tuple[tuple[int, int], ...]:
    """Return which channels are a left and a right.

    Examples
    --------
    >>> pairs(6)
    ((0, 1), (4, 5))
    """
    return PAIRS.get(n_channels, ((0, 1),))


def amplitude(level_db: float) -> float:
    """Return the factor of a level.

    Examples
    --------
    >>> round(amplitude(-6.0), 3)
    0.501
    """
    return float(10 ** (level_db / 20))


def open_gain(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a processor that makes the sound louder or softer."""
    factor = np.float32(amplitude(float(settings["gain_db"])))
    return Memoryless(lambda block: block * factor)


def open_pan(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a processor that turns down the side away from which the sound moves.

    In the middle both sides keep their level, so that nothing changes at all.

    Raises
    ------
    SettingsError
        If the sound has one channel.
    """
    if n_channels == 1:
        raise SettingsError("pan wants a left and a right; this sound has one channel")
    position = float(settings["position"])
    factors = np.ones((n_channels, 1), np.float32)
    for left, right in pairs(n_channels):
        factors[left if position > 0 else right] = np.cos(abs(position) * np.pi / 2)
    return Memoryless(lambda block: block * factors)


class Width:
    """Scales the difference of left and right against their sum.

    Parameters
    ----------
    width : float
        0 is mono, 1 changes nothing, 2 doubles the difference.
    mono_below_hz : float
        Below it the difference fades out; 0 leaves it.
    sample_rate, n_channels : int
        Of the sound.
    """

    latency = 0

    def __init__(
        self, width: float, mono_below_hz: float, sample_rate: int, n_channels: int
    ) -> None:
        self._width = np.float32(width)
        self._pairs = pairs(n_channels)
        self._cut: Sections | None = None
        if mono_below_hz:
            cutoff_hz = min(mono_below_hz, HIGHEST * sample_rate)
            sections = scipy.signal.butter(2, cutoff_hz, "highpass", fs=sample_rate, output="sos")
            self._cut = Sections(sections, len(self._pairs))

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        if not self._pairs:
            return block
        left, right = (list(side) for side in zip(*self._pairs, strict=True))
        side = (block[left] - block[right]) * np.float32(0.5)
        more = (self._cut.process(side, {}) if self._cut else side) * self._width - side
        done = block.copy()
        done[left] += more
        done[right] -= more
        return done


def open_width(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a processor that makes stereo wider or narrower; sound of one channel stays as it is.

    A sound that is the same on both sides has no difference, and stays so.
    """
    width, mono_below_hz = float(settings["width"]), float(settings["mono_below_hz"])
    return Width(width, mono_below_hz, sample_rate, n_channels)
