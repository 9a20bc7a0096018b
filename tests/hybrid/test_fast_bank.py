"""The bank on tensors says what the bank says."""

import numpy as np
import pytest
import torch

from tests.sounds import mixture_of, scene
from unstir.hybrid import fast_bank
from unstir.hybrid.bank import Bank
from unstir.spectral import analyze
from unstir.types import STEM_SETS, Mixture

RATE = 22050
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stems", STEM_SETS)
def test_planes_agree_with_those_of_numpy(stems: str, channels: int, device: str) -> None:
    x = mixture_of(scene(2, RATE, channels=channels))
    x += 0.003 * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    mix = Mixture(x, RATE)
    spectrum = analyze(mix)
    bank = Bank(STEM_SETS[stems])
    state = bank.survey([mix])
    wanted = bank.planes(bank.evidence(spectrum, state, spectrum))
    found = fast_bank.planes(bank, spectrum, state, spectrum, torch.device(device))
    assert found.device.type == device
    np.testing.assert_allclose(found.cpu().numpy(), wanted, atol=1e-4)


def test_priors_that_are_not_asked_are_not_there() -> None:
    mix = Mixture(mixture_of(scene(1, RATE)), RATE)
    bank = Bank()
    found = bank.evidence(analyze(mix), bank.survey([mix]), without=("nmf", "harmonic"))
    assert "nmf" not in found and "harmonic" not in found and "midside" in found
    assert not bank.planes(found)[[n.startswith("nmf") for n in bank.names]].any()
