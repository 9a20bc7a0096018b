import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.hybrid.dictionaries import (
    FOLDER,
    band_centers_hz,
    band_starts,
    describe_dictionaries,
    load_dictionaries,
    on_bins,
    pool,
    with_context,
)
from unstir.spectral import StftConfig

RATES = st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000, 384000])


def test_the_shipped_templates_are_positive_and_of_the_shape_that_their_config_says() -> None:
    shipped = load_dictionaries()
    config = describe_dictionaries()["config"]
    assert set(shipped.templates) == {"speech", "singing", "music", "effects"}
    shape = (len(config["spans_s"]), len(shipped.bands_hz), config["n_components"])
    for templates in shipped.templates.values():
        assert templates.shape == shape
        assert templates.dtype == np.float32
        assert np.isfinite(templates).all()
        assert templates.min() > 0
    assert np.all(np.diff(shipped.bands_hz) > 0)
    assert tuple(shipped.spans_s[0]) == (0.0, 0.0)


def test_the_shipped_bands_are_those_of_a_2048_point_transform_at_44100_hz() -> None:
    frequencies_hz = np.fft.rfftfreq(2048, 1 / 44100)
    expected = band_centers_hz(frequencies_hz, band_starts(frequencies_hz))
    np.testing.assert_allclose(load_dictionaries().bands_hz, expected)


def test_the_files_are_small_and_say_where_they_come_from() -> None:
    assert (FOLDER / "dictionaries.safetensors").stat().st_size <= 500_000
    about = describe_dictionaries()
    assert {"config", "recipe", "data", "validation"} <= set(about)
    licences = " ".join(about["data"]["licences"])
    assert "CC0" in licences and "CC-BY" in licences and "CC-BY-SA" in licences
    assert "/" + "work" not in json.dumps(about)


@settings(max_examples=40, deadline=None)
@given(RATES, st.floats(0.005, 0.2))
def test_every_bin_up_to_22050_hz_is_in_one_band(sample_rate: int, width: float) -> None:
    frequencies_hz = StftConfig.for_rate(sample_rate).frequencies_hz(sample_rate)
    starts = band_starts(frequencies_hz, width)
    assert starts[0] == 0
    assert np.all(np.diff(starts) >= 1)
    assert starts[-1] == np.count_nonzero(frequencies_hz <= 22050)
    centers = band_centers_hz(frequencies_hz, starts)
    assert np.all(np.diff(centers) > 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_pooling_keeps_the_sum(n_bins: int, n_frames: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((n_bins, n_frames)).astype(np.float32)
    starts = band_starts(20.0 * np.arange(n_bins))
    np.testing.assert_allclose(pool(values, starts).sum(axis=0), values.sum(axis=0), rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(RATES, st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_interpolation_agrees_with_numpys_and_holds_the_top_value(
    sample_rate: int, n_components: int, seed: int
) -> None:
    bands_hz = load_dictionaries().bands_hz
    templates = np.random.default_rng(seed).random((2, len(bands_hz), n_components))
    frequencies_hz = StftConfig.for_rate(sample_rate).frequencies_hz(sample_rate)
    laid = on_bins(templates.astype(np.float32), bands_hz, frequencies_hz)
    assert laid.shape == (2, len(frequencies_hz), n_components)
    for span in range(2):
        for k in range(n_components):
            expected = np.interp(frequencies_hz, bands_hz, templates[span, :, k])
            np.testing.assert_allclose(laid[span, :, k], expected, atol=1e-5)
    above = laid[:, frequencies_hz > 22050]
    np.testing.assert_allclose(above, np.broadcast_to(templates[:, -1:], above.shape), atol=1e-5)


def test_one_band_is_laid_on_all_bins() -> None:
    laid = on_bins(np.full((1, 1, 2), 3.0, np.float32), np.zeros(1), np.array([0.0, 10.0, 20.0]))
    np.testing.assert_array_equal(laid, np.full((1, 3, 2), 3.0))


SPANS = st.lists(
    st.tuples(st.integers(-6, 6), st.integers(0, 5)).map(lambda s: (s[0], s[0] + s[1])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), SPANS, st.sampled_from([1e-6, 1.0, 1e6]), st.integers(0, 2**32 - 1))
def test_context_is_the_mean_over_each_span_with_the_ends_going_on(
    n_frames: int, lags: list[tuple[int, int]], scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = (scale * rng.random((3, n_frames))).astype(np.float32)
    hop_s = 0.0116
    stacked = with_context(values, [(a * hop_s, b * hop_s) for a, b in lags], hop_s)
    at = np.arange(n_frames)
    expected = np.concatenate(
        [
            np.mean(
                [values[:, np.clip(at + lag, 0, n_frames - 1)] for lag in range(a, b + 1)], axis=0
            )
            for a, b in lags
        ]
    )
    assert stacked.shape == (3 * len(lags), n_frames)
    np.testing.assert_allclose(stacked, expected, rtol=1e-5, atol=1e-9 * scale)


@pytest.mark.parametrize("hop_s", [0.0107, 0.0116, 0.016])
def test_the_shipped_spans_do_not_overlap_at_any_hop(hop_s: float) -> None:
    lags = [range(round(a / hop_s), round(b / hop_s) + 1) for a, b in load_dictionaries().spans_s]
    assert all(len(span) >= 1 for span in lags)
    every = [lag for span in lags for lag in span]
    assert len(every) - len(set(every)) <= 4  # neighbors may share a frame after rounding
