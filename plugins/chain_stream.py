"""A chain at work: blocks of any length in, the same samples out, aligned to the sample."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from unstir.errors import AudioError, SettingsError
from unstir.plugins.effects import kind_of
from unstir.plugins.processors import DelayLine
from unstir.types import Waveform

if TYPE_CHECKING:
    from unstir.plugins.chains import Chain


class ChainStream:
    """A chain at work: blocks of any length in, the same samples out whatever the lengths were.

    What comes out is aligned with what went in to the sample: latency is cut off at the start.

    Parameters
    ----------
    chain : Chain
        What the sound goes through.
    sample_rate, n_channels : int
        Of all blocks.

    Attributes
    ----------
    latency : int
        Samples that are held back: how much later than its input an output is ready.
    """

    def __init__(self, chain: "Chain", sample_rate: int, n_channels: int) -> None:
        if chain.needs_survey:
            raise SettingsError(
                f"{chain.name} levels loudness, which is measured on the whole sound first; "
                "call survey before open"
            )
        if n_channels < 1 or sample_rate < 4000:
            raise SettingsError(
                f"{n_channels} channels at {sample_rate} Hz came; at least 1 at 4000 Hz is wanted"
            )
        self._name, self._n_channels, self._keys = chain.name, n_channels, chain.keys
        self.latency = 0
        self._stages = []
        for effect in chain.effects:
            kind = kind_of(effect.name)
            settings = effect.settings
            processor = kind.open(settings, sample_rate, n_channels)
            # A key must wait for the sound as long as the effects before hold the sound back.
            lines = {key: DelayLine(self.latency) for key in kind.keys(settings)}
            self._stages.append((processor, lines))
            self.latency += processor.latency
        self._to_skip = self.latency
        self._key_channels = dict.fromkeys(self._keys, 1)
        self._finished = False

    def process(self, block: Waveform, keys: Mapping[str, Waveform] | None = None) -> Waveform:
        """Take the next samples and return those that are ready.

        Parameters
        ----------
        block : ndarray of float32, shape (channels, samples)
            Any number of samples, none included.
        keys : dict of str to ndarray of float32, shape (any channels, samples)
            The stems that `Chain.keys` names, at the same instants.

        Returns
        -------
        ndarray of float32, shape (channels, samples that are ready)

        Raises
        ------
        AudioError
            If a shape, type or sample (NaN, infinity) is wrong, or the stream has been finished.
        SettingsError
            If a key is missing.
        """
        keys = {} if keys is None else keys
        if self._finished:
            raise AudioError(f"{self._name} has been finished; open it again")
        self._check("the block", block, self._n_channels, block.shape[-1])
        for key in self._keys:
            if key not in keys:
                raise SettingsError(
                    f"{self._name} listens to the stem {key}, which is not there; there are: "
                    f"{', '.join(sorted(keys)) or 'none'}"
                )
            self._check(f"the key {key}", keys[key], None, block.shape[-1])
            self._key_channels[key] = len(keys[key])
        for processor, lines in self._stages:
            heard = {key: line.process(keys[key]) for key, line in lines.items()}
            block = processor.process(block, heard)
        skipped = min(self._to_skip, block.shape[1])
        self._to_skip -= skipped
        return block[:, skipped:]

    def _check(self, what: str, block: Waveform, n_channels: int | None, n_samples: int) -> None:
        if (
            block.ndim != 2
            or block.dtype != np.float32
            or block.shape != (n_channels or len(block), n_samples)
        ):
            raise AudioError(
                f"{self._name}: {what} has shape {block.shape} and type {block.dtype}; "
                f"({n_channels or 'channels'}, {n_samples}) of float32 is wanted"
            )
        if not np.isfinite(block).all():
            raise AudioError(f"{self._name}: {what} holds NaN or infinity; mend the sound first")

    def finish(self, tail: int) -> Waveform:
        """Return the rest: in all, as many samples as went in and ``tail`` more come out.

        Parameters
        ----------
        tail : int
            Samples to go on for after the end of the input, while the keys are silent:
            ``round(chain.tail_s * sample_rate)`` keeps every tail.

        Returns
        -------
        ndarray of float32, shape (channels, samples)
        """
        n = self.latency + tail
        silence = np.zeros((self._n_channels, n), np.float32)
        rest = self.process(
            silence, {key: np.zeros((m, n), np.float32) for key, m in self._key_channels.items()}
        )
        self._finished = True
        return rest
