import os
import sys
import threading

import numpy as np
import pytest

from unstir.errors import AudioError, SettingsError
from unstir.hybrid import epochs
from unstir.hybrid.epochs import available, find_epochs, second_opinion
from unstir.hybrid.harmonic import Harmonic
from unstir.hybrid.pyin import Pitch

SPAN = {"f0_min_hz": 65, "f0_max_hz": 600}
needs_reaper = pytest.mark.skipif(not available(), reason="pyreaper is not installed")


def glottis(f0_hz, sample_rate=16000):
    """Return pulses through a vowel-like filter, and the times of the pulses."""
    import scipy.signal

    cycles = np.floor(np.cumsum(f0_hz) / sample_rate)
    pulses = np.flatnonzero(np.diff(cycles))
    sound = np.zeros(len(f0_hz))
    sound[pulses] = -1
    for formant_hz, width_hz in ((600, 90), (1400, 120), (2500, 160)):
        radius = np.exp(-np.pi * width_hz / sample_rate)
        angle = 2 * np.pi * formant_hz / sample_rate
        sound = scipy.signal.lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], sound)
    return (sound / np.abs(sound).max()).astype(np.float32), pulses / sample_rate


def gliding_f0(seconds=3.0, sample_rate=16000):
    time_s = np.arange(int(seconds * sample_rate)) / sample_rate
    return 150 * 2 ** (0.4 * np.sin(2 * np.pi * 1.5 * time_s))


@needs_reaper
def test_there_is_one_epoch_at_every_pulse_of_the_glottis():
    sound, pulses_s = glottis(gliding_f0())
    found_s = find_epochs(sound, 16000, **SPAN).times_s
    assert np.all(np.diff(found_s) > 0)
    inner = pulses_s[(pulses_s > 0.1) & (pulses_s < 2.9)]
    nearest = found_s[np.abs(found_s[:, None] - inner).argmin(axis=0)]
    delay = nearest - inner
    assert np.mean(np.abs(delay - np.median(delay)) < 0.0005) > 0.95
    assert abs(len(found_s) - len(pulses_s)) <= 0.05 * len(pulses_s)


@needs_reaper
@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
def test_the_pitch_follows_a_glide_without_lag_at_any_rate(sample_rate):
    f0_hz = gliding_f0(sample_rate=sample_rate)
    found = find_epochs(glottis(f0_hz, sample_rate)[0], sample_rate, **SPAN)
    frames = np.arange(10, 290)
    cents = 1200 * np.log2(found.f0_hz[frames] / f0_hz[frames * sample_rate // 100])
    # The pitch moves by up to 45 cents a frame, so that half a frame of lag would show.
    assert np.nanpercentile(np.abs(cents), 90) < (40 if sample_rate == 8000 else 20)
    assert np.isfinite(cents).mean() > 0.9


@needs_reaper
@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0),
        np.zeros(1),
        np.ones(1),
        np.ones(3),
        np.zeros(16000),
        np.ones(16000),
        np.eye(1, 16000, 8000)[0],
        np.eye(1, 16000, 15900)[0],  # its first pulse within a period of the end
        np.eye(1, 16000, 15999)[0],
        np.full(16000, 1e-40),
    ],
    ids=lambda sound: f"{len(sound)} samples, sum {sound.sum():g}",
)
def test_what_holds_no_voice_has_neither_pitch_nor_crash(sound):
    found = find_epochs(sound.astype(np.float32), 16000, **SPAN)
    assert found.f0_hz.shape == (1 + len(sound) // 160,)
    assert np.isnan(found.f0_hz).all()


@needs_reaper
@pytest.mark.parametrize("gain", [1e-6, 1e6])
def test_the_level_does_not_matter(gain):
    sound, _ = glottis(gliding_f0(1.0))
    one = find_epochs(sound, 16000, **SPAN)
    other = find_epochs(sound * np.float32(gain), 16000, **SPAN)
    assert len(one.times_s) > 100
    assert abs(len(one.times_s) - len(other.times_s)) <= 2
    assert np.nanmax(np.abs(one.f0_hz / other.f0_hz - 1)) < 0.1


@needs_reaper
def test_only_the_frames_asked_for_are_looked_at():
    sound, _ = glottis(gliding_f0(8.0))
    where = np.zeros(801, bool)
    where[100:150] = where[300:780] = True
    found = find_epochs(sound, 16000, where=where, **SPAN)
    assert np.isnan(found.f0_hz[~where]).all()
    assert np.isfinite(found.f0_hz[where]).mean() > 0.9
    assert find_epochs(sound, 16000, where=np.zeros(801, bool), **SPAN).times_s.size == 0


@needs_reaper
def test_agreement_raises_confidence_and_contradiction_lowers_it(rng):
    f0_hz = gliding_f0()
    sound, _ = glottis(f0_hz)
    true_hz = np.append(f0_hz, f0_hz[-1])[:: len(f0_hz) // 300]
    half = Pitch(true_hz, np.ones(301, bool), np.full(301, 0.5))
    right = second_opinion(half, sound, **SPAN).voiced_probability[10:-10]
    octave = Pitch(2 * true_hz, half.voiced, half.voiced_probability)
    wrong = second_opinion(octave, sound, **SPAN).voiced_probability[10:-10]
    noise = rng.standard_normal(len(sound)).astype(np.float32)
    alone = second_opinion(half, noise, **SPAN).voiced_probability[10:-10]
    assert np.mean(right == 0.75) > 0.9
    assert np.mean(wrong == 0.375) > 0.9
    assert np.mean(alone == 0.25) > 0.9
    assert np.all(half.voiced_probability == 0.5)


@needs_reaper
def test_what_reaper_prints_does_not_reach_the_terminal(capfd):
    sound, _ = glottis(gliding_f0(1.0))
    epochs._reaper()((sound * 20000).astype(np.int16), 16000)
    import ctypes

    ctypes.CDLL(None).fflush(None)
    assert "Residual symmetry" in capfd.readouterr().out  # so there is something to silence
    print("before")
    find_epochs(sound, 16000, **SPAN)
    ctypes.CDLL(None).fflush(None)
    print("after")
    os.write(2, b"error")
    captured = capfd.readouterr()
    assert captured.out == "before\nafter\n"
    assert captured.err == "error"


@needs_reaper
def test_threads_get_the_same_answer_and_the_terminal_back(capfd):
    sound, _ = glottis(gliding_f0(1.0))
    alone = find_epochs(sound, 16000, **SPAN)
    before = [os.fstat(descriptor).st_ino for descriptor in (1, 2)]
    n_open = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    together = []
    threads = [
        threading.Thread(target=lambda: together.append(find_epochs(sound, 16000, **SPAN)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [os.fstat(descriptor).st_ino for descriptor in (1, 2)] == before
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == n_open
    assert len(together) == 4
    for found in together:
        assert np.array_equal(found.times_s, alone.times_s)


@needs_reaper
def test_the_terminal_comes_back_after_a_failure(capfd):
    with pytest.raises(ZeroDivisionError), epochs._silenced():
        os.write(1, b"lost")
        raise ZeroDivisionError
    os.write(1, b"heard")
    assert capfd.readouterr().out == "heard"


def test_without_reaper_the_method_says_so_and_works_with_pyin_alone(monkeypatch, rng):
    from unstir.types import Mixture

    monkeypatch.setitem(sys.modules, "pyreaper", None)  # import fails as if it were not there
    epochs._reaper.cache_clear()
    try:
        assert not available()
        assert Harmonic().tracker == "pyin"
        mix = Mixture(rng.standard_normal((1, 4000)).astype(np.float32), 16000)
        assert set(Harmonic().separate(mix)) == {"speech", "music", "effects"}
        with pytest.raises(SettingsError, match=r"install unstir\[epochs\]"):
            Harmonic(epochs=True)
        with pytest.raises(SettingsError, match=r"install unstir\[epochs\]"):
            find_epochs(np.zeros(100, np.float32), 16000, **SPAN)
    finally:
        epochs._reaper.cache_clear()


@needs_reaper
@pytest.mark.parametrize(
    ("low", "high"), [(0, 600), (600, 65), (100, 100.5)], ids=["zero", "reversed", "too narrow"]
)
def test_a_range_that_cannot_be_searched_is_refused(low, high):
    with pytest.raises(SettingsError, match="wanted"):
        find_epochs(np.zeros(100, np.float32), 16000, f0_min_hz=low, f0_max_hz=high)


@needs_reaper
@pytest.mark.parametrize("sound", [np.zeros((1, 100)), np.array([np.nan, 0.0])])
def test_what_is_not_one_channel_of_finite_samples_is_refused(sound):
    with pytest.raises(AudioError, match="wanted"):
        find_epochs(sound.astype(np.float32), 16000, **SPAN)
