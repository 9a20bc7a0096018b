"""All effects of Pedalboard are there; its colors and codecs do what they say, in time."""

import numpy as np
import pedalboard
import pytest
import scipy.signal

from tests.plugins.test_effects import RATE, chain, decibels, gain_db, noise, through, tone
from unstir.errors import SettingsError
from unstir.plugins.effects import CATALOG, Value
from unstir.types import Waveform

# By Pedalboard's classes; those that stay out, with the reason.
CLASSES = {
    "Bitcrush": "bitcrush",
    "BrickwallLimiter": "limiter",
    "Chorus": "chorus",
    "Clipping": "clipping",
    "Compressor": "compressor",
    "Convolution": "convolution",
    "Delay": "delay",
    "Distortion": "saturation",
    "GSMFullRateCompressor": "gsm",
    "Gain": "gain",
    "HighShelfFilter": "high-shelf",
    "HighpassFilter": "high-pass",
    "Invert": "invert",
    "LadderFilter": "ladder",
    "Limiter": "maximizer",
    "LowShelfFilter": "low-shelf",
    "LowpassFilter": "low-pass",
    "MP3Compressor": "mp3",
    "NoiseGate": "gate",
    "PeakFilter": "peak",
    "Phaser": "phaser",
    "PitchShift": "pitch-shift",
    "Resample": "resample",
    "Reverb": "reverb",
    "VST3Plugin": "vst3",
}
NO_EFFECTS = {
    "Chain": "holds effects, as a chain of ours does",
    "Mix": "holds effects side by side; what mixes here has a wet_db or a mix",
    "Pedalboard": "holds effects",
    "Plugin": "the base of all",
    "PluginContainer": "the base of Chain, Mix and Pedalboard",
    "ExternalPlugin": "the base of VST3Plugin",
    "AudioUnitPlugin": "macOS only; such plug-ins come as VST3 too",
    "IIRFilter": "the base of shelves and peak",
}


def voice(rate: int, n_channels: int = 1, seconds: float = 3.0) -> Waveform:
    """Return noise in the band of a voice, that swells and fades four times a second."""
    rng = np.random.default_rng(3)
    n_samples = round(seconds * rate)
    band = scipy.signal.butter(4, [400, 1500], "bandpass", fs=rate, output="sos")
    line = scipy.signal.sosfilt(band, rng.standard_normal((n_channels, n_samples)))
    line *= 0.6 + 0.4 * np.sin(8 * np.pi * np.arange(n_samples) / rate)
    return (0.7 * line / np.abs(line).max()).astype(np.float32)


def lag(late: Waveform, sound: Waveform) -> int:
    """Return by how many samples one line is behind the other."""
    fit = scipy.signal.correlate(late, sound, "full", method="fft")
    return int(np.argmax(fit)) - (len(sound) - 1)


def test_every_effect_of_pedalboard_is_in_the_catalog() -> None:
    offered = {
        name
        for name, value in vars(pedalboard).items()
        if isinstance(value, type)
        and issubclass(value, pedalboard.Plugin)
        and not name.startswith("_")
    }
    assert offered - CLASSES.keys() - NO_EFFECTS.keys() == set()
    assert set(CLASSES.values()) <= CATALOG.keys()


@pytest.mark.parametrize(
    ("name", "settings", "rates"),
    [
        ("gsm", {}, (8000, 22050, 44100, 96000)),
        ("mp3", {}, (8000, 22050, 44100, 48000)),
        ("mp3", {"vbr_quality": 9}, (16000, 48000)),
        ("resample", {"target_hz": 11025}, (8000, 22050, 44100, 96000)),
        ("resample", {"target_hz": 6000, "quality": "linear"}, (8000, 44100)),
        ("resample", {"quality": "hold"}, (22050, 48000)),
    ],
)
def test_codecs_are_aligned_from_the_start_to_the_end(
    name: str, settings: dict[str, Value], rates: tuple[int, ...]
) -> None:
    # Half a sample of the lower rate, which a held sample is late by, may round either way.
    within = 1 if "quality" in settings else 0
    for rate in rates:
        sound = voice(rate)
        done = through(chain(name, **settings), sound, rate=rate)
        assert done.shape == sound.shape
        for part in (slice(0, rate), slice(2 * rate, 3 * rate)):
            assert abs(lag(done[0, part], sound[0, part])) <= within
            assert np.corrcoef(done[0, part], sound[0, part])[0, 1] > 0.85


def test_pedalboards_gsm_loses_sound_wherever_a_stream_is_cut() -> None:
    sound = voice(RATE)
    plugin = pedalboard.GSMFullRateCompressor()
    blocks = [
        plugin.process(sound[:, at : at + 512], RATE, reset=False)
        for at in range(0, sound.shape[1], 512)
    ]
    assert decibels(np.concatenate(blocks, axis=1)) < decibels(sound) - 40
    assert decibels(through(chain("gsm"), sound)) == pytest.approx(decibels(sound), abs=2)


def test_pedalboards_gsm_makes_all_channels_one_and_ours_does_not() -> None:
    sound = voice(8000, 2)
    theirs = pedalboard.GSMFullRateCompressor()(sound, 8000)
    np.testing.assert_array_equal(theirs[0], theirs[1])
    ours = through(chain("gsm"), sound, rate=8000)
    assert all(np.corrcoef(a, b)[0, 1] > 0.85 for a, b in zip(ours, sound, strict=True))


def test_joins_of_the_gsm_codec_do_not_click() -> None:
    steady = 0.3 * tone(440, 5.0)
    done = through(chain("gsm"), steady)[0, RATE:-RATE]
    level = np.sqrt(np.convolve(done**2, np.ones(960) / 960, "valid"))
    assert 20 * np.log10(level.max() / level.min()) < 6
    beyond = scipy.signal.sosfilt(scipy.signal.butter(4, 6000, "high", fs=RATE, output="sos"), done)
    assert np.abs(beyond[1000:]).max() < 0.01


def test_pedalboards_mp3_slips_with_blocks_of_some_lengths_and_ours_does_not() -> None:
    rate = 24000
    sound = voice(rate, seconds=5)
    plugin = pedalboard.MP3Compressor(2.0)
    blocks = [
        plugin.process(sound[:, at : at + 1000], rate, reset=False)
        for at in range(0, sound.shape[1], 1000)
    ]
    theirs, ours = np.concatenate(blocks, axis=1), through(chain("mp3"), sound, rate=rate)
    end = slice(4 * rate, 4 * rate + rate // 2)
    assert lag(theirs[0, end], sound[0, end]) == 16
    assert lag(ours[0, end], sound[0, end]) == 0


def test_mp3_says_which_rates_it_has() -> None:
    with pytest.raises(SettingsError, match=r"96000 Hz, and MP3 has 8000, .*48000 only"):
        chain("mp3").open(96000, 2)


def test_mp3_of_low_quality_cuts_off_the_highs() -> None:
    hiss = 0.3 * tone(17000)
    assert decibels(through(chain("mp3", vbr_quality=9), hiss)) < decibels(hiss) - 30
    assert decibels(through(chain("mp3", vbr_quality=0), hiss)) > decibels(hiss) - 1


def test_a_lower_rate_has_no_highs_and_a_bad_resampler_aliases() -> None:
    assert gain_db(chain("resample", target_hz=8000), 1000) == pytest.approx(0, abs=0.2)
    assert gain_db(chain("resample", target_hz=8000), 6000) < -40
    assert gain_db(chain("resample", target_hz=8000, quality="hold"), 6000) > -20


def test_a_resampler_keeps_time_for_a_minute() -> None:
    rate = 22050  # 8000 is no whole part of it
    sound = voice(rate, seconds=60)
    done = through(chain("resample", quality="linear"), sound, rate=rate)
    assert lag(done[0, -5 * rate :], sound[0, -5 * rate :]) == 0


def test_the_phaser_is_pedalboards_and_sweeps(rng: np.random.Generator) -> None:
    sound = noise(rng, 1, 1)
    theirs = pedalboard.Phaser(2, 0.7, 900, 0.3, 0.5)
    theirs.process(np.zeros(8192, np.float32), RATE, reset=False)
    settings = {"rate_hz": 2, "depth": 0.7, "center_hz": 900, "feedback": 0.3}
    ours = through(chain("phaser", **settings), sound)
    wanted = [
        theirs.process(sound[0, at : at + 8192], RATE, reset=False)
        for at in range(0, sound.shape[1], 8192)
    ]
    np.testing.assert_array_equal(ours[0], np.concatenate(wanted))
    early, late = (
        np.abs(np.fft.rfft(ours[0, at : at + 6000])) / np.abs(np.fft.rfft(sound[0, at : at + 6000]))
        for at in (0, 12000)
    )
    assert np.corrcoef(early, late)[0, 1] < 0.9


def test_the_ladder_falls_by_its_slope_beyond_its_cutoff() -> None:
    soft = 0.01 * tone(4000)
    falls = [
        decibels(through(chain("ladder", cutoff_hz=500, mode=mode), soft)) - decibels(soft)
        for mode in ("low-pass-12", "low-pass-24")
    ]
    assert falls[0] < -24
    assert falls[1] < falls[0] - 18
    low = chain("ladder", cutoff_hz=2000, mode="high-pass-24")
    assert decibels(through(low, 0.01 * tone(100))) < decibels(soft) - 60


def test_clipping_cuts_off_and_leaves_what_is_below(rng: np.random.Generator) -> None:
    sound = 3 * noise(rng, 2)
    ceiling = 10 ** (-12 / 20)
    wanted = np.clip(sound, -ceiling, ceiling)
    np.testing.assert_allclose(through(chain("clipping", threshold_db=-12), sound), wanted, 1e-6)


def test_the_maximizer_makes_up_and_ends_at_full_scale() -> None:
    soft, loud = 0.01 * tone(440), 2 * tone(440)
    effect = chain("maximizer", threshold_db=-10)
    assert decibels(through(effect, soft)) == pytest.approx(decibels(soft) + 13.75, abs=0.05)
    assert np.abs(through(effect, loud)).max() <= 1


def test_two_inversions_are_none(rng: np.random.Generator) -> None:
    sound = noise(rng, 2)
    once = through(chain("invert"), sound)
    np.testing.assert_array_equal(once, -sound)
    np.testing.assert_array_equal(through(chain("invert"), once), sound)
