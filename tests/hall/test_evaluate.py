import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from unstir.errors import AudioError, SettingsError
from unstir.evaluate import bootstrap_interval, improvement, si_sdr_db, snr_db


def stem_and_noise(seed, shape=(2, 500)):
    """Return two orthogonal signals of unit energy, in float64."""
    s, e = np.random.default_rng(seed).standard_normal((2, *shape))
    s /= np.linalg.norm(s)
    e -= np.vdot(e, s) * s
    return s, e / np.linalg.norm(e)


@given(
    ratio_db=st.floats(-60, 60),
    scale=st.sampled_from([1e-30, 1e-6, 1.0, 1e6, 1e30]),
    gain=st.sampled_from([-1.0, 1e-6, 1.0, 1e6]),
    channels=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_si_sdr_is_the_ratio_that_was_mixed_at_any_scale_and_gain(
    ratio_db, scale, gain, channels, seed
):
    s, e = stem_and_noise(seed, (channels, 200))
    estimate = gain * (s + 10 ** (-ratio_db / 20) * e)
    assert si_sdr_db(scale * s, estimate) == pytest.approx(ratio_db, abs=1e-6)
    assert si_sdr_db(scale * s, scale * estimate) == pytest.approx(ratio_db, abs=1e-6)


@given(ratio_db=st.floats(-60, 60), scale=st.sampled_from([1e-30, 1.0, 1e30]))
def test_snr_is_the_ratio_that_was_mixed_and_a_wrong_level_counts(ratio_db, scale):
    s, e = stem_and_noise(1)
    mixed = s + 10 ** (-ratio_db / 20) * e
    assert snr_db(scale * s, scale * mixed) == pytest.approx(ratio_db, abs=1e-6)
    assert snr_db(scale * s, scale * s / 2) == pytest.approx(20 * np.log10(2))


def test_what_float32_can_carry_is_measured_down_to_120_db():
    s, e = (x.astype(np.float32) for x in stem_and_noise(2))
    assert si_sdr_db(s, s + np.float32(1e-6) * e) == pytest.approx(120, abs=0.1)
    assert snr_db(s, s + np.float32(1e-6) * e) == pytest.approx(120, abs=0.1)


@pytest.mark.parametrize("metric", [si_sdr_db, snr_db])
def test_a_silent_reference_has_no_measure(metric):
    _, noise = stem_and_noise(3)
    assert np.isnan(metric(np.zeros_like(noise), noise))
    assert np.isnan(metric(np.zeros_like(noise), np.zeros_like(noise)))


@pytest.mark.parametrize("metric", [si_sdr_db, snr_db])
def test_the_reference_itself_is_without_distortion(metric):
    s, _ = stem_and_noise(3)
    assert metric(s, s) == np.inf


def test_a_silent_estimate_has_lost_everything():
    s, _ = stem_and_noise(4)
    assert si_sdr_db(s, np.zeros_like(s)) == -np.inf
    assert snr_db(s, np.zeros_like(s)) == 0


def test_a_wrong_balance_between_channels_counts_as_distortion():
    s = np.ones((2, 100), np.float32)
    tilted = s * np.array([[1], [0]], np.float32)
    # alpha = 1/2: target and distortion are of equal energy.
    assert si_sdr_db(s, tilted) == pytest.approx(0)


def test_an_offset_counts_as_distortion():
    s = np.array([[1, -1] * 50], np.float32)
    assert si_sdr_db(s, s + 1) == pytest.approx(0)


def test_half_the_noise_is_six_db_better_than_the_mix():
    s, e = stem_and_noise(5)
    assert improvement(s, s + e / 2, s + e) == pytest.approx(20 * np.log10(2))
    assert improvement(s, s + e, s + e) == 0
    assert improvement(s, (s + e) / 2, s + e, metric=snr_db) == pytest.approx(10 * np.log10(2))


def test_nothing_can_be_gained_where_the_mix_is_the_stem_or_the_stem_is_silent():
    s, e = stem_and_noise(6)
    assert np.isnan(improvement(s, s + e, s))
    assert np.isnan(improvement(s, s, s))
    assert np.isnan(improvement(0 * s, s, s))


def test_the_measures_leave_their_inputs_as_they_are():
    s, e = stem_and_noise(7)
    before = s.copy(), e.copy()
    si_sdr_db(s, e)
    snr_db(s, e)
    improvement(s, e, s + e)
    assert np.array_equal(s, before[0])
    assert np.array_equal(e, before[1])


@pytest.mark.parametrize("metric", [si_sdr_db, snr_db])
@pytest.mark.parametrize("shape", [(1, 9), (2, 8), (2, 0)])
def test_other_shapes_than_the_references_are_refused(metric, shape):
    reference = np.ones((2, 9) if shape[1] else shape, np.float32)
    with pytest.raises(AudioError, match="same shape"):
        metric(reference, np.ones(shape, np.float32))


def test_the_interval_agrees_with_scipys_percentile_bootstrap(rng):
    values = rng.standard_normal(40) + 3
    ours = bootstrap_interval(values, seed=1, n=8000)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=8000, rng=rng
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100(rng):
    hits = 0
    for i in range(300):
        low, high = bootstrap_interval(rng.standard_normal(60), seed=i, n=300)
        hits += low <= 0 <= high
    assert 0.90 <= hits / 300 <= 0.985


def test_values_of_one_source_are_drawn_together():
    by_source = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 30)
    groups = np.repeat(list("abcdef"), 30).tolist()
    apart = bootstrap_interval(by_source, seed=0)
    together = bootstrap_interval(by_source, groups=groups, seed=0)
    # 180 independent values would shrink the width by sqrt(30) against 6 sources.
    assert (together[1] - together[0]) / (apart[1] - apart[0]) == pytest.approx(
        np.sqrt(30), rel=0.15
    )
    one_each = bootstrap_interval(np.arange(6.0), seed=0)
    assert together == one_each


def test_a_single_source_gives_no_width():
    assert bootstrap_interval([1.0, 3.0], groups=["a", "a"], seed=0) == (2.0, 2.0)


def test_undefined_values_are_left_out_with_their_group():
    with_nan = bootstrap_interval([1, np.nan, 3, np.nan], groups=[1, 1, 2, 3], seed=5)
    assert with_nan == bootstrap_interval([1, 3], groups=[1, 2], seed=5)
    assert np.isnan(bootstrap_interval([np.nan], seed=0)).all()
    assert np.isnan(bootstrap_interval([], seed=0)).all()


def test_a_lost_stem_drags_the_lower_end_down_to_minus_infinity():
    low, high = bootstrap_interval([-np.inf, 1, 2, 3, 4, 5, 6, 7], seed=0)
    assert low == -np.inf
    assert high > 3


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(20.0)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"level": 0.0}, {"n": 0}, {"groups": [1]}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError, match="came"):
        bootstrap_interval([1.0, 2.0], seed=0, **wrong)
