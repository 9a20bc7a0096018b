r"""Where a recording plays what a score says, by dynamic time warping.

Score and recording are told in chroma vectors, ten a second: how much of each of the twelve pitch
classes sounds, and how much of it is new, since what begins places a note better than what lasts
[1]_. The score's notes are given the first harmonics that an instrument would. The cheapest path
through the matrix of their distances [2]_ says which instants belong together; it may begin and end
inside either of the two, for a score may lack the applause and a recording the last movement.

A score that fits as it stands is left as it stands: the path is taken only if it is cheaper than
the diagonal by a tenth.

References
----------
.. [1] S. Ewert, M. Müller and P. Grosche, "High resolution audio synchronization using chroma onset
   features", ICASSP 2009.
.. [2] M. Müller, "Fundamentals of Music Processing", chapter 3, Springer 2015.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from unstir.errors import AudioError
from unstir.hybrid.score import Note
from unstir.hybrid.tempo import mono_at
from unstir.types import Waveform

RATE_HZ = 11025
FRAME_LENGTH = 2048  # 186 ms: tells semitones apart from 130 Hz on
FRAMES_PER_S = 10.0
MAX_CELLS = 36_000_000  # ten minutes against ten; beyond, frames are drawn together
LOWEST_HZ, HIGHEST_HZ = 100.0, 4000.0
HARMONICS = 6
QUIET = 0.01  # of the loudest frame's magnitude: silence
SKIP_COST = 0.35  # per frame left out before the beginning or after the end
GAIN_WANTED = 0.1

Features = NDArray[np.float32]  # (frames, 12), chroma; or 25: and what is new of it, and silence


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which instants of a score and of a recording belong together.

    Parameters
    ----------
    score_s, audio_s : tuple of float
        Instants in seconds, both rising. Between them time runs evenly; outside, at the score's
        own pace. Empty where the score fits as it stands.
    distance : float
        Mean distance along the path, from 0 to 1; small where they belong together.
    """

    score_s: tuple[float, ...]
    audio_s: tuple[float, ...]
    distance: float

    def to_audio(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when the recording plays what the score has at these times, in seconds.

        Examples
        --------
        >>> slower = Alignment((0.0, 10.0), (1.0, 21.0), 0.0)
        >>> slower.to_audio(np.array([-1.0, 5.0, 12.0])).tolist()
        [0.0, 11.0, 23.0]
        """
        if not self.score_s:
            return times_s
        inside = np.interp(times_s, self.score_s, self.audio_s)
        before = np.minimum(times_s - self.score_s[0], 0)
        after = np.maximum(times_s - self.score_s[-1], 0)
        moved: NDArray[np.float64] = inside + before + after
        return moved


def align(notes: Sequence[Note], blocks: Iterable[Waveform], sample_rate: int) -> Alignment:
    """Return where a recording plays the notes of a score.

    Parameters
    ----------
    notes : sequence of Note
        The score. Percussion is not listened for.
    blocks : iterable of ndarray of float32, each of shape (channels, any)
        The whole recording, in order.
    sample_rate : int
        In hertz.

    Returns
    -------
    Alignment
        Good to about a tenth of a second where the music moves.

    Raises
    ------
    AudioError
        If the score has nothing but percussion, or the recording is silent.

    Notes
    -----
    Memory is a byte per cell, at most 36 MB, and 100 bytes per frame.
    """
    pitched = [note for note in notes if not note.percussive]
    heard = _audio_features(blocks, sample_rate)
    if not pitched or not heard[:, :12].any():
        what = "recording is silent" if pitched else "score has nothing but percussion"
        raise AudioError(f"the {what}, so they cannot be aligned; give the score of what is heard")
    end_s = max(note.offset_s for note in pitched)
    written = _score_features(pitched, round(end_s * FRAMES_PER_S) + 1)
    every = int(np.ceil(np.sqrt(len(heard) * len(written) / MAX_CELLS)))
    a, b = _normalized(written, every), _normalized(heard, every)
    path, distance = _warp(a, b)
    n = min(len(a), len(b))
    apart = 2 * np.sum(1 - np.einsum("ij,ij->i", a[:n], b[:n], dtype=np.float64))
    straight = float(apart + SKIP_COST * abs(len(a) - len(b))) / (len(a) + len(b))
    if distance > (1 - GAIN_WANTED) * straight:
        return Alignment((), (), straight)
    score_s, audio_s = _knots(np.asarray(path * (every / FRAMES_PER_S), np.float64))
    return Alignment(tuple(score_s.tolist()), tuple(audio_s.tolist()), distance)


def aligned(notes: Sequence[Note], alignment: Alignment) -> tuple[Note, ...]:
    """Return the notes of a score where a recording plays them, by onset.

    Notes that would begin before the recording begin with it.

    Examples
    --------
    >>> aligned([Note(1.0, 2.0, 69, 90, False)], Alignment((0.0, 4.0), (0.0, 2.0), 0.1))
    (Note(onset_s=0.5, offset_s=1.0, pitch=69, velocity=90, percussive=False),)
    """
    times_s = np.array([(note.onset_s, note.offset_s) for note in notes]).reshape(-1, 2)
    moved = np.maximum(alignment.to_audio(times_s), 0.0)
    return tuple(
        replace(note, onset_s=onset_s, offset_s=offset_s)
        for note, (onset_s, offset_s) in zip(notes, moved.tolist(), strict=True)
    )


def _audio_features(blocks: Iterable[Waveform], sample_rate: int) -> Features:
    """Return the chroma of a recording, shape (frames, 12), and 0 where it is silent."""
    hop = RATE_HZ / FRAMES_PER_S
    window = scipy.signal.get_window("hann", FRAME_LENGTH).astype(np.float32)
    f_hz = np.fft.rfftfreq(FRAME_LENGTH, 1 / RATE_HZ)
    used = (f_hz >= LOWEST_HZ) & (f_hz <= HIGHEST_HZ)
    # Every bin goes to the two pitch classes beside it.
    key = 69 + 12 * np.log2(f_hz[used] / 440)
    low = np.floor(key)
    to_chroma = np.zeros((int(used.sum()), 12), np.float32)
    rows = np.arange(len(key))
    np.add.at(to_chroma, (rows, low.astype(int) % 12), 1 - (key - low))
    np.add.at(to_chroma, (rows, (low.astype(int) + 1) % 12), key - low)

    def pieces() -> Iterator[NDArray[np.float32]]:
        yield np.zeros(FRAME_LENGTH // 2, np.float32)
        yield from mono_at(blocks, sample_rate, RATE_HZ)
        yield np.zeros(FRAME_LENGTH // 2, np.float32)

    found: list[NDArray[np.float32]] = []
    buffer, at = np.zeros(0, np.float32), 0  # at: sample of the stream where the buffer begins
    for piece in pieces():
        buffer = np.concatenate([buffer, piece])
        while (first := round(len(found) * hop) - at) + FRAME_LENGTH <= len(buffer):
            magnitude = np.abs(np.fft.rfft(buffer[first : first + FRAME_LENGTH] * window))[used]
            found.append(np.asarray(magnitude @ to_chroma, np.float32))
        done = max(0, min(len(buffer), round(len(found) * hop) - at))
        buffer, at = buffer[done:], at + done
    return np.array(found, np.float32).reshape(-1, 12)


def _score_features(notes: Sequence[Note], n_frames: int) -> Features:
    """Return the chroma that a score would have, shape (frames, 12)."""
    chroma = np.zeros((n_frames, 12), np.float32)
    for note in notes:
        first = round(note.onset_s * FRAMES_PER_S)
        stop = max(first + 1, round(note.offset_s * FRAMES_PER_S))
        for h in range(1, HARMONICS + 1):
            pitch_class = round(note.pitch + 12 * np.log2(h)) % 12
            # What is struck dies away, what is bowed does not: something in between.
            shape = np.exp(-np.arange(min(stop, n_frames) - first) / (2 * FRAMES_PER_S))
            chroma[first:stop, pitch_class] += note.velocity / 127 / h * shape
    return chroma


def _normalized(chroma: Features, every: int) -> Features:
    """Return vectors of length one from chroma, ``every`` frames drawn together."""
    n = -(-len(chroma) // every)
    chroma = np.pad(chroma, ((0, n * every - len(chroma)), (0, 0)))
    level = chroma.reshape(n, every, 12).mean(axis=1)
    total = level.sum(axis=1)
    silent = total <= QUIET * total.max()
    compressed = np.log1p(100 * level / max(float(np.percentile(total, 95)), 1e-9))
    new = np.maximum(np.diff(compressed, axis=0, prepend=0), 0)
    new /= max(float(new.max(initial=0)), 1e-9)
    lasting = compressed / np.maximum(np.linalg.norm(compressed, axis=1), 1e-9)[:, None]
    features = np.concatenate([lasting, new, np.zeros((n, 1), np.float32)], axis=1)
    features[silent] = 0
    features[silent, -1] = 1
    return np.asarray(
        features / np.maximum(np.linalg.norm(features, axis=1), 1e-9)[:, None], np.float32
    )


def _warp(a: Features, b: Features) -> tuple[NDArray[np.intp], float]:
    """Return the cheapest path, shape (steps, 2), and its mean cost.

    The matrix is filled along its antidiagonals, each of which depends on the two before; only the
    step that led to a cell is kept.
    """
    n, m = len(a), len(b)
    step = np.zeros((n, m), np.int8)  # 0 begin here, 1 both, 2 the score, 3 the recording
    before = np.full(n, np.inf)  # costs on the antidiagonal before, by row
    earlier = np.full(n, np.inf)
    best, end = np.inf, (n - 1, m - 1)
    for k in range(n + m - 1):
        i = np.arange(max(0, k - m + 1), min(k, n - 1) + 1)
        j = k - i
        cost = 1 - np.einsum("ij,ij->i", a[i], b[j], dtype=np.float64)
        begin = np.where((i == 0) | (j == 0), SKIP_COST * k, np.inf)
        # A step along one axis alone costs as much as one along both, so time cannot be saved.
        both = np.where((i > 0) & (j > 0), earlier[i - 1], np.inf) + 2 * cost
        score = np.where(i > 0, before[i - 1], np.inf) + cost
        audio = np.where(j > 0, before[i], np.inf) + cost
        ways = np.stack([begin + 2 * cost, both, score, audio])
        step[i, j] = chosen = ways.argmin(axis=0)
        now = np.full(n, np.inf)
        now[i] = ways[chosen, np.arange(len(i))]
        last = (i == n - 1) | (j == m - 1)
        left_out = SKIP_COST * ((n - 1 - i) + (m - 1 - j))
        total = np.where(last, now[i] + left_out, np.inf)
        if total.min() < best:
            best, q = float(total.min()), int(total.argmin())
            end = (int(i[q]), int(j[q]))
        earlier, before = before, now
    path = [end]
    while how := int(step[path[-1]]):
        path.append((path[-1][0] - (how in (1, 2)), path[-1][1] - (how in (1, 3))))
    # A path through both is worth two for each step along both: n + m in all.
    return np.array(path[::-1]), best / (n + m)


def _knots(path: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a path as instants that rise in both: the middle of every level or upright stretch."""
    # How long the first and the last chord are held says nothing of when they begin.
    path = path[np.flatnonzero(path[:, 0] == path[0, 0])[-1] :]
    path = path[: np.flatnonzero(path[:, 0] == path[-1, 0])[0] + 1]
    score_s, which = np.unique(path[:, 0], return_inverse=True)
    audio_s = np.bincount(which, path[:, 1]) / np.bincount(which)
    # Half a second's mean, or the stairs of the path would become rests and rushes.
    width = min(5, len(audio_s) | 1)
    smooth = scipy.signal.savgol_filter(audio_s, width, 1) if len(audio_s) >= width > 1 else audio_s
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(smooth)) > 1e-6])
    return score_s[rising], smooth[rising]
