"""Pitch shift, window by window.

Pedalboard's ``PitchShift`` gives nothing but silence as a stream (its issue 415), and in one piece
it makes a steady tone warble. Its ``time_stretch``, with nothing to stretch, does neither, but has
no stream. So it is given windows with context on both sides, which are joined where they fit.
"""

from collections.abc import Mapping

import numpy as np
import scipy.signal

from unstir.plugins.processors import Blocked, Processor
from unstir.types import Waveform

Settings = Mapping[str, float | str]
WINDOW_S, CONTEXT_S = 2.0, 0.25
FADE_S, SEARCH_S = 0.04, 0.005  # of a join: a few periods of a voice, and half a low one


class Joined:
    """Shifts windows of ``length`` samples and joins each to the last; see `open_pitch_shift`."""

    def __init__(self, semitones: float, sample_rate: int, n_channels: int) -> None:
        self._semitones, self._sample_rate = semitones, sample_rate
        self.length, self._context, self._fade, self._search = (
            round(s * sample_rate) for s in (WINDOW_S, CONTEXT_S, FADE_S, SEARCH_S)
        )
        self._kept = np.zeros((n_channels, self._context + self.length), np.float32)
        self._last = np.zeros((n_channels, self._fade), np.float32)
        fade = np.sin(np.linspace(0, np.pi / 2, self._fade)) ** 2
        self._fade_in = fade.astype(np.float32)

    def run(self, block: Waveform) -> Waveform:
        """Take a window and return the one before it, shifted."""
        both = np.concatenate([self._kept, block], axis=1)
        window = both[:, : self.length + 2 * self._context]
        self._kept = both[:, self.length :]
        shifted = _shift(window, self._semitones, self._sample_rate)
        start = self._context
        start += self._lag(shifted[:, start - self._search : start + self._fade + self._search])
        out = shifted[:, start : start + self.length].copy()
        head = out[:, : self._fade]
        head[:] = self._fade_in * head + (1 - self._fade_in) * self._last
        self._last = shifted[:, start + self.length : start + self.length + self._fade]
        return out

    def _lag(self, head: Waveform) -> int:
        """Return where the head of a window fits the end of the last one best."""
        line, last = head.sum(axis=0, dtype=np.float64), self._last.sum(axis=0, dtype=np.float64)
        energy = np.convolve(line**2, np.ones(self._fade), "valid")
        if energy.min() < 1e-8 or last @ last < 1e-8:
            return 0
        fit = scipy.signal.correlate(line, last, "valid", method="fft") / np.sqrt(energy)
        return int(np.argmax(fit)) - self._search


def open_pitch_shift(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return Pedalboard's pitch shifter, as a stream as long as the sound.

    A phase vocoder smears in time: where a sound is, is known to some 10 ms only.
    """
    semitones = float(settings["semitones"])
    joined = Joined(semitones, sample_rate, n_channels)
    return Blocked(joined.run, n_channels, joined.length, late=joined.length)


def _shift(waveform: Waveform, semitones: float, sample_rate: int) -> Waveform:
    import pedalboard

    done = np.zeros_like(waveform)
    if not waveform.any():
        return done
    waveform = np.ascontiguousarray(waveform)
    shifted = pedalboard.time_stretch(
        waveform, sample_rate, stretch_factor=1.0, pitch_shift_in_semitones=semitones
    )
    n = min(waveform.shape[1], shifted.shape[1])
    done[:, :n] = shifted[:, :n]
    return done
