"""How near an estimate comes to the stem it stands for, and how sure a mean over many is.

A measure says nothing about a stem that is silent: it is ``nan`` there, for every
method alike. Methods are therefore compared in pairs, scene by scene: take the
difference first and drop its ``nan`` then, so that a scene leaves both sides or
neither. Means over different scenes compare nothing.
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unstir.errors import AudioError, SettingsError
from unstir.types import Waveform

Metric = Callable[[Waveform, Waveform], float]


def _flat(reference: Waveform, estimate: Waveform) -> tuple[NDArray[np.float64], ...]:
    if reference.shape != estimate.shape or reference.size == 0:
        raise AudioError(
            f"a reference of shape {reference.shape} and an estimate of shape {estimate.shape} "
            "came; two of the same shape, with a sample at least, are wanted"
        )
    return reference.ravel().astype(np.float64), estimate.ravel().astype(np.float64)


def _ratio_db(signal: NDArray[np.float64], noise: NDArray[np.float64]) -> float:
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(signal @ signal) - 10 * np.log10(noise @ noise))


def si_sdr_db(reference: Waveform, estimate: Waveform) -> float:
    r"""Return the scale-invariant signal-to-distortion ratio in dB [1]_, eq. 4 and 5.

    .. math:: 10 \log_{10} \frac{\|\alpha s\|^2}{\|\alpha s - \hat s\|^2},
       \quad \alpha = \frac{\hat s^T s}{\|s\|^2}

    Parameters
    ----------
    reference : ndarray of float32, shape (channels, samples)
        The true stem, :math:`s`.
    estimate : ndarray of float32, shape (channels, samples)
        What a method made of it, :math:`\hat s`.

    Returns
    -------
    float
        In dB. ``inf`` for a scaled copy of the reference, ``-inf`` for a silent
        estimate or one that has nothing of the reference in it, ``nan`` for a
        silent reference: drop that ``nan`` on both sides of a comparison.

    Raises
    ------
    AudioError
        If the two differ in shape or hold no sample.

    Notes
    -----
    The channels are laid end to end and share one :math:`\alpha`, so a wrong
    balance between them counts as distortion. No mean is taken away: an offset
    that the stem does not have counts as well.

    References
    ----------
    .. [1] J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR - half-baked or
       well done?", ICASSP 2019.

    Examples
    --------
    >>> s = np.array([[1, 0, 1, 0]], np.float32)
    >>> e = np.array([[0, 1, 0, 0]], np.float32)
    >>> round(si_sdr_db(s, 7 * (s + e)), 2)  # twice the power of the distortion
    3.01
    """
    s, e = _flat(reference, estimate)
    energy = s @ s
    if energy == 0:
        return float("nan")
    alpha = (e @ s) / energy
    return _ratio_db(alpha * s, alpha * s - e) if alpha else float("-inf")


def snr_db(reference: Waveform, estimate: Waveform) -> float:
    r"""Return the signal-to-noise ratio in dB: a wrong level counts as noise.

    .. math:: 10 \log_{10} \frac{\|s\|^2}{\|s - \hat s\|^2}

    Parameters
    ----------
    reference : ndarray of float32, shape (channels, samples)
        The true stem.
    estimate : ndarray of float32, shape (channels, samples)
        What a method made of it.

    Returns
    -------
    float
        In dB. 0 for a silent estimate, ``inf`` for the reference itself, ``nan``
        for a silent reference: drop that ``nan`` on both sides of a comparison.

    Raises
    ------
    AudioError
        If the two differ in shape or hold no sample.

    Examples
    --------
    >>> s = np.array([[1, 0, 1, 0]], np.float32)
    >>> snr_db(s, np.zeros_like(s))
    0.0
    """
    s, e = _flat(reference, estimate)
    return _ratio_db(s, s - e) if s.any() else float("nan")


def improvement(
    reference: Waveform, estimate: Waveform, mix: Waveform, *, metric: Metric = si_sdr_db
) -> float:
    """Return by how many dB the estimate is nearer to the stem than the mix is.

    Parameters
    ----------
    reference : ndarray of float32, shape (channels, samples)
        The true stem.
    estimate : ndarray of float32, shape (channels, samples)
        What a method made of it.
    mix : ndarray of float32, shape (channels, samples)
        What the method was given.
    metric : callable
        `si_sdr_db` or `snr_db`.

    Returns
    -------
    float
        In dB; ``nan`` where nothing can be gained because the stem is silent or
        because it is the mix.

    Examples
    --------
    >>> s = np.array([[1, 0, 1, 0]], np.float32)
    >>> e = np.array([[0, 2, 0, 0]], np.float32)
    >>> round(improvement(s, s + e / 2, s + e), 3)
    6.021
    """
    before = metric(reference, mix)
    return float("nan") if before == np.inf else metric(reference, estimate) - before


def bootstrap_interval(
    values: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int,
    n: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of the mean over sources drawn anew [1]_.

    Parameters
    ----------
    values : array-like of float, shape (values,)
        What was measured; for a comparison, the differences of the pairs. Those
        that are ``nan`` are left out.
    groups : sequence of hashable, optional
        What each value comes from (a speaker, a film). Values of one source
        resemble each other, so whole sources are drawn, not values. Without it,
        every value is its own source.
    seed : int
        Same seed, same interval.
    n : int
        Number of draws.
    level : float in (0, 1)
        Share of the means that the interval holds.

    Returns
    -------
    tuple of float
        Lower and upper end, in the unit of the values; ``nan`` twice if there is
        no value.

    Raises
    ------
    SettingsError
        If ``level`` or ``n`` is out of range, or the groups are not one per value.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman and
       Hall, 1993, section 13.3; drawing whole clusters: A. C. Davison and D. V. Hinkley,
       "Bootstrap Methods and their Application", Cambridge, 1997, section 3.8.

    Examples
    --------
    >>> low, high = bootstrap_interval([1.0, 2.0, 3.0, 4.0], seed=0)
    >>> 1 <= low < 2.5 < high <= 4
    True
    """
    data = np.asarray(values, np.float64).ravel()
    labels = range(data.size) if groups is None else groups
    if not 0 < level < 1 or n < 1:
        raise SettingsError(f"level={level}, n={n} came; 0 < level < 1 and n >= 1 are wanted")
    if len(labels) != data.size:
        raise SettingsError(f"{len(labels)} groups came for {data.size} values; one each is wanted")
    source_of: dict[Hashable, int] = {}
    kept = np.flatnonzero(~np.isnan(data))
    index = [source_of.setdefault(labels[int(i)], len(source_of)) for i in kept]
    if not index:
        return float("nan"), float("nan")
    sums = np.bincount(index, weights=data[kept])
    counts = np.bincount(index)
    rng = np.random.default_rng(seed)
    means = np.empty(n)
    for i in range(n):
        drawn = rng.integers(len(sums), size=len(sums))
        means[i] = sums[drawn].sum() / counts[drawn].sum()
    # An end that is one of the means, never between two, stays defined among infinities.
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(low), float(high)
