import numpy as np
import pytest

from tests.sounds import mixture_of, null_db, scene
from unstir.evaluate import si_sdr_db
from unstir.hybrid.midside import MidSide, center_mask
from unstir.spectral import analyze
from unstir.types import FILM, SONG, Mixture

RATE = 44100


def voice_among_wide_music(seconds: float = 6) -> dict[str, np.ndarray]:
    """A harmonic voice in the middle, and music that differs between the channels."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(150 + 20 * np.sin(2 * np.pi * 0.8 * t)) / RATE
    voice = (
        0.1
        * np.clip(np.sin(2 * np.pi * 1.1 * t), 0, 1)
        * sum(np.sin(k * phase) / k for k in range(1, 25))
    )
    left = sum(np.sin(2 * np.pi * f * t + p) for f, p in ((220, 0), (277.2, 1), (660, 2)))
    right = sum(np.sin(2 * np.pi * f * t + p) for f, p in ((246.9, 0), (311.1, 1), (740, 2)))
    music = 0.06 * np.stack([left, right]) + 0.01 * rng.standard_normal((2, len(t)))
    return {
        "vocals": np.stack([voice, voice]).astype(np.float32),
        "accompaniment": music.astype(np.float32),
    }


@pytest.mark.parametrize("mask", ["ratio", "binary"])
def test_a_center_panned_voice_among_wide_music_gains_eight_decibels(mask: str) -> None:
    truth = voice_among_wide_music()
    x = mixture_of(truth)
    stems = MidSide(SONG, mask=mask).separate(Mixture(x, RATE))
    for name, true in truth.items():
        gain_db = si_sdr_db(true, stems[name]) - si_sdr_db(true, x)
        assert gain_db >= 8 or name != "vocals", gain_db
        assert gain_db > 3, (name, gain_db)


def test_the_mask_is_one_in_the_middle_and_zero_at_the_sides(rng) -> None:
    tone = rng.standard_normal(RATE).astype(np.float32)
    for other, value in ((tone, 1.0), (-tone, 0.0), (0 * tone, 0.0)):
        mask = center_mask(analyze(Mixture(np.stack([tone, other]), RATE)))
        np.testing.assert_allclose(mask, value, atol=1e-3)


def test_swapping_the_channels_swaps_the_stems(rng) -> None:
    x = rng.standard_normal((2, 9000)).astype(np.float32)
    a, b = (MidSide().separate(Mixture(np.ascontiguousarray(y), RATE)) for y in (x, x[::-1]))
    for name in FILM:
        np.testing.assert_allclose(a[name], b[name][::-1], atol=1e-5)


def test_the_loudspeaker_decides_where_there_is_nothing_to_compare(rng) -> None:
    x = rng.standard_normal((1, 4000)).astype(np.float32)
    center = MidSide().separate(Mixture(x, RATE, role="center"))
    np.testing.assert_allclose(center["speech"], x, atol=1e-6)
    mono = MidSide().estimate(Mixture(x, RATE))
    assert not mono.validity.any()
    wide = Mixture(np.repeat(x, 2, axis=0), RATE, role="surround")
    assert not np.abs(MidSide().separate(wide)["speech"]).max() > 1e-6


@pytest.mark.parametrize("mix", [FILM, SONG])
def test_masks_add_up_to_one(mix: tuple[str, ...]) -> None:
    x = mixture_of(scene(1, RATE))
    evidence = MidSide(mix).estimate(Mixture(x, RATE))
    np.testing.assert_allclose(sum(evidence.masks.values()), 1, atol=1e-5)
    assert null_db(x, MidSide(mix).separate(Mixture(x, RATE))) < -120
