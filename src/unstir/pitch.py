"""What is heard in one voice of any length: its pitch, its level, its beats.

The sound comes in blocks of any size and is looked at in overlapping windows on a fixed grid, so
memory grows by a few bytes per frame only, and the result does not depend on the blocks. Channels
are averaged. Pitch comes from pYIN (`unstir.hybrid.pyin`), beats from `unstir.hybrid.tempo`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.hybrid.pyin import pyin
from unstir.hybrid.tempo import HOP_LENGTH as BEAT_HOP
from unstir.hybrid.tempo import RATE_HZ as BEAT_RATE_HZ
from unstir.hybrid.tempo import find_beats, mono_at, onset_strength
from unstir.types import Waveform

RATE_HZ = 16000
HOP_LENGTH = 160  # 10 ms
FRAME_LENGTH = 1024  # 64 ms: four periods of the lowest voice
LEVEL_LENGTH = 480  # 30 ms: short enough to place an onset, longer than a period
SILENCE_DB = -120.0
WINDOW_FRAMES = 2000  # looked at together
MARGIN_FRAMES = 100  # the decoder has settled after a second

Mono = NDArray[np.float32]  # shape (samples,)


@dataclass(frozen=True, slots=True)
class PitchTrack:
    """The fundamental frequency and the level of one voice over time.

    Parameters
    ----------
    f0_hz : ndarray of float64, shape (frames,)
        Fundamental frequency in hertz; NaN where there is no pitch.
    voicing : ndarray of float64, shape (frames,), in [0, 1]
        Probability that a frame, seen alone, has a pitch.
    level_db : ndarray of float64, shape (frames,)
        Level over 30 ms in dB, 0 for a root mean square of full scale, at least -120.
    hop_s : float
        Seconds from frame to frame; frame ``t`` is centered on ``t * hop_s``.
    """

    f0_hz: NDArray[np.float64]
    voicing: NDArray[np.float64]
    level_db: NDArray[np.float64]
    hop_s: float


def track_pitch(
    blocks: Iterable[Waveform],
    sample_rate: int,
    *,
    f0_min_hz: float = 65.0,
    f0_max_hz: float = 1100.0,
) -> PitchTrack:
    """Return the pitch and the level of one voice.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, each of shape (channels, any)
        The sound, in order.
    sample_rate : int
        In hertz.
    f0_min_hz, f0_max_hz : float
        Range of the search, in hertz: from a bass's low C to a soprano's high one.

    Returns
    -------
    PitchTrack
        A frame every 10 ms.

    Raises
    ------
    SettingsError
        If the range is empty or outside 40 Hz to 4 kHz.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 220 * np.arange(8000) / 8000).astype(np.float32)
    >>> track = track_pitch([tone[None]], 8000)
    >>> len(track.f0_hz), int(np.nanmedian(track.f0_hz).round()), int(track.level_db[50].round())
    (101, 220, -3)
    """
    if not 40 <= f0_min_hz < f0_max_hz <= RATE_HZ / 4:
        raise SettingsError(
            f"f0_min_hz={f0_min_hz:g} and f0_max_hz={f0_max_hz:g} came; "
            f"40 <= f0_min_hz < f0_max_hz <= {RATE_HZ // 4} is wanted"
        )

    def look(window: Mono) -> NDArray[np.float64]:
        found = pyin(
            window,
            RATE_HZ,
            f0_min_hz=f0_min_hz,
            f0_max_hz=f0_max_hz,
            frame_length=FRAME_LENGTH,
            hop_length=HOP_LENGTH,
            threshold_prior=(2.0, 8.0),
        )
        f0_hz = np.where(found.voiced, found.f0_hz, np.nan)
        return np.stack([f0_hz, found.voiced_probability, _level_db(window, len(f0_hz))], axis=1)

    mono = mono_at(blocks, sample_rate, RATE_HZ)
    rows = _by_frame(mono, HOP_LENGTH, look)
    return PitchTrack(rows[:, 0], rows[:, 1], rows[:, 2], HOP_LENGTH / RATE_HZ)


def track_beats(blocks: Iterable[Waveform], sample_rate: int) -> NDArray[np.float64]:
    """Return the beats of a recording, in seconds.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, each of shape (channels, any)
        The sound, in order: best the whole mix, whose drums and bass mark the beat.
    sample_rate : int
        In hertz.

    Returns
    -------
    ndarray of float64, shape (beats,), in rising order
        Empty where none are found.

    Examples
    --------
    >>> clicks = np.zeros((1, 80000), np.float32)
    >>> clicks[:, 2000::4000] = 0.9
    >>> float(np.median(np.diff(track_beats([clicks], 8000))).round(1))
    0.5
    """
    mono = mono_at(blocks, sample_rate, BEAT_RATE_HZ)
    rows = _by_frame(mono, BEAT_HOP, lambda window: np.array([onset_strength(window)], float).T)
    return find_beats(np.asarray(rows[:, 0], np.float32))


def _by_frame(
    pieces: Iterable[Mono], hop: int, look: Callable[[Mono], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return what ``look`` says of every frame, shape (frames, columns).

    It is shown windows that overlap by twice a margin, and believed in between.
    """
    rows = []
    buffer = np.zeros(0, np.float32)
    first = 0  # frames of the buffer that belong to the window before
    window = (WINDOW_FRAMES + 2 * MARGIN_FRAMES) * hop
    for piece in pieces:
        buffer = np.concatenate([buffer, piece])
        while len(buffer) > window:
            rows.append(look(buffer[:window])[first : MARGIN_FRAMES + WINDOW_FRAMES])
            buffer = buffer[WINDOW_FRAMES * hop :]
            first = MARGIN_FRAMES
    rows.append(look(buffer if len(buffer) else np.zeros(1, np.float32))[first:])
    return np.concatenate(rows)


def _level_db(window: Mono, n_frames: int) -> NDArray[np.float64]:
    """Return the root mean square under a Hann window around every frame, in dB."""
    weights = np.hanning(LEVEL_LENGTH + 2)[1:-1]
    power = np.square(np.pad(window, LEVEL_LENGTH // 2), dtype=np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(power, LEVEL_LENGTH)[::HOP_LENGTH]
    mean = frames[:n_frames] @ (weights / weights.sum())
    return np.asarray(10 * np.log10(np.maximum(mean, 10 ** (SILENCE_DB / 10))), np.float64)
