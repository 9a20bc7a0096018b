"""Whether the same recording stands on two sides of the split, under two names.

Names are compared by `unstir.neural.split`; here the sound is: a fingerprint per clip (how
its spectrum moves, at a coarse scale) proposes pairs, a correlation of the samples decides.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unstir.neural.pack import SAMPLE_RATE, Clip, Pack

Array = NDArray[np.float32]
PROBE_S = 4.0  # of the loudest stretch
N_BANDS = 24
DECIMATION = 8  # samples are compared below 2.7 kHz
LIKE = 0.95  # correlation of the fingerprints from which samples are compared
SAME = 0.9  # correlation of the samples from which it is the same recording


@dataclass(frozen=True, slots=True)
class Leak:
    """Two clips of different families and splits that hold the same recording."""

    first: Clip
    second: Clip
    correlation: float


def leaks(pack: Pack, *kinds: str) -> list[Leak]:
    """Return the pairs that stand on two sides.

    Parameters
    ----------
    pack : Pack
        With its split.
    *kinds : str
        Kinds of clips that are looked at, together.

    Returns
    -------
    list of Leak
        Highest correlation first; empty if nothing leaks. Recordings that were stretched
        or pitched before they came into the corpus are not found.
    """
    clips = [clip for clip in pack.clips if clip.kind in kinds and clip.n_samples > 4000]
    if not clips:
        return []
    prints = np.stack([fingerprint(_probe(pack, clip)) for clip in clips])
    likeness = prints @ prints.T
    splits = np.array([clip.split for clip in clips])
    pairs = np.argwhere(np.triu(likeness > LIKE) & (splits[:, None] != splits[None]))
    found = []
    for i, k in pairs:
        a, b = sorted((clips[i], clips[k]), key=lambda clip: clip.n_samples)
        value = correlation(_slow(_probe(pack, a)), _slow(pack.read(b).mean(axis=0)))
        if value > SAME:
            found.append(Leak(a, b, value))
    return sorted(found, key=lambda leak: -leak.correlation)


def fingerprint(waveform: Array) -> Array:
    """Return a unit vector: mean, spread and peak of log band levels.

    Parameters
    ----------
    waveform : ndarray of float32, shape (samples,)
        At 44.1 kHz.

    Returns
    -------
    ndarray of float32, shape (3 * N_BANDS,)
        Independent of gain.
    """
    n_fft = 2048
    n = max(1, (len(waveform) - n_fft) // n_fft + 1)
    frames = np.pad(waveform, (0, max(0, n_fft - len(waveform))))[: n * n_fft].reshape(n, -1)
    power = np.abs(np.fft.rfft(frames * np.hanning(n_fft).astype(np.float32), axis=1)) ** 2
    edges = np.geomspace(2, n_fft // 4, N_BANDS + 1).astype(int)
    bands = np.stack(
        [power[:, a : max(b, a + 1)].mean(axis=1) for a, b in pairwise(edges)],
        axis=1,
    )
    level = np.log(bands + 1e-7 * bands.max() + 1e-12)
    level -= level.mean()
    spread = level.std(axis=0)
    peak = level.max(axis=0)
    vector = np.concatenate([level.mean(axis=0), 2 * (spread - spread.mean()), peak - peak.mean()])
    return np.asarray(vector / max(1e-9, float(np.linalg.norm(vector))), np.float32)


def correlation(probe: Array, whole: Array) -> float:
    """Return the highest normalized correlation of a probe anywhere in a recording, 0 to 1."""
    n = len(whole) + len(probe)
    size = 1 << (n - 1).bit_length()
    cross = np.fft.irfft(np.fft.rfft(whole, size) * np.fft.rfft(probe, size).conj(), size)
    # Lag l sees whole[l : l + len(probe)]; lags below zero wrap to the end of ``cross``.
    lags = np.arange(-len(probe) + 1, len(whole))
    squares = np.concatenate([[0.0], np.cumsum(whole.astype(np.float64) ** 2)])
    ends = np.clip([lags, lags + len(probe)], 0, len(whole))
    energy = squares[ends[1]] - squares[ends[0]]
    own = float(np.sum(probe.astype(np.float64) ** 2))
    # A stretch with a tenth of the probe's energy cannot be the same recording at the same level.
    norm = np.sqrt(own * np.maximum(energy, 0.1 * own) + 1e-12)
    return float(np.max(np.abs(cross[lags]) / norm))


def _slow(waveform: Array) -> Array:
    spectrum = np.fft.rfft(waveform)
    n = max(2, len(waveform) // DECIMATION)
    return np.asarray(np.fft.irfft(spectrum[: n // 2 + 1], n), np.float32)


def _probe(pack: Pack, clip: Clip) -> Array:
    """Return the loudest stretch of a clip, mono."""
    waveform = pack.read(clip).mean(axis=0)
    n = int(PROBE_S * SAMPLE_RATE)
    if len(waveform) <= n:
        return np.asarray(waveform, np.float32)
    energy = np.cumsum(waveform.astype(np.float64) ** 2)
    start = int(np.argmax(energy[n:] - energy[:-n]))
    return np.asarray(waveform[start : start + n], np.float32)
