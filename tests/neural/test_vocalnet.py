from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from unstir.errors import AudioError, SettingsError
from unstir.neural.frames import levels, linked_magnitude, shares, stft
from unstir.neural.vocalnet import (
    CONTEXT,
    Trunk,
    Vad,
    VadConfig,
    Vocalnet,
    VocalnetConfig,
    binary_targets,
    cross_entropy_loss,
    grow,
    ratio_targets,
    squared_loss,
)

SMALL = VadConfig(n_fft=128, hop_length=32, channels=(6, 4, 8, 4), hidden=12)
MASKS = VocalnetConfig(n_fft=128, hop_length=32, channels=(6, 4, 8, 4), hidden=12, n_sources=3)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def vad() -> Vad:
    torch.manual_seed(0)
    return Vad(SMALL).eval()


@pytest.fixture(scope="module")
def net() -> Vocalnet:
    torch.manual_seed(0)
    return Vocalnet(MASKS).eval()


@pytest.mark.parametrize("config", [SMALL, VadConfig()], ids=["small", "513x25"])
def test_sliding_and_fully_convolutional_forms_agree(config: VadConfig) -> None:
    torch.manual_seed(0)
    trunk = Trunk(config).eval()
    x = 3 * noise(2, config.n_bins, CONTEXT + 10)
    with torch.no_grad():
        at_once, one_by_one = trunk(x), trunk.slide(x)
    assert at_once.shape == (2, 11, config.hidden)
    assert at_once.std() > 1e-2  # there is something to agree on
    torch.testing.assert_close(at_once, one_by_one, atol=1e-5, rtol=0)


def test_masks_of_a_file_are_those_of_its_contexts(net) -> None:
    magnitude = linked_magnitude(stft(noise(1, 2, 1600), 128, 32))
    masks = shares(net.logits(magnitude))
    padded = torch.nn.functional.pad(magnitude, (12, 12))
    for t in (0, 7, 30, 50):
        context = levels(padded[:, :, t : t + CONTEXT], 128)
        alone = shares(net.output(net.trunk.slide(context)).reshape(1, 3, 65, 1))
        torch.testing.assert_close(masks[..., t : t + 1], alone, atol=1e-5, rtol=0)


def test_the_fully_convolutional_form_costs_a_tenth_of_the_multiplications() -> None:
    trunk = Trunk(VadConfig())
    counts = []
    with torch.no_grad():
        for form in (trunk.forward, trunk.slide):
            with FlopCounterMode(display=False) as counter:
                form(torch.zeros(1, 513, CONTEXT + 199))
            counts.append(counter.get_total_flops() / 2)
    at_once, sliding = counts
    # One context, layer by layer: bins x frames x 9 taps x channels in x out.
    context = 9 * (511 * 23 * 32 + 509 * 21 * 32 * 16 + 167 * 5 * 16 * 64 + 165 * 3 * 64 * 16)
    assert sliding == 200 * (context + 16 * 55 * 128)
    assert at_once < sliding / 10


def test_a_frame_depends_on_twelve_frames_to_either_side(vad) -> None:
    x = noise(1, 65, 60)
    frame = vad.trunk(x)[:, 20]  # sees frames 20 to 44
    outside, first, last = x.clone(), x.clone(), x.clone()
    outside[:, :, [19, 45]] += 5
    first[:, :, 20] += 5
    last[:, :, 44] += 5
    torch.testing.assert_close(vad.trunk(outside)[:, 20], frame)
    assert not torch.allclose(vad.trunk(first)[:, 20], frame)
    assert not torch.allclose(vad.trunk(last)[:, 20], frame)


def test_the_default_is_513_bins_by_25_frames_of_290_ms() -> None:
    vad = Vad()
    assert (vad.config.n_bins, CONTEXT) == (513, 25)
    assert 1000 * CONTEXT * vad.config.hop_length / vad.config.sample_rate == pytest.approx(
        290, abs=1
    )
    kernels = [tuple(layer.weight.shape) for layer in vad.trunk.convolutions]
    assert kernels == [(32, 1, 3, 3), (16, 32, 3, 3), (64, 16, 3, 3), (16, 64, 3, 3)]
    assert vad.trunk.dense.weight.shape == (128, 16 * 55)


@pytest.mark.parametrize(("channels", "n_samples"), [(1, 1), (2, 2), (1, 63), (6, 777), (2, 2001)])
def test_any_channels_and_samples_give_logits_and_estimates(vad, net, channels, n_samples) -> None:
    x = noise(2, channels, n_samples)
    before = x.clone()
    logits, y = vad(x), net(x)
    assert logits.shape == (2, 1 + -(-n_samples // 32))
    assert logits.isfinite().all()
    assert y.shape == (2, 3, channels, n_samples)
    torch.testing.assert_close(y.sum(1), x, atol=1e-6, rtol=0)
    assert torch.equal(x, before)


def test_silence_gives_silence_and_finite_logits(vad, net) -> None:
    x = torch.zeros(1, 2, 900)
    assert torch.equal(net(x), torch.zeros(1, 3, 2, 900))
    assert vad(x).isfinite().all()


def test_very_loud_and_very_quiet_sound_stays_finite(vad, net) -> None:
    for gain in (1e-30, 1e12):
        assert vad(gain * noise(1, 1, 500)).isfinite().all()
        assert net(gain * noise(1, 1, 500)).isfinite().all()


def test_masks_add_up_to_one_or_are_one_sigmoid(net) -> None:
    magnitude = noise(1, 65, 9).abs()
    torch.testing.assert_close(shares(net.logits(magnitude)).sum(1), torch.ones(1, 65, 9))
    one = Vocalnet(VocalnetConfig(n_fft=128, channels=(4, 4, 4, 4))).eval()
    masks = shares(one.logits(magnitude))
    assert masks.shape == (1, 1, 65, 9)
    assert 0 < masks.min() < masks.max() < 1


def test_items_of_a_batch_do_not_know_each_other(vad, net) -> None:
    x = noise(3, 2, 1500)
    torch.testing.assert_close(vad(x), torch.cat([vad(item[None]) for item in x]))
    alone = torch.cat([net(item[None]) for item in x])
    torch.testing.assert_close(net(x), alone, atol=1e-6, rtol=0)


def test_a_grown_net_has_the_detectors_trunk_and_grows_apart_from_it(vad) -> None:
    config = VocalnetConfig(n_fft=128, hop_length=32, channels=(6, 4, 8, 4), hidden=12, n_sources=3)
    net = grow(vad, config).eval()
    x = noise(1, 65, 40)
    assert torch.equal(net.trunk(x), vad.trunk(x))
    assert net.output.out_features == 3 * 65
    before = vad.trunk(x)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(1)
    assert torch.equal(vad.trunk(x), before)
    assert grow(vad).config == VocalnetConfig(
        n_fft=128, hop_length=32, channels=(6, 4, 8, 4), hidden=12
    )


def test_a_trunk_of_another_shape_is_refused(vad) -> None:
    with pytest.raises(SettingsError, match="hidden=128 came for a detector with hidden=12"):
        grow(vad, VocalnetConfig(n_fft=128, hop_length=32, channels=(6, 4, 8, 4)))
    with pytest.raises(SettingsError, match="48 or more"):
        VadConfig(n_fft=32)


def test_the_shortest_frame_works() -> None:
    assert Vad(VadConfig(n_fft=48, hop_length=12)).eval()(noise(1, 1, 100)).shape == (1, 10)


def test_targets_share_every_cell_out() -> None:
    magnitudes = torch.tensor([[3.0, 2.0, 0.0, 1e-30], [1.0, 2.0, 0.0, 3e-30]]).reshape(1, 2, 1, 4)
    wins, parts = binary_targets(magnitudes)[0, 0, 0], ratio_targets(magnitudes)[0, 0, 0]
    torch.testing.assert_close(wins, torch.tensor([1.0, 0.5, 0.5, 0.0]))
    torch.testing.assert_close(parts, torch.tensor([0.75, 0.5, 0.5, 0.25]))
    many = noise(2, 3, 5, 6).abs()
    for targets in (binary_targets(many), ratio_targets(many)):
        torch.testing.assert_close(targets.sum(1), torch.ones(2, 5, 6))


@pytest.mark.parametrize("n_sources", [1, 3])
def test_both_losses_are_smallest_where_the_masks_are_the_targets(n_sources: int) -> None:
    logits = 10 * noise(2, n_sources, 4, 5)
    targets = shares(logits)
    for loss in (cross_entropy_loss, squared_loss):
        at = logits.clone().requires_grad_()
        value = loss(at, targets)
        value.backward()
        assert at.grad is not None
        torch.testing.assert_close(at.grad, torch.zeros_like(at), atol=1e-6, rtol=0)
        assert loss(logits + noise(2, n_sources, 4, 5, seed=1), targets) > value
    assert squared_loss(logits, targets).item() == 0


def test_gradients_reach_every_weight_of_both_nets_and_the_mix() -> None:
    torch.manual_seed(0)
    for net in (Vad(SMALL), Vocalnet(MASKS)):
        x = noise(2, 2, 1000).requires_grad_()
        (net(x)[:, :1] ** 2).sum().backward()
        assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()
        for name, weight in net.named_parameters():
            assert weight.grad is not None and weight.grad.isfinite().all(), name
            assert weight.grad.any(), name


def test_the_detector_learns_where_a_tone_is_and_the_grown_net_cuts_it_out() -> None:
    torch.manual_seed(0)
    t = torch.arange(8000) / 8000
    gate = (torch.sin(2 * torch.pi * 4 * t) > 0).float()
    sources = torch.stack([gate * torch.sin(2 * torch.pi * 1000 * t), 4 * noise(8000)])
    x = sources.sum(0)[None, None]
    magnitudes = stft(sources[None], 128, 32).abs()  # (1, 2, F, T)
    voice = (magnitudes[:, 0].amax(1) > 10).float()
    vad = Vad(replace(SMALL, channels=(8, 8, 8, 8), hidden=32, dropout=0.0))
    optimizer = torch.optim.Adam(vad.parameters(), 0.005)
    for _ in range(120):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(vad(x), voice).backward()
        optimizer.step()
    assert ((vad.eval()(x) > 0) == voice.bool()).float().mean() > 0.97
    net = grow(vad)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(120):
        optimizer.zero_grad()
        logits = net.logits(linked_magnitude(stft(x, 128, 32)))
        cross_entropy_loss(logits, binary_targets(magnitudes)[:, :1]).backward()
        optimizer.step()
    error = net.eval()(x)[0, 0, 0] - sources[0]
    assert error.square().sum() < 0.25 * sources[1].square().sum()  # 6 dB gained


def test_a_wrong_shape_is_refused(vad, net) -> None:
    for model in (vad, net):
        with pytest.raises(AudioError, match=r"\(1, 100\) came"):
            model(torch.zeros(1, 100))
