"""Every effect does what its name says, and Pedalboard's habits are put right."""

import numpy as np
import pedalboard
import pytest
import scipy.signal
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.plugins.chains import Chain, Effect
from unstir.plugins.effects import CATALOG, Value
from unstir.plugins.spaces import impulse_response
from unstir.types import Waveform

RATE = 48000
WANTED: dict[str, dict[str, Value]] = {
    "gain": {"gain_db": -3},
    "pan": {"position": 0.3},
    "width": {"width": 1.5, "mono_below_hz": 200},
    "high-pass": {"cutoff_hz": 80},
    "low-pass": {"cutoff_hz": 8000},
    "low-shelf": {"cutoff_hz": 60, "gain_db": 4},
    "high-shelf": {"cutoff_hz": 6000, "gain_db": 4},
    "peak": {"cutoff_hz": 60, "gain_db": 4},
    "notch": {"cutoff_hz": 50},
    "convolution": {"space": "room"},
    "delay": {"delay_ms": 200},
    "pitch-shift": {"semitones": 3},
    "ladder": {"cutoff_hz": 8000},
}
STREAMING = [name for name in CATALOG if name not in ("loudness", "vst3")]


def chain(name: str, **settings: Value) -> Chain:
    return Chain(name, (Effect(name, settings or WANTED.get(name, {})),))


def through(
    chain: Chain, sound: Waveform, tail: int = 0, key: Waveform | None = None, rate: int = RATE
) -> Waveform:
    stream = chain.open(rate, len(sound))
    keys = dict.fromkeys(chain.keys, sound if key is None else key)
    return np.concatenate([stream.process(sound, keys), stream.finish(tail)], axis=1)


def noise(rng: np.random.Generator, n_channels: int, seconds: float = 0.5) -> Waveform:
    return (0.1 * rng.standard_normal((n_channels, round(seconds * RATE)))).astype(np.float32)


def tone(frequency_hz: float, seconds: float = 1.0, n_channels: int = 1) -> Waveform:
    time_s = np.arange(round(seconds * RATE)) / RATE
    line = np.sin(2 * np.pi * frequency_hz * time_s).astype(np.float32)
    return np.repeat(line[None], n_channels, axis=0)


def gain_db(chain: Chain, frequency_hz: float) -> float:
    sound = tone(frequency_hz)
    return decibels(through(chain, sound)[:, RATE // 2 :]) - decibels(sound[:, RATE // 2 :])


def decibels(sound: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-20))


# What every effect keeps


@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.parametrize("name", STREAMING)
def test_any_partition_gives_the_same_samples(
    name: str, n_channels: int, rng: np.random.Generator
) -> None:
    n_channels = max(n_channels, 2) if name == "pan" else n_channels
    rate = 8000 if name == "pitch-shift" else RATE  # it is slow
    effect = chain(name)
    sound, key = noise(rng, n_channels, 0.25), noise(rng, 1, 0.25)
    whole = through(effect, sound, 50, key, rate)
    stream = effect.open(rate, n_channels)
    parts, start = [], 0
    for length in (1, 2, 0, 3, 6, 9000, 1, 700, sound.shape[1]):
        stop = min(start + length, sound.shape[1])
        keys = dict.fromkeys(effect.keys, key[:, start:stop])
        parts.append(stream.process(sound[:, start:stop], keys))
        start = stop
    parts.append(stream.finish(50))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert whole.shape == (n_channels, sound.shape[1] + 50)
    assert whole.dtype == np.float32


@pytest.mark.parametrize("name", [name for name in STREAMING if CATALOG[name].linear])
def test_linear_effects_distribute_over_a_sum(name: str, rng: np.random.Generator) -> None:
    effect = chain(name)
    a, b, key = noise(rng, 2), noise(rng, 2), noise(rng, 1)
    apart = through(effect, a, 0, key) + through(effect, b, 0, key)
    np.testing.assert_allclose(through(effect, a + b, 0, key), apart, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in STREAMING if not CATALOG[name].linear])
def test_other_effects_do_not_distribute(name: str, rng: np.random.Generator) -> None:
    effect = chain(name, threshold_db=-30.0) if name == "gate" else chain(name)
    a, b = 5 * noise(rng, 1), 0.05 * noise(rng, 1)
    a[:, RATE // 4 :] = 0
    rate = 8000 if name == "pitch-shift" else RATE
    a, b = a[:, : RATE // 3], b[:, : RATE // 3]
    apart = through(effect, a, rate=rate) + through(effect, b, rate=rate)
    assert np.abs(through(effect, a + b, rate=rate) - apart).max() > 1e-4


@pytest.mark.parametrize("name", STREAMING)
def test_no_effect_changes_its_argument(name: str, rng: np.random.Generator) -> None:
    sound = noise(rng, 2, 0.1)
    before = sound.copy()
    through(chain(name), sound, rate=8000)
    np.testing.assert_array_equal(sound, before)


@pytest.mark.parametrize(
    "name",
    # These move or smear a click; where it is, is measured by its like below.
    [
        name
        for name in STREAMING
        if name not in ("pitch-shift", "chorus", "low-pass", "ladder", "resample", "gsm", "mp3")
    ],
)
def test_what_sounds_comes_when_it_came(name: str) -> None:
    sound = np.zeros((2, RATE // 2), np.float32)
    sound[:, 12345] = 0.5
    settings: dict[str, Value] = {"threshold_db": -60} if name == "gate" else {}
    quiet = np.zeros((1, RATE // 2), np.float32)
    answer = through(chain(name, **settings), sound, 0, quiet)
    assert np.abs(answer[0]).argmax() == 12345


# Equalizer


def test_a_high_pass_of_order_four_falls_by_24_db_an_octave() -> None:
    effect = chain("high-pass", cutoff_hz=400, order=4)
    assert gain_db(effect, 400) == pytest.approx(-3, abs=0.1)
    assert gain_db(effect, 100) - gain_db(effect, 50) == pytest.approx(24, abs=0.3)


def test_a_peak_has_its_gain_in_the_middle_and_a_shelf_at_its_end() -> None:
    assert gain_db(chain("peak", cutoff_hz=1000, gain_db=6), 1000) == pytest.approx(6, abs=0.01)
    shelf = chain("low-shelf", cutoff_hz=1000, gain_db=-6)
    assert gain_db(shelf, 1000) == pytest.approx(-3, abs=0.01)
    assert gain_db(shelf, 50) == pytest.approx(-6, abs=0.05)


def test_a_notch_takes_one_frequency_away() -> None:
    effect = chain("notch", cutoff_hz=50, q=5)
    assert gain_db(effect, 50) < -40
    assert gain_db(effect, 100) > -0.2


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("peak", pedalboard.PeakFilter),
        ("low-shelf", pedalboard.LowShelfFilter),
        ("high-shelf", pedalboard.HighShelfFilter),
    ],
)
def test_bands_are_those_of_pedalboard(name: str, theirs: type, rng: np.random.Generator) -> None:
    sound = noise(rng, 2)
    ours = through(chain(name, cutoff_hz=2000, gain_db=5, q=0.9), sound)
    np.testing.assert_allclose(ours, theirs(2000, 5, 0.9)(sound, RATE), atol=2e-6)


def test_pedalboards_low_bands_are_too_coarse_to_distribute(rng: np.random.Generator) -> None:
    a, b = noise(rng, 1), noise(rng, 1)
    whole, *parts = (pedalboard.PeakFilter(60, 4, 1)(sound, RATE) for sound in (a + b, a, b))
    assert np.abs(whole - sum(parts)).max() > 1e-5


@pytest.mark.parametrize("name", ["low-pass", "high-shelf", "peak", "notch"])
def test_what_lies_above_the_sound_leaves_it(name: str, rng: np.random.Generator) -> None:
    settings = {"cutoff_hz": 9000.0} | ({} if name in ("low-pass", "notch") else {"gain_db": 6.0})
    sound = noise(rng, 1)
    np.testing.assert_array_equal(through(chain(name, **settings), sound, rate=16000), sound)


# Levels


def test_pan_keeps_one_side_and_silences_the_other(rng: np.random.Generator) -> None:
    sound = noise(rng, 6)
    moved = through(chain("pan", position=1), sound)
    np.testing.assert_array_equal(moved[[1, 2, 3, 5]], sound[[1, 2, 3, 5]])
    assert np.abs(moved[[0, 4]]).max() < 1e-6


def test_pan_in_the_middle_is_the_identity(rng: np.random.Generator) -> None:
    sound = noise(rng, 2)
    np.testing.assert_array_equal(through(chain("pan", position=0), sound), sound)


def test_pan_refuses_one_channel() -> None:
    with pytest.raises(SettingsError, match="one channel"):
        chain("pan").open(RATE, 1)


def test_no_width_is_mono_and_double_width_doubles_the_difference(
    rng: np.random.Generator,
) -> None:
    sound = noise(rng, 2)
    narrow = through(chain("width", width=0), sound)
    wide = through(chain("width", width=2), sound)
    np.testing.assert_allclose(narrow[0], narrow[1], atol=1e-7)
    np.testing.assert_allclose(wide[0] - wide[1], 2 * (sound[0] - sound[1]), atol=1e-6)
    np.testing.assert_allclose(wide.sum(axis=0), sound.sum(axis=0), atol=1e-6)


# Dynamics


def test_the_compressor_is_pedalboards_for_one_channel(rng: np.random.Generator) -> None:
    sound = 3 * noise(rng, 1)
    settings = {"threshold_db": -30, "ratio": 4, "knee_db": 0, "attack_ms": 5, "release_ms": 80}
    theirs = pedalboard.Compressor(-30, 4, 5, 80)(sound, RATE)
    np.testing.assert_allclose(through(chain("compressor", **settings), sound), theirs, atol=1e-5)


def test_the_compressor_turns_all_channels_down_alike_and_pedalboards_does_not() -> None:
    sound = np.concatenate([0.9 * tone(440), 0.01 * tone(700)])
    tail = np.s_[1, RATE // 2 :]
    ours = through(chain("compressor", threshold_db=-30, ratio=4), sound)
    theirs = pedalboard.Compressor(-30, 4)(sound, RATE)
    assert decibels(ours[tail]) < decibels(sound[tail]) - 15
    assert decibels(theirs[tail]) == pytest.approx(decibels(sound[tail]), abs=0.01)


def test_the_compressors_ratio_holds() -> None:
    effect = chain("compressor", threshold_db=-30, ratio=3, knee_db=0, attack_ms=0, release_ms=1000)
    loud, soft = (through(effect, a * tone(1000)) for a in (1.0, 0.25))
    change_db = decibels(loud[:, RATE // 2 :]) - decibels(soft[:, RATE // 2 :])
    assert change_db == pytest.approx(20 * np.log10(4) / 3, abs=0.1)


@pytest.mark.parametrize("kind", ["noise", "between the samples", "steps"])
def test_no_true_peak_passes_the_limiter(kind: str, rng: np.random.Generator) -> None:
    sound = {
        "noise": 10 * noise(rng, 2, 1),
        "between the samples": 1.4
        * np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4)[None].repeat(2, 0),
        "steps": np.sign(np.sin(np.arange(RATE) * 0.01))[None].repeat(2, 0) * 2,
    }[kind].astype(np.float32)
    limited = through(chain("limiter", ceiling_db=-1), sound)
    true_peak = np.abs(scipy.signal.resample_poly(limited.astype(np.float64), 8, 1, axis=1)).max()
    assert 20 * np.log10(true_peak) <= -1


def test_the_limiter_leaves_what_is_below_its_ceiling(rng: np.random.Generator) -> None:
    sound = noise(rng, 2)
    np.testing.assert_array_equal(through(chain("limiter"), sound), sound)


def test_pedalboards_limiter_holds_samples_back_when_streaming(rng: np.random.Generator) -> None:
    plugin = pedalboard.BrickwallLimiter(lookahead_ms=5, true_peak=False)
    assert plugin.process(noise(rng, 2, 1), RATE, reset=False).shape[1] == RATE - 240


def test_the_gate_turns_down_what_is_soft_alone() -> None:
    sound = np.concatenate([0.5 * tone(440), 0.001 * tone(440)], axis=1)
    gated = through(chain("gate", threshold_db=-40, range_db=-20), sound)
    loud, soft = np.s_[:, RATE // 2 : RATE], np.s_[:, -RATE // 4 :]
    assert decibels(gated[loud]) == pytest.approx(decibels(sound[loud]), abs=0.01)
    assert decibels(gated[soft]) == pytest.approx(decibels(sound[soft]) - 20, abs=0.1)


@pytest.mark.parametrize("level", [1.0, 0.05])
def test_the_de_esser_acts_on_sibilants_alone_however_loud(level: float) -> None:
    effect = chain("de-esser", cutoff_hz=5000, range_db=-8)
    vowel = level * 0.5 * tone(300)
    ess = level * 0.2 * tone(9000)
    tail = np.s_[:, RATE // 2 :]
    np.testing.assert_allclose(through(effect, vowel)[tail], vowel[tail], atol=1e-6)
    change_db = decibels(through(effect, ess)[tail]) - decibels(ess[tail])
    assert change_db == pytest.approx(-8, abs=1)


def test_ducking_is_down_before_the_word_and_up_after_it() -> None:
    music, speech = np.ones((2, 4 * RATE), np.float32), np.zeros((1, 4 * RATE), np.float32)
    speech[:, RATE : 2 * RATE] = 0.3 * tone(300)
    effect = chain(
        "ducking", range_db=-9, lookahead_ms=200, attack_ms=200, hold_ms=300, release_ms=500
    )
    level_db = 20 * np.log10(through(effect, music, 0, speech)[0])
    assert level_db[round(0.79 * RATE)] == pytest.approx(0, abs=0.01)
    assert level_db[RATE] == pytest.approx(-9, abs=0.1)  # the word begins
    assert level_db[round(2.05 * RATE)] == pytest.approx(-9, abs=0.1)  # held
    assert level_db[round(3.5 * RATE)] == pytest.approx(0, abs=0.1)


# Rooms and echoes


def test_pedalboards_reverb_is_transparent_at_dry_one_half(rng: np.random.Generator) -> None:
    sound = noise(rng, 2)
    half = pedalboard.Reverb(wet_level=0, dry_level=0.5)(sound, RATE)
    whole = pedalboard.Reverb(wet_level=0, dry_level=1)(sound, RATE)
    np.testing.assert_allclose(half, sound, atol=1e-7)
    np.testing.assert_allclose(whole, 2 * sound, atol=1e-6)


def test_pedalboards_reverb_and_convolution_fail_on_six_channels(rng: np.random.Generator) -> None:
    sound = noise(rng, 6)
    wet = pedalboard.Reverb(wet_level=0.3, dry_level=0)(sound, RATE)
    convolved, alone = (
        pedalboard.Convolution(np.ones(9, np.float32), 1.0, RATE)(part, RATE)[-1]
        for part in (sound, sound[5:])
    )
    np.testing.assert_array_equal(wet, sound)
    assert np.abs(convolved - alone).max() > 0.01


@pytest.mark.parametrize("name", ["reverb", "convolution"])
@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_rooms_sound_in_every_channel_with_the_energy_asked_for(name: str, n_channels: int) -> None:
    space: dict[str, Value] = {"space": "plate"} if name == "convolution" else {"decay_s": 2}
    effect = chain(name, wet_db=0, low_cut_hz=10, **space)
    impulse = np.zeros((n_channels, RATE), np.float32)
    impulse[:, 0] = 1
    answer = through(effect, impulse, round(effect.tail_s * RATE))
    for ringing in answer[:, 1:]:
        energy = np.square(ringing, dtype=np.float64).sum()
        assert 10 * np.log10(energy) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("name", ["reverb", "convolution", "delay"])
def test_the_direct_sound_keeps_its_level(name: str, rng: np.random.Generator) -> None:
    sound = noise(rng, 2)
    settings: dict[str, Value] = {**WANTED.get(name, {}), "wet_db": -60}
    difference = through(chain(name, **settings), sound) - sound
    assert 0 < np.abs(difference).max() < 2e-3


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("reverb", {"decay_s": 1.0, "damping": 0.0}),
        ("reverb", {"decay_s": 4.0, "damping": 0.5}),
        ("convolution", {"space": "room"}),
        ("convolution", {"space": "hall", "predelay_ms": 100}),
        ("convolution", {"space": "plate"}),
        ("delay", {"delay_ms": 150, "feedback_db": -6}),
    ],
)
def test_tails_are_kept_and_have_decayed_by_60_db(name: str, settings: dict[str, Value]) -> None:
    effect = chain(name, wet_db=0, **settings)
    impulse = np.zeros((2, 100), np.float32)
    impulse[:, 0] = 1
    answer = through(effect, impulse, round(1.5 * effect.tail_s * RATE))
    end = 100 + round(effect.tail_s * RATE)
    steady = np.square(answer[0, 1:], dtype=np.float64)
    left_db = 10 * np.log10(steady[end:].sum() / steady.sum() + 1e-20)
    assert left_db < -50
    half_db = 10 * np.log10(steady[end // 2 :].sum() / steady.sum())
    assert half_db > -50  # and it is no longer than it has to be


def test_the_reverb_rings_as_long_as_asked() -> None:
    impulse = np.zeros((1, 3 * RATE), np.float32)
    impulse[:, 0] = 1
    answer = through(chain("reverb", decay_s=2.0, damping=0.0), impulse)[0, 1:]
    decay_db = 10 * np.log10(np.cumsum(np.square(answer[::-1], dtype=np.float64))[::-1])
    decay_db -= decay_db[0]
    at_5, at_25 = (int(np.argmax(decay_db < level)) for level in (-5, -25))
    assert 3 * (at_25 - at_5) / RATE == pytest.approx(2.0, rel=0.15)


def test_pedalboards_convolution_scales_the_response_and_ours_does_not() -> None:
    response = 3 * impulse_response("room", RATE, 0)
    impulse = np.zeros((1, RATE), np.float32)
    impulse[:, 0] = 1
    theirs = pedalboard.Convolution(response, 1.0, RATE)(impulse, RATE)[0]
    np.testing.assert_allclose(8 * theirs[: len(response)], response / 3, atol=1e-5)
    answer = through(chain("convolution", space="room", wet_db=0, low_cut_hz=10), impulse)[0]
    send = scipy.signal.butter(2, 10, "highpass", fs=RATE, output="sos")
    wanted = scipy.signal.sosfilt(send, np.pad(response / 3, (0, RATE - len(response))))
    wanted[0] += 1
    np.testing.assert_allclose(answer, wanted, atol=1e-5)


def test_echoes_come_when_asked_and_get_weaker() -> None:
    impulse = np.zeros((1, RATE), np.float32)
    impulse[:, 0] = 1
    answer = through(chain("delay", delay_ms=100, feedback_db=-6, wet_db=0), impulse)[0]
    echoes = answer[[0, 4800, 9600, 14400]]
    np.testing.assert_allclose(echoes, [1, 1, 0.5012, 0.2512], atol=1e-3)


# Colors and pitch


def test_saturation_leaves_soft_sound_and_rounds_off_loud() -> None:
    effect = chain("saturation", drive_db=12)
    assert gain_db(effect, 1000) < -6
    soft = 1e-3 * tone(1000)
    np.testing.assert_allclose(through(effect, soft), soft, atol=1e-6)


def test_bits_are_few() -> None:
    assert len(np.unique(through(chain("bitcrush", bits=4), 0.9 * tone(440)))) <= 33


@pytest.mark.parametrize("semitones", [-7, 4])
def test_the_pitch_moves_and_the_time_does_not(semitones: int, rng: np.random.Generator) -> None:
    rate, seconds = 8000, 6
    time_s = np.arange(rate * seconds) / rate
    sound = (0.1 * np.sin(2 * np.pi * 440 * time_s) * (time_s > 5)).astype(np.float32)[None]
    shifted = through(chain("pitch-shift", semitones=semitones), sound, rate=rate)
    last = shifted[0, round(5.1 * rate) :]
    found_hz = np.argmax(np.abs(np.fft.rfft(last * np.hanning(len(last)), 2**17))) * rate / 2**17
    assert found_hz == pytest.approx(440 * 2 ** (semitones / 12), rel=4e-3)
    begin_s = np.argmax(np.abs(shifted[0]) > 0.05) / rate
    assert begin_s == pytest.approx(5, abs=0.02)


def test_joins_of_the_pitch_shifter_do_not_click() -> None:
    rate = 8000
    sound = 0.5 * np.sin(2 * np.pi * 220 * np.arange(9 * rate) / rate)[None].astype(np.float32)
    shifted = through(chain("pitch-shift", semitones=3), sound, rate=rate)[0, rate:-rate]
    level = np.sqrt(np.convolve(shifted**2, np.ones(400) / 400, "valid"))
    assert 20 * np.log10(level.max() / level.min()) < 1.5


def test_pedalboards_pitch_shifter_streams_silence() -> None:
    plugin = pedalboard.PitchShift(3)
    blocks = [plugin.process(tone(440), RATE, reset=False) for _ in range(4)]
    assert all(not np.any(block) for block in blocks)


# Pedalboard's other habits


def test_pedalboard_guesses_which_axis_is_the_channels() -> None:
    tall = np.array([[1], [0]], np.float32)  # one sample of stereo, right channel silent
    filtered = pedalboard.HighpassFilter(1000)(tall, RATE)
    assert filtered[1, 0] != 0  # taken for two samples of mono
    ours = through(chain("high-pass", cutoff_hz=1000), tall)
    assert ours[1, 0] == 0


def test_pedalboard_forgets_when_a_longer_block_comes() -> None:
    impulse = np.zeros((1, 1000), np.float32)
    impulse[:, 0] = 1
    same, longer = pedalboard.Delay(0.03, mix=1.0), pedalboard.Delay(0.03, mix=1.0)
    for plugin, length in ((same, 1000), (longer, 1001)):
        plugin.process(impulse, RATE, reset=False)
        rest = plugin.process(np.zeros((1, length), np.float32), RATE, reset=False)
        assert np.any(rest) == (plugin is same)


def test_pedalboard_ignores_python_subclasses(rng: np.random.Generator) -> None:
    class Loud(pedalboard.Gain):
        def process(self, *args: object, **kwargs: object) -> Waveform:
            raise AssertionError("never called")

    sound = noise(rng, 1)
    np.testing.assert_array_equal(pedalboard.Pedalboard([Loud(0)])(sound, RATE), sound)
