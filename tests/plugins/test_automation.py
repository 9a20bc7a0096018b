"""Gains that move in time."""

import itertools
import math
from pathlib import Path

import mido
import numpy as np
import pytest

from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.plugins.automation import RAMP_S, GainCurve, fader_db, load_automation

STEMS = ("speech", "music", "effects")


def table(folder: Path, text: str) -> Path:
    path = folder / "moves.csv"
    path.write_text(text, encoding="utf-8")
    return path


def midi(folder: Path, moves: list[tuple[int, int, int]], *, tempo: int = 500_000) -> Path:
    """Write moves of a fader: tick, channel, value; 480 ticks are a beat."""
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)])
    at = 0
    for tick, channel, value in moves:
        track.append(
            mido.Message("control_change", channel=channel, control=7, value=value, time=tick - at)
        )
        at = tick
    file.tracks.append(track)
    file.save(folder / "moves.mid")
    return folder / "moves.mid"


def test_a_curve_is_straight_in_decibels_and_stands_still_outside() -> None:
    curve = GainCurve((1.0, 3.0), (0.0, -40.0))
    got = 20 * np.log10(curve.factors(0, 50, sample_rate=10))
    assert np.allclose(got[:11], 0) and np.allclose(got[30:], -40)
    assert np.allclose(np.diff(got[10:31]), -2)


def test_a_curve_does_not_depend_on_the_blocks() -> None:
    curve = GainCurve((0.1, 0.4), (-3.0, -math.inf))
    whole = curve.factors(0, 1000, sample_rate=1000)
    parts = [curve.factors(at, 77, sample_rate=1000) for at in range(0, 1001, 77)]
    assert np.array_equal(np.concatenate(parts)[:1000], whole)


def test_zero_decibels_is_exactly_one_and_silence_exactly_nothing() -> None:
    assert (GainCurve((0.0,), (0.0,)).factors(0, 9, sample_rate=3) == 1).all()
    assert (GainCurve((0.0,), (-math.inf,)).factors(0, 9, sample_rate=3) == 0).all()


def test_a_table_in_any_order_gives_a_curve_per_stem(tmp_path: Path) -> None:
    path = table(tmp_path, "stem,time_s,gain_db\nmusic,2,-6\nspeech,0,3\nmusic,1,-inf\n")
    curves = load_automation(path, STEMS)
    assert curves == {
        "music": GainCurve((1.0, 2.0), (-math.inf, -6.0)),
        "speech": GainCurve((0.0,), (3.0,)),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,stem,gain\n", "time_s,stem,gain_db are wanted"),
        ("time_s,stem,gain_db\n1,speech,loud\n", "line 2.*numbers are wanted"),
        ("time_s,stem,gain_db\n1,speech\n", "line 2.*numbers are wanted"),
        ("time_s,stem,gain_db\n1,speech,40\n", "40 dB; -inf to 24 dB is wanted"),
        ("time_s,stem,gain_db\n1,speech,nan\n", "-inf to 24 dB is wanted"),
        ("time_s,stem,gain_db\n-1,speech,0\n", "times from 0 on"),
        ("time_s,stem,gain_db\n1,speech,0\n1,speech,-6\n", "that ascend"),
        ("time_s,stem,gain_db\n", "holds no gain"),
    ],
)
def test_a_bad_table_is_refused_in_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        load_automation(table(tmp_path, text), STEMS)


def test_a_table_for_a_stem_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    path = table(tmp_path, "time_s,stem,gain_db\n1,voice,0\n")
    with pytest.raises(UnknownNameError, match=r"line 2: there is no stem 'voice'.*speech, music"):
        load_automation(path, STEMS)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SettingsError, match="no table of text"):
        load_automation(tmp_path / "x.csv", STEMS)


def test_a_fader_rises_all_the_way_and_rests_at_zero() -> None:
    travel = [fader_db(value) for value in range(128)]
    assert travel[0] == -math.inf and travel[100] == 0 and travel[127] == pytest.approx(6)
    assert all(a < b for a, b in itertools.pairwise(travel))


def test_controllers_move_the_stem_of_their_channel_at_the_time_of_the_tempo(
    tmp_path: Path,
) -> None:
    # At 120 beats a minute 480 ticks are half a second.
    curves = load_automation(midi(tmp_path, [(0, 1, 100), (960, 1, 0), (1920, 2, 127)]), STEMS)
    assert set(curves) == {"music", "effects"}
    music = curves["music"].factors(0, 3000, sample_rate=1000)
    assert (music[:1000] == 1).all() and (music[1000 + round(1000 * RAMP_S) :] == 0).all()


def test_a_move_of_a_fader_takes_a_moment_so_that_nothing_clicks(tmp_path: Path) -> None:
    curves = load_automation(midi(tmp_path, [(0, 0, 100), (480, 0, 1)]), STEMS)
    factors = curves["speech"].factors(0, 48000, sample_rate=48000)
    assert np.abs(np.diff(factors)).max() < 0.02
    assert factors[0] == 1 and factors[-1] == pytest.approx(10 ** (-59.4 / 20))


def test_moves_faster_than_a_ramp_still_make_a_curve(tmp_path: Path) -> None:
    moves = [(0, 0, 100), (480, 0, 90), (482, 0, 80), (482, 0, 70), (484, 0, 60)]
    curves = load_automation(midi(tmp_path, moves), STEMS)
    factors = curves["speech"].factors(0, 48000, sample_rate=48000)
    assert 20 * math.log10(factors[-1]) == pytest.approx(fader_db(60))


def test_a_channel_without_a_stem_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="channel 4, and there are 3 stems"):
        load_automation(midi(tmp_path, [(0, 3, 64)]), STEMS)


def test_a_file_that_is_no_midi_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mid").write_bytes(b"MThd nonsense")
    with pytest.raises(AudioError, match="not a whole MIDI file"):
        load_automation(tmp_path / "x.mid", STEMS)


@pytest.mark.parametrize("name", ["missing.csv", "moves.txt"])
def test_a_file_that_cannot_be_automation_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read|a \.csv or \.mid is wanted"):
        load_automation(tmp_path / name, STEMS)
