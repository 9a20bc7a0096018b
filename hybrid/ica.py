"""Independent component analysis of the channels, by scikit-learn's FastICA [1]_.

In the time domain for instantaneous mixes (``n_bands=1``): two talkers on two
microphones side by side. Per band for film mixes, where every source has its own
position in every range; the components of a band are matched to those of the others by
the correlation of their activities [2]_.

What is learned from the survey is one unmixing matrix per band, real and frozen for all
windows. Components come back as their images in the channels (minimal distortion
principle [3]_), so they add up to the mix.

Mapping. The component whose image is nearest to the middle is ``speech`` or ``vocals``;
the other is ``accompaniment``, or is shared evenly between ``music`` and ``effects``.
With one channel, or two that are the same, there is nothing to unmix: the loudspeaker's
role decides as in `unstir.hybrid.midside`, else validity is 0.

References
----------
.. [1] A. Hyvärinen, "Fast and robust fixed-point algorithms for independent component
   analysis", IEEE Trans. Neural Networks 10(3), 1999.
.. [2] N. Murata, S. Ikeda, A. Ziehe, "An approach to blind source separation based on
   temporal structure of speech signals", Neurocomputing 41, 2001.
.. [3] K. Matsuoka, S. Nakashima, "Minimal distortion principle for blind source
   separation", ICA 2001.
"""

import itertools
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.hybrid.midside import by_role, scaled, side_share
from unstir.spectral import Spectrum, analyze, istft, no_evidence
from unstir.types import FILM, Evidence, Mixture, Spectrogram, State, Stems

MAX_FIT_SAMPLES = 200_000  # FastICA on more gains nothing measurable and takes seconds
LOWEST_SPLIT_HZ = 300.0
HIGHEST_SPLIT_HZ = 6000.0


def unmix(signals: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float64] | None:
    """Return the unmixing matrix of an instantaneous mix.

    Parameters
    ----------
    signals : ndarray of float32, shape (channels, samples)
        Two channels or more.
    seed : int
        Seeds FastICA's start.

    Returns
    -------
    ndarray of float64, shape (channels, channels), or None
        ``W`` with ``sources = W @ signals``; None where the channels hold fewer
        independent directions than there are channels, or no direction stands out.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sources = rng.laplace(size=(2, 20000)).astype(np.float32)
    >>> mixing = np.array([[1.0, 0.5], [0.3, 1.0]], np.float32)
    >>> amari_index(unmix(mixing @ sources) @ mixing) < 0.05
    True
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    step = max(1, -(-signals.shape[1] // MAX_FIT_SAMPLES))
    x = signals[:, ::step].T.astype(np.float64)
    peak = np.abs(x).max(initial=0.0)
    if len(x) < 100 or peak == 0:
        return None
    x /= peak
    spread = np.linalg.eigvalsh(np.cov(x.T))
    if spread[0] <= 1e-8 * spread[-1]:
        return None
    ica = FastICA(whiten="unit-variance", random_state=seed, max_iter=400, tol=1e-4)
    with warnings.catch_warnings():
        # No convergence means no independent directions (Gaussian sound); said by None.
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            ica.fit(x)
        except ConvergenceWarning:
            return None
    return np.asarray(ica.components_, np.float64)


def amari_index(product: NDArray[np.float64]) -> float:
    """Return how far ``unmixing @ mixing`` is from a scaled permutation, 0 (perfect) to 1.

    References
    ----------
    .. [1] S. Amari, A. Cichocki, H. Yang, "A new learning algorithm for blind signal
       separation", NIPS 1995; normalized by 2 n (n - 1).

    Examples
    --------
    >>> amari_index(np.array([[0.0, 2.0], [-1.0, 0.0]]))
    0.0
    """
    p = np.abs(product)
    n = len(p)
    rows = (p / p.max(axis=1, keepdims=True)).sum() - n
    columns = (p / p.max(axis=0, keepdims=True)).sum() - n
    return float((rows + columns) / (2 * n * (n - 1)))


def images(unmixing: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Return the projection of the channels onto each component's image.

    .. math:: P_k = a_k w_k^T, \quad A = W^{-1}

    Parameters
    ----------
    unmixing : ndarray of float64, shape (n, n)
        ``W``.

    Returns
    -------
    ndarray of float64, shape (n, n, n)
        ``P[k] @ x`` is component k as heard in the channels; they add up to ``x``.
    """
    mixing = np.linalg.inv(unmixing)
    return np.asarray(np.einsum("dk,kc->kdc", mixing, unmixing), np.float64)


def centeredness(unmixing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each of two components how alike it is in both channels, in [-1, 1]."""
    left, right = np.linalg.inv(unmixing)
    return np.asarray(2 * left * right / (left**2 + right**2), np.float64)


def match_bands(activities: Sequence[NDArray[np.float64]]) -> list[tuple[int, int]]:
    """Return for every band the order of its two components that fits the other bands best.

    Parameters
    ----------
    activities : sequence of ndarray of float64, each of shape (2, frames)
        Level of every component over time.

    Returns
    -------
    list of tuple of int
        ``(0, 1)`` or ``(1, 0)`` per band.

    Examples
    --------
    >>> a, b = np.eye(2).repeat(5, axis=1) + 0.1
    >>> match_bands([np.stack([a, b]), np.stack([b, a]), np.stack([a, b])])
    [(0, 1), (1, 0), (0, 1)]
    """
    normal = []
    for activity in activities:
        centered = np.log(activity + 1e-12 + 1e-3 * activity.max())
        centered = centered - centered.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(centered, axis=1, keepdims=True)
        normal.append(centered / np.where(norm > 0, norm, 1))
    orders = [(0, 1)] * len(normal)
    for _ in range(10):
        before = list(orders)
        for i, own in enumerate(normal):
            others = [
                n[list(o)] for j, (n, o) in enumerate(zip(normal, orders, strict=True)) if j != i
            ]
            if others:
                kept = float(np.sum(own * np.sum(others, axis=0)))
                swapped = float(np.sum(own[::-1] * np.sum(others, axis=0)))
                orders[i] = (1, 0) if swapped > kept else (0, 1)
        if orders == before:
            break
    return orders


@dataclass(frozen=True)
class Ica:
    """FastICA on the channels.

    Parameters
    ----------
    stems : tuple of str
        A stem set; the component nearest to the middle goes to its first.
    seed : int
        Seeds FastICA.
    n_bands : int >= 1
        1 unmixes in the time domain; more, per frequency band.

    Examples
    --------
    >>> sound = np.random.default_rng(0).laplace(size=(2, 44100)).astype(np.float32)
    >>> method = Ica()
    >>> state = method.survey([Mixture(sound, 44100)])
    >>> method.separate(Mixture(sound, 44100), state)["speech"].shape
    (2, 44100)
    """

    stems: tuple[str, ...] = FILM
    seed: int = 0
    n_bands: int = 6

    def __post_init__(self) -> None:
        if self.n_bands < 1:
            raise SettingsError(f"n_bands={self.n_bands} came; 1 or more is allowed")

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return the projection onto the first stem's component in every band.

        Keys ``projections``, float64, shape (bands, 2, 2), NaN in bands where nothing
        independent was found; and ``side_share`` as in `unstir.hybrid.midside`. None if
        nothing was found at all, or for a single channel.
        """
        kept = list(blocks)
        if kept[0].n_channels == 1 or kept[0].role == "surround":
            return None
        if self.n_bands == 1:
            unmixing = [unmix(np.concatenate([b.waveform for b in kept], axis=1), seed=self.seed)]
            activities = [np.ones((2, 1))]
        else:
            spectra = [analyze(block) for block in kept]
            unmixing, activities = [], []
            for band in self._bands(spectra[0]):
                cells = np.concatenate([s.cells[:, band].reshape(2, -1) for s in spectra], axis=1)
                w = unmix(np.concatenate([cells.real, cells.imag], axis=1), seed=self.seed)
                unmixing.append(w)
                if w is not None:
                    activities.append(
                        np.concatenate(
                            [
                                np.abs(np.einsum("kc,cbt->kbt", w, s.cells[:, band])).mean(axis=1)
                                for s in spectra
                            ],
                            axis=1,
                        )
                    )
        found = [w for w in unmixing if w is not None]
        if not found:
            return None
        orders = match_bands(activities)
        # One choice for all bands, else a source would change stems along frequency.
        votes = sum(centeredness(w)[list(order)] for w, order in zip(found, orders, strict=True))
        chosen = int(np.argmax(votes))
        projections = np.full((len(unmixing), 2, 2), np.nan)
        of_found = [images(w)[order[chosen]] for w, order in zip(found, orders, strict=True)]
        projections[[w is not None for w in unmixing]] = of_found
        return {"projections": projections, "side_share": np.asarray(side_share(kept))}

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return, in every cell and channel, the chosen component's part of the power."""
        known = by_role(spectrum, self.stems, state)
        if known is not None:
            return known
        if state is None:
            return no_evidence(spectrum, self.stems)
        image, valid = self._image(spectrum, state)
        rest = spectrum.cells - image
        own, left = (x.real**2 + x.imag**2 for x in (image, rest))
        both = own + left
        share = np.where(both > 0, own / np.where(both > 0, both, np.float32(1)), np.float32(0))
        voice, *others = self.stems
        masks = {voice: share, **dict.fromkeys(others, (1 - share) / np.float32(len(others)))}
        return Evidence(masks, np.repeat(valid[:, None], spectrum.n_frames, axis=1))

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the chosen component's image as the first stem, the rest in equal parts."""
        spectrum = analyze(mix)
        known = by_role(spectrum, self.stems, state)
        if known is not None:
            return scaled(mix, known)
        voice, *others = self.stems
        if state is None:
            first = mix.waveform / np.float32(len(self.stems))
        else:
            image, _ = self._image(spectrum, state)
            first = istft(image, spectrum.config, mix.n_samples)
        rest = (mix.waveform - first) / np.float32(len(others))
        return {voice: first, **{name: rest.copy() for name in others}}

    def _bands(self, spectrum: Spectrum) -> list[slice]:
        """Return the bands: edges even in log frequency between the lowest and highest split."""
        inner_hz = np.geomspace(LOWEST_SPLIT_HZ, HIGHEST_SPLIT_HZ, max(self.n_bands - 1, 1))
        inner = np.searchsorted(spectrum.frequencies_hz, inner_hz[: self.n_bands - 1])
        edges = [0, *(int(i) for i in inner), spectrum.config.n_bins]
        return [slice(a, b) for a, b in itertools.pairwise(edges)]

    def _image(self, spectrum: Spectrum, state: State) -> tuple[Spectrogram, NDArray[np.float32]]:
        """Return the first stem's cells, an even share where a band has no projection."""
        image = spectrum.cells / np.float32(len(self.stems))
        valid = np.zeros(spectrum.config.n_bins, np.float32)
        for band, matrix in zip(self._bands(spectrum), state["projections"], strict=True):
            if np.isfinite(matrix).all():
                real = matrix.astype(np.float32)
                image[:, band] = np.einsum("dc,cbt->dbt", real, spectrum.cells[:, band])
                valid[band] = 1
        return image, valid
