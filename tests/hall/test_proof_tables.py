"""What rows say: differences mix by mix, curves, and tables that leave nothing out."""

import numpy as np
import pytest

from unstir.ablation import HYBRID, LEAKAGE, LEAKAGES, ONLY, WITHOUT, ZEROED
from unstir.compare import Row
from unstir.proof_tables import BASE, averages, best_single, figures, leakage_curve, sheets
from unstir.types import FILM

LEVELS = np.random.default_rng(0).normal(0, 10, 12)


def rows(method: str, more_db: float = 0.0, *, jitter_db: float = 0.0) -> list[Row]:
    """Return a method on twelve mixes of four sources, whose levels differ by tens of decibels."""
    found = []
    for k, level in enumerate(LEVELS):
        gains = dict.fromkeys(FILM, float(level + more_db + jitter_db * (-1) ** k))
        found.append(Row(method, f"mix {k}", f"source {k % 4}", gains, gains, gains, 1.0, 1.0))
    return found


def test_differences_are_paired() -> None:
    entry = averages(rows(BASE) + rows(HYBRID, 1.0, jitter_db=0.1), HYBRID, BASE)
    assert entry["n"] == 12
    assert entry["mean_gain_db"] == pytest.approx(1.0, abs=1e-6)
    low, high = entry["mean_interval_db"]
    assert 0.85 < low <= high < 1.15
    assert entry["stems"]["music"]["gain_db"] == pytest.approx(1.0, abs=1e-6)


def test_a_silent_stem_leaves_both_sides() -> None:
    base, hybrid = rows(BASE), rows(HYBRID, 1.0)
    base[0].gain_db["music"] = hybrid[0].gain_db["music"] = float("nan")
    entry = averages(base + hybrid, HYBRID, BASE)
    assert entry["stems"]["music"]["gain_db"] == pytest.approx(1.0)
    assert entry["mean_gain_db"] == pytest.approx(1.0)


def test_two_sources_give_no_interval() -> None:
    entry = averages(rows(HYBRID), HYBRID, mixes=["mix 0", "mix 1", "mix 4"])
    assert entry["n"] == 3 and entry["mean_interval_db"] is None
    assert entry["mean_gain_db"] == pytest.approx(np.mean(LEVELS[[0, 1, 4]]))


def test_the_leakage_curve_goes_from_below_to_above() -> None:
    measured = rows(HYBRID)
    for leakage in LEAKAGES:
        measured += rows(f"{LEAKAGE}{leakage:g}", -abs(leakage))
    curve = leakage_curve(measured)
    assert list(curve) == ["-0.5", "-0.25", "0", "0.25", "0.5"]
    assert max(curve, key=lambda name: curve[name]) == "0"
    assert curve["0"] - curve["0.5"] == pytest.approx(0.5)


def test_tables_hold_every_control_and_what_each_prior_costs() -> None:
    measured = rows("mixture", -9) + rows(BASE) + rows(HYBRID, 1.0) + rows(ZEROED, 0.25)
    for prior, alone_db, without_db in (("nmf", 0.75, 0.5), ("repet", 0.5, 1.125)):
        measured += rows(ONLY + prior, alone_db) + rows(WITHOUT + prior, without_db)
    assert best_single(measured) == ONLY + "nmf"
    kinds = {f"mix {k}": ("wide" if k % 2 else "centered", "dry") for k in range(12)}
    found = figures(measured, kinds)
    shown = list(sheets(found, "midside", {"nmf": 10.0, "repet": 20.0, "nmf survey": 3.0}, "set"))
    gains, over, priors, kind = shown
    assert [line[0] for line in gains.lines] == [
        *("mixture", "midside", "hybrid", "priors zeroed", "best single prior (nmf)")
    ]
    assert over.lines[0][0] == "midside" and over.lines[0][4].startswith("+1.00 (+1.00 to")
    assert [line[1].split()[0] for line in priors.lines] == ["+0.50", "-0.12"]
    assert [line[2].split()[0] for line in priors.lines] == ["+0.50", "+0.25"]
    assert [line[3:] for line in priors.lines] == [("10.0", "3.0"), ("20.0", "0.0")]
    assert [line[:2] for line in kind.lines] == [("centered", "6"), ("wide", "6"), ("dry", "12")]
    text = priors.markdown()
    assert "| nmf | +0.50" in text and text.count("\n|") == 4
    assert priors.table().row_count == 2
