r"""A multichannel Wiener filter that follows where every stem stands, on tensors.

Each stem is Gaussian with covariance :math:`v_j R_j` per cell, and what comes out is the
posterior mean,

.. math:: \hat y_j = v_j R_j \left(\sum_k v_k R_k\right)^{-1} x
   \qquad \text{[1]_, eq. 3}

but the spatial covariance :math:`R_j` is that of the frames and bins around the cell, so that it
knows a voice that walks and every sound of a stem of many. There it counts most what the stem has
to itself: with the share :math:`m_j` that the estimates give it of a cell,

.. math:: R_j \propto \sum_{\text{around}} m_j^2 \, \frac{y_j y_j^H}{\lVert y_j \rVert^2}

Levels are magnitudes, not powers [2]_, so that where all stems stand alike the estimates come back
as they were. A stem that is estimated by a mask treats both channels alike; after the filter it no
longer has to.

References
----------
.. [1] A. A. Nugraha, A. Liutkus, E. Vincent, "Multichannel audio source separation with
   deep neural networks", IEEE/ACM TASLP 24(9), 2016.
.. [2] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power
   spectrograms", ICASSP 2015.
"""

import torch
from torch import Tensor
from torch.nn import functional

FRAMES = 8  # that share a covariance
REACH_BLOCKS = 15  # of so many frames to either side: 1.4 s at 512 samples and 44.1 kHz
REACH_BINS = 2
BLOCKS_AT_ONCE = 32
EVERYWHERE = 0.01  # how much of a stem may come from anywhere: keeps covariances invertible
TINY = 1e-12


def local_wiener(cells: Tensor, images: Tensor) -> Tensor:
    """Return the posterior means of stems in two channels.

    Parameters
    ----------
    cells : Tensor
        The mix, complex64, shape (2, frames, bins).
    images : Tensor
        Estimates of the stems, complex64, shape (stems, 2, frames, bins).

    Returns
    -------
    Tensor
        complex64, the shape of ``images``. They add up to ``cells``.

    Examples
    --------
    Two sounds, one to the left and one to the right, whose masks leak:

    >>> noise = torch.randn(2, 64, 9, dtype=torch.complex64, generator=torch.manual_seed(0))
    >>> stems = torch.zeros(2, 2, 64, 9, dtype=torch.complex64)
    >>> stems[0, 0], stems[1, 1] = noise
    >>> leaky = 0.8 * stems + 0.2 * stems.flip(0)
    >>> found = local_wiener(stems.sum(dim=0), leaky)
    >>> bool((found - stems).abs().mean() < (leaky - stems).abs().mean())
    True
    """
    n_frames = cells.shape[1]
    missing = (0, 0, 0, -n_frames % FRAMES)
    x = _blocks(functional.pad(cells, missing))  # (2, N, 8, F)
    y = _blocks(functional.pad(images, missing))  # (J, 2, N, 8, F)
    v = torch.stack([(i.real.square() + i.imag.square()).sum(dim=0) for i in y]).sqrt_()
    total = v.sum(dim=0)
    v = torch.where(total > 0, v.div_(total.clamp(min=TINY)), 1 / len(v))  # (J, N, 8, F)
    places = _places(y, v)
    found = torch.empty_like(y)
    for first in range(0, x.shape[1], BLOCKS_AT_ONCE):  # some at a time, to keep memory low
        part = slice(first, first + BLOCKS_AT_ONCE)
        found[:, :, part] = _posterior(x[:, part], v[:, part], *(r[:, part] for r in places))
    return found.flatten(2, 3)[:, :, :n_frames]


def _posterior(x: Tensor, v: Tensor, r00: Tensor, r11: Tensor, r01: Tensor) -> Tensor:
    """Return the posterior means of some blocks, (J, 2, n, 8, F)."""
    # The covariance of the mix and its inverse, written out for two channels.
    c00, c11 = ((v * r).sum(dim=0) for r in (r00, r11))
    c01 = (v * r01).sum(dim=0)
    determinant = c00 * c11 - (c01.real.square() + c01.imag.square())
    z0 = (c11 * x[0] - c01 * x[1]) / determinant
    z1 = (c00 * x[1] - c01.conj() * x[0]) / determinant
    return torch.stack([v * (r00 * z0 + r01 * z1), v * (r01.conj() * z0 + r11 * z1)], dim=1)


def _blocks(cells: Tensor) -> Tensor:
    return cells.reshape(*cells.shape[:-2], -1, FRAMES, cells.shape[-1])


def _places(y: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the entries of the covariances, trace 2, each of shape (stems, blocks, 1, bins)."""
    found = []
    for image, share in zip(y, v, strict=True):  # one by one, to keep memory low
        left, right = image.real.square() + image.imag.square()
        weight = share.square() / (left + right).clamp(min=TINY)
        cross = image[0] * image[1].conj() * weight
        entries = (left * weight, right * weight, cross.real, cross.imag)
        around = functional.avg_pool2d(
            torch.stack([entry.mean(dim=1) for entry in entries]),  # (4, N, F)
            (2 * REACH_BLOCKS + 1, 2 * REACH_BINS + 1),
            stride=1,
            padding=(REACH_BLOCKS, REACH_BINS),
            count_include_pad=False,
        )
        scale = (1 - EVERYWHERE) / (around[0] + around[1]).clamp(min=TINY)
        found.append(2 * scale * around)
    r00, r11, real, imag = torch.stack(found, dim=1)[:, :, :, None]  # (4, J, N, 1, F)
    return r00 + EVERYWHERE, r11 + EVERYWHERE, torch.complex(real, imag)
