"""What works on a sound in one piece only, at work on a stream: window by window."""

from collections.abc import Callable

import numpy as np
import scipy.signal

from unstir.plugins.processors import Blocked
from unstir.types import Waveform


class _Joined:
    """Changes windows and joins each to the last; see `windowed`."""

    def __init__(
        self,
        change: Callable[[Waveform], Waveform],
        n_channels: int,
        length: int,
        context: int,
        fade: int,
        search: int,
    ) -> None:
        self._change = change
        self.length, self._context, self._fade, self._search = length, context, fade, search
        self._kept = np.zeros((n_channels, context + length), np.float32)
        self._last = np.zeros((n_channels, fade), np.float32)
        ramp = np.sin(np.linspace(0, np.pi / 2, fade)) ** 2
        self._fade_in = ramp.astype(np.float32)

    def run(self, block: Waveform) -> Waveform:
        """Take a window and return the one before it, changed."""
        both = np.concatenate([self._kept, block], axis=1)
        window = both[:, : self.length + 2 * self._context]
        self._kept = both[:, self.length :]
        changed = np.zeros_like(window)
        if window.any():
            given = self._change(np.ascontiguousarray(window))
            n = min(window.shape[1], given.shape[1])
            changed[:, :n] = given[:, :n]
        start = self._context
        start += self._lag(changed[:, start - self._search : start + self._fade + self._search])
        out = changed[:, start : start + self.length].copy()
        head = out[:, : self._fade]
        head[:] = self._fade_in * head + (1 - self._fade_in) * self._last
        self._last = changed[:, start + self.length : start + self.length + self._fade]
        return out

    def _lag(self, head: Waveform) -> int:
        """Return where the head of a window fits the end of the last one best."""
        line, last = head.sum(axis=0, dtype=np.float64), self._last.sum(axis=0, dtype=np.float64)
        energy = np.convolve(line**2, np.ones(self._fade), "valid")
        if energy.min() < 1e-8 or last @ last < 1e-8:
            return 0
        fit = scipy.signal.correlate(line, last, "valid", method="fft") / np.sqrt(energy)
        return int(np.argmax(fit)) - self._search


def windowed(
    change: Callable[[Waveform], Waveform],
    n_channels: int,
    *,
    length: int,
    context: int,
    fade: int,
    search: int = 0,
) -> Blocked:
    """Return a processor that changes windows with context on both sides, and cross-fades them.

    Parameters
    ----------
    change : callable
        Takes and returns an array of shape (channels, samples), in place in time. It is not
        given silence, which stays.
    n_channels : int
        Of the sound.
    length, context, fade : int
        Samples of a window, of its context on each side, and of a join; the context is longer
        than the join and the search.
    search : int
        By how many samples a window may be moved to fit the last one.
    """
    joined = _Joined(change, n_channels, length, context, fade, search)
    return Blocked(joined.run, n_channels, length, late=length)
