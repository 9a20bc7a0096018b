"""Does the hybrid earn its place? The same refiner with less, and with wrong, evidence.

A gain over the base alone proves little: a refiner is a further net. So the hybrid stands beside
itself with its priors zeroed, with those of another scene, with a prior that says nothing but
says it surely (the mix, evenly shared), with one prior at a time and with all but one, and beside
a refiner of equal size that never saw priors.

A base and the bank look at a mix once; every control is an edit of the planes that came of it,
so all that it costs is one more pass of the refiner.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from unstir.errors import SettingsError
from unstir.hybrid.bank import OF_STEMS, Bank
from unstir.joined import AnyRefiner, View, changes, look
from unstir.neural.device import choose_precision, finite, inference
from unstir.neural.refiner import Seen
from unstir.neural.separator import open_model
from unstir.registry import set_name
from unstir.spectral import Spectrum, consistent
from unstir.types import STEM_SETS, Evidence, Mixture, State, Stems, nested

T = TypeVar("T")

HYBRID, ZEROED, ELSEWHERE, MIXTURE = (
    "hybrid",
    "priors zeroed",
    "priors of another scene",
    "the mix as prior",
)
ONLY, WITHOUT, LEAKAGE = "only ", "without ", "leakage "
LEAKAGES = (-0.5, -0.25, 0.25, 0.5)  # 0 is the hybrid itself


@dataclass
class Costs:
    """Processor time spent, by what it was spent on.

    Parameters
    ----------
    spent_s : dict of str to float
        In seconds, of all threads together; of the last time each was done.

    Examples
    --------
    >>> costs = Costs()
    >>> costs.clocked("sum", lambda: sum(range(9))), list(costs.spent_s)
    (36, ['sum'])
    """

    spent_s: dict[str, float] = field(default_factory=dict)

    def clocked(self, name: str, work: Callable[[], T]) -> T:
        """Return what work gives, and note what it cost."""
        began = time.process_time()
        found = work()
        self.spent_s[name] = time.process_time() - began
        return found


@dataclass(frozen=True)
class Clocked(Bank):
    """A bank for one mix that asks its priors one after another and notes what each costs.

    Asked again, for another base, it repeats what does not depend on the base.

    Parameters
    ----------
    costs : Costs
        Gets ``"PRIOR"`` and, of those that learn from the whole recording, ``"PRIOR survey"``.
    """

    costs: Costs = field(default_factory=Costs, compare=False)
    _said: dict[str, Evidence] = field(default_factory=dict, init=False, repr=False, compare=False)

    def survey(self, blocks: Iterable[Mixture], /) -> State:
        """Return what the priors learn of the recording."""
        kept = list(blocks)
        learned = {
            name: self.costs.clocked(f"{name} survey", partial(prior.survey, kept))
            for name, prior in self._methods().items()
        }
        return nested(learned) or {}

    def evidence(
        self,
        spectrum: Spectrum,
        state: State,
        separated: Mapping[str, Spectrum] | None = None,
        *,
        without: Collection[str] = (),
    ) -> dict[str, Evidence]:
        """Return what every prior says, as `Bank.evidence` does."""
        _ = spectrum.magnitude  # which all share, so that the first does not pay for it
        found = {}
        for name in self.tells:
            if name in without:
                continue
            if name in self._said:
                found[name] = self._said[name]
                continue
            others = set(self.tells) - {name}
            alone = partial(Bank.evidence, self, spectrum, state, separated, without=others)
            found |= self.costs.clocked(name, alone)
            if name not in OF_STEMS:
                self._said[name] = found[name]
        return found


@dataclass(frozen=True)
class Look:
    """A mix, what a base made of it, and what a refiner sees of both.

    Parameters
    ----------
    mix : Mixture
        At the refiner's rate and level.
    base : dict of str to ndarray of float32, each of the mix's shape
        The base's stems.
    view : View
        What the refiner sees of both.
    """

    mix: Mixture
    base: Stems
    view: View

    @property
    def seen(self) -> Seen:
        """Planes, each of shape (planes, frames, bands)."""
        return self.view.seen


def look_at(mix: Mixture, base: Stems, bank: Bank, state: State, refiner: AnyRefiner) -> Look:
    """Return what a refiner sees of a mix and of a base's stems, on the refiner's device.

    Parameters
    ----------
    mix : Mixture
        At the refiner's rate and level.
    base : dict of str to ndarray of float32, each of the mix's shape
        The base's stems.
    bank : Bank
        Of the same stems.
    state : mapping
        What the bank surveyed of the mix.
    refiner : Refiner or Trust
        For its grid.
    """
    device = _device_of(refiner)
    with inference(device, "fp32"):
        view = look(mix, base, bank, state, refiner.config.bands, device)
    return Look(mix, base, view)


def refined(at: Look, refiner: AnyRefiner, seen: Seen, leakage: float = 0.0) -> Stems:
    """Return the stems as the hybrid gives them where the refiner sees these planes.

    Parameters
    ----------
    at : Look
        The mix and the base's stems.
    refiner : Refiner or Trust
        Which corrects them.
    seen : Seen
        Those of the look, or edited.
    leakage : float in [-1, 1]
        As in `unstir.joined.Hybrid`.

    Returns
    -------
    dict of str to ndarray of float32, each of the mix's shape
        They add up to the mix.
    """
    device = _device_of(refiner)
    with inference(device, choose_precision(device)):
        corrections = finite(refiner(Seen(*(plane[None] for plane in seen)), 2.0**-leakage)[0])
    with inference(device, "fp32"):
        found = changes(at.view, corrections, refiner.config, at.mix.n_samples)
    pairs = zip(at.base.items(), found, strict=True)
    return consistent(at.mix, {name: stem + change for (name, stem), change in pairs})


def variants(bank: Bank, seen: Seen, elsewhere: Tensor) -> Iterator[tuple[str, Seen]]:
    """Yield what the refiner sees in each control, by what the control is called in tables.

    Parameters
    ----------
    bank : Bank
        The priors that the refiner asks.
    seen : Seen
        What the refiner sees in truth, each of shape (planes, frames, bands).
    elsewhere : Tensor
        The planes of priors of another scene, shape (planes, any frames, bands); repeated from
        their start as often as it takes.

    Examples
    --------
    >>> seen = Seen(*(torch.rand(n, 4, 2) for n in (5, 3, len(Bank().names))))
    >>> names = [name for name, _ in variants(Bank(), seen, seen.priors)]
    >>> names[:3], len(names)
    (['priors zeroed', 'priors of another scene', 'the mix as prior'], 21)
    """
    priors = seen.priors
    owners = [name.split()[0] for name in bank.names]
    sure = [name.endswith(" validity") for name in bank.names]

    def column(values: list[bool]) -> Tensor:
        return torch.tensor(values, dtype=priors.dtype, device=priors.device)[:, None, None]

    yield ZEROED, seen._replace(priors=torch.zeros_like(priors))
    frames = torch.arange(priors.shape[1], device=priors.device) % elsewhere.shape[1]
    yield ELSEWHERE, seen._replace(priors=elsewhere[:, frames])
    # An even share is zero in the planes of masks, which are told less that share.
    yield MIXTURE, seen._replace(priors=column(sure).expand_as(priors))
    for prior in bank.tells:
        own = column([owner == prior for owner in owners])
        yield ONLY + prior, seen._replace(priors=priors * own)
        yield WITHOUT + prior, seen._replace(priors=priors * (1 - own))


def open_refiner(file: str, device: torch.device, *, blind: bool = False) -> tuple[AnyRefiner, str]:
    """Return a refiner on a device, and the name of its stem set.

    Parameters
    ----------
    file : str
        As `unstir.weights.locate` takes it.
    device : torch.device
        Where it shall be.
    blind : bool
        Whether it must be one that was trained without priors, else one that was with them.

    Raises
    ------
    SettingsError
        If the file cannot be loaded or holds something else.
    """
    model = open_model(file, str(device))
    net = model.net
    if not isinstance(net, AnyRefiner) or model.sources not in STEM_SETS.values():
        raise SettingsError(
            f"{file} is a {type(net).__name__} for {', '.join(model.sources)}; a refiner for the "
            f"stems of {' or '.join(STEM_SETS)} is wanted"
        )
    wanted = 0 if blind else len(Bank(model.sources, priors=net.config.priors).names)
    if net.config.n_priors != wanted:
        raise SettingsError(
            f"{file} was trained on {net.config.n_priors} planes of priors; a refiner trained on "
            f"{wanted} is wanted here"
        )
    return net, set_name(model.sources)


def n_weights(net: torch.nn.Module) -> int:
    """Return how many numbers a net has learned."""
    return int(np.sum([weight.numel() for weight in net.parameters()]))


def _device_of(refiner: AnyRefiner) -> torch.device:
    return next(refiner.parameters()).device
