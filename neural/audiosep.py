r"""AudioSep's separator ResUNet30: the one sound that a condition vector asks for.

The published net of Liu et al. [1]_ to the last parameter, so that its released checkpoints load.
A residual U-Net, after Kong et al. [2]_, sees the mixture's magnitudes and gives a magnitude mask,
at most 1, and a rotation of the phase. The condition, 512 numbers that a text or audio encoder
makes, acts on every batch normalization as an added bias per channel.

References
----------
.. [1] X. Liu, Q. Kong, Y. Zhao, H. Liu, Y. Yuan, Y. Liu, R. Xia, Y. Wang, M. Plumbley and W. Wang,
   "Separate Anything You Describe", 2023, arXiv 2308.05037: the net, its condition and training.
.. [2] Q. Kong, Y. Cao, H. Liu, K. Choi and Y. Wang, "Decoupling Magnitude and Phase Estimation
   with Deep ResUNet for Music Source Separation", ISMIR 2021: the trunk and the phase residual.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unstir.errors import AudioError, SettingsError
from unstir.neural.released import load_released

SAMPLE_RATE = 32000  # Hz
SOURCES = ("target",)
MOMENTUM = 0.01  # of the running statistics, as published

Shifts = Mapping[nn.Module, Tensor]  # what the condition adds after each batch normalization


@dataclass(frozen=True, slots=True)
class ResUNet30Config:
    """The size of a `ResUNet30`; the defaults are the published one.

    Parameters
    ----------
    n_fft : int > 0, a multiple of 2 to the power of one more than the number of ``widths``
        Length of the Hann window in samples.
    hop_length : int in [1, n_fft / 2]
        Samples from one frame to the next.
    widths : tuple of int > 0, at least two
        Channels of each encoder block, from the top; the decoder mirrors them.
    condition_size : int > 0
        Numbers in the condition.

    Raises
    ------
    SettingsError
        If a value is outside its range.

    Examples
    --------
    >>> ResUNet30Config().widths
    (32, 64, 128, 256, 384, 384)
    """

    n_fft: int = 2048
    hop_length: int = 320
    widths: tuple[int, ...] = (32, 64, 128, 256, 384, 384)
    condition_size: int = 512

    def __post_init__(self) -> None:
        """Refuse sizes that no net can have."""
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise SettingsError(
                f"widths is {self.widths}; it must hold at least two positive numbers"
            )
        step = 2 ** (len(self.widths) + 1)
        if self.n_fft < step or self.n_fft % step:
            raise SettingsError(
                f"n_fft is {self.n_fft}; with {len(self.widths)} widths it must "
                f"be a multiple of {step}"
            )
        if not 1 <= self.hop_length <= self.n_fft // 2:
            raise SettingsError(
                f"hop_length is {self.hop_length}; it must be from 1 to half of n_fft, {self.n_fft}"
            )
        if self.condition_size < 1:
            raise SettingsError(f"condition_size is {self.condition_size}; it must be at least 1")


class ResUNet30(nn.Module):
    """The sound that the condition asks for, from a mono mixture.

    Weights are random until loaded. Bounded memory is the caller's matter: the net takes the whole
    of what it is given at once. What makes conditions of words is not part of it.

    Parameters
    ----------
    config : ResUNet30Config, optional
        The size; the published one by default, of 26,447,941 parameters.

    Examples
    --------
    >>> net = ResUNet30(ResUNet30Config(n_fft=64, hop_length=16, widths=(4, 8)))
    >>> net(torch.randn(2, 1, 1000), torch.randn(2, 512)).shape
    torch.Size([2, 1, 1000])
    """

    def __init__(self, config: ResUNet30Config | None = None) -> None:
        super().__init__()
        self.config = config = config or ResUNet30Config()
        self.base = Trunk(config)
        self.film = nn.ModuleDict(
            {
                name.replace(".", "->").replace("bn", "beta"): nn.Linear(
                    config.condition_size, norm.num_features
                )
                for name, norm in self.base.named_modules()
                if isinstance(norm, nn.BatchNorm2d)
            }
        )

    def forward(self, mixture: Tensor, condition: Tensor) -> Tensor:
        """Return the estimate of what the condition asks for.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, 1, samples)
            At 32 kHz, full scale 1, at least one sample. Left as it is.
        condition : Tensor of float32, shape (batch, condition_size)
            What to separate; released weights expect unit vectors.

        Returns
        -------
        Tensor of float32, shape (batch, 1, samples)
            At the mixture's level; no cell of its spectrogram is amplified.

        Raises
        ------
        AudioError
            If ``mixture`` is not mono with three axes, or has no sample.
        SettingsError
            If ``condition`` has another shape.
        """
        if mixture.ndim != 3 or mixture.shape[1] != 1 or mixture.numel() == 0:
            raise AudioError(
                f"ResUNet30 was given a mixture of shape {tuple(mixture.shape)}; it takes "
                "(batch, 1, samples) with at least one of each; give each channel as a batch item"
            )
        if condition.shape != (mixture.shape[0], self.config.condition_size):
            raise SettingsError(
                f"ResUNet30 was given a condition of shape {tuple(condition.shape)}; with this "
                f"mixture it takes {(mixture.shape[0], self.config.condition_size)}"
            )
        n_fft, hop = self.config.n_fft, self.config.hop_length
        window = torch.hann_window(n_fft, device=mixture.device)
        # Reflection at the ends needs more samples than half a frame has.
        missing = n_fft // 2 + 1 - mixture.shape[-1]
        waveform = F.pad(mixture[:, 0], (0, max(missing, 0)))  # (B, N)
        spectrogram = torch.stft(waveform, n_fft, hop, window=window, return_complex=True)
        power = torch.view_as_real(spectrogram).square().sum(-1)  # (B, F, T)
        magnitude = power.clamp(min=1e-10).sqrt()  # the root has no gradient at 0
        masked = spectrogram * self.base(magnitude, self.shifts(condition))
        estimate = torch.istft(masked, n_fft, hop, window=window, length=waveform.shape[-1])
        return estimate[:, None, : mixture.shape[-1]]

    def shifts(self, condition: Tensor) -> dict[nn.Module, Tensor]:
        """Return what each of the trunk's batch normalizations gets added, (B, C, 1, 1)."""
        return {
            self.base.get_submodule(name.replace("->", ".").replace("beta", "bn")): (
                head(condition)[:, :, None, None]
            )
            for name, head in self.film.items()
        }


class Trunk(nn.Module):
    """Magnitudes to one complex mask; blocks are named as in the released checkpoints."""

    def __init__(self, config: ResUNet30Config) -> None:
        super().__init__()
        widths = config.widths
        self.depth = depth = len(widths)
        # One dimension, so that it is not among those that the condition shifts.
        self.bn0 = nn.BatchNorm1d(config.n_fft // 2 + 1, momentum=MOMENTUM)
        self.pre_conv = nn.Conv2d(1, widths[0], 1)
        # From one level to the next time and frequency halve; at the lowest, frequency alone.
        strides = [(2, 2)] * (depth - 1) + [(1, 2)]
        for i, (before, after) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            self.add_module(f"encoder_block{i + 1}", EncoderBlock(before, after, strides[i]))
        self.conv_block7a = EncoderBlock(widths[-1], widths[-1], (1, 1))
        below = (widths[-1], *widths[:0:-1])
        for i, (before, after) in enumerate(zip(below, widths[::-1], strict=True)):
            block = DecoderBlock(before, after, strides[depth - 1 - i])
            self.add_module(f"decoder_block{i + 1}", block)
        self.after_conv = nn.Conv2d(widths[0], 3, 1)

    def forward(self, magnitude: Tensor, shifts: Shifts) -> Tensor:
        """Return the masks (B, F, T), complex, at most 1 in magnitude, of magnitudes (B, F, T)."""
        frames = magnitude.shape[-1]
        x = self.bn0(magnitude).mT[:, None]  # (B, 1, T, F)
        # The highest bin goes, which leaves a number that halves at every level; time is filled up.
        x = F.pad(x, (0, -1, 0, -frames % 2 ** (self.depth - 1)))
        x = self.pre_conv(x)  # (B, C, T, F)
        skips = []
        for i in range(self.depth):
            x, skip = self.get_submodule(f"encoder_block{i + 1}")(x, shifts)
            skips.append(skip)
        x, _ = self.conv_block7a(x, shifts)
        for i in range(self.depth):
            x = self.get_submodule(f"decoder_block{i + 1}")(x, skips.pop(), shifts)
        maps = self.after_conv(x)[:, :, :frames].mT.to(magnitude.dtype)  # (B, 3, F - 1, T)
        turn = maps[:, 1:].tanh()
        turn = turn / turn.square().sum(1, keepdim=True).clamp(min=1e-20).sqrt()
        mask = maps[:, 0].sigmoid() * torch.complex(turn[:, 0], turn[:, 1])
        return F.pad(mask, (0, 0, 0, 1))  # (B, F, T); nothing of the highest bin


class ResidualBlock(nn.Module):
    """Two convolutions, each after normalization, shift and leaky ReLU, beside a shortcut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before, momentum=MOMENTUM)
        self.bn2 = nn.BatchNorm2d(after, momentum=MOMENTUM)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, shifts: Shifts) -> Tensor:
        """Return (B, after, T, F) from (B, before, T, F)."""
        y = self.conv1(F.leaky_relu(self.bn1(x) + shifts[self.bn1]))
        y = self.conv2(F.leaky_relu(self.bn2(y) + shifts[self.bn2]))
        z: Tensor = y + self.shortcut(x)
        return z


class EncoderBlock(nn.Module):
    """A residual block, then means over ``stride``."""

    def __init__(self, before: int, after: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.conv_block1 = ResidualBlock(before, after)
        self.stride = stride

    def forward(self, x: Tensor, shifts: Shifts) -> tuple[Tensor, Tensor]:
        """Return what goes down, (B, C, T / stride, F / stride), and what skips, (B, C, T, F)."""
        x = self.conv_block1(x, shifts)
        return F.avg_pool2d(x, self.stride), x


class DecoderBlock(nn.Module):
    """Upsampling by ``stride``, then a residual block over it and the encoder's skip."""

    def __init__(self, before: int, after: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(before, after, stride, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(before, momentum=MOMENTUM)
        self.conv_block2 = ResidualBlock(2 * after, after)
        self.bn2 = nn.BatchNorm2d(before, momentum=MOMENTUM)  # published so, and never used

    def forward(self, x: Tensor, skip: Tensor, shifts: Shifts) -> Tensor:
        """Return (B, after, T, F) from below, (B, before, T / stride, F / stride), and the skip."""
        x = self.conv1(F.leaky_relu(self.bn1(x) + shifts[self.bn1]))
        y: Tensor = self.conv_block2(torch.cat([x, skip], 1), shifts)
        return y


def load_published(path: str | Path) -> dict[str, Tensor]:
    """Return the separator's weights of a released checkpoint, for ``ResUNet30().load_state_dict``.

    Fixed Fourier kernels are skipped, and so is all that is not the separator's, such as the text
    encoder. Parameters, result and errors as in `unstir.neural.released.load_released`.
    """
    return load_released(path, ResUNet30, _is_learned)


def _is_learned(name: str) -> bool:
    kernels = ("base.stft.", "base.istft.")
    return name.startswith(("base.", "film.")) and not name.startswith(kernels)
