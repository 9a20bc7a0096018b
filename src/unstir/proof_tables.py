"""What rows of controls say: means, paired differences, and tables of both, with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from unstir.ablation import (
    ELSEWHERE,
    HYBRID,
    LEAKAGE,
    LEAKAGES,
    MIXTURE,
    ONLY,
    WITHOUT,
    ZEROED,
)
from unstir.compare import Row
from unstir.evaluate import bootstrap_interval

BASE, TRAINED_ON, BLIND = "base", "base trained on", "no priors in training"
SHOWN = (
    "mixture",
    BASE,
    TRAINED_ON,
    HYBRID,
    BLIND,
    ZEROED,
    ELSEWHERE,
    MIXTURE,
)
KINDS = ("centered", "wide", "moving", "dry", "reverberant")  # of dialogue, in this order
SEED = 0  # of every bootstrap
Averages = dict[str, Any]


@dataclass(frozen=True)
class Sheet:
    """A table of texts.

    Parameters
    ----------
    title : str
        What it shows.
    header : tuple of str
        One per column.
    lines : tuple of tuple of str
        The first column names what a line is of.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return it for the documents."""
        rule = "|---|" + "---:|" * (len(self.header) - 1)
        texts = ["| " + " | ".join(cells) + " |" for cells in (self.header, *self.lines)]
        return "\n".join([f"{self.title}\n", texts[0], rule, *texts[1:]]) + "\n"

    def table(self) -> Table:
        """Return it for the terminal."""
        shown = Table(title=escape(self.title), title_justify="left")
        for number, text in enumerate(self.header):
            shown.add_column(text, justify="right" if number else "left")
        for cells in self.lines:
            shown.add_row(*(escape(cell) for cell in cells))
        return shown


def averages(
    rows: Sequence[Row], name: str, than: str = "", *, mixes: Sequence[str] | None = None
) -> Averages:
    """Return the mean gain of a method over the mix, or over another method mix by mix.

    Parameters
    ----------
    rows : sequence of Row
        Of one set of mixes and one base.
    name, than : str
        Methods; without the second, the gain is over the mix itself.
    mixes : sequence of str, optional
        Only these.

    Returns
    -------
    dict
        ``n``, the number of mixes; ``stems`` (per stem ``gain_db`` and ``interval_db``),
        ``mean_gain_db`` and ``mean_interval_db``: 95 % over sources, None where there are fewer
        than three.
    """
    own, others = _of(rows, name), _of(rows, than)
    chosen = [mix for mix in own if (not than or mix in others) and (mixes is None or mix in mixes)]
    sources = [own[mix].source for mix in chosen]
    stems = {
        stem: [
            own[mix].gain_db[stem] - (others[mix].gain_db[stem] if than else 0.0) for mix in chosen
        ]
        for stem in next(iter(own.values())).gain_db
    }
    means = [_mean(values) for values in zip(*stems.values(), strict=True)]
    gain_db, interval_db = _over(means, sources)
    return {
        "n": len(chosen),
        "stems": {
            stem: dict(zip(("gain_db", "interval_db"), _over(values, sources), strict=True))
            for stem, values in stems.items()
        },
        "mean_gain_db": gain_db,
        "mean_interval_db": interval_db,
    }


def leakage_curve(rows: Sequence[Row]) -> dict[str, float]:
    """Return the mean SI-SDR of the hybrid at every setting of its leakage.

    Parameters
    ----------
    rows : sequence of Row
        Of one set and base, with a method per setting.

    Returns
    -------
    dict of str to float
        In dB, mean over stems and mixes, by ``"-0.5"`` to ``"0.5"``.
    """
    found = {}
    for leakage in sorted((*LEAKAGES, 0.0)):
        own = _of(rows, f"{LEAKAGE}{leakage:g}" if leakage else HYBRID)
        found[f"{leakage:g}"] = _mean([_mean(row.si_sdr_db.values()) for row in own.values()])
    return found


def best_single(rows: Sequence[Row]) -> str:
    """Return the method with a single prior that gains most, judged by these very rows."""
    names = dict.fromkeys(row.method for row in rows if row.method.startswith(ONLY))
    return max(names, key=lambda name: averages(rows, name)["mean_gain_db"], default="")


def figures(rows: Sequence[Row], kinds: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return all that follows from the rows of one set, condition and base.

    Parameters
    ----------
    rows : sequence of Row
        Every method on every mix.
    kinds : mapping of str to tuple of str
        By mix, what kinds it is of.

    Returns
    -------
    dict
        ``gains`` by method, over the mix; ``hybrid_over`` by method; where every prior was left
        out and left alone, ``priors`` (``lost_db`` without it, ``alone_db`` over none) and
        ``leakage``; ``kinds`` (per kind ``hybrid_over``). Entries are those of `averages`.
    """
    names = list(dict.fromkeys(row.method for row in rows))
    found: dict[str, Any] = {
        "gains": {name: averages(rows, name) for name in names},
        "hybrid_over": {name: averages(rows, HYBRID, name) for name in names if name != HYBRID},
        "best_single": best_single(rows),
        "priors": {
            name.removeprefix(ONLY): {
                "lost_db": averages(rows, HYBRID, WITHOUT + name.removeprefix(ONLY)),
                "alone_db": averages(rows, name, ZEROED),
            }
            for name in names
            if name.startswith(ONLY)
        },
        "kinds": {},
    }
    for kind in KINDS:
        mixes = [mix for mix, own in kinds.items() if kind in own]
        if mixes:
            found["kinds"][kind] = {
                name: averages(rows, HYBRID, name, mixes=mixes)
                for name in names
                if name in (BASE, TRAINED_ON, BLIND, ZEROED)
            }
    if any(name.startswith(LEAKAGE) for name in names):
        found["leakage"] = leakage_curve(rows)
    return found


def sheets(
    found: Mapping[str, Any], base: str, costs_ms: Mapping[str, float], where: str
) -> Iterator[Sheet]:
    """Yield the tables of one set, condition and base.

    Parameters
    ----------
    found : mapping
        From `figures`.
    base : str
        Its name.
    costs_ms : mapping of str to float
        Milliseconds of one core per second of sound, by prior and step.
    where : str
        Set, condition and base, for the titles.
    """
    best = found["best_single"]
    labels = {BASE: base, TRAINED_ON: f"{base} trained on"}
    labels |= {best: f"best single prior ({best.removeprefix(ONLY)})"} if best else {}
    shown = [name for name in (*SHOWN, best, "oracle") if name in found["gains"]]
    stems = tuple(found["gains"][HYBRID]["stems"])

    def lines(entries: Mapping[str, Averages], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        return tuple((labels.get(name, name), *_cells(entries[name])) for name in names)

    yield Sheet(
        f"{where}: SI-SDR gain over the mix, dB",
        ("", *stems, "mean"),
        lines(found["gains"], shown),
    )
    rest = [name for name in shown if name not in (HYBRID, "mixture", "oracle")]
    yield Sheet(
        f"{where}: hybrid less each control, dB, mix by mix",
        ("hybrid less", *stems, "mean"),
        lines(found["hybrid_over"], rest),
    )
    if found["priors"]:
        yield Sheet(
            f"{where}: prior by prior, mean over stems, dB",
            (
                "prior",
                "lost without it",
                "gained by it alone",
                "ms per second of sound",
                "and of the minute surveyed",
            ),
            tuple(
                (
                    prior,
                    _cells(own["lost_db"])[-1],
                    _cells(own["alone_db"])[-1],
                    f"{costs_ms.get(prior, np.nan):.1f}",
                    f"{costs_ms.get(f'{prior} survey', 0):.1f}",
                )
                for prior, own in found["priors"].items()
            ),
        )
    if "leakage" in found:
        yield Sheet(
            f"{where}: mean SI-SDR by leakage, dB",
            tuple(found["leakage"]),
            (tuple(f"{value:.2f}" for value in found["leakage"].values()),),
        )
    for control in (BASE, BLIND):
        own = {kind: by[control] for kind, by in found["kinds"].items() if control in by}
        if own:
            yield Sheet(
                f"{where}: hybrid less {labels.get(control, control)} by kind of dialogue, dB",
                ("dialogue", "mixes", *stems, "mean"),
                tuple((kind, str(entry["n"]), *_cells(entry)) for kind, entry in own.items()),
            )


def _of(rows: Sequence[Row], name: str) -> dict[str, Row]:
    return {row.mix: row for row in rows if row.method == name}


def _mean(values: Any) -> float:
    kept = [value for value in values if not np.isnan(value)]
    return float(np.mean(kept)) if kept else float("nan")


def _over(
    values: Sequence[float], sources: Sequence[str]
) -> tuple[float, tuple[float, float] | None]:
    enough = len(set(sources)) >= 3
    return _mean(values), bootstrap_interval(values, groups=sources, seed=SEED) if enough else None


def _cells(entry: Averages) -> list[str]:
    pairs = [(own["gain_db"], own["interval_db"]) for own in entry["stems"].values()]
    pairs.append((entry["mean_gain_db"], entry["mean_interval_db"]))
    return [
        _signed(value) + (f" ({_signed(low)} to {_signed(high)})" if interval else "")
        for value, interval in pairs
        for low, high in [interval or (np.nan, np.nan)]
    ]


def _signed(value: float) -> str:
    """Return two decimals with their sign; what rounds to zero has none."""
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}"
