import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import mixture_of, null_db, scene
from unstir.evaluate import si_sdr_db
from unstir.hybrid.invert import Invert, side_share
from unstir.spectral import analyze, cut
from unstir.types import FILM, SONG, Mixture, Role

RATE = 16000


def karaoke(seconds: float = 2) -> dict[str, np.ndarray]:
    """A voice in the middle, and a band whose channels oppose each other."""
    rng = np.random.default_rng(0)
    voice, band = rng.standard_normal((2, round(seconds * RATE))).astype(np.float32)
    return {"vocals": np.stack([voice, voice]), "accompaniment": np.stack([band, -band])}


def test_a_voice_in_the_middle_and_a_band_in_the_difference_come_apart_exactly() -> None:
    truth = karaoke()
    stems = Invert(SONG).separate(Mixture(mixture_of(truth), RATE))
    for name, true in truth.items():
        np.testing.assert_allclose(stems[name], true, atol=1e-6)


def test_the_accompaniment_of_any_pair_is_its_half_difference_in_opposite_polarity(rng) -> None:
    left, right = rng.standard_normal((2, 999)).astype(np.float32)
    band = Invert(SONG).separate(Mixture(np.stack([left, right]), RATE))["accompaniment"]
    np.testing.assert_allclose(band[0], (left - right) / 2, atol=1e-6)
    np.testing.assert_allclose(band[1], -band[0], atol=1e-6)


def test_a_voice_among_one_sided_music_gains() -> None:
    truth = scene(5, RATE)
    x = mixture_of(truth)
    speech = Invert().separate(Mixture(x, RATE))["speech"]
    assert si_sdr_db(truth["speech"], speech) > si_sdr_db(truth["speech"], x) + 2


def test_music_and_effects_share_the_sides_evenly() -> None:
    stems = Invert().separate(Mixture(mixture_of(scene(1, RATE)), RATE))
    np.testing.assert_array_equal(stems["music"], stems["effects"])


def test_the_masks_do_to_the_transform_what_the_method_does_to_the_samples() -> None:
    mix = Mixture(mixture_of(scene(3, RATE)), RATE)
    method = Invert()
    masks = method.estimate(mix).masks
    assert masks["speech"].shape[0] == 2 and np.iscomplexobj(masks["speech"])
    assert np.abs(masks["speech"]).max() > 1
    samples, cells = method.separate(mix), cut(mix, method.evidence, None)
    for name in FILM:
        assert np.abs(samples[name] - cells[name]).max() < 1e-5


def test_a_silent_channel_gives_finite_masks(rng) -> None:
    x = np.stack([rng.standard_normal(4000), np.zeros(4000)]).astype(np.float32)
    for mask in Invert().estimate(Mixture(x, RATE)).masks.values():
        assert np.isfinite(mask).all() and np.abs(mask).max() <= 1


@pytest.mark.parametrize("stems", [FILM, SONG])
def test_one_channel_is_shared_evenly_and_says_nothing(stems: tuple[str, ...], rng) -> None:
    x = rng.standard_normal((1, 4000)).astype(np.float32)
    method = Invert(stems)
    evidence = method.estimate(Mixture(x, RATE))
    assert not evidence.validity.any()
    for name, value in method.separate(Mixture(x, RATE)).items():
        np.testing.assert_allclose(value, x / len(stems), atol=1e-6)
        np.testing.assert_allclose(evidence.masks[name], 1 / len(stems), atol=1e-6)


def test_one_channel_twice_says_nothing_unless_the_file_has_sides_elsewhere(rng) -> None:
    x = np.repeat(rng.standard_normal((1, 4000)), 2, axis=0).astype(np.float32)
    twice, wide = Mixture(x, RATE), Mixture(mixture_of(karaoke(1)), RATE)
    method = Invert(SONG)
    assert not method.estimate(twice).validity.any()
    assert not method.estimate(twice, method.survey([twice])).validity.any()
    state = method.survey([twice, wide])
    assert method.estimate(twice, state).validity.all()
    np.testing.assert_allclose(method.separate(twice, state)["vocals"], x, atol=1e-6)


@pytest.mark.parametrize(
    ("role", "channels", "speech"), [("center", 1, 1), ("surround", 2, 0), ("surround", 1, 0)]
)
def test_the_loudspeaker_decides(role: Role, channels: int, speech: float, rng) -> None:
    x = rng.standard_normal((channels, 4000)).astype(np.float32)
    mix = Mixture(x, RATE, role=role)
    np.testing.assert_allclose(Invert().separate(mix)["speech"], speech * x, atol=1e-6)
    evidence = Invert().estimate(mix)
    assert evidence.validity.all()
    np.testing.assert_allclose(evidence.masks["speech"], speech, atol=1e-6)


def test_the_side_share_is_a_half_for_unrelated_channels(rng) -> None:
    x = rng.standard_normal((2, 100_000)).astype(np.float32)
    assert abs(side_share([Mixture(x, RATE)]) - 0.5) < 0.01
    assert side_share([Mixture(x[:1], RATE)]) == 0
    assert side_share([Mixture(0 * x, RATE)]) == 0


@settings(deadline=None, max_examples=40)
@given(
    n_samples=st.integers(1, 3000),
    channels=st.sampled_from([1, 2]),
    decade=st.integers(-6, 4),
    rate=st.sampled_from([8000, 44100, 384000]),
    stems=st.sampled_from([FILM, SONG]),
)
def test_stems_and_masks_add_up_at_every_length_and_scale(
    n_samples: int, channels: int, decade: int, rate: int, stems: tuple[str, ...]
) -> None:
    gain = np.float32(10.0**decade)
    x = gain * np.random.default_rng(n_samples).standard_normal((channels, n_samples))
    x = x.astype(np.float32)
    kept = x.copy()
    method, mix = Invert(stems), Mixture(x, rate)
    parts = method.separate(mix, method.survey([mix]))
    np.testing.assert_array_equal(x, kept)
    peak = np.abs(x).max()
    assert null_db(x / peak, {k: v / peak for k, v in parts.items()}) <= -120
    masks = method.estimate(mix).masks
    largest = max(np.abs(mask).max() for mask in masks.values())
    np.testing.assert_allclose(sum(masks.values()), 1, atol=1e-5 * max(1.0, largest))


@pytest.mark.parametrize("decade", [-6, -3, 4])
def test_a_gain_on_the_mix_is_a_gain_on_the_stems(decade: int) -> None:
    x = mixture_of(scene(1, RATE))
    gain = np.float32(10.0**decade)
    plain, scaled = (Invert().separate(Mixture(y, RATE)) for y in (x, gain * x))
    for name in FILM:
        np.testing.assert_allclose(scaled[name] / gain, plain[name], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_silence_stays_silent_and_finite(channels: int) -> None:
    mix = Mixture(np.zeros((channels, 3000), np.float32), RATE)
    assert not any(value.any() for value in Invert().separate(mix).values())
    assert all(np.isfinite(m).all() for m in Invert().evidence(analyze(mix)).masks.values())
