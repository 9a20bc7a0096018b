"""What training makes small."""

import torch
from torch import Tensor

from unstir.neural.planes import Sums, stft

RESOLUTIONS = (512, 2048, 8192)  # samples; hop a quarter
FLOOR = 1e-3  # -30 dB: nearer than that to the truth, or to silence, brings nothing more
SILENT = 1e-4  # -40 dB: a source that far below the mixture is not there


def snr_loss(estimates: Tensor, targets: Tensor, mixture: Tensor) -> Tensor:
    """Return the mean negative signal-to-noise ratio in dB, bounded at both ends.

    Works on waveforms and, by Parseval's theorem, on spectrograms.

    Parameters
    ----------
    estimates, targets : Tensor
        Real or complex, shape (batch, sources, channels, ...).
    mixture : Tensor
        Shape (batch, channels, ...); a source that is silent is measured against it.

    Returns
    -------
    Tensor
        A scalar in dB.

    References
    ----------
    .. [1] S. Wisdom et al., "Unsupervised sound separation using mixture invariant
       training", NeurIPS 2020, eqs. 2 and 3: the thresholded SNR.

    Examples
    --------
    >>> x = torch.ones(1, 2, 1, 100)
    >>> round(snr_loss(x, x, x.sum(1)).item(), 1)  # no more than 30 dB counts
    -27.0
    """
    energy = _power(targets, from_axis=2)
    error = _power(estimates - targets, from_axis=2)
    mix = _power(mixture, from_axis=1)[:, None]
    soft = FLOOR * energy + FLOOR * 0.25 * mix + 1e-9
    return (10 * torch.log10((error + soft) / (energy + soft))).mean()


def masked_snr_loss(masks: Tensor, sums: Sums) -> Tensor:
    """Return what `snr_loss` gives for the spectrograms that masks cut out.

    Parameters
    ----------
    masks : Tensor
        Shape (batch, sources, frames, bands), constant within a band.
    sums : Sums
        Energies per band.

    Returns
    -------
    Tensor
        A scalar in dB.
    """
    error = (masks * (masks * sums.mixture - 2 * sums.cross)).sum((2, 3)) + sums.energy
    energy = sums.energy
    soft = FLOOR * energy + FLOOR * 0.25 * sums.mixture.sum((2, 3)) + 1e-6
    return (10 * torch.log10((error.clamp(min=0) + soft) / (energy + soft))).mean()


def si_sdr_loss(estimates: Tensor, targets: Tensor, mixture: Tensor) -> Tensor:
    """Return the negative SI-SDR of waveforms, as `masked_si_sdr_loss` does of spectrograms.

    Parameters
    ----------
    estimates, targets : Tensor
        Shape (batch, sources, channels, samples).
    mixture : Tensor
        Shape (batch, channels, samples); sources far below it count nothing.

    Returns
    -------
    Tensor
        In dB, shape (batch, sources), within 30 dB of 0.
    """
    energy = targets.square().sum((2, 3))
    cross = (estimates * targets).sum((2, 3))
    power = estimates.square().sum((2, 3))
    return _si_sdr_loss(cross, power, energy, mixture.square().sum((1, 2))[:, None])


def masked_si_sdr_loss(masks: Tensor, sums: Sums) -> Tensor:
    r"""Return the negative SI-SDR of the spectrograms that masks cut out, bounded at both ends.

    What is cut out, :math:`\hat s = m X`, has a part along the truth and a rest,

    .. math:: e = \frac{\langle \hat s, s \rangle^2}{\lVert s \rVert^2}, \qquad
              r = \lVert \hat s \rVert^2 - e,

    whatever its level. Unlike `snr_loss`, for which giving nothing is never worse than 0 dB, it is
    the measure that separators are compared by: little and wrong is as bad as loud and wrong.

    Parameters
    ----------
    masks : Tensor
        Shape (batch, sources, frames, bands), constant within a band.
    sums : Sums
        Energies per band.

    Returns
    -------
    Tensor
        In dB, shape (batch, sources), within 30 dB of 0; 0 of sources that are silent.

    References
    ----------
    .. [1] J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, eq. 3.
    """
    cross = (masks * sums.cross).sum((2, 3))
    power = (masks.square() * sums.mixture).sum((2, 3))
    return _si_sdr_loss(cross, power, sums.energy, sums.mixture.sum((2, 3)))


def spectral_loss(estimates: Tensor, targets: Tensor) -> Tensor:
    """Return the mean distance of compressed magnitudes over three resolutions.

    Parameters
    ----------
    estimates, targets : Tensor
        Waveforms, shape (..., samples).

    Returns
    -------
    Tensor
        A scalar: the L1 distance of magnitudes to the power 0.3, relative to the targets'
        mean.

    References
    ----------
    .. [1] R. Yamamoto et al., "Parallel WaveGAN", ICASSP 2020: several resolutions at once.
    """
    total = estimates.new_zeros(())
    for n_fft in RESOLUTIONS:
        a = (stft(estimates, n_fft, n_fft // 4).abs() + 1e-5) ** 0.3
        b = (stft(targets, n_fft, n_fft // 4).abs() + 1e-5) ** 0.3
        total = total + (a - b).abs().mean() / b.mean()
    return total / len(RESOLUTIONS)


def _si_sdr_loss(cross: Tensor, power: Tensor, energy: Tensor, mixture: Tensor) -> Tensor:
    along = cross.square() / energy.clamp(min=1e-6)
    soft = FLOOR * power + 1e-9 * mixture + 1e-9
    rest = (power - along).clamp(min=0)
    loss = 10 * torch.log10((rest + soft) / (along + soft))
    return torch.where(energy > SILENT * mixture, loss, 0)


def _power(x: Tensor, from_axis: int) -> Tensor:
    square = x.abs().square() if x.is_complex() else x.square()
    return square.flatten(from_axis).mean(-1)
