import numpy as np
import pytest

from tests.sounds import mixture_of, scene
from unstir.errors import SettingsError
from unstir.evaluate import si_sdr_db
from unstir.hybrid.ica import Ica, amari_index, images, match_bands, unmix
from unstir.types import SONG, Mixture

RATE = 16000
MIXING = np.array([[1.0, 0.45], [0.35, 1.0]])


def two_talkers(seconds: float = 8) -> np.ndarray:
    """Two sources that are neither Gaussian nor alike, one row each."""
    a = scene(seconds, RATE, seed=1)
    return np.stack([a["speech"][0], a["music"][0]]).astype(np.float64)


def test_a_known_mix_of_two_is_recovered() -> None:
    sources = two_talkers()
    w = unmix((MIXING @ sources).astype(np.float32))
    assert w is not None
    assert amari_index(w @ MIXING) < 0.05


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_the_scale_does_not_matter(scale: float) -> None:
    w = unmix((scale * MIXING @ two_talkers()).astype(np.float32))
    assert w is not None and amari_index(w @ MIXING) < 0.05


def test_in_the_time_domain_the_middle_talker_comes_out_clean() -> None:
    sources = two_talkers()
    mixing = np.array([[1.0, 1.0], [1.0, -0.6]])  # the first stands in the middle
    parts = mixing.T[:, :, None] * sources[:, None]
    x = parts.sum(axis=0).astype(np.float32)
    method = Ica(SONG, n_bands=1)
    stems = method.separate(Mixture(x, RATE), method.survey([Mixture(x, RATE)]))
    assert si_sdr_db(parts[0].astype(np.float32), stems["vocals"]) > 15
    assert si_sdr_db(parts[1].astype(np.float32), stems["accompaniment"]) > 15


def test_images_add_up_to_the_channels(rng) -> None:
    projections = images(rng.standard_normal((2, 2)))
    np.testing.assert_allclose(projections.sum(axis=0), np.eye(2), atol=1e-9)


def test_permutations_are_solved_by_activity(rng) -> None:
    activity = rng.uniform(0.01, 1, (2, 300)) ** 3
    swaps = rng.random(8) < 0.5
    bands = [
        (activity * rng.uniform(0.7, 1.4, activity.shape))[:: -1 if swap else 1] for swap in swaps
    ]
    orders = match_bands(bands)
    flipped = np.array([order == (1, 0) for order in orders])
    assert (flipped == swaps).all() or (flipped == ~swaps).all()


def test_two_equal_channels_hold_nothing_to_unmix(rng) -> None:
    x = np.repeat(rng.laplace(size=(1, 20000)), 2, axis=0).astype(np.float32)
    assert unmix(x) is None
    mix = Mixture(x, RATE)
    assert Ica().survey([mix]) is None
    assert not Ica().estimate(mix).validity.any()


def test_one_channel_is_told_apart_by_nothing(rng) -> None:
    mix = Mixture(rng.standard_normal((1, 9000)).astype(np.float32), RATE)
    method = Ica()
    assert method.survey([mix]) is None
    assert not method.estimate(mix).validity.any()


def test_what_was_surveyed_is_frozen_for_all_windows() -> None:
    x = mixture_of(scene(6, RATE))
    method = Ica()
    state = method.survey([Mixture(x, RATE)])
    whole = method.separate(Mixture(x, RATE), state)["speech"]
    part = method.separate(Mixture(np.ascontiguousarray(x[:, 16384:65536]), RATE), state)["speech"]
    np.testing.assert_allclose(
        whole[:, 20000:60000], part[:, 20000 - 16384 : 60000 - 16384], atol=1e-5
    )


def test_the_same_seed_gives_the_same_bytes() -> None:
    mix = Mixture(mixture_of(scene(4, RATE)), RATE)
    a, b = (Ica(seed=5).survey([mix]) for _ in range(2))
    assert a is not None and b is not None
    np.testing.assert_array_equal(a["projections"], b["projections"])


def test_no_bands_are_refused() -> None:
    with pytest.raises(SettingsError, match="n_bands=0"):
        Ica(n_bands=0)
