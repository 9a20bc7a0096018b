"""What effects are made of: processors that give as many samples as they take, a known time later.

Three habits of Pedalboard are put right here. It guesses from a block's shape which axis is the
channels, so that two samples of stereo are read the wrong way round: it is only given one axis,
or far more samples than channels. It forgets its state when a block is longer than all before:
it is first given silence as long as the longest. And what it holds back of a stream it leaves
out, so that everything shifts: that many zeros stand in front.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from unstir.types import Waveform

LONGEST = 8192  # samples that Pedalboard is given at once


class Processor(Protocol):
    """One effect at work on one sound."""

    @property
    def latency(self) -> int:
        """How many samples later everything comes out."""

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came, those of ``latency`` samples ago."""


class DelayLine:
    """Gives back what it was given, a fixed number of samples later; silence before.

    Parameters
    ----------
    n_samples : int
        How much later.

    Examples
    --------
    >>> line = DelayLine(2)
    >>> line.process(np.array([[1, 2, 3]], np.float32)).tolist()
    [[0.0, 0.0, 1.0]]
    """

    def __init__(self, n_samples: int) -> None:
        self._n_samples = n_samples
        self._kept: Waveform | None = None

    def process(self, block: Waveform) -> Waveform:
        """Return as many samples as came, those of long ago."""
        if not self._n_samples:
            return block
        if self._kept is None:
            self._kept = np.zeros((len(block), self._n_samples), np.float32)
        both = np.concatenate([self._kept, block], axis=1)
        self._kept = both[:, block.shape[1] :]
        return both[:, : block.shape[1]]


class Memoryless:
    """Makes each sample from the channels' samples of that instant alone.

    Parameters
    ----------
    function : callable
        Takes and returns an array of shape (channels, samples) and leaves the argument as it is.
    """

    latency = 0

    def __init__(self, function: Callable[[Waveform], Waveform]) -> None:
        self._function = function

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        return np.asarray(self._function(block), np.float32)


class PerChannel:
    """A Pedalboard plug-in for each channel, so that no shape is there to be guessed.

    Parameters
    ----------
    make : callable
        Returns a new plug-in for the channel of the given index.
    sample_rate, n_channels : int
        Of the sound.

    Attributes
    ----------
    latency : int
        What the plug-in holds back, found by giving it silence.
    """

    def __init__(self, make: Callable[[int], Any], sample_rate: int, n_channels: int) -> None:
        self._sample_rate = sample_rate
        self._plugins = [make(k) for k in range(n_channels)]
        silence = np.zeros(LONGEST, np.float32)
        given = [p.process(silence, sample_rate, reset=False) for p in self._plugins]
        self.latency = LONGEST - len(given[0])

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        done = np.empty_like(block)
        for start in range(0, block.shape[1], LONGEST):
            for k, plugin in enumerate(self._plugins):
                piece = np.ascontiguousarray(block[k, start : start + LONGEST])
                done[k, start : start + LONGEST] = plugin.process(
                    piece, self._sample_rate, reset=False
                )
        return done


class Blocked:
    """Something that wants blocks of a fixed length, or whole multiples of one, fed as it likes.

    Parameters
    ----------
    run : callable
        Takes an array of shape (channels, samples) and returns one of that shape.
    n_channels, length : int
        Of the blocks it is given.
    late : int
        How many samples later ``run`` gives what it takes.
    multiples : bool
        Whether several blocks may be given at once.

    Attributes
    ----------
    latency : int
        ``late``, and the samples that may wait for a block to be full.
    """

    def __init__(
        self,
        run: Callable[[Waveform], Waveform],
        n_channels: int,
        length: int,
        *,
        late: int = 0,
        multiples: bool = False,
    ) -> None:
        self._run, self._length = run, length
        self._most = LONGEST // length * length if multiples else length
        self.latency = length - 1 + late
        self._waiting: Waveform = np.zeros((n_channels, 0), np.float32)
        self._ready: Waveform = np.zeros((n_channels, length - 1), np.float32)

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        waiting = np.concatenate([self._waiting, block], axis=1)
        whole = waiting.shape[1] // self._length * self._length
        ready = [self._ready]
        for start in range(0, whole, self._most):
            stop = min(start + self._most, whole)
            ready.append(self._run(np.ascontiguousarray(waiting[:, start:stop])))
        self._waiting = waiting[:, whole:].copy()
        out = np.concatenate(ready, axis=1)
        self._ready = out[:, block.shape[1] :].copy()
        return out[:, : block.shape[1]]


def joint(plugin: Any, sample_rate: int, n_channels: int) -> Blocked:
    """Return a Pedalboard plug-in that must see all channels at once.

    Parameters
    ----------
    plugin : pedalboard.Plugin
        New. What it gives does not depend on how the sound is cut, but for the shape it guesses.
    sample_rate, n_channels : int
        Of the sound.
    """
    silence = np.zeros((n_channels, LONGEST), np.float32)
    given = plugin.process(silence, sample_rate, reset=False)
    return Blocked(
        lambda block: np.asarray(plugin.process(block, sample_rate, reset=False), np.float32),
        n_channels,
        max(16, 2 * n_channels),  # longer than wide: read the right way round
        late=LONGEST - given.shape[1],
        multiples=True,
    )
