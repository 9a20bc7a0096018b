import sys

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import AudioError, SettingsError
from unstir.loudness import Meter, channel_weights, k_weighting

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000, 384000]
FIVE = ("FL", "FR", "FC", "SL", "SR")
FIVE_ONE = ("FL", "FR", "FC", "LFE", "SL", "SR")


def lufs(waveform, rate, layout=None):
    meter = Meter(rate, waveform.shape[0], layout)
    meter.push(waveform)
    return meter.integrated_lufs()


def tone(frequency_hz, rate, duration_s=2.0, gain=1.0):
    t = np.arange(round(rate * duration_s)) / rate
    return (gain * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)[None]


def sounds(rate, channels, rng):
    """Yield noise, a rumble, a tone, and bursts with pauses as in speech."""
    n = 4 * rate
    t = np.arange(n) / rate
    white = rng.standard_normal((channels, n))
    syllables = np.clip(np.sin(2 * np.pi * 4 * t), 0, 1) * (np.sin(2 * np.pi * 0.4 * t) > -0.3)
    swell = 10 ** (-2 * np.abs(t / 2 - 1))  # 40 dB up and down: the relative gate closes
    brown = np.cumsum(white, axis=1)
    yield "white noise", 0.1 * white
    yield "rumble", 0.1 * (brown - brown.mean()) / brown.std()
    yield "tone", np.repeat(tone(440, rate, 4, 0.2), channels, axis=0)
    yield "speech-like bursts", 0.2 * syllables * white
    yield "swell", 0.3 * swell * white


def test_the_filter_at_48_khz_is_the_one_printed_in_the_recommendation():
    shelf, low_cut = k_weighting(48000)
    assert shelf == pytest.approx(
        (
            1.53512485958697,
            -2.69169618940638,
            1.19839281085285,
            1,
            -1.69065929318241,
            0.73248077421585,
        ),
        abs=1e-13,
    )
    assert low_cut == pytest.approx([1, -2, 1, 1, -1.99004745483398, 0.99007225036621], abs=1e-13)


@pytest.mark.parametrize("rate", RATES)
def test_a_full_scale_tone_of_997_hz_in_one_channel_reads_minus_3_01(rate):
    # The shelf's foot reaches 997 Hz; the bilinear transform bends it a little at other rates.
    tolerance = 0.005 if rate in (44100, 48000) else 0.045
    assert lufs(tone(997, rate), rate) == pytest.approx(-3.01, abs=tolerance)


@pytest.mark.parametrize(("rate", "channels", "layout"), [(48000, 6, FIVE_ONE), (44100, 2, None)])
def test_a_tone_in_the_left_or_right_channel_alone_reads_minus_3_01(rate, channels, layout):
    for channel in (0, 1):
        waveform = np.zeros((channels, 2 * rate), np.float32)
        waveform[channel] = tone(997, rate)
        assert lufs(waveform, rate, layout) == pytest.approx(-3.01, abs=0.005)


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize(("channels", "layout"), [(1, None), (2, None), (5, FIVE)])
def test_pyloudnorms_compliant_meter_agrees_within_a_hundredth(rate, channels, layout, rng):
    peer = pyloudnorm.Meter(rate, filter_class="DeMan")
    default = pyloudnorm.Meter(rate)
    for name, sound in sounds(rate, channels, rng):
        sound = sound.astype(np.float32)
        ours = lufs(sound, rate, layout)
        assert ours == pytest.approx(peer.integrated_loudness(sound.T), abs=0.01), name
        assert ours == pytest.approx(default.integrated_loudness(sound.T), abs=0.05), name


def test_both_gates_leave_out_what_pyloudnorm_leaves_out(rng):
    rate = 48000
    loud, soft, faint = (rng.standard_normal((2, rate)) * 10.0 ** (-x / 20) for x in (20, 33, 80))
    sound = np.concatenate([faint, loud, soft, loud, faint], axis=1).astype(np.float32)
    ours = lufs(sound, rate)
    peer = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(sound.T)
    assert ours == pytest.approx(peer, abs=0.01)
    assert ours > lufs(loud.astype(np.float32), rate) - 1.5  # without gates it would be 4 LU lower


@settings(deadline=None)
@given(data=st.data(), rate=st.sampled_from([8000, 11025, 22050, 44100]))
def test_the_value_is_the_same_to_the_last_bit_for_any_cut_into_blocks(data, rate):
    n = data.draw(st.integers(1, 2 * rate))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=20)))
    waveform = np.random.default_rng(n).standard_normal((2, n)).astype(np.float32)
    meter = Meter(rate, 2)
    for block in np.split(waveform, cuts, axis=1):
        meter.push(block)
    assert meter.integrated_lufs() == lufs(waveform, rate)


def test_one_sample_at_a_time_is_as_good_as_the_whole():
    waveform = tone(300, 8000, 0.7)
    meter = Meter(8000, 1)
    for k in range(waveform.shape[1]):
        meter.push(waveform[:, k : k + 1])
    assert meter.integrated_lufs() == lufs(waveform, 8000)


@given(gain_db=st.floats(-40, 40))
def test_a_gain_in_db_is_a_gain_in_lu(gain_db):
    waveform = tone(997, 48000, 1.0, 0.1)
    louder = waveform * np.float32(10 ** (gain_db / 20))
    assert lufs(louder, 48000) - lufs(waveform, 48000) == pytest.approx(gain_db, abs=1e-4)


def test_surrounds_count_1_41_and_the_lfe_nothing():
    sound = tone(997, 48000)[0]
    for channel, name in enumerate(FIVE_ONE):
        waveform = np.zeros((6, sound.size), np.float32)
        waveform[channel] = sound
        value = lufs(waveform, 48000, FIVE_ONE)
        if name == "LFE":
            assert value is None
        else:
            weight_db = 10 * np.log10(1.41) if name in ("SL", "SR") else 0
            assert value == pytest.approx(-3.01 + weight_db, abs=0.005)


def test_the_backs_of_5_1_stand_at_the_side_and_those_of_7_1_at_the_back():
    assert channel_weights(("FL", "FR", "FC", "LFE", "BL", "BR"))[4:].tolist() == [1.41, 1.41]
    seven = channel_weights(("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"))
    assert seven.tolist() == [1, 1, 1, 0, 1, 1, 1.41, 1.41]


@pytest.mark.parametrize("rate", [8000, 44100])
def test_silence_and_what_is_too_quiet_or_too_short_has_no_loudness(rate):
    assert lufs(np.zeros((2, 2 * rate), np.float32), rate) is None
    assert lufs(tone(997, rate, 2, 10 ** (-75 / 20)), rate) is None
    assert lufs(tone(997, rate, 0.399), rate) is None
    assert lufs(tone(997, rate, 0.4), rate) is not None
    assert Meter(rate, 1).integrated_lufs() is None


def test_peaks_far_above_full_scale_are_measured():
    value = lufs(tone(997, 48000, 1, 20), 48000)
    assert value == pytest.approx(-3.01 + 20 * np.log10(20), abs=0.01)


def test_the_memory_is_eight_bytes_for_every_100_ms():
    meter = Meter(8000, 1)
    minute = np.ones((1, 60 * 8000), np.float32)
    sizes = []
    for _ in range(4):
        meter.push(minute)
        sizes.append(sum(sys.getsizeof(x) for x in vars(meter).values()))
    assert (sizes[3] - sizes[1]) / 1200 < 12  # the array grows by an eighth more than it needs


def test_a_block_is_left_as_it_is_and_may_change_afterwards():
    waveform = tone(500, 44100, 1)
    meter = Meter(44100, 1)
    block = waveform[:, :1000].copy()
    meter.push(block)
    assert np.array_equal(block, waveform[:, :1000])
    block[:] = 9
    meter.push(waveform[:, 1000:])
    assert meter.integrated_lufs() == lufs(waveform, 44100)


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match="one each"):
        Meter(48000, 2, ("FL",))
    with pytest.raises(SettingsError, match="one each"):
        Meter(48000, 0)
    with pytest.raises(SettingsError, match="4000"):
        Meter(2000, 1)
    with pytest.raises(AudioError, match="is wanted"):
        Meter(48000, 2).push(np.zeros((1, 10), np.float32))
    with pytest.raises(AudioError, match="finite"):
        Meter(48000, 1).push(np.array([[np.nan]], np.float32))
