"""The classical priors that compare channels, on tensors: center, panning, and where stems stand.

As `unstir.hybrid.fast` has it, each function agrees with its NumPy method to 1e-4. What the
loudspeaker's role alone says is asked of the NumPy rules themselves.
"""

import numpy as np
import torch
from torch import Tensor

from unstir.errors import SettingsError
from unstir.hybrid.fast import TorchEvidence, TorchSpectrum, binary_masks, everywhere, spread
from unstir.hybrid.midside import MidSide, by_role, is_dual_mono
from unstir.hybrid.panning import Panning
from unstir.hybrid.wiener import FLOOR, Wiener
from unstir.spectral import no_evidence
from unstir.types import State


def center_mask(cells: Tensor, *, power: float = 4.0) -> Tensor:
    """Return how much of each cell sits in the middle, as `unstir.hybrid.midside` has it.

    Parameters
    ----------
    cells : Tensor
        complex64, shape (2, bins, frames).
    power : float > 0
        How strict to be.

    Returns
    -------
    Tensor
        float32, shape (bins, frames), in [0, 1]; zero in silent cells.

    Examples
    --------
    >>> center_mask(torch.tensor([[[1j, 1, 0]], [[1j, -1, 0]]])).tolist()
    [[1.0, 0.0, 0.0]]
    """
    left, right = cells
    level = left.abs() + right.abs()
    apart = (left - right).abs()
    likeness = (1 - apart / torch.where(level > 0, level, 1.0)).clamp(0, 1)
    return torch.where(level > 0, likeness, 0.0) ** power


def midside(spectrum: TorchSpectrum, method: MidSide, state: State | None) -> TorchEvidence:
    """Return the center mask as evidence; two channels or a telling role are needed.

    Parameters
    ----------
    spectrum : TorchSpectrum
        One or two channels.
    method : MidSide
        The configuration.
    state : mapping or None
        What the method's survey learned.

    Returns
    -------
    TorchEvidence
        Masks of shape (stems, 1, bins, frames).

    Raises
    ------
    SettingsError
        If two front channels come without a state: whether they are one channel twice is heard
        in the waveform, which is not here.

    Examples
    --------
    >>> from unstir.spectral import analyze
    >>> from unstir.types import Mixture
    >>> sound = np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)
    >>> mix, method = Mixture(sound, 8000), MidSide()
    >>> seen = TorchSpectrum.of(analyze(mix), torch.device("cpu"))
    >>> midside(seen, method, method.survey([mix])).masks.shape
    torch.Size([3, 1, 257, 64])
    """
    if spectrum.n_channels == 2 and spectrum.role != "surround":
        _require(state)
    known = by_role(spectrum.silence(), method.stems, state)
    if known is not None:
        return spread(known, spectrum)
    center = center_mask(spectrum.cells, power=method.power)
    if method.mask == "binary":
        center = (center >= 0.5).float()
    n_others = len(method.stems) - 1
    masks = torch.stack([center, *[(1 - center) / n_others] * n_others])
    return TorchEvidence(masks[:, None], everywhere(spectrum))


def azimuth(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return where each cell is panned, and how surely, as `unstir.hybrid.panning` has it.

    Parameters
    ----------
    cells : Tensor
        complex64, shape (2, bins, frames).

    Returns
    -------
    position, depth : Tensor
        float32, each of shape (bins, frames): from -1, left, to 1, right; depth of the null at
        that position, in [0, 1].

    Examples
    --------
    >>> position, depth = azimuth(torch.tensor([[[1j, 1, 0]], [[1j, -1, 1]]]))
    >>> position.tolist(), depth.tolist()
    ([[0.0, 0.0, 1.0]], [[1.0, 0.0, 1.0]])
    """
    left, right = cells
    level = left.abs(), right.abs()
    position = 4 / np.pi * torch.atan2(level[1], level[0]) - 1
    # The difference of the directions is 2 sin(phi / 2). Taken by way of the cosine, as the NumPy
    # method does, it would be uncertain by 5e-4 where the phases nearly agree.
    apart = torch.where(level[0] * level[1] > 0, (left.sgn() - right.sgn()).abs(), 0.0)
    heard = level[0] + level[1] > 0
    return position, torch.where(heard, (1 - apart).clamp(min=0), 0.0)


def panning(spectrum: TorchSpectrum, method: Panning, state: State | None) -> TorchEvidence:
    """Return a mask per stem from the positions that the survey found.

    Parameters
    ----------
    spectrum : TorchSpectrum
        One or two channels.
    method : Panning
        The configuration.
    state : mapping or None
        What the method's survey learned.

    Returns
    -------
    TorchEvidence
        Masks of shape (stems, 1, bins, frames).

    Raises
    ------
    SettingsError
        If two channels come without a state: the survey wants the waveform, which is not here.

    Examples
    --------
    >>> from unstir.spectral import analyze
    >>> from unstir.types import Mixture
    >>> sound = np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)
    >>> mix, method = Mixture(sound, 8000), Panning()
    >>> seen = TorchSpectrum.of(analyze(mix), torch.device("cpu"))
    >>> panning(seen, method, method.survey([mix])).masks.shape
    torch.Size([3, 1, 257, 64])
    """
    silence = spectrum.silence()
    if spectrum.n_channels == 1:
        known = by_role(silence, method.stems)
        assert known is not None
        return spread(known, spectrum)
    learned = _require(state)
    if is_dual_mono(silence.mix, learned) or not len(learned["positions"]):
        return spread(no_evidence(silence, method.stems), spectrum)
    position, depth = azimuth(spectrum.cells)
    windows = [
        (-(((position - at) / method.width) ** 2)).exp() for at in map(float, learned["positions"])
    ]
    total = torch.stack(windows).sum(dim=0)
    scale = depth / total.clamp(min=1)
    parts = [*(window * scale for window in windows), 1 - total * scale]
    shares = method._shares(learned, surround=spectrum.role == "surround")
    # Products of the same numbers in the same order for every stem: ties stay ties.
    masks = torch.stack(
        [
            sum(
                (part * float(share) for part, share in zip(parts, column, strict=True)),
                torch.zeros_like(depth),
            )
            for column in shares.T
        ]
    )
    low_bins = silence.frequencies_hz < method.voice_low_hz
    low = torch.from_numpy(low_bins).to(masks.device)[:, None]
    moved = torch.where(low, masks[0], 0.0)
    masks = torch.cat([(masks[0] - moved)[None], masks[1:] + moved / (len(masks) - 1)])
    if method.mask == "binary":
        masks = binary_masks(masks)
    return TorchEvidence(masks[:, None], everywhere(spectrum))


def _require(state: State | None) -> State:
    if state is None:
        raise SettingsError(
            "two channels came without a state, which midside and panning need here; pass what "
            "their survey of the file learned"
        )
    return state


def levels(images: Tensor) -> Tensor:
    """Return the magnitude of every stem, root mean square over the channels.

    Parameters
    ----------
    images : Tensor
        complex64, shape (stems, channels, bins, frames).

    Returns
    -------
    Tensor
        float32, shape (stems, bins, frames).

    Examples
    --------
    >>> levels(torch.tensor([[[[3 + 4j]], [[5j]]]])).tolist()
    [[[5.0]]]
    """
    return (images.real.square() + images.imag.square()).mean(dim=1).sqrt()


def posterior_mean(cells: Tensor, power: Tensor, spatial: Tensor) -> Tensor:
    """Return every stem's Wiener estimate, as `unstir.hybrid.wiener.wiener` does.

    Parameters
    ----------
    cells : Tensor
        The mix, complex64, shape (2, bins, frames).
    power : Tensor
        float32, shape (stems, bins, frames).
    spatial : Tensor
        complex64, shape (stems, bins, 2, 2): Hermitian, trace 2.

    Returns
    -------
    Tensor
        complex64, shape (stems, 2, bins, frames).

    Examples
    --------
    >>> cells = torch.ones(2, 1, 1, dtype=torch.complex64)
    >>> power = torch.tensor([3.0, 1.0]).reshape(2, 1, 1)
    >>> everywhere_alike = torch.eye(2, dtype=torch.complex64).expand(2, 1, 2, 2)
    >>> posterior_mean(cells, power, everywhere_alike).real[:, 0, 0, 0].numpy().round(3)
    array([0.75, 0.25], dtype=float32)
    """
    r00, r11 = (spatial[:, :, c, c].real[:, :, None] for c in (0, 1))
    r01 = spatial[:, :, 0, 1][:, :, None]
    # Only the ratios of the levels matter; taken per cell, nothing leaves float32 at any scale.
    total = power.sum(dim=0)
    v = torch.where(total > 0, power / torch.where(total > 0, total, 1.0), 1 / len(power))
    # The covariance of the mix and its inverse, written out for two channels.
    c00, c11 = ((v * r).sum(dim=0) + float(FLOOR) for r in (r00, r11))
    c01 = (v * r01).sum(dim=0)
    determinant = c00 * c11 - (c01.real.square() + c01.imag.square())
    left, right = cells
    z0 = (c11 * left - c01 * right) / determinant
    z1 = (c00 * right - c01.conj() * left) / determinant
    return torch.stack([v * (r00 * z0 + r01 * z1), v * (r01.conj() * z0 + r11 * z1)], dim=1)


def filtered(
    spectrum: TorchSpectrum, method: Wiener, state: State | None, base: TorchEvidence
) -> Tensor | None:
    """Return the stems' cells, filtered, from a base method's evidence.

    Parameters
    ----------
    spectrum : TorchSpectrum
        The mix.
    method : Wiener
        The configuration; its base is not asked.
    state : mapping or None
        What the method's survey learned.
    base : TorchEvidence
        First guess, in the order of the method's stems.

    Returns
    -------
    Tensor or None
        complex64, shape (stems, 2, bins, frames); None without a second channel, or if the
        survey had none.
    """
    if spectrum.n_channels == 1 or state is None or "covariances" not in state:
        return None
    share = 1 / len(method.stems)
    settled = share + base.validity * (base.masks - share)
    spatial = torch.tensor(state["covariances"], device=spectrum.cells.device)
    images = settled * spectrum.cells
    for _ in range(method.n_iter):
        images = posterior_mean(spectrum.cells, levels(images), spatial)
    return images


def wiener(
    spectrum: TorchSpectrum, method: Wiener, state: State | None, base: TorchEvidence
) -> TorchEvidence:
    """Return, per channel, every filtered stem's part of the summed powers.

    Parameters
    ----------
    spectrum, method, state, base
        As for `filtered`.

    Returns
    -------
    TorchEvidence
        Masks of shape (stems, 2, bins, frames), validity that of ``base``; or ``base`` itself
        where there is nothing to filter by.

    Examples
    --------
    >>> from unstir.hybrid.fast import hpss
    >>> from unstir.hybrid.hpss import Hpss
    >>> cells = torch.ones(2, 9, 5, dtype=torch.complex64)
    >>> from unstir.spectral import StftConfig
    >>> seen = TorchSpectrum(cells, StftConfig(16, 4), 8000)
    >>> state = {"covariances": np.tile(np.eye(2, dtype=np.complex64), (3, 9, 1, 1))}
    >>> wiener(seen, Wiener(), state, hpss(seen, Hpss())).masks.shape
    torch.Size([3, 2, 9, 5])
    """
    images = filtered(spectrum, method, state, base)
    if images is None:
        return base
    powers = images.real.square() + images.imag.square()
    total = powers.sum(dim=0)
    shares = powers / torch.where(total > 0, total, 1.0)
    return TorchEvidence(torch.where(total > 0, shares, 1 / len(powers)), base.validity)
