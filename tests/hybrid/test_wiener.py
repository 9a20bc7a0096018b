import numpy as np
import pytest

from tests.sounds import mixture_of, null_db, scene
from unstir.errors import SettingsError
from unstir.hybrid.wiener import Wiener, covariances, levels, wiener
from unstir.spectral import StftConfig, stft
from unstir.types import Mixture

RATE = 16000
GRID = StftConfig(512, 128)


def cells(x: np.ndarray) -> np.ndarray:
    return stft(x.astype(np.float32), GRID)


def normal(total: np.ndarray) -> np.ndarray:
    return (2 * total / np.trace(total, axis1=2, axis2=3)[:, :, None, None]).astype(np.complex64)


def test_sources_at_known_places_come_back_nearly_whole(rng) -> None:
    """Two noises panned apart: with their true levels and places, two channels suffice."""
    sources = rng.standard_normal((2, RATE))
    parts = [
        np.stack([g * s, h * s]) for s, (g, h) in zip(sources, ((1, 0.2), (0.3, 1)), strict=True)
    ]
    truth = [cells(part) for part in parts]
    mix = truth[0] + truth[1]
    found = wiener(mix, levels(truth), normal(covariances(truth)))
    for estimate, true in zip(found, truth, strict=True):
        error_db = 10 * np.log10(np.sum(np.abs(estimate - true) ** 2) / np.sum(np.abs(true) ** 2))
        assert error_db < -30


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_estimates_add_up_to_the_mix_at_any_scale(rng, scale: float) -> None:
    parts = [cells(scale * rng.standard_normal((2, 4000))) for _ in range(3)]
    mix = np.sum(parts, axis=0)
    found = wiener(mix, levels(parts), normal(covariances(parts)))
    np.testing.assert_allclose(np.sum(found, axis=0), mix, atol=1e-3 * np.abs(mix).max())


def test_swapping_the_channels_swaps_the_images(rng) -> None:
    parts = [cells(rng.standard_normal((2, 4000)) * g) for g in (np.array([[1], [0.2]]), 1)]
    mix = np.sum(parts, axis=0)
    here = wiener(mix, levels(parts), normal(covariances(parts)))
    flipped = [p[::-1] for p in parts]
    there = wiener(mix[::-1], levels(flipped), normal(covariances(flipped)))
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(a, b[::-1], atol=1e-4 * np.abs(mix).max())


def test_places_are_learned_once_and_frozen() -> None:
    x = mixture_of(scene(8, RATE))
    method = Wiener()
    state = method.survey([Mixture(x, RATE)])
    assert state is not None
    spatial = state["covariances"]
    assert spatial.shape[:1] == (3,) and spatial.dtype == np.complex64
    np.testing.assert_allclose(np.trace(spatial, axis1=2, axis2=3), 2, atol=1e-4)
    np.testing.assert_allclose(spatial, spatial.conj().swapaxes(2, 3), atol=1e-5)
    before = spatial.copy()
    method.separate(Mixture(x[:, : 2 * RATE].copy(), RATE), state)
    np.testing.assert_array_equal(spatial, before)


def test_one_channel_gets_the_base_methods_stems() -> None:
    mix = Mixture(mixture_of(scene(2, RATE, channels=1)), RATE)
    method = Wiener()
    state = method.survey([mix])
    own, base = method.separate(mix, state), method._base.separate(mix, state)
    for name, value in own.items():
        np.testing.assert_array_equal(value, base[name])
    assert null_db(mix.waveform, own) <= -120


def test_no_filtering_at_all_is_refused() -> None:
    with pytest.raises(SettingsError, match="n_iter=0"):
        Wiener(n_iter=0)
