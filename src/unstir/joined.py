"""The hybrid: priors and any separator joined by the refiner.

A base takes the mix apart; the bank of priors looks at the mix and at the base's voice; the refiner
looks at all of it and corrects the base's stems. The base separates the sound as it comes. The
refiner sees it at its own rate and at the level of its training, and what it changes is added at
the sound's own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unstir.errors import SettingsError
from unstir.heap import give_back
from unstir.hybrid import fast_bank
from unstir.hybrid.bank import Bank
from unstir.neural.device import choose_precision, finite, inference, resolve
from unstir.neural.planes import Bands, istft, masked, planes, stft, to_bands, to_bins
from unstir.neural.refiner import Refiner, RefinerConfig, Seen, shares_of
from unstir.neural.separator import gain_to_level_db, open_model, placed
from unstir.neural.trust import Trust, TrustConfig
from unstir.registry import Method, find, make, methods, set_name
from unstir.settings import DEFAULT_BASES
from unstir.spectral import Spectrum, analyze, consistent
from unstir.streaming import at_rate, resample, samples_at
from unstir.types import (
    Mixture,
    Separator,
    State,
    Stems,
    Waveform,
    nested,
    part_of,
)
from unstir.weights import locate

KIND = "hybrid"  # in the registry
BASES = DEFAULT_BASES
AnyRefiner = Refiner | Trust
AnyConfig = RefinerConfig | TrustConfig


@dataclass(frozen=True)
class View:
    """One window as the refiner sees it, without the batch axis.

    Parameters
    ----------
    mixture : Tensor
        Spectrogram of the mix, complex64, shape (channels, frames, bins).
    seen : Seen
        Planes, each of shape (planes, frames, bands).
    """

    mixture: Tensor
    seen: Seen


@dataclass(frozen=True)
class _Transformed(Mapping[str, Spectrum]):
    """Spectrograms of stems, made whenever one is asked for: together they take too much memory."""

    spectrum: Spectrum  # of the mix
    stems: Stems
    of: Callable[[str], Tensor]

    def __getitem__(self, name: str) -> Spectrum:
        mix = replace(self.spectrum.mix, waveform=self.stems[name])
        cells = self.of(name).transpose(1, 2).cpu().numpy()
        return replace(self.spectrum, mix=mix, cells=cells)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stems)

    def __len__(self) -> int:
        return len(self.stems)


def look(
    mix: Mixture, base: Stems, bank: Bank, state: State, bands: Bands, device: torch.device
) -> View:
    """Return one window as the refiner sees it.

    Parameters
    ----------
    mix : Mixture
        At the refiner's rate and level.
    base : dict of str to ndarray of float32, each of the mix's shape
        The base's stems, the first of them the voice.
    bank : Bank
        Of the same stems.
    state : mapping
        What the bank surveyed.
    bands : Bands
        The refiner's grid, whose frames are those of ``StftConfig.for_rate``.
    device : torch.device
        Where the tensors shall be.
    """
    spectrum = analyze(mix)
    cells = torch.from_numpy(spectrum.cells.transpose(0, 2, 1)).to(device)  # (C, T, F)

    def transformed(name: str) -> Tensor:
        wave = torch.from_numpy(base[name]).to(device)
        return stft(wave, bands.n_fft, bands.hop_length)  # (C, T, F)

    separated = _Transformed(spectrum, base, transformed)
    if device.type == "cpu":
        found = torch.from_numpy(bank.planes(bank.evidence(spectrum, state, separated)))
    else:
        found = fast_bank.planes(bank, spectrum, state, separated, device, transformed)
    power = (cells.real.square() + cells.imag.square()).sum(dim=0) + 1e-12  # (T, F)
    # Where a band is many bins wide, the loud ones say what the prior thinks of the band.
    # One by one: all planes at once would be as large as everything else together.
    weighed = torch.stack([to_bands(plane * power, bands) for plane in found])  # (P, T, K)
    weighed /= to_bands(power, bands)
    del found, power
    shares = shares_of((transformed(name)[None] for name in bank.stems), cells[None], bands)[0]
    return View(cells, Seen(planes(cells[None], bands)[0], shares, weighed))


def changes(view: View, corrections: Tensor, config: AnyConfig, n_samples: int) -> list[Waveform]:
    """Return what to add to the base's stems.

    Parameters
    ----------
    view : View
        Mix and base.
    corrections : Tensor
        Of the refiner, shape (sources, frames, bands).
    config : RefinerConfig or TrustConfig
        For its grid.
    n_samples : int
        Of the mix.

    Returns
    -------
    list of ndarray of float32, shape (channels, n_samples)
        One per stem, at the level of the view.
    """
    bands = config.bands
    parts = masked(view.mixture, to_bins(corrections, bands))
    return list(istft(parts, bands.n_fft, bands.hop_length, n_samples).cpu().numpy())


@dataclass(frozen=True)
class Hybrid:
    """Any separator, corrected by the refiner.

    Parameters
    ----------
    stems : tuple of str
        A stem set.
    model : str
        Where the refiner's weights lie, as `unstir.weights.locate` takes it.
    base : str
        A method of the registry that gives the same stems; by default the best net that ships.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``, for refiner and base. Read back, it is
        the device taken.
    precision : {"auto", "bf16", "fp32"}
        Arithmetic of products, of the refiner and of a net that is the base. Read back, it is
        the one taken.
    leakage : float in [-1, 1]
        Above 0, stems share cells more evenly: fewer artifacts, more of the other stems. Below,
        the other way round. 0 is what the refiner was trained for.
    seed : int
        For priors that draw random numbers.

    Raises
    ------
    SettingsError
        If ``leakage`` is out of range, or the base cannot be one.
    UnknownNameError
        If there is no such base or device.
    """

    stems: tuple[str, ...]
    model: str
    base: str = ""
    device: str = "auto"
    precision: str = "auto"
    leakage: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not -1 <= self.leakage <= 1:
            raise SettingsError(f"leakage={self.leakage:g} came; -1 to 1 is allowed")
        # What was taken stands in the fields, so that the report and the journal's key name it.
        device = resolve(self.device)
        object.__setattr__(self, "device", str(device))
        object.__setattr__(self, "precision", choose_precision(device, self.precision))
        object.__setattr__(self, "base", self.base or BASES[set_name(self.stems)])
        base = find(self.base)
        why = unfit(base, set_name(self.stems))
        if why:
            if base.needs == "weights":
                self._base()  # says how to get them
            names = (name for name, m in methods().items() if not unfit(m, set_name(self.stems)))
            raise SettingsError(
                f"base={self.base!r} came, which {why}; choose from {', '.join(names)}"
            )

    def survey(self, blocks: Iterable[Mixture], /) -> State:
        """Return what base and priors learn of the recording, and the gain to the refiner's level.

        Raises
        ------
        SettingsError
            If the refiner's model or the base's cannot be loaded: before anything is written.
        """
        refiner = self._opened()
        kept = list(blocks)
        there = [at_rate(block, refiner.config.sample_rate) for block in kept]
        gain_db = gain_to_level_db(there)
        learned = {
            "base": self._base().survey(kept),
            "bank": self._bank(refiner).survey([_louder(block, gain_db) for block in there]),
        }
        return {"gain_db": np.asarray(gain_db, np.float64), **(nested(learned) or {})}

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return one waveform per stem, each of the mix's shape; they add up to the mix.

        Raises
        ------
        AudioError
            If base or refiner gives NaN or infinity, or the GPU's memory does not hold the window.
        """
        if not mix.waveform.any():
            return {name: np.zeros_like(mix.waveform) for name in self.stems}
        refiner = self._opened()
        learned = self.survey([mix]) if state is None else state
        stems, view = self._look(mix, learned, refiner)
        give_back()
        device = torch.device(self.device)
        with placed(self.model, mix), inference(device, self.precision):
            seen = Seen(*(plane[None] for plane in view.seen))
            corrections = finite(refiner(seen, 2.0**-self.leakage)[0])
        rate = refiner.config.sample_rate
        n_samples = samples_at(mix, rate)
        with placed(self.model, mix), inference(device, "fp32"):
            give_back()
            found = changes(view, corrections, refiner.config, n_samples)
        del view
        gain_db = float(learned["gain_db"])
        for name, change in zip(self.stems, found, strict=True):
            there = resample(change, rate, mix.sample_rate, mix.n_samples)
            stems[name] = stems[name] + _gained(there, -gain_db)
        return consistent(mix, stems)

    def examine(self, mix: Mixture, state: State | None = None) -> tuple[View, AnyRefiner]:
        """Return the mix as the refiner sees it, and the refiner.

        Parameters
        ----------
        mix : Mixture
            One window of any rate.
        state : mapping, optional
            What `survey` learned; without it, what is learned of a recording is learned of the mix.
        """
        refiner = self._opened()
        state = self.survey([mix]) if state is None else state
        return self._look(mix, state, refiner)[1], refiner

    def _look(self, mix: Mixture, state: State, refiner: AnyRefiner) -> tuple[Stems, View]:
        """Return the base's stems at the mix's own rate and level, and what the refiner sees."""
        device, rate = torch.device(self.device), refiner.config.sample_rate
        gain_db = float(state["gain_db"])
        base = dict(self._base().separate(mix, part_of(state, "base")))
        give_back()  # base, priors and filter each need much, but not at once

        def seen(waveform: Waveform) -> Mixture:
            return _louder(at_rate(replace(mix, waveform=waveform), rate), gain_db)

        stems = {name: seen(stem).waveform for name, stem in base.items()}
        learned = part_of(state, "bank") or {}
        with placed(self.model, mix), inference(device, "fp32"):
            bank, bands = self._bank(refiner), refiner.config.bands
            return base, look(seen(mix.waveform), stems, bank, learned, bands, device)

    def _base(self) -> Separator:
        stems = set_name(self.stems)
        device = self.device if find(self.base).kind == "neural" else "auto"
        made: Any = make(self.base, stems, seed=self.seed, device=device)
        base: Separator = (
            replace(made, precision=self.precision) if hasattr(made, "precision") else made
        )
        return base

    def _bank(self, refiner: AnyRefiner) -> Bank:
        return Bank(self.stems, self.seed, refiner.config.priors)

    def _opened(self) -> AnyRefiner:
        path = locate(self.model)
        model = open_model(self.model, self.device)
        if not isinstance(model.net, AnyRefiner) or model.sources != self.stems:
            raise SettingsError(
                f"{path} is a {type(model.net).__name__} for {', '.join(model.sources)}; a refiner "
                f"for {', '.join(self.stems)} is wanted"
            )
        n_planes = len(Bank(self.stems, priors=model.net.config.priors).names)
        if model.net.config.n_priors not in (0, n_planes):
            raise SettingsError(
                f"{path} was trained on {model.net.config.n_priors} planes of priors, there are "
                f"{n_planes}; it belongs to another version of unstir"
            )
        return model.net


def unfit(method: Method, stems: str) -> str:
    """Return why a method cannot be the base for a stem set; empty if it can.

    Examples
    --------
    >>> unfit(find("oracle"), "film"), unfit(find("midside"), "film")
    ('needs references', '')
    """
    if method.kind == KIND:
        return "is a hybrid itself"
    if stems not in method.stem_sets:
        return f"does not give the stem set {stems}"
    return f"needs {method.needs}" if method.needs else ""


def _gained(waveform: Waveform, gain_db: float) -> Waveform:
    # In float64: the gain of what is barely there exceeds float32's range.
    return np.asarray(waveform * np.float64(10 ** (gain_db / 20)), np.float32)


def _louder(mix: Mixture, gain_db: float) -> Mixture:
    return replace(mix, waveform=_gained(mix.waveform, gain_db))
