"""The bank of priors with everything that has a tensor path on a device.

Center, panning, HPSS, NMF and what stems have in common with themselves stay on the device; pitch,
repetition and what is said of whole frames are found on the host meanwhile, since a GPU works
through what it was given by itself.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from unstir.hybrid import fast, fast_backfit, fast_spatial
from unstir.hybrid.bank import Bank
from unstir.hybrid.fast import TorchEvidence, TorchSpectrum
from unstir.hybrid.hpss import Hpss
from unstir.hybrid.midside import MidSide
from unstir.hybrid.nmf import Nmf
from unstir.hybrid.panning import Panning
from unstir.spectral import Spectrum
from unstir.types import State, part_of


def planes(
    bank: Bank,
    spectrum: Spectrum,
    state: State,
    separated: Mapping[str, Spectrum] | None,
    device: torch.device,
    cells: Callable[[str], Tensor] | None = None,
) -> Tensor:
    """Return the planes of `Bank.planes`, to 1e-4, on a device.

    Parameters
    ----------
    bank : Bank
        The priors.
    spectrum : Spectrum
        The mix.
    state : mapping
        What the bank surveyed.
    separated : mapping of str to Spectrum, or None
        As `Bank.evidence` takes it.
    device : torch.device
        Where to compute what can be computed there, and where the planes shall be.
    cells : callable, optional
        Gives a stem's transform where it is on the device anyway, as `fast_backfit.alike` takes
        it; else ``separated`` is taken there.

    Returns
    -------
    Tensor
        float32, shape (planes, frames, bins), in [-1, 1]; the order is that of ``bank.names``.

    Examples
    --------
    >>> import numpy as np
    >>> from unstir.spectral import analyze
    >>> from unstir.types import Mixture
    >>> hiss = np.random.default_rng(0).standard_normal((2, 16000)).astype(np.float32)
    >>> mix = Mixture(hiss, 16000)
    >>> bank = Bank()
    >>> found = planes(bank, analyze(mix), bank.survey([mix]), None, torch.device("cpu"))
    >>> found.shape[0] == len(bank.names)
    True
    """
    stems = bank.stems
    here: dict[str, Callable[[TorchSpectrum, State | None], TorchEvidence]] = {
        "midside": lambda seen, own: fast_spatial.midside(seen, MidSide(stems), own),
        "panning": lambda seen, own: fast_spatial.panning(seen, Panning(stems), own),
        "hpss": lambda seen, own: fast.hpss(seen, Hpss(stems), own),
        "nmf": lambda seen, own: fast.nmf(seen, Nmf(stems, bank.seed), own),
    }
    asked = [name for name in here if name in bank.tells]
    found: dict[str, TorchEvidence] = {}
    if asked:  # else the mix need not be there
        seen = TorchSpectrum.of(spectrum, device)
        found = {name: here[name](seen, part_of(state, name)) for name in asked}
    if separated and "alike" in bank.tells:

        def moved(name: str) -> Tensor:
            return torch.from_numpy(separated[name].cells).transpose(1, 2).to(device)

        found["alike"] = fast_backfit.alike(spectrum, stems, cells or moved)
    rest = bank.evidence(spectrum, state, separated, without=found)
    if rest:
        result = torch.from_numpy(bank.planes(rest)).to(device)
    else:
        shape = len(bank.names), spectrum.n_frames, spectrum.config.n_bins
        result = torch.zeros(shape, device=device)
    at = 0
    for name, own in bank.tells.items():
        if name in found:
            masks, validity = found[name]
            for i, stem in enumerate(own):
                mask = masks[stems.index(stem)].mean(dim=0)  # (F, T)
                result[at + i] = ((mask - 1 / len(stems)) * validity).T
            result[at + len(own)] = validity.T
        at += len(own) + 1
    return result
