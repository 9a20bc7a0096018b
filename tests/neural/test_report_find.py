"""How well times are told: what counts as right, of scenes whose pieces are known."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from unstir.finding import Span, found_in
from unstir.neural.captions import HELD_OUT
from unstir.neural.pack import Pack


@pytest.fixture
def report(script_named: Callable[[str], Any]) -> Any:
    return script_named("report_find")


@pytest.fixture
def truth(report: Any) -> Any:
    """Return 20 s with two stretches, the second of two parts 0.3 s from each other."""
    found = np.zeros(round(20 / report.FRAME_S), bool)
    found[50:150] = found[250:300] = found[306:350] = True
    return found


def spans_of(report: Any, *frames: tuple[int, int], shift_s: float = 0.0) -> tuple[Span, ...]:
    return tuple(
        Span((a - 0.5) * report.FRAME_S + shift_s, (b - 0.5) * report.FRAME_S + shift_s, 0.9)
        for a, b in frames
    )


def test_stretches_run_across_pauses_that_find_ignores(report: Any, truth: Any) -> None:
    wanted = [(span.start_s, span.end_s) for span in spans_of(report, (50, 150), (250, 350))]
    np.testing.assert_allclose(report.stretches(truth), wanted)
    assert report.stretches(np.zeros(9, bool)) == []


def test_a_perfect_answer_has_nothing_wrong(report: Any, truth: Any) -> None:
    spans = spans_of(report, (50, 150), (250, 300), (306, 350))
    wanted = {"hits": 194, "false": 0, "missed": 0, "onset_errors_s": [0.0, 0.0]}
    assert report.score(truth, spans) == wanted


def test_of_a_curve_that_is_right_only_pauses_are_wrong(report: Any, truth: Any) -> None:
    found = report.score(truth, found_in("x", truth.astype(np.float32)).spans)
    assert found["missed"] == 0
    assert found["false"] == 6  # of the pause that is joined
    assert found["onset_errors_s"] == pytest.approx([0, 0], abs=0.001)


def test_a_late_answer_is_late(report: Any, truth: Any) -> None:
    spans = spans_of(report, (50, 150), (250, 350), shift_s=20 * report.FRAME_S)
    found = report.score(truth, spans)
    assert (found["hits"], found["false"], found["missed"]) == (154, 46, 40)
    assert found["onset_errors_s"] == [round(20 * report.FRAME_S, 3)] * 2


def test_no_answer_misses_everything(report: Any, truth: Any) -> None:
    found = report.score(truth, ())
    assert found == {"hits": 0, "false": 0, "missed": 194, "onset_errors_s": [None, None]}
    assert report.wrong(()) == {"false_spans": 0, "false_s": 0}


def test_a_span_far_too_long_finds_no_stretch(report: Any, truth: Any) -> None:
    found = report.score(truth, (Span(0.0, 20.0, 1.0),))
    assert found["missed"] == 0
    assert found["onset_errors_s"] == [None, None]


def test_a_piece_counts_to_60_db_below_its_own_loudest_frame(report: Any) -> None:
    target = np.zeros((2, 100 * report.FRAME), np.float32)
    starts = [10 * report.FRAME, 60 * report.FRAME]
    for start, peak in zip(starts, (1.0, 1e-4), strict=True):
        falling_db = np.arange(40) * -2.9  # 60 dB below after 20 frames
        gains = (peak * 10 ** (falling_db / 20)).repeat(report.FRAME)
        begin = start - report.FRAME // 2  # frames are centered
        target[:, begin : begin + len(gains)] = gains
    found = np.flatnonzero(report.sounding(target, starts))
    assert found.tolist() == [*range(10, 31), *range(60, 81)]


def test_figures_are_those_of_all_frames_together(report: Any) -> None:
    def row(family: str, hits: int, false: int, missed: int, *errors: float | None) -> Any:
        found = {"hits": hits, "false": false, "missed": missed, "onset_errors_s": errors}
        return {"family": family, "find": found | {"false_spans": 1, "false_s": 6.0}}

    rows = [row("a", 90, 10, 0, 0.1, 0.3), row("b", 0, 0, 100, None), row("b", 10, 20, 0, 0.5)]
    found = report.summary(rows, "find")
    values = {key: part["value"] for key, part in found.items() if isinstance(part, dict)}
    assert values["precision"] == pytest.approx(100 / 130, abs=1e-3)
    assert values["recall"] == 0.5
    assert values["f1"] == pytest.approx(200 / 330, abs=1e-3)
    assert values["stretches_found"] == 0.75
    assert values["onset_error_s"] == 0.3
    assert values["false_spans_per_minute"] == 2.5
    assert values["false_share_of_time"] == 0.25
    assert values["heard_where_it_is"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["recall"]["interval"] == pytest.approx([10 / 110, 1.0], abs=1e-3)
    assert found["onset_error_s"]["interval"] == [0.2, 0.5]
    assert "| seen | find | 77 (33 to 90) |" in report.table({"seen": {"find": found}})


def test_scenes_hold_the_sound_for_a_part_of_the_time(report: Any, tiny_pack: Pack) -> None:
    drawn = report.scenes(tiny_pack, "seen", 4)
    assert drawn == report.scenes(tiny_pack, "seen", 4)
    for asked, absent in drawn:
        pieces = asked.scene.speech[0].pieces
        assert all(a.at + a.n_samples < b.at for a, b in pairwise(pieces))
        assert pieces[-1].at + pieces[-1].n_samples < asked.scene.n_samples
        assert sum(piece.n_samples for piece in pieces) < 0.8 * asked.scene.n_samples
        assert asked.name == asked.sounds[0]
        assert absent in asked.absent and absent not in HELD_OUT


def test_every_scene_is_asked_for_what_it_holds_and_what_not(report: Any, tiny_pack: Pack) -> None:
    [row] = report.answers(tiny_pack, report.scenes(tiny_pack, "seen", 1))
    always = row[report.ALWAYS]
    assert always["missed"] == 0
    n_frames = -(-int(report.SCENE_S * 44100) // report.FRAME)
    assert always["hits"] + always["false"] == n_frames
    assert always["false_s"] == report.SCENE_S
    found = row[report.FIND]
    assert found["hits"] + found["missed"] == always["hits"] > 0
