"""What stems have in common with themselves, on tensors as in NumPy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.sounds import mixture_of, references, scene
from unstir.hybrid import backfit, fast_backfit
from unstir.spectral import analyze
from unstir.types import STEM_SETS, Evidence, Mixture

RATE = 22050
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    ),
]


def both(stems: dict[str, NDArray[np.float32]], device: str) -> tuple[Evidence, Evidence]:
    """Return what is said of stems in NumPy, and on a device."""
    spectra = {name: analyze(Mixture(wave, RATE)) for name, wave in stems.items()}
    mix = analyze(Mixture(mixture_of(stems), RATE))

    def cells(name: str) -> Tensor:
        return torch.from_numpy(spectra[name].cells).transpose(1, 2).to(device)

    found = fast_backfit.alike(mix, tuple(stems), cells)
    assert found.masks.device.type == device
    masks = dict(zip(stems, found.masks.cpu().numpy(), strict=True))
    return backfit.alike(spectra), Evidence(masks, found.validity.cpu().numpy())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("names", STEM_SETS)
def test_masks_and_validity_agree_with_those_of_numpy(
    names: str, channels: int, device: str
) -> None:
    # Hiss whose color wanders: no two frames are as alike to a third by construction.
    rng = np.random.default_rng(0)
    stems = {}
    for name in STEM_SETS[names]:
        hiss = rng.standard_normal((channels, 3 * RATE))
        dull = np.cumsum(hiss, axis=1)
        dull -= dull.mean(axis=1, keepdims=True)
        turns = np.interp(np.arange(3 * RATE), np.linspace(0, 3 * RATE, 30), rng.random(30))
        stems[name] = np.float32(0.05 * turns * hiss + 0.001 * (1 - turns) * dull)
    wanted, found = both(stems, device)
    np.testing.assert_array_equal(found.validity, wanted.validity)
    for name in stems:
        astray = np.abs(found.masks[name] - wanted.masks[name]).max(axis=(0, 1)) > 1e-4
        assert astray.mean() < 0.01, f"{name}: {astray.sum()} of {len(astray)} frames"
        assert wanted.masks[name].std() > 0.05


@pytest.mark.parametrize("device", DEVICES)
def test_a_stem_that_is_silent_for_a_while_gets_nothing_there(device: str) -> None:
    stems = references(scene(3, RATE), STEM_SETS["film"])
    stems["speech"][:, RATE : 2 * RATE] = 0
    wanted, found = both(stems, device)
    n_frames = found.validity.shape[1]
    frames = slice(round(1.2 / 3 * n_frames), round(1.8 / 3 * n_frames))
    assert not found.masks["speech"][0][:, frames].any() and found.masks["speech"].any()
    np.testing.assert_array_equal(found.validity, wanted.validity)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_samples", [1, 600, 3000])
def test_silence_and_very_short_sound(n_samples: int, device: str) -> None:
    stems = {name: wave[:, :n_samples] for name, wave in scene(1, RATE).items()}
    stems = references(stems, STEM_SETS["film"])
    wanted, found = both(stems, device)
    for name in stems:
        np.testing.assert_allclose(found.masks[name], wanted.masks[name], atol=1e-4)
    _, found = both({name: np.zeros_like(wave) for name, wave in stems.items()}, device)
    assert not found.validity.any()
    np.testing.assert_allclose(sum(found.masks.values()), 1, atol=1e-6)
