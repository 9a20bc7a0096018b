r"""Harmonic against percussive: medians along time and along frequency tell lines from clicks.

A steady tone is a horizontal line in the spectrogram, a click a vertical one. The median along
time, H, keeps the lines and drops the clicks; the median along frequency, P, does the opposite
(FitzGerald [1]_). Masks come from comparing the two; with a margin above one, cells where neither
is clearly larger are left over as a residual (Driedger et al. [2]_).

Mapping, chosen by measurement on real mixes. Voices are neither: their pitch moves, so their
harmonics do not last through a median of three seconds, and they are too sparse for the median
over some hundred hertz.

- **film**: ``music`` as H, ``effects`` as P, ``speech`` as what rises above both,
  :math:`V - \max(H, P)`; the three share every cell in proportion.
- **song**: masks with ``margin``; the residual is ``vocals``, the percussive part is
  ``accompaniment``, and the harmonic part, where held notes of both lie, is shared evenly.

References
----------
.. [1] D. FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
.. [2] J. Driedger, M. Müller, S. Disch, "Extending harmonic-percussive separation of audio
   signals", ISMIR 2014.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.spectral import Spectrum, analyze, binary_masks, cut, everywhere, ratio_masks
from unstir.types import FILM, Evidence, Mixture, State, Stems


def running_median(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the running median along the last axis.

    Parameters
    ----------
    values : ndarray of float32, shape (rows, columns)
        Left as they are. Quickest in C order.
    size : int, odd
        Length of the median; the ends are mirrored, their last value repeated.

    Returns
    -------
    ndarray of float32, shape (rows, columns)
        The same as ``scipy.ndimage.median_filter(values, (1, size), mode="reflect")``, except in
        rows shorter than an eighth of ``size``, which SciPy 1.17 mixes up.

    Examples
    --------
    >>> running_median(np.float32([[1, 9, 2, 8, 3]]), 3)
    array([[1., 2., 8., 3., 3.]], dtype=float32)
    """
    half = size // 2
    padded = np.pad(values, ((0, 0), (half, half)), mode="symmetric")
    # SciPy's filter for vectors keeps its window sorted from sample to sample, which its filter
    # for matrices does not. So all rows go through as one vector; the padding keeps them apart.
    flat = scipy.ndimage.median_filter(padded.ravel(), size, mode="nearest")
    return np.asarray(flat.reshape(padded.shape)[:, half : half + values.shape[1]], np.float32)


def medians(
    magnitude: NDArray[np.float32], *, harmonic_frames: int = 31, percussive_bins: int = 31
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the medians along time and along frequency [1]_ of the module.

    Parameters
    ----------
    magnitude : ndarray of float32, shape (bins, frames)
        Non-negative. Left as it is.
    harmonic_frames, percussive_bins : int, odd, at least 1
        Lengths of the medians.

    Returns
    -------
    harmonic, percussive : ndarray of float32, each of shape (bins, frames)
        Steady tones stand out in the first, clicks in the second.

    Raises
    ------
    SettingsError
        If a length is even or below 1.

    Examples
    --------
    >>> tone_and_click = np.zeros((9, 9), np.float32)
    >>> tone_and_click[2, :] = tone_and_click[:, 5] = 1
    >>> h, p = medians(tone_and_click, harmonic_frames=5, percussive_bins=5)
    >>> bool(h[2].all() and p[:, 5].all()), float(h.sum() + p.sum())
    (True, 18.0)
    """
    for name, size in (("harmonic_frames", harmonic_frames), ("percussive_bins", percussive_bins)):
        if size < 1 or size % 2 == 0:
            raise SettingsError(f"{name}={size} came; an odd number of at least 1 is wanted")
    over_time = running_median(np.ascontiguousarray(magnitude), harmonic_frames)
    over_frequency = running_median(np.ascontiguousarray(magnitude.T), percussive_bins).T
    # Both with memory along the bins, as spectra have it: mixed orders are several times slower.
    return np.asfortranarray(over_time), over_frequency


def median_masks(
    magnitude: NDArray[np.float32],
    *,
    harmonic_frames: int = 31,
    percussive_bins: int = 31,
    margin: float = 1.0,
    power: float = 2.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    r"""Return the masks of the harmonic and of the percussive part.

    .. math:: M_h = \frac{H^p}{H^p + (m P)^p}, \quad M_p = \frac{P^p}{P^p + (m H)^p}

    With ``margin`` 1 these are the Wiener masks of FitzGerald and add up to one. With a larger
    margin (the separation factor of Driedger et al.) they add up to less: the rest is the
    residual. ``power=inf`` gives the binary masks of both papers.

    Parameters
    ----------
    magnitude : ndarray of float32, shape (bins, frames)
        Non-negative. Left as it is.
    harmonic_frames, percussive_bins : int, odd, at least 1
        Lengths of the medians.
    margin : float >= 1
        How many times larger the one has to be.
    power : float > 0
        Hardness of the masks; infinity for binary ones.

    Returns
    -------
    harmonic, percussive : ndarray of float32, each of shape (bins, frames), in [0, 1]
        The same as ``librosa.decompose.hpss(..., mask=True)``.

    Raises
    ------
    SettingsError
        If an option is outside its range.

    Examples
    --------
    >>> tone_and_click = np.zeros((9, 9), np.float32)
    >>> tone_and_click[2, :] = tone_and_click[:, 5] = 1
    >>> h, p = median_masks(tone_and_click, harmonic_frames=5, percussive_bins=5)
    >>> float(h[2, 0]), float(h[0, 5]), float(h[2, 5])
    (1.0, 0.0, 0.5)
    """
    if not margin >= 1:
        raise SettingsError(f"margin={margin} came; a number of at least 1 is wanted")
    if not power > 0:
        raise SettingsError(f"power={power} came; a number above 0, or infinity, is wanted")
    harmonic, percussive = medians(
        magnitude, harmonic_frames=harmonic_frames, percussive_bins=percussive_bins
    )
    return (
        _outweigh(harmonic, percussive, margin, power),
        _outweigh(percussive, harmonic, margin, power),
    )


def _outweigh(
    own: NDArray[np.float32],
    other: NDArray[np.float32],
    margin: float,
    power: float,
) -> NDArray[np.float32]:
    rival = other * np.float32(margin)
    if np.isinf(power):
        return (own > rival).astype(np.float32)
    # Dividing by the larger first keeps powers of every scale inside float32.
    largest = np.maximum(own, rival)
    silent = largest < np.finfo(np.float32).tiny
    largest[silent] = 1
    mask = (own / largest) ** np.float32(power)
    mask /= np.where(silent, np.float32(1), mask + (rival / largest) ** np.float32(power))
    mask[silent] = 0.5 if margin == 1 else 0
    return np.asarray(mask, np.float32)


@dataclass(frozen=True)
class Hpss:
    """Harmonic and percussive parts, and what is neither.

    Parameters
    ----------
    stems : tuple of str
        A stem set; what is neither harmonic nor percussive goes to its first.
    mask : {"ratio", "binary"}
        Whether cells are shared or given whole.
    harmonic_s : float > 0
        Length of the median along time, in seconds.
    percussive_hz : float > 0
        Length of the median along frequency, in hertz.
    margin : float >= 1
        For songs: how many times larger a median has to be to claim a cell.

    Raises
    ------
    SettingsError
        If an option is outside its range.

    Examples
    --------
    >>> hiss = np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)
    >>> sorted(Hpss().separate(Mixture(hiss, 8000)))
    ['effects', 'music', 'speech']
    """

    stems: tuple[str, ...] = FILM
    mask: Literal["ratio", "binary"] = "ratio"
    harmonic_s: float = 3.0
    percussive_hz: float = 200.0
    margin: float = 1.5

    def __post_init__(self) -> None:
        if self.mask not in ("ratio", "binary"):
            raise SettingsError(f"mask={self.mask!r} came; 'ratio' or 'binary' is allowed")
        for name in ("harmonic_s", "percussive_hz"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name}={getattr(self, name)} came; it has to be above 0")
        if not self.margin >= 1:
            raise SettingsError(f"margin={self.margin} came; a number of at least 1 is wanted")

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return None: nothing has to hold for the whole file."""
        return None

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return a mask per stem, each of shape (1, bins, frames), validity 1."""
        magnitude, rate = spectrum.magnitude, spectrum.mix.sample_rate
        n_fft, hop_length = spectrum.config.n_fft, spectrum.config.hop_length
        frames = _odd(self.harmonic_s * rate / hop_length)
        bins = _odd(self.percussive_hz * n_fft / rate)
        if len(self.stems) == 3:
            h, p = medians(magnitude, harmonic_frames=frames, percussive_bins=bins)
            above = np.maximum(magnitude - np.maximum(h, p), 0)
            parts = dict(zip(self.stems, (above[None], h[None], p[None]), strict=True))
            masks = binary_masks(parts) if self.mask == "binary" else ratio_masks(parts)
        else:
            h, p = median_masks(
                magnitude,
                harmonic_frames=frames,
                percussive_bins=bins,
                margin=self.margin,
                power=np.inf if self.mask == "binary" else 1.0,
            )
            voice = np.asarray(1 - p - h / 2, np.float32)
            masks = {self.stems[0]: voice[None], self.stems[1]: (1 - voice)[None]}
        return Evidence(masks, everywhere(spectrum))

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the stems that the masks cut out of the mix."""
        return cut(mix, self.evidence, state)


def _odd(length: float) -> int:
    return 2 * round((length - 1) / 2) + 1 if length > 1 else 1
