"""Our own net: a convolutional U-Net over band planes around a recurrent core.

Convolutions over (frames, bands) find harmonics, onsets and what sits in the middle
whatever their pitch and time; the recurrent core carries who speaks and what plays over
seconds. Nothing is normalized over the window, so a window's length changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from unstir.neural.blocks import conv, up
from unstir.neural.planes import N_PLANES, Bands, separate

SAMPLE_RATE = 44100
SOURCES = ("speech", "music", "effects")


@dataclass(frozen=True, slots=True)
class CompactConfig:
    """Sizes of `Compact`.

    Parameters
    ----------
    n_sources : int
        How many masks.
    n_fft, hop_length : int
        The transform, in samples at 44.1 kHz.
    n_bands, n_single : int
        Bands, and how many of them are one bin wide.
    channels : tuple of int
        Width of the convolutions; the first already halves the bands, every further one
        halves bands and frames.
    hidden : int
        Units of the recurrent core, per direction.
    layers : int
        Layers of it.
    causal : bool
        Whether no frame may look at later ones.
    dropout : float in [0, 1)
        Share of the core's inputs, and of what its layers hand on, that is silenced in training.
    """

    n_sources: int = 3
    n_fft: int = 2048
    hop_length: int = 512
    n_bands: int = 256
    n_single: int = 160
    channels: tuple[int, ...] = (24, 48, 80)
    hidden: int = 256
    layers: int = 2
    causal: bool = False
    dropout: float = 0.0


# A frame of 35 ms, so that a stream is out less than 40 ms after it came in.
CAUSAL = CompactConfig(n_fft=1536, hop_length=384, causal=True)


class Compact(nn.Module):
    """Masks that share every cell of a mix out among the sources, linked over the channels.

    Parameters
    ----------
    config : CompactConfig, optional
        Its sizes.

    Examples
    --------
    >>> net = Compact(CompactConfig(channels=(4, 4, 4), hidden=8)).eval()
    >>> net(torch.zeros(1, 2, 10000)).shape
    torch.Size([1, 3, 2, 10000])
    """

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or CompactConfig()
        self.bands = Bands(c.n_fft, c.hop_length, c.n_bands, c.n_single)
        widths = c.channels
        self.first = conv(N_PLANES, widths[0], (3, 4), (1, 2), causal=c.causal)
        self.encoder = nn.ModuleList(
            nn.Sequential(conv(a, b, (2, 2), (2, 2), causal=c.causal), conv(b, b, causal=c.causal))
            for a, b in pairwise(widths)
        )
        flat = widths[-1] * (c.n_bands >> len(widths))
        self.into = nn.Linear(flat, c.hidden)
        self.core = nn.LSTM(
            c.hidden,
            c.hidden,
            c.layers,
            batch_first=True,
            bidirectional=not c.causal,
            dropout=c.dropout,
        )
        self.dropout = nn.Dropout(c.dropout)
        self.out_of = nn.Linear(c.hidden * (1 if c.causal else 2), flat)
        self.decoder = nn.ModuleList(
            nn.ModuleDict({"up": up(b, a), "mix": conv(2 * a, a, causal=c.causal)})
            for a, b in reversed(list(pairwise(widths)))
        )
        self.last = nn.ConvTranspose2d(widths[0], c.n_sources, (1, 2), stride=(1, 2))

    def logits(self, seen: Tensor) -> Tensor:
        """Return what the masks are made of.

        Parameters
        ----------
        seen : Tensor
            Planes, shape (batch, 5, frames, bands).

        Returns
        -------
        Tensor
            Shape (batch, sources, frames, bands).
        """
        logits: Tensor = self.last(self.decode(*self.encode(seen)))
        return logits[:, :, : seen.shape[2]]

    def encode(self, seen: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what the convolutions find in planes: the coarsest level, and the finer ones.

        Parameters
        ----------
        seen : Tensor
            Planes, shape (batch, 5, frames, bands).
        """
        missing = -seen.shape[2] % 2 ** len(self.encoder)
        x = nn.functional.pad(seen, (0, 0, 0, missing), mode="replicate")
        x = self.first(x.contiguous(memory_format=torch.channels_last))  # (B, C0, T, K / 2)
        skips = []
        for stage in self.encoder:
            skips.append(x)
            x = stage(x)
        return x, skips

    def decode(
        self, x: Tensor, skips: list[Tensor], steer: Callable[[int, Tensor], Tensor] | None = None
    ) -> Tensor:
        """Return what the last layer makes logits of.

        Parameters
        ----------
        x, skips : Tensor and list of Tensor
            From `encode`.
        steer : callable, optional
            Given a number and what flows there, says what flows on: 0 is the core's input of shape
            (batch, frames, hidden), 1 its output, and from 2 on come the decoder's stages, of shape
            (batch, channels, frames, bands).

        Returns
        -------
        Tensor
            Shape (batch, channels, frames, bands / 2), with frames to spare at the end.
        """
        b, c, t, k = x.shape
        rows = self.into(x.permute(0, 2, 1, 3).reshape(b, t, c * k))  # (B, T', hidden)
        rows = nn.functional.relu(rows)
        rows = self.dropout(steer(0, rows) if steer else rows)
        rows = self.dropout(self.core(rows)[0])
        rows = self.out_of(steer(1, rows) if steer else rows)
        x = x + rows.reshape(b, t, c, k).permute(0, 2, 1, 3)
        for number, (stage, skip) in enumerate(zip(self.decoder, reversed(skips), strict=True)):
            assert isinstance(stage, nn.ModuleDict)  # for the types
            x = stage["up"](x)
            if self.config.causal:
                # A group of two is known at its second frame: everything moves one frame later.
                x = nn.functional.pad(x, (0, 0, 1, -1))
            x = stage["mix"](torch.cat([x, skip], dim=1))
            x = steer(2 + number, x) if steer else x
        return x

    def forward(self, mixture: Tensor, *, as_planes: bool = False) -> Tensor:
        """Return the sources; or, of planes, the logits (which is how it is trained).

        Parameters
        ----------
        mixture : Tensor
            float32, shape (batch, channels, samples) at 44.1 kHz, best at -27 LUFS; one or
            two channels.

        Returns
        -------
        Tensor
            float32, shape (batch, sources, channels, samples); they add up to the mixture.
        """
        if as_planes:
            return self.logits(mixture)
        # The filter looks ahead, and has no gradient where a source is silent.
        follow = not self.config.causal and not self.training
        return separate(mixture, self.bands, self.logits, follow=follow)
