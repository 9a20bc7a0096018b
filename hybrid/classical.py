r"""A fixed, untrained fusion of the classical methods: the first hybrid, and the bar for learning.

Every method is an expert that says of each cell how it is shared, :math:`M_{ij}`, and how far
it may be trusted there, :math:`v_i` (its validity). Their opinions are multiplied, each to
the power of its weight (a product of experts, the log-linear opinion pool [1]_, eq. 2):

.. math:: M_j \propto \prod_i \left((1 - \epsilon) M_{ij} + \epsilon / J\right)^{w_i v_i}

An expert with nothing to say (one channel has no sides, an unvoiced frame no pitch) drops out
of the product, so mono and stereo need no separate rules. The floor :math:`\epsilon` keeps one
mistaken expert from silencing a stem alone.

The weights are constants, found by coordinate search on scenes of real recordings; methods
that earned no weight for a stem set (``docs/methods.md`` has the table) are left out of it.
Where a loudspeaker's role alone speaks (a center channel is dialogue), it counts
``ROLE_TRUST`` of what hearing would.

Mapping. That of the methods it fuses.

References
----------
.. [1] G. E. Hinton, "Products of experts", ICANN 1999; C. Genest and J. V. Zidek, "Combining
   probability distributions", Statistical Science 1(1), 1986.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unstir.hybrid.bands import Bands
from unstir.hybrid.harmonic import Harmonic
from unstir.hybrid.hpss import Hpss
from unstir.hybrid.midside import MidSide
from unstir.hybrid.nmf import Nmf
from unstir.hybrid.panning import Panning
from unstir.hybrid.repet import Repet
from unstir.spectral import Spectrum, analyze, cut, everywhere
from unstir.types import FILM, SONG, Evidence, Mixture, State, Stems, nested, part_of

FLOOR = 0.05
ROLE_TRUST = 0.3
SPATIAL = ("midside", "panning")
WEIGHTS: Mapping[tuple[str, ...], Mapping[str, float]] = {
    FILM: {"midside": 2.0, "panning": 0.15, "hpss": 0.4, "harmonic": 0.5, "nmf": 1.2},
    # All singing at hand is one act's: the search was not followed where it leaned on one method.
    SONG: {"bands": 0.5, "hpss": 0.5, "repet": 0.3, "harmonic": 0.5, "nmf": 1.0},
}


@dataclass(frozen=True)
class Classical:
    """The fixed fusion.

    Parameters
    ----------
    stems : tuple of str
        A stem set.
    seed : int
        For the experts that draw random numbers.

    Examples
    --------
    >>> sound = np.random.default_rng(0).standard_normal((2, 22050)).astype(np.float32)
    >>> method = Classical()
    >>> stems = method.separate(Mixture(sound, 22050), method.survey([Mixture(sound, 22050)]))
    >>> bool(np.allclose(sum(stems.values()), sound, atol=1e-5))
    True
    """

    stems: tuple[str, ...] = FILM
    seed: int = 0

    @property
    def tracker(self) -> str:
        """The pitch tracker: pYIN alone, because REAPER costs more time than it gains here."""
        return "pyin"

    def experts(self) -> dict[str, Any]:
        """Return the methods that have a weight, each a `Prior` with an ``evidence`` method."""
        made = {
            "midside": MidSide(self.stems),
            "panning": Panning(self.stems),
            "hpss": Hpss(self.stems),
            "harmonic": Harmonic(self.stems, epochs=False),
            "bands": Bands(self.stems),
            "repet": Repet(self.stems),
            "nmf": Nmf(self.stems, self.seed),
        }
        return {name: made[name] for name in WEIGHTS[self.stems]}

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return what the experts learn, keys prefixed by their names."""
        kept = list(blocks)
        return nested({name: expert.survey(kept) for name, expert in self.experts().items()})

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return the fused masks, valid everywhere."""
        # Frames first, the memory order of the cells: every pass runs along the memory.
        shape = (len(self.stems), spectrum.n_frames, spectrum.config.n_bins)
        score = np.zeros(shape, np.float32)
        by_role = spectrum.mix.role == "center" or spectrum.mix.n_channels == 1
        for name, expert in self.experts().items():
            found = expert.evidence(spectrum, part_of(state, name))
            weight = WEIGHTS[self.stems][name]
            if by_role and name in SPATIAL:
                weight *= ROLE_TRUST
            trust = np.float32(weight) * found.validity.T
            if not trust.any():
                continue
            for total, stem in zip(score, self.stems, strict=True):
                mask = found.masks[stem].mean(axis=0).T
                total += trust * np.log(
                    mask * np.float32(1 - FLOOR) + np.float32(FLOOR / len(score))
                )
        score -= score.max(axis=0)
        np.exp(score, out=score)
        score /= score.sum(axis=0)
        masks = {stem: s.T[None] for stem, s in zip(self.stems, score, strict=True)}
        return Evidence(masks, everywhere(spectrum))

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the stems that the fused masks cut out."""
        return cut(mix, self.evidence, state)
