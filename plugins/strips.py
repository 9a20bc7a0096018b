"""What a rack is made of: strips, one for each stem, and the same at work on streams."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError
from unstir.plugins.automation import GainCurve, check_gain
from unstir.plugins.chains import Chain, ChainStream
from unstir.plugins.levels import amplitude, pairs
from unstir.types import Stems, Waveform

THROUGH = Chain("through")


@dataclass(frozen=True, slots=True)
class Strip:
    """What happens to one stem: the chain first, then its level and place.

    Parameters
    ----------
    chain : Chain
        Its effects.
    gain_db : float
        Up to 24; minus infinity is silence.
    pan : float
        -1 (left) to 1 (right): the side away from which it moves gets softer, by a cosine. At
        0 nothing changes.
    mute, solo : bool
        Whether it is silent; whether all stems without solo are.
    automation : GainCurve, optional
        A gain that moves, on top of ``gain_db``.

    Raises
    ------
    SettingsError
        If gain or pan lies outside its range.
    """

    chain: Chain = THROUGH
    gain_db: float = 0.0
    pan: float = 0.0
    mute: bool = False
    solo: bool = False
    automation: GainCurve | None = None

    def __post_init__(self) -> None:
        check_gain("the gain of a stem", self.gain_db)
        if not -1 <= self.pan <= 1:
            raise SettingsError(f"pan {self.pan:g} came; -1 (left) to 1 (right) is wanted")

    def to_json(self) -> dict[str, Any]:
        """Return what a rack file holds of it; automation has a file of its own."""
        values = {
            "gain_db": None if self.gain_db == -math.inf else self.gain_db,
            "pan": self.pan,
            "mute": self.mute or self.gain_db == -math.inf,
            "solo": self.solo,
            "chain": [effect.to_json() for effect in self.chain.effects],
        }
        return {key: value for key, value in values.items() if value}


class Queue:
    """Samples that wait, oldest first.

    Parameters
    ----------
    n_channels : int
        Of every block.
    """

    def __init__(self, n_channels: int) -> None:
        self._held: list[Waveform] = []
        self._n_channels, self.n_held = n_channels, 0

    def push(self, block: Waveform) -> None:
        """Take the next samples; the array must not change later."""
        if block.shape[1]:
            self._held.append(block)
            self.n_held += block.shape[1]

    def pop(self, n_samples: int) -> Waveform:
        """Return the oldest samples; they must be there."""
        found: list[Waveform] = []
        left = n_samples
        while left:
            block = self._held[0]
            found.append(block[:, :left])
            if block.shape[1] > left:
                self._held[0] = block[:, left:]
            else:
                self._held.pop(0)
            left -= found[-1].shape[1]
        self.n_held -= n_samples
        if len(found) == 1:
            return found[0]
        empty = np.zeros((self._n_channels, 0), np.float32)
        return np.concatenate([empty, *found], axis=1)


class Lane:
    """A strip at work on its stem.

    Parameters
    ----------
    strip : Strip
        What happens to the stem.
    audible : bool
        Whether the stem is heard, by mute and solo.
    sample_rate, n_channels : int
        Of all blocks.
    """

    def __init__(self, strip: Strip, audible: bool, sample_rate: int, n_channels: int) -> None:
        self._chain, self._curve, self._sample_rate = strip.chain, strip.automation, sample_rate
        self._stream: ChainStream = strip.chain.open(sample_rate, n_channels)
        self._levels: NDArray[np.float64] = np.full(
            (n_channels, 1), amplitude(strip.gain_db) if audible else 0.0
        )
        for left, right in pairs(n_channels) if strip.pan else ():
            away = left if strip.pan > 0 else right
            self._levels[away] *= math.cos(abs(strip.pan) * math.pi / 2)
        self._wet, self._dry = Queue(n_channels), Queue(n_channels)
        self._at = 0

    @property
    def n_ready(self) -> int:
        """Samples that `pop` can give."""
        return self._wet.n_held

    def push(self, block: Waveform, stems: Mapping[str, Waveform]) -> None:
        """Take the next samples of the stem, and of those that the chain listens to."""
        self._dry.push(block)
        self._wet.push(self._stream.process(block, {key: stems[key] for key in self._chain.keys}))

    def finish(self, tail: int) -> None:
        """Take the end of the stem, and let it sound for ``tail`` more samples."""
        self._dry.push(np.zeros((len(self._levels), tail), np.float32))
        self._wet.push(self._stream.finish(tail))

    def pop(self, n_samples: int) -> tuple[NDArray[np.float64], Waveform]:
        """Return the next samples, after the strip and before it.

        Returns
        -------
        ndarray of float64, shape (channels, samples)
            After the strip.
        ndarray of float32, shape (channels, samples)
            As they came.
        """
        levels = self._levels
        if self._curve is not None:
            levels = levels * self._curve.factors(
                self._at, n_samples, sample_rate=self._sample_rate
            )
        self._at += n_samples
        return self._wet.pop(n_samples) * levels, self._dry.pop(n_samples)


class RackStream:
    """A rack at work: blocks of stems in, their sum out, the same whatever the block lengths.

    Parameters
    ----------
    strips : mapping of str to Strip
        Of every stem that will come.
    audible : sequence of str
        Those that are heard.
    master : Chain
        What the sum goes through.
    sample_rate, n_channels : int
        Of all blocks.

    Attributes
    ----------
    tail : int
        Samples by which what comes out is longer than what went in.
    """

    def __init__(
        self,
        strips: Mapping[str, Strip],
        audible: Sequence[str],
        master: Chain,
        sample_rate: int,
        n_channels: int,
    ) -> None:
        self.sample_rate, self._n_channels = sample_rate, n_channels
        self._lanes = {
            name: Lane(strip, name in audible, sample_rate, n_channels)
            for name, strip in strips.items()
        }
        self._tail = round(sample_rate * max(s.chain.tail_s for s in strips.values()))
        self._master = master.open(sample_rate, n_channels)
        self._master_tail = round(sample_rate * master.tail_s)
        self.tail = self._tail + self._master_tail
        self._mix = Queue(n_channels)
        self._with_mix: bool | None = None
        self._keys = {key: Queue(n_channels) for key in master.keys}

    def process(self, stems: Mapping[str, Waveform], mix: Waveform | None = None) -> Waveform:
        """Take the next samples of every stem and return those of the sum that are ready.

        Parameters
        ----------
        stems : mapping of str to ndarray of float32, shape (channels, samples)
            All of one shape.
        mix : ndarray of float32, shape (channels, samples), optional
            What they were taken from: with every block, or with none.

        Returns
        -------
        ndarray of float32, shape (channels, samples that are ready)

        Raises
        ------
        AudioError
            If a shape, type or sample is wrong.
        """
        if stems.keys() != self._lanes.keys():
            raise AudioError(
                f"the stems {', '.join(stems)} came; {', '.join(self._lanes)} are wanted"
            )
        n_samples = stem_shape(stems)[1]
        for name, block in {**stems, **({} if mix is None else {"the mix": mix})}.items():
            if block.shape != (self._n_channels, n_samples) or block.dtype != np.float32:
                raise AudioError(
                    f"{name} has shape {block.shape} and type {block.dtype}; "
                    f"({self._n_channels}, {n_samples}) of float32 is wanted"
                )
            if not np.isfinite(block).all():
                raise AudioError(f"{name} holds NaN or infinity; mend the sound first")
        if self._with_mix not in (None, mix is not None):
            raise AudioError("the mix came with some blocks only; give it with all or none")
        self._with_mix = mix is not None
        if mix is not None:
            self._mix.push(mix)
        for name, lane in self._lanes.items():
            lane.push(stems[name], stems)
        for key, queue in self._keys.items():
            queue.push(stems[key])
        ready, keys = self._sum()
        return self._master.process(ready, keys)

    def finish(self) -> Waveform:
        """Return the rest and the tail: in all as many samples as came, and the rack's tail.

        Returns
        -------
        ndarray of float32, shape (channels, samples)
        """
        silence = np.zeros((self._n_channels, self._tail), np.float32)
        for lane in self._lanes.values():
            lane.finish(self._tail)
        for queue in (self._mix, *self._keys.values()):
            queue.push(silence)
        ready, keys = self._sum()
        return np.concatenate(
            [self._master.process(ready, keys), self._master.finish(self._master_tail)], axis=1
        )

    def _sum(self) -> tuple[Waveform, Stems]:
        n_samples = min(lane.n_ready for lane in self._lanes.values())
        total = np.zeros((self._n_channels, n_samples))
        for lane in self._lanes.values():
            wet, dry = lane.pop(n_samples)
            # With the mix, only changes count: exactly zero for a stem that passed as it was.
            total += wet - dry if self._with_mix else wet
        if self._with_mix:
            mix = self._mix.pop(n_samples)
            total = np.where(total == 0, mix, mix + total)  # a negative zero stays one
        keys = {key: queue.pop(n_samples) for key, queue in self._keys.items()}
        return total.astype(np.float32), keys


def stem_shape(stems: Mapping[str, Waveform]) -> tuple[int, int]:
    """Return channels and samples of the first stem."""
    if not stems:
        raise AudioError("no stem came; one at least is wanted")
    block = next(iter(stems.values()))
    if block.ndim != 2:
        raise AudioError(f"a stem of shape {block.shape} came; (channels, samples) is wanted")
    return block.shape
