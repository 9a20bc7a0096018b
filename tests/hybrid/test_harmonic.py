import csv

import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import SettingsError
from unstir.hybrid.harmonic import SINGING, SPEAKING, Harmonic, comb_mask, track, voice_evidence
from unstir.hybrid.pyin import Pitch
from unstir.spectral import StftConfig, analyze
from unstir.types import FILM, SONG, Mixture, Prior, Separator

RATE = 22050
ALONE = Harmonic(epochs=False)


def gain_db(truth, estimate, mixture):
    """Return by how much the scale-invariant signal-to-distortion ratio rises."""

    def ratio_db(guess):
        truth_, guess_ = truth.ravel().astype(float), guess.ravel().astype(float)
        part = truth_ * (truth_ @ guess_) / (truth_ @ truth_)
        return 10 * np.log10(np.sum(part**2) / np.sum((guess_ - part) ** 2))

    return ratio_db(estimate) - ratio_db(mixture)


def spoken_f0(time_s, f0_hz=140.0):
    vibrato = 0.03 * np.sin(2 * np.pi * 5 * time_s)
    return f0_hz * 2 ** (0.3 * np.sin(2 * np.pi * 0.8 * time_s) + vibrato)


def vowel(f0_hz, sample_rate=RATE):
    """Return a harmonic complex under a vowel's envelope, at a root mean square of 0.1."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / sample_rate
    sound = np.zeros(len(f0_hz))
    for k in range(1, 60):
        place = k * f0_hz
        envelope = sum(
            level / (1 + ((place - hz) / width) ** 2)
            for level, hz, width in ((1, 600, 150), (0.5, 1400, 200), (0.3, 2500, 300))
        )
        sound += np.where(place < 0.45 * sample_rate, envelope, 0) * np.cos(k * phase)
    return 0.1 * sound / np.sqrt(np.mean(sound**2))


def gate(time_s, *spans_s):
    """Return 1 within the spans, with edges of 20 ms."""
    return sum(np.clip((np.minimum(time_s - a, b - time_s)) / 0.02, 0, 1) for a, b in spans_s)


def clock(seconds, sample_rate=RATE):
    return np.arange(int(seconds * sample_rate)) / sample_rate


def inharmonic(time_s, rng):
    """Return noise falling with frequency and partials that are multiples of nothing."""
    noise = scipy.signal.lfilter([1], [1, -0.95], rng.standard_normal(len(time_s)))
    ratios = np.array([1, 1.47, 2.09, 2.56, 3.39, 4.22, 5.31])
    bells = sum(np.cos(2 * np.pi * 233 * r * time_s + i) for i, r in enumerate(ratios))
    sound = noise / np.std(noise) + 0.5 * bells / np.std(bells)
    return 0.1 * sound / np.std(sound)


def mono(sound, sample_rate=RATE):
    return Mixture(np.atleast_2d(sound).astype(np.float32), sample_rate)


VOICED_S = ((0.2, 1.1), (1.4, 2.3), (2.7, 3.7))


@pytest.mark.parametrize("method", [ALONE, Harmonic()], ids=["pyin", "as installed"])
def test_a_voice_with_gaps_gains_two_and_a_half_decibels_over_inharmonic_sound(rng, method):
    time_s = clock(4)
    voice = vowel(spoken_f0(time_s)) * gate(time_s, *VOICED_S)
    rest = inharmonic(time_s, rng)
    stems = method.separate(mono(voice + rest))
    assert gain_db(voice, stems["speech"][0], voice + rest) > 2.5
    assert gain_db(rest, stems["music"][0], voice + rest) > 1.2
    assert np.allclose(stems["music"], stems["effects"], atol=1e-6)


def test_the_pitch_is_found_on_the_grid_at_any_rate():
    for sample_rate in (8000, 16000, 44100, 96000):
        time_s = clock(2, sample_rate)
        f0_hz = spoken_f0(time_s)
        spectrum = analyze(mono(vowel(f0_hz, sample_rate), sample_rate))
        found = track(spectrum)
        assert found.f0_hz.shape == (spectrum.n_frames,)
        inner = np.arange(8, spectrum.n_frames - 8)
        true_hz = f0_hz[inner * spectrum.config.hop_length]
        cents = 1200 * np.abs(np.log2(found.f0_hz[inner] / true_hz))
        assert found.voiced[inner].mean() > 0.98, sample_rate
        assert np.percentile(cents, 90) < 30, sample_rate


def test_a_centered_voice_is_followed_under_a_louder_one_at_the_side():
    time_s = clock(3)
    f0_hz = spoken_f0(time_s)
    voice, other = vowel(f0_hz), vowel(spoken_f0(time_s[::-1], 230.0))
    left, right = voice + 2.5 * other, voice + 0.25 * other

    def right_share(waveform):
        spectrum = analyze(mono(waveform))
        found = track(spectrum)
        inner = np.arange(8, spectrum.n_frames - 8)
        true_hz = f0_hz[inner * spectrum.config.hop_length]
        close = np.abs(np.log2(found.f0_hz[inner] / true_hz)) < 50 / 1200
        return np.mean(close & found.voiced[inner])

    assert right_share(np.stack([left, right])) > 0.9
    assert right_share((left + right) / 2) < 0.3


def burst(time_s, at_s, rng):
    noise = scipy.signal.lfilter([1, -0.95], [1], rng.standard_normal(len(time_s)))
    return 0.1 * noise / np.std(noise) * gate(time_s, (at_s, at_s + 0.08))


def test_a_consonant_beside_a_vowel_is_speech_and_a_burst_far_from_it_is_not(rng):
    time_s = clock(5)
    voice = vowel(spoken_f0(time_s)) * gate(time_s, (0.5, 1.5))
    bursts = burst(time_s, 1.52, rng) + burst(time_s, 3.5, rng)
    mix = mono(voice + bursts + 0.002 * rng.standard_normal(len(time_s)))
    spectrum = analyze(mix)
    evidence = ALONE.evidence(spectrum)
    frame = lambda at_s: round((at_s + 0.04) * RATE / spectrum.config.hop_length)  # noqa: E731
    high = spectrum.frequencies_hz > 2000
    near, far = (evidence.masks["speech"][0, high, frame(at_s)].mean() for at_s in (1.52, 3.5))
    assert near > 0.7
    assert far < 0.15
    assert evidence.validity[0, frame(1.52)] > 0.7
    assert evidence.validity[0, frame(3.5)] < 0.4
    speech = ALONE.separate(mix)["speech"][0]
    kept, lost = (
        np.sum(speech[part] ** 2) / np.sum(mix.waveform[0, part] ** 2)
        for part in (slice(int(a * RATE), int((a + 0.08) * RATE)) for a in (1.52, 3.5))
    )
    assert kept > 0.4
    assert lost < 0.12


def test_validity_is_high_in_vowels_and_low_where_there_is_neither_pitch_nor_consonant(rng):
    time_s = clock(4)
    voice = vowel(spoken_f0(time_s)) * gate(time_s, (0.5, 1.8))
    evidence = ALONE.estimate(mono(voice + 0.01 * rng.standard_normal(len(time_s))))
    frames_per_s = evidence.validity.shape[1] / 4
    inside = slice(int(0.7 * frames_per_s), int(1.6 * frames_per_s))
    outside = slice(int(2.3 * frames_per_s), int(3.9 * frames_per_s))
    assert evidence.validity[0, inside].mean() > 0.8
    assert evidence.validity[0, outside].mean() < 0.4
    assert evidence.validity[0, outside].min() >= 0.299


def test_a_held_note_is_trusted_less_than_a_voice_that_moves():
    time_s = clock(2)
    held = track(analyze(mono(vowel(np.full(len(time_s), 220.0)))))
    moving = track(analyze(mono(vowel(spoken_f0(time_s, 220.0)))))
    assert held.voiced.mean() > 0.9 and moving.voiced.mean() > 0.9
    assert np.median(held.voiced_probability) < 0.1
    assert np.median(moving.voiced_probability) > 0.7


def test_the_comb_is_one_on_the_harmonics_and_falls_to_zero_between_the_low_ones():
    config, frames = StftConfig(2048, 512), 5
    pitch = Pitch(np.full(frames, 250.0), np.arange(frames) != 2, np.ones(frames))
    comb = comb_mask(pitch, config, 44100)
    assert comb.shape == (1025, frames)
    assert comb.dtype == np.float32
    at = lambda hz: comb[round(hz * 2048 / 44100), 0]  # noqa: E731
    assert all(at(250 * k) > 0.75 for k in range(1, 40))
    assert all(at(250 * (k + 0.5)) == 0 for k in range(6))
    assert np.all(comb[:, 2] == 0)


def test_the_lobes_widen_with_frequency_and_with_the_slope_of_the_pitch():
    config = StftConfig(2048, 512)

    def width(f0_hz, low_hz, high_hz):
        pitch = Pitch(f0_hz, np.ones(len(f0_hz), bool), np.ones(len(f0_hz)))
        band = slice(*(round(hz * 2048 / 44100) for hz in (low_hz, high_hz)))
        return comb_mask(pitch, config, 44100)[band, 2].mean()

    held, gliding = np.full(5, 400.0), 400 * 2 ** (np.arange(-2, 3) / 48)
    assert width(held, 4200, 4600) > 1.3 * width(held, 200, 600)
    assert width(gliding, 1800, 2200) > 1.5 * width(held, 1800, 2200)


def test_harmonics_that_fill_the_gaps_of_a_comb_count_less_than_those_that_stand_alone(rng):
    time_s = clock(2)
    f0_hz = spoken_f0(time_s)
    clean = analyze(mono(vowel(f0_hz)))
    noisy = analyze(mono(vowel(f0_hz) + 0.3 * rng.standard_normal(len(time_s))))
    pitch = track(clean)
    low = (clean.frequencies_hz > 300) & (clean.frequencies_hz < 3000)
    shares = []
    for spectrum in (clean, noisy):
        mask, _ = voice_evidence(spectrum.magnitude, pitch, spectrum.config, RATE)
        shares.append(np.average(mask[low], weights=spectrum.magnitude[low] ** 2))
    assert shares[0] > 0.68
    assert shares[1] < shares[0] - 0.15


def test_both_stem_sets_give_the_voice_first_and_share_the_rest_evenly(rng):
    time_s = clock(2)
    mix = mono(vowel(spoken_f0(time_s)) + inharmonic(time_s, rng))
    film, song = Harmonic(FILM).estimate(mix), Harmonic(SONG).estimate(mix)
    assert tuple(film.masks) == FILM
    assert tuple(song.masks) == SONG
    assert np.array_equal(film.masks["music"], film.masks["effects"])
    assert Harmonic(FILM).voice == SPEAKING
    assert Harmonic(SONG).voice == SINGING


def test_the_method_is_a_prior_and_a_separator():
    assert isinstance(ALONE, Prior)
    assert isinstance(ALONE, Separator)
    assert ALONE.survey([]) is None


@settings(max_examples=30, deadline=None)
@given(
    n_channels=st.integers(1, 2),
    n_samples=st.one_of(st.just(1), st.integers(2, 6000)),
    sample_rate=st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000, 384000]),
    peak=st.floats(1e-6, 20),
    stems=st.sampled_from([FILM, SONG]),
    seed=st.integers(0, 9),
)
def test_masks_share_every_cell_and_stems_add_up_at_any_shape_and_level(
    n_channels, n_samples, sample_rate, peak, stems, seed
):
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_samples) / sample_rate
    waveform = np.sign(np.sin(2 * np.pi * 150 * time_s)) + rng.standard_normal(
        (n_channels, n_samples)
    )
    mix = Mixture((peak * waveform / np.abs(waveform).max()).astype(np.float32), sample_rate)
    before = mix.waveform.copy()
    method = Harmonic(stems)
    spectrum = analyze(mix)
    evidence = method.evidence(spectrum)
    for mask in evidence.masks.values():
        assert mask.shape == (1, *spectrum.cells.shape[1:])
        assert mask.dtype == np.float32
        assert mask.min() >= 0 and mask.max() <= 1
    assert np.allclose(sum(evidence.masks.values()), 1, atol=1e-6)
    assert evidence.validity.shape == (1, spectrum.n_frames)
    assert evidence.validity.dtype == np.float32
    assert evidence.validity.min() >= 0 and evidence.validity.max() <= 1
    result = method.separate(mix)
    assert tuple(result) == stems
    assert all(stem.shape == mix.waveform.shape for stem in result.values())
    assert np.abs(sum(result.values()) - mix.waveform).max() <= 1e-6 * peak
    assert np.array_equal(mix.waveform, before)


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("n_samples", [1, 5000])
def test_silence_stays_silent(n_channels, n_samples):
    mix = Mixture(np.zeros((n_channels, n_samples), np.float32), 44100)
    for stem in Harmonic().separate(mix).values():
        assert np.array_equal(stem, mix.waveform)


@pytest.mark.parametrize("exponent", [-13, 4])
def test_a_gain_goes_straight_through(rng, exponent):
    time_s = clock(2)
    sound = vowel(spoken_f0(time_s)) * gate(time_s, (0.2, 1.2)) + inharmonic(time_s, rng)
    mix = mono(np.stack([sound, sound + 0.1 * inharmonic(time_s, rng)]))
    scaled = Mixture(mix.waveform * np.float32(2.0**exponent), RATE)
    one, other = Harmonic().separate(mix), Harmonic().separate(scaled)
    for name, stem in one.items():
        assert np.array_equal(stem * np.float32(2.0**exponent), other[name])


def test_an_odd_gain_changes_the_stems_by_rounding_only(rng):
    time_s = clock(2)
    mix = mono(vowel(spoken_f0(time_s)) + inharmonic(time_s, rng))
    one, other = ALONE.separate(mix), ALONE.separate(Mixture(mix.waveform * np.float32(0.37), RATE))
    for name, stem in one.items():
        error = other[name] / np.float32(0.37) - stem
        assert np.sum(error**2) < 1e-6 * np.sum(stem**2)


def test_the_same_mix_gives_the_same_bytes(rng):
    time_s = clock(2)
    mix = mono(vowel(spoken_f0(time_s)) + inharmonic(time_s, rng))
    one, other = Harmonic().separate(mix), Harmonic().separate(mix)
    assert all(np.array_equal(one[name], other[name]) for name in FILM)


@pytest.mark.parametrize("span", [(0, None), (700, None), (200, 100), (None, 9000)])
def test_a_range_of_pitch_that_is_empty_or_too_wide_is_refused(span):
    with pytest.raises(SettingsError, match="is wanted"):
        Harmonic(f0_min_hz=span[0], f0_max_hz=span[1])


def test_a_range_of_pitch_given_is_kept_to():
    time_s = clock(1)
    mix = mono(vowel(spoken_f0(time_s, 300.0)))
    method = Harmonic(epochs=False, f0_min_hz=70, f0_max_hz=200)
    found = track(analyze(mix), method.voice)
    assert found.f0_hz.max() <= 200


@pytest.mark.corpus
def test_recorded_speech_gains_over_recorded_music(corpus):
    with (corpus / "MANIFEST.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "valid"]

    def load(kind, k, seconds=8.0):
        long = [r for r in rows if r["kind"] == kind and float(r["seconds"]) > seconds]
        rate = int(long[k]["samplerate"])
        sound, _ = soundfile.read(
            corpus / long[k]["path"], int(seconds * rate), dtype="float32", always_2d=True
        )
        sound = soxr.resample(sound, rate, RATE).T
        return 0.1 * sound / np.sqrt(np.mean(sound**2))

    gains = []
    for k in range(3):
        speech, music = load("speech", k).mean(axis=0, keepdims=True), 0.6 * load("music", k)
        speech = 0.1 * speech / np.std(speech)
        speech = np.broadcast_to(speech, (2, speech.shape[1]))
        music = np.broadcast_to(music, (2, music.shape[1]))
        mix = (speech + music).astype(np.float32)
        gains.append(gain_db(speech, ALONE.separate(Mixture(mix, RATE))["speech"], mix))
    assert np.mean(gains) > 1.5
    assert min(gains) > -1
