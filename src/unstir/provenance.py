"""Which evidence moved the hybrid's stems where: by leaving one prior out at a time."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unstir.hybrid.bank import TELLS
from unstir.joined import Hybrid
from unstir.neural.planes import band_edges, band_sums
from unstir.neural.refiner import Seen
from unstir.types import Mixture

BASE = "base"


@dataclass(frozen=True, eq=False)
class Provenance:
    """What every piece of evidence did to every stem.

    Parameters
    ----------
    stems : tuple of str
        Names of the stems, in order.
    evidence : tuple of str
        ``"base"``, what the separator gave before any correction; ``"mix"``, what the refiner
        corrects without any prior; and the priors.
    moved : ndarray of float32, shape (stems, evidence, frames, bands)
        Energy: of ``"base"``, what it gave the stem; of the others, of the change of the stem
        when they are left out.
    power : ndarray of float32, shape (frames, bands)
        Of the mix.
    sample_rate, hop_length : int
        Of the frames.
    edges : ndarray of int, shape (bands + 1,)
        First bin of every band, and the end of the last; a bin is ``sample_rate / n_fft`` wide.
    n_fft : int
        Frame length in samples.
    """

    stems: tuple[str, ...]
    evidence: tuple[str, ...]
    moved: NDArray[np.float32]
    power: NDArray[np.float32]
    sample_rate: int
    hop_length: int
    edges: NDArray[np.int64]
    n_fft: int

    def shares(self) -> dict[str, dict[str, float]]:
        """Return, per stem, how much of the energy moved each piece of evidence but the base did.

        They add up to one where anything moved.
        """
        found = {}
        for stem, moved in zip(self.stems, self.moved[:, 1:].sum(axis=(2, 3)), strict=True):
            total = float(moved.sum())
            found[stem] = {
                name: float(part) / total if total else 0.0
                for name, part in zip(self.evidence[1:], moved, strict=True)
            }
        return found


def explain(hybrid: Hybrid, mix: Mixture) -> Provenance:
    """Return which evidence moved the stems of a mix where.

    Parameters
    ----------
    hybrid : Hybrid
        Explained as it is, with its base and leakage.
    mix : Mixture
        One or two channels, looked at as one window: a minute at most is wise.

    Returns
    -------
    Provenance
    """
    view, refiner = hybrid.examine(mix)
    config = refiner.config
    priors = TELLS[hybrid.stems]
    seen = Seen(*(plane[None] for plane in view.seen))
    sharpness = 2.0**-hybrid.leakage
    power = view.mixture.real.square() + view.mixture.imag.square()
    edges = band_edges(config.n_fft, config.n_bands, config.n_single)
    total = band_sums(power.sum(dim=0), config.bands)  # (T, K)
    with torch.inference_mode():
        whole = refiner(seen, sharpness)[0]  # (J, T, K)
        blind = refiner(seen._replace(priors=torch.zeros_like(seen.priors)), sharpness)[0]
        moved = [seen.shares[0].square() * total, blind.square() * total]
        at = 0
        for own in priors.values():
            less = seen.priors.clone()
            less[:, at : at + len(own) + 1] = 0
            at += len(own) + 1
            without = refiner(seen._replace(priors=less), sharpness)[0]
            moved.append((whole - without).square() * total)
    return Provenance(
        hybrid.stems,
        (BASE, "mix", *priors),
        torch.stack(moved, dim=1).cpu().numpy(),
        total.cpu().numpy(),
        config.sample_rate,
        config.hop_length,
        edges,
        config.n_fft,
    )
