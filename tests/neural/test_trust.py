"""The refiner that weighs priors by one number each."""

import numpy as np
import pytest
import torch

from tests.sounds import mixture_of
from unstir.hybrid.bank import TELLS, Bank
from unstir.joined import changes, look
from unstir.neural.refiner import Seen
from unstir.neural.trust import Trust, TrustConfig
from unstir.spectral import StftConfig, istft, stft
from unstir.types import FILM, STEM_SETS, Mixture


def seen_of(shares: torch.Tensor, *priors: tuple[torch.Tensor, torch.Tensor]) -> Seen:
    """Return planes of a base and of priors, each with its validity, as the bank makes them."""
    n = shares.shape[1]
    planes = [
        torch.cat([(prior[:, : n - 1] - 1 / n) * valid, valid], dim=1) for prior, valid in priors
    ]
    mix = torch.zeros(len(shares), 5, *shares.shape[2:])
    return Seen(mix, shares, torch.cat(planes, dim=1))


def some_shares(seed: int, n: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(torch.randn(2, n, 6, 256, generator=generator), dim=1)


def trusting(*trust: float, n: int = 3) -> Trust:
    names = ("alike", "nmf")[: len(trust)]
    net = Trust(TrustConfig(priors=names, n_sources=n)).eval()
    net.trust.data = torch.tensor(trust)
    return net


@pytest.mark.parametrize("n", [2, 3])
@torch.no_grad()
def test_logits_move_toward_those_of_the_priors(n: int) -> None:
    base, one, two = (some_shares(seed, n) for seed in range(3))
    valid = torch.rand(2, 1, 6, 256, generator=torch.Generator().manual_seed(9))
    found = trusting(0.7, 0.2, n=n)(seen_of(base, (one, valid), (two, torch.ones_like(valid))))

    def logs(shares: torch.Tensor) -> torch.Tensor:
        return torch.log(shares.clamp(min=0.01))

    start = torch.log_softmax(logs(base), dim=1)
    unsure = n / (n - 1) * (1 - start.exp().max(dim=1, keepdim=True).values)
    moved = 0.7 * valid * (logs(one) - start) + 0.2 * (logs(two) - start)
    wanted = start + unsure * moved
    torch.testing.assert_close(found, torch.softmax(wanted, 1) - start.exp(), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.sum(dim=1), torch.zeros(2, 6, 256), rtol=0, atol=1e-5)


@torch.no_grad()
def test_priors_without_validity_and_untrained_trust_change_nothing() -> None:
    base, prior = some_shares(0), some_shares(1)
    none, all_of_it = torch.zeros(2, 1, 6, 256), torch.ones(2, 1, 6, 256)
    silent = trusting(1.0, 1.0)(seen_of(base, (prior, none), (prior, none)))
    untrained = Trust().eval()(seen_of(base, (prior, all_of_it)))
    assert float(silent.abs().max()) < 1e-6 and float(untrained.abs().max()) < 1e-6


@torch.no_grad()
def test_a_base_that_is_sure_is_left_alone() -> None:
    valid, even = torch.ones(1, 1, 6, 256), torch.full((1, 3, 6, 256), 1 / 3)
    prior = torch.tensor([0.1, 0.8, 0.1])[None, :, None, None].expand(1, 3, 6, 256)
    sure = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None].expand(1, 3, 6, 256)
    moved = [float(trusting(0.8)(seen_of(m, (prior, valid))).abs().max()) for m in (sure, even)]
    assert moved[0] < 0.01 < 0.2 < moved[1]


@torch.no_grad()
def test_sharpness_gives_cells_away_more_wholly() -> None:
    base, valid = some_shares(0), torch.ones(2, 1, 6, 256)
    seen = seen_of(base, (base, valid), (base, valid))
    largest = [
        float((base + trusting(0.5, 0.5)(seen, sharpness)).max(dim=1).values.mean())
        for sharpness in (0.7, 1.0, 1.4)
    ]
    assert largest == sorted(largest) and largest[2] - largest[0] > 0.1


def test_its_priors_tell_of_all_stems_but_the_last_in_the_order_of_the_bank() -> None:
    for stems in STEM_SETS.values():
        config = TrustConfig(n_sources=len(stems))
        bank = Bank(stems, priors=config.priors)
        assert tuple(bank.tells) == config.priors
        assert config.n_priors == len(bank.names)
        assert all(TELLS[stems][name] == stems[:-1] for name in config.priors)


def test_stems_whose_cells_stray_come_nearer_to_the_truth() -> None:
    """Of a tone that stays, three cells in ten went to another stem."""
    t = np.arange(2 * 44100) / 44100
    hiss = 0.01 * np.random.default_rng(0).standard_normal((2, len(t)))
    truth = {
        "speech": np.tile(0.1 * np.sin(2 * np.pi * 310 * t), (2, 1)).astype(np.float32),
        "music": np.tile(0.1 * np.sin(2 * np.pi * 1100 * t), (2, 1)).astype(np.float32),
        "effects": hiss.astype(np.float32),
    }
    grid = StftConfig()
    cells = stft(truth["music"], grid)
    astray = np.random.default_rng(1).random(cells.shape[1:]) < 0.3
    moved = istft(cells * astray, grid, len(t))
    base = truth | {"music": truth["music"] - moved, "effects": truth["effects"] + moved}
    mix = Mixture(mixture_of(truth), 44100)
    net = trusting(0.5)
    bank = Bank(FILM, priors=net.config.priors)
    with torch.inference_mode():
        view = look(mix, base, bank, {}, net.config.bands, torch.device("cpu"))
        found = net(Seen(*(plane[None] for plane in view.seen)))[0]
        moved_by = changes(view, found, net.config, mix.n_samples)
    for name, change in zip(FILM, moved_by, strict=True):
        if name != "speech":
            before = np.sum((truth[name] - base[name]) ** 2)
            assert np.sum((truth[name] - base[name] - change) ** 2) < 0.97 * before, name
