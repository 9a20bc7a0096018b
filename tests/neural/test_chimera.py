import itertools

import pytest
import torch

from unstir.errors import AudioError
from unstir.neural.chimera import Chimera, ChimeraConfig, mel_triangles
from unstir.neural.clustering import (
    assignments,
    chimera_loss,
    cluster_centers,
    deep_clustering_loss,
    mask_inference_loss,
    match_centers,
    nearest,
)

SMALL = ChimeraConfig(
    n_sources=3, n_fft=128, hop_length=32, n_bands=12, hidden=10, n_layers=2, n_dims=6
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=seeded(seed))


def labeled_cells(n_cells: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random unit vectors, one-hot labels and weights, two items each."""
    embeddings = torch.randn(2, n_cells, 5, generator=seeded(seed))
    embeddings = torch.nn.functional.normalize(embeddings, dim=2)
    labels = torch.eye(3)[torch.randint(3, (2, n_cells), generator=seeded(seed))]
    return embeddings, labels, torch.rand(2, n_cells, generator=seeded(seed))


def blobs(n_cells: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors around the three axes, and the axis of each."""
    axis = torch.randint(3, (n_cells,), generator=seeded(1))
    return torch.eye(3)[axis] + 0.1 * torch.randn(n_cells, 3, generator=seeded(2)), axis


@pytest.fixture(scope="module")
def net() -> Chimera:
    torch.manual_seed(0)
    return Chimera(SMALL).eval()


def test_the_low_rank_loss_equals_the_direct_one() -> None:
    embeddings, labels, _ = labeled_cells(70)
    direct = (embeddings @ embeddings.mT - labels @ labels.mT).square().sum((1, 2)) / 70**2
    loss = deep_clustering_loss(embeddings, labels, torch.ones(2, 70))
    torch.testing.assert_close(loss, direct.mean())


def test_the_weighted_low_rank_loss_equals_the_direct_one_at_any_level() -> None:
    embeddings, labels, weights = labeled_cells(70)
    pairs = weights[:, :, None] * weights[:, None, :]
    errors = (embeddings @ embeddings.mT - labels @ labels.mT).square()
    direct = (pairs * errors).sum((1, 2)) / pairs.sum((1, 2))
    for gain in (1e-6, 1.0, 1e6):
        loss = deep_clustering_loss(embeddings, labels, gain * weights)
        torch.testing.assert_close(loss, direct.mean())


def test_the_clustering_loss_is_zero_for_right_angles_and_for_silence() -> None:
    _, labels, weights = labeled_cells(40)
    turned = labels @ torch.linalg.qr(torch.randn(3, 3, generator=seeded())).Q
    assert deep_clustering_loss(turned, labels, weights).item() == pytest.approx(0, abs=1e-6)
    embeddings, labels, weights = labeled_cells(40)
    assert deep_clustering_loss(embeddings, labels, 0 * weights).item() == 0


def test_a_source_counts_where_it_is_loudest() -> None:
    magnitudes = torch.rand(2, 3, 4, 5, generator=seeded())
    labels = assignments(magnitudes)
    assert torch.equal(labels.sum(1), torch.ones(2, 4, 5))
    torch.testing.assert_close((labels * magnitudes).sum(1), magnitudes.amax(1))


def test_the_mask_loss_is_the_mean_distance_of_the_masked_mix() -> None:
    mixture = torch.tensor([[[2.0, 4.0]]])
    sources = torch.tensor([[[[2.0, 1.0]], [[0.0, 3.0]]]])
    masks = torch.full((1, 2, 1, 2), 0.5)
    # The masked mix is (1, 2) for either source, off by (5, 1) and (1, 7).
    assert mask_inference_loss(masks, mixture, 3 * sources).item() == pytest.approx(3.5)
    assert mask_inference_loss(masks, mixture, 3 * sources, norm="mse").item() == pytest.approx(19)


def test_the_joint_loss_weighs_both(net) -> None:
    mixture, sources = torch.rand(1, 12, 9), torch.rand(1, 3, 12, 9)
    embeddings, masks = net.heads(mixture)
    both = [chimera_loss(embeddings, masks, mixture, sources, alpha=a) for a in (0.0, 1.0, 0.3)]
    torch.testing.assert_close(both[0], mask_inference_loss(masks, mixture, sources))
    cells = embeddings.reshape(1, 12 * 9, 6)
    labels = assignments(sources).permute(0, 2, 3, 1).reshape(1, 12 * 9, 3)
    clustering = deep_clustering_loss(cells, labels, mixture.reshape(1, -1))
    torch.testing.assert_close(both[1], clustering)
    torch.testing.assert_close(both[2], 0.7 * both[0] + 0.3 * both[1])


@pytest.mark.parametrize("n_bands", [2, 12, 150])
def test_mel_bands_add_up_to_one_and_sit_closer_below(n_bands: int) -> None:
    triangles = mel_triangles(n_bands, 513, 16000)
    torch.testing.assert_close(triangles.sum(0), torch.ones(513))
    assert (triangles.sum(1) > 0).all()
    assert triangles[0].sum() <= triangles[-1].sum()


def test_k_means_finds_the_clusters_and_the_same_ones_again() -> None:
    cells, axis = blobs()
    weights = torch.rand(300, generator=seeded(3))
    centers = cluster_centers(cells, weights, 3, seed=5)
    assert torch.equal(cluster_centers(cells, weights, 3, seed=5), centers)
    found = nearest(cells, centers).argmax(1)
    assert any(torch.equal(torch.tensor(p)[found], axis) for p in itertools.permutations(range(3)))


def test_cells_without_weight_do_not_move_the_centers() -> None:
    cells, _ = blobs()
    far = torch.cat([cells, torch.full((50, 3), 9.0)])
    weights = torch.cat([torch.ones(300), torch.zeros(50)])
    torch.testing.assert_close(
        cluster_centers(far, weights, 3), cluster_centers(cells, torch.ones(300), 3)
    )


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_fewer_different_cells_than_clusters_still_give_centers(weight: float) -> None:
    centers = cluster_centers(torch.ones(9, 4), torch.full((9,), weight), 3)
    assert torch.equal(centers, torch.ones(3, 4))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_centers_come_in_the_order_of_the_masks(order: tuple[int, ...]) -> None:
    cells, axis = blobs()
    masks = 0.2 + 0.4 * torch.eye(3)[axis]
    shuffled = torch.eye(3)[list(order)]
    assert torch.equal(match_centers(shuffled, cells, masks, torch.ones(300)), torch.eye(3))


def test_both_heads_have_the_promised_ranges(net) -> None:
    embeddings, masks = net.heads(net.bands(noise(2, 2, 1000)))
    assert embeddings.shape == (2, 12, 33, 6)
    torch.testing.assert_close(embeddings.norm(dim=3), torch.ones(2, 12, 33))
    assert masks.shape == (2, 3, 12, 33)
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 12, 33))


@pytest.mark.parametrize(("channels", "n_samples"), [(1, 1), (2, 2), (1, 63), (6, 777), (2, 2001)])
def test_either_head_gives_estimates_that_add_up_at_any_length(net, channels, n_samples) -> None:
    x = noise(2, channels, n_samples)
    before = x.clone()
    for y in (net(x), net.forward_clustered(x, net.survey(x))):
        assert y.shape == (2, 3, channels, n_samples)
        torch.testing.assert_close(y.sum(1), x, atol=1e-6, rtol=0)
    assert torch.equal(x, before)


def test_silence_gives_silence_from_either_head(net) -> None:
    x = torch.zeros(1, 2, 500)
    silence = torch.zeros(1, 3, 2, 500)
    assert torch.equal(net(x), silence)
    assert torch.equal(net.forward_clustered(x, net.survey(x)), silence)


def test_a_survey_repeats_and_gives_every_source_a_center_of_its_own(net) -> None:
    x = noise(2, 1, 4000)
    centers = net.survey(x, seed=7)
    assert torch.equal(net.survey(x, seed=7), centers)
    assert centers.shape == (3, 6)
    assert len(centers.unique(dim=0)) == 3


def test_a_cell_goes_whole_to_the_source_of_its_center(net) -> None:
    x = noise(1, 1, 1000)
    embeddings, _ = net.heads(net.bands(x))
    there = embeddings.flatten(0, 2).mean(0)
    y = net.forward_clustered(x, torch.stack([-there, there + 9, 0 * there]))
    # The second center is far from all, so it gets nothing at all.
    assert not y[:, 1].any()
    torch.testing.assert_close(y[:, 0] + y[:, 2], x, atol=1e-6, rtol=0)


def test_items_of_a_batch_do_not_know_each_other(net) -> None:
    x = noise(3, 2, 1500)
    alone = torch.cat([net(item[None]) for item in x])
    torch.testing.assert_close(net(x), alone, atol=1e-6, rtol=0)


def test_gradients_reach_every_weight_and_the_mix() -> None:
    torch.manual_seed(0)
    net = Chimera(SMALL)
    sources = noise(3, 2, 2000)
    x = sources.sum(0, keepdim=True).requires_grad_()
    mixture = net.bands(x)
    loss = chimera_loss(*net.heads(mixture), mixture, net.bands(sources)[None])
    (loss + net(x)[:, 0].square().mean()).backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.any()
    for name, weight in net.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def test_a_few_steps_of_training_pull_two_tones_apart() -> None:
    torch.manual_seed(0)
    net = Chimera(ChimeraConfig(2, 8000, 128, 32, 16, 12, 1, 4))
    t = torch.arange(4000) / 8000
    gate = (torch.sin(2 * torch.pi * 5 * t) > 0).float()
    sources = torch.stack([gate * torch.sin(2 * torch.pi * 500 * t), torch.sin(9000 * t) / 2])
    x, sources = sources.sum(0)[None, None], sources[:, None]
    mixture, wanted = net.bands(x), net.bands(sources)[None]
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        chimera_loss(*net.heads(mixture), mixture, wanted).backward()
        optimizer.step()
    for y in (net(x), net.forward_clustered(x, net.survey(x))):
        error = (y[0] - sources).square().sum((1, 2)) / sources.square().sum((1, 2))
        assert (error < 0.05).all(), error


def test_a_wrong_shape_is_refused(net) -> None:
    with pytest.raises(AudioError, match=r"\(100,\) came"):
        net(torch.zeros(100))
