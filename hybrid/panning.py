r"""Azimuth discrimination: what is panned to one position is cut out at that position (ADRess).

A source that a mixing desk has panned is the same in both channels but for a gain. Scaling one
channel by that gain and subtracting leaves a null in every cell the source has to itself; Barry,
Lawlor and Coyle [1]_ look for the gain with the deepest null and give the cell to that position.
Here the gain is taken in closed form as the ratio of the magnitudes, and the depth of its null,

.. math:: w = \max\left(0,\; 1 - \frac{|X_L - g X_R|}{|X_L|}\right)
          = \max(0,\; 1 - 2 \sin(|\varphi| / 2)), \quad g = |X_L| / |X_R|,

with the phase difference :math:`\varphi`, says how much of the cell is panned at all: the guard
against wide and reverberant sound, of which no gain makes a null (60 degrees and more). Positions
run linearly over the angle of the constant-power pan law from -1, left, to 1, right.

The positions are the peaks of a histogram over the surveyed segments, weighted by magnitude and
depth of null, and hold for the whole file.

Mapping. The position nearest to the middle is ``speech`` or ``vocals``, above ``voice_low_hz``.

- **film**: another position is ``effects`` as far as its activity comes in bursts and ``music`` as
  far as it is steady, by its coefficient of variation over time beside that of the sound without
  a position. That sound (no null, or out of reach of every position) is ``music``.
- **song**: other positions are ``accompaniment``, and what has no position is shared evenly above
  ``voice_low_hz``: voices are recorded wide, too.
- Below ``voice_low_hz`` the middle is not the voice's: it goes to the others in equal parts.

In a surround pair no position is the voice's. A center channel is dialogue whole. Any other
single channel, and one channel twice, has no positions: validity 0.

References
----------
.. [1] D. Barry, B. Lawlor, E. Coyle, "Sound source separation: azimuth discrimination and
   resynthesis", DAFx 2004: the gain-scaled subtraction, its frequency-azimuth plane, and the
   azimuth subspace width, here ``width``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.hybrid.midside import by_role, is_dual_mono, side_share
from unstir.spectral import Spectrum, analyze, binary_masks, cut, everywhere, no_evidence
from unstir.types import FILM, Evidence, Masks, Mixture, State, Stems

N_STEPS = 201  # of the histogram: one hundredth of the way from the middle to a side
SMOOTHING_STEPS = 3.0
MIN_PROMINENCE = 0.02  # of the highest peak
MIN_DISTANCE_STEPS = 10
STEADY = 0.5  # coefficient of variation over time of sound that is anything but bursts


def azimuth(spectrum: Spectrum) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where each cell is panned, and how surely.

    Parameters
    ----------
    spectrum : Spectrum
        Two channels.

    Returns
    -------
    position : ndarray of float32, shape (bins, frames), in [-1, 1]
        -1 is left, 0 the middle, 1 right.
    depth : ndarray of float32, shape (bins, frames), in [0, 1]
        Depth of the null at that position: 1 if the channels differ by a gain alone, 0 in
        silence and if their phases are 60 degrees or more apart.

    Examples
    --------
    >>> tone = np.sin(np.arange(4096) * 0.1).astype(np.float32)
    >>> position, depth = azimuth(analyze(Mixture(np.stack([0 * tone, tone]), 44100)))
    >>> float(position[depth > 0].min()), float(depth.max())
    (1.0, 1.0)
    """
    left, right = spectrum.cells
    level = np.abs(left), np.abs(right)
    position = np.float32(4 / np.pi) * np.arctan2(level[1], level[0]) - 1
    both = level[0] * level[1] > 0
    # |1 - exp(i phi)| is the distance between the directions; by way of cos phi it would be
    # uncertain by 5e-4 where the phases nearly agree, as those of centered sound do.
    one, other = (
        channel / np.where(both, size, np.float32(1))
        for channel, size in zip((left, right), level, strict=True)
    )
    # One silent channel is a source at the other side: its null is complete.
    depth = np.where(both, 1 - np.abs(one - other), np.float32(1))
    heard = level[0] + level[1] > 0
    return np.asarray(position, np.float32), np.where(heard, np.maximum(depth, 0), np.float32(0))


def find_positions(histogram: NDArray[np.float64], *, max_positions: int) -> NDArray[np.float64]:
    """Return the positions of the histogram's most prominent peaks, from left to right.

    Parameters
    ----------
    histogram : ndarray of float64, shape (201,)
        Non-negative; its ends stand for -1 and 1.
    max_positions : int
        At most so many.

    Returns
    -------
    ndarray of float64, shape (any,), in [-1, 1]
        Empty if the histogram is.

    Examples
    --------
    >>> histogram = np.zeros(201)
    >>> histogram[[100, 150]] = 4, 1
    >>> find_positions(histogram, max_positions=5)
    array([0. , 0.5])
    """
    smooth = scipy.ndimage.gaussian_filter1d(histogram, SMOOTHING_STEPS, mode="constant")
    ends = np.pad(smooth, 1)  # so that what is panned hard is a peak, too
    peaks, found = scipy.signal.find_peaks(
        ends, prominence=max(MIN_PROMINENCE * smooth.max(), 1e-300), distance=MIN_DISTANCE_STEPS
    )
    order = np.argsort(-found["prominences"], kind="stable")[:max_positions]
    return np.sort(peaks[order] - 1) / ((N_STEPS - 1) / 2) - 1


@dataclass(frozen=True)
class Panning:
    """One component per panning position, given to the stems by place and by temper.

    Parameters
    ----------
    stems : tuple of str
        A stem set; the position nearest to the middle goes to its first.
    mask : {"ratio", "binary"}
        Soft windows around the positions, or every cell whole to the nearest one within reach.
    width : float > 0
        Reach of a position, on the scale from -1 to 1: the window is down to 1/e there.
    max_positions : int >= 1
        How many positions to tell apart.
    voice_low_hz : float >= 0
        Below this the middle is not the voice's.

    Raises
    ------
    SettingsError
        If an option is outside its range.

    Examples
    --------
    >>> low, high = np.sin(np.outer([0.05, 0.5], np.arange(44100))).astype(np.float32)
    >>> state = Panning().survey([Mixture(np.stack([low + high, low]), 44100)])
    >>> state["positions"].round(1)
    array([-1.,  0.])
    """

    stems: tuple[str, ...] = FILM
    mask: Literal["ratio", "binary"] = "ratio"
    width: float = 0.3
    max_positions: int = 7
    voice_low_hz: float = 120.0

    def __post_init__(self) -> None:
        if self.mask not in ("ratio", "binary"):
            raise SettingsError(f"mask={self.mask!r} came; 'ratio' or 'binary' is allowed")
        if not self.width > 0:
            raise SettingsError(f"width={self.width} came; a number above 0 is wanted")
        if self.max_positions < 1:
            raise SettingsError(f"max_positions={self.max_positions} came; 1 or more is allowed")
        if not self.voice_low_hz >= 0:
            raise SettingsError(f"voice_low_hz={self.voice_low_hz} came; 0 Hz or more is allowed")

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return where the sources of the file are panned, and how bursty each is.

        Returns
        -------
        dict or None
            ``positions``, float64, shape (n,), ascending in [-1, 1]; ``bursts``, float64,
            shape (n,), in [0, 1]: the part of each position that is effects in a film;
            ``side_share``, float64, scalar in [0, 1]: see `unstir.hybrid.invert.side_share`.
            None for a single channel.
        """
        kept = [block for block in blocks if block.n_channels == 2]
        if not kept:
            return None
        histogram = np.zeros(N_STEPS)
        for block in kept:
            spectrum = analyze(block)
            position, depth = azimuth(spectrum)
            steps = np.rint((position + 1) * ((N_STEPS - 1) / 2)).astype(np.intp)
            weight = (spectrum.magnitude * depth).ravel()
            histogram += np.bincount(steps.ravel(), weight, minlength=N_STEPS)
        positions = find_positions(histogram, max_positions=self.max_positions)
        activity = [self._activity(analyze(block), positions) for block in kept]
        return {
            "positions": positions,
            "bursts": _bursts(np.concatenate(activity, axis=1)),
            "side_share": np.asarray(side_share(kept)),
        }

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return a mask per stem from the positions; without a state the window is surveyed.

        Parameters
        ----------
        spectrum : Spectrum
            One or two channels.
        state : mapping, optional
            What `survey` learned.

        Returns
        -------
        Evidence
            Masks of shape (1, bins, frames), validity 1; without stereo see the module.
        """
        if spectrum.mix.n_channels == 1:
            known = by_role(spectrum, self.stems)
            assert known is not None
            return known
        learned = state or self.survey([spectrum.mix])
        assert learned is not None
        if is_dual_mono(spectrum.mix, learned) or not len(learned["positions"]):
            return no_evidence(spectrum, self.stems)
        return Evidence(self._deal(spectrum, learned), everywhere(spectrum))

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the stems that the masks cut out of the mix."""
        return cut(mix, self.evidence, state)

    def _activity(self, spectrum: Spectrum, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the magnitude at every position, then without one, per frame."""
        placed, nowhere = self._placed(spectrum, positions)
        return np.stack(
            [
                np.sum(share * spectrum.magnitude, axis=0, dtype=np.float64)
                for share in (*placed, nowhere)
            ]
        )

    def _placed(
        self, spectrum: Spectrum, positions: NDArray[np.float64]
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Return each position's part of every cell, and the part that has none."""
        position, depth = azimuth(spectrum)
        windows = [
            np.exp(-(((position - np.float32(at)) / np.float32(self.width)) ** 2))
            for at in positions
        ]
        total = sum(windows, start=np.zeros_like(depth))
        scale = depth / np.maximum(total, 1)
        return [window * scale for window in windows], 1 - total * scale

    def _shares(self, state: State, *, surround: bool) -> NDArray[np.float64]:
        """Return what every position, then the sound without one, gives to each stem."""
        positions, bursts = state["positions"], state["bursts"]
        n_stems = len(self.stems)
        shares = np.zeros((len(positions) + 1, n_stems))
        if n_stems == 3:
            shares[:-1, 1], shares[:-1, 2] = 1 - bursts, bursts
            shares[-1, 1] = 1
        else:
            shares[:, 1] = 1
            if not surround:
                shares[-1] = 0.5
        if not surround:
            shares[np.argmin(np.abs(positions))] = np.eye(n_stems)[0]
        return shares

    def _deal(self, spectrum: Spectrum, state: State) -> Masks:
        placed, nowhere = self._placed(spectrum, state["positions"])
        shares = self._shares(state, surround=spectrum.mix.role == "surround")
        low = spectrum.frequencies_hz < self.voice_low_hz
        voice, *others = self.stems
        masks = {}
        for j, name in enumerate(self.stems):
            parts = zip((*placed, nowhere), shares[:, j], strict=True)
            mask = np.zeros_like(nowhere)
            for part, share in parts:
                if share:
                    mask += part * np.float32(share)
            masks[name] = mask
        for name in others:
            masks[name][low] += masks[voice][low] / np.float32(len(others))
        masks[voice][low] = 0
        masks = {name: mask[None] for name, mask in masks.items()}
        return binary_masks(masks) if self.mask == "binary" else masks


def _bursts(activity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much each row comes in bursts, by the last row's measure, in [0, 1].

    0 where the coefficient of variation over time is a third of the last row's or less, 1/2
    where they are equal, 1 from three times upwards. The last row's counts as `STEADY` at least.
    """
    mean = activity.mean(axis=1)
    spread = np.divide(activity.std(axis=1), mean, out=np.zeros_like(mean), where=mean > 0)
    own, rest = spread[:-1], max(float(spread[-1]), STEADY)
    return np.asarray(np.clip(2 * own / (own + rest) - 0.5, 0, 1))
