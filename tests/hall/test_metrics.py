"""Which seconds decide BSS Eval: those in which something can be told apart."""

from dataclasses import replace

import numpy as np
import pytest

from tests.hall.comparisons import comparison
from unstir.metrics import absent, bss_eval, scores, sounding_seconds
from unstir.report_tables import tables
from unstir.types import Stems, Waveform

RATE = 8000
needs_museval = pytest.mark.skipif("museval" in absent(), reason="museval cannot be used")


def song(rng: np.random.Generator) -> tuple[Stems, Waveform]:
    """Return five seconds of two stems at -20 dBFS, and as much noise to spoil them with.

    The vocals sound in the first two seconds alone; behind them is dust at -100 dBFS.
    """
    a, b, noise = rng.standard_normal((3, 1, 5 * RATE)).astype(np.float32)
    a[:, 2 * RATE :] *= np.float32(1e-4)
    return {"vocals": 0.1 * a, "accompaniment": 0.1 * b}, 0.1 * noise


@needs_museval
def test_dust_in_a_reference_decides_nothing(rng: np.random.Generator) -> None:
    true, noise = song(rng)
    made = {name: stem + np.float32(0.1) * noise for name, stem in true.items()}
    found = scores(true, made, true["vocals"] + true["accompaniment"], sample_rate=RATE)
    vocals = found["vocals"]
    assert vocals.sdr_db == pytest.approx(20, abs=1) and vocals.sar_db == pytest.approx(20, abs=1)
    assert vocals.bss_seconds == found["accompaniment"].bss_seconds == 2


@needs_museval
def test_where_no_second_counts_there_is_no_figure(rng: np.random.Generator) -> None:
    true, _ = song(rng)
    true["accompaniment"][:, : 2 * RATE] = 0
    found = scores(true, true, true["vocals"] + true["accompaniment"], sample_rate=RATE)
    assert bss_eval(true, true, sample_rate=RATE)["vocals"] == (None, None, None)
    assert (found["vocals"].sdr_db, found["vocals"].bss_seconds) == (None, 0)


def test_what_is_silent_depends_on_no_level(rng: np.random.Generator) -> None:
    true, _ = song(rng)
    wanted = [True, True, False, False, False]
    for gain in (1e-3, 1, 1e3):
        louder = {name: np.float32(gain) * stem for name, stem in true.items()}
        assert sounding_seconds(louder, true, sample_rate=RATE).tolist() == wanted


def test_ambience_beside_a_blow_counts_and_an_estimate_of_zeros_does_not(
    rng: np.random.Generator,
) -> None:
    true, _ = song(rng)
    ambience = true["accompaniment"].copy()
    ambience[:, RATE:] *= np.float32(0.003)  # -50 dB
    beside = {"vocals": true["accompaniment"], "accompaniment": ambience}
    assert sounding_seconds(beside, beside, sample_rate=RATE).all()
    made = {name: stem.copy() for name, stem in beside.items()}
    made["vocals"][:, :RATE] = 0
    assert sounding_seconds(beside, made, sample_rate=RATE).tolist() == [False, *[True] * 4]


def test_the_page_says_how_many_seconds_counted() -> None:
    known = comparison()
    outcomes = tuple(
        replace(o, scores={k: replace(v, bss_seconds=7) for k, v in o.scores.items()})
        for o in known.outcomes
    )
    speech = tables(replace(known, outcomes=outcomes))[1]
    place = [column.title for column in speech["columns"]].index("counted")
    assert {row["cells"][place]["text"] for row in speech["rows"]} == {"7"}
    assert not any(row["cells"][place]["best"] for row in speech["rows"])
