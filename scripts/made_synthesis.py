"""What effects are made of: noise with a slope, struck bodies, curves that wander."""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

RATE = 44100
Sound = NDArray[np.float64]  # (samples,) or (2, samples)


def times(seconds: float) -> Sound:
    return np.arange(round(seconds * RATE)) / RATE


def band(sound: Sound, low_hz: float, high_hz: float, order: int = 2) -> Sound:
    edges = [max(15.0, low_hz), min(21000.0, high_hz)]
    sos = signal.butter(order, edges, "bandpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sos, sound))


def wander(rng: np.random.Generator, n: int, per_s: float, low: float, high: float) -> Sound:
    """Return a smooth random curve between two values, ``per_s`` turns a second."""
    knots = rng.uniform(0, 1, int(n / RATE * per_s) + 4)
    at = np.linspace(1, len(knots) - 2, n)
    k, x = at.astype(int), at % 1
    x = x * x * (3 - 2 * x)
    return low + (high - low) * (knots[k] * (1 - x) + knots[np.minimum(k + 1, len(knots) - 1)] * x)


def phase(hz: Sound) -> Sound:
    return 2 * np.pi * np.cumsum(hz) / RATE


def colored(rng: np.random.Generator, n: int, slope_db: float, channels: int = 1) -> Sound:
    """Return noise that falls by ``slope_db`` per octave."""
    spectrum = np.fft.rfft(rng.standard_normal((channels, n)))
    hz = np.fft.rfftfreq(n, 1 / RATE)
    shape = (np.maximum(50, hz) / 1000) ** (-slope_db / 6.02) * (hz > 25)
    found = np.fft.irfft(spectrum * shape, n)
    return np.asarray(found[0] if channels == 1 else found) / found.std()


def burst(rng: np.random.Generator, low_hz: float, high_hz: float, decay_s: float) -> Sound:
    t = times(decay_s * 6)
    rise = np.minimum(1, t / rng.uniform(0.0005, 0.004))
    return band(rng.standard_normal(t.size), low_hz, high_hz, 1) * rise * np.exp(-t / decay_s)


def put(scene: Sound, part: Sound, at_s: float, gain: float = 1.0) -> None:
    start = round(at_s * RATE)
    part = part[: scene.shape[-1] - start]
    scene[..., start : start + part.shape[-1]] += gain * part


def modal(
    rng: np.random.Generator, base_hz: float, decay_s: float, n: int, stretch: float
) -> Sound:
    """Return a struck body: modes at stretched ratios, the higher the shorter."""
    t = times(min(6.0, decay_s * 5))
    found = np.zeros_like(t)
    for k in range(n):
        hz = base_hz * (k + 1) ** stretch * rng.uniform(0.94, 1.06)
        if hz < 18000:
            decay = decay_s / (1 + 0.4 * k * rng.uniform(0.5, 1.5))
            found += rng.uniform(0.2, 1) / (k + 1) ** 0.5 * np.sin(
                2 * np.pi * hz * t + rng.uniform(0, 6)
            ) * np.exp(-t / decay)  # fmt: skip
    return found


def wide(rng: np.random.Generator, sound: Sound) -> Sound:
    """Return a stereo copy whose sides differ by a short dense tail."""
    t = times(0.06)
    tail = rng.standard_normal((2, t.size)) * np.exp(-t / 0.015)
    tail[:, 0] = 3
    return np.asarray(signal.fftconvolve(np.stack([sound, sound]), tail, axes=1))[:, : sound.size]
