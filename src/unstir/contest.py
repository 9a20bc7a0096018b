"""One mix, heard by a base, the hybrid and every control: rows to compare.

The mix is heard in stereo, if it is, and in mono, and brought to the level of the refiner's
training. Each base takes it apart once and the priors look at it once; then every control is one
pass of the refiner (`unstir.ablation`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import soxr
from torch import Tensor

from unstir.ablation import (
    HYBRID,
    LEAKAGE,
    LEAKAGES,
    ONLY,
    WITHOUT,
    Clocked,
    Costs,
    Look,
    look_at,
    refined,
    variants,
)
from unstir.compare import Row, sum_of
from unstir.errors import SettingsError
from unstir.evaluate import si_sdr_db, snr_db
from unstir.evaluation import Known
from unstir.hybrid.bank import Bank
from unstir.joined import AnyRefiner
from unstir.neural.separator import gain_to_level_db
from unstir.proof_tables import BASE, BLIND, TRAINED_ON
from unstir.registry import make, stem_set
from unstir.streaming import WINDOW_S, one_blas_thread
from unstir.types import Mixture, Separator, Stems

STEREO, MONO = "stereo", "mono"


@dataclass(frozen=True, eq=False)
class Contest:
    """Who takes part.

    Parameters
    ----------
    stems : str
        A stem set.
    refiner : Refiner or Trust
        What has to prove itself.
    bases : mapping of str to Separator
        What it corrects.
    blind : Refiner, optional
        Of equal size, trained without priors.
    trained_on : Separator, optional
        The first base, trained on for the refiner's compute.
    """

    stems: str
    refiner: AnyRefiner
    bases: Mapping[str, Separator]
    blind: AnyRefiner | None = None
    trained_on: Separator | None = None


@dataclass(frozen=True, eq=False)
class Heard:
    """A mix in one condition, and what a refiner sees of it over each base.

    Parameters
    ----------
    known : Known
        Its true stems, at the refiner's rate and level.
    looks : dict of str to Look
        By base.
    costs : Costs
        Of the bases and of each prior; whatever is done with it later adds its own.
    """

    known: Known
    looks: dict[str, Look]
    costs: Costs

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        n_samples = next(iter(self.known.stems.values())).shape[1]
        return float(n_samples / self.known.sample_rate)


def pieces(mixes: Iterable[Known], contest: Contest) -> Iterator[Known]:
    """Yield stretches of at most one window at the refiner's rate; one that is silent is left out.

    The frozen scenes are as long as a window, and pass as they are.

    Parameters
    ----------
    mixes : iterable of Known
        At any rate.
    contest : Contest
        Whose refiner says rate and stems.

    Raises
    ------
    SettingsError
        If a mix has other stems.
    """
    rate = contest.refiner.config.sample_rate
    for known in mixes:
        if set(known.stems) != set(stem_set(contest.stems)):
            raise SettingsError(
                f"{known.name} holds {', '.join(known.stems)}; the refiner is for "
                f"{', '.join(stem_set(contest.stems))}"
            )
        stems = known.stems
        if known.sample_rate != rate:
            stems = {
                name: np.asarray(soxr.resample(stem.T, known.sample_rate, rate).T, np.float32)
                for name, stem in stems.items()
            }
        n = next(iter(stems.values())).shape[1]
        n_pieces = -(-n // round(WINDOW_S * rate))
        for k in range(n_pieces):
            part = slice(k * n // n_pieces, (k + 1) * n // n_pieces)
            own = {name: np.ascontiguousarray(stem[:, part]) for name, stem in stems.items()}
            name = known.name if n_pieces == 1 else f"{known.name}, {k + 1} of {n_pieces}"
            if sum_of(own).any():
                yield replace(known, name=name, stems=own, sample_rate=rate)


def heard(known: Known, contest: Contest) -> dict[str, Heard]:
    """Return a mix as it is heard in every condition.

    Parameters
    ----------
    known : Known
        At the refiner's rate, one or two channels.
    contest : Contest
        Whose bases take it apart.

    Returns
    -------
    dict of str to Heard
        By ``"stereo"``, if it is, and ``"mono"``: the mean of its channels.

    Raises
    ------
    SettingsError
        If it has more than two channels.
    """
    n_channels = len(sum_of(known.stems))
    if n_channels > 2:
        raise SettingsError(f"{known.name} has {n_channels} channels; one or two are wanted")
    down = {name: stem.mean(axis=0, keepdims=True) for name, stem in known.stems.items()}
    found = {STEREO: _heard(known, contest)} if n_channels == 2 else {}
    return found | {MONO: _heard(replace(known, stems=down), contest)}


def _heard(known: Known, contest: Contest) -> Heard:
    total = Mixture(sum_of(known.stems), known.sample_rate)
    gain = np.float32(10 ** (gain_to_level_db([total]) / 20))
    known = replace(known, stems={name: gain * stem for name, stem in known.stems.items()})
    mix = Mixture(sum_of(known.stems), known.sample_rate)
    costs = Costs()
    bank = Clocked(stem_set(contest.stems), priors=contest.refiner.config.priors, costs=costs)
    looks = {}
    with one_blas_thread():
        state = bank.survey([mix])
        for name, base in contest.bases.items():
            stems = costs.clocked(name, partial(_separated, base, mix))
            looks[name] = look_at(mix, stems, bank, state, contest.refiner)
    return Heard(known, looks, costs)


def _separated(separator: Separator, mix: Mixture) -> Stems:
    return separator.separate(mix, separator.survey([mix]))


def compete(
    heard: Heard, elsewhere: Mapping[str, Tensor], contest: Contest, *, every: bool = True
) -> dict[str, list[Row]]:
    """Return how base, hybrid and controls do on one mix.

    Parameters
    ----------
    heard : Heard
        The mix.
    elsewhere : mapping of str to Tensor
        By base, the priors' planes of another mix.
    contest : Contest
        Who takes part.
    every : bool
        Whether prior by prior and every leakage is measured too.

    Returns
    -------
    dict of str to list of Row
        By base. ``seconds`` is not measured here: controls share most of the work.
    """
    known, net = heard.known, contest.refiner
    mix = Mixture(sum_of(known.stems), known.sample_rate)
    before = {name: si_sdr_db(stem, mix.waveform) for name, stem in known.stems.items()}

    def row(method: str, found: Stems) -> Row:
        scores = {name: si_sdr_db(stem, found[name]) for name, stem in known.stems.items()}
        return Row(
            method,
            known.name,
            known.source,
            scores,
            # As `unstir.evaluate.improvement`, with the mix measured once.
            {k: v - before[k] if before[k] != np.inf else np.nan for k, v in scores.items()},
            {name: snr_db(stem, found[name]) for name, stem in known.stems.items()},
            seconds=np.nan,
            duration_s=mix.duration_s,
        )

    bank = Bank(stem_set(contest.stems), priors=net.config.priors)
    oracle = make("oracle", contest.stems, references=known.stems)
    ends = [
        row("mixture", _separated(make("mixture", contest.stems), mix)),
        row("oracle", _separated(oracle, mix)),
    ]
    rows = {}
    for number, (base, at) in enumerate(heard.looks.items()):
        own = [*ends, row(BASE, at.base)]
        if contest.trained_on and number == 0:
            own.append(row(TRAINED_ON, _separated(contest.trained_on, mix)))
        whole = heard.costs.clocked("refiner", partial(refined, at, net, at.seen))
        own.append(row(HYBRID, whole))
        if contest.blind:
            own.append(row(BLIND, refined(at, contest.blind, at.seen)))
        for name, seen in variants(bank, at.seen, elsewhere[base]):
            if every or not name.startswith((ONLY, WITHOUT)):
                own.append(row(name, refined(at, net, seen)))
        for leakage in LEAKAGES if every else ():
            own.append(row(f"{LEAKAGE}{leakage:g}", refined(at, net, at.seen, leakage)))
        rows[base] = own
    return rows
