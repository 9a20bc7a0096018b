"""The filter that follows where stems stand."""

import pytest
import torch

from unstir.neural.local_wiener import local_wiener


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.manual_seed(seed))


def panned(sound: torch.Tensor, left: float, right: float) -> torch.Tensor:
    return torch.stack([left * sound, right * sound])


def error_db(found: torch.Tensor, wanted: torch.Tensor) -> float:
    ratio = (found - wanted).abs().square().sum() / wanted.abs().square().sum()
    return float(10 * torch.log10(ratio))


@pytest.mark.parametrize("n_frames", [1, 7, 8, 100])
def test_stems_add_up_to_the_mix(n_frames: int) -> None:
    images = noise(3, 2, n_frames, 33)
    cells = images.sum(dim=0)
    found = local_wiener(cells, images)
    assert found.shape == images.shape
    assert error_db(found.sum(dim=0), cells) < -110


def test_leakage_between_places_is_taken_back() -> None:
    stems = torch.stack([panned(noise(200, 33), 1, 0.2), panned(noise(200, 33, seed=1), 0.3, 1)])
    shares = torch.rand(1, 1, 200, 33, generator=torch.manual_seed(3))  # right on average only
    mix = stems.sum(dim=0)
    own = stems.abs().square().sum(dim=1, keepdim=True)
    masks = 0.5 * own / own.sum(dim=0) + 0.5 * torch.cat([shares, 1 - shares])
    found = local_wiener(mix, masks * mix)
    for before, after, truth in zip(masks * mix, found, stems, strict=True):
        assert error_db(after, truth) < error_db(before, truth) - 1


def test_a_sound_that_changes_its_place_is_followed() -> None:
    """What a covariance of the whole would not do: at each end the voice is on one side."""
    voice = noise(800, 33)
    stand = torch.linspace(0, 1, 800)[:, None]
    walking = torch.stack([voice * (1 - stand), voice * stand])
    stems = torch.stack([walking, panned(noise(800, 33, seed=1), 1, 1)])
    mix = stems.sum(dim=0)
    own = stems.abs().square().sum(dim=1, keepdim=True)
    estimates = own / own.sum(dim=0) * mix
    found = local_wiener(mix, estimates)
    for part in (slice(0, 100), slice(700, 800)):
        before, after = (error_db(e[0][:, part], walking[:, part]) for e in (estimates, found))
        assert after < before - 1


def test_where_all_stand_alike_estimates_come_back() -> None:
    """Dual mono has one place only: masks are all there is to know."""
    mix = panned(noise(100, 33), 1, 1)
    masks = torch.softmax(torch.randn(3, 1, 100, 33, generator=torch.manual_seed(2)), dim=0)
    found = local_wiener(mix, masks * mix)
    assert error_db(found, masks * mix) < -40


def test_silence_stays_silence_and_level_passes_through() -> None:
    silent = torch.zeros(3, 2, 20, 33, dtype=torch.complex64)
    assert not local_wiener(silent[0], silent).any()
    images = noise(3, 2, 20, 33)
    loud = local_wiener(1000 * images.sum(dim=0), 1000 * images)
    torch.testing.assert_close(
        loud / 1000, local_wiener(images.sum(dim=0), images), rtol=1e-3, atol=1e-4
    )
