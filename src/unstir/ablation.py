"""Does the hybrid earn its place? The same refiner with less, and with wrong, evidence.

A gain over the base alone proves little: a refiner is a further net. So the hybrid stands beside
itself with its priors zeroed, with those of another scene, with a prior that says nothing but
says it surely (the mix, evenly shared), with one prior at a time, and beside a refiner of
equal size that never saw priors. Differences are paired over mixes, with intervals over sources.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unstir.compare import Row
from unstir.evaluate import bootstrap_interval
from unstir.hybrid.bank import TELLS, Bank
from unstir.joined import Hybrid
from unstir.spectral import Spectrum, analyze, everywhere
from unstir.types import Evidence, Mixture, Plane, State

ZEROED, ELSEWHERE, MIXTURE = "zeroed", "elsewhere", "mixture"


@dataclass(frozen=True)
class Biased(Bank):
    """A bank that does not say what the priors say.

    Parameters
    ----------
    kind : str
        ``"zeroed"``: nothing; ``"elsewhere"``: what priors say of ``other``; ``"mixture"``:
        an even share, surely; or the name of the only prior that speaks.
    other : Mixture, optional
        Another scene, at the same rate and level.
    """

    kind: str = ZEROED
    other: Mixture | None = None

    def survey(self, blocks: Iterable[Mixture], /) -> State:
        """Return what the priors learn, of the other scene if that is asked."""
        return super().survey(blocks if self.other is None else [self.other])

    def evidence(
        self, spectrum: Spectrum, state: State, voice: Spectrum | None = None
    ) -> dict[str, Evidence]:
        """Return what every prior shall say."""
        if self.kind == ELSEWHERE:
            assert self.other is not None
            there = analyze(self.other, spectrum.config)
            return {
                name: _fitted(found, spectrum.n_frames)
                for name, found in super().evidence(there, state).items()
            }
        found = super().evidence(spectrum, state, voice)
        if self.kind == MIXTURE:
            share = np.full((1, 1, 1), 1 / len(self.stems), np.float32)
            share = np.broadcast_to(share, (1, *spectrum.magnitude.shape))
            even = Evidence(dict.fromkeys(self.stems, share), everywhere(spectrum))
            return dict.fromkeys(found, even)
        return {
            name: value if name == self.kind else _silent(value) for name, value in found.items()
        }


def _silent(evidence: Evidence) -> Evidence:
    return Evidence(evidence.masks, np.zeros_like(evidence.validity))


def _fitted(evidence: Evidence, n_frames: int) -> Evidence:
    """Return evidence of another length, repeated from its start as often as it takes."""

    def fit(plane: Plane) -> Plane:
        index = np.arange(n_frames) % plane.shape[-1]
        return np.asarray(plane[..., index], np.float32)

    return Evidence(
        {name: fit(mask) for name, mask in evidence.masks.items()}, fit(evidence.validity)
    )


def variants(hybrid: Hybrid, other: Mixture, blind: Hybrid | None = None) -> dict[str, Hybrid]:
    """Return the hybrid and its controls, by what each is called in tables.

    Parameters
    ----------
    hybrid : Hybrid
        What has to prove itself.
    other : Mixture
        A mix of another scene.
    blind : Hybrid, optional
        The same base with a refiner of equal size that was trained without priors.

    Examples
    --------
    >>> other = Mixture(np.zeros((2, 4410), np.float32), 44100)
    >>> stems = ("speech", "music", "effects")
    >>> list(variants(Hybrid(stems, "random"), other))[:4]
    ['hybrid', 'priors zeroed', 'priors of another scene', 'the mix as prior']
    """
    kinds = {
        "priors zeroed": ZEROED,
        "priors of another scene": ELSEWHERE,
        "the mix as prior": MIXTURE,
        **{f"only {name}": name for name in TELLS[hybrid.stems]},
    }
    found = {}
    for name, kind in kinds.items():
        heard = other if kind == ELSEWHERE else None
        found[name] = replace(hybrid, bank=Biased(hybrid.stems, hybrid.seed, kind, heard))
    return {"hybrid": hybrid, **({"no priors in training": blind} if blind else {}), **found}


def paired(rows: Sequence[Row], name: str, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return by how much a method is better than each other, mix by mix.

    Parameters
    ----------
    rows : sequence of Row
        Of one set of mixes, every method on every mix.
    name : str
        The method that has to prove itself.
    seed : int
        Of the bootstrap over sources.

    Returns
    -------
    list of dict
        ``method``, ``stems`` (per stem ``gain_db`` and ``interval_db``), ``mean_gain_db`` and
        ``mean_interval_db``: positive where ``name`` is better.
    """
    by_method: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_method.setdefault(row.method, {})[row.mix] = row
    own = by_method[name]
    entries = []
    for method, others in by_method.items():
        if method == name:
            continue
        mixes = [mix for mix in own if mix in others]
        sources = [own[mix].source for mix in mixes]
        stems = list(own[mixes[0]].gain_db)
        differences = {
            stem: [own[m].gain_db[stem] - others[m].gain_db[stem] for m in mixes] for stem in stems
        }
        means = [float(np.nanmean([differences[s][k] for s in stems])) for k in range(len(mixes))]
        entries.append(
            {
                "method": method,
                "stems": {stem: _over(differences[stem], sources, seed) for stem in stems},
                **{f"mean_{k}": v for k, v in _over(means, sources, seed).items()},
            }
        )
    return entries


def _over(values: Sequence[float], sources: Sequence[str], seed: int) -> Mapping[str, Any]:
    kept = [value for value in values if not np.isnan(value)]
    interval = None
    if len(set(sources)) >= 3:
        interval = bootstrap_interval(values, groups=sources, seed=seed)
    return {"gain_db": float(np.mean(kept)) if kept else float("nan"), "interval_db": interval}
