"""The hybrid against its controls where the true stems are known: ``unstir evaluate --controls``.

The other scene, whose priors one control is given, is the next of the set; the last one's is the
first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from torch import Tensor

from unstir.ablation import n_weights, open_refiner
from unstir.bench import keep
from unstir.compare import Row
from unstir.contest import STEREO, Contest, Heard, compete, heard, pieces
from unstir.errors import SettingsError
from unstir.evaluation import evaluate, mixes_of, nets_of
from unstir.joined import BASES, AnyRefiner, unfit
from unstir.journal import write_whole
from unstir.neural.device import resolve
from unstir.proof_tables import SEED, figures, sheets
from unstir.registry import find, make, stem_set
from unstir.types import Separator

SHIPPED = "unstir.neural/hybrid-film.safetensors"
FILM_SETS, SONG_SETS = ("report", "foreign"), ("song",)


@dataclass
class Measured:
    """What is known of one set and condition so far.

    Parameters
    ----------
    rows : dict of str to list of Row
        By base.
    kinds : dict of str to tuple of str
        By mix.
    costs_ms : dict of str to list of float
        Milliseconds of processor time per second of sound, per step and mix.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    costs_ms: dict[str, list[float]] = field(default_factory=dict)

    def add(self, heard: Heard, by_base: Mapping[str, list[Row]]) -> None:
        """Take up what was measured on one mix."""
        for base, rows in by_base.items():
            self.rows.setdefault(base, []).extend(rows)
        self.kinds[heard.known.name] = heard.known.kinds
        for name, spent_s in heard.costs.spent_s.items():
            self.costs_ms.setdefault(name, []).append(1000 * spent_s / heard.duration_s)


def prove(
    sets: Sequence[str] = (),
    refiner: Path | None = None,
    *,
    bases: Sequence[str] = (),
    blind: Path | None = None,
    trained_on: Path | None = None,
    methods: Sequence[str] | None = None,
    models: Sequence[Path] = (),
    pack: Path | None = None,
    corpus: Path | None = None,
    n_scenes: int | None = None,
    out: Path | None = None,
) -> None:
    """Print what the hybrid gains over its base and over every control.

    Where methods or models are given, `unstir.evaluation.evaluate` measures these first, on the
    same mixes, and keeps their figures in ``out``.

    Parameters
    ----------
    sets : sequence of str
        As `unstir.evaluation.evaluate` takes them; by default the frozen ones of the refiner's
        stems.
    refiner : Path, optional
        By default the one that ships.
    bases : sequence of str
        Methods, or files of nets; by default what the hybrid's is.
    blind : Path, optional
        A refiner of equal size that was trained without priors.
    trained_on : Path, optional
        A net: the first base, trained on for the refiner's compute.
    methods, models, pack, corpus, n_scenes
        As there, but by default no methods.
    out : Path, optional
        Where to keep the figures as JSON, with every row; the tables go beside it, as .md. After
        methods, both end in .controls.json and .controls.md instead.

    Raises
    ------
    SettingsError
        If a file is not what is wanted, a set needs a folder that was not given, has other stems
        than the refiner, or is of one mix.
    UnknownNameError
        If there is no such base.
    """
    console = Console(highlight=False)
    both = bool(methods or models)
    own = out.with_suffix(".controls.json") if out and both else out
    _refuse_what_is_there(own)
    contest = _entered(refiner, bases, blind, trained_on)
    sets = sets or (FILM_SETS if contest.stems == "film" else SONG_SETS)
    if both:
        for name in sets:
            _, mixes = mixes_of(name, pack, corpus, n_scenes, quiet=True)
            if len(list(islice(pieces(mixes, contest), 2))) < 2:
                raise _too_few(name)
        evaluate(sets, methods, models=models, pack=pack, corpus=corpus, n_scenes=n_scenes, out=out)
    kept: dict[str, Any] = {}
    texts = []
    for name in sets:
        kept[name] = {}
        for condition, measured in _measure(name, contest, pack, corpus, n_scenes).items():
            n = len(measured.kinds)
            costs_ms = {k: float(np.median(v)) for k, v in measured.costs_ms.items()}
            kept[name][condition] = {"kinds": measured.kinds, "costs_ms": costs_ms, "bases": {}}
            for base, rows in measured.rows.items():
                # In mono nobody stands anywhere.
                found = figures(rows, measured.kinds if condition == STEREO else {})
                where = f"{name}, {n} mixes, {condition}, over {base}"
                for sheet in sheets(found, base, costs_ms, where):
                    texts.append(sheet.markdown())
                    console.print(sheet.table())
                found["rows"] = [_plain(row) for row in rows]
                kept[name][condition]["bases"][base] = found
    if own is None:
        return
    about = {
        "stems": contest.stems,
        "refiner": {"file": str(refiner or SHIPPED), "weights": n_weights(contest.refiner)},
        "blind": {"file": str(blind), "weights": n_weights(contest.blind)}
        if contest.blind
        else None,
        "trained_on": str(trained_on) if trained_on else None,
        "seeds": {"methods": 0, "intervals": SEED},
    }
    keep(own, "controls", {**about, "sets": kept})
    write_whole(own.with_suffix(".md"), "\n".join(texts).encode())


def _refuse_what_is_there(out: Path | None) -> None:
    if out is None or not out.exists():
        return
    try:
        ours = json.loads(out.read_text(encoding="utf-8"))["what"] == "controls"
    except (ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise SettingsError(
            f"{out} holds something else than figures of 'unstir evaluate --controls'; give "
            "another --out"
        )


def _entered(
    refiner: Path | None, bases: Sequence[str], blind: Path | None, trained_on: Path | None
) -> Contest:
    """Return who takes part; whoever cannot is refused before work begins."""
    device = resolve("auto")
    net, stems = open_refiner(f"file:{refiner}" if refiner else SHIPPED, device)
    other: AnyRefiner | None = None
    if blind is not None:
        other, its = open_refiner(f"file:{blind}", device, blind=True)
        if its != stems:
            raise SettingsError(f"{blind} gives the stems of {its}; {stems} is wanted")
    entered: dict[str, Separator] = {}
    for name in dict.fromkeys(bases or [BASES[stems]]):
        if name.endswith(".safetensors"):
            entered |= _nets(Path(name), stems)
        else:
            why = unfit(find(name), stems)
            if why:
                raise SettingsError(f"--base {name} came, which {why}; give another")
            entered[name] = make(name, stems)
    longer = next(iter(_nets(trained_on, stems).values())) if trained_on else None
    return Contest(stems, net, entered, other, longer)


def _nets(path: Path, stems: str) -> dict[str, Separator]:
    found = nets_of([path])
    for net in found.values():
        if net.stems != stem_set(stems):
            raise SettingsError(
                f"{path} gives {', '.join(net.stems)}; the refiner is for "
                f"{', '.join(stem_set(stems))}"
            )
    return {name: net for name, net in found.items()}


def _measure(
    name: str,
    contest: Contest,
    pack: Path | None,
    corpus: Path | None,
    n_scenes: int | None,
) -> dict[str, Measured]:
    total, mixes = mixes_of(name, pack, corpus, n_scenes)
    shown = track(mixes, name, total, console=Console(stderr=True), transient=True)
    found: dict[str, Measured] = {}
    for here, elsewhere in _neighbors(heard(known, contest) for known in pieces(shown, contest)):
        for condition, one in here.items():
            if condition not in elsewhere:
                raise SettingsError(f"{name} holds mono and stereo mixes; give folders of one kind")
            rows = compete(one, elsewhere[condition], contest, every=condition == STEREO)
            found.setdefault(condition, Measured()).add(one, rows)
    if not found:
        raise _too_few(name)
    return found


def _too_few(name: str) -> SettingsError:
    return SettingsError(f"{name} gives fewer than two mixes; two or more are wanted")


def _neighbors(
    items: Iterable[dict[str, Heard]],
) -> Iterator[tuple[dict[str, Heard], dict[str, dict[str, Tensor]]]]:
    """Yield every item with the priors of the next, the last with those of the first.

    A single item has no neighbor: nothing is yielded.
    """

    def priors(item: dict[str, Heard]) -> dict[str, dict[str, Tensor]]:
        return {
            condition: {base: at.seen.priors for base, at in one.looks.items()}
            for condition, one in item.items()
        }

    later = iter(items)
    held = next(later, None)
    if held is None:
        return
    first, alone = priors(held), True
    for item in later:
        yield held, priors(item)
        held, alone = item, False
    if not alone:
        yield held, first


def _plain(row: Row) -> dict[str, Any]:
    """Return a row for a file: a thousandth of a decibel, and nothing that was not measured."""
    return {
        name: {k: round(v, 3) for k, v in value.items()} if isinstance(value, dict) else value
        for name, value in asdict(row).items()
        if name != "seconds"
    }
