"""A score and a recording that differ in timing."""

from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unstir.errors import AudioError
from unstir.evaluate import si_sdr_db
from unstir.hybrid.align import Alignment, align, aligned
from unstir.hybrid.nmf import Nmf
from unstir.hybrid.score import Note, read_score
from unstir.types import Mixture

RATE = 22050
BEAT_S = 0.4
Clock = Callable[[float], float]


def tune(seed: int, n_beats: int = 40) -> tuple[Note, ...]:
    """Return two voices over a bass, at random in C major."""
    rng = np.random.default_rng(seed)
    notes = []
    for k in range(n_beats):
        for low, beats in ((48, 2), (60, 1), (67, 1)):
            if k % beats == 0:
                pitch = low + int(rng.choice([0, 2, 4, 5, 7, 9, 11]))
                notes.append(Note(k * BEAT_S, (k + beats) * BEAT_S, pitch, 90, False))
    return tuple(notes)


def play(notes: tuple[Note, ...], clock: Clock, seconds: float) -> NDArray[np.float32]:
    """Return plucked strings that play notes by a clock of their own, over some noise."""
    wave = np.random.default_rng(1).standard_normal(round(seconds * RATE)) * 0.01
    for note in notes:
        first, stop = (round(clock(at_s) * RATE) for at_s in (note.onset_s, note.offset_s))
        if first < 0 or first >= len(wave):
            continue
        t = np.arange(min(stop, len(wave)) - first) / RATE
        f0_hz = 440 * 2 ** ((note.pitch - 69) / 12)
        tones = sum(0.8**h * np.sin(2 * np.pi * h * f0_hz * t) for h in range(1, 8))
        wave[first : first + len(t)] += 0.1 * tones * np.exp(-2 * t) * np.minimum(1, t / 0.01)
    return wave[None].astype(np.float32)


@pytest.mark.parametrize(
    ("clock", "seconds"),
    [
        pytest.param(lambda t: 1.3 * t, 22.0, id="slower"),
        pytest.param(lambda t: t + 3, 21.0, id="after three seconds"),
        pytest.param(lambda t: 1 + 1.1 * t + 0.8 * np.sin(0.6 * t), 20.0, id="rubato"),
        pytest.param(lambda t: 0.8 * t, 8.0, id="the score is longer"),
        pytest.param(lambda t: t - 5, 12.0, id="the score begins earlier"),
    ],
)
def test_notes_are_found_to_a_tenth_of_a_second(clock: Clock, seconds: float) -> None:
    notes = tune(0)
    found = align(notes, [play(notes, clock, seconds)], RATE)
    onsets_s = np.array([note.onset_s for note in notes])
    true_s = np.array([clock(at_s) for at_s in onsets_s])
    there = (true_s > 0.2) & (true_s < seconds - 0.5)
    error_s = np.abs(found.to_audio(onsets_s) - true_s)[there]
    assert np.median(error_s) < 0.06
    assert np.percentile(error_s, 90) < 0.12


def test_a_score_that_fits_is_left_as_it_stands() -> None:
    notes = tune(1)
    found = align(notes, [play(notes, lambda t: t, 16.5)], RATE)
    assert found.score_s == ()
    assert aligned(notes, found) == notes


def test_the_right_score_is_nearer_than_another() -> None:
    notes = tune(2)
    wave = play(notes, lambda t: 1.2 * t, 20)
    assert align(notes, [wave], RATE).distance < 0.8 * align(tune(3), [wave], RATE).distance


def test_the_alignment_does_not_depend_on_the_blocks(rng: np.random.Generator) -> None:
    notes = tune(4, 20)
    wave = play(notes, lambda t: 1.2 * t, 10)
    cuts = np.sort(rng.integers(0, wave.shape[1], 9))
    whole = align(notes, [wave], RATE)
    assert whole.score_s
    assert align(notes, np.split(wave, cuts, axis=1), RATE) == whole


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40000), n_notes=st.integers(1, 6))
def test_time_always_goes_forward(seed: int, n: int, n_notes: int) -> None:
    rng = np.random.default_rng(seed)
    onsets_s = np.sort(rng.uniform(0, 9, n_notes))
    notes = [
        Note(on_s, on_s + float(rng.uniform(0, 2)), int(rng.integers(0, 128)), 80, False)
        for on_s in onsets_s.tolist()
    ]
    found = align(notes, [rng.standard_normal((2, n)).astype(np.float32)], 16000)
    moved_s = found.to_audio(np.linspace(-1, 12, 200))
    assert np.isfinite(moved_s).all()
    assert (np.diff(moved_s) >= 0).all()


@pytest.mark.parametrize(
    ("notes", "wave", "message"),
    [
        ([Note(0, 1, 38, 90, True)], np.ones((1, 9000), np.float32), "nothing but percussion"),
        ([Note(0, 1, 60, 90, False)], np.zeros((1, 9000), np.float32), "recording is silent"),
    ],
)
def test_what_has_no_pitch_cannot_be_aligned(
    notes: list[Note], wave: NDArray[np.float32], message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        align(notes, [wave], RATE)


def test_notes_do_not_begin_before_the_recording() -> None:
    early = aligned([Note(1.0, 4.0, 60, 90, False)], Alignment((0.0, 9.0), (-3.0, 6.0), 0.1))
    assert (early[0].onset_s, early[0].offset_s) == (0.0, 1.0)


def test_an_aligned_score_separates_what_a_misplaced_one_cannot(tmp_path: Path) -> None:
    notes = tune(5, 20)
    file = mido.MidiFile(ticks_per_beat=480)
    events = [(note.onset_s, "note_on", note) for note in notes]
    events += [(note.offset_s, "note_off", note) for note in notes]
    track = mido.MidiTrack()
    now = 0
    for at_s, kind, note in sorted(events, key=lambda event: event[:2]):
        tick = round(at_s * 960)
        track.append(mido.Message(kind, note=note.pitch, velocity=90, time=tick - now))
        now = tick
    file.tracks.append(track)
    path = tmp_path / "tune.mid"
    file.save(path)

    music = play(read_score(path), lambda t: 1.5 + 1.2 * t, 12)
    rng = np.random.default_rng(0)
    bursts = np.sin(2 * np.pi * 3 * np.arange(music.shape[1]) / RATE) > 0
    noise = (0.15 * rng.standard_normal(music.shape) * bursts).astype(np.float32)
    mix = Mixture(music + noise, RATE)
    plain = Nmf(score=str(path))
    fitted = plain.heard_in([mix.waveform], RATE)
    gains = [
        # The state carries the alignment, so that a run taken up again needs nothing else.
        si_sdr_db(music, plain.separate(mix, method.survey([mix]))["music"])
        - si_sdr_db(music, mix.waveform)
        for method in (plain, fitted)
    ]
    assert gains[1] > 5
    assert gains[1] > gains[0] + 2
