"""The tables of a page: what stands in them, in what order it sorts, and which is best."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from unstir.metrics import VOICES
from unstir.report import Comparison, Outcome

NONE = "\N{EN DASH}"  # where there is no figure
BSS_HINT = "seconds in which every stem sounds; SDR, SIR and SAR are medians over them"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    title, unit, hint : str
        What stands above it, and what is told of it.
    form : str
        How a figure is written, as `format` takes it.
    figure : callable
        Returns an outcome's figure; None if there is none.
    best : {"max", "min", ""}
        Which end is good; empty if neither is.
    """

    title: str
    unit: str
    form: str
    hint: str
    figure: Callable[[Outcome], float | None]
    best: Literal["max", "min", ""] = "max"


def tables(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one table over all stems and, with references, one for each stem."""
    duration_s = comparison.duration_s
    null = "largest error of the stems' sum against the mix"
    run = [
        Column("null", "dB", ".0f", null, _null, best=""),  # all of it is rounding
        Column("time", "s", ".1f", "of a whole run", lambda o: o.seconds, "min"),
        Column(
            "speed",
            "\N{MULTIPLICATION SIGN}",
            ".1f",
            "seconds of sound in a second",
            lambda o: duration_s / o.seconds,
        ),
        Column("memory", "MB", ".0f", "peak of the process", lambda o: o.peak_mb, "min"),
    ]
    if not comparison.references:
        levels = [_loudness(stem, stem) for stem in comparison.stems]
        return [_table(comparison, "all", "All stems", [*levels, *run])]
    over = "gain in SI-SDR over the mix"
    columns = [
        Column("mean gain", "dB", "+.1f", over, _mean_gain),
        *(_score(stem, "gain_db", stem, "dB", "+.1f", over) for stem in comparison.stems),
        *run,
    ]
    return [
        _table(comparison, "all", "All stems", columns),
        *(
            _table(comparison, stem, stem.capitalize(), _columns_of(stem))
            for stem in comparison.stems
        ),
    ]


def text(value: float | None, form: str) -> str:
    """Return a figure as it is written, with a true minus sign.

    Examples
    --------
    >>> text(2.345, "+.1f"), text(-0.01, "+.1f"), text(-math.inf, ".0f")
    ('+2.3', '0.0', 'exact')
    """
    if value is None:
        return NONE
    if value == -math.inf:
        return "exact"
    shown = format(value, form)
    # What rounds to zero has no sign.
    return shown.lstrip("+-") if float(shown) == 0 else shown.replace("-", "\N{MINUS SIGN}")


def _columns_of(stem: str) -> list[Column]:
    return [
        _score(stem, "si_sdr_db", "SI-SDR", "dB", ".1f", "scale-invariant signal to distortion"),
        _score(stem, "gain_db", "gain", "dB", "+.1f", "SI-SDR less that of the mix itself"),
        _score(stem, "sdr_db", "SDR", "dB", ".1f", "BSS Eval 4: distortion of every kind"),
        _score(stem, "sir_db", "SIR", "dB", ".1f", "BSS Eval 4: what is left of other stems"),
        _score(stem, "sar_db", "SAR", "dB", ".1f", "BSS Eval 4: what the method itself added"),
        _score(stem, "bss_seconds", "counted", "s", ".0f", BSS_HINT, best=""),
        *(
            [_score(stem, "stoi", "STOI", "", ".2f", "objective intelligibility, at most 1")]
            if stem in VOICES
            else []
        ),
        _loudness(stem, "loudness"),
    ]


def _score(
    stem: str,
    name: str,
    title: str,
    unit: str,
    form: str,
    hint: str,
    *,
    best: Literal["max", ""] = "max",
) -> Column:
    def figure(outcome: Outcome) -> float | None:
        value: float | None = getattr(outcome.scores[stem], name)
        return value

    return Column(title, unit, form, hint, figure, best)


def _loudness(stem: str, title: str) -> Column:
    return Column(
        title, "LUFS", ".1f", "integrated loudness", lambda o: o.loudness_lufs[stem], best=""
    )


def _null(outcome: Outcome) -> float:
    return -math.inf if outcome.null_depth_db is None else outcome.null_depth_db


def _mean_gain(outcome: Outcome) -> float | None:
    gains = [score.gain_db for score in outcome.scores.values() if score.gain_db is not None]
    return float(np.mean(gains)) if gains else None


def _table(
    comparison: Comparison, name: str, title: str, columns: Sequence[Column]
) -> dict[str, Any]:
    """Return a table; a column without any figure, as of a library not installed, is left out."""
    outcomes = comparison.outcomes
    kept = [column for column in columns if any(column.figure(o) is not None for o in outcomes)]
    cells = [_cells(column, outcomes) for column in kept]
    return {
        "id": name,
        "title": title,
        "columns": kept,
        "rows": [
            {"method": o.method, "kind": o.kind, "cells": [column[i] for column in cells]}
            for i, o in enumerate(outcomes)
        ],
    }


def _cells(column: Column, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return cells that know their text, what they sort by and whether they are the best."""
    values = [column.figure(outcome) for outcome in outcomes]
    rivals = [
        value
        for value, outcome in zip(values, outcomes, strict=True)
        if value is not None and outcome.kind != "control"
    ]
    winner = None
    if column.best and rivals:
        winner = text(max(rivals) if column.best == "max" else min(rivals), column.form)
    return [
        {
            "text": text(value, column.form),
            "sort": _sortable(value),
            "best": outcome.kind != "control" and text(value, column.form) == winner,
        }
        for value, outcome in zip(values, outcomes, strict=True)
    ]


def _sortable(value: float | None) -> str:
    """Return a number as JavaScript reads it, empty if there is none."""
    return "" if value is None else "-Infinity" if value == -math.inf else repr(float(value))
