"""The two ends of every table: doing nothing, and masks made from the true stems.

Neither separates anything. `Unprocessed` is what a method must beat, `Oracle` what
no method of this kind (one real mask per stem on the one grid) can hope to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from unstir.errors import AudioError, SettingsError
from unstir.spectral import (
    Spectrum,
    StftConfig,
    analyze,
    cut,
    everywhere,
    no_evidence,
    ratio_masks,
    stft,
)
from unstir.types import FILM, Evidence, Masks, Mixture, State, Stems


def ideal_ratio_masks(references: Stems, config: StftConfig) -> Masks:
    """Return the masks that share every cell out as the true stems' magnitudes do [1]_.

    Parameters
    ----------
    references : dict of str to ndarray of float32, each of shape (channels, samples)
        The true stems.
    config : StftConfig
        The grid.

    Returns
    -------
    dict of str to ndarray of float32, each of shape (channels, bins, frames)
        In [0, 1]; the masks of a cell add up to one.

    References
    ----------
    .. [1] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
       campaign", LVA/ICA 2018: the oracle IRM1.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((1, 256)).astype(np.float32)
    >>> masks = ideal_ratio_masks({"vocals": 3 * noise, "accompaniment": noise}, StftConfig(64, 16))
    >>> bool(np.allclose(masks["vocals"], 0.75, atol=1e-3))
    True
    """
    return ratio_masks({name: np.abs(stft(stem, config)) for name, stem in references.items()})


@dataclass(frozen=True, eq=False)
class Oracle:
    """Cut the mix with the masks of the true stems: the most that ratio masks can reach.

    Parameters
    ----------
    stems : tuple of str
        Names of the stems, in order.
    references : dict of str to ndarray of float32, each of shape (channels, samples)
        The true stems of the whole recording; ``mix.start`` finds its place in
        them. Arrays mapped from disk will do.

    Raises
    ------
    SettingsError
        If a stem has no reference.

    Examples
    --------
    >>> from unstir.types import SONG
    >>> tone = np.sin(np.arange(4096, dtype=np.float32))[None]
    >>> click = np.zeros_like(tone)
    >>> click[0, 2048] = 9
    >>> oracle = Oracle(SONG, references={"vocals": tone, "accompaniment": click})
    >>> stems = oracle.separate(Mixture(tone + click, 8000))
    >>> off = np.square(stems["vocals"] - tone).sum()
    >>> bool(off < np.square(click).sum() / 20)
    True
    """

    stems: tuple[str, ...] = FILM
    references: Stems = field(kw_only=True)

    def __post_init__(self) -> None:
        if set(self.stems) != set(self.references):
            raise SettingsError(
                f"references for {', '.join(self.references) or 'nothing'} came; "
                f"one each for {', '.join(self.stems)} is wanted"
            )

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return None: the references are all there is to know."""
        return None

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return the ideal ratio masks of each channel, valid everywhere.

        Raises
        ------
        AudioError
            If the references have other channels than the mix or end before it.
        """
        mix = spectrum.mix
        stop = mix.start + mix.n_samples
        here = {}
        for name in self.stems:
            stem = self.references[name]
            if stem.shape[0] != mix.n_channels or not 0 <= mix.start < stop <= stem.shape[1]:
                raise AudioError(
                    f"samples {mix.start} to {stop} of {mix.n_channels} channels came, but the "
                    f"reference {name!r} is of shape {stem.shape}; give references of the same "
                    "channels that last as long as the recording"
                )
            here[name] = stem[:, mix.start : stop]
        return Evidence(ideal_ratio_masks(here, spectrum.config), everywhere(spectrum))

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return the ideal ratio masks of each channel, valid everywhere."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return what the ideal masks cut out of the mix; the stems add up to it."""
        return cut(mix, self.evidence, state)


@dataclass(frozen=True)
class Unprocessed:
    """Give every stem an even share of the mix: what a method must beat.

    Parameters
    ----------
    stems : tuple of str
        Names of the stems, in order.

    Examples
    --------
    >>> mix = Mixture(np.ones((1, 5), np.float32), 8000)
    >>> Unprocessed(("vocals", "accompaniment")).separate(mix)["vocals"]
    array([[0.5, 0.5, 0.5, 0.5, 0.5]], dtype=float32)
    """

    stems: tuple[str, ...] = FILM

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return None: there is nothing to learn."""
        return None

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return even shares that claim no validity."""
        return no_evidence(spectrum, self.stems)

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return even shares that claim no validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the mix, divided by the number of stems, under every name."""
        *names, last = self.stems
        share = mix.waveform / np.float32(len(self.stems))
        rest = mix.waveform - np.float32(len(names)) * share
        return {**{name: share.copy() for name in names}, last: rest}
