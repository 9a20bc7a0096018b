"""Filters and a gate: what an engineer does by hand, a low-pass, a band-pass and a high-pass.

Two crossovers cut the spectrum into low, voice band and high, by weights that are raised cosines
over the logarithm of the frequency: zero phase, and they add up to one. A gate listens to the voice
band and opens where its level rises above the file's own long-term level, with hysteresis, attack
and release. It needs one channel only and knows nothing but level and frequency.

Mapping. Corners and shares were chosen by measurement on real mixes.

- The voice band belongs to ``speech`` or ``vocals`` by ``voice_part`` while the gate is open, and
  by ``range_db`` less while it is closed. The rest goes to the other stems in equal parts.
- The low end is ``accompaniment``, or is shared evenly between ``music`` and ``effects``.
- The high end is ``effects``; in a song, voice and accompaniment share it evenly (sibilants).

Both are textbook material [1]_.

References
----------
.. [1] U. Zölzer (ed.), "DAFX: Digital audio effects", 2nd edition, Wiley 2011: the chapters
   on filters and on dynamic range control (noise gate).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.spectral import Spectrum, analyze, binary_masks, cut, everywhere
from unstir.types import FILM, Evidence, Masks, Mixture, State, Stems

CROSSOVER_OCTAVES = 0.5


def crossover(
    frequencies_hz: NDArray[np.float64], corner_hz: float, *, octaves: float = CROSSOVER_OCTAVES
) -> NDArray[np.float32]:
    """Return the weight of what lies above the corner; one minus it is what lies below.

    Parameters
    ----------
    frequencies_hz : ndarray of float64, shape (bins,)
        Centers of the bins.
    corner_hz : float > 0
        Where the weight is one half.
    octaves : float > 0
        Width of the transition.

    Returns
    -------
    ndarray of float32, shape (bins,), in [0, 1]
        A raised cosine over the logarithm of the frequency.

    Examples
    --------
    >>> crossover(np.array([0.0, 100.0, 200.0, 400.0]), 200, octaves=1)
    array([0. , 0. , 0.5, 1. ], dtype=float32)
    """
    audible = np.maximum(frequencies_hz, 1e-9)  # its ratio to the corner must not underflow
    along = np.clip(np.log2(audible / corner_hz) / octaves + 0.5, 0, 1)
    return np.asarray((1 - np.cos(np.pi * along)) / 2, np.float32)


def gate(
    level_db: NDArray[np.float64],
    *,
    threshold_db: float,
    hysteresis_db: float,
    attack_s: float,
    release_s: float,
    hop_s: float,
) -> NDArray[np.float32]:
    """Return how far a noise gate is open.

    Parameters
    ----------
    level_db : ndarray of float64, shape (frames,)
        What it listens to.
    threshold_db : float
        It opens above this.
    hysteresis_db : float >= 0
        It closes this much below.
    attack_s, release_s : float >= 0
        Time constants of opening and closing, in seconds.
    hop_s : float > 0
        Time from frame to frame, in seconds.

    Returns
    -------
    ndarray of float32, shape (frames,), in [0, 1]
        0 is closed. It starts where the first frame puts it.

    Examples
    --------
    >>> level_db = np.array([-60.0, 3.0, -2.0, -9.0])
    >>> gate(
    ...     level_db, threshold_db=0, hysteresis_db=4, attack_s=0, release_s=0, hop_s=0.01
    ... )
    array([0., 1., 1., 0.], dtype=float32)
    """
    rise, fall = (1 - np.exp(-hop_s / t) if t > 0 else 1.0 for t in (attack_s, release_s))
    opening = np.empty(len(level_db), np.float32)
    is_open = bool(level_db[0] > threshold_db)
    at = float(is_open)
    for i, level in enumerate(level_db):
        is_open = bool(level > threshold_db - (hysteresis_db if is_open else 0))
        at += (rise if is_open else fall) * (is_open - at)
        opening[i] = at
    return opening


@dataclass(frozen=True)
class Bands:
    """Crossovers and a gate on the voice band.

    Parameters
    ----------
    stems : tuple of str
        A stem set; the voice band goes to its first.
    mask : {"ratio", "binary"}
        Whether cells are shared or given whole.
    voice_low_hz, voice_high_hz : float > 0
        Corners of the voice band, in ascending order.
    voice_part : float in [0, 1]
        What the voice gets of its band while the gate is open.
    threshold_db : float
        Level above which the gate opens, relative to the mean power of the file's voice band.
    hysteresis_db : float >= 0
        How far below the threshold it closes.
    attack_ms, release_ms : float >= 0
        Time constants of opening and closing.
    range_db : float >= 0
        How much the closed gate takes away from the voice.

    Raises
    ------
    SettingsError
        If an option is outside its range.

    Examples
    --------
    >>> hiss = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    >>> sorted(Bands(("vocals", "accompaniment")).separate(Mixture(hiss, 8000)))
    ['accompaniment', 'vocals']
    """

    stems: tuple[str, ...] = FILM
    mask: Literal["ratio", "binary"] = "ratio"
    voice_low_hz: float = 120.0
    voice_high_hz: float = 8000.0
    voice_part: float = 0.6
    threshold_db: float = 0.0
    hysteresis_db: float = 4.0
    attack_ms: float = 10.0
    release_ms: float = 100.0
    range_db: float = 8.0

    def __post_init__(self) -> None:
        if self.mask not in ("ratio", "binary"):
            raise SettingsError(f"mask={self.mask!r} came; 'ratio' or 'binary' is allowed")
        if not 0 < self.voice_low_hz < self.voice_high_hz:
            raise SettingsError(
                f"voice_low_hz={self.voice_low_hz} and voice_high_hz={self.voice_high_hz} came; "
                "both have to be above 0, the first below the second"
            )
        if not 0 <= self.voice_part <= 1:
            raise SettingsError(f"voice_part={self.voice_part} came; 0 to 1 is allowed")
        for name in ("hysteresis_db", "attack_ms", "release_ms", "range_db"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name}={getattr(self, name)} came; 0 or more is allowed")

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return the long-term level of the voice band.

        Key ``voice_power``, float64, scalar: the mean over all frames of the squared magnitudes
        in the band. None if there is no segment.
        """
        powers = [self._power(analyze(block)) for block in blocks]
        return {"voice_power": np.asarray(np.mean(np.concatenate(powers)))} if powers else None

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return a mask per stem, each of shape (1, bins, frames), validity 1.

        Parameters
        ----------
        spectrum : Spectrum
            Any number of channels; the masks are the same for all.
        state : mapping, optional
            What `survey` learned; without it the gate listens relative to the window.
        """
        power = self._power(spectrum)
        long_term = float(power.mean() if state is None else state["voice_power"])
        with np.errstate(divide="ignore", invalid="ignore"):  # silence in silence stays closed
            level_db = 10 * (np.log10(power) - np.log10(long_term))
        opening = gate(
            level_db,
            threshold_db=self.threshold_db,
            hysteresis_db=self.hysteresis_db,
            attack_s=self.attack_ms / 1e3,
            release_s=self.release_ms / 1e3,
            hop_s=spectrum.config.hop_length / spectrum.mix.sample_rate,
        )
        masks = self._deal(spectrum, opening)
        return Evidence(
            binary_masks(masks) if self.mask == "binary" else masks, everywhere(spectrum)
        )

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem, and its validity."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the stems that the masks cut out of the mix."""
        return cut(mix, self.evidence, state)

    def _weights(
        self, spectrum: Spectrum
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return the weights of low end, voice band and high end; they add up to one."""
        above_low = crossover(spectrum.frequencies_hz, self.voice_low_hz)
        above_high = crossover(spectrum.frequencies_hz, self.voice_high_hz)
        return 1 - above_low, above_low * (1 - above_high), above_low * above_high

    def _power(self, spectrum: Spectrum) -> NDArray[np.float64]:
        """Return the power of the voice band in every frame."""
        _, band, _ = self._weights(spectrum)
        filtered = spectrum.magnitude * band[:, None]
        return np.asarray(np.sum(np.square(filtered, dtype=np.float64), axis=0))

    def _deal(self, spectrum: Spectrum, opening: NDArray[np.float32]) -> Masks:
        low, band, high = self._weights(spectrum)
        closed = np.float32(self.voice_part * 10 ** (-self.range_db / 20))
        voice_part = closed + (np.float32(self.voice_part) - closed) * opening
        # Frames by bins, and turned at the end: memory runs along the bins, as in spectra.
        voice = voice_part[:, None] * band
        rest = band - voice
        if len(self.stems) == 3:
            shared = (low + rest) / 2
            parts = [voice, shared, shared + high]
        else:
            parts = [voice + high / 2, low + rest + high / 2]
        return {
            name: np.asarray(part.T[None], np.float32)
            for name, part in zip(self.stems, parts, strict=True)
        }
