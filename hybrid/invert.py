r"""Phase inversion, the karaoke trick: subtract the channels, and what stood in the middle is gone.

What is panned to the center is the same in both channels, so their half difference holds all but
it. The difference keeps its polarity in both channels, and the half sum is what is left:

.. math:: S = (L - R) / 2, \quad M = (L + R) / 2, \quad L = M + S, \quad R = M - S

Mapping. ``M`` is ``speech`` or ``vocals``. ``S`` is ``accompaniment``, or is shared evenly between
``music`` and ``effects``, which the difference cannot tell apart. In a surround pair nothing is
dialogue and the others share it evenly; a center channel is dialogue whole. Any other single
channel, and one channel twice (throughout the surveyed segments, or without a survey throughout
the window), has no difference to take: even shares, validity 0.

Whatever else stands in the middle, bass and bass drum first of all, goes with the voice. That is
the method; it carries no paper but a century of practice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unstir.hybrid.midside import front_share, is_dual_mono, side_share
from unstir.spectral import Spectrum, analyze, everywhere, no_evidence
from unstir.types import FILM, Evidence, Mixture, State, Stems, Waveform

ONE_SIDED_DB = -100.0  # a cell this far below the other channel's holds only rounding noise


@dataclass(frozen=True)
class Invert:
    """Center and sides by adding and subtracting the channels.

    Parameters
    ----------
    stems : tuple of str
        A stem set; the center goes to its first.

    Examples
    --------
    >>> voice, guitar = np.eye(2, 1000, dtype=np.float32)
    >>> mix = Mixture(np.stack([voice + guitar, voice - guitar]), 8000)
    >>> stems = Invert(("vocals", "accompaniment")).separate(mix)
    >>> bool(np.array_equal(stems["vocals"], np.stack([voice, voice])))
    True
    """

    stems: tuple[str, ...] = FILM

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return whether there is a difference to take at all.

        Key ``side_share``, float64, scalar in [0, 1]: see `side_share`.
        """
        return {"side_share": np.asarray(side_share(blocks))}

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return complex masks that do to the transform what `separate` does to the samples.

        Parameters
        ----------
        spectrum : Spectrum
            One or two channels.
        state : mapping, optional
            What `survey` learned.

        Returns
        -------
        Evidence
            For a front pair, ``M / X_c`` as the voice's mask in channel ``c``: complex64, shape
            (2, bins, frames), larger than one where the channels oppose each other. A cell
            100 dB below the other channel's cannot carry ``M``: it is shared evenly. Otherwise
            real, shape (1, bins, frames). Validity is 1, or 0 where there is no difference.
        """
        voice_share = self._voice_share(spectrum.mix, state)
        if voice_share is None:
            middle = _middle(spectrum, 1 / len(self.stems))
            voice, *others = self.stems
            rest: Any = (1 - middle) / np.float32(len(others))
            return Evidence({voice: middle, **dict.fromkeys(others, rest)}, everywhere(spectrum))
        if voice_share == 1 / len(self.stems):
            return no_evidence(spectrum, self.stems)
        shape = (spectrum.config.n_bins, spectrum.n_frames)
        center = np.full(shape, voice_share, np.float32)
        return Evidence(front_share(self.stems, center), everywhere(spectrum))

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return sum and difference as stems, computed on the samples without any transform."""
        voice_share = self._voice_share(mix, state)
        if voice_share is None:
            center: Waveform = np.repeat(mix.waveform.mean(axis=0, keepdims=True), 2, axis=0)
        else:
            center = mix.waveform * np.float32(voice_share)
        voice, *others = self.stems
        rest: Waveform = (mix.waveform - center) / np.float32(len(others))
        return {voice: center, **{name: rest.copy() for name in others}}

    def _voice_share(self, mix: Mixture, state: State | None) -> float | None:
        """Return the voice's share where the loudspeaker alone decides; None for front pairs."""
        if mix.role == "surround":
            return 0.0
        if mix.n_channels == 1 and mix.role == "center":
            return 1.0
        if mix.n_channels == 1 or is_dual_mono(mix, state):
            return 1 / len(self.stems)
        return None


def _middle(spectrum: Spectrum, share: float) -> Any:
    """Return what half the sum is to each channel; ``share`` where a channel is too weak."""
    own, other = spectrum.cells, spectrum.cells[::-1]
    floor = np.float32(10 ** (ONE_SIDED_DB / 20))
    heard = np.abs(own) > floor * np.abs(other)
    ratio = np.divide(other, own, out=np.ones_like(own), where=heard)
    return np.where(heard, (1 + ratio) / 2, np.complex64(share))
