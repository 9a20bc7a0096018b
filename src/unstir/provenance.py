"""Which evidence moved the hybrid's stems where: by leaving one prior out at a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from unstir.channels import Group, Routed
from unstir.errors import SettingsError
from unstir.hybrid.bank import Bank
from unstir.joined import Hybrid
from unstir.neural.device import inference
from unstir.neural.planes import band_edges, band_sums
from unstir.neural.refiner import Seen
from unstir.neural.trust import Trust
from unstir.streaming import Grid, one_blas_thread, survey_sample
from unstir.types import Mixture, State, part_of

BASE, MIX, LEAKAGE = "base", "mix", "leakage"


@dataclass(frozen=True, eq=False)
class Provenance:
    """What every piece of evidence did to every stem.

    Parameters
    ----------
    stems : tuple of str
        Names of the stems, in order.
    evidence : tuple of str
        ``"base"``, what the separator gave before any correction; what the refiner corrects
        without any prior; and the priors. The second is ``"mix"`` of a `Refiner`, which looks at
        the mix; ``"leakage"`` of a `Trust`, which does not: what it corrects so is the sharpening
        by ``leakage`` alone, and where that is 0 there is no such row.
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


def explain(hybrid: Hybrid, mix: Mixture, state: State | None = None) -> Provenance:
    """Return which evidence moved the stems of a mix where.

    Parameters
    ----------
    hybrid : Hybrid
        Explained as it is, with its base and leakage.
    mix : Mixture
        One or two channels, looked at as one window.
    state : mapping, optional
        What the hybrid's survey learned; without it, that is learned of the mix.

    Returns
    -------
    Provenance
    """
    view, refiner = hybrid.examine(mix, state)
    config, bands = refiner.config, refiner.config.bands
    priors = Bank(hybrid.stems, priors=config.priors).tells
    seen = Seen(*(plane[None] for plane in view.seen))
    sharpness = 2.0**-hybrid.leakage
    power = view.mixture.real.square() + view.mixture.imag.square()
    edges = band_edges(bands.n_fft, bands.n_bands, bands.n_single)
    total = band_sums(power.sum(dim=0), bands)  # (T, K)
    with inference(torch.device(hybrid.device), "fp32"):
        whole = refiner(seen, sharpness)[0]  # (J, T, K)
        evidence, moved = [BASE], [seen.shares[0].square() * total]
        if not isinstance(refiner, Trust) or hybrid.leakage:
            blind = refiner(seen._replace(priors=torch.zeros_like(seen.priors)), sharpness)[0]
            evidence.append(LEAKAGE if isinstance(refiner, Trust) else MIX)
            moved.append(blind.square() * total)
        at = 0
        for own in priors.values():
            less = seen.priors.clone()
            less[:, at : at + len(own) + 1] = 0
            at += len(own) + 1
            without = refiner(seen._replace(priors=less), sharpness)[0]
            moved.append((whole - without).square() * total)
    return Provenance(
        hybrid.stems,
        (*evidence, *priors),
        torch.stack(moved, dim=1).cpu().numpy(),
        total.cpu().numpy(),
        config.sample_rate,
        bands.hop_length,
        edges,
        bands.n_fft,
    )


def explain_all(
    routed: Routed,
    mix: Mixture,
    state: State | None = None,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> Provenance:
    """Return which evidence moved the stems of a mix of any length and number of channels.

    Groups of channels are explained one by one, in windows of the length that they are
    separated in, and what was moved is added up. An LFE that goes whole to one stem is left out.

    Parameters
    ----------
    routed : Routed
        A hybrid over the groups.
    mix : Mixture
        All channels.
    state : mapping, optional
        What the survey of ``routed`` learned; without it, that is learned of the mix.
    progress : callable
        Told the number of samples explained so far.

    Raises
    ------
    SettingsError
        If it is another separator.
    """
    hybrid = routed.separator
    if not isinstance(hybrid, Hybrid):
        raise SettingsError(f"a {type(hybrid).__name__} came to be explained; only a Hybrid can be")
    window = Grid.for_rate(mix.sample_rate).window
    moved, power = [], []
    with one_blas_thread():
        if state is None:
            state = routed.survey(survey_sample([mix.waveform], sample_rate=mix.sample_rate))
        for at in range(0, mix.n_samples, window):
            stop = min(at + window, mix.n_samples)
            parts = [
                explain(hybrid, _part(mix, group, at, stop), part_of(state, str(i)))
                for i, group in enumerate(routed.groups)
                if group.role != "lfe" or routed.lfe_to is None
            ]
            # A window's last frame is centered where the next one's first is.
            n_frames = len(parts[0].power) - (stop < mix.n_samples)
            moved.append(np.sum([part.moved for part in parts], axis=0)[:, :, :n_frames])
            power.append(np.sum([part.power for part in parts], axis=0)[:n_frames])
            progress(stop)
    return replace(parts[0], moved=np.concatenate(moved, axis=2), power=np.concatenate(power))


def _part(mix: Mixture, group: Group, start: int, stop: int) -> Mixture:
    waveform = np.ascontiguousarray(mix.waveform[list(group.channels), start:stop])
    return Mixture(waveform, mix.sample_rate, mix.start + start, group.role)
