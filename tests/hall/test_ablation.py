"""Controls: the same refiner with less, and with wrong, evidence; differences mix by mix."""

from pathlib import Path

import numpy as np
import pytest

from tests.hall.test_joined import saved
from tests.sounds import mixture_of, null_db, scene
from unstir.ablation import ELSEWHERE, MIXTURE, ZEROED, Biased, paired, variants
from unstir.compare import Row
from unstir.hybrid.bank import Bank
from unstir.joined import Hybrid
from unstir.spectral import analyze
from unstir.types import FILM, Mixture

RATE = 22050


def mix(seed: int = 0, seconds: float = 2.0) -> Mixture:
    return Mixture(mixture_of(scene(seconds, RATE, seed=seed)), RATE)


def planes_of(bank: Bank, sound: Mixture) -> dict[str, np.ndarray]:
    found = bank.evidence(analyze(sound), bank.survey([sound]), analyze(sound))
    return dict(zip(bank.names, bank.planes(found), strict=True))


def test_zeroed_priors_say_nothing() -> None:
    assert not any(plane.any() for plane in planes_of(Biased(kind=ZEROED), mix()).values())


def test_one_prior_speaks_as_it_does_among_all() -> None:
    alone, among = planes_of(Biased(kind="nmf"), mix()), planes_of(Bank(), mix())
    for name, plane in alone.items():
        if name.startswith("nmf "):
            np.testing.assert_array_equal(plane, among[name])
        else:
            assert not plane.any(), name


def test_priors_of_another_scene_are_that_scenes() -> None:
    there = mix(seed=5, seconds=1.0)
    found = planes_of(Biased(kind=ELSEWHERE, other=there), mix())
    bank = Bank()
    n = analyze(there).n_frames
    wanted = bank.planes(bank.evidence(analyze(there), bank.survey([there])))
    for name, plane in zip(bank.names, wanted, strict=True):
        np.testing.assert_array_equal(found[name][:n], plane)
        again = found[name][n : 2 * n]
        np.testing.assert_array_equal(again, plane[: len(again)])


def test_the_mix_as_prior_is_sure_of_an_even_share() -> None:
    for name, plane in planes_of(Biased(kind=MIXTURE), mix()).items():
        if name.endswith(" validity"):
            assert (plane == 1).all()
        else:
            assert np.abs(plane).max() < 1e-6


def test_every_variant_gives_stems_that_add_up_and_differ(tmp_path: Path) -> None:
    sound = mix()
    hybrid = Hybrid(FILM, saved(tmp_path), "midside")
    (tmp_path / "blind").mkdir()
    blind = Hybrid(FILM, saved(tmp_path / "blind", n_priors=0), "midside")
    other = Mixture(mixture_of(scene(1, 44100, seed=3)), 44100)  # at the refiner's rate
    found = {
        name: variant.separate(sound) for name, variant in variants(hybrid, other, blind).items()
    }
    assert len(found) == 5 + 8
    for stems in found.values():
        assert null_db(sound.waveform, stems) < -110
    for name in set(found) - {"hybrid"}:
        assert np.abs(found[name]["speech"] - found["hybrid"]["speech"]).max() > 1e-4, name


def row(method: str, number: int, gain_db: float) -> Row:
    gains = dict.fromkeys(FILM, gain_db)
    return Row(method, f"mix {number}", f"source {number % 4}", gains, gains, gains, 1.0, 1.0)


def test_differences_are_paired() -> None:
    levels = np.random.default_rng(0).normal(0, 10, 12)
    rows = [row("base", k, x) for k, x in enumerate(levels)]
    rows += [row("hybrid", k, x + 1 + 0.1 * (-1) ** k) for k, x in enumerate(levels)]
    (entry,) = paired(rows, "hybrid")
    assert entry["method"] == "base"
    assert entry["mean_gain_db"] == pytest.approx(1.0, abs=1e-6)
    low, high = entry["mean_interval_db"]
    # Mixes differ by tens of decibels, differences by two tenths.
    assert 0.85 < low <= high < 1.15
    assert entry["stems"]["music"]["gain_db"] == pytest.approx(1.0, abs=1e-6)
