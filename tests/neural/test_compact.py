"""Our own net: sources that add up, any length, one or two channels, no look ahead if causal."""

import pytest
import torch

from unstir.neural.compact import SOURCES, Compact, CompactConfig

SMALL = {"n_fft": 512, "hop_length": 128, "n_bands": 64, "n_single": 32, "channels": (4, 6, 8)}


def net(**fields: object) -> Compact:
    torch.manual_seed(0)
    made = Compact(CompactConfig(**{**SMALL, "hidden": 8, **fields})).eval()
    with torch.no_grad():  # masks far from even, so that there is something to see
        made.last.weight.mul_(20)
    return made


def sound(n: int, channels: int = 2) -> torch.Tensor:
    return 0.05 * torch.randn(1, channels, n, generator=torch.Generator().manual_seed(n))


@torch.inference_mode()
@pytest.mark.parametrize("n", [1, 100, 512, 513, 5000])
@pytest.mark.parametrize("channels", [1, 2])
def test_sources_add_up_to_the_mixture_at_any_length(n: int, channels: int) -> None:
    mixture = sound(n, channels)
    before = mixture.clone()
    found = net()(mixture)
    assert found.shape == (1, len(SOURCES), channels, n) and found.dtype == torch.float32
    torch.testing.assert_close(found.sum(dim=1), mixture, atol=1e-5 * 0.05, rtol=1e-5)
    torch.testing.assert_close(mixture, before, atol=0, rtol=0)


@torch.inference_mode()
def test_sources_add_up_in_bf16_too() -> None:
    mixture = sound(5000)
    with torch.autocast("cpu", torch.bfloat16):
        found = net()(mixture)
    torch.testing.assert_close(found.sum(dim=1), mixture, atol=1e-5 * 0.05, rtol=1e-5)


@torch.inference_mode()
def test_mono_is_taken_as_two_equal_channels() -> None:
    mono = sound(4000, 1)
    made = net()
    both = made(mono.expand(1, 2, -1))
    torch.testing.assert_close(made(mono)[:, :, 0], both[:, :, 1], atol=1e-6, rtol=1e-4)


@torch.inference_mode()
def test_masks_are_the_same_on_both_channels() -> None:
    made = net()
    mixture = torch.cat([sound(4000, 1), 0.5 * sound(4000, 1)], dim=1)
    left, right = made(mixture).unbind(dim=2)
    torch.testing.assert_close(right, 0.5 * left, atol=1e-6, rtol=1e-4)


@torch.inference_mode()
def test_silence_stays_silent() -> None:
    found = net()(torch.zeros(1, 2, 3000))
    assert not found.any()


@torch.inference_mode()
@pytest.mark.parametrize("level", [1e-6, 100.0])
def test_very_quiet_and_very_loud_sound_is_safe(level: float) -> None:
    mixture = level * sound(3000)
    found = net()(mixture)
    torch.testing.assert_close(found.sum(dim=1), mixture, atol=1e-5 * level, rtol=1e-4)


@torch.inference_mode()
def test_a_batch_gives_what_its_scenes_give() -> None:
    made = net()
    scenes = torch.cat([sound(4000), 2 * sound(4000).flip(2)])
    alone = torch.cat([made(scene[None]) for scene in scenes])
    torch.testing.assert_close(made(scenes), alone, atol=1e-6, rtol=1e-4)


def frames(n: int) -> torch.Tensor:
    return torch.randn(1, 5, n, SMALL["n_bands"], generator=torch.Generator().manual_seed(n))


@torch.inference_mode()
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9])
def test_there_are_logits_for_every_frame_and_band(n: int) -> None:
    assert net().logits(frames(n)).shape == (1, 3, n, SMALL["n_bands"])


@torch.inference_mode()
@pytest.mark.parametrize("cut", [13, 14, 15, 16])
def test_a_causal_net_never_looks_ahead(cut: int) -> None:
    made = net(causal=True)
    seen = frames(32)
    other = seen.clone()
    other[:, :, cut:] = frames(33)[:, :, cut:32]
    torch.testing.assert_close(
        made.logits(seen)[:, :, :cut], made.logits(other)[:, :, :cut], atol=0, rtol=0
    )


@torch.inference_mode()
def test_the_other_net_does_look_ahead() -> None:
    made = net()
    seen = frames(32)
    other = seen.clone()
    other[:, :, 16:] = frames(33)[:, :, 16:32]
    a, b = made.logits(seen), made.logits(other)
    assert not torch.allclose(a[:, :, :16], b[:, :, :16], atol=1e-5)


@torch.inference_mode()
def test_planes_in_logits_out_is_another_way_in() -> None:
    made = net()
    torch.testing.assert_close(made(frames(8), as_planes=True), made.logits(frames(8)))


def test_the_default_has_a_size_that_ships() -> None:
    n_parameters = sum(p.numel() for p in Compact().parameters())
    assert 2 * n_parameters < 10e6  # bytes in 16 bits
