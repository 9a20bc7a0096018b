"""Stems as whole numbers that add up to the mix, bit for bit."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unstir.types import Stems, Waveform

Integers = NDArray[np.int32]


def to_integers(waveform: Waveform, bits: int) -> Integers:
    """Return the nearest PCM values, exact for sound that came from PCM of so many bits or less.

    Parameters
    ----------
    waveform : ndarray of float32, shape (channels, samples)
        Full scale is 1; what lies outside is clipped.
    bits : int
        16 or 24.

    Returns
    -------
    ndarray of int32, shape (channels, samples)
        In ``[-2**(bits - 1), 2**(bits - 1) - 1]``.
    """
    scale = 2.0 ** (bits - 1)
    return np.clip(np.rint(waveform.astype(np.float64) * scale), -scale, scale - 1).astype(np.int32)


def quantize_together(
    mix: Integers, stems: Stems, bits: int, sums: Mapping[str, Sequence[str]] | None = None
) -> tuple[dict[str, Integers], int]:
    """Return integer stems, and sums of them, that fit their range and add up to ``mix`` exactly.

    Every stem is rounded by itself; the few units by which the rounded stems miss the
    mix go to the last one. What does not fit into a stem is handed to the others, which
    always have room, because the mix itself fits. A sum of stems that would not fit is
    mended the same way, against the stems outside it.

    Parameters
    ----------
    mix : ndarray of int32, shape (channels, samples)
        The mix as PCM.
    stems : dict of str to ndarray of float32, each of the mix's shape
        Estimates that add up to about the mix.
    bits : int
        16 or 24.
    sums : mapping of str to sequence of str, optional
        Names of sums and the stems each one holds.

    Returns
    -------
    dict of str to ndarray of int32
        The stems, then the sums.
    int
        How many samples, over all stems and channels, were handed over.

    Examples
    --------
    >>> import numpy as np
    >>> mix = np.array([[30000]], np.int32)
    >>> stems = {"a": np.float32([[1.5]]), "b": np.float32([[-0.584473]])}
    >>> whole, handed = quantize_together(mix, stems, 16)
    >>> [int(v.item()) for v in whole.values()], handed
    ([32767, -2767], 1)
    """
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    names = list(stems)
    # int64: overflow is what this function is about, so the arithmetic must not add its own.
    whole = {
        n: np.rint(stems[n].astype(np.float64) * 2.0 ** (bits - 1)).astype(np.int64) for n in names
    }
    handed = 0
    for name in names:
        fitted = np.clip(whole[name], low, high)
        handed += int(np.count_nonzero(fitted != whole[name]))
        whole[name] = fitted
    _hand_out(
        mix - sum(whole.values(), start=np.zeros(mix.shape, np.int64)),
        whole,
        names[::-1],
        low,
        high,
    )
    for inside in (sums or {}).values():
        total = sum((whole[n] for n in inside), start=np.zeros(mix.shape, np.int64))
        excess = total - np.clip(total, low, high)
        if excess.any():
            handed += int(np.count_nonzero(excess))
            outside = [n for n in names if n not in inside]
            _hand_out(-excess, whole, list(inside), low, high)
            _hand_out(excess, whole, outside, low, high)
    result = {n: v.astype(np.int32) for n, v in whole.items()}
    for name, inside in (sums or {}).items():
        total = sum((whole[n] for n in inside), start=np.zeros(mix.shape, np.int64))
        result[name] = np.clip(total, low, high).astype(np.int32)
    return result, handed


def _hand_out(
    rest: NDArray[np.int64],
    whole: dict[str, NDArray[np.int64]],
    names: list[str],
    low: int,
    high: int,
) -> None:
    """Add ``rest`` to the arrays named, in order, each as far as it has room; changes ``whole``."""
    for name in names:
        if not rest.any():
            return
        moved = np.clip(rest, low - whole[name], high - whole[name])
        whole[name] = whole[name] + moved
        rest = rest - moved
