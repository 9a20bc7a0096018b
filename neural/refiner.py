r"""The refiner: corrections to any separator's stems, from the mix, the stems and planes of priors.

For every band and frame the net sees the mix (`unstir.neural.planes.planes`), how the base shares
it out, and what priors say. The base's shares :math:`m_j` are turned into logits, the net adds
to them, and the difference is the correction,

.. math:: D_j = \mathrm{softmax}(\log m + \Delta)_j - \mathrm{softmax}(\log m)_j,
          \qquad y_j = b_j + \mathrm{iSTFT}(D_j X)

so the corrections add up to zero over the stems, keep every share between zero and one, and are
zero as long as the net gives zero, which it does before it is trained: then the stems are the
base's own, on whatever grid those were made.

The net is a U-Net [1]_ of convolutions over (frames, bands), without recurrence: the base knows
who speaks, the refiner weighs evidence cell by cell. How far each kind of evidence can be trusted
is a matter of the whole scene (a center prior is worth nothing where dialogue moves), so the
channels at the bottom are weighed by what they are on average over the window [2]_.

References
----------
.. [1] O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image
   segmentation", MICCAI 2015.
.. [2] J. Hu, L. Shen, G. Sun, "Squeeze-and-excitation networks", CVPR 2018.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstir.neural.blocks import conv, up
from unstir.neural.losses import FLOOR
from unstir.neural.planes import EPS, N_PLANES, Bands, to_bands

SAMPLE_RATE = 44100
SOURCES = ("speech", "music", "effects")
SHARE_FLOOR = 0.01  # of a base that gives a stem nothing: what a correction can grow from


@dataclass(frozen=True, slots=True)
class RefinerConfig:
    """Sizes of `Refiner`.

    Parameters
    ----------
    n_priors : int
        Planes of priors.
    n_sources : int
        Stems.
    channels : tuple of int
        Width of each stage; the first halves the bands, every further one bands and frames.
    dilations : tuple of int
        Over frames, of the convolutions at the bottom.
    n_fft, hop_length, n_bands, n_single : int
        The grid, as in `unstir.neural.planes.Bands`, at 44.1 kHz.
    sample_rate : int
        In hertz.
    """

    n_priors: int = 0
    n_sources: int = 3
    channels: tuple[int, ...] = (32, 48, 72, 96)
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    n_fft: int = 2048
    hop_length: int = 512
    n_bands: int = 256
    n_single: int = 160
    sample_rate: int = SAMPLE_RATE

    @property
    def bands(self) -> Bands:
        """The grid."""
        return Bands(self.n_fft, self.hop_length, self.n_bands, self.n_single)

    @property
    def priors(self) -> tuple[str, ...]:
        """The priors that it looks at, as `unstir.hybrid.bank.Bank` takes them: all."""
        return ()


class Seen(NamedTuple):
    """What the refiner looks at, all float32 of shape (batch, ..., frames, bands).

    ``mix`` has 5 planes, ``shares`` one per stem in [0, 1], ``priors`` as many as the bank has.
    """

    mix: Tensor
    shares: Tensor
    priors: Tensor


class Residues(NamedTuple):
    """Energies per band from which the error of any correction follows.

    With the residue r_j, what the base's stem j lacks, the energy of the error left by a correction
    D_j that is constant within a band is the sum of D_j^2 ``mixture`` - 2 D_j ``cross`` over frames
    and bands, plus ``residue``.

    ``mixture`` has shape (batch, 1, frames, bands); ``cross``, the real part of the residue
    times the conjugate mixture, (batch, sources, frames, bands); ``residue`` and ``energy``, of
    the residues and of the true sources, (batch, sources).
    """

    mixture: Tensor
    cross: Tensor
    residue: Tensor
    energy: Tensor


class Refiner(nn.Module):
    """Corrections that add up to zero.

    Parameters
    ----------
    config : RefinerConfig, optional
        Its sizes.

    Examples
    --------
    >>> net = Refiner(RefinerConfig(n_priors=2, channels=(4, 4), dilations=(1,))).eval()
    >>> seen = Seen(*(torch.rand(1, n, 9, 256) for n in (5, 3, 2)))
    >>> net(seen).shape, float(net(seen).detach().abs().max())
    (torch.Size([1, 3, 9, 256]), 0.0)
    """

    def __init__(self, config: RefinerConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or RefinerConfig()
        widths = c.channels
        n_in = N_PLANES + c.n_sources + c.n_priors
        self.first = conv(n_in, widths[0], (3, 4), (1, 2))
        self.encoder = nn.ModuleList(
            nn.Sequential(conv(a, b, (2, 2), (2, 2)), conv(b, b)) for a, b in pairwise(widths)
        )
        self.core = nn.ModuleList(_core(widths[-1], d) for d in c.dilations)
        self.decoder = nn.ModuleList(
            nn.ModuleDict({"up": up(b, a), "mix": conv(2 * a, a)})
            for a, b in reversed(list(pairwise(widths)))
        )
        self.last = nn.ConvTranspose2d(widths[0], c.n_sources, (1, 2), stride=(1, 2))
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None  # for the types
        nn.init.zeros_(self.last.bias)

    def forward(self, seen: Seen, sharpness: float = 1.0) -> Tensor:
        """Return the corrections D.

        Parameters
        ----------
        seen : Seen
            Planes of any number of frames.
        sharpness : float > 0
            What the corrected logits are multiplied by: above 1, cells are given away more
            wholly, below 1 they are shared more evenly.

        Returns
        -------
        Tensor
            float32, shape (batch, sources, frames, bands), in [-1, 1].
        """
        base = torch.log(seen.shares.clamp(min=SHARE_FLOOR))  # (B, J, T, K)
        found = (base + self.logits(seen)) * sharpness
        return torch.softmax(found, dim=1) - torch.softmax(base, dim=1)

    def logits(self, seen: Seen) -> Tensor:
        """Return what is added to the logits of the base, (B, J, T, K)."""
        n_frames = seen.mix.shape[2]
        priors = seen.priors[:, : self.config.n_priors]  # none for the one that does without
        x = torch.cat([seen.mix, 2 * seen.shares - 1, priors], dim=1)
        missing = -n_frames % 2 ** len(self.encoder)
        x = functional.pad(x, (0, 0, 0, missing), mode="replicate")
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for stage in self.encoder:
            skips.append(x)
            x = stage(x)
        for layer in self.core:
            x = x + layer(x)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            assert isinstance(stage, nn.ModuleDict)  # for the types
            x = stage["mix"](torch.cat([stage["up"](x), skip], dim=1))
        logits: Tensor = self.last(x)
        return logits[:, :, :n_frames].float()


def shares_of(base: Iterable[Tensor], mixture: Tensor, bands: Bands) -> Tensor:
    """Return how a base shares the mix out, band by band.

    Parameters
    ----------
    base : iterable of Tensor
        Spectrograms of its stems, each complex64 of shape (batch, channels, frames, bins). They
        are taken one by one, and need not all be there at once.
    mixture : Tensor
        That of the mix, of the same shape.
    bands : Bands
        The grid.

    Returns
    -------
    Tensor
        float32, shape (batch, sources, frames, bands): the part of each stem that is in phase
        with the mix, over the mix, in [0, 1]; an even share where the mix is silent. Masks
        give themselves.
    """
    power = mixture.real.square() + mixture.imag.square()
    total = to_bands(power.sum(dim=1), bands)[:, None]
    del power
    products = (stem.real * mixture.real + stem.imag * mixture.imag for stem in base)
    cross = torch.stack([to_bands(p.sum(dim=1), bands) for p in products], dim=1)  # (B, J, T, K)
    even = 1 / cross.shape[1]
    shares = torch.where(total > EPS * EPS, cross / total.clamp(min=EPS * EPS), even)
    return shares.clamp(0, 1)


def residue_loss(corrections: Tensor, residues: Residues) -> Tensor:
    """Return the mean negative SNR of the corrected stems in dB, as `losses.snr_loss` bounds it.

    Parameters
    ----------
    corrections : Tensor
        Of `Refiner`, shape (batch, sources, frames, bands).
    residues : Residues
        Of the base.

    Returns
    -------
    Tensor
        A scalar in dB.
    """
    error = error_energy(corrections, residues)
    mix = residues.mixture.sum((2, 3))
    soft = FLOOR * residues.energy + FLOOR * 0.25 * mix + 1e-6
    return (10 * torch.log10((error + soft) / (residues.energy + soft))).mean()


def error_energy(corrections: Tensor, residues: Residues) -> Tensor:
    """Return the energy of what the corrected stems lack, (batch, sources)."""
    change = (corrections * (corrections * residues.mixture - 2 * residues.cross)).sum((2, 3))
    return (change + residues.residue).clamp(min=0)


class _Weighed(nn.Module):
    """Channels times how much they count in this window, between 0 and 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, width // 4)
        self.excite = nn.Linear(width // 4, width)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3))  # (B, C)
        weight = 2 * torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))
        return x * weight[:, :, None, None]


def _core(width: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=(dilation, 1), dilation=(dilation, 1), bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _Weighed(width),
    )
