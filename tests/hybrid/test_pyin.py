import csv
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import AudioError, SettingsError
from unstir.hybrid.pyin import BLOCK, Pitch, pyin, spread_cents

SPEECH_GRID = {"sample_rate": 16000, "frame_length": 1024, "hop_length": 160}
WIDE_GRID = {"sample_rate": 22050, "frame_length": 2048, "hop_length": 512}


def reference(waveform, *, sample_rate, f0_min_hz, f0_max_hz, resolution_semitones=0.1, **grid):
    import librosa

    f0_hz, voiced, probability = librosa.pyin(
        waveform,
        sr=sample_rate,
        fmin=f0_min_hz,
        fmax=f0_max_hz,
        resolution=resolution_semitones,
        fill_na=None,
        **grid,
    )
    return Pitch(f0_hz, voiced, probability)


def same_states(ours, theirs):
    """Return the shares of frames with the same voicing, and with the same pitch where voiced."""
    voicing = np.mean(ours.voiced == theirs.voiced)
    both = ours.voiced & theirs.voiced
    cents = 1200 * np.abs(np.log2(ours.f0_hz[both] / theirs.f0_hz[both]))
    return voicing, np.mean(cents < 1) if both.any() else 1.0


def voice(sample_rate, seconds, rng, *, f0_hz=140.0, noise=0.02):
    time_s = np.arange(int(seconds * sample_rate)) / sample_rate
    f0 = f0_hz * 2 ** (0.3 * np.sin(2 * np.pi * 0.7 * time_s) + 0.02 * np.sin(36 * time_s))
    phase = 2 * np.pi * np.cumsum(f0) / sample_rate
    buzz = sum(np.cos(k * phase) / k for k in range(1, 20))
    gate = np.sin(2 * np.pi * 1.3 * time_s) > -0.5
    return (buzz * gate + noise * rng.standard_normal(len(time_s))).astype(np.float32)


def sounds(sample_rate, rng):
    time_s = np.arange(int(1.2 * sample_rate)) / sample_rate
    steps = np.repeat([110.0, 220.0, 165.0, 523.0], -(-len(time_s) // 4))[: len(time_s)]
    return {
        "tone": np.sin(2 * np.pi * 440 * time_s),
        "low tone": np.sin(2 * np.pi * 70 * time_s),
        "tone above the range": np.sin(2 * np.pi * 3000 * time_s),
        "glide": np.sin(2 * np.pi * 100 * (2 ** (2 * time_s) - 1) / np.log(4)),
        "notes": np.sign(np.sin(2 * np.pi * np.cumsum(steps) / sample_rate)),
        "voice": voice(sample_rate, 1.2, rng),
        "noisy voice": voice(sample_rate, 1.2, rng, noise=0.5),
        "noise": rng.standard_normal(len(time_s)),
        "voice, then digital silence": voice(sample_rate, 1.2, rng) * (time_s < 0.5),
        "loud then faint": voice(sample_rate, 1.2, rng) * 10 ** (-5 * time_s),
    }


@pytest.mark.parametrize(("grid", "f0_max_hz"), [(SPEECH_GRID, 600.0), (WIDE_GRID, 2093.0)])
def test_tones_and_voices_decode_to_the_states_of_librosa(rng, grid, f0_max_hz):
    frames = wrong = 0
    for name, sound in sounds(grid["sample_rate"], rng).items():
        options = {**grid, "f0_min_hz": 65.0, "f0_max_hz": f0_max_hz}
        ours = pyin(sound.astype(np.float32), **options)
        theirs = reference(sound.astype(np.float32), **options)
        voicing, f0 = same_states(ours, theirs)
        assert f0 == 1, name
        frames += len(ours.voiced)
        wrong += round((1 - voicing) * len(ours.voiced))
        close = np.abs(ours.voiced_probability - theirs.voiced_probability) < 1e-3
        assert close.mean() > 0.99, name
    assert wrong <= 0.001 * frames


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    frame_length=st.integers(300, 700),
    hop_length=st.integers(40, 300),
    f0_min_hz=st.floats(60, 120),
    octaves=st.floats(1.5, 4),
    resolution_semitones=st.sampled_from([0.1, 0.2, 0.35, 0.5, 1.0]),
    gain_db=st.floats(-60, 20),
    seed=st.integers(0, 99),
)
def test_any_grid_decodes_to_the_states_of_librosa(
    frame_length, hop_length, f0_min_hz, octaves, resolution_semitones, gain_db, seed
):
    rng = np.random.default_rng(seed)
    sound = voice(8000, 0.4, rng, noise=0.2) * np.float32(10 ** (gain_db / 20))
    options = {
        "sample_rate": 8000,
        "frame_length": frame_length,
        "hop_length": hop_length,
        "f0_min_hz": f0_min_hz,
        "f0_max_hz": f0_min_hz * 2**octaves,
        "resolution_semitones": resolution_semitones,
    }
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="With fmin")  # fewer than two periods a frame
        theirs = reference(sound, **options)
    assert same_states(pyin(sound, **options), theirs) == (1, 1)


@pytest.mark.corpus
def test_recorded_speech_and_singing_decode_to_the_states_of_librosa(corpus):
    with (corpus / "MANIFEST.csv").open() as table:
        paths = [row["path"] for row in csv.DictReader(table)]
    speech = [path for path in paths if path.startswith("speech/")]
    singing = [path for path in paths if path.startswith("singing/")]
    frames = voicing_same = f0_same = 0.0
    for path in speech[:: len(speech) // 6][:6] + singing[::3]:
        rate = soundfile.info(corpus / path).samplerate
        sound, _ = soundfile.read(corpus / path, 3 * rate, dtype="float32", always_2d=True)
        sound = soxr.resample(sound.mean(axis=1), rate, 16000)
        options = {**SPEECH_GRID, "f0_min_hz": 65.0, "f0_max_hz": 600.0}
        ours = pyin(sound, **options)
        voicing, f0 = same_states(ours, reference(sound, **options))
        frames += len(ours.voiced)
        voicing_same += voicing * len(ours.voiced)
        f0_same += f0 * len(ours.voiced)
    assert frames > 1500
    assert voicing_same >= 0.999 * frames
    assert f0_same >= 0.999 * frames


@pytest.mark.parametrize("n_samples", [1, 2, 159, 160, 161, 160 * BLOCK, 160 * BLOCK - 1])
def test_any_length_gives_a_frame_per_hop_and_one_more(rng, n_samples):
    sound = rng.standard_normal(n_samples).astype(np.float32)
    before = sound.copy()
    found = pyin(sound, f0_min_hz=65, f0_max_hz=600, **SPEECH_GRID)
    for values in (found.f0_hz, found.voiced, found.voiced_probability):
        assert values.shape == (1 + n_samples // 160,)
    assert np.all((found.f0_hz >= 65) & (found.f0_hz <= 600))
    assert np.all((found.voiced_probability >= 0) & (found.voiced_probability <= 1))
    assert np.array_equal(sound, before)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_silence_and_a_constant_have_no_pitch(level):
    found = pyin(np.full(8000, level, np.float32), f0_min_hz=65, f0_max_hz=600, **SPEECH_GRID)
    assert not found.voiced[8:-8].any()
    assert np.all(found.voiced_probability[8:-8] < 0.02)


@pytest.mark.parametrize("exponent", [-20, -7, 1, 10])
def test_a_gain_of_a_power_of_two_changes_nothing(rng, exponent):
    sound = voice(16000, 1.0, rng, noise=0.3)
    one = pyin(sound, f0_min_hz=65, f0_max_hz=600, **SPEECH_GRID)
    other = pyin(sound * np.float32(2.0**exponent), f0_min_hz=65, f0_max_hz=600, **SPEECH_GRID)
    assert np.array_equal(one.f0_hz, other.f0_hz)
    assert np.array_equal(one.voiced_probability, other.voiced_probability)


def test_hops_longer_than_the_fastest_glide_across_the_whole_range_decode():
    tone = np.sin(2 * np.pi * 200 * np.arange(64000) / 16000).astype(np.float32)
    found = pyin(tone, 16000, f0_min_hz=150, f0_max_hz=300, frame_length=1024, hop_length=4000)
    assert found.voiced[1:-1].all()
    assert np.allclose(found.f0_hz[1:-1], 200, rtol=0.004)


def test_a_broader_prior_hears_a_noisier_voice(rng):
    sound = voice(16000, 3.0, rng, noise=1.0)
    options = {**SPEECH_GRID, "f0_min_hz": 65, "f0_max_hz": 600}
    narrow, broad = (pyin(sound, threshold_prior=(2, b), **options) for b in (18.0, 8.0))
    assert broad.voiced.mean() > 1.2 * narrow.voiced.mean()


def test_the_spread_is_that_of_the_percentiles_of_the_voiced_frames_around():
    cents = np.r_[np.zeros(30), np.linspace(0, 1200, 61), np.full(9, 1200.0)]
    voiced = np.ones(100, bool)
    voiced[45:50] = False
    spread = spread_cents(Pitch(100 * 2 ** (cents / 1200), voiced, np.ones(100)), 21)
    assert spread[15] == 0
    assert spread[70] == pytest.approx(16 * 20)  # from the 2nd to the 18th of 20 steps of 20
    assert np.all(spread[45:50] == 0)


@pytest.mark.parametrize(
    "options",
    [
        {"f0_min_hz": 0},
        {"f0_min_hz": 700},
        {"f0_max_hz": 8001},
        {"f0_min_hz": 15},
        {"hop_length": 0},
    ],
)
def test_a_range_that_does_not_fit_is_refused(options):
    options = {**SPEECH_GRID, "f0_min_hz": 65, "f0_max_hz": 600, **options}
    with pytest.raises(SettingsError, match="came; "):
        pyin(np.zeros(1000, np.float32), **options)


@pytest.mark.parametrize(
    "waveform", [np.zeros(0), np.zeros((2, 100)), np.array([0, np.nan]), np.array([np.inf, 0])]
)
def test_what_is_not_one_channel_of_finite_samples_is_refused(waveform):
    with pytest.raises(AudioError, match="wanted"):
        pyin(waveform.astype(np.float32), f0_min_hz=65, f0_max_hz=600, **SPEECH_GRID)


def test_processes_that_start_together_with_an_empty_cache_agree(tmp_path):
    script = textwrap.dedent("""
        import numpy as np
        from unstir.hybrid.pyin import pyin
        sound = np.sin(np.arange(4000) * 0.05).astype(np.float32)
        found = pyin(sound, 16000, f0_min_hz=65, f0_max_hz=600, frame_length=1024)
        print(found.f0_hz.round(3).tolist())
    """)
    source = Path(__file__).resolve().parents[2] / "src"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", script]
    together = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120)[0] for process in together]
    later = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert [process.returncode for process in together] == [0, 0]
    assert answers == [later.stdout] * 2
    assert list(tmp_path.rglob("*.nbi"))
