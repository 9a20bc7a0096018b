"""Deep clustering: its loss, the loss of masks beside it, and k-means at test time.

Pure functions on the cells of a spectrogram; ``unstir.neural.chimera`` has the net.
"""

from itertools import permutations
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

MAX_CELLS = 20_000  # plenty for a handful of centers, and k-means takes a second


def assignments(magnitudes: Tensor) -> Tensor:
    """Return which source is loudest in every cell: the ideal binary mask.

    Parameters
    ----------
    magnitudes : Tensor of float32, shape (batch, sources, bands, frames), at least 0

    Returns
    -------
    Tensor of float32, the same shape
        Rows of one-hot vectors along the sources; of equals the first.

    Examples
    --------
    >>> assignments(torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)).flatten()
    tensor([0., 1.])
    """
    first = magnitudes.argmax(1, keepdim=True)
    return torch.zeros_like(magnitudes).scatter_(1, first, 1)


def deep_clustering_loss(embeddings: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    r"""Return how far the likeness of embeddings is from that of labels [1]_.

    .. math:: \sum_{ij} w_i w_j (v_i^T v_j - y_i^T y_j)^2 \Big/ \Big(\sum_i w_i\Big)^2

    With equal weights this is :math:`|V V^T - Y Y^T|_F^2 / N^2`, the published loss over the
    number of pairs, so that neither the length nor the level of the sound scales it.

    Parameters
    ----------
    embeddings : Tensor of float32, shape (batch, cells, dims)
        V, one vector per cell.
    labels : Tensor of float32, shape (batch, cells, sources)
        Y, one-hot.
    weights : Tensor of float32, shape (batch, cells), at least 0
        What a cell counts: its share of the magnitude keeps silent cells out. An item whose
        weights are all zero has loss 0.

    Returns
    -------
    Tensor of float32, shape ()
        The mean over the batch.

    References
    ----------
    .. [1] J. R. Hershey, Z. Chen, J. Le Roux and S. Watanabe, "Deep clustering: discriminative
       embeddings for segmentation and separation", ICASSP 2016, eq. 1 and 2.

    Examples
    --------
    >>> labels = torch.eye(2)[None]
    >>> deep_clustering_loss(labels, labels, torch.ones(1, 2)).item()
    0.0
    """
    total = weights.sum(1, keepdim=True)
    share = (weights / torch.where(total > 0, total, 1))[..., None]  # (B, N, 1)

    def gram(a: Tensor, b: Tensor) -> Tensor:
        return (a.mT @ (share * b)).square().sum((1, 2))

    # No matrix of all pairs appears: |VV' - YY'|^2 = |V'V|^2 - 2 |V'Y|^2 + |Y'Y|^2, eq. 2.
    v, y = embeddings, labels
    return (gram(v, v) - 2 * gram(v, y) + gram(y, y)).mean()


def mask_inference_loss(
    masks: Tensor, mixture: Tensor, sources: Tensor, *, norm: Literal["l1", "mse"] = "l1"
) -> Tensor:
    """Return the mean distance between the masked mix and the sources.

    Parameters
    ----------
    masks : Tensor of float32, shape (batch, sources, bands, frames)
    mixture : Tensor of float32, shape (batch, bands, frames), at least 0
        Magnitudes of the mix.
    sources : Tensor of float32, shape (batch, sources, bands, frames), at least 0
        Magnitudes of the sources.
    norm : {"l1", "mse"}
        Absolute or squared differences.

    Returns
    -------
    Tensor of float32, shape ()

    Examples
    --------
    >>> half = torch.full((1, 2, 1, 1), 0.5)
    >>> mask_inference_loss(half, torch.ones(1, 1, 1), torch.ones(1, 2, 1, 1), norm="mse").item()
    0.25
    """
    distance = functional.l1_loss if norm == "l1" else functional.mse_loss
    return distance(masks * mixture[:, None], sources)


def chimera_loss(
    embeddings: Tensor,
    masks: Tensor,
    mixture: Tensor,
    sources: Tensor,
    *,
    alpha: float = 0.1,
    norm: Literal["l1", "mse"] = "l1",
) -> Tensor:
    r"""Return :math:`\alpha L_{DC} + (1 - \alpha) L_{MI}`.

    Parameters
    ----------
    embeddings : Tensor of float32, shape (batch, bands, frames, dims)
        Of `Chimera.heads`.
    masks : Tensor of float32, shape (batch, sources, bands, frames)
        Of `Chimera.heads`.
    mixture : Tensor of float32, shape (batch, bands, frames), at least 0
        Of `Chimera.bands`.
    sources : Tensor of float32, shape (batch, sources, bands, frames), at least 0
        `Chimera.bands` of every source.
    alpha : float in [0, 1]
        Weight of the clustering loss.
    norm : {"l1", "mse"}
        Of the mask loss.

    Returns
    -------
    Tensor of float32, shape ()

    Examples
    --------
    >>> sources = torch.tensor([1.0, 0.0, 0.0, 1.0]).reshape(1, 2, 2, 1)
    >>> embeddings = torch.eye(2).reshape(1, 2, 1, 2)
    >>> chimera_loss(embeddings, sources, torch.ones(1, 2, 1), sources).item()
    0.0
    """
    clustering = deep_clustering_loss(
        embeddings.flatten(1, 2),
        assignments(sources).flatten(2).mT,
        mixture.flatten(1),
    )
    return alpha * clustering + (1 - alpha) * mask_inference_loss(
        masks, mixture, sources, norm=norm
    )


def cluster_centers(embeddings: Tensor, weights: Tensor, k: int, seed: int = 0) -> Tensor:
    """Return the centers that k-means finds.

    Parameters
    ----------
    embeddings : Tensor of float32, shape (cells, dims)
        At most `MAX_CELLS` of those that count are looked at, drawn by ``seed``.
    weights : Tensor of float32, shape (cells,), at least 0
        What a cell counts.
    k : int
        Clusters.
    seed : int
        Of the draw and of the starts; the same seed gives the same centers.

    Returns
    -------
    Tensor of float32, shape (k, dims)
        In no particular order. Where fewer than ``k`` different vectors count, as in silence,
        some centers are the same.

    Examples
    --------
    >>> cells = torch.eye(2).repeat(50, 1)
    >>> cluster_centers(cells, torch.ones(100), 2).sum(0)
    tensor([1., 1.])
    """
    from sklearn.cluster import KMeans  # training needs torch and numpy alone

    points = embeddings.detach().cpu().double().numpy()
    counts = weights.detach().cpu().double().numpy()
    loud = np.flatnonzero(counts > 0)
    if len(loud) > MAX_CELLS:
        loud = np.random.default_rng(seed).choice(loud, MAX_CELLS, replace=False)
    different = np.unique(points[loud], axis=0)
    if len(different) <= k:
        centers = np.resize(different if len(different) else points[:1], (k, points.shape[1]))
    else:
        means = KMeans(k, n_init=5, random_state=seed)
        centers = means.fit(points[loud], sample_weight=counts[loud]).cluster_centers_
    return torch.from_numpy(centers).to(embeddings)


def nearest(embeddings: Tensor, centers: Tensor) -> Tensor:
    """Return which center is nearest to each vector, one-hot.

    Parameters
    ----------
    embeddings : Tensor of float32, shape (..., dims)
    centers : Tensor of float32, shape (k, dims)

    Returns
    -------
    Tensor of float32, shape (..., k)

    Examples
    --------
    >>> nearest(torch.tensor([[0.9, 0.1]]), torch.eye(2))
    tensor([[1., 0.]])
    """
    # |v - c|^2 = |v|^2 - 2 v'c + |c|^2, whose first term is the same for all centers.
    far = centers.square().sum(1) - 2 * embeddings @ centers.mT
    return functional.one_hot(far.argmin(-1), len(centers)).to(embeddings)


def match_centers(centers: Tensor, embeddings: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
    """Return the centers in the order of the sources whose masks their clusters are most like.

    Parameters
    ----------
    centers : Tensor of float32, shape (sources, dims)
        Of `cluster_centers`.
    embeddings : Tensor of float32, shape (cells, dims)
    masks : Tensor of float32, shape (cells, sources), in [0, 1]
        Of the mask head.
    weights : Tensor of float32, shape (cells,), at least 0
        What a cell counts.

    Returns
    -------
    Tensor of float32, shape (sources, dims)
        The order, of all orders, in which clusters and masks share the most weight.

    Examples
    --------
    >>> cells = torch.eye(2)
    >>> match_centers(cells, cells, 1 - cells, torch.ones(2))
    tensor([[0., 1.],
            [1., 0.]])
    """
    shared = (nearest(embeddings, centers) * weights[:, None]).mT @ masks  # (k, S)
    places = range(len(centers))
    order = max(
        permutations(places), key=lambda p: sum(float(shared[p[source], source]) for source in p)
    )
    return centers[list(order)]
