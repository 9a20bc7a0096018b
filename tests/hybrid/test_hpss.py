from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import mixture_of, scene
from unstir.errors import SettingsError
from unstir.evaluate import si_sdr_db
from unstir.hybrid.hpss import Hpss, median_masks, medians, running_median
from unstir.mixes import SAMPLE_RATE, film_mixes
from unstir.spectral import analyze
from unstir.types import FILM, SONG, Mixture

RATE = 16000


def chord_clicks_and_glides(seconds: float = 6) -> dict[str, np.ndarray]:
    """A held chord, regular clicks, and a voice whose pitch never rests."""
    t = np.arange(round(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * f * t) for f in (311.1, 392.0, 466.2))
    clicks = np.zeros_like(t)
    clicks[:: RATE // 3] = 20
    phase = 2 * np.pi * np.cumsum(180 + 60 * np.sin(2 * np.pi * 1.5 * t)) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    parts = {"speech": 0.1 * voice, "music": 0.05 * chord, "effects": 0.1 * clicks}
    return {name: np.stack([p, p]).astype(np.float32) for name, p in parts.items()}


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 60),
    half=st.integers(0, 40),
    decade=st.integers(-20, 20),
    levels=st.sampled_from([1, 3, 10**6]),
)
def test_the_running_median_is_that_of_the_mirrored_rows(
    rows: int, columns: int, half: int, decade: int, levels: int
) -> None:
    rng = np.random.default_rng(rows * columns)
    values = (10.0**decade * rng.integers(0, levels, (rows, columns))).astype(np.float32)
    size = 2 * half + 1
    mirrored = np.pad(values, ((0, 0), (half, half)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, size, axis=1)
    ours = running_median(values, size)
    np.testing.assert_array_equal(ours, np.median(windows, axis=2))
    if size <= 8 * columns:
        theirs = scipy.ndimage.median_filter(values, (1, size), mode="reflect")
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("margin", "power"), [(1.0, 2.0), (1.0, 1.0), (2.0, 2.0), (3.0, 1.0), (1.0, np.inf)]
)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_the_masks_are_those_of_librosa(margin: float, power: float, scale: float) -> None:
    magnitude = np.float32(scale) * analyze(Mixture(mixture_of(scene(1, RATE)), RATE)).magnitude
    kept = magnitude.copy()
    ours = median_masks(
        magnitude, harmonic_frames=17, percussive_bins=31, margin=margin, power=power
    )
    theirs = librosa.decompose.hpss(
        magnitude, kernel_size=(17, 31), mask=True, margin=margin, power=power
    )
    np.testing.assert_array_equal(magnitude, kept)
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-6)


def test_wiener_masks_add_up_to_one_and_margins_leave_a_residual(rng) -> None:
    magnitude = rng.random((70, 80)).astype(np.float32)
    harmonic, percussive = median_masks(magnitude)
    np.testing.assert_allclose(harmonic + percussive, 1, atol=1e-6)
    harmonic, percussive = median_masks(magnitude, margin=3, power=1)
    assert (harmonic + percussive).max() <= 1 + 1e-6
    assert (harmonic + percussive).mean() < 0.6


def test_a_tone_is_harmonic_and_a_click_percussive() -> None:
    t = np.arange(2 * RATE) / RATE
    tone, click = np.sin(2 * np.pi * 1000 * t), np.zeros_like(t)
    click[RATE] = 1
    masks = []
    for sound in (tone, click):
        spectrum = analyze(Mixture(sound.astype(np.float32)[None], RATE))
        harmonic, _ = median_masks(spectrum.magnitude)
        weight = spectrum.magnitude**2
        masks.append(float(np.sum(weight * harmonic) / np.sum(weight)))
    assert masks[0] > 0.98
    assert masks[1] < 0.02


def test_chord_clicks_and_gliding_voice_gain_on_every_stem() -> None:
    truth = chord_clicks_and_glides()
    x = mixture_of(truth)
    stems = Hpss().separate(Mixture(x, RATE))
    for name, true in truth.items():
        gain_db = si_sdr_db(true, stems[name]) - si_sdr_db(true, x)
        assert gain_db > 4, (name, gain_db)


def test_in_a_song_the_gliding_voice_leaves_the_clicks_to_the_accompaniment() -> None:
    truth = chord_clicks_and_glides()
    x = mixture_of({name: truth[name] for name in ("speech", "effects")})
    stems = Hpss(SONG).separate(Mixture(x, RATE))
    for name, true in (("vocals", truth["speech"]), ("accompaniment", truth["effects"])):
        gain_db = si_sdr_db(true, stems[name]) - si_sdr_db(true, x)
        assert gain_db > 2, (name, gain_db)


def test_in_a_song_a_held_chord_is_shared_evenly() -> None:
    chord = chord_clicks_and_glides()["music"]
    stems = Hpss(SONG).separate(Mixture(chord, RATE))
    middle = slice(RATE, -RATE)
    np.testing.assert_allclose(stems["vocals"][:, middle], chord[:, middle] / 2, atol=4e-3)


@pytest.mark.parametrize("stems", [FILM, SONG])
@pytest.mark.parametrize("mask", ["ratio", "binary"])
def test_one_channel_is_treated_as_the_same_sound_in_two(stems: tuple[str, ...], mask) -> None:
    x = mixture_of(scene(2, RATE, channels=1))
    method = Hpss(stems, mask=mask)
    mono = method.separate(Mixture(x, RATE))
    both = method.separate(Mixture(np.repeat(x, 2, axis=0), RATE))
    for name in stems:
        np.testing.assert_allclose(both[name], np.repeat(mono[name], 2, axis=0), atol=1e-5)


def test_binary_masks_give_cells_whole_or_split_ties_evenly(rng) -> None:
    mix = Mixture(rng.standard_normal((2, RATE)).astype(np.float32), RATE)
    for mask in Hpss(mask="binary").estimate(mix).masks.values():
        assert np.isclose(mask[..., None], [0, 1 / 3, 1 / 2, 1]).any(axis=-1).all()
    for mask in Hpss(SONG, mask="binary").estimate(mix).masks.values():
        assert np.isin(mask, [0, 0.5, 1]).all()


@pytest.mark.parametrize("decade", [-6, -3, 4])
@pytest.mark.parametrize("stems", [FILM, SONG])
def test_a_gain_on_the_mix_is_a_gain_on_the_stems(decade: int, stems: tuple[str, ...]) -> None:
    x = mixture_of(scene(2, RATE))
    gain = np.float32(10.0**decade)
    plain, scaled = (Hpss(stems).separate(Mixture(y, RATE)) for y in (x, gain * x))
    for name in stems:
        np.testing.assert_allclose(scaled[name] / gain, plain[name], atol=1e-5)


def test_silence_stays_silent_and_is_shared_evenly() -> None:
    mix = Mixture(np.zeros((2, 5000), np.float32), RATE)
    assert not any(value.any() for value in Hpss().separate(mix).values())
    for mask in Hpss().estimate(mix).masks.values():
        np.testing.assert_allclose(mask, 1 / 3)


def test_settings_outside_their_range_are_refused() -> None:
    magnitude = np.ones((4, 4), np.float32)
    with pytest.raises(SettingsError, match="harmonic_frames=4"):
        medians(magnitude, harmonic_frames=4)
    with pytest.raises(SettingsError, match="percussive_bins=0"):
        medians(magnitude, percussive_bins=0)
    with pytest.raises(SettingsError, match="margin"):
        median_masks(magnitude, margin=0.5)
    with pytest.raises(SettingsError, match="power"):
        median_masks(magnitude, power=0)
    for wrong in ({"harmonic_s": 0}, {"percussive_hz": -1}, {"margin": 0.9}, {"mask": "hard"}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            Hpss(**wrong)


@pytest.mark.corpus
def test_real_films_gain_on_every_stem(corpus: Path) -> None:
    gains_db = []
    for real in film_mixes(corpus, n=4):
        x = real.waveform
        mix = Mixture(x, SAMPLE_RATE)
        stems = Hpss().separate(mix, Hpss().survey([mix]))
        gains_db.append(
            [si_sdr_db(true, stems[n]) - si_sdr_db(true, x) for n, true in real.stems.items()]
        )
    assert np.mean(gains_db, axis=0).min() > 1, np.mean(gains_db, axis=0)
