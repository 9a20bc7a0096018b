from pathlib import Path

import pytest
import torch

from tests.neural.reference_weights import (
    hollow,
    noise,
    read_reference,
    reference_weights,
    shapes_of,
)
from unstir.errors import AudioError, SettingsError
from unstir.neural.audiosep import ResUNet30, ResUNet30Config, load_published

SMALL = ResUNet30Config(n_fft=256, hop_length=40, widths=(4, 8, 8), condition_size=16)
UNUSED = ("base.decoder_block1.bn2", "film.decoder_block1->beta2")  # of every decoder block


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return shapes_of(ResUNet30())


def small_net() -> ResUNet30:
    net = ResUNet30(SMALL)
    net.load_state_dict(reference_weights(shapes_of(net)))
    return net.eval()


def query(batch: int, *, seed: int = 1) -> torch.Tensor:
    return torch.nn.functional.normalize(noise(batch, 16, seed=seed))


def test_names_and_shapes_are_the_published_ones(shapes: dict[str, tuple[int, ...]]) -> None:
    assert shapes == read_reference("resunet30").shapes


def test_the_output_is_the_published_one() -> None:
    reference = read_reference("resunet30")
    net = ResUNet30().eval()
    assert sum(p.numel() for p in net.parameters()) == reference.n_parameters == 26_447_941
    net.load_state_dict(reference_weights(reference.shapes))
    with torch.no_grad():
        estimate = net(reference.arrays["x"][None], reference.arrays["condition"])[0]
    truth = reference.arrays["y"]
    assert (estimate - truth).abs().max() < 1e-5 * truth.abs().max()


@pytest.mark.parametrize("samples", [1, 10, 128, 129, 300])
def test_short_sound_keeps_its_length(samples: int) -> None:
    estimate = small_net()(noise(2, 1, samples), query(2))
    assert estimate.shape == (2, 1, samples)
    assert estimate.isfinite().all() and estimate.abs().amax() > 0


def test_sound_shorter_than_the_published_window_keeps_its_length() -> None:
    net = ResUNet30().eval()
    with torch.no_grad():
        assert net(noise(1, 1, 300), noise(1, 512)).shape == (1, 1, 300)


def test_silence_stays_silent() -> None:
    estimate = small_net()(torch.zeros(1, 1, 5000), query(1))
    assert torch.equal(estimate, torch.zeros(1, 1, 5000))


def test_silence_has_finite_gradients() -> None:
    net = small_net()
    (net(torch.zeros(1, 1, 5000), query(1)) - 1).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


def test_no_cell_is_amplified() -> None:
    net = small_net()
    net.base.get_submodule("after_conv").bias.data[:] = 20.0  # the mask at its upper end
    magnitude = noise(1, 129, 9).abs()
    mask = net.base(magnitude, net.shifts(query(1)))
    assert 0.99 < mask.abs().max() < 1 + 1e-6
    assert mask[:, -1].abs().max() == 0


def test_the_condition_decides_what_comes_out() -> None:
    net, mixture = small_net(), noise(1, 1, 3000)
    one, other = net(mixture, query(1)), net(mixture, query(1, seed=2))
    assert (one - other).norm() > 0.01 * one.norm()


def test_each_item_of_a_batch_has_its_own_condition() -> None:
    net, mixtures, queries = small_net(), noise(3, 1, 3000), query(3)
    together = net(mixtures, queries)
    for i in range(3):
        alone = net(mixtures[i : i + 1], queries[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, rtol=0, atol=1e-6)


def test_mixture_and_condition_are_left_as_they_are() -> None:
    for samples in (50, 3000):
        mixture, condition = noise(1, 1, samples), query(1)
        small_net()(mixture, condition)
        assert torch.equal(mixture, noise(1, 1, samples))
        assert torch.equal(condition, query(1))


def test_gradients_reach_every_weight_that_is_used() -> None:
    net = small_net().train()
    condition = query(2).requires_grad_()
    net(noise(2, 1, 3000), condition).square().sum().backward()
    idle = {name for name, p in net.named_parameters() if p.grad is None}
    assert idle == {
        f"{name}.{kind}".replace("block1", f"block{i}")
        for name in UNUSED
        for kind in ("weight", "bias")
        for i in (1, 2, 3)
    }
    for name, p in net.named_parameters():
        assert name in idle or (p.grad.isfinite().all() and p.grad.abs().max() > 0), name
    assert condition.grad.abs().max() > 0


def test_half_precision_runs_and_gives_full_precision_back() -> None:
    net, mixture = small_net(), noise(1, 1, 3000)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = net(mixture, query(1))
    assert half.dtype == torch.float32
    exact = net(mixture, query(1))
    assert (half - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("shape", [(1, 1000), (1, 2, 1000), (1, 1, 0), (0, 1, 1000)])
def test_a_mixture_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"\(batch, 1, samples\)"):
        small_net()(torch.zeros(shape), query(1))


@pytest.mark.parametrize("shape", [(16,), (2, 16), (1, 15), (1, 1, 16)])
def test_a_condition_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match=r"takes \(1, 16\)"):
        small_net()(noise(1, 1, 1000), torch.zeros(shape))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_fft": 0}, "n_fft"),
        ({"n_fft": 2000}, "multiple of 128"),
        ({"hop_length": 0}, "hop_length"),
        ({"hop_length": 1025}, "hop_length"),
        ({"widths": (32,)}, "widths"),
        ({"widths": (32, 0)}, "widths"),
        ({"condition_size": 0}, "condition_size"),
    ],
)
def test_a_size_that_no_net_can_have_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ResUNet30Config(**settings)


@pytest.mark.parametrize("prefix", ["", "ss_model."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_released_checkpoint_loads_without_kernels_and_text_encoder(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], prefix: str, wrapped: bool
) -> None:
    kernels = {"base.stft.conv_real.weight": (1025, 1, 2048), "base.istft.ola_window": (2048,)}
    weights = {prefix + name: value for name, value in hollow({**shapes, **kernels}).items()}
    weights["query_encoder.model.logit_scale_a"] = torch.zeros(())
    torch.save({"state_dict": weights, "epoch": 3} if wrapped else weights, tmp_path / "as.ckpt")
    assert list(load_published(tmp_path / "as.ckpt")) == list(shapes)
