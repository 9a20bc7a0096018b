"""The transform is undone, bands share the bins out, planes say level and place."""

import numpy as np
import pytest
import torch

from unstir.neural.planes import (
    N_PLANES,
    Bands,
    band_edges,
    band_matrices,
    istft,
    observe,
    planes_of,
    separate,
    stft,
    to_bands,
    to_bins,
)

BANDS = Bands(n_fft=512, hop_length=128, n_bands=48, n_single=24)


@pytest.fixture
def stereo(rng: np.random.Generator) -> torch.Tensor:
    """Return two related channels, shape (1, 2, 8000)."""
    common = rng.standard_normal(8000)
    return torch.tensor(
        0.05 * np.stack([common, 0.6 * common + 0.3 * rng.standard_normal(8000)])[None],
        dtype=torch.float32,
    )


def look(waveform: torch.Tensor) -> torch.Tensor:
    return planes_of(waveform, BANDS)


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 511, 512, 513, 5000])
@pytest.mark.parametrize(("n_fft", "hop"), [(512, 128), (512, 256), (256, 32)])
def test_the_transform_is_undone_at_any_length(n: int, n_fft: int, hop: int) -> None:
    x = torch.randn(2, 3, n, generator=torch.Generator().manual_seed(n))
    back = istft([stft(x, n_fft, hop)], n_fft, hop, n)
    assert back.shape == x.shape
    torch.testing.assert_close(back, x, atol=1e-5, rtol=0)


def test_the_transform_may_come_in_parts() -> None:
    cells = stft(torch.randn(3, 2, 5000, generator=torch.Generator().manual_seed(2)), 512, 128)
    whole = istft([cells], 512, 128, 5000)
    for size in (1, 7, 16):
        parts = istft(cells.split(size, dim=-2), 512, 128, 5000)
        torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)


def test_the_transform_is_that_of_torch() -> None:
    x = torch.randn(4096, generator=torch.Generator().manual_seed(1))
    theirs = torch.stft(
        x, 512, 128, window=torch.hann_window(512), pad_mode="constant", return_complex=True
    )
    ours = stft(x, 512, 128)
    torch.testing.assert_close(ours, theirs.T[: len(ours)], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("n_fft", "n_bands", "n_single"), [(2048, 256, 160), (512, 48, 24)])
def test_bands_cover_every_bin_once_and_widen(n_fft: int, n_bands: int, n_single: int) -> None:
    edges = band_edges(n_fft, n_bands, n_single)
    widths = np.diff(edges)
    assert edges[0] == 0 and edges[-1] == n_fft // 2 + 1 and len(widths) == n_bands
    assert (widths[:n_single] == 1).all() and (widths >= 1).all()
    assert widths[-1] == widths[:-1].max() or widths[-1] >= 0.5 * widths[-2]


def test_down_takes_means_and_up_draws_straight_lines_that_add_up() -> None:
    down, up = band_matrices(512, 48, 24)
    torch.testing.assert_close(torch.ones(257) @ down, torch.ones(48))
    torch.testing.assert_close(torch.ones(48) @ up, torch.ones(257))
    assert (up >= 0).all() and ((up > 0).sum(dim=0) <= 2).all()
    ramp = torch.arange(24.0)
    torch.testing.assert_close((torch.cat([ramp, torch.zeros(24)]) @ up)[:23], ramp[:23])


def test_the_quick_ways_to_bands_and_bins_are_the_matrices() -> None:
    down, up = band_matrices(BANDS.n_fft, BANDS.n_bands, BANDS.n_single)
    bins, values = torch.rand(2, 3, 257), torch.rand(2, 3, 48)
    torch.testing.assert_close(to_bands(bins, BANDS), bins @ down)
    torch.testing.assert_close(to_bins(values, BANDS), values @ up)


def test_planes_of_place_stay_between_minus_one_and_one(stereo: torch.Tensor) -> None:
    seen = look(stereo)
    assert seen.shape == (1, N_PLANES, 64, 48) and seen.dtype == torch.float32
    assert seen[:, 2:].abs().max() <= 1 + 1e-5
    assert torch.isfinite(seen).all()


def test_mono_is_alike_and_in_balance_whether_given_once_or_twice(stereo: torch.Tensor) -> None:
    once = look(stereo[:, :1])
    likeness, quadrature, balance = once[:, 2:].unbind(dim=1)
    torch.testing.assert_close(likeness, torch.ones_like(likeness), atol=1e-3, rtol=0)
    assert quadrature.abs().max() == 0 and balance.abs().max() == 0
    assert (once[:, 1] <= once[:, 1].min() + 1e-3).all()  # no side
    torch.testing.assert_close(once, look(stereo[:, :1].expand(1, 2, -1)))


def test_place_does_not_depend_on_level_but_level_does(stereo: torch.Tensor) -> None:
    loud, quiet = look(stereo), look(stereo / 10)
    torch.testing.assert_close(loud[:, 2:], quiet[:, 2:], atol=2e-3, rtol=0)
    step = (loud - quiet)[:, 0].median()
    assert step == pytest.approx(np.log(100) / 4, abs=0.02)


def test_swapped_channels_mirror_the_balance(stereo: torch.Tensor) -> None:
    seen, mirrored = look(stereo), look(stereo.flip(1))
    torch.testing.assert_close(mirrored[:, 4], -seen[:, 4])
    torch.testing.assert_close(mirrored[:, 3], -seen[:, 3])
    torch.testing.assert_close(mirrored[:, :3], seen[:, :3], atol=1e-5, rtol=1e-4)


def test_a_left_channel_alone_is_on_the_left(stereo: torch.Tensor) -> None:
    left = stereo.clone()
    left[:, 1] = 0
    assert look(left)[:, 4].min() > 0.99


def test_silence_is_seen_as_finite_planes() -> None:
    assert torch.isfinite(look(torch.zeros(1, 2, 1000))).all()


def test_planes_of_a_waveform_are_float32_whatever_the_net_computes_in(
    stereo: torch.Tensor,
) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        seen = look(stereo)
    torch.testing.assert_close(seen, look(stereo), atol=0, rtol=0)


def test_energies_are_those_of_mixture_sources_and_their_product(stereo: torch.Tensor) -> None:
    sources = torch.stack([stereo, 0.5 * stereo.flip(2)], dim=1)  # (1, 2, 2, 8000)
    seen, sums = observe(sources, BANDS)
    torch.testing.assert_close(seen, look(sources.sum(dim=1)), atol=1e-3, rtol=1e-3)
    whole = stft(sources, BANDS.n_fft, BANDS.hop_length)
    mix = whole.sum(dim=1)
    products = (mix[:, None] * whole.conj()).real.sum(dim=(2, 3, 4))
    torch.testing.assert_close(sums.energy, whole.abs().square().sum(dim=(2, 3, 4)))
    torch.testing.assert_close(sums.cross.sum(dim=(2, 3)), products, rtol=1e-4, atol=1e-3)
    energy = mix.abs().square().sum()
    torch.testing.assert_close(sums.mixture.sum(), energy)


def test_equal_logits_share_the_mixture_out_evenly(stereo: torch.Tensor) -> None:
    before = stereo.clone()
    found = separate(stereo, BANDS, lambda seen: torch.zeros_like(seen[:, :2]))
    torch.testing.assert_close(found, (stereo / 2)[:, None].expand(1, 2, 2, -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(stereo, before, atol=0, rtol=0)
