import numpy as np
import pytest

from tests.sounds import mixture_of, null_db, references, scene
from unstir.compare import compare, summary
from unstir.evaluate import si_sdr_db
from unstir.hybrid.classical import WEIGHTS, Classical
from unstir.mixes import SAMPLE_RATE, film_mixes
from unstir.spectral import analyze
from unstir.types import FILM, SONG, Mixture

RATE = 16000


@pytest.mark.parametrize("stems", [FILM, SONG])
def test_masks_add_up_to_one_and_say_something_everywhere(stems: tuple[str, ...]) -> None:
    mix = Mixture(mixture_of(scene(3, RATE)), RATE)
    method = Classical(stems)
    evidence = method.evidence(analyze(mix), method.survey([mix]))
    total = sum(evidence.masks.values())
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert min(mask.min() for mask in evidence.masks.values()) >= 0
    assert (evidence.validity == 1).all()


@pytest.mark.parametrize("stems", [FILM, SONG])
def test_every_weight_belongs_to_an_expert(stems: tuple[str, ...]) -> None:
    assert list(Classical(stems).experts()) == list(WEIGHTS[stems])
    assert all(weight > 0 for weight in WEIGHTS[stems].values())


def test_an_expert_with_nothing_to_say_changes_nothing() -> None:
    """One channel twice is one channel: the spatial experts fall silent, the others agree."""
    mono = mixture_of(scene(4, RATE, channels=1))
    twice = np.repeat(mono, 2, axis=0)
    method = Classical()
    parts = []
    for x in (mono, twice):
        mix = Mixture(x, RATE)
        parts.append(method.separate(mix, method.survey([mix])))
    for name in FILM:
        np.testing.assert_allclose(parts[0][name][0], parts[1][name][0], atol=2e-3)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_voice_comes_nearer_in_mono_and_in_stereo(channels: int) -> None:
    truth = references(scene(10, RATE, channels=channels), FILM)
    x = mixture_of(truth)
    mix = Mixture(x, RATE)
    method = Classical()
    stems = method.separate(mix, method.survey([mix]))
    gain_db = si_sdr_db(truth["speech"], stems["speech"]) - si_sdr_db(truth["speech"], x)
    assert gain_db > 1, gain_db
    assert null_db(x, stems) <= -120


def test_on_real_scenes_the_fusion_beats_doing_nothing_and_every_single_prior(corpus) -> None:
    mixes = film_mixes(corpus, n=6)
    names = ("mixture", "midside", "hpss", "harmonic", "nmf", "classical")
    rows = [compare(n, "film", m.stems, SAMPLE_RATE, mix_name=m.name) for n in names for m in mixes]
    gains = {entry["method"]: entry["mean_gain_db"] for entry in summary(rows)}
    best = max(value for name, value in gains.items() if name != "classical")
    assert gains["classical"] > best + 0.5, gains
