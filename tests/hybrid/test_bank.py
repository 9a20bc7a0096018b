"""All priors at once: each as it is alone, and silent where it has nothing to say."""

import numpy as np
import pytest

from tests.sounds import mixture_of, scene
from unstir.hybrid.bank import TELLS, Bank
from unstir.hybrid.hpss import Hpss
from unstir.hybrid.midside import MidSide
from unstir.hybrid.nmf import Nmf
from unstir.hybrid.panning import Panning
from unstir.hybrid.repet import Repet
from unstir.spectral import analyze
from unstir.types import STEM_SETS, Mixture

RATE = 22050
METHODS = {"midside": MidSide, "panning": Panning, "hpss": Hpss, "nmf": Nmf, "repet": Repet}


def mix(channels: int = 2, seconds: float = 3.0) -> Mixture:
    return Mixture(mixture_of(scene(seconds, RATE, channels=channels)), RATE)


@pytest.mark.parametrize("stems", STEM_SETS)
@pytest.mark.parametrize("name", METHODS)
def test_a_prior_in_the_bank_says_what_it_says_alone(name: str, stems: str) -> None:
    sound = mix()
    spectrum = analyze(sound)
    bank = Bank(STEM_SETS[stems])
    found = bank.evidence(spectrum, bank.survey([sound]))[name]
    method = METHODS[name](STEM_SETS[stems])
    alone = method.evidence(spectrum, method.survey([sound]))
    np.testing.assert_array_equal(found.validity, alone.validity)
    for stem in STEM_SETS[stems]:
        np.testing.assert_array_equal(found.masks[stem], alone.masks[stem])


@pytest.mark.parametrize("stems", STEM_SETS)
@pytest.mark.parametrize("channels", [1, 2])
def test_there_is_a_plane_for_every_name_and_it_stays_in_range(stems: str, channels: int) -> None:
    sound = mix(channels)
    spectrum = analyze(sound)
    bank = Bank(STEM_SETS[stems])
    given = dict.fromkeys(bank.stems, spectrum)
    planes = bank.planes(bank.evidence(spectrum, bank.survey([sound]), given))
    assert planes.shape == (len(bank.names), spectrum.n_frames, spectrum.config.n_bins)
    assert planes.dtype == np.float32
    assert planes.min() >= -1 and planes.max() <= 1
    assert len(set(bank.names)) == len(bank.names)


def test_what_a_prior_cannot_know_is_zero_throughout() -> None:
    sound = mix(channels=1)
    spectrum = analyze(sound)
    bank = Bank()
    planes = dict(
        zip(
            bank.names,
            bank.planes(bank.evidence(spectrum, bank.survey([sound]))),
            strict=True,
        )
    )
    for name in ("midside speech", "midside validity", "panning speech", "panning music"):
        assert not planes[name].any(), name
    for name in ("activity", "alike"):
        assert not planes[f"{name} speech"].any() and not planes[f"{name} validity"].any()
    assert planes["nmf speech"].any() and planes["hpss validity"].any()


def test_a_prior_left_out_is_the_same_as_its_silence() -> None:
    sound = mix()
    spectrum = analyze(sound)
    bank = Bank()
    given = dict.fromkeys(bank.stems, spectrum)
    found = bank.evidence(spectrum, bank.survey([sound]), given)
    whole = bank.planes(found)
    less = bank.planes({name: value for name, value in found.items() if name != "nmf"})
    gone = np.array([name.startswith("nmf ") for name in bank.names])
    assert whole[gone].any() and not less[gone].any()
    np.testing.assert_array_equal(less[~gone], whole[~gone])


def test_the_pitch_is_tracked_on_the_voice_that_is_given() -> None:
    stems = scene(3, RATE, channels=1)
    stems["music"] *= np.float32(5)  # whose pitch is the clearer one
    sound = Mixture(mixture_of(stems), RATE)
    spectrum, voice = analyze(sound), analyze(Mixture(stems["speech"], RATE))
    bank = Bank()
    state = bank.survey([sound])
    truth = np.abs(voice.cells).mean(axis=0) > np.abs(spectrum.cells - voice.cells).mean(axis=0)
    on_voice, on_mix = (
        bank.evidence(spectrum, state, given)["harmonic"].masks["speech"][0]
        for given in (dict.fromkeys(bank.stems, voice), None)
    )

    def told_apart(mask: np.ndarray) -> float:
        return float(mask[truth].mean() - mask[~truth].mean())

    assert told_apart(on_voice) > told_apart(on_mix)


def test_activity_follows_the_voice_and_onsets_the_bursts() -> None:
    stems = scene(4, RATE)
    sound = Mixture(mixture_of(stems), RATE)
    spectrum, voice = analyze(sound), analyze(Mixture(stems["speech"], RATE))
    bank = Bank()
    given = dict.fromkeys(bank.stems, voice)
    found = bank.evidence(spectrum, bank.survey([sound]), given)
    level = np.square(voice.magnitude).sum(axis=0)
    activity = found["activity"].masks["speech"][0, 0]
    assert activity[level > np.quantile(level, 0.8)].mean() > 0.7
    assert activity[level <= np.quantile(level, 0.1)].mean() < 0.3
    click = np.zeros((1, RATE), np.float32)
    click[0, RATE // 2 :] = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2)
    spectrum = analyze(Mixture(click, RATE))
    onset = bank.evidence(spectrum, bank.survey([spectrum.mix]))["onset"].masks["effects"][0, 0]
    assert abs(int(onset.argmax()) * spectrum.config.hop_length - RATE // 2) < 2 * 512


def test_every_prior_tells_of_stems_of_its_set() -> None:
    for stems, priors in TELLS.items():
        for own in priors.values():
            assert set(own) < set(stems)


@pytest.mark.parametrize("n_samples", [1, 500, 3000])
def test_very_short_sound_has_planes(n_samples: int) -> None:
    sound = Mixture(mixture_of(scene(1, RATE))[:, :n_samples], RATE)
    spectrum = analyze(sound)
    bank = Bank()
    given = dict.fromkeys(bank.stems, spectrum)
    planes = bank.planes(bank.evidence(spectrum, bank.survey([sound]), given))
    assert planes.shape[1] == spectrum.n_frames and np.isfinite(planes).all()
