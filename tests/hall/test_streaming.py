import weakref
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import SettingsError
from unstir.streaming import AtRate, Grid, separate_stream, survey_sample
from unstir.types import Mixture, State, Stems

GRID = Grid(100, 10)


class Halves:
    """Splits by position in the recording, so that a window out of place shows."""

    stems = ("a", "b")

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        return None

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        share = np.sin(np.arange(mix.start, mix.start + mix.n_samples) / 7).astype(np.float32)
        a = mix.waveform * share
        return {"a": a, "b": mix.waveform - a}


class WindowMean:
    """Depends on the whole window, so that every change of the grid shows."""

    stems = ("a", "b")

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        return None

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        a = np.full_like(mix.waveform, mix.waveform.mean())
        return {"a": a, "b": mix.waveform - a}


def partition(x: np.ndarray, sizes: Iterable[int]) -> list[np.ndarray]:
    cuts = np.cumsum(list(sizes))
    return [part for part in np.split(x, cuts[cuts < x.shape[1]], axis=1)]


def run(separator: object, blocks: list[np.ndarray], **kwargs: int) -> list[Stems]:
    return list(separate_stream(separator, blocks, sample_rate=8000, grid=GRID, **kwargs))


def joined(parts: list[Stems], name: str) -> np.ndarray:
    return np.concatenate([part[name] for part in parts], axis=1)


class Letting(Halves):
    """Counts what of the windows before is still there when the next one comes."""

    def __init__(self) -> None:
        self.given: list[weakref.ref[np.ndarray]] = []
        self.still_there: list[int] = []

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        self.still_there.append(sum(ref() is not None for ref in self.given))
        stems = super().separate(mix, state)
        self.given += [weakref.ref(stem) for stem in stems.values()]
        return stems


def test_of_a_window_only_its_tail_is_kept_while_the_next_one_is_separated() -> None:
    separator = Letting()
    chunks = separate_stream(
        separator, [np.ones((2, 300), np.float32)], sample_rate=8000, grid=GRID
    )
    for chunk in chunks:
        separator.given += [weakref.ref(stem) for stem in chunk.values()]
        del chunk
    assert separator.still_there == [0] * GRID.n_windows(300)


@given(
    n=st.integers(1, 700),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_any_block_partition_gives_the_same_samples(n: int, sizes: list[int]) -> None:
    x = np.random.default_rng(n).standard_normal((2, n)).astype(np.float32)
    whole = run(WindowMean(), [x])
    parts = run(WindowMean(), partition(x, sizes))
    assert [p["a"].shape for p in whole] == [p["a"].shape for p in parts]
    np.testing.assert_array_equal(joined(whole, "a"), joined(parts, "a"))


@given(n=st.integers(1, 700))
@settings(max_examples=60, deadline=None)
def test_length_is_kept_and_stems_add_up(n: int) -> None:
    x = np.random.default_rng(n).standard_normal((1, n)).astype(np.float32)
    parts = run(WindowMean(), [x])
    assert len(parts) == GRID.n_windows(n)
    np.testing.assert_allclose(joined(parts, "a") + joined(parts, "b"), x, atol=1e-6)


@given(n=st.integers(1, 700), start=st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_windows_know_where_in_the_recording_they_lie(n: int, start: int) -> None:
    x = np.random.default_rng(n).standard_normal((1, n)).astype(np.float32)
    whole = Halves().separate(Mixture(x, 8000, start))["a"]
    np.testing.assert_allclose(joined(run(Halves(), [x], start=start), "a"), whole, atol=1e-6)


@given(n=st.integers(1, 700), first=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_taking_up_at_any_window_gives_the_same_bytes(n: int, first: int) -> None:
    x = np.random.default_rng(n).standard_normal((2, n)).astype(np.float32)
    whole = run(WindowMean(), [x])
    first = min(first, len(whole) - 1)
    rest = run(WindowMean(), [x[:, max(first - 1, 0) * GRID.hop :]], first_window=first)
    assert len(rest) == len(whole) - first
    for a, b in zip(whole[first:], rest, strict=True):
        np.testing.assert_array_equal(a["a"], b["a"])


def test_joins_are_cross_faded_not_cut() -> None:
    x = np.concatenate([np.zeros((1, 95)), np.ones((1, 95))], axis=1).astype(np.float32)
    a = joined(run(WindowMean(), [x]), "a")[0]
    assert np.abs(np.diff(a)).max() < np.abs(a[0] - a[-1]) / 9


def test_an_overlap_above_half_a_window_is_refused() -> None:
    with pytest.raises(SettingsError, match="half a window"):
        Grid(100, 51)


@given(n=st.integers(1, 200_000), sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=80))
@settings(max_examples=25, deadline=None)
def test_the_survey_sees_the_same_minute_whatever_the_blocks(n: int, sizes: list[int]) -> None:
    x = np.arange(n, dtype=np.float32)[None]
    whole = survey_sample([x], sample_rate=1000)
    parts = survey_sample(partition(x, sizes), sample_rate=1000)
    assert [m.start for m in whole] == [m.start for m in parts]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a.waveform, b.waveform)
        assert a.waveform[0, 0] == a.start
    assert sum(m.n_samples for m in whole) <= 60_000
    assert sum(m.n_samples for m in whole) >= min(n, 59_000)


def test_the_survey_is_spread_over_the_file() -> None:
    x = np.zeros((1, 1_000_000), np.float32)
    starts = np.array([m.start for m in survey_sample([x], sample_rate=1000)])
    assert np.histogram(starts, 4, (0, 1_000_000))[0].min() >= 5


class Tilt:
    """Gives what is below half its band to one stem, by a moving average."""

    stems = ("a", "b")

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        return {"rate": np.array([b.sample_rate for b in blocks])}

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        assert mix.sample_rate == 16000
        a = mix.waveform * np.float32(0.75)
        return {"a": a, "b": mix.waveform - a}


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000])
def test_resampling_for_a_net_leaves_no_delay_and_loses_nothing_above_its_band(rate: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, rate)).astype(np.float32)
    stems = AtRate(Tilt(), 16000).separate(Mixture(x, rate))
    np.testing.assert_allclose(stems["a"] + stems["b"], x, atol=1e-5)
    # White noise fills the band above 8 kHz too; it is shared as the octave below it is.
    inner = slice(rate // 20, -rate // 20)
    np.testing.assert_allclose(stems["a"][:, inner], 0.75 * x[:, inner], atol=0.02)


def test_resampling_for_a_net_leaves_no_seam() -> None:
    x = np.random.default_rng(1).standard_normal((1, 48000 * 5)).astype(np.float32)
    grid = Grid(48000 + 1, 4801)
    parts = separate_stream(AtRate(Tilt(), 16000), [x], sample_rate=48000, grid=grid)
    a = np.concatenate([part["a"] for part in parts], axis=1)
    error = np.abs(a - 0.75 * x)[:, 2400:-2400]
    assert error.max() < 0.05


def test_the_survey_of_a_net_hears_its_own_rate() -> None:
    state = AtRate(Tilt(), 16000).survey([Mixture(np.ones((1, 4410), np.float32), 44100)])
    assert state is not None and state["rate"].tolist() == [16000]
