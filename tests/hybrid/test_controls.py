import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import AudioError, SettingsError
from unstir.evaluate import si_sdr_db
from unstir.hybrid.controls import Oracle, Unprocessed, ideal_ratio_masks
from unstir.spectral import StftConfig, analyze
from unstir.types import FILM, SONG, Mixture, Prior, Separator

RATES = st.sampled_from([8000, 11025, 44100, 48000, 384000])


def scene(seed, channels, n_samples, names=FILM, scale=1.0):
    """Return stems that differ in color, and their mix."""
    noise = np.random.default_rng(seed).standard_normal((len(names), channels, n_samples + 8))
    stems = {
        name: np.asarray(
            scale
            * sum(noise[j, :, k : k + n_samples] * (1 - 2 * (j % 2)) ** k for k in range(j + 2)),
            np.float32,
        )
        for j, name in enumerate(names)
    }
    return stems, sum(stems.values())


@settings(deadline=None)
@given(
    seed=st.integers(0, 99),
    channels=st.integers(1, 2),
    n_samples=st.integers(1, 3000),
    rate=RATES,
    names=st.sampled_from([FILM, SONG]),
    scale=st.sampled_from([1e-12, 1.0, 20.0]),
    method=st.sampled_from(["oracle", "unprocessed"]),
)
def test_the_stems_add_up_to_the_mix(seed, channels, n_samples, rate, names, scale, method):
    references, waveform = scene(seed, channels, n_samples, names, scale)
    before = waveform.copy()
    separator = Oracle(names, references=references) if method == "oracle" else Unprocessed(names)
    stems = separator.separate(Mixture(waveform, rate))
    assert tuple(stems) == names
    assert all(s.shape == waveform.shape and s.dtype == np.float32 for s in stems.values())
    total = sum(s.astype(np.float64) for s in stems.values())
    assert np.abs(total - waveform).max() <= 1e-6 * np.abs(waveform).max()
    assert np.array_equal(waveform, before)


@pytest.mark.parametrize("method", [Oracle(references=scene(0, 2, 500)[0]), Unprocessed()])
def test_both_are_separators_and_priors(method):
    assert isinstance(method, Separator)
    assert isinstance(method, Prior)
    assert method.stems == FILM
    assert method.survey([]) is None


@pytest.mark.parametrize("method", [Oracle(references=scene(0, 2, 5000)[0]), Unprocessed()])
def test_the_masks_of_a_cell_add_up_to_one_within_zero_and_one(method):
    mix = Mixture(scene(0, 2, 5000)[1], 44100)
    evidence = method.estimate(mix)
    total = sum(evidence.masks.values())
    assert np.abs(total - 1).max() < 1e-6
    assert all(m.min() >= 0 and m.max() <= 1 for m in evidence.masks.values())
    assert total.shape[1:] == analyze(mix).cells.shape[1:]


def test_the_oracle_comes_far_nearer_than_doing_nothing():
    references, waveform = scene(1, 2, 40000)
    mix = Mixture(waveform, 44100)
    ideal, idle = (
        Oracle(tuple(references), references=references).separate(mix),
        Unprocessed().separate(mix),
    )
    for name, stem in references.items():
        assert si_sdr_db(stem, ideal[name]) > si_sdr_db(stem, idle[name]) + 3


def test_stems_that_share_no_cell_come_back_whole():
    t = np.arange(44100) / 44100
    fade = np.hanning(44100)
    low, high = (fade * np.sin(2 * np.pi * f * t) for f in (300, 5000))
    references = {"vocals": low[None].astype(np.float32), "accompaniment": high[None].astype("f4")}
    stems = Oracle(tuple(references), references=references).separate(
        Mixture(sum(references.values()), 44100)
    )
    assert all(si_sdr_db(references[name], stems[name]) > 55 for name in SONG)


def test_the_mixs_start_finds_its_place_in_the_references():
    references, waveform = scene(2, 1, 9000)
    part = {name: stem[:, 2500:7000] for name, stem in references.items()}
    of_whole = Oracle(tuple(references), references=references).separate(
        Mixture(waveform[:, 2500:7000], 44100, start=2500)
    )
    of_part = Oracle(references=part).separate(Mixture(waveform[:, 2500:7000], 44100))
    assert all(np.array_equal(of_whole[name], of_part[name]) for name in FILM)


@pytest.mark.parametrize(
    ("channels", "n_samples", "start"), [(1, 100, 0), (2, 501, 0), (2, 100, 401), (2, 100, -1)]
)
def test_references_that_do_not_cover_the_mix_are_refused(channels, n_samples, start):
    mix = Mixture(np.ones((channels, n_samples), np.float32), 8000, start=start)
    with pytest.raises(AudioError, match="references of the same channels"):
        Oracle(references=scene(0, 2, 500)[0]).separate(mix)


@pytest.mark.parametrize(
    "method", [Oracle(references=dict.fromkeys(FILM, np.zeros((2, 64), "f4"))), Unprocessed()]
)
def test_silence_stays_silent(method):
    stems = method.separate(Mixture(np.zeros((2, 64), np.float32), 44100))
    assert all(not s.any() for s in stems.values())


def test_a_stem_without_reference_is_refused():
    with pytest.raises(SettingsError, match="one each for vocals, accompaniment"):
        Oracle(SONG, references={"vocals": np.zeros((1, 9), np.float32)})


def test_ideal_masks_do_not_depend_on_the_common_level():
    references, _ = scene(3, 1, 2000)
    grid = StftConfig(256, 64)
    masks = ideal_ratio_masks(references, grid)
    for scale in (2.0**-80, 2.0**80):
        scaled = {k: np.float32(scale) * v for k, v in references.items()}
        again = ideal_ratio_masks(scaled, grid)
        assert all(np.allclose(again[name], masks[name], atol=1e-5) for name in FILM)


def test_unprocessed_stems_can_be_changed_one_by_one():
    stems = Unprocessed().separate(Mixture(np.ones((1, 4), np.float32), 8000))
    stems["speech"][:] = 0
    assert np.allclose(stems["music"], 1 / 3)
