"""The bank on tensors says what the bank says."""

import numpy as np
import pytest
import torch

from tests.sounds import mixture_of, references, scene
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
    names = STEM_SETS[stems]
    separated = references(scene(2, RATE, channels=channels), names)
    rng = np.random.default_rng(0)
    for stem in separated.values():
        stem += 0.005 * rng.standard_normal(stem.shape).astype(np.float32)
    mix = Mixture(mixture_of(separated), RATE)
    spectrum = analyze(mix)
    bank = Bank(names)
    state = bank.survey([mix])
    given = {name: analyze(Mixture(stem, RATE)) for name, stem in separated.items()}
    wanted = bank.planes(bank.evidence(spectrum, state, given))
    found = fast_bank.planes(bank, spectrum, state, given, torch.device(device))
    assert found.device.type == device
    apart = np.abs(found.cpu().numpy() - wanted).max(axis=2)  # (planes, frames)
    alike = np.array([name.startswith("alike") for name in bank.names])
    assert apart[~alike].max() < 1e-4
    # Of two frames alike to a third within rounding, either may be taken.
    assert (apart[alike] > 1e-4).mean() < 0.01


def test_priors_that_are_not_asked_are_not_there() -> None:
    mix = Mixture(mixture_of(scene(1, RATE)), RATE)
    bank = Bank()
    found = bank.evidence(analyze(mix), bank.survey([mix]), without=("nmf", "harmonic"))
    assert "nmf" not in found and "harmonic" not in found and "midside" in found
    assert not bank.planes(found)[[n.startswith("nmf") for n in bank.names]].any()


@pytest.mark.parametrize("priors", [("nmf",), ("nmf", "repet"), ("alike",)])
def test_a_bank_of_some_priors_has_their_planes_alone(priors: tuple[str, ...]) -> None:
    mix = Mixture(mixture_of(scene(1, RATE)), RATE)
    spectrum, few, every = analyze(mix), Bank(priors=priors), Bank()
    given = dict.fromkeys(few.stems, spectrum)
    assert set(few.evidence(spectrum, few.survey([mix]), given)) == set(priors)
    cpu = torch.device("cpu")
    found = fast_bank.planes(few, spectrum, few.survey([mix]), given, cpu)
    wanted = fast_bank.planes(every, spectrum, every.survey([mix]), given, cpu)
    own = [name.split()[0] in priors for name in every.names]
    assert found.any()
    torch.testing.assert_close(found, wanted[own], rtol=0, atol=0)


def test_stems_that_are_on_the_device_are_taken_from_there() -> None:
    rng = np.random.default_rng(0)
    stems = {name: rng.standard_normal((2, RATE)).astype(np.float32) for name in STEM_SETS["film"]}
    spectrum = analyze(Mixture(mixture_of(stems), RATE))
    given = {name: analyze(Mixture(stem, RATE)) for name, stem in stems.items()}
    bank, cpu, asked = Bank(priors=("alike",)), torch.device("cpu"), []

    def cells(name: str) -> torch.Tensor:
        asked.append(name)
        return torch.from_numpy(given[name].cells).transpose(1, 2)

    found = fast_bank.planes(bank, spectrum, {}, given, cpu, cells)
    assert asked == list(stems)
    wanted = fast_bank.planes(bank, spectrum, {}, given, cpu)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
