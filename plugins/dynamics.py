"""Gains that follow the sound: compressor, gate, de-esser, limiter, ducking.

One gain serves all channels, so that the image stays where it is: Pedalboard's compressor and
gate work on each channel alone. Attack and release are, as there, the time in which all but
0.2 % of a step is done.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from unstir.plugins.equalizer import HIGHEST
from unstir.plugins.processors import DelayLine, Processor, joint
from unstir.types import Waveform

Settings = Mapping[str, float | str]
Line = NDArray[np.float64]  # (samples,)
QUIET = 1e-6  # -120 dB; softer than that is silence
DETECTOR_RELEASE_MS = 30.0  # longer than a period of the lowest voice
DUCK_KNEE_DB = 6.0  # from the threshold to the full range: no chatter about one level
SIBILANT_KNEE_DB = 6.0
SPLIT_S = 0.003  # length of the filter that splits off the sibilants
# Between the samples that the limiter looks at, peaks reached 0.14 dB more, with white noise.
TRUE_PEAK_MARGIN_DB = 0.2


class Follower:
    """Smooths a line: up at one speed, down at another, and not down before a while has passed.

    Parameters
    ----------
    up_ms, down_ms : float
        Time for all but 0.2 % of a step; 0 follows at once.
    hold_ms : float
        After the line was last above, before the way down begins.
    sample_rate : int
        In hertz.
    start : float
        Where it stands at first.

    Examples
    --------
    >>> follower = Follower(0, 1.0, 0, 1000)
    >>> follower.process(np.array([1.0, 0.0])).round(4).tolist()
    [1.0, 0.0019]
    """

    def __init__(
        self, up_ms: float, down_ms: float, hold_ms: float, sample_rate: int, start: float = 0.0
    ) -> None:
        self._up, self._down = _coefficient(up_ms, sample_rate), _coefficient(down_ms, sample_rate)
        self._hold = round(hold_ms * sample_rate / 1000)
        self._state = np.array([start, 0.0])

    def process(self, line: Line) -> Line:
        """Return as many values as came.

        Returns
        -------
        ndarray of float64, shape (samples,)
        """
        out = np.empty(len(line))
        _kernel()(line, self._up, self._down, self._hold, self._state, out)
        return out


def _coefficient(time_ms: float, sample_rate: int) -> float:
    return math.exp(-2000 * math.pi / (sample_rate * time_ms)) if time_ms >= 1e-3 else 0.0


def _follow(
    line: Line, up: float, down: float, hold: int, state: Line, out: Line
) -> None:  # pragma: no cover - compiled
    value, wait = state[0], state[1]
    for i in range(len(line)):
        x = line[i]
        if x >= value:
            value = x + up * (value - x)
            wait = hold
        elif wait > 0:
            wait -= 1
        else:
            value = x + down * (value - x)
        out[i] = value
    state[0], state[1] = value, wait


@functools.cache
def _kernel() -> Callable[..., None]:
    import numba
    from numba import types as nb

    line = nb.float64[::1]
    signature = nb.void(line, nb.float64, nb.float64, nb.int64, line, line)
    compiled: Callable[..., None] = numba.njit(signature, nogil=True)(_follow)
    return compiled


def _loudest(block: Waveform) -> Line:
    return np.asarray(np.abs(block).max(axis=0), np.float64)


def _level_db(amplitude: Line) -> Line:
    return np.asarray(20 * np.log10(np.maximum(amplitude, QUIET)), np.float64)


def _turned(block: Waveform, gain_db: Line) -> Waveform:
    return block * (10 ** (gain_db / 20)).astype(np.float32)


class Compressor:
    """Turns down what is loud; see `open_compressor`."""

    latency = 0

    def __init__(self, settings: Settings, sample_rate: int) -> None:
        self._threshold_db, self._ratio = _floats(settings, "threshold_db", "ratio")
        self._knee_db, self._makeup_db = _floats(settings, "knee_db", "makeup_db")
        attack_ms, release_ms = _floats(settings, "attack_ms", "release_ms")
        self._level = Follower(attack_ms, release_ms, 0, sample_rate)

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        over_db = _level_db(self._level.process(_loudest(block))) - self._threshold_db
        if self._knee_db:
            inside = np.clip(over_db + self._knee_db / 2, 0, self._knee_db)
            beyond = np.maximum(over_db - self._knee_db / 2, 0)
            over_db = inside**2 / (2 * self._knee_db) + beyond
        gain_db = np.maximum(over_db, 0) * (1 / self._ratio - 1)
        return _turned(block, gain_db + self._makeup_db)


class Gate:
    """Turns down what is soft; see `open_gate`."""

    latency = 0

    def __init__(self, settings: Settings, sample_rate: int) -> None:
        self._threshold_db, self._range_db = _floats(settings, "threshold_db", "range_db")
        attack_ms, release_ms, hold_ms = _floats(settings, "attack_ms", "release_ms", "hold_ms")
        self._level = Follower(0, DETECTOR_RELEASE_MS, 0, sample_rate)
        self._gain_db = Follower(attack_ms, release_ms, hold_ms, sample_rate, self._range_db)

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        level_db = _level_db(self._level.process(_loudest(block)))
        target_db = np.where(level_db >= self._threshold_db, 0.0, self._range_db)
        return _turned(block, self._gain_db.process(target_db))


class DeEsser:
    """Turns down the sibilant band where it outweighs the rest; see `open_de_esser`."""

    def __init__(self, settings: Settings, sample_rate: int, n_channels: int) -> None:
        self._threshold_db, self._range_db = _floats(settings, "threshold_db", "range_db")
        cutoff_hz, attack_ms, release_ms = _floats(settings, "cutoff_hz", "attack_ms", "release_ms")
        # Linear phase, so that the band can be taken out of the sound, and all of it.
        n_taps = 2 * round(SPLIT_S * sample_rate / 2) + 1
        cutoff_hz = min(cutoff_hz, HIGHEST * sample_rate)
        self._taps = scipy.signal.firwin(n_taps, cutoff_hz, pass_zero=False, fs=sample_rate)
        self._memory: NDArray[Any] = np.zeros((n_channels, n_taps - 1))
        self.latency = n_taps // 2
        self._line = DelayLine(self.latency)
        self._band_level = Follower(0, DETECTOR_RELEASE_MS, 0, sample_rate)
        self._level = Follower(0, DETECTOR_RELEASE_MS, 0, sample_rate)
        self._depth = Follower(attack_ms, release_ms, 0, sample_rate)

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        if not block.shape[1]:
            return block
        # With one coefficient below the line scipy would sum in an order that hangs on the length.
        split, self._memory = scipy.signal.lfilter(
            self._taps, [1.0, 0.0], block, axis=1, zi=self._memory
        )
        band = np.asarray(split, np.float32)
        block = self._line.process(block)
        band_db = _level_db(self._band_level.process(_loudest(band)))
        # In near silence nothing is sibilant: hiss there is nobody's ess.
        whole_db = _level_db(np.maximum(self._level.process(_loudest(block)), 1e-3))
        over_db = band_db - whole_db - self._threshold_db
        depth = self._depth.process(np.clip(over_db / SIBILANT_KNEE_DB, 0, 1))
        return block + (_turned(band, depth * self._range_db) - band)


class Ducking:
    """Turns the sound down while a key sounds; see `open_ducking`."""

    def __init__(self, settings: Settings, sample_rate: int) -> None:
        self._by = str(settings["by"])
        self._threshold_db, self._range_db = _floats(settings, "threshold_db", "range_db")
        attack_ms, release_ms, hold_ms = _floats(settings, "attack_ms", "release_ms", "hold_ms")
        (lookahead_ms,) = _floats(settings, "lookahead_ms")
        self.latency = round(lookahead_ms * sample_rate / 1000)
        self._level = Follower(0, DETECTOR_RELEASE_MS, 0, sample_rate)
        self._depth = Follower(attack_ms, release_ms, hold_ms, sample_rate)
        self._line = DelayLine(self.latency)

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        # The sound waits, the key does not: the gain is down before the word.
        level_db = _level_db(self._level.process(_loudest(keys[self._by])))
        speaks = np.clip((level_db - self._threshold_db) / DUCK_KNEE_DB, 0, 1)
        return _turned(self._line.process(block), self._depth.process(speaks) * self._range_db)


def _floats(settings: Settings, *names: str) -> tuple[Any, ...]:
    return tuple(float(settings[name]) for name in names)


def open_compressor(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a compressor: ``ratio`` dB in, above ``threshold_db``, for one dB out.

    With one channel and no knee it does what Pedalboard's does.
    """
    return Compressor(settings, sample_rate)


def open_gate(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a gate: below ``threshold_db`` the sound is turned down by ``range_db``."""
    return Gate(settings, sample_rate)


def open_de_esser(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a de-esser: the band above ``cutoff_hz`` alone is turned down, by ``range_db``.

    It begins where that band is louder than ``threshold_db`` against the whole, and has its
    full range 6 dB above: how loud the voice is makes no difference.
    """
    return DeEsser(settings, sample_rate, n_channels)


def open_ducking(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return what turns the sound down by ``range_db`` while the stem ``by`` sounds.

    The stem sounds from ``threshold_db`` on. The way down begins ``lookahead_ms`` before it, and
    the way up ``hold_ms`` after it.
    """
    return Ducking(settings, sample_rate)


def open_limiter(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a limiter that looks ahead; between samples, too, nothing passes ``ceiling_db``."""
    import pedalboard

    ceiling_db, release_ms, lookahead_ms = _floats(
        settings, "ceiling_db", "release_ms", "lookahead_ms"
    )
    plugin = pedalboard.BrickwallLimiter(
        ceiling_db=ceiling_db - TRUE_PEAK_MARGIN_DB,
        release_ms=release_ms,
        lookahead_ms=lookahead_ms,
        true_peak=True,
    )
    return joint(plugin, sample_rate, n_channels)
