"""Losses measure what they say, on waveforms and on band energies alike."""

import numpy as np
import pytest
import torch

from unstir.evaluate import si_sdr_db
from unstir.neural.losses import (
    masked_si_sdr_loss,
    masked_snr_loss,
    si_sdr_loss,
    snr_loss,
    spectral_loss,
)
from unstir.neural.planes import Bands, Sums, band_matrices, observe, stft
from unstir.neural.validation import si_sdr_gain_db

BANDS = Bands(n_fft=512, hop_length=128, n_bands=48, n_single=24)


@pytest.fixture
def sources() -> torch.Tensor:
    """Return three sources of two scenes, shape (2, 3, 2, 6000)."""
    generator = torch.Generator().manual_seed(3)
    levels = torch.tensor([0.1, 0.05, 0.02])[None, :, None, None]
    return levels * torch.randn(2, 3, 2, 6000, generator=generator)


def test_an_error_ten_times_smaller_is_20_db_better(sources: torch.Tensor) -> None:
    noise = torch.randn(sources.shape, generator=torch.Generator().manual_seed(4))
    energy = sources.square().mean(dim=(2, 3), keepdim=True).sqrt()
    mix = sources.sum(dim=1)
    losses = [snr_loss(sources + g * energy * noise, sources, mix).item() for g in (1.0, 0.1)]
    assert losses[0] == pytest.approx(0, abs=0.3)
    assert losses[1] == pytest.approx(-20, abs=2.5)  # the floor counts a little


def test_the_truth_gives_the_bound_and_nothing_is_better(sources: torch.Tensor) -> None:
    mix = sources.sum(dim=1)
    best = snr_loss(sources, sources, mix).item()
    assert -30 < best < -20
    assert snr_loss(0.999 * sources, sources, mix).item() > best


def test_a_silent_source_wants_silence(sources: torch.Tensor) -> None:
    silent = sources.clone()
    silent[:, 2] = 0
    mix = silent.sum(dim=1)
    right = snr_loss(silent, silent, mix)
    wrong = silent.clone()
    wrong[:, 2] = 0.1 * mix
    assert torch.isfinite(right) and snr_loss(wrong, silent, mix) > right + 3


def test_silence_throughout_is_finite_and_has_a_gradient() -> None:
    estimates = torch.zeros(1, 3, 2, 100, requires_grad=True)
    loss = snr_loss(estimates, torch.zeros(1, 3, 2, 100), torch.zeros(1, 2, 100))
    torch.autograd.backward(loss)
    assert torch.isfinite(loss) and torch.isfinite(estimates.grad).all()


def test_spectrograms_give_nearly_what_waveforms_do(sources: torch.Tensor) -> None:
    estimates = 0.7 * sources + 0.1 * sources.flip(1)
    mix = sources.sum(dim=1)
    cells = (stft(x, 512, 128) for x in (estimates, sources, mix))
    a, b = snr_loss(*cells), snr_loss(estimates, sources, mix)
    assert a.item() == pytest.approx(b.item(), abs=0.2)


def test_masks_on_band_energies_give_what_the_spectrograms_give(sources: torch.Tensor) -> None:
    seen, sums = observe(sources, BANDS)
    logits = torch.randn(2, 3, *seen.shape[2:], generator=torch.Generator().manual_seed(5))
    masks = torch.softmax(2 * logits, dim=1)
    down, _ = band_matrices(BANDS.n_fft, BANDS.n_bands, BANDS.n_single)
    constant = masks @ (down > 0).float().T  # the same in every bin of a band
    cells = stft(sources, BANDS.n_fft, BANDS.hop_length)
    mix = cells.sum(dim=1)
    expected = snr_loss(constant[:, :, None] * mix[:, None], cells, mix)
    assert masked_snr_loss(masks, sums).item() == pytest.approx(expected.item(), abs=1e-3)


def test_the_gradient_of_masks_is_that_of_the_spectrograms(sources: torch.Tensor) -> None:
    seen, sums = observe(sources, BANDS)
    masks = torch.full((2, 3, *seen.shape[2:]), 1 / 3, requires_grad=True)
    torch.autograd.backward(masked_snr_loss(masks, sums))
    down, _ = band_matrices(BANDS.n_fft, BANDS.n_bands, BANDS.n_single)
    other = torch.full(masks.shape, 1 / 3, requires_grad=True)
    cells = stft(sources, BANDS.n_fft, BANDS.hop_length)
    mix = cells.sum(dim=1)
    wide = other @ (down > 0).float().T
    torch.autograd.backward(snr_loss(wide[:, :, None] * mix[:, None], cells, mix))
    torch.testing.assert_close(masks.grad, other.grad, rtol=1e-2, atol=1e-6)


def test_the_si_sdr_of_masks_is_that_of_the_waveforms(sources: torch.Tensor) -> None:
    _, sums = observe(sources, BANDS)
    masks = torch.softmax(torch.arange(3.0), dim=0)[None, :, None, None]
    masks = masks.expand(2, 3, *sums.mixture.shape[2:])
    found = masked_si_sdr_loss(masks, sums)
    estimates = masks[..., :1, :1] * sources.sum(dim=1)[:, None]
    expected = [
        [-si_sdr_db(s.numpy(), e.numpy()) for e, s in zip(*pair, strict=True)]
        for pair in zip(estimates, sources, strict=True)
    ]
    assert found.numpy() == pytest.approx(np.array(expected), abs=0.2)  # edges, and the floor
    torch.testing.assert_close(masked_si_sdr_loss(0.01 * masks, sums), found, atol=0.05, rtol=0)
    of_waveforms = si_sdr_loss(estimates, sources, sources.sum(dim=1))
    assert of_waveforms.numpy() == pytest.approx(np.array(expected), abs=0.2)


def test_little_and_wrong_is_as_bad_as_loud_and_wrong() -> None:
    cells = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[None, :, :, None]  # one band each
    sums = Sums(cells.sum(dim=1, keepdim=True), cells, cells.sum(dim=(2, 3)))
    right, wrong = cells, cells.flip(1)
    found_db = [-masked_si_sdr_loss(m, sums).mean().item() for m in (right, wrong, 0.1 * wrong)]
    assert found_db[0] == pytest.approx(30, abs=0.1)
    assert found_db[1:] == pytest.approx([-30, -30], abs=0.1)
    assert masked_snr_loss(0.1 * wrong, sums).item() < 1  # the SNR hardly minds
    silent = Sums(sums.mixture, torch.zeros_like(cells), torch.zeros(1, 2))
    assert not masked_si_sdr_loss(wrong, silent).any()


def test_silence_is_no_good_estimate(sources: torch.Tensor) -> None:
    mixture = sources.sum(dim=1)
    gains = si_sdr_gain_db(torch.zeros_like(sources), sources, mixture)
    assert gains.max() < -10


def test_the_spectral_loss_is_zero_for_the_truth_and_rises_with_the_error() -> None:
    x = torch.randn(2, 9000, generator=torch.Generator().manual_seed(6))
    losses = [spectral_loss(g * x, x).item() for g in (1.0, 0.9, 0.5)]
    assert losses[0] == 0
    assert losses[0] < losses[1] < losses[2]
    assert losses[2] == pytest.approx(1 - 0.5**0.3, abs=0.01)
