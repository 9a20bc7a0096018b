r"""Multichannel Wiener filter on another method's estimates.

A mask treats both channels alike or each alone; this filter also uses where a stem sits
between them. Each stem is modeled, per cell, as Gaussian with covariance
:math:`v_j R_j`: its level over time and frequency, and how it stands in the channels,
which does not change over time [1]_. What comes out is the posterior mean,

.. math:: \hat y_j = v_j R_j \left(\sum_k v_k R_k\right)^{-1} x
   \qquad \text{[1], eq. 3}

so the stems add up to the mix by construction. The base method gives the first
:math:`v_j`; the spatial covariances :math:`R_j` are learned in the survey, one per
frequency, and frozen, as everything that must hold for all windows. Then levels are
estimated anew from the filtered stems, ``n_iter`` times (eq. 6, in the simplified form of
norbert that [2]_ found more robust).

Mapping. That of the base method, `unstir.hybrid.classical` unless told otherwise. A single
channel has no place to use: the base's own masks.

References
----------
.. [1] A. A. Nugraha, A. Liutkus, E. Vincent, "Multichannel audio source separation with
   deep neural networks", IEEE/ACM TASLP 24(9), 2016.
.. [2] A. Liutkus and F.-R. Stöter, "norbert: Multichannel Wiener filtering", 2019.
.. [3] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power
   spectrograms", ICASSP 2015.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.hybrid.classical import Classical
from unstir.spectral import Spectrum, analyze, istft, render, settle
from unstir.types import FILM, Evidence, Mixture, Spectrogram, State, Stems

Covariances = NDArray[np.complex64]  # (stems, bins, 2, 2)
FLOOR = np.float32(1e-5)  # of the mix's power: keeps the covariance of one stem alone invertible


def levels(images: Sequence[Spectrogram]) -> NDArray[np.float32]:
    """Return the magnitude of every stem in every cell, root mean square over the channels.

    Magnitudes, not powers: sound is modeled as alpha-stable with exponent 1 [3]_, whose masks
    are softer. On real scenes that was worth 0.6 dB (``docs/methods.md``).

    Returns
    -------
    ndarray of float32, shape (stems, bins, frames)
    """
    return np.stack([np.sqrt(np.mean(y.real**2 + y.imag**2, axis=0)) for y in images])


def covariances(images: Sequence[Spectrogram]) -> NDArray[np.complex128]:
    r"""Return how every stem stands in two channels, not normalized.

    .. math:: \sum_t y_j y_j^H \qquad \text{[1], eq. 7 without its weights}

    Parameters
    ----------
    images : sequence of ndarray of complex64, each of shape (2, bins, frames)
        The stems' cells.

    Returns
    -------
    ndarray of complex128, shape (stems, bins, 2, 2)
        Sums over the frames, so that segments can be added up.
    """
    return np.stack([np.einsum("cbt,dbt->bcd", y, y.conj(), dtype=np.complex128) for y in images])


def wiener(
    cells: Spectrogram, power: NDArray[np.float32], spatial: Covariances
) -> list[Spectrogram]:
    """Return the posterior mean of every stem.

    Parameters
    ----------
    cells : ndarray of complex64, shape (2, bins, frames)
        The mix.
    power : ndarray of float32, shape (stems, bins, frames)
        ``v``.
    spatial : ndarray of complex64, shape (stems, bins, 2, 2)
        ``R``, Hermitian, trace 2.

    Returns
    -------
    list of ndarray of complex64, each of shape (2, bins, frames)
        They add up to ``cells`` but for what the regularization takes from silence.
    """
    r00, r11 = (spatial[:, :, c, c].real[:, :, None] for c in (0, 1))
    r01 = spatial[:, :, 0, 1][:, :, None]
    # Only the ratios of the levels matter; taken per cell, nothing leaves float32 at any scale.
    total = power.sum(axis=0)
    power = np.where(total > 0, power / np.where(total > 0, total, 1), np.float32(1 / len(power)))
    # The covariance of the mix and its inverse, written out for two channels.
    c00, c11 = (power * r00).sum(axis=0) + FLOOR, (power * r11).sum(axis=0) + FLOOR
    c01 = (power * r01).sum(axis=0)
    determinant = c00 * c11 - (c01.real**2 + c01.imag**2)
    left, right = cells
    z0 = (c11 * left - c01 * right) / determinant
    z1 = (c00 * right - c01.conj() * left) / determinant
    return [
        np.stack([v * (a * z0 + b * z1), v * (b.conj() * z0 + d * z1)])
        for v, a, b, d in zip(power, r00, r01, r11, strict=True)
    ]


@dataclass(frozen=True)
class Wiener:
    """The multichannel Wiener filter over the classical fusion.

    Parameters
    ----------
    stems : tuple of str
        A stem set.
    seed : int
        For the base method.
    n_iter : int >= 1
        How often the filter is applied; levels are estimated anew in between.

    Examples
    --------
    >>> sound = np.random.default_rng(0).standard_normal((2, 22050)).astype(np.float32)
    >>> method = Wiener()
    >>> stems = method.separate(Mixture(sound, 22050), method.survey([Mixture(sound, 22050)]))
    >>> bool(np.allclose(sum(stems.values()), sound, atol=1e-5))
    True
    """

    stems: tuple[str, ...] = FILM
    seed: int = 0
    n_iter: int = 1

    def __post_init__(self) -> None:
        if self.n_iter < 1:
            raise SettingsError(f"n_iter={self.n_iter} came; 1 or more is allowed")

    @property
    def tracker(self) -> str:
        """The pitch tracker that the base method uses."""
        return self._base.tracker

    @property
    def _base(self) -> Classical:
        return Classical(self.stems, self.seed)

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return what the base learns, and where the stems stand.

        Key ``covariances``, complex64, shape (stems, bins, 2, 2), for two channels.
        """
        kept = list(blocks)
        state = dict(self._base.survey(kept) or {})
        if kept[0].n_channels == 2:
            total: NDArray[np.complex128] | None = None
            for block in kept:
                found = covariances(self._first(analyze(block), state))
                total = found if total is None else total + found
            assert total is not None
            trace = np.trace(total, axis1=2, axis2=3).real[:, :, None, None]
            heard = trace > 0
            normal = np.where(heard, 2 * total / np.where(heard, trace, 1), np.eye(2))
            # A stem made of several sounds stands in several places, of which one matrix per
            # frequency knows only the mean: it is believed halfway.
            normal = (normal + np.eye(2)) / 2
            state["covariances"] = normal.astype(np.complex64)
        return state or None

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return, per channel, every filtered stem's part of the summed powers."""
        base = self._base.evidence(spectrum, state)
        images = self._filtered(spectrum, state)
        if images is None:
            return base
        powers = {n: y.real**2 + y.imag**2 for n, y in zip(self.stems, images, strict=True)}
        total = np.sum(list(powers.values()), axis=0)
        share = np.float32(1 / len(self.stems))
        masks = {
            n: np.where(total > 0, p / np.where(total > 0, total, np.float32(1)), share)
            for n, p in powers.items()
        }
        return Evidence(masks, base.validity)

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the filtered stems; the last is what the others leave."""
        spectrum = analyze(mix)
        images = self._filtered(spectrum, state)
        if images is None:
            return render(spectrum, settle(self._base.evidence(spectrum, state)))
        *names, last = self.stems
        stems = {
            name: istft(image, spectrum.config, mix.n_samples)
            for name, image in zip(names, images, strict=False)
        }
        stems[last] = mix.waveform - sum(stems.values(), start=np.zeros_like(mix.waveform))
        return stems

    def _first(self, spectrum: Spectrum, state: State | None) -> list[Spectrogram]:
        """Return the base's estimates as cells."""
        masks = settle(self._base.evidence(spectrum, state))
        return [spectrum.cells * masks[name] for name in self.stems]

    def _filtered(self, spectrum: Spectrum, state: State | None) -> list[Spectrogram] | None:
        """Return the filtered cells, or None where there is no second channel to use."""
        if spectrum.mix.n_channels == 1 or state is None or "covariances" not in state:
            return None
        images = self._first(spectrum, state)
        for _ in range(self.n_iter):
            images = wiener(spectrum.cells, levels(images), state["covariances"])
        return images
