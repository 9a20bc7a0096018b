r"""The repeating background, by similarity (REPET-SIM), and what varies above it.

Accompaniment comes back, voices do not. For each frame the most similar ones are gathered; their
median, bin by bin, is what they share: the repeating part (Rafii and Pardo [1]_). With the
magnitudes V of the mix and the median W over the frames that are most similar to frame j,

.. math:: S_{jk} = \frac{v_j \cdot v_k}{|v_j| |v_k|}, \quad
          W_{ij} = \operatorname*{median}_{k \in \text{similar to } j} V_{ik}, \quad
          M = \min(V, W) / V,

are the similarity matrix, the repeating spectrogram and the mask of the background.

Similar frames are looked for in the window and in a bank of frames from the whole file, frozen by
the survey. Two departures from the paper, both better on real mixes: ``v`` holds the square roots
of the mean magnitudes in 128 bands, else the loud low end alone decides what is similar; and the
minimum distance between similar frames is a quarter of a second, not a whole one.

Mapping. Below ``voice_low_hz`` nothing is foreground.

- **song**: the foreground is ``vocals``, the rest ``accompaniment``.
- **film**: the background is ``music``. Of the foreground, four fifths are ``speech`` and one
  fifth ``effects``, which vary as well. Below ``voice_low_hz`` music and effects share evenly.

Frames for which too few others are found, in very short recordings, have validity 0.

References
----------
.. [1] Z. Rafii and B. Pardo, "Music/voice separation using the similarity matrix", ISMIR 2012:
   similarity matrix, repeating spectrogram model and soft mask, and the high-pass of the voice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.spectral import Spectrum, analyze, binary_masks, cut
from unstir.types import FILM, Evidence, Mixture, State, Stems

N_BANDS = 128
BANK_BYTES = 3_000_000
SURVEY_S = 60.0  # the longest survey; the bank is thinned for it from the start
MIN_SIMILAR = 5  # frames, itself among them; the median of fewer is hardly a pattern
SPEECH_PART = 0.8  # of a film's foreground
CHUNK_FRAMES = 16  # keeps the frames that one median needs inside the processor's cache
SIMILARITY_STEPS = np.float32(2**15)
NEVER = np.float32(-1)  # below every similarity of non-negative vectors


@cache
def median_network(n: int) -> tuple[tuple[int, int], ...]:
    """Return the exchanges that put the median of ``n`` values in its place, ``n // 2``.

    Batcher's odd-even merge sort [2]_ without the exchanges that the median does not depend on:
    a sequence of pairs (i, j), i < j, each to be replaced by (min, max).

    Parameters
    ----------
    n : int, odd, at least 1
        Number of values.

    References
    ----------
    .. [2] K. Batcher, "Sorting networks and their applications", AFIPS 1968.

    Examples
    --------
    >>> median_network(3)
    ((0, 1), (0, 2), (1, 2))
    """
    pairs = []
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        pairs.append((i, i + k))
            k //= 2
        p *= 2
    needed, kept = {n // 2}, []
    for pair in reversed(pairs):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return tuple(reversed(kept))


def median_of(frames: NDArray[np.float32], indices: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the median over groups of rows.

    Parameters
    ----------
    frames : ndarray of float32, shape (n, bins)
        Left as they are.
    indices : ndarray of int, shape (groups, k), k odd
        Rows of each group.

    Returns
    -------
    ndarray of float32, shape (groups, bins)
        The same as ``numpy.median(frames[indices], axis=1)``.

    Examples
    --------
    >>> median_of(np.float32([[1], [5], [9]]), np.array([[0, 1, 2], [2, 2, 0]]))
    array([[5.],
           [9.]], dtype=float32)
    """
    n_groups, k = indices.shape
    exchanges = median_network(k)
    medians = np.empty((n_groups, frames.shape[1]), np.float32)
    for start in range(0, n_groups, CHUNK_FRAMES):
        group = indices[start : start + CHUNK_FRAMES]
        rows = [frames[group[:, j]] for j in range(k)]
        spare = np.empty_like(rows[0])
        for i, j in exchanges:
            np.minimum(rows[i], rows[j], out=spare)
            np.maximum(rows[i], rows[j], out=rows[j])
            rows[i], spare = spare, rows[i]
        medians[start : start + CHUNK_FRAMES] = rows[k // 2]
    return medians


def profiles(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what frames are compared by: band magnitudes, compressed, of unit length.

    Parameters
    ----------
    frames : ndarray of float32, shape (n, bins)
        Magnitudes. Left as they are.

    Returns
    -------
    ndarray of float32, shape (n, at most 128), in [0, 1]
        Their inner products are cosine similarities; zero for silent frames.

    Examples
    --------
    >>> profiles(np.float32([[4, 0], [0, 0]]))
    array([[1., 0.],
           [0., 0.]], dtype=float32)
    """
    edges = np.unique(np.linspace(0, frames.shape[1], N_BANDS + 1).astype(np.intp))
    roots = np.sqrt(np.add.reduceat(frames, edges[:-1], axis=1) / np.diff(edges).astype(np.float32))
    return unit(np.asarray(roots, np.float32))


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of length one, so that inner products are cosines; silent rows stay zero.

    Examples
    --------
    >>> unit(np.float32([[3, 4], [0, 0]]))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    length = np.sqrt(np.sum(rows * rows, axis=1, keepdims=True))
    lengths_one: NDArray[np.float32] = np.divide(
        rows, length, out=np.zeros_like(rows), where=length > 0
    )
    return lengths_one


def apart(
    similarity: NDArray[np.float32], times: NDArray[np.int64], *, block: int, distance: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the most similar frames of each row that lie at least ``distance`` apart.

    Parameters
    ----------
    similarity : ndarray of float32, shape (rows, n)
        Non-negative. Left as it is.
    times : ndarray of int, shape (n,)
        Time of each column, ascending.
    block : int >= 1
        One candidate is taken of every so many columns.
    distance : int
        Of two candidates nearer than this in time, the less similar one falls.

    Returns
    -------
    columns : ndarray of int, shape (rows, candidates)
        Which they are.
    values : ndarray of float32, shape (rows, candidates)
        How similar; -1 for those that fell.

    Examples
    --------
    >>> s = np.float32([[0.1, 0.9, 0.8, 0.2, 0.3, 0.4]])
    >>> apart(s, np.arange(6), block=2, distance=2)
    (array([[1, 2, 5]]), array([[ 0.9, -1. ,  0.4]], dtype=float32))
    """
    n_rows, n = similarity.shape
    n_blocks = -(-n // block)
    padded = np.full((n_rows, n_blocks * block), NEVER)
    padded[:, :n] = similarity
    within = padded.reshape(n_rows, n_blocks, block).argmax(axis=2)
    columns = within + np.arange(n_blocks) * block
    values = np.take_along_axis(similarity, columns, axis=1)
    near = np.diff(times[columns], axis=1) < distance
    falls = np.zeros(values.shape, bool)
    falls[:, 1:] |= near & (values[:, :-1] >= values[:, 1:])
    falls[:, :-1] |= near & (values[:, 1:] > values[:, :-1])
    return columns, np.where(falls, NEVER, values)


@dataclass(frozen=True)
class Repet:
    """Repeating background and varying foreground.

    Parameters
    ----------
    stems : tuple of str
        A stem set; the foreground goes to its first, a part of it to effects.
    mask : {"ratio", "binary"}
        Whether cells are shared or given whole.
    n_similar : int, odd, at least 3
        How many similar frames the median is taken over.
    min_distance_s : float > 0
        Similar frames lie at least so far apart, in seconds.
    voice_low_hz : float >= 0
        Below this nothing is foreground.

    Raises
    ------
    SettingsError
        If an option is outside its range.

    Examples
    --------
    >>> hiss = np.random.default_rng(0).standard_normal((2, 16000)).astype(np.float32)
    >>> sorted(Repet().separate(Mixture(hiss, 8000)))
    ['effects', 'music', 'speech']
    """

    stems: tuple[str, ...] = FILM
    mask: Literal["ratio", "binary"] = "ratio"
    n_similar: int = 63
    min_distance_s: float = 0.25
    voice_low_hz: float = 120.0

    def __post_init__(self) -> None:
        if self.mask not in ("ratio", "binary"):
            raise SettingsError(f"mask={self.mask!r} came; 'ratio' or 'binary' is allowed")
        if self.n_similar < 3 or self.n_similar % 2 == 0:
            raise SettingsError(
                f"n_similar={self.n_similar} came; an odd number of at least 3 is wanted"
            )
        if not self.min_distance_s > 0:
            raise SettingsError(f"min_distance_s={self.min_distance_s} came; it has to be above 0")
        if not self.voice_low_hz >= 0:
            raise SettingsError(f"voice_low_hz={self.voice_low_hz} came; 0 Hz or more is allowed")

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return a bank of frames from the whole file, in which every window finds similar ones.

        Returns
        -------
        dict or None
            ``frames``, float16, shape (n, bins), in [0, 1]: square roots of the magnitudes over
            ``peak``, float32, scalar; ``times``, int64, shape (n,): index of each frame's center
            within the recording, in samples. At most 3 MB. None if no segment is as long as a
            frame.
        """
        frames, times = [], []
        for block in blocks:
            spectrum = analyze(block)
            n_fft, hop_length = spectrum.config.n_fft, spectrum.config.hop_length
            centers = np.arange(spectrum.n_frames) * hop_length
            # A segment's first and last frames reach beyond it, into zeros.
            whole = (centers >= n_fft // 2) & (centers <= block.n_samples - n_fft // 2)
            stride = _stride(spectrum)
            chosen = whole & ((block.start + centers) // hop_length % stride == 0)
            frames.append(spectrum.magnitude.T[chosen])
            times.append(block.start + centers[chosen])
        if not sum(map(len, frames)):
            return None
        bank = np.concatenate(frames)
        peak = np.float32(bank.max())
        return {
            "frames": np.sqrt(bank / (peak or np.float32(1))).astype(np.float16),
            "peak": np.asarray(peak),
            "times": np.concatenate(times).astype(np.int64),
        }

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return a mask per stem; validity 0 for frames with nothing similar to compare with.

        Parameters
        ----------
        spectrum : Spectrum
            Any number of channels; the masks are the same for all.
        state : mapping, optional
            What `survey` learned, on the same grid.

        Returns
        -------
        Evidence
            Masks of shape (1, bins, frames), validity of shape (1, frames).

        Raises
        ------
        SettingsError
            If the bank was made on another grid.
        """
        magnitude = np.ascontiguousarray(spectrum.magnitude.T)
        bank, times = _bank(spectrum, state)
        frames = np.concatenate([magnitude, bank])
        indices, n_found = self._similar(spectrum, profiles(frames), times)
        repeating = np.minimum(median_of(frames, indices), magnitude)
        background = np.divide(
            repeating, magnitude, out=np.ones_like(magnitude), where=magnitude > 0
        ).T
        low = spectrum.frequencies_hz < self.voice_low_hz
        foreground = 1 - background
        foreground[low] = 0
        if len(self.stems) == 3:
            speech = np.float32(SPEECH_PART) * foreground
            effects = foreground - speech
            effects[low] = 0.5
            parts = [speech, 1 - speech - effects, effects]
        else:
            parts = [foreground, 1 - foreground]
        masks = {name: part[None] for name, part in zip(self.stems, parts, strict=True)}
        if self.mask == "binary":
            masks = binary_masks(masks)
        enough = n_found >= min(MIN_SIMILAR, self.n_similar)
        return Evidence(masks, enough.astype(np.float32)[None])

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the stems that the masks cut out of the mix."""
        return cut(mix, self.evidence, state)

    def _similar(
        self, spectrum: Spectrum, looks: NDArray[np.float32], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return each frame's most similar ones, and how many of them are distinct."""
        n, hop_length = spectrum.n_frames, spectrum.config.hop_length
        own_times = np.arange(n) * hop_length
        distance = max(1, round(self.min_distance_s * spectrum.mix.sample_rate))
        # Rounded, so that equally similar frames are taken in order of time at every gain.
        similarity = np.rint(looks[:n] @ looks.T * SIMILARITY_STEPS) / SIMILARITY_STEPS
        block = max(1, distance // hop_length)
        columns, values = apart(similarity[:, :n], own_times, block=block, distance=distance)
        if len(times):
            block = max(1, distance // (hop_length * _stride(spectrum)))
            more = apart(similarity[:, n:], times, block=block, distance=distance)
            columns = np.concatenate([columns, more[0] + n], axis=1)
            values = np.concatenate([values, more[1]], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, : self.n_similar]
        k = order.shape[1] - (order.shape[1] + 1) % 2
        n_found = np.sum(np.take_along_axis(values, order, axis=1) > NEVER, axis=1)
        # Rows with fewer go through theirs again, which leaves the median about where it was.
        turn = np.arange(k) % n_found[:, None]
        return np.take_along_axis(columns, np.take_along_axis(order, turn, axis=1), axis=1), n_found


def _stride(spectrum: Spectrum) -> int:
    """Return how many frames one of the bank stands for."""
    n_surveyed = SURVEY_S * spectrum.mix.sample_rate / spectrum.config.hop_length
    n_kept = max(1, BANK_BYTES // (2 * spectrum.config.n_bins))
    return max(1, int(np.ceil(n_surveyed / n_kept)))


def _bank(spectrum: Spectrum, state: State | None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the magnitudes and times of the bank's frames that are not in the window anyway."""
    n_bins, mix = spectrum.config.n_bins, spectrum.mix
    if state is None:
        return np.zeros((0, n_bins), np.float32), np.zeros(0, np.int64)
    if state["frames"].shape[1] != n_bins:
        raise SettingsError(
            f"a bank of frames with {state['frames'].shape[1]} bins came for a spectrum with "
            f"{n_bins}; survey and separate at one sample rate, on one grid"
        )
    times = state["times"]
    outside = (times < mix.start) | (times >= mix.start + mix.n_samples)
    roots = state["frames"][outside].astype(np.float32)
    return roots * roots * np.float32(state["peak"]), times[outside]
