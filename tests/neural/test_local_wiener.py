"""The filter that follows where stems stand."""

import pytest
import torch

from unstir.neural.local_wiener import local_wiener


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.manual_seed(seed))


def panned(sound: torch.Tensor, left: float, right: float) -> torch.Tensor:
    return torch.stack([left * sound, right * sound])


def random_masks(n_stems: int, *shape: int) -> torch.Tensor:
    return torch.softmax(torch.randn(n_stems, *shape, generator=torch.manual_seed(2)), dim=0)


def ideal_masks(stems: torch.Tensor) -> torch.Tensor:
    power = stems.abs().square().sum(dim=1)
    return power / power.sum(dim=0)


def error_db(found: torch.Tensor, wanted: torch.Tensor) -> float:
    ratio = (found - wanted).abs().square().sum() / wanted.abs().square().sum()
    return float(10 * torch.log10(ratio))


@pytest.mark.parametrize("n_frames", [1, 7, 8, 100, 300])
def test_stems_add_up_to_the_mix(n_frames: int) -> None:
    cells = noise(2, n_frames, 33)
    found = local_wiener(cells, random_masks(3, n_frames, 33))
    assert found.shape == (3, 2, n_frames, 33)
    assert error_db(found.sum(dim=0), cells) < -100


def test_leakage_between_places_is_taken_back() -> None:
    stems = torch.stack([panned(noise(200, 33), 1, 0.2), panned(noise(200, 33, seed=1), 0.3, 1)])
    mix = stems.sum(dim=0)
    masks = 0.5 * ideal_masks(stems) + 0.5 * random_masks(2, 200, 33)  # right on average only
    found = local_wiener(mix, masks)
    for mask, after, truth in zip(masks, found, stems, strict=True):
        assert error_db(after, truth) < error_db(mask * mix, truth) - 1


def test_a_sound_that_changes_its_place_is_followed() -> None:
    """What a covariance of the whole would not do: at each end the voice is on one side."""
    voice = noise(800, 33)
    stand = torch.linspace(0, 1, 800)[:, None]
    walking = torch.stack([voice * (1 - stand), voice * stand])
    stems = torch.stack([walking, panned(noise(800, 33, seed=1), 1, 1)])
    mix = stems.sum(dim=0)
    masks = ideal_masks(stems)
    found = local_wiener(mix, masks)
    for part in (slice(0, 100), slice(700, 800)):
        before, after = (error_db(e[:, part], walking[:, part]) for e in (masks[0] * mix, found[0]))
        assert after < before - 1


def test_where_all_stand_alike_masks_come_back() -> None:
    """Dual mono has one place only: masks are all there is to know."""
    mix = panned(noise(100, 33), 1, 1)
    masks = random_masks(3, 100, 33)
    assert error_db(local_wiener(mix, masks), masks[:, None] * mix) < -40


def test_silence_stays_silence_and_level_passes_through() -> None:
    masks = random_masks(3, 20, 33)
    assert not local_wiener(torch.zeros(2, 20, 33, dtype=torch.complex64), masks).any()
    cells = noise(2, 20, 33)
    loud = local_wiener(1000 * cells, masks)
    torch.testing.assert_close(loud / 1000, local_wiener(cells, masks), rtol=1e-3, atol=1e-4)


def test_a_mask_that_is_one_everywhere_gives_everything() -> None:
    cells = noise(2, 64, 33)
    masks = torch.stack([torch.ones(64, 33), torch.zeros(64, 33)])
    found = local_wiener(cells, masks)
    assert error_db(found[0], cells) < -80 and not found[1].any()
