import pytest
import torch

from unstir.errors import AudioError, SettingsError
from unstir.neural.frames import istft, levels, linked_magnitude, stft
from unstir.neural.unet import Unet, UnetConfig

SMALL = UnetConfig(n_sources=3, n_fft=128, hop_length=48, channels=(4, 6, 8, 10))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def net() -> Unet:
    torch.manual_seed(0)
    net = Unet(SMALL)
    with torch.no_grad():
        net(noise(4, 2, 4000))  # a step of training gives the normalizations real statistics
    return net.eval()


@pytest.mark.parametrize("n_samples", [1, 2, 3, 511, 512, 767, 769, 3000])
def test_the_transform_comes_back_at_any_length_on_the_published_grid(n_samples: int) -> None:
    x = noise(2, 3, n_samples)
    torch.testing.assert_close(istft(stft(x, 1024, 768), 1024, 768, n_samples), x)


def test_the_transform_reflects_as_torch_does_where_torch_can() -> None:
    x = noise(1, 1, 3072)  # a whole number of hops, so that both have the same frames
    window = torch.hann_window(1024)
    wanted = torch.stft(x[0], 1024, 768, window=window, center=True, return_complex=True)
    torch.testing.assert_close(stft(x, 1024, 768)[0], wanted)


def test_a_sine_of_full_scale_is_at_zero_decibels() -> None:
    sine = torch.sin(2 * torch.pi * 100 / 1024 * torch.arange(8192.0))
    top = levels(linked_magnitude(stft(sine[None, None], 1024, 256)), 1024)[0, 100, 16]
    assert top.item() == pytest.approx(70 / 20, abs=0.01)


def test_the_published_net_has_the_published_shape() -> None:
    net = Unet()
    kernels = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in kernels] == [16, 32, 64, 128, 256, 512]
    # 25 weights per pair of channels: down 1-16-...-512, up 512-256, 512-128, ..., 64-16, 32-1.
    pairs = 16 * (1 + 2 * 16 + 8 * 16 + 32 * 16 + 128 * 16 + 512 * 16)
    pairs += 512 * 256 + 512 * 128 + 256 * 64 + 128 * 32 + 64 * 16 + 32
    normalizations = 2 * (16 + 32 + 64 + 128 + 256 + 512) + 2 * (16 + 32 + 64 + 128 + 256)
    wanted = 25 * pairs + normalizations + 1
    assert sum(p.numel() for p in net.parameters()) == wanted
    assert sum(isinstance(m, torch.nn.Dropout) for m in net.modules()) == 3
    with torch.no_grad():
        assert net.eval().masks(torch.rand(1, 513, 128)).shape == (1, 1, 513, 128)


@pytest.mark.parametrize(("channels", "n_samples"), [(1, 1), (2, 2), (1, 100), (6, 777), (2, 4001)])
def test_any_channels_and_samples_come_back_as_estimates(net, channels, n_samples) -> None:
    x = noise(2, channels, n_samples)
    before = x.clone()
    y = net(x)
    assert y.shape == (2, 3, channels, n_samples)
    assert y.isfinite().all()
    assert torch.equal(x, before)


def test_masks_of_several_sources_add_up_to_one_and_estimates_to_the_mix(net) -> None:
    magnitude = noise(2, 65, 21).abs()
    torch.testing.assert_close(net.masks(magnitude).sum(1), torch.ones(2, 65, 21))
    x = noise(2, 2, 5000)
    torch.testing.assert_close(net(x).sum(1), x, atol=1e-5, rtol=0)


def test_the_bin_at_nyquist_takes_the_mask_below_it(net) -> None:
    masks = net.masks(noise(1, 65, 21).abs())
    assert torch.equal(masks[:, :, 64], masks[:, :, 63])
    assert not torch.equal(masks[:, :, 63], masks[:, :, 62])


def test_a_single_mask_is_a_sigmoid_and_leaves_a_rest() -> None:
    torch.manual_seed(0)
    masks = Unet(UnetConfig(n_fft=64, channels=(4, 8))).eval().masks(noise(1, 33, 9).abs())
    assert masks.shape == (1, 1, 33, 9)
    assert 0 < masks.min() < masks.max() < 1


def test_silence_gives_silence(net) -> None:
    assert torch.equal(net(torch.zeros(1, 2, 900)), torch.zeros(1, 3, 2, 900))


@pytest.mark.parametrize("gain", [1e-4, 0.5, 300.0])
def test_a_gain_before_is_a_gain_after(net, gain: float) -> None:
    x = noise(1, 2, 3000)
    torch.testing.assert_close(net(gain * x) / gain, net(x), atol=1e-5, rtol=0)


def test_items_of_a_batch_do_not_know_each_other(net) -> None:
    x = noise(3, 2, 3000) * torch.tensor([0.01, 1.0, 50.0])[:, None, None]
    alone = torch.cat([net(item[None]) for item in x])
    torch.testing.assert_close(net(x), alone, atol=1e-4, rtol=1e-4)


def test_channels_share_their_masks(net) -> None:
    left = noise(1, 1, 3000)
    y = net(torch.cat([left, -0.5 * left], 1))
    torch.testing.assert_close(y[:, :, 1], -0.5 * y[:, :, 0], atol=1e-6, rtol=0)


def test_gradients_reach_every_weight_and_the_mix() -> None:
    torch.manual_seed(0)
    net = Unet(SMALL)
    x = noise(2, 2, 4000).requires_grad_()
    net(x)[:, 0].square().mean().backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()
    for name, weight in net.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def test_a_wrong_shape_and_an_odd_grid_are_refused(net) -> None:
    with pytest.raises(AudioError, match=r"\(2, 100\) came"):
        net(torch.zeros(2, 100))
    with pytest.raises(AudioError, match="none of them 0"):
        net(torch.zeros(1, 2, 0))
    with pytest.raises(SettingsError, match="multiple of 128"):
        UnetConfig(n_fft=1000)


@pytest.mark.parametrize("n_frames", [1, 5, 16, 31, 32, 33])
def test_short_sound_is_masked_in_bf16_as_in_fp32(n_frames: int) -> None:
    # At these sizes a strided convolution that gave one frame read memory left by others.
    net = Unet(UnetConfig(n_sources=3, n_fft=1024, channels=(12, 24, 48, 96, 192))).eval()
    seen = torch.rand(1, 513, n_frames, generator=torch.manual_seed(n_frames))
    with torch.inference_mode():
        wanted = net.masks(seen)
        for _ in range(8):
            left = [torch.full((10**k,), torch.nan, dtype=torch.bfloat16) for k in range(2, 6)]
            del left
            with torch.autocast("cpu", torch.bfloat16):
                found = net.masks(seen).float()
            assert (found - wanted).abs().max() < 0.05
