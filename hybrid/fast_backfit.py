"""What stems have in common with themselves, on tensors.

As in `unstir.hybrid.fast`, each function gives what its NumPy sibling in `unstir.hybrid.backfit`
gives, to 1e-4, but for frames to which the last that count and the first that do not are alike
within rounding of each other.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unstir.hybrid.backfit import N_SIMILAR, RELATIVE_WIDTH
from unstir.hybrid.dictionaries import band_starts
from unstir.hybrid.fast import BLOCK_CELLS, TorchEvidence, band_members, ratio_masks
from unstir.spectral import Spectrum


def alike(
    spectrum: Spectrum, stems: tuple[str, ...], cells: Callable[[str], Tensor]
) -> TorchEvidence:
    """Return the shares of medians over frames that are alike in the stem itself.

    Parameters
    ----------
    spectrum : Spectrum
        Of the mix, for its grid.
    stems : tuple of str
        Stems of a first separation.
    cells : callable
        Gives a stem's transform on that grid: complex64, shape (channels, frames, bins), on the
        device. Asked for one by one, since together they take much memory.

    Returns
    -------
    TorchEvidence
        Masks of shape (stems, 1, bins, frames); validity of shape (bins, frames), 0 where all
        medians are silent.

    Examples
    --------
    >>> from unstir.spectral import analyze
    >>> from unstir.types import Mixture
    >>> hiss = np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)
    >>> spectrum = analyze(Mixture(hiss, 16000))
    >>> whole = torch.from_numpy(spectrum.cells).transpose(1, 2)
    >>> found = alike(spectrum, ("speech", "music"), lambda name: whole)
    >>> found.masks.shape, float(found.masks[0].mean())
    (torch.Size([2, 1, 513, 64]), 0.5)
    """
    starts = band_starts(spectrum.frequencies_hz, RELATIVE_WIDTH)
    apart = spectrum.config.n_fft // spectrum.config.hop_length
    medians = []
    for name in stems:
        levels = _levels(cells(name), starts)  # (frames, bands)
        median = _medians(levels, apart)
        median[~levels.any(dim=1)] = 0  # silence is like no other frame
        medians.append(median.T)
    models = torch.stack(medians)
    del medians
    widths = torch.from_numpy(np.diff(starts)).to(models.device)
    above = (0, 0, 0, len(spectrum.frequencies_hz) - int(starts[-1]))  # bins in no band

    def on_bins(values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values.repeat_interleave(widths, dim=-2), above)

    sounds = (models > 0).any(dim=0).float()
    return TorchEvidence(on_bins(ratio_masks(models))[:, None], on_bins(sounds))


def _levels(cells: Tensor, starts: NDArray[np.intp]) -> Tensor:
    """Return root mean squares over channels and bands, shape (frames, bands)."""
    power = (cells.real.square() + cells.imag.square()).mean(dim=0)  # (T, F)
    inside = band_members(starts, power.shape[1]).to(power.device)  # (K, F)
    return (power @ inside.T / inside.sum(dim=1)).sqrt()


def _medians(levels: Tensor, apart: int) -> Tensor:
    """Return the medians over the frames that `unstir.hybrid.backfit` finds alike."""
    rows = levels.sqrt()  # else the loud low end alone decides what is alike
    rows = torch.nn.functional.normalize(rows, eps=torch.finfo(torch.float32).tiny)
    n_frames = len(rows)
    n = min(N_SIMILAR, n_frames - 1 + n_frames % 2)
    times = torch.arange(n_frames, device=rows.device)
    found = torch.empty_like(levels)
    for part in torch.split(times, max(1, BLOCK_CELLS // max(n_frames, n * levels.shape[1]))):
        likeness = rows[part] @ rows.T
        later = times - part[:, None]
        overlaps = (later != 0) & (later.abs() < apart)
        likeness = torch.where(overlaps, -1 - (later - 0.25).abs(), likeness)
        nearest = likeness.topk(n, dim=1).indices
        found[part] = levels[nearest].median(dim=1).values
    return found
