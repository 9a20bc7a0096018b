import struct
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import AudioError
from unstir.hybrid.score import (
    Note,
    Voice,
    pitch_hz,
    read_score,
    score_activations,
    score_templates,
    voices_of,
)
from unstir.midi import MAX_BYTES


def save(path: Path, *tracks: list[mido.Message | mido.MetaMessage], kind: int = 1) -> Path:
    midi = mido.MidiFile(type=kind, ticks_per_beat=480)
    for messages in tracks:
        midi.tracks.append(mido.MidiTrack(messages))
    midi.save(path)
    return path


def on(note: int, time: int = 0, velocity: int = 100, channel: int = 0) -> mido.Message:
    return mido.Message("note_on", note=note, time=time, velocity=velocity, channel=channel)


def off(note: int, time: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("note_off", note=note, time=time, channel=channel)


def test_a_beat_lasts_half_a_second_where_no_tempo_is_set(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mid", [on(69, 480), off(69, 960)])
    assert read_score(path) == (Note(0.5, 1.5, 69, 100, False),)


def test_tempo_changes_in_one_track_move_the_notes_of_another(tmp_path: Path) -> None:
    tempi = [
        mido.MetaMessage("set_tempo", tempo=1_000_000),
        mido.MetaMessage("set_tempo", tempo=250_000, time=480),
    ]
    path = save(tmp_path / "a.mid", tempi, [on(60), off(60, 480), on(62), off(62, 480)])
    times = [(n.onset_s, n.offset_s) for n in read_score(path)]
    np.testing.assert_allclose(times, [(0.0, 1.0), (1.0, 1.25)], atol=1e-9)


def test_a_note_on_of_velocity_zero_ends_the_note(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mid", [on(60), on(60, 480, velocity=0)])
    assert read_score(path) == (Note(0.0, 0.5, 60, 100, False),)


def test_notes_of_one_pitch_are_released_in_the_order_they_were_struck(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mid", [on(60), on(60, 480), off(60, 480), off(60, 480)])
    assert [(n.onset_s, n.offset_s) for n in read_score(path)] == [(0.0, 1.0), (0.5, 1.5)]


def test_a_note_that_is_never_released_lasts_to_the_end(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mid", [on(60), on(72, 480), off(72, 480)])
    assert read_score(path)[0] == Note(0.0, 1.0, 60, 100, False)


def test_only_the_tenth_channel_is_percussion(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.mid",
        [on(38, channel=9), off(38, 10, channel=9)],
        [on(38, channel=8), off(38, 10, channel=8)],
    )
    notes = read_score(path)
    assert {(n.pitch, n.percussive) for n in notes} == {(38, True), (38, False)}
    assert voices_of(notes) == (Voice(38, False), Voice(38, True))


def test_the_same_path_is_read_anew_once_the_file_has_changed(tmp_path: Path) -> None:
    import os

    path = save(tmp_path / "a.mid", [on(60), off(60, 480)])
    assert read_score(path)[0].pitch == 60
    save(path, [on(61), off(61, 480)])
    os.utime(path, ns=(1, 1))
    assert read_score(path)[0].pitch == 61


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MThd",
        b"Dear editor, here is the score.\n" * 50,
        b"\x00" * 1000,
        b"MThd" + struct.pack(">Lhhh", 6, 1, 3, 480),
        b"MThd" + struct.pack(">Lhhh", 6, 2, 0, 480),
        b"MThd" + struct.pack(">Lhhh", 6, 0, 1, -6376) + b"MTrk" + struct.pack(">L", 0),
        b"MThd" + struct.pack(">Lhhh", 6, 0, 1, 0) + b"MTrk" + struct.pack(">L", 0),
        b"MThd" + struct.pack(">Lhhh", 6, 0, 1, 480) + b"MTrk" + struct.pack(">L", 2**31),
    ],
)
def test_what_is_no_midi_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mid"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"^the score .*bad\.mid .*[^\n]+$"):
        read_score(path)


def test_a_file_cut_anywhere_is_refused_or_gives_whole_notes(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.mid", [on(60), off(60, 480)] * 4).read_bytes()
    for length in range(len(whole)):
        path = tmp_path / f"cut{length}.mid"
        path.write_bytes(whole[:length])
        try:
            notes = read_score(path)
        except AudioError:
            continue
        assert all(0 <= n.onset_s <= n.offset_s < 10 for n in notes)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_noise_after_a_good_header_never_escapes_as_another_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    path = tmp_path_factory.mktemp("noise") / "a.mid"
    header = b"MThd" + struct.pack(">Lhhh", 6, 1, 1, 96)
    path.write_bytes(header + b"MTrk" + struct.pack(">L", len(noise)) + noise)
    try:
        notes = read_score(path)
    except AudioError:
        return
    assert notes


def test_a_missing_file_a_folder_and_a_silent_score_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="cannot be read"):
        read_score(tmp_path / "nowhere.mid")
    with pytest.raises(AudioError, match="the score"):
        read_score(tmp_path)
    with pytest.raises(AudioError, match="holds no note"):
        read_score(save(tmp_path / "empty.mid", [mido.MetaMessage("set_tempo", tempo=1)]))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.mid"
    with open(path, "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(AudioError, match="at most 4194304"):
        read_score(path)


@pytest.mark.parametrize("pitch", [21, 45, 69, 96])
def test_a_template_is_zero_between_its_harmonics_and_falls_with_their_number(pitch: int) -> None:
    bands_hz = np.arange(0.0, 22050.0, 5.0)
    template = score_templates([Voice(pitch, False)], bands_hz, 5.0)[:, 0]
    f0 = pitch_hz(pitch)
    for h in range(1, 6):
        assert template[round(h * f0 / 5)] == pytest.approx(1 / h)
        assert template[round((h + 0.5) * f0 / 5)] == 0 or f0 < 60
    assert template[bands_hz < 0.5 * f0].max(initial=0) == 0


def test_percussion_may_fill_the_spectrum_and_a_pitch_above_it_is_empty() -> None:
    bands_hz = np.arange(0.0, 4000.0, 20.0)
    templates = score_templates([Voice(38, True), Voice(127, False)], bands_hz, 20.0)
    assert templates[:, 0].min() == 1
    assert templates[:, 1].max() == 0


def test_a_single_band_is_enough_for_a_template() -> None:
    assert score_templates([Voice(69, False)], np.zeros(1), 8000.0).shape == (1, 1)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0, 20), st.floats(0, 5), st.integers(0, 127), st.integers(1, 127), st.floats(0, 30)
)
def test_a_pitch_may_sound_exactly_within_its_notes_and_their_tolerance(
    onset_s: float, duration_s: float, pitch: int, velocity: int, start_s: float
) -> None:
    notes = [Note(onset_s, onset_s + duration_s, pitch, velocity, False)]
    times_s = start_s + 0.0116 * np.arange(200)
    allowed = score_activations(notes, voices_of(notes), times_s)[0]
    inside = (times_s >= onset_s - 0.2) & (times_s <= onset_s + duration_s + 0.2)
    np.testing.assert_allclose(allowed, np.where(inside, velocity / 127, 0), rtol=1e-6)
