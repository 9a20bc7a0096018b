"""The causal net as a stream: the same samples as offline, later by a latency below 40 ms."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import AudioError, SettingsError
from unstir.neural.compact import CAUSAL, SAMPLE_RATE, Compact, CompactConfig
from unstir.neural.stream import CompactStream
from unstir.types import StreamSeparator, Waveform

SMALL = dataclasses.replace(CAUSAL, channels=(6, 8, 10), hidden=12)
LENGTH = 12345


def lively(config: CompactConfig) -> Compact:
    """Return a net of random weights whose masks are far from even."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = Compact(config)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean, 0, 0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, 0, 0.3)
        torch.nn.init.normal_(net.last.weight, 0, 1.5)
    return net.eval()


NET = lively(SMALL)


def noise(n_samples: int = LENGTH, n_channels: int = 2, seed: int = 0) -> Waveform:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)


def streamed(x: Waveform, sizes: list[int], stream: CompactStream | None = None) -> Waveform:
    """Return (sources, channels, samples) of a stream fed in blocks of these sizes and the rest."""
    stream = stream or CompactStream(NET)
    cuts = np.cumsum(sizes, dtype=int)
    blocks = np.split(x, cuts[cuts <= x.shape[1]], axis=1)
    parts = [np.stack([*stream.process(block).values()]) for block in blocks]
    assert [part.shape[2] for part in parts] == [block.shape[1] for block in blocks]
    return np.concatenate(parts, axis=2)


def offline(x: Waveform) -> Waveform:
    with torch.inference_mode():
        return NET(torch.from_numpy(x)[None])[0].numpy()


def followed_by_silence(x: Waveform) -> Waveform:
    return np.pad(x, ((0, 0), (0, CompactStream(NET).latency)))


def test_it_keeps_the_protocol() -> None:
    stream = CompactStream(NET)
    assert isinstance(stream, StreamSeparator)
    assert tuple(stream.process(noise(10))) == stream.stems == ("speech", "music", "effects")


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("n_samples", [1, 767, 768, 769, 1536, LENGTH])
def test_it_gives_what_the_net_gives_offline(n_samples: int, n_channels: int) -> None:
    x = followed_by_silence(noise(n_samples, n_channels))
    latency = CompactStream(NET).latency
    y = streamed(x, [])
    assert not y[:, :, :latency].any()
    np.testing.assert_allclose(y[:, :, latency:], offline(x)[:, :, :n_samples], atol=1e-6)


def test_what_it_gives_is_no_even_share() -> None:
    y = streamed(noise(), [])
    assert np.abs(y[0] - y[1]).max() > 0.3 * np.abs(y).max()


@pytest.mark.parametrize("size", [1, 64, 383, 384, 385, 1536, 5000])
def test_blocks_of_any_size_give_the_same_bytes(size: int) -> None:
    x = noise(6000)
    np.testing.assert_array_equal(streamed(x, [size] * (6000 // size)), streamed(x, []))


@given(sizes=st.lists(st.integers(0, 2000), max_size=12), n_channels=st.sampled_from([1, 2]))
@settings(deadline=None, max_examples=15)
def test_any_cutting_into_blocks_gives_the_same_bytes(sizes: list[int], n_channels: int) -> None:
    x = noise(6000, n_channels)
    np.testing.assert_array_equal(streamed(x, sizes), streamed(x, []))


def test_the_stems_add_up_to_what_came_a_latency_ago() -> None:
    x = followed_by_silence(noise())
    latency = CompactStream(NET).latency
    np.testing.assert_allclose(
        streamed(x, [])[:, :, latency:].sum(axis=0), x[:, :LENGTH], atol=1e-6
    )


def test_a_click_comes_out_exactly_a_latency_later() -> None:
    x = np.zeros((2, 9000), np.float32)
    x[:, 5000] = 1
    y = streamed(x, [100] * 90).sum(axis=0)
    assert np.argmax(np.abs(y[0])) == 5000 + CompactStream(NET).latency


def test_no_sample_depends_on_input_further_ahead_than_the_latency_nor_on_much_less() -> None:
    """Of the net itself: change all input from a sample on, and find the first output to move."""
    x = noise(8000)
    before = offline(x)
    ahead = []
    for at in range(4000, 4000 + 4 * SMALL.hop_length, 61):  # all phases of a group of groups
        changed = x.copy()
        changed[:, at:] = noise(8000, seed=1)[:, at:]
        moved = (offline(changed) != before).any(axis=(0, 1))
        ahead.append(at - int(np.argmax(moved)))
    latency = CompactStream(NET).latency
    # The ends of a Hann window weigh next to nothing, so a little less shows.
    assert latency - SMALL.hop_length // 2 < max(ahead) <= latency


def test_the_latency_is_below_40_ms() -> None:
    assert CompactStream(Compact(CAUSAL)).latency <= 0.040 * SAMPLE_RATE


def test_after_a_reset_nothing_is_left_of_what_came() -> None:
    stream, x = CompactStream(NET), noise(5000)
    first = streamed(x, [], stream)
    assert not np.array_equal(streamed(x, [], stream), first)
    stream.reset()
    np.testing.assert_array_equal(streamed(x, [], stream), first)
    stream.reset()
    assert streamed(x[:1], [], stream).shape == (3, 1, 5000)


def test_two_streams_of_one_net_do_not_disturb_each_other() -> None:
    x, alone = noise(3000), streamed(noise(3000), [])
    one, other = CompactStream(NET), CompactStream(NET)
    parts = []
    for block in np.split(x, 3, axis=1):
        parts.append(np.stack([*one.process(block).values()]))
        other.process(noise(700, 1, seed=9))
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), alone)


def test_the_block_is_not_changed_and_silence_stays_silent() -> None:
    x = noise(3000)
    kept = x.copy()
    streamed(x, [1000])
    np.testing.assert_array_equal(x, kept)
    assert not streamed(np.zeros((2, 3000), np.float32), []).any()


def test_a_net_that_looks_ahead_is_refused() -> None:
    with pytest.raises(SettingsError, match="causal=False"):
        CompactStream(Compact(dataclasses.replace(SMALL, causal=False)))
    with pytest.raises(SettingsError, match="3 sources came for a stream of 2 stems"):
        CompactStream(NET, ("vocals", "accompaniment"))


@pytest.mark.parametrize(
    "block",
    [np.zeros(5, np.float32), np.zeros((3, 5), np.float32), np.zeros((2, 5))],
    ids=["one axis", "three channels", "float64"],
)
def test_blocks_of_another_kind_are_refused(block: np.ndarray) -> None:
    with pytest.raises(AudioError, match="is wanted"):
        CompactStream(NET).process(block)


def test_nan_is_refused_before_the_net_can_remember_it() -> None:
    stream, x = CompactStream(NET), noise(3000)
    with pytest.raises(AudioError, match="finite"):
        stream.process(np.full((2, 10), np.nan, np.float32))
    with pytest.raises(AudioError, match=r"\(2, samples\) is wanted"):
        stream.process(x)
        stream.process(x[:1])
