"""U-Net on the magnitude spectrogram [1]_.

The published net: 8192 Hz, frames of 1024 samples every 768, magnitudes scaled to [0, 1], six
strided 5 x 5 convolutions down and six up, and a soft mask for one source. It was trained once
for the voice and once for the accompaniment, on patches of 128 frames, to the smallest mean
absolute difference between the masked magnitude and the source's.

Ours: several sources share one net, whose masks then add up to one in every cell.

References
----------
.. [1] A. Jansson, E. Humphrey, N. Montecchio, R. Bittner, A. Kumar and T. Weyde, "Singing voice
   separation with deep U-Net convolutional networks", ISMIR 2017.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstir.errors import SettingsError
from unstir.neural.frames import linked_magnitude, render, shares, stft

SAMPLE_RATE = 8192
SOURCES = ("vocals",)
N_DROPOUT = 3  # layers of the decoder, from the bottom


@dataclass(frozen=True, slots=True)
class UnetConfig:
    """The published net, unless told otherwise.

    Parameters
    ----------
    n_sources : int
        1 for a sigmoid mask, 2 or more for masks that add up to one.
    sample_rate : int
        Of the sound, in hertz.
    n_fft : int
        Frame length in samples; half of it must divide by 2 to the power of the depth.
    hop_length : int
        Samples from frame to frame.
    channels : tuple of int
        Features after each convolution of the encoder; as many layers as there are numbers.

    Raises
    ------
    SettingsError
        If the bins cannot be halved once per layer.
    """

    n_sources: int = 1
    sample_rate: int = SAMPLE_RATE
    n_fft: int = 1024
    hop_length: int = 768
    channels: tuple[int, ...] = (16, 32, 64, 128, 256, 512)

    def __post_init__(self) -> None:
        if self.n_fft % (2 * self.stride):
            raise SettingsError(
                f"n_fft={self.n_fft} came with {len(self.channels)} layers; "
                f"a multiple of {2 * self.stride} is wanted"
            )

    @property
    def stride(self) -> int:
        """Cells of the spectrogram, either way, for one at the bottom of the U."""
        return int(2 ** len(self.channels))


def _down(n_in: int, n_out: int) -> nn.Sequential:
    # The batch normalization takes any bias away again, so there is none.
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(0.2),
    )


def _deconvolution(n_in: int, n_out: int, *, bias: bool) -> nn.ConvTranspose2d:
    """Return the layer that doubles both axes exactly."""
    return nn.ConvTranspose2d(n_in, n_out, 5, stride=2, padding=2, output_padding=1, bias=bias)


def _up(n_in: int, n_out: int, *, dropout: bool) -> nn.Sequential:
    layers = [_deconvolution(n_in, n_out, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropout else []))


class Unet(nn.Module):
    """Soft masks from a convolutional encoder and decoder with skip connections.

    Parameters
    ----------
    config : UnetConfig, optional
        Shape of the net; the published one if not given.

    Examples
    --------
    >>> net = Unet(UnetConfig(n_sources=3, n_fft=64, hop_length=16, channels=(4, 8))).eval()
    >>> net(torch.zeros(1, 2, 1000)).shape
    torch.Size([1, 3, 2, 1000])
    """

    def __init__(self, config: UnetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UnetConfig()
        widths = (1, *config.channels)
        self.encoder = nn.ModuleList(map(_down, widths[:-1], widths[1:]))
        *_, bottom = widths
        n_in, layers = bottom, []
        for i, width in enumerate(widths[-2:0:-1]):
            layers.append(_up(n_in, width, dropout=i < N_DROPOUT))
            n_in = 2 * width  # the skip connection brings as many again
        self.decoder = nn.ModuleList([*layers, _deconvolution(n_in, config.n_sources, bias=True)])

    def masks(self, magnitude: Tensor) -> Tensor:
        """Return a mask per source.

        Parameters
        ----------
        magnitude : Tensor of float32, shape (batch, bins, frames), at least 0
            ``n_fft // 2 + 1`` bins from 0 Hz to Nyquist, any number of frames. Each item is
            divided by its largest magnitude, so masks do not depend on the level.

        Returns
        -------
        Tensor of float32, shape (batch, sources, bins, frames), in (0, 1)
            The net sees ``n_fft // 2`` bins from 0 Hz up, which can be halved; the bin at
            Nyquist, which holds next to nothing, takes the mask of the bin below it. Frames are
            filled up with silence to a multiple of ``config.stride``, two of them at least.

        Examples
        --------
        >>> net = Unet(UnetConfig(n_sources=2, n_fft=64, channels=(4, 8))).eval()
        >>> masks = net.masks(torch.rand(1, 33, 5))
        >>> masks.shape, bool((masks.sum(1) - 1).abs().max() < 1e-6)
        (torch.Size([1, 2, 33, 5]), True)
        """
        n_frames = magnitude.shape[2]
        peak = magnitude.amax((1, 2), keepdim=True)
        x = magnitude[:, :-1] / torch.where(peak > 0, peak, 1)
        # On CPUs, torch's strided convolutions in bf16 read memory that nobody has written where a
        # single frame comes out (seen with 2.13).
        n_padded = max(2, -(-n_frames // self.config.stride)) * self.config.stride
        x = functional.pad(x, (0, n_padded - n_frames))[:, None]  # (B, 1, F - 1, T')
        skips = []
        for down in self.encoder:
            x = down(x)  # (B, channels, F' / 2, T' / 2)
            skips.append(x)
        skips.pop()
        for up in self.decoder:
            x = up(x)  # (B, channels, 2 F', 2 T')
            if skips:
                x = torch.cat([x, skips.pop()], 1)
        masks = shares(x[..., :n_frames])  # (B, S, F - 1, T)
        return torch.cat([masks, masks[:, :, -1:]], 2)  # (B, S, F, T)

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the estimates of all sources, with the phase of the mix.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, channels, samples)
            Any number of channels and samples, at ``config.sample_rate``; left as it is.

        Returns
        -------
        Tensor of float32, shape (batch, sources, channels, samples)
            Twice the mix gives twice the estimates. Two sources or more add up to the mix.

        Raises
        ------
        AudioError
            If the shape is another.
        """
        n_fft, hop_length = self.config.n_fft, self.config.hop_length
        cells = stft(mixture, n_fft, hop_length)  # (B, C, F, T)
        masks = self.masks(linked_magnitude(cells))  # (B, S, F, T)
        return render(cells, masks, n_fft, hop_length, mixture.shape[2])
