"""Between waveforms and the masks of nets: one short-time Fourier transform in torch.

The transform of ``unstir.spectral`` is NumPy and SciPy; nets need one that gradients pass
through, that runs where the net runs, and that needs nothing but torch. Any frame length and
hop, as the papers have them.

Masks are linked: a net looks at the root mean square over the channels and its masks apply to
every channel alike, so that nothing moves in the stereo image.
"""

import math

import torch
from torch import Tensor

from unstir.errors import AudioError

FLOOR_DB = -100.0  # below the noise of 16 bits, once spread over the bins


def _window(n_fft: int, device: torch.device) -> Tensor:
    return torch.hann_window(n_fft, periodic=True, device=device)


def stft(mixture: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Return the centered short-time Fourier transform, reflected at both ends.

    Parameters
    ----------
    mixture : Tensor of float32, shape (batch, channels, samples)
        One sample or more; left as it is. Sound shorter than the reflection is
        reflected again and again.
    n_fft : int
        Frame length in samples, even.
    hop_length : int
        Samples from frame to frame, less than ``n_fft``.

    Returns
    -------
    Tensor of complex64, shape (batch, channels, n_fft // 2 + 1, frames)
        ``1 + ceil(samples / hop_length)`` frames, so that every sample lies under one;
        periodic Hann window, no scaling.

    Raises
    ------
    AudioError
        If the shape is not (batch, channels, samples) with a channel and a sample at least.

    Examples
    --------
    >>> stft(torch.ones(1, 2, 1000), 256, 192).shape
    torch.Size([1, 2, 129, 7])
    """
    if mixture.ndim != 3 or 0 in mixture.shape:
        raise AudioError(
            f"a tensor of shape {tuple(mixture.shape)} came; "
            "(batch, channels, samples), none of them 0, is wanted"
        )
    n_samples = mixture.shape[2]
    tail = -n_samples % hop_length + n_fft // 2
    # Reflection repeats with this period: a b c b | a b c b | ...
    period = max(2 * (n_samples - 1), 1)
    index = torch.arange(-(n_fft // 2), n_samples + tail, device=mixture.device) % period
    padded = mixture.index_select(2, torch.minimum(index, period - index))  # (B, C, N')
    window = _window(n_fft, mixture.device)
    cells: Tensor = torch.stft(
        padded.flatten(0, 1), n_fft, hop_length, window=window, center=False, return_complex=True
    )
    return cells.reshape(*mixture.shape[:2], *cells.shape[1:])  # (B, C, F, T)


def istft(cells: Tensor, n_fft: int, hop_length: int, n_samples: int) -> Tensor:
    """Return the waveforms whose transform is nearest to ``cells`` [1]_.

    Parameters
    ----------
    cells : Tensor of complex64, shape (..., bins, frames)
        As `stft` gives them, or masked.
    n_fft, hop_length : int
        The grid they were made on, in samples.
    n_samples : int
        Length of the sound they were made from.

    Returns
    -------
    Tensor of float32, shape (..., n_samples)

    References
    ----------
    .. [1] D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier
       transform", IEEE Trans. ASSP 32(2), 1984.

    Examples
    --------
    >>> noise = torch.randn(1, 2, 999, generator=torch.Generator().manual_seed(0))
    >>> back = istft(stft(noise, 256, 192), 256, 192, 999)
    >>> bool((back - noise).abs().max() < 1e-5)
    True
    """
    flat = cells.reshape(-1, *cells.shape[-2:])
    sound: Tensor = torch.istft(
        flat, n_fft, hop_length, window=_window(n_fft, cells.device), length=n_samples
    )
    return sound.reshape(*cells.shape[:-2], n_samples)


def linked_magnitude(cells: Tensor) -> Tensor:
    """Return the root mean square over the channels, shape (batch, bins, frames), at least 0.

    Parameters
    ----------
    cells : Tensor of complex64, shape (batch, channels, bins, frames)

    Examples
    --------
    >>> linked_magnitude(torch.full((1, 2, 1, 1), 3 + 4j)).item()
    5.0
    """
    # A norm, since the square root of a mean of squares has no gradient in silence.
    norm: Tensor = torch.linalg.vector_norm(cells, dim=1)
    return norm / math.sqrt(cells.shape[1])


def levels(magnitude: Tensor, n_fft: int) -> Tensor:
    """Return levels in decibels, shifted and scaled to what nets like: about -1.5 to 3.5.

    Parameters
    ----------
    magnitude : Tensor of float32, any shape, at least 0
        Of `stft`.
    n_fft : int
        Its frame length, in samples.

    Returns
    -------
    Tensor of float32, the same shape
        ``(dB + 70) / 20``, with 0 dB for a sine of full scale, and nothing below `FLOOR_DB`.
        Sound at -27 LUFS has a mean near 0 and a variance near 1. The scale is fixed, not
        taken from the sound, so that neighboring windows of a file agree.

    Examples
    --------
    >>> levels(torch.tensor([0.0, 256.0]), 1024)
    tensor([-1.5000,  3.5000])
    """
    # The window of a frame adds up to n_fft / 2, half of which goes to negative frequency.
    relative = magnitude * (4 / n_fft)
    return torch.log10(relative.clamp_min(10 ** (FLOOR_DB / 20))) + 70 / 20


def shares(logits: Tensor) -> Tensor:
    """Return masks in (0, 1): a sigmoid for one source, a softmax over several.

    Parameters
    ----------
    logits : Tensor of float32, shape (batch, sources, bins, frames)

    Returns
    -------
    Tensor of float32, the same shape
        The masks of two sources or more add up to one in every cell.

    Examples
    --------
    >>> shares(torch.zeros(1, 4, 1, 1)).flatten()
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def render(cells: Tensor, masks: Tensor, n_fft: int, hop_length: int, n_samples: int) -> Tensor:
    """Return the waveforms that masks cut out of the mix, with the phase of the mix.

    Parameters
    ----------
    cells : Tensor of complex64, shape (batch, channels, bins, frames)
        The mix.
    masks : Tensor of float32, shape (batch, sources, bins, frames)
        One per source, for all channels.
    n_fft, hop_length : int
        The grid, in samples.
    n_samples : int
        Length of the mix.

    Returns
    -------
    Tensor of float32, shape (batch, sources, channels, n_samples)

    Examples
    --------
    >>> cells = stft(torch.ones(1, 2, 1000), 256, 64)
    >>> render(cells, torch.ones(1, 3, 129, 17), 256, 64, 1000).shape
    torch.Size([1, 3, 2, 1000])
    """
    return istft(cells[:, None] * masks[:, :, None], n_fft, hop_length, n_samples)
