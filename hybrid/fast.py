"""The classical priors on tensors: spectrum and masks stay on one device.

Each function gives the masks and validity of its NumPy method's ``evidence(spectrum, state)``, for
the same method and the same state, to 1e-4 (binary masks but where two levels compared lie within
rounding of each other). What a file's survey learns is small and is still learned by the methods
themselves. Here are the values and the methods that look at levels; those that compare channels
are in `unstir.hybrid.fast_spatial`.

Products of matrices are as precise as torch is set to (``torch.set_float32_matmul_precision``,
by default full float32); autocasting does not reach them.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unstir.hybrid.dictionaries import band_starts, load_dictionaries
from unstir.hybrid.hpss import Hpss, _odd
from unstir.hybrid.nmf import EPSILON, TINY, Nmf, _allowed, _bank, _learn, _relative_width
from unstir.spectral import Spectrum, StftConfig
from unstir.types import Evidence, Mixture, Role, State

BLOCK_CELLS = 2**24  # of sliding windows at a time, 64 MiB


@dataclass(frozen=True)
class TorchSpectrum:
    """One window's transform on a device, and what the methods need to know of its sound.

    Parameters
    ----------
    cells : Tensor
        complex64, shape (channels, bins, frames), on the grid ``config``. Quickest, as
        `unstir.spectral.stft` gives it, with memory along the bins.
    config : StftConfig
        Frame length and hop.
    sample_rate : int
        In hertz.
    start : int
        Index of the first sample within the whole recording.
    role : {"front", "center", "surround", "lfe"}
        Which loudspeakers the channels feed.

    Examples
    --------
    >>> from unstir.spectral import analyze
    >>> sound = np.zeros((2, 8000), np.float32)
    >>> spectrum = TorchSpectrum.of(analyze(Mixture(sound, 8000)), torch.device("cpu"))
    >>> spectrum.cells.shape, spectrum.magnitude.shape
    (torch.Size([2, 257, 64]), torch.Size([257, 64]))
    """

    cells: Tensor
    config: StftConfig
    sample_rate: int
    start: int = 0
    role: Role = "front"

    @classmethod
    def of(cls, spectrum: Spectrum, device: torch.device) -> "TorchSpectrum":
        """Return a NumPy spectrum on a device; on the CPU the two share their memory."""
        mix = spectrum.mix
        cells = torch.from_numpy(spectrum.cells).to(device)
        return cls(cells, spectrum.config, mix.sample_rate, mix.start, mix.role)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.cells.shape[0])

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.cells.shape[2])

    @cached_property
    def magnitude(self) -> Tensor:
        """Root mean square over the channels, float32, shape (bins, frames)."""
        power = self.cells.real.square() + self.cells.imag.square()
        return power.mean(dim=0).sqrt()

    def silence(self, n_frames: int = 1) -> Spectrum:
        """Return silence on the same grid and channels, for NumPy rules that look at no cell."""
        shape = (self.n_channels, self.config.n_bins, n_frames)
        return self._with(np.broadcast_to(np.complex64(0), shape))

    def fetch(self) -> Spectrum:
        """Return the spectrum for NumPy; the waveform is not in it, so its mix is silent."""
        return self._with(self.cells.numpy(force=True))

    def _with(self, cells: NDArray[np.complex64]) -> Spectrum:
        silent = np.zeros((self.n_channels, 1), np.float32)
        mix = Mixture(silent, self.sample_rate, self.start, self.role)
        return Spectrum(mix, cells, self.config)


class TorchEvidence(NamedTuple):
    """What a prior says about every cell, and where it has anything to say.

    ``masks`` is float32 of shape (stems, channels or 1, bins, frames), in the order of the
    method's stems, and adds up to one over them; ``validity`` is float32 of shape
    (bins or 1, frames), in [0, 1]. Either may be expanded: not to be written to.
    """

    masks: Tensor
    validity: Tensor


def spread(evidence: Evidence, spectrum: TorchSpectrum) -> TorchEvidence:
    """Return NumPy evidence on a spectrum's device; that of one frame holds for all frames."""
    masks = torch.from_numpy(np.stack(list(evidence.masks.values()))).to(spectrum.cells.device)
    validity = torch.from_numpy(evidence.validity).to(spectrum.cells.device)
    n_frames = spectrum.n_frames
    return TorchEvidence(masks.expand(-1, -1, -1, n_frames), validity.expand(-1, n_frames))


def everywhere(spectrum: TorchSpectrum) -> Tensor:
    """Return a validity of one, shape (1, frames)."""
    return torch.ones(1, spectrum.n_frames, device=spectrum.cells.device)


def ratio_masks(magnitudes: Tensor) -> Tensor:
    """Return masks that share every cell in proportion, as `unstir.spectral.ratio_masks` does.

    Parameters
    ----------
    magnitudes : Tensor
        float32, non-negative, shape (stems, ...).

    Returns
    -------
    Tensor
        float32, same shape; a cell silent in every stem is split evenly.

    Examples
    --------
    >>> ratio_masks(torch.tensor([[3.0, 0.0], [1.0, 0.0]])).tolist()
    [[0.75, 0.5], [0.25, 0.5]]
    """
    loudest = magnitudes.amax(dim=0)
    silent = loudest <= 0
    # Dividing by the loudest stem first keeps every scale inside float32.
    shares = torch.where(silent, 1.0, magnitudes / torch.where(silent, 1.0, loudest))
    return shares / shares.sum(dim=0)


def binary_masks(magnitudes: Tensor) -> Tensor:
    """Return masks that give every cell whole to its loudest stem; ties are split evenly.

    Parameters
    ----------
    magnitudes : Tensor
        float32, non-negative, shape (stems, ...).

    Returns
    -------
    Tensor
        float32, same shape.

    Examples
    --------
    >>> binary_masks(torch.tensor([[3.0, 0.0], [1.0, 0.0]])).tolist()
    [[1.0, 0.5], [0.0, 0.5]]
    """
    wins = (magnitudes >= magnitudes.amax(dim=0)).float()
    return wins / wins.sum(dim=0)


def band_members(starts: NDArray[np.intp], n_bins: int) -> Tensor:
    """Return the matrix that sums bins by bands, as `unstir.hybrid.dictionaries.pool` does.

    Parameters
    ----------
    starts : ndarray of int, shape (bands + 1,)
        As `band_starts` gives them.
    n_bins : int
        Bins of the grid.

    Returns
    -------
    Tensor
        float32, shape (bands, bins), 1 where the bin is in the band and 0 elsewhere.

    Examples
    --------
    >>> band_members(np.array([0, 1, 3]), 4).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]
    """
    bins = np.arange(n_bins)
    inside = (starts[:-1, None] <= bins) & (bins < starts[1:, None])
    return torch.from_numpy(inside.astype(np.float32))


def running_median(values: Tensor, size: int) -> Tensor:
    """Return the running median along the last axis, the same as `unstir.hybrid.hpss` has it.

    Parameters
    ----------
    values : Tensor
        float32, shape (rows, columns).
    size : int, odd
        Length of the median; the ends are mirrored, their last value repeated.

    Returns
    -------
    Tensor
        float32, shape (rows, columns).

    Examples
    --------
    >>> running_median(torch.tensor([[1.0, 9, 2, 8, 3]]), 3).tolist()
    [[1.0, 2.0, 8.0, 3.0, 3.0]]
    """
    n, half = values.shape[1], size // 2
    # Mirrored with its ends repeated, a row has a period of 2 n: any median length is served.
    index = torch.arange(-half, n + half, device=values.device) % (2 * n)
    index = torch.minimum(index, 2 * n - 1 - index)
    rows = max(1, BLOCK_CELLS // (n * size))
    blocks = [
        block[:, index].unfold(1, size, 1).median(dim=2).values
        for block in torch.split(values, rows)
    ]
    return torch.cat(blocks)


def hpss(spectrum: TorchSpectrum, method: Hpss, state: State | None = None) -> TorchEvidence:
    """Return a mask per stem from the medians along time and frequency, validity 1.

    Parameters
    ----------
    spectrum : TorchSpectrum
        Any number of channels, looked at together.
    method : Hpss
        The configuration.
    state : mapping, optional
        Not looked at: nothing is surveyed.

    Returns
    -------
    TorchEvidence
        Masks of shape (stems, 1, bins, frames).

    Examples
    --------
    >>> from unstir.spectral import analyze
    >>> hiss = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    >>> seen = TorchSpectrum.of(analyze(Mixture(hiss, 8000)), torch.device("cpu"))
    >>> hpss(seen, Hpss()).masks.shape
    torch.Size([3, 1, 257, 64])
    """
    magnitude, rate = spectrum.magnitude, spectrum.sample_rate
    n_fft, hop_length = spectrum.config.n_fft, spectrum.config.hop_length
    h = running_median(magnitude, _odd(method.harmonic_s * rate / hop_length))
    p = running_median(magnitude.T, _odd(method.percussive_hz * n_fft / rate)).T
    binary = method.mask == "binary"
    if len(method.stems) == 3:
        above = (magnitude - torch.maximum(h, p)).clamp(min=0)
        parts = torch.stack([above, h, p])
        masks = binary_masks(parts) if binary else ratio_masks(parts)
    else:
        harmonic = _outweigh(h, p, method.margin, binary=binary)
        percussive = _outweigh(p, h, method.margin, binary=binary)
        voice = 1 - percussive - harmonic / 2
        masks = torch.stack([voice, 1 - voice])
    return TorchEvidence(masks[:, None], everywhere(spectrum))


def _outweigh(own: Tensor, other: Tensor, margin: float, *, binary: bool) -> Tensor:
    rival = other * margin
    if binary:
        return (own > rival).float()
    largest = torch.maximum(own, rival)
    silent = largest < torch.finfo(torch.float32).tiny
    largest = torch.where(silent, 1.0, largest)
    mask, rest = own / largest, rival / largest
    mask = mask / torch.where(silent, 1.0, mask + rest)
    return torch.where(silent, 0.5 if margin == 1 else 0.0, mask)


class _TorchBank(NamedTuple):
    """The templates of one method on one grid and device."""

    to_bands: Tensor  # (bands, bins), 1 where the bin is in the band
    pooled: Tensor  # (spans * bands, components)
    bins: Tensor  # (bins, components)
    owned: tuple[Tensor, ...]  # per stem, the indices of its components


def nmf(spectrum: TorchSpectrum, method: Nmf, state: State | None = None) -> TorchEvidence:
    """Return each stem's part of the factorization as masks; validity is 1 where there is sound.

    Parameters
    ----------
    spectrum : TorchSpectrum
        Any number of channels, looked at together.
    method : Nmf
        The configuration.
    state : mapping, optional
        What the method's survey learned. Without one, a method with a free part or a score
        learns them from this spectrum, in NumPy, as its ``evidence`` does.

    Returns
    -------
    TorchEvidence
        Masks of shape (stems, 1, bins, frames).

    Raises
    ------
    AudioError
        If the score cannot be read.

    Examples
    --------
    >>> from unstir.spectral import analyze
    >>> hiss = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    >>> seen = TorchSpectrum.of(analyze(Mixture(hiss, 8000)), torch.device("cpu"))
    >>> nmf(seen, Nmf()).masks.shape
    torch.Size([3, 1, 257, 64])
    """
    device = spectrum.cells.device
    if state is None and (method.score or method.n_free):
        state = _learn(method, [spectrum.fetch()])
    if state is None:
        bank = _shipped_bank(method, spectrum.config, spectrum.sample_rate, device)
    else:
        bank = _lay_bank(method, spectrum.silence(), state, device)
    allowed = torch.ones(bank.pooled.shape[1], spectrum.n_frames, device=device)
    if state is not None:
        own = _allowed(method, spectrum.silence(spectrum.n_frames), state)
        allowed[len(allowed) - len(own) :] = torch.from_numpy(own).to(device)
    with torch.autocast(device.type, enabled=False):
        H = _activations(_observe(method, spectrum, bank), bank.pooled, allowed, method.n_iter)
        parts = torch.stack([bank.bins[:, owned] @ H[owned] for owned in bank.owned])
    masks = ratio_masks(parts) if method.mask == "ratio" else binary_masks(parts)
    sounds = spectrum.magnitude.any(dim=0).float()
    return TorchEvidence(masks[:, None], sounds[None])


@lru_cache(maxsize=8)
def _shipped_bank(
    method: Nmf, config: StftConfig, sample_rate: int, device: torch.device
) -> _TorchBank:
    with torch.inference_mode(False):  # kept for whoever asks next
        grid = TorchSpectrum(torch.zeros(1, config.n_bins, 1), config, sample_rate)
        return _lay_bank(method, grid.silence(), None, device)


def _lay_bank(
    method: Nmf, spectrum: Spectrum, state: State | None, device: torch.device
) -> _TorchBank:
    """Return the shipped templates and the file's own on a spectrum's grid."""
    bank = _bank(method, spectrum, state)
    starts = band_starts(spectrum.frequencies_hz, _relative_width(method))
    owned = [np.flatnonzero(bank.owners == i) for i in range(len(method.stems))]
    return _TorchBank(
        band_members(starts, spectrum.config.n_bins).to(device),
        torch.from_numpy(bank.pooled).to(device),
        torch.from_numpy(bank.bins).to(device),
        tuple(torch.from_numpy(indices).to(device) for indices in owned),
    )


def _observe(method: Nmf, spectrum: TorchSpectrum, bank: _TorchBank) -> Tensor:
    """Return the magnitude per band, upon its context unless a score says what sounds."""
    level = bank.to_bands @ spectrum.magnitude  # (bands, frames)
    if method.score:
        return level
    hop_s = spectrum.config.hop_length / spectrum.sample_rate
    lags = [(round(a / hop_s), round(b / hop_s)) for a, b in load_dictionaries().spans_s]
    n, reach = spectrum.n_frames, max(max(abs(a), abs(b)) for a, b in lags)
    # The first and the last frame go on for ever.
    index = torch.arange(-reach, n + reach, device=level.device).clamp(0, n - 1)
    padded = level[:, index]
    stacked = [
        torch.nn.functional.avg_pool1d(padded[:, reach + a : reach + b + n], b - a + 1, stride=1)
        for a, b in lags
    ]
    return torch.cat(stacked)


def _activations(V: Tensor, W: Tensor, allowed: Tensor, n_iter: int) -> Tensor:
    """Return the activations after the multiplicative updates of `unstir.hybrid.nmf.kl_nmf`.

    Over V's mean, and starting where each template explains the same part of a frame, as there.
    """
    mean = V.mean()
    V = V / torch.where(mean > 0, mean, 1.0)
    total = W.sum(dim=0)[:, None]  # (components, 1)
    H = allowed * V.sum(dim=0) / (len(total) * total.clamp(min=EPSILON))
    total = torch.where(total == 0, EPSILON, total)
    for _ in range(n_iter):
        H = H * (W.T @ (V / (W @ H).clamp(min=EPSILON))) / total
        H = torch.where(H < TINY, 0.0, H)
    return H
