"""The refiner: nothing before it is trained, then corrections that add up to zero."""

import pytest
import torch
from torch import nn

from unstir.neural.losses import snr_loss
from unstir.neural.planes import Bands, band_edges, istft, planes, stft, to_bands, to_bins
from unstir.neural.refiner import (
    Refiner,
    RefinerConfig,
    Residues,
    Seen,
    error_energy,
    residue_loss,
    shares_of,
)

SMALL = RefinerConfig(n_priors=4, channels=(6, 8), dilations=(1, 2))


def seen(n_frames: int = 13, batch: int = 2) -> Seen:
    torch.manual_seed(0)
    shares = torch.softmax(torch.randn(batch, 3, n_frames, 256), dim=1)
    return Seen(torch.randn(batch, 5, n_frames, 256), shares, torch.randn(batch, 4, n_frames, 256))


def trained(config: RefinerConfig = SMALL) -> Refiner:
    """Return a refiner whose last layer is not zero."""
    torch.manual_seed(1)
    net = Refiner(config).eval()
    nn.init.normal_(net.last.weight)
    return net


def test_before_training_there_is_no_correction() -> None:
    assert not Refiner(SMALL).eval()(seen()).any()


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_corrections_add_up_to_zero_and_keep_shares_in_range(sharpness: float) -> None:
    given = seen()
    found = trained()(given, sharpness)
    assert found.abs().max() > 0.05
    assert found.sum(dim=1).abs().max() < 1e-6
    shares = given.shares + found
    assert shares.min() > -0.02 and shares.max() < 1.02  # but for the floor of a base's shares


def test_sharper_corrections_give_cells_away_more_wholly() -> None:
    given, net = seen(), trained()
    largest = [(given.shares + net(given, s)).amax(dim=1).mean() for s in (0.5, 1.0, 2.0)]
    assert largest[0] < largest[1] < largest[2]


@pytest.mark.parametrize("n_frames", [1, 2, 7, 16])
def test_any_number_of_frames_will_do(n_frames: int) -> None:
    assert trained()(seen(n_frames)).shape == (2, 3, n_frames, 256)


def test_one_without_priors_does_not_look_at_them() -> None:
    net = trained(RefinerConfig(n_priors=0, channels=(6, 8), dilations=(1,)))
    given = seen()
    same = net(given._replace(priors=torch.randn_like(given.priors)))
    torch.testing.assert_close(net(given), same, rtol=0, atol=0)


def test_the_default_is_small() -> None:
    n = sum(p.numel() for p in Refiner(RefinerConfig(n_priors=19)).parameters())
    assert n < 2e6


def cells(n_samples: int = 12000) -> tuple[torch.Tensor, torch.Tensor, Bands]:
    torch.manual_seed(2)
    bands = Bands()
    sources = torch.randn(1, 3, 2, n_samples) * torch.tensor([1.0, 0.3, 0.6])[:, None, None]
    return sources, stft(sources, bands.n_fft, bands.hop_length), bands


def test_masks_are_their_own_shares() -> None:
    _, parts, bands = cells()
    mixture = parts.sum(dim=1)
    masks = torch.softmax(torch.randn(1, 3, parts.shape[3], 256), dim=1)
    steps = torch.repeat_interleave(
        masks, torch.from_numpy(band_edges(2048, 256, 160)).diff(), dim=3
    )
    found = shares_of((steps[:, :, None] * mixture[:, None]).unbind(1), mixture, bands)
    torch.testing.assert_close(found, masks, rtol=0, atol=1e-4)


def test_silence_is_shared_evenly() -> None:
    _, parts, bands = cells()
    silent = torch.zeros_like(parts)
    found = shares_of(silent.unbind(1), silent.sum(dim=1), bands)
    torch.testing.assert_close(found, torch.full_like(found, 1 / 3))


def test_the_error_of_a_correction_follows_from_energies_per_band() -> None:
    _, truth, bands = cells()
    mixture = truth.sum(dim=1)
    base = truth.roll(1, dims=1) * 0.3 + truth * 0.7
    lacking = truth - base
    corrections = 0.2 * torch.randn(1, 3, truth.shape[3], 256)
    corrections -= corrections.mean(dim=1, keepdim=True)
    edges = torch.from_numpy(band_edges(2048, 256, 160)).diff()
    steps = torch.repeat_interleave(corrections, edges, dim=3)
    made = base + steps[:, :, None] * mixture[:, None]
    direct = torch.view_as_real(truth - made).square().sum(dim=(2, 3, 4, 5))
    cross = (lacking * mixture[:, None].conj()).real.sum(dim=2)
    power = mixture.abs().square().sum(dim=1, keepdim=True)
    residues = Residues(
        to_bands(power, bands) * edges,
        to_bands(cross, bands) * edges,
        torch.view_as_real(lacking).square().sum(dim=(2, 3, 4, 5)),
        torch.view_as_real(truth).square().sum(dim=(2, 3, 4, 5)),
    )
    torch.testing.assert_close(error_energy(corrections, residues), direct, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(
        residue_loss(corrections, residues), snr_loss(made, truth, mixture), rtol=1e-3, atol=1e-3
    )


def test_a_refiner_learns_what_a_prior_knows() -> None:
    """With the truth among the priors, few steps bring most of what can be gained."""
    torch.manual_seed(3)
    sources, truth, bands = cells(40000)
    mixture = truth.sum(dim=1)
    base = (mixture / 3)[:, None].expand_as(truth)
    lacking = truth - base
    edges = torch.from_numpy(band_edges(2048, 256, 160)).diff()
    residues = Residues(
        to_bands(mixture.abs().square().sum(dim=1, keepdim=True), bands) * edges,
        to_bands((lacking * mixture[:, None].conj()).real.sum(dim=2), bands) * edges,
        torch.view_as_real(lacking).square().sum(dim=(2, 3, 4, 5)),
        torch.view_as_real(truth).square().sum(dim=(2, 3, 4, 5)),
    )
    ideal = shares_of(truth.unbind(1), mixture, bands)
    given = Seen(planes(mixture, bands), shares_of(base.unbind(1), mixture, bands), ideal)
    net = Refiner(RefinerConfig(n_priors=3, channels=(8, 8), dilations=(1,)))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    losses = []
    for _ in range(80):
        loss = residue_loss(net(given), residues)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    best = float(residue_loss(ideal - given.shares, residues))
    assert best < losses[0] - 2
    assert losses[-1] < losses[0] + 0.8 * (best - losses[0])
    corrections = net.eval()(given)
    made = base[0] + to_bins(corrections, bands)[0][:, None] * mixture
    waves = istft([made], bands.n_fft, bands.hop_length, 40000)
    torch.testing.assert_close(waves.sum(dim=0), sources[0].sum(dim=0), rtol=0, atol=1e-4)
