"""Controls: edits of what one look gave are what a bank that says so would have given."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.hall.test_joined import saved
from tests.sounds import mixture_of, null_db, scene
from unstir.ablation import (
    ELSEWHERE,
    MIXTURE,
    ONLY,
    WITHOUT,
    ZEROED,
    Clocked,
    Look,
    look_at,
    open_refiner,
    refined,
    variants,
)
from unstir.errors import SettingsError
from unstir.hybrid.bank import OF_STEMS, TELLS, Bank
from unstir.joined import Hybrid
from unstir.neural.refiner import Refiner
from unstir.neural.separator import gain_to_level_db
from unstir.registry import make
from unstir.spectral import Spectrum, analyze, everywhere
from unstir.types import FILM, Evidence, Mixture, State

RATE = 44100


def mix(seed: int = 0, seconds: float = 1.5) -> Mixture:
    """Return a scene at the refiner's level."""
    sound = mixture_of(scene(seconds, RATE, seed=seed))
    gain = 10 ** (gain_to_level_db([Mixture(sound, RATE)]) / 20)
    return Mixture(np.float32(gain) * sound, RATE)


def refiner(folder: Path) -> Refiner:
    return open_refiner(saved(folder), torch.device("cpu"))[0]


def looked(net: Refiner, bank: Bank, sound: Mixture) -> Look:
    base = make("midside")
    stems = base.separate(sound, base.survey([sound]))
    return look_at(sound, stems, bank, bank.survey([sound]), net)


@dataclass(frozen=True)
class Told(Bank):
    """A bank whose priors say nothing but for some, or an even share and that surely."""

    speak: Collection[str] = ()
    sure: bool = False

    def evidence(
        self,
        spectrum: Spectrum,
        state: State,
        separated: Mapping[str, Spectrum] | None = None,
        *,
        without: Collection[str] = (),
    ) -> dict[str, Evidence]:
        found = super().evidence(spectrum, state, separated, without=without)
        if self.sure:
            share = np.full((1, *spectrum.magnitude.shape), 1 / len(self.stems), np.float32)
            even = Evidence(dict.fromkeys(self.stems, share), everywhere(spectrum))
            return dict.fromkeys(found, even)
        return {
            name: value
            if name in self.speak
            else Evidence(value.masks, np.zeros_like(value.validity))
            for name, value in found.items()
        }


@pytest.mark.parametrize(
    ("name", "bank"),
    [
        (ZEROED, Told()),
        (MIXTURE, Told(sure=True)),
        (ONLY + "nmf", Told(speak=("nmf",))),
        (WITHOUT + "harmonic", Told(speak=set(TELLS[FILM]) - {"harmonic"})),
    ],
)
def test_a_control_is_what_a_bank_that_says_so_gives(tmp_path: Path, name: str, bank: Bank) -> None:
    net, sound = refiner(tmp_path), mix()
    at, wanted = looked(net, Bank(), sound), looked(net, bank, sound)
    seen = dict(variants(Bank(), at.seen, at.seen.priors))[name]
    torch.testing.assert_close(seen.priors, wanted.seen.priors, rtol=0, atol=1e-5)
    torch.testing.assert_close(seen.shares, wanted.seen.shares, rtol=0, atol=0)


def test_the_hybrid_here_is_the_hybrid_there(tmp_path: Path) -> None:
    net, sound = refiner(tmp_path), mix()
    at = looked(net, Clocked(FILM), sound)
    for leakage in (0.0, 0.5):
        hybrid = Hybrid(FILM, saved(tmp_path), "midside", "cpu", leakage=leakage)
        wanted = hybrid.separate(sound)
        found = refined(at, net, at.seen, leakage)
        for stem in FILM:
            np.testing.assert_allclose(found[stem], wanted[stem], rtol=0, atol=1e-5)


def test_every_control_gives_stems_that_add_up_and_differ(tmp_path: Path) -> None:
    net, sound = refiner(tmp_path), mix()
    at, there = looked(net, Bank(), sound), looked(net, Bank(), mix(3, 1.0))
    whole = refined(at, net, at.seen)["speech"]
    found = dict(variants(Bank(), at.seen, there.seen.priors))
    assert len(found) == 3 + 2 * len(TELLS[FILM])
    for name, seen in found.items():
        stems = refined(at, net, seen)
        assert null_db(sound.waveform, stems) < -110
        assert np.abs(stems["speech"] - whole).max() > 1e-5, name


def test_priors_of_a_shorter_scene_are_repeated(tmp_path: Path) -> None:
    net = refiner(tmp_path)
    at, there = looked(net, Bank(), mix()), looked(net, Bank(), mix(3, 0.5))
    seen = dict(variants(Bank(), at.seen, there.seen.priors))[ELSEWHERE]
    n = there.seen.priors.shape[1]
    assert seen.priors.shape == at.seen.priors.shape
    assert torch.equal(seen.priors[:, :n], there.seen.priors)
    assert torch.equal(seen.priors[:, n : 2 * n], there.seen.priors)


def test_a_clocked_bank_says_the_same_and_knows_what_it_cost() -> None:
    sound = mix()
    bank = Clocked(FILM)
    spectrum, state = analyze(sound), bank.survey([sound])
    given = dict.fromkeys(FILM, spectrum)
    plain = Bank(FILM).evidence(spectrum, Bank(FILM).survey([sound]), given)
    found = bank.evidence(spectrum, state, given)
    assert list(found) == list(plain)
    np.testing.assert_array_equal(bank.planes(found), bank.planes(plain))
    assert set(TELLS[FILM]) <= set(bank.costs.spent_s)
    assert bank.costs.spent_s["nmf"] > 0 and "panning survey" in bank.costs.spent_s


def test_asked_for_another_base_only_what_hears_it_is_looked_at_again() -> None:
    sound = mix()
    bank = Clocked(FILM)
    spectrum, state = analyze(sound), bank.survey([sound])
    one = bank.evidence(spectrum, state, dict.fromkeys(FILM, spectrum))
    two = bank.evidence(spectrum, state, dict.fromkeys(FILM, analyze(mix(5))))
    for name in TELLS[FILM]:
        assert (one[name] is two[name]) == (name not in OF_STEMS), name
    assert np.abs(bank.planes(one) - bank.planes(two)).max() > 0.1


def test_what_is_no_refiner_of_the_kind_wanted_is_refused(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    with pytest.raises(SettingsError, match="a refiner for the stems of film or song is wanted"):
        open_refiner("unstir.neural/compact-film.safetensors", cpu)
    with pytest.raises(SettingsError, match=r"planes of priors; a refiner trained on 0 is wanted"):
        open_refiner(saved(tmp_path), cpu, blind=True)
    with pytest.raises(SettingsError, match="trained on 0 planes of priors"):
        open_refiner(saved(tmp_path, n_priors=0), cpu)
