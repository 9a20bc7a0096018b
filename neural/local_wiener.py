r"""A multichannel Wiener filter that follows where every stem stands, on tensors.

Each stem is Gaussian with covariance :math:`v_j R_j` per cell, and what comes out is the
posterior mean,

.. math:: \hat y_j = v_j R_j \left(\sum_k v_k R_k\right)^{-1} x
   \qquad \text{[1]_, eq. 3}

but the spatial covariance :math:`R_j` is that of the frames and bins around the cell, so that it
knows a voice that walks and every sound of a stem of many. There it counts most what the stem has
to itself: with its mask :math:`m_j`,

.. math:: R_j \propto \sum_{\text{around}} m_j^2 \, \frac{x x^H}{\lVert x \rVert^2}

Levels are magnitudes, not powers [2]_, so :math:`v_j = m_j`, and where all stems stand alike the
masks come back as they were. A mask treats both channels alike; the filter does not.

References
----------
.. [1] A. A. Nugraha, A. Liutkus, E. Vincent, "Multichannel audio source separation with
   deep neural networks", IEEE/ACM TASLP 24(9), 2016.
.. [2] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power
   spectrograms", ICASSP 2015.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

FRAMES = 8  # that share a covariance
REACH_BLOCKS = 15  # of so many frames to either side: 1.4 s at 512 samples and 44.1 kHz
REACH_BINS = 2
EVERYWHERE = 0.01  # how much of a stem may come from anywhere: keeps covariances invertible
AT_ONCE = 32 * FRAMES
TINY = 1e-12


def local_wiener(cells: Tensor, masks: Tensor) -> Tensor:
    """Return the posterior means of stems in two channels.

    Parameters
    ----------
    cells : Tensor
        The mix, complex64, shape (2, frames, bins).
    masks : Tensor
        Of the stems, float32, shape (stems, frames, bins), in [0, 1]; they add up to one.

    Returns
    -------
    Tensor
        complex64, shape (stems, 2, frames, bins). They add up to ``cells``.

    Examples
    --------
    Two sounds, one to the left and one to the right, whose masks leak:

    >>> stems = torch.zeros(2, 2, 64, 9, dtype=torch.complex64)
    >>> stems[0, 0], stems[1, 1] = torch.randn(
    ...     2, 64, 9, dtype=torch.complex64, generator=torch.manual_seed(0)
    ... )
    >>> power = stems.abs().square().sum(dim=1)
    >>> masks = power / power.sum(dim=0)
    >>> found = local_wiener(stems.sum(dim=0), masks)
    >>> leaky = masks[:, None] * stems.sum(dim=0)
    >>> bool((found - stems).abs().mean() < (leaky - stems).abs().mean())
    True
    """
    return torch.cat(list(filtered(cells, masks)), dim=2)


def filtered(cells: Tensor, masks: Tensor) -> Iterator[Tensor]:
    """Yield what `local_wiener` returns, some frames at a time, to keep memory low."""
    places = _places(cells, masks)
    for first in range(0, cells.shape[1], AT_ONCE):
        part = slice(first, first + AT_ONCE)
        blocks = slice(first // FRAMES, (first + AT_ONCE) // FRAMES)
        v, x = masks[:, part], cells[:, part]
        near = (r[:, blocks].repeat_interleave(FRAMES, dim=1)[:, : v.shape[1]] for r in places)
        r00, r11, r01 = (v * r for r in near)
        # The covariance of the mix and its inverse, written out for two channels.
        c00, c11, c01 = (r.sum(dim=0) for r in (r00, r11, r01))
        determinant = c00 * c11 - (c01.real.square() + c01.imag.square())
        z0 = (c11 * x[0] - c01 * x[1]) / determinant
        z1 = (c00 * x[1] - c01.conj() * x[0]) / determinant
        yield torch.stack([r00 * z0 + r01 * z1, r01.conj() * z0 + r11 * z1], dim=1)


def _places(cells: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the entries of the covariances, trace 2, each of shape (stems, blocks, bins)."""
    parts = zip(torch.split(cells, AT_ONCE, dim=1), torch.split(masks, AT_ONCE, dim=1), strict=True)
    sums = torch.cat([_blocks(x, m) for x, m in parts], dim=2)  # (J, 4, N, F)
    around = torch.stack([_mean_around(one) for one in sums], dim=1)  # (4, J, N, F)
    around *= (1 - EVERYWHERE) * 2 / (around[0] + around[1]).clamp(min=TINY)
    r00, r11, real, imag = around
    return r00 + EVERYWHERE, r11 + EVERYWHERE, torch.complex(real, imag)


def _blocks(cells: Tensor, masks: Tensor) -> Tensor:
    """Return entries of the covariances of blocks of frames, shape (stems, 4, blocks, bins)."""
    missing = (0, 0, 0, -cells.shape[1] % FRAMES)
    cells, masks = functional.pad(cells, missing), functional.pad(masks, missing)
    left, right = cells.real.square() + cells.imag.square()
    scale = 1 / (left + right).clamp(min=TINY)
    cross = cells[0] * cells[1].conj() * scale
    mix = torch.stack([left * scale, right * scale, cross.real, cross.imag])  # (4, T, F)
    weighted = (mask.square() * mix for mask in masks)
    return torch.stack([w.unflatten(1, (-1, FRAMES)).sum(dim=2) for w in weighted])


def _mean_around(planes: Tensor) -> Tensor:
    """Return means over blocks and bins around, one axis after the other, of what is there."""
    for size in ((2 * REACH_BLOCKS + 1, 1), (1, 2 * REACH_BINS + 1)):
        margin = (size[0] // 2, size[1] // 2)
        planes = functional.avg_pool2d(planes, size, 1, margin, count_include_pad=False)
    return planes
