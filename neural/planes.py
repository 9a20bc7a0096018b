"""What our nets look at: bands of the spectrum, and planes of level and place per band.

Tensors only; one or two channels. A net that turns planes into logits per band is all that
is needed beside this to separate (`separate`) and to train (`Sums`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unstir.neural.local_wiener import AT_ONCE, filtered

EPS = 1e-9
N_PLANES = 5


@dataclass(frozen=True, slots=True)
class Bands:
    """A grid of frames and bands.

    Parameters
    ----------
    n_fft, hop_length : int
        The transform, in samples.
    n_bands, n_single : int
        Bands, and how many of them, from the bottom, are one bin wide.
    """

    n_fft: int = 2048
    hop_length: int = 512
    n_bands: int = 256
    n_single: int = 160


class Sums(NamedTuple):
    """Energies per band from which the error of any mask follows.

    For a mask M, constant within a band, the error energy of source j is the sum over frames
    and bands of M^2 ``mixture`` - 2 M ``cross``, plus ``energy``: no spectrogram is needed to
    train.

    ``mixture`` has shape (batch, 1, frames, bands); ``cross``, the real part of mixture times
    conjugate source, (batch, sources, frames, bands); ``energy``, of the sources,
    (batch, sources).
    """

    mixture: Tensor
    cross: Tensor
    energy: Tensor


def separate(
    mixture: Tensor,
    bands: Bands,
    logits: Callable[[Tensor], Tensor],
    *,
    follow: bool = False,
) -> Tensor:
    """Return what masks from per-band logits cut out of a mixture.

    Parameters
    ----------
    mixture : Tensor
        float32, shape (batch, channels, samples).
    bands : Bands
        The grid.
    logits : callable
        Planes (batch, 5, frames, bands) to logits (batch, sources, frames, bands).
    follow : bool
        Whether two channels are filtered by where the sources stand
        (`unstir.neural.local_wiener`).

    Returns
    -------
    Tensor
        float32, shape (batch, sources, channels, samples). The masks are a softmax over the
        sources, the same for all channels, so the sources add up to the mixture; filtered, they
        still do.
    """
    cells = stft(mixture, bands.n_fft, bands.hop_length)  # (B, C, T, F)
    # What surrounds the net stays in float32, as it is in training, so that shares add up.
    with torch.autocast(mixture.device.type, enabled=False):
        seen = planes(cells, bands)
    given = logits(seen)
    with torch.autocast(mixture.device.type, enabled=False):
        shares = to_bins(torch.softmax(given.float(), dim=1), bands)  # (B, S, T, F)
        del seen, given
        sources = [
            istft(
                filtered(x, m) if follow and len(x) == 2 else masked(x, m),
                bands.n_fft,
                bands.hop_length,
                mixture.shape[-1],
            )
            for x, m in zip(cells, shares, strict=True)
        ]
    return torch.stack(sources)


def masked(cells: Tensor, shares: Tensor) -> Iterator[Tensor]:
    """Yield a mixture's cells (C, T, F) times shares (S, T, F), some frames at a time."""
    for x, m in zip(
        torch.split(cells, AT_ONCE, dim=1), torch.split(shares, AT_ONCE, dim=1), strict=True
    ):
        yield m[:, None] * x


def observe(sources: Tensor, bands: Bands) -> tuple[Tensor, Sums]:
    """Return what a net sees of scenes, and what its error is measured with.

    Parameters
    ----------
    sources : Tensor
        True sources, float32, shape (batch, sources, channels, samples).
    bands : Bands
        The grid.
    """
    parts = stft(sources, bands.n_fft, bands.hop_length)  # (B, S, C, T, F)
    mix = parts.sum(dim=1)
    known = parts[:, :-1]  # the crosses of all sources add up to the mixture's energy
    products = mix.real[:, None] * known.real + mix.imag[:, None] * known.imag
    totals = torch.cat([(mix.real.square() + mix.imag.square())[:, None], products], dim=1)
    totals = band_sums(totals.sum(dim=2), bands)  # (B, S, T, K)
    mixture, cross = totals[:, :1], totals[:, 1:]
    cross = torch.cat([cross, mixture - cross.sum(dim=1, keepdim=True)], dim=1)
    energy = torch.view_as_real(parts).square().sum(dim=(2, 3, 4, 5))
    return planes(mix, bands), Sums(mixture, cross, energy)


def to_bands(bins: Tensor, bands: Bands) -> Tensor:
    """Return the mean over the bins of every band: (..., bins) to (..., bands)."""
    n = bands.n_single
    down, _ = _upper(bands, bins.device)
    return torch.cat([bins[..., :n], bins[..., n:] @ down], dim=-1)


def band_sums(bins: Tensor, bands: Bands) -> Tensor:
    """Return the sum over the bins of every band: (..., bins) to (..., bands)."""
    edges = band_edges(bands.n_fft, bands.n_bands, bands.n_single)
    return to_bands(bins, bands) * torch.from_numpy(np.diff(edges)).to(bins)


def to_bins(values: Tensor, bands: Bands) -> Tensor:
    """Return straight lines between the bands' centers: (..., bands) to (..., bins)."""
    n = bands.n_single
    _, up = _upper(bands, values.device)
    return torch.cat([values[..., :n], values[..., n - 1 :] @ up], dim=-1)


@cache
def _upper(bands: Bands, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return both matrices without the bands of one bin, where they are the identity."""
    n = bands.n_single
    with torch.inference_mode(False):  # kept for training, whoever asks first
        down, up = band_matrices(bands.n_fft, bands.n_bands, bands.n_single)
        return down[n:, n:].contiguous().to(device), up[n - 1 :, n:].contiguous().to(device)


@cache
def band_edges(n_fft: int, n_bands: int, n_single: int) -> NDArray[np.int64]:
    """Return the first bin of every band and the end of the last, shape (n_bands + 1,).

    Harmonics of a voice need every bin; above them, bands widen by a constant ratio.

    Parameters
    ----------
    n_fft : int
        Frame length in samples.
    n_bands : int
        How many bands there are.
    n_single : int
        How many of them, from the bottom, are one bin wide.

    Examples
    --------
    >>> band_edges(64, 12, 6).tolist()
    [0, 1, 2, 3, 4, 5, 6, 8, 11, 14, 19, 25, 33]
    """
    n_bins = n_fft // 2 + 1
    ratio = (n_bins / n_single) ** (1 / (n_bands - n_single))
    edges = np.arange(n_bands + 1)
    for k in range(n_single + 1, n_bands + 1):
        edges[k] = max(edges[k - 1] + 1, round(n_single * ratio ** (k - n_single)))
    edges[-1] = n_bins
    assert np.all(np.diff(edges) > 0), "more bands than bins"
    return edges


def band_matrices(n_fft: int, n_bands: int, n_single: int) -> tuple[Tensor, Tensor]:
    """Return the way from bins to bands (means) and back (straight lines between centers).

    Returns
    -------
    tuple of Tensor
        float32, shapes (bins, bands) and (bands, bins).

    Examples
    --------
    >>> down, up = band_matrices(2048, 256, 160)
    >>> down.shape, bool(torch.allclose(torch.ones(256) @ up, torch.ones(1025)))
    (torch.Size([1025, 256]), True)
    """
    edges = band_edges(n_fft, n_bands, n_single)
    n_bins = n_fft // 2 + 1
    down = np.zeros((n_bins, n_bands), np.float32)
    for k in range(n_bands):
        down[edges[k] : edges[k + 1], k] = 1 / (edges[k + 1] - edges[k])
    centers = (edges[:-1] + edges[1:] - 1) / 2
    bins = np.clip(np.arange(n_bins), centers[0], centers[-1])
    left = np.clip(np.searchsorted(centers, bins, side="right") - 1, 0, n_bands - 2)
    share = (bins - centers[left]) / (centers[left + 1] - centers[left])
    up = np.zeros((n_bands, n_bins), np.float32)
    up[left, np.arange(n_bins)] = 1 - share
    up[left + 1, np.arange(n_bins)] += share
    return torch.from_numpy(down), torch.from_numpy(up)


def stft(waveform: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Return the transform ``(..., frames, bins)`` of ``(..., samples)``, zero-padded and centered.

    Periodic Hann window; frames go on until the last sample has been seen by all that
    cover it, so any length from one sample up works.
    """
    n = waveform.shape[-1]
    n_frames = 1 + -(-n // hop_length)
    total = (n_frames - 1) * hop_length + n_fft
    padded = torch.nn.functional.pad(waveform, (n_fft // 2, total - n_fft // 2 - n))
    frames = padded.unfold(-1, n_fft, hop_length)
    cells: Tensor = torch.fft.rfft(frames * _window(n_fft, waveform.device))
    return cells


def istft(parts: Iterable[Tensor], n_fft: int, hop_length: int, n_samples: int) -> Tensor:
    """Return the waveform ``(..., n_samples)`` whose transform is nearest to the one given.

    The transform comes some frames at a time, ``(..., frames, bins)`` each, so that it need never
    be there whole: of a minute of three stems in stereo it would take 0.3 GB.
    ``hop_length`` divides ``n_fft``, which makes this twice as fast as ``torch.istft`` (behind
    `unstir.neural.frames.istft`, which takes any hop).
    """
    overlap = n_fft // hop_length
    n_slots = -(-n_samples // hop_length) + overlap
    slots: Tensor | None = None
    first = 0
    for cells in parts:
        window = _window(n_fft, cells.device)
        frames = torch.fft.irfft(cells, n_fft) * window  # (..., T, n_fft)
        if slots is None:
            slots = frames.new_zeros(*frames.shape[:-2], n_slots, hop_length)
        n_frames = frames.shape[-2]
        hops = frames.unflatten(-1, (overlap, hop_length))  # (..., T, overlap, hop)
        for k in range(overlap):
            slots[..., first + k : first + k + n_frames, :] += hops[..., k, :]
        first += n_frames
    assert slots is not None, "no frames came"
    norm = slots.new_zeros(n_slots, hop_length)
    for k, squares in enumerate(window.square().reshape(overlap, hop_length)):
        norm[k : k + first] += squares
    begin = n_fft // 2
    flat = slots.flatten(-2)[..., begin : begin + n_samples]
    found: Tensor = flat / norm.flatten()[begin : begin + n_samples]
    return found


def planes(cells: Tensor, bands: Bands) -> Tensor:
    """Return what a net sees of a spectrogram.

    Parameters
    ----------
    cells : Tensor
        Complex, shape (batch, channels, frames, bins); one or two channels.
    bands : Bands
        The grid.

    Returns
    -------
    Tensor
        float32, shape (batch, 5, frames, bands): level of mid and of side (log power,
        about zero for sound at -27 LUFS), likeness of the channels in phase and in
        quadrature, and balance, each in [-1, 1].
    """
    left = cells[:, 0]
    right = cells[:, -1]
    cross = left * right.conj()
    power = torch.stack(
        [
            left.real.square() + left.imag.square(),
            right.real.square() + right.imag.square(),
            cross.real,
            cross.imag,
        ],
        dim=1,
    )
    p_left, p_right, re, im = to_bands(power, bands).unbind(dim=1)  # (B, T, K) each
    both = p_left + p_right + EPS
    mid = (p_left + p_right + 2 * re).clamp(min=0) / 4
    side = (p_left + p_right - 2 * re).clamp(min=0) / 4
    return torch.stack(
        [
            torch.log(mid + 1e-6) / 4,
            torch.log(side + 1e-6) / 4,
            2 * re / both,
            2 * im / both,
            (p_left - p_right) / both,
        ],
        dim=1,
    )


def planes_of(waveform: Tensor, bands: Bands) -> Tensor:
    """Return what a net sees of waveforms, always computed in float32.

    Parameters
    ----------
    waveform : Tensor
        float32, shape (batch, channels, samples); one or two channels.
    bands : Bands
        The grid.

    Returns
    -------
    Tensor
        As of `planes`, shape (batch, 5, frames, bands).
    """
    with torch.autocast(waveform.device.type, enabled=False):
        return planes(stft(waveform, bands.n_fft, bands.hop_length), bands)


@cache
def _window(n_fft: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # kept for training, whoever asks first
        return torch.hann_window(n_fft, periodic=True, device=device)
