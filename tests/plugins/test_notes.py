"""Notes of a voice: from sound to MIDI and back."""

import argparse
import io
import json
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.plugins.singer import RATE, sing
from unstir.cli_notes import add_notes
from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.midi import TempoMap, steady_tempo, tempo_through
from unstir.pitch import PitchTrack, track_beats, track_pitch
from unstir.plugins.midi_files import melody_bytes, read_melody, write_melody
from unstir.plugins.notes import MelodyNote, find_notes, fit
from unstir.plugins.transcribe import transcribe


def melody(
    seed: int, *, n: int = 16, slurred: float = 0.4, low: int = 48, high: int = 76
) -> list[MelodyNote]:
    """Return a melody of steps and leaps, some of its notes slurred, none repeated in a slur."""
    rng = np.random.default_rng(seed)
    notes: list[MelodyNote] = []
    now, key = 0.3, int(rng.integers(low + 5, high - 5))
    for _ in range(n):
        lasts = float(rng.choice([0.15, 0.2, 0.3, 0.45, 0.7]))
        notes.append(MelodyNote(now, now + lasts, key, int(rng.integers(70, 120))))
        following = int(np.clip(key + rng.choice([-5, -3, -2, -1, 0, 1, 2, 3, 4, 7]), low, high))
        apart = following == key or rng.random() > slurred
        now, key = now + lasts + (float(rng.choice([0.05, 0.1, 0.2])) if apart else 0), following
    return notes


def heard(wave: NDArray[np.float32]) -> tuple[MelodyNote, ...]:
    return find_notes(track_pitch([wave], RATE))


def main(*words: object) -> int:
    parser = argparse.ArgumentParser()
    add_notes(parser.add_subparsers())
    options = parser.parse_args(["notes", *map(str, words)])
    return int(options.run(options))


# ---------------------------------------------------------------- pitch and beats


def test_the_track_does_not_depend_on_the_blocks(rng: np.random.Generator) -> None:
    wave = np.tile(sing(melody(0, n=8)), 8)[:, : 27 * RATE]
    wave = np.concatenate([wave, 0.5 * wave])
    cuts = np.sort(rng.integers(0, wave.shape[1], 30))
    whole, parts = (track_pitch(blocks, RATE) for blocks in ([wave], np.split(wave, cuts, axis=1)))
    assert len(whole.f0_hz) == 2701  # more than one window
    np.testing.assert_array_equal(whole.f0_hz, parts.f0_hz)
    np.testing.assert_array_equal(whole.level_db, parts.level_db)


def test_a_window_shows_no_seam() -> None:
    tone = np.sin(2 * np.pi * 220 * np.arange(45 * 8000) / 8000).astype(np.float32)
    track = track_pitch([tone[None]], 8000)
    inside = slice(10, -10)
    np.testing.assert_allclose(track.f0_hz[inside], 220, rtol=0.006)
    np.testing.assert_allclose(track.level_db[inside], -3.01, atol=0.1)


@pytest.mark.parametrize("n", [0, 1, 100])
def test_next_to_no_sound_has_no_pitch_and_no_beat(n: int) -> None:
    wave = np.zeros((2, n), np.float32)
    assert np.isnan(track_pitch([wave], 44100).f0_hz).all()
    assert len(track_beats([wave], 44100)) == 0


def test_a_range_that_cannot_be_searched_is_refused() -> None:
    with pytest.raises(SettingsError, match="f0_min_hz=500 and f0_max_hz=100 came"):
        track_pitch([], 44100, f0_min_hz=500, f0_max_hz=100)


def test_beats_are_found_where_the_clicks_are() -> None:
    wave = np.zeros((1, 20 * RATE), np.float32)
    times_s = np.arange(0.4, 20, 0.6)
    for time_s in times_s:
        wave[0, round(time_s * RATE) :][:400] = np.hanning(400) * np.sin(0.3 * np.arange(400))
    beats_s = track_beats([wave], RATE)
    nearest = times_s[np.abs(beats_s[:, None] - times_s).argmin(axis=1)]
    assert len(beats_s) >= 28
    np.testing.assert_allclose(beats_s, nearest, atol=0.04)


# ---------------------------------------------------------------- notes


def test_rendered_scores_are_transcribed_with_an_f_measure_of_more_than_0_9() -> None:
    transcription = pytest.importorskip("mir_eval.transcription")

    def table(notes: list[MelodyNote]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        times = np.array([(note.onset_s, note.offset_s) for note in notes])
        middle = [note.pitch_at(np.linspace(*t, 50)) for note, t in zip(notes, times, strict=True)]
        return times, 440 * 2 ** ((np.median(middle, axis=1) - 69) / 12)

    for seed, kind in enumerate(
        [{}, {"vibrato_cents": 100}, {"glide_s": 0.12}, {"vibrato_cents": 0}]
    ):
        written = melody(seed, n=20, low=44 + 6 * seed, high=66 + 6 * seed)
        wave = sing(written, **kind)
        wave += 1e-3 * np.random.default_rng(seed).standard_normal(wave.shape).astype(np.float32)
        found = table(list(heard(wave)))
        for offsets in ({"offset_ratio": None}, {}):
            scores = transcription.precision_recall_f1_overlap(
                *table(written), *found, onset_tolerance=0.05, pitch_tolerance=50, **offsets
            )
            assert scores[2] >= 0.9, (kind, offsets)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_detached_notes_come_back_from_sound_and_file_within_a_quarter_tone_and_20_ms(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    written = melody(seed, n=6, slurred=0)
    path = tmp_path_factory.mktemp("round") / "a.mid"
    write_melody(path, heard(sing(written, vibrato_cents=30)), steady_tempo(97))
    back = read_melody(path)
    assert [note.key for note in back] == [note.key for note in written]
    for was, came in zip(written, back, strict=True):
        assert abs(came.onset_s - was.onset_s) < 0.02
        assert abs(came.offset_s - was.offset_s) < 0.02
        inside_s = np.linspace(was.onset_s + 0.03, was.offset_s - 0.03, 20)
        assert np.abs(came.pitch_at(inside_s) - was.key).max() < 0.5


def test_a_wide_vibrato_is_one_note_and_its_bends_follow_it() -> None:
    written = [MelodyNote(0.2, 2.2, 60, 100)]
    (note,) = heard(sing(written, vibrato_cents=100, vibrato_hz=5))
    times_s = np.linspace(0.6, 2.0, 100)
    assert note.key == 60
    swing = note.pitch_at(times_s) - 60
    # A tracker that looks at 64 ms at a time rounds the peaks off a little.
    np.testing.assert_allclose(swing, np.sin(2 * np.pi * 5 * (times_s - 0.2)), atol=0.3)
    assert swing.max() > 0.8
    assert swing.min() < -0.8


def test_a_slurred_semitone_is_two_notes_without_a_gap() -> None:
    written = [MelodyNote(0.2, 0.5, 60, 100), MelodyNote(0.5, 0.8, 61, 100)]
    first, second = heard(sing(written))
    assert (first.key, second.key) == (60, 61)
    assert first.offset_s == second.onset_s == pytest.approx(0.5, abs=0.03)


def test_a_note_struck_again_is_two_notes() -> None:
    written = [MelodyNote(0.2, 0.5, 60, 100), MelodyNote(0.53, 0.9, 60, 100)]
    first, second = heard(sing(written))
    assert first.key == second.key == 60
    assert second.onset_s == pytest.approx(0.53, abs=0.02)


def test_a_consonant_in_a_note_is_bridged() -> None:
    keys = np.full(100, 220.0)
    keys[50:53] = np.nan
    (note,) = find_notes(PitchTrack(keys, np.ones(100), np.full(100, -20.0), 0.01))
    assert note.offset_s - note.onset_s == pytest.approx(1.0, abs=0.02)


def test_velocity_goes_with_the_square_root_of_the_amplitude() -> None:
    written = [MelodyNote(0.2, 0.7, 60, 127), MelodyNote(0.9, 1.4, 60, 90)]
    loud, soft = heard(sing(written, vibrato_cents=0))
    assert loud.velocity == 127
    assert soft.velocity == pytest.approx(90, abs=2)


def test_what_leaks_into_a_stem_is_no_note() -> None:
    quiet = MelodyNote(0.9, 1.4, 67, 8)  # 48 dB below
    assert [note.key for note in heard(sing([MelodyNote(0.2, 0.7, 60, 127), quiet]))] == [60]


def test_noise_and_silence_have_no_notes(rng: np.random.Generator) -> None:
    assert heard(np.zeros((1, RATE), np.float32)) == ()
    assert heard(0.1 * rng.standard_normal((1, 3 * RATE)).astype(np.float32)) == ()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 300))
def test_notes_of_any_track_are_in_order_and_fit_into_a_file(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    f0_hz = 220 * 2 ** (np.cumsum(rng.normal(0, rng.choice([0.01, 0.1]), n)) / 12)
    f0_hz[rng.random(n) < 0.2] = np.nan
    level_db = np.clip(-20 + np.cumsum(rng.normal(0, 2, n)), -120, 0)
    notes = find_notes(PitchTrack(f0_hz, np.ones(n), level_db, 0.01))
    edges = [edge for note in notes for edge in (note.onset_s, note.offset_s)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= 0.01 * n for edge in edges)
    if notes:
        assert mido.MidiFile(file=io.BytesIO(melody_bytes(notes, steady_tempo(100))))


def test_real_singing_is_covered_and_followed(corpus: Path) -> None:
    wave, rate = soundfile.read(
        corpus / "singing" / "eir_sodium__vocals.ogg", frames=30 * 44100, dtype="float32"
    )
    track = track_pitch([wave.T], rate)
    how_well = fit(find_notes(track), track)
    assert how_well.coverage > 0.85
    assert how_well.deviation_cents < 8


# ---------------------------------------------------------------- tempo and files


def test_a_steady_beat_gives_one_tempo_although_the_beats_jitter(rng: np.random.Generator) -> None:
    beats_s = 0.25 + 0.5 * np.arange(60) + rng.uniform(-0.012, 0.012, 60)
    tempo = tempo_through(beats_s)
    assert len(tempo.changes) <= 2  # one, after what comes before the first beat
    assert tempo.bpm == pytest.approx(120, rel=0.01) or tempo.changes[-1][1] == pytest.approx(
        500_000, rel=0.01
    )


@example(lengths=[1.0, 1.0], first_s=0.0625)  # the first beat comes sooner than any beat lasts
@given(lengths=st.lists(st.floats(0.2, 1.5), min_size=2, max_size=40), first_s=st.floats(0.0, 3.0))
def test_whole_beats_lie_on_the_beats(lengths: list[float], first_s: float) -> None:
    beats_s = first_s + np.concatenate([[0.0], np.cumsum(lengths)])
    tempo = tempo_through(beats_s)
    before = round(tempo.ticks(beats_s[0]) / 960)
    for k, beat_s in enumerate(beats_s):
        assert tempo.seconds(960 * (before + k)) == pytest.approx(beat_s, abs=0.031)


@given(
    changes=st.lists(
        st.tuples(st.integers(1, 5000), st.integers(200_000, 2_000_000)), min_size=1, max_size=8
    ),
    tick=st.integers(0, 30_000),
)
def test_ticks_and_seconds_are_each_other_s_inverse(
    changes: list[tuple[int, int]], tick: int
) -> None:
    ticks = np.cumsum([0, *(step for step, _ in changes[1:])]).tolist()
    tempo = TempoMap(tuple(zip(ticks, (us for _, us in changes), strict=True)))
    assert tempo.ticks(tempo.seconds(tick)) == tick


def test_a_file_reads_back_as_it_was_written(tmp_path: Path) -> None:
    notes = (
        MelodyNote(0.5, 1.0, 60, 100, ((0.0, -0.25), (0.1, 3.5), (0.3, 0.0))),
        MelodyNote(1.0, 1.5, 64, 1),
    )
    tempo = TempoMap(((0, 500_000), (960, 400_000)))
    path = tmp_path / "a.mid"
    write_melody(path, notes, tempo, name="ä")
    back = read_melody(path)
    assert [(n.key, n.velocity, len(n.bend)) for n in back] == [(60, 100, 3), (64, 1, 0)]
    np.testing.assert_allclose(back[0].bend, notes[0].bend, atol=1e-3)
    times = [(n.onset_s, n.offset_s) for n in back]
    np.testing.assert_allclose(times, [(0.5, 1.0), (1.0, 1.5)], atol=5e-4)
    # Another program's reader finds the range of the wheel and every tempo.
    midi = mido.MidiFile(path)
    controls = [(m.control, m.value) for m in midi.tracks[1] if m.type == "control_change"]
    assert midi.ticks_per_beat == 960
    assert controls == [(101, 0), (100, 0), (6, 4), (38, 0), (101, 127), (100, 127)]
    assert [m.tempo for m in midi.tracks[0] if m.type == "set_tempo"] == [500_000, 400_000]


def test_the_wheel_stands_right_before_a_note_begins() -> None:
    notes = [MelodyNote(0, 1, 60, 90, ((0.0, 1.0),)), MelodyNote(1, 2, 60, 90, ((0.0, -1.0),))]
    track = mido.MidiFile(file=io.BytesIO(melody_bytes(notes, steady_tempo(60)))).tracks[1]
    kinds = [m.type for m in track if m.type in ("note_on", "note_off", "pitchwheel")]
    assert kinds == 2 * ["pitchwheel", "note_on", "note_off"]


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the stems of a song and its mix."""
    folder = tmp_path_factory.mktemp("song")
    vocals = sing([MelodyNote(0.5 + k, 1.3 + k, key, 100) for k, key in enumerate([60, 62, 64])])
    band = np.zeros_like(vocals)
    band[0, :: RATE // 2] = 0.5
    for name, wave in (("vocals", vocals), ("accompaniment", band), ("mix", vocals + band)):
        soundfile.write(folder / f"{name}.wav", np.tile(wave, (2, 1)).T, RATE)
    return folder


def test_a_recording_of_a_voice_becomes_a_file_of_notes(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "voice.mid"
    assert main(song / "vocals.wav", "-o", out, "--tempo", 90, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["notes"], said["lowest_key"], said["highest_key"]) == (3, 60, 64)
    assert (said["tempo_bpm"], said["tempo_changes"]) == (90.0, 0)
    assert [note.key for note in read_melody(out)] == [60, 62, 64]
    assert list(tmp_path.iterdir()) == [out]


def test_of_a_folder_the_vocals_are_taken_and_the_beat_is_that_of_the_band(
    song: Path, tmp_path: Path
) -> None:
    found = transcribe(song, tmp_path / "a.mid")
    assert [note.key for note in found.notes] == [60, 62, 64]
    assert min(abs(found.tempo.bpm / bpm - 1) for bpm in (60, 120, 240)) < 0.05


def test_with_a_stem_a_mix_is_taken_apart_first(song: Path, tmp_path: Path) -> None:
    found = transcribe(
        song / "mix.wav", tmp_path / "a.mid", stem="vocals", method="harmonic", bpm=120
    )
    assert [note.key for note in found.notes] == [60, 62, 64]
    assert [file.name for file in tmp_path.iterdir()] == ["a.mid"]


def test_sound_without_a_note_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(8000), 8000)
    with pytest.raises(AudioError, match=r"no note was found in .*silence\.wav"):
        transcribe(tmp_path / "silence.wav", tmp_path / "a.mid")
    assert not (tmp_path / "a.mid").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bpm": 5}, "a tempo of 5 came; 20 to 400"),
        ({"bpm": float("nan")}, "a tempo of nan came"),
        ({"method": "nmf"}, "came without a stem"),
        ({"stem": "tuba"}, "there is no stem 'tuba'; choose from"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    song: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        transcribe(song / "mix.wav", tmp_path / "a.mid", **options)  # type: ignore[arg-type]


def test_a_folder_without_the_stem_and_a_method_for_a_folder_are_refused(
    song: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="has no speech: accompaniment, mix, vocals lies"):
        transcribe(song, tmp_path / "a.mid", stem="speech")
    with pytest.raises(SettingsError, match="stems need none"):
        transcribe(song, tmp_path / "a.mid", method="nmf")


def test_what_is_there_is_replaced_only_if_that_is_said(song: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mid"
    out.write_bytes(b"mine")
    with pytest.raises(SettingsError, match="exists; use --overwrite"):
        transcribe(song / "vocals.wav", out)
    assert out.read_bytes() == b"mine"
    transcribe(song / "vocals.wav", out, overwrite=True, bpm=100)
    assert len(read_melody(out)) == 3


def test_a_result_that_cannot_be_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"a name ending in \.mid is wanted"):
        transcribe(tmp_path / "no.wav", tmp_path / "a.wav")
    with pytest.raises(SettingsError, match="there is no folder"):
        transcribe(tmp_path / "no.wav", tmp_path / "nowhere" / "a.mid")


def test_a_midi_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_text("Dear editor")
    with pytest.raises(AudioError, match=r"the melody .*a\.mid is not a whole MIDI file"):
        read_melody(tmp_path / "a.mid")
