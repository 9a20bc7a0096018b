"""Models of each stem, fitted to a first separation of the same recording."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.sounds import mixture_of, references, scene
from unstir.hybrid.backfit import alike
from unstir.spectral import Spectrum, StftConfig, analyze, istft, stft
from unstir.types import FILM, STEM_SETS, Evidence, Mixture

RATE = 22050
Wave = NDArray[np.float32]


def asked(stems: dict[str, Wave]) -> tuple[Evidence, Spectrum]:
    """Return what is said of stems, and the spectrum of their sum."""
    spectra = {name: analyze(Mixture(wave, RATE)) for name, wave in stems.items()}
    return alike(spectra), analyze(Mixture(mixture_of(stems), RATE))


def swapped(stems: dict[str, Wave], seconds: tuple[float, float]) -> dict[str, Wave]:
    """Return stems of which two thirds of the first stand in the second for a while."""
    first, second = list(stems)[:2]
    part = np.zeros_like(stems[first])
    at = slice(*(round(s * RATE) for s in seconds))
    part[:, at] = np.float32(2 / 3) * stems[first][:, at]
    return stems | {first: stems[first] - part, second: stems[second] + part}


def repeating(seconds: float = 4.0) -> dict[str, Wave]:
    """Return three notes over and over beside a low hum and hiss."""
    t = np.arange(round(seconds * RATE)) / RATE
    f0_hz = np.array([440.0, 554.4, 659.3])[(t / 0.2).astype(int) % 3]
    notes = 0.3 * np.sin(2 * np.pi * np.cumsum(f0_hz) / RATE)
    hum = 0.1 * np.sin(2 * np.pi * 120 * t)
    hiss = 0.002 * np.random.default_rng(0).standard_normal(len(t))
    return {n: w[None].astype(np.float32) for n, w in zip(FILM, (notes, hum, hiss), strict=True)}


def test_what_went_to_the_wrong_stem_is_known_from_elsewhere() -> None:
    truth = repeating()
    found, mix = asked(swapped(truth, (2.1, 2.12)))
    frame = round(2.11 * RATE / mix.config.hop_length)
    notes = (mix.frequencies_hz > 400) & (mix.frequencies_hz < 700)
    share = found.masks["speech"][0][notes, frame]
    # A third of the amplitude was left to it.
    assert np.average(share, weights=mix.magnitude[notes, frame] ** 2) > 0.7


def test_what_strays_from_cell_to_cell_is_evened_out() -> None:
    truth = repeating()
    grid = StftConfig.for_rate(RATE)
    cells = {name: stft(wave, grid) for name, wave in truth.items()}
    rng = np.random.default_rng(1)
    strays = rng.uniform(0, 0.6, cells["speech"].shape).astype(np.float32)
    noisy = {
        name: istft((1 - strays) * cells[name] + strays * cells[other], grid, truth[name].shape[1])
        for name, other in zip(FILM, FILM[1:] + FILM[:1], strict=True)
    }
    found, mix = asked(noisy)
    level = {name: analyze(Mixture(wave, RATE)).magnitude for name, wave in noisy.items()}
    given = level["music"] / sum(level.values())
    hum = int(np.argmin(np.abs(mix.frequencies_hz - 120)))
    inside = slice(8, -8)
    assert found.masks["music"][0, hum, inside].std() < 0.7 * given[hum, inside].std()


@pytest.mark.parametrize("stems", STEM_SETS)
@pytest.mark.parametrize("channels", [1, 2])
def test_shares_add_up_and_say_who_is_there(stems: str, channels: int) -> None:
    truth = references(scene(2, RATE, channels=channels), STEM_SETS[stems])
    found, mix = asked(truth)
    shape = (1, *mix.magnitude.shape)
    assert all(mask.shape == shape for mask in found.masks.values())
    np.testing.assert_allclose(sum(found.masks.values()), np.ones(shape), atol=1e-5)
    assert min(float(mask.min()) for mask in found.masks.values()) >= 0
    for name, wave in truth.items():
        own = analyze(Mixture(wave, RATE)).magnitude
        mask = found.masks[name][0]
        assert np.average(mask, weights=own**2) > 0.5, name


def test_silence_says_nothing() -> None:
    found, _ = asked(dict.fromkeys(FILM, np.zeros((1, RATE), np.float32)))
    assert not found.validity.any()
    assert all(np.isfinite(mask).all() for mask in found.masks.values())


def test_a_stem_that_is_silent_for_a_while_gets_nothing_there() -> None:
    truth = repeating()
    truth["speech"][:, RATE : 2 * RATE] = 0
    found, mix = asked(truth)
    inside = slice(*(round(s * RATE / mix.config.hop_length) for s in (1.2, 1.8)))
    assert not found.masks["speech"][0][:, inside].any()
    assert found.masks["speech"][0].any()


@pytest.mark.parametrize("n_samples", [1, 600, 3000])
def test_very_short_sound_has_shares(n_samples: int) -> None:
    truth = {name: wave[:, :n_samples] for name, wave in scene(1, RATE).items()}
    found, mix = asked(truth)
    assert found.masks["speech"].shape == (1, *mix.magnitude.shape)
    assert all(np.isfinite(mask).all() for mask in found.masks.values())


def test_the_same_stems_have_the_same_shares_at_any_level() -> None:
    truth = {name: wave.astype(np.float32) for name, wave in scene(2, RATE).items()}
    soft = {name: np.float32(2.0**-10) * wave for name, wave in truth.items()}
    one, two = asked(truth)[0], asked(soft)[0]
    for name in truth:
        np.testing.assert_allclose(one.masks[name], two.masks[name], atol=1e-4)
