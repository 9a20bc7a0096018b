"""The values that cross rooms and the protocols that every method keeps.

Axes are never guessed: waveforms are ``(channels, samples)``, spectrograms
``(channels, bins, frames)``. Nothing here is ever changed in place.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unstir.errors import AudioError

Waveform = NDArray[np.float32]  # (channels, samples); full scale is 1, louder is allowed
Spectrogram = NDArray[np.complex64]  # (channels, bins, frames)
Mask = NDArray[np.float32]  # (channels or 1, bins, frames)
Plane = NDArray[np.float32]  # (bins or 1, frames), in [0, 1]
Stems = dict[str, Waveform]
Masks = dict[str, Mask]
State = Mapping[str, NDArray[Any]]

FILM = ("speech", "music", "effects")
SONG = ("vocals", "accompaniment")
STEM_SETS: Mapping[str, tuple[str, ...]] = {"film": FILM, "song": SONG}


def nested(parts: Mapping[str, State | None]) -> State | None:
    """Return the states of several parts as one, keys prefixed by the parts' names.

    Examples
    --------
    >>> list(nested({"nmf": {"peak": np.ones(1)}, "hpss": None}))
    ['nmf/peak']
    """
    whole = {f"{name}/{key}": v for name, own in parts.items() for key, v in (own or {}).items()}
    return whole or None


def part_of(state: State | None, name: str) -> State | None:
    """Return what `nested` was given for a part; None if that was nothing."""
    prefix = f"{name}/"
    own = {key[len(prefix) :]: v for key, v in (state or {}).items() if key.startswith(prefix)}
    return own or None


Role = Literal["front", "center", "surround", "lfe"]


@dataclass(frozen=True, slots=True)
class Mixture:
    """A stretch of one recording to be taken apart.

    Parameters
    ----------
    waveform : ndarray of float32, shape (channels, samples)
        The samples, one row per channel. Full scale is 1; louder is allowed.
    sample_rate : int
        Samples per second, in hertz.
    start : int
        Index of the first sample within the whole recording, so that what is
        tied to absolute time (a score, references) finds its place.
    role : {"front", "center", "surround", "lfe"}
        Which loudspeakers these channels feed. Mono and stereo are ``"front"``.

    Raises
    ------
    AudioError
        If ``waveform`` is not two-dimensional float32 or holds no sample.

    Examples
    --------
    >>> import numpy as np
    >>> Mixture(np.zeros((2, 48000), np.float32), 48000).duration_s
    1.0
    """

    waveform: Waveform
    sample_rate: int
    start: int = 0
    role: Role = "front"

    def __post_init__(self) -> None:
        w = self.waveform
        if w.ndim != 2 or w.dtype != np.float32:
            raise AudioError(
                f"a waveform of shape {w.shape} and type {w.dtype} came; "
                "(channels, samples) of float32 is wanted"
            )
        if 0 in w.shape:
            raise AudioError(f"a waveform of shape {w.shape} holds no sample")

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.waveform.shape[0])

    @property
    def n_samples(self) -> int:
        """Number of samples per channel."""
        return int(self.waveform.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a prior says about every cell, and where it has anything to say.

    Parameters
    ----------
    masks : dict of str to ndarray, each of shape (channels or 1, bins, frames)
        One mask per stem; the masks of a cell add up to one.
    validity : ndarray of float32, shape (bins or 1, frames), in [0, 1]
        0 where the prior is silent on the matter (mono input, unvoiced frame).
    """

    masks: Masks
    validity: Plane


@runtime_checkable
class Separator(Protocol):
    """Anything that takes a mix apart."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in order."""

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Learn what must hold for the whole file from a bounded sample of it.

        ``blocks`` are segments in file order, at most a minute in all. What
        comes back is a flat dict of arrays, frozen for all windows and kept in
        the journal; None if there is nothing to learn.
        """

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return one waveform per stem, each of the mix's shape; they add up to the mix."""


@runtime_checkable
class Scored(Protocol):
    """A separator that is told a score, which may have to be laid on the recording."""

    def heard_in(self, blocks: Iterable[Waveform], sample_rate: int) -> Separator:
        """Return the separator with its score aligned to a whole recording."""


@runtime_checkable
class StreamSeparator(Protocol):
    """Anything that takes a mix apart while it comes in, at one sample rate."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in order."""

    @property
    def latency(self) -> int:
        """How many samples later everything comes out."""

    def process(self, block: Waveform, /) -> Stems:
        """Return the stems of as many samples, those that came ``latency`` samples ago.

        They add up to those samples, and to silence for the first ``latency``. How the sound is
        cut into blocks changes nothing.
        """

    def reset(self) -> None:
        """Forget what came, as between two recordings."""


@runtime_checkable
class Prior(Protocol):
    """A guess, made without training, at which stem each cell belongs to."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in order."""

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return a mask per stem on the grid ``spectral.StftConfig.for_rate``, and its validity."""
