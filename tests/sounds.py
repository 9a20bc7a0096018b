"""Synthetic sound with known parts, for every room's tests."""

import numpy as np
from numpy.typing import NDArray

from unstir.types import FILM, SONG, Stems


def scene(
    seconds: float, sample_rate: int = 8000, *, channels: int = 2, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Return speech-like, music-like and effects-like stems; their sum stays below full scale."""
    rng = np.random.default_rng(seed)
    n = max(1, round(seconds * sample_rate))
    t = np.arange(n) / sample_rate
    f0_hz = 120 + 15 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(f0_hz) / sample_rate
    syllables = np.clip(np.sin(2 * np.pi * 1.3 * t), 0, 1)
    speech = 0.2 * syllables * sum(np.sin(k * phase) / k for k in range(1, 12))
    left = 0.08 * sum(np.sin(2 * np.pi * f * t + 1) for f in (196.0, 293.7, 440.0))
    right = 0.08 * sum(np.sin(2 * np.pi * f * t + 2) for f in (220.0, 329.6, 523.3))
    bursts = (np.sin(2 * np.pi * 0.45 * t) > 0.8) * rng.standard_normal(n) * 0.1
    stereo = {
        "speech": np.stack([speech, speech]),
        "music": np.stack([left, right]),
        "effects": np.stack([0.3 * bursts, bursts]),
    }
    wide = {}
    for name, value in stereo.items():
        if channels == 1:
            wide[name] = value.mean(axis=0, keepdims=True).astype(np.float32)
        else:
            copies = [np.roll(value, 37 * i, axis=1) for i in range(-(-channels // 2))]
            wide[name] = np.concatenate(copies)[:channels].astype(np.float32)
    return wide


def mixture_of(stems: Stems) -> NDArray[np.float32]:
    """Return the sum."""
    return np.sum(list(stems.values()), axis=0, dtype=np.float64).astype(np.float32)


def references(stems: Stems, names: tuple[str, ...]) -> Stems:
    """Return the true stems of a scene under the names of a stem set."""
    if names == FILM:
        return stems
    assert names == SONG
    return {"vocals": stems["speech"], "accompaniment": stems["music"] + stems["effects"]}


def null_db(mix: NDArray[np.float32], stems: Stems) -> float:
    """Return the largest error of the float64 sum, relative to the larger of 1 and the peak."""
    total = np.sum([s.astype(np.float64) for s in stems.values()], axis=0)
    error = np.abs(total - mix).max() / max(1.0, np.abs(mix).max())
    return float(20 * np.log10(max(error, 1e-12)))
