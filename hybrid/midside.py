"""Center extraction from the likeness of the two channels, cell by cell.

A voice in the middle of a stereo mix is the same in both channels: there the
similarity of Avendano and Jot [1]_ is one, and falls wherever something panned or
wide takes part. What the mask keeps of the *mid* signal is the center; taking the
mid removes what is wide even inside a cell that the mask lets pass.

Mapping. The center is ``speech`` or ``vocals``. The rest is ``accompaniment``, or is
shared evenly between ``music`` and ``effects``, which this method cannot tell apart.
In a surround pair nothing is dialogue; a center channel is dialogue whole. Any other
single channel, and one channel twice, has no sides: validity 0.

References
----------
.. [1] C. Avendano and J.-M. Jot, "A frequency-domain approach to multichannel upmix",
   J. Audio Eng. Soc. 52(7/8), 2004, eq. 4 to 6 (similarity) of the short-time
   cross-correlations.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unstir.spectral import Spectrum, analyze, everywhere, istft, no_evidence
from unstir.types import FILM, Evidence, Masks, Mixture, State, Stems

DUAL_MONO_DB = -60.0  # a difference this far below the mix is a codec's doing, not an engineer's


def side_share(blocks: Iterable[Mixture]) -> float:
    """Return the share of the energy that lies in the difference of the channels.

    Parameters
    ----------
    blocks : iterable of Mixture
        Any number of segments; single channels have no difference.

    Returns
    -------
    float
        0 for equal channels, single ones and silence, 1/2 for unrelated channels, 1 for
        opposite ones.

    Examples
    --------
    >>> sound = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    >>> [side_share([Mixture(np.stack([sound, g * sound]), 8000)]) for g in (1, -1)]
    [0.0, 1.0]
    """
    side = total = 0.0
    for block in blocks:
        if block.n_channels == 2:
            left, right = block.waveform.astype(np.float64)
            side += float(np.sum((left - right) ** 2)) / 2
            total += float(np.sum(left**2) + np.sum(right**2))
    return side / total if total > 0 else 0.0


def is_dual_mono(mix: Mixture, state: State | None) -> bool:
    """Return whether a pair is one channel twice: in the whole file, where it was surveyed."""
    share = side_share([mix]) if state is None else float(state["side_share"])
    return share <= 10 ** (DUAL_MONO_DB / 10)


def center_mask(spectrum: Spectrum, *, power: float = 4.0) -> NDArray[np.float32]:
    r"""Return how much of each cell sits in the middle.

    .. math:: C = \left(1 - \frac{|X_L - X_R|}{|X_L| + |X_R|}\right)^p

    A sharpened, phase-aware form of the similarity [1]_ of the module: one for equal
    channels, zero for opposite or one-sided ones.

    Parameters
    ----------
    spectrum : Spectrum
        Two channels.
    power : float > 0
        How strict to be; 4 was best on real scenes (``docs/methods.md``).

    Returns
    -------
    ndarray of float32, shape (bins, frames), in [0, 1]
        Zero in silent cells.

    Examples
    --------
    >>> tone = np.sin(np.arange(4096) * 0.1).astype(np.float32)
    >>> wide = analyze(Mixture(np.stack([tone, -tone]), 44100))
    >>> float(center_mask(wide).max())
    0.0
    """
    left, right = spectrum.cells
    level = np.abs(left) + np.abs(right)
    apart = np.abs(left - right)
    # The triangle inequality keeps the ratio below one but for rounding.
    likeness = 1 - apart / np.where(level > 0, level, np.float32(1))
    return np.where(level > 0, np.clip(likeness, 0, 1), np.float32(0)) ** np.float32(power)


def front_share(stems: tuple[str, ...], center: NDArray[np.float32]) -> Masks:
    """Return masks that give the first stem ``center`` and the others the rest in equal parts."""
    voice, *others = stems
    rest = (1 - center)[None] / np.float32(len(others))
    return {voice: center[None], **dict.fromkeys(others, rest)}


def by_role(
    spectrum: Spectrum, stems: tuple[str, ...], state: State | None = None
) -> Evidence | None:
    """Return what the loudspeaker alone says, or None where the sound has to be looked at.

    A center channel is the first stem's (dialogue, voice) whole; a surround pair is the
    other stems' in equal parts; any other single channel, and one channel twice (in the
    whole file, if ``state`` has its ``side_share``), says nothing.
    """
    shape = (spectrum.config.n_bins, spectrum.n_frames)
    if spectrum.mix.role == "surround":
        return Evidence(front_share(stems, np.zeros(shape, np.float32)), everywhere(spectrum))
    if spectrum.mix.n_channels == 2:
        dual = is_dual_mono(spectrum.mix, state)
        return no_evidence(spectrum, stems) if dual else None
    if spectrum.mix.role == "center":
        return Evidence(front_share(stems, np.ones(shape, np.float32)), everywhere(spectrum))
    return no_evidence(spectrum, stems)


def scaled(mix: Mixture, known: Evidence) -> Stems:
    """Return the stems of evidence that is the same in every cell: no transform is needed."""
    return {name: mix.waveform * np.float32(mask.mean()) for name, mask in known.masks.items()}


@dataclass(frozen=True)
class MidSide:
    """Center against sides.

    Parameters
    ----------
    stems : tuple of str
        A stem set; the center goes to its first.
    power : float > 0
        Sharpness of the center mask.
    mask : {"ratio", "binary"}
        Whether cells are shared or given whole.

    Examples
    --------
    >>> sound = np.random.default_rng(0).standard_normal((2, 44100)).astype(np.float32)
    >>> sorted(MidSide().separate(Mixture(sound, 44100)))
    ['effects', 'music', 'speech']
    """

    stems: tuple[str, ...] = FILM
    power: float = 4.0
    mask: Literal["ratio", "binary"] = "ratio"

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return whether there are sides at all.

        Key ``side_share``, float64, scalar in [0, 1]: see `side_share`.
        """
        return {"side_share": np.asarray(side_share(blocks))}

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return the center mask as evidence; two channels or a telling role are needed."""
        known = by_role(spectrum, self.stems, state)
        if known is not None:
            return known
        return Evidence(front_share(self.stems, self._center(spectrum)), everywhere(spectrum))

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the masked mid as the first stem, and the rest in equal parts."""
        spectrum = analyze(mix)
        known = by_role(spectrum, self.stems, state)
        if known is not None:
            return scaled(mix, known)
        mid = spectrum.cells.mean(axis=0, keepdims=True)
        center = istft(mid * self._center(spectrum), spectrum.config, mix.n_samples)
        voice, *others = self.stems
        rest = (mix.waveform - center) / np.float32(len(others))
        return {voice: np.repeat(center, 2, axis=0), **{name: rest.copy() for name in others}}

    def _center(self, spectrum: Spectrum) -> NDArray[np.float32]:
        center = center_mask(spectrum, power=self.power)
        return (center >= 0.5).astype(np.float32) if self.mask == "binary" else center
