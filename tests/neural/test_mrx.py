import pytest
import torch

from tests.neural.reference_weights import (
    noise,
    read_reference,
    reference_weights,
    shapes_of,
)
from unstir.errors import AudioError, SettingsError
from unstir.neural.mrx import MRX, SOURCES, MRXConfig
from unstir.types import FILM

SMALL = MRXConfig(window_lengths=(256, 512, 2048), hop_length=64, n_hidden=16, n_layers=2)


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return shapes_of(MRX())


def small_net() -> MRX:
    net = MRX(SMALL)
    net.load_state_dict(reference_weights(shapes_of(net)))
    return net.eval()


def test_names_and_shapes_are_the_published_ones(shapes: dict[str, tuple[int, ...]]) -> None:
    assert shapes == read_reference("mrx").shapes


def test_the_output_is_the_published_one() -> None:
    reference = read_reference("mrx")
    net = MRX().eval()
    assert sum(p.numel() for p in net.parameters()) == reference.n_parameters == 30_509_080
    net.load_state_dict(reference_weights(reference.shapes))
    with torch.no_grad():
        estimates = net(reference.arrays["x"][None])[0]
    truth = reference.arrays["y"]
    assert (estimates - truth).abs().max() < 1e-5 * truth.abs().max()


def test_the_sources_are_the_stems_of_film_in_the_paper_s_order() -> None:
    assert SOURCES[0] == "music"
    assert sorted(SOURCES) == sorted(FILM)


@pytest.mark.parametrize("samples", [1, 10, 300, 1024, 1025])
def test_sound_shorter_than_a_window_keeps_its_length(samples: int) -> None:
    mixture = noise(2, 2, samples)
    estimates = small_net()(mixture)
    assert estimates.shape == (2, 3, 2, samples)
    assert estimates.isfinite().all() and estimates.abs().amax() > 0


def test_the_end_is_as_loud_as_the_rest_where_windows_span_two_hops() -> None:
    net = MRX(MRXConfig(window_lengths=(512,), hop_length=256, n_hidden=16, n_layers=1))
    net.load_state_dict(reference_weights(shapes_of(net)))
    estimates = net.eval()(noise(1, 1, 20 * 256 - 1))
    assert estimates[..., -256:].abs().amax() < 2 * estimates[..., :-256].abs().amax()


def test_silence_stays_silent() -> None:
    assert torch.equal(small_net()(torch.zeros(1, 2, 5000)), torch.zeros(1, 3, 2, 5000))


def test_silence_has_finite_gradients() -> None:
    net = small_net()
    net(torch.zeros(1, 1, 5000)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_each_channel_goes_through_alone() -> None:
    net, stereo = small_net(), noise(1, 2, 3000)
    both = net(stereo)
    for c in range(2):
        alone = net(stereo[:, c : c + 1])
        assert torch.allclose(both[:, :, c : c + 1], alone, rtol=0, atol=1e-6)


def test_each_item_of_a_batch_goes_through_alone() -> None:
    net, batch = small_net(), noise(3, 2, 3000)
    assert torch.allclose(net(batch)[1:2], net(batch[1:2]), rtol=0, atol=1e-6)


def test_the_mixture_is_left_as_it_is() -> None:
    for samples in (300, 3000):
        mixture = noise(1, 2, samples)
        before = mixture.clone()
        small_net()(mixture)
        assert torch.equal(mixture, before)


def test_gradients_reach_every_weight() -> None:
    net = small_net().train()
    net(noise(2, 2, 3000)).square().sum().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.abs().max() > 0, name


def test_half_precision_gives_nearly_the_same() -> None:
    net, mixture = small_net(), noise(1, 2, 3000)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = net(mixture)
    assert half.dtype == torch.float32
    exact = net(mixture)
    assert (half - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("shape", [(2, 1000), (1000,), (1, 2, 0), (0, 2, 1000), (1, 0, 1000)])
def test_a_mixture_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"\(batch, channels, samples\)"):
        small_net()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_lengths": ()}, "window_lengths"),
        ({"window_lengths": (1024, 257)}, "window_lengths"),
        ({"window_lengths": (1024, 256)}, "window_lengths"),
        ({"hop_length": 0}, "hop_length"),
        ({"n_hidden": 15}, "n_hidden"),
        ({"n_layers": 0}, "n_layers"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_a_size_that_no_net_can_have_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        MRXConfig(**settings)


def test_a_net_of_one_layer_builds_without_a_warning() -> None:
    MRX(MRXConfig(window_lengths=(128,), hop_length=64, n_hidden=2, n_layers=1))
