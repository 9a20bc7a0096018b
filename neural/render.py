"""From a scene's plan to its stems: NumPy alone, one transform per bus.

Speed, equalizer, band limits and room are all done on a bus's spectrum: cutting or
padding the spectrum changes the rate without aliasing, and the room is one product.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unstir.neural.pack import SAMPLE_RATE, Clip, Pack
from unstir.neural.scenes import FOLD_HZ, ROOM_S, STEMS, Bus, Scene

Array = NDArray[np.float32]
TILT_HZ = (80.0, 400.0, 2000.0, 10000.0)
_FAST: tuple[int, ...] = tuple(
    sorted(
        2**a * 3**b * 5**c * 7**d
        for a in range(6, 23)
        for b in range(6)
        for c in range(4)
        for d in range(3)
    )
)  # lengths whose Fourier transform is quick


def render(scene: Scene, pack: Pack, clips: Mapping[str, Clip]) -> Array:
    """Return the stems of a scene.

    Parameters
    ----------
    scene : Scene
        The plan.
    pack : Pack
        The recordings.
    clips : mapping of str to Clip
        Those of the pack, by path.

    Returns
    -------
    ndarray of float32, shape (3, 2, samples)
        Speech, music and effects at 44.1 kHz; their sum is the mix. A stem without buses
        is zero.
    """
    out = np.zeros((len(STEMS), 2, scene.n_samples), np.float32)
    for j, name in enumerate(STEMS):
        buses: tuple[Bus, ...] = getattr(scene, name)
        for bus in buses:
            gain = np.float32(10 ** (bus.level_db / 20))
            out[j] += gain * _bus(bus, pack, clips, scene.n_samples, scene.high_hz)
        level = active_rms(out[j])
        if level > 1e-7:
            out[j] *= np.float32(10 ** (scene.level_db[j] / 20) / level)
        out[j] *= _curve(scene.automation_db[j], scene.n_samples)
    if scene.duck_db:
        out[1] *= _duck(out[0], scene.duck_db)
    if scene.mono:
        out[:] = out.mean(axis=1, keepdims=True)
    if scene.holes_db:
        out = _holed(out, scene.holes_db)
    mix_rms = float(np.sqrt(np.mean(out.sum(axis=0) ** 2)))
    out *= np.float32(10 ** (scene.mix_db / 20) / max(mix_rms, 1e-6))
    return out


def active_rms(waveform: Array) -> float:
    """Return the root mean square of the parts within 40 dB of the loudest tenth of a second."""
    frame = SAMPLE_RATE // 10
    n = max(1, waveform.shape[1] // frame) * frame
    part = waveform[:, :n] if waveform.shape[1] >= frame else waveform
    power = np.mean(part.reshape(len(part), -1, min(frame, part.shape[1])) ** 2, axis=(0, 2))
    return float(np.sqrt(power[power >= power.max() * 1e-4].mean()))


def fast_length(n: int, *, nearest: bool = False) -> int:
    """Return the smallest length of at least ``n`` whose transform is quick, or the nearest.

    Examples
    --------
    >>> fast_length(262145), fast_length(262145, nearest=True)
    (268800, 262144)
    """
    k = int(np.searchsorted(_FAST, n))
    if nearest and k > 0 and n - _FAST[k - 1] < _FAST[k] - n:
        k -= 1
    return _FAST[k]


def _bus(bus: Bus, pack: Pack, clips: Mapping[str, Clip], n: int, high_hz: float) -> Array:
    tail = int(ROOM_S * SAMPLE_RATE) if bus.room else 2048
    n_out = fast_length(n + tail)
    n_in = fast_length(round(n_out * bus.speed), nearest=True)
    speed = n_in / n_out
    source = _lay(bus, pack, clips, n_in, speed)
    spectrum = np.fft.rfft(source, axis=1).astype(np.complex64, copy=False)
    bins = n_out // 2 + 1
    if spectrum.shape[1] < bins:
        spectrum = np.pad(spectrum, ((0, 0), (0, bins - spectrum.shape[1])))
    spectrum = spectrum[:, :bins] * np.float32(n_out / n_in)
    if bus.fold_db:
        spectrum = _folded(spectrum, bus.fold_db, n_out)
    shape = _shape(bus, n_out, high_hz)
    if shape is not None:
        spectrum = spectrum * shape
    if bus.room:
        spectrum = spectrum * _room(bus, pack, clips, n_out)
    waveform = np.fft.irfft(spectrum, n_out, axis=1)[:, :n]
    return _place(np.asarray(waveform, np.float32), bus)


def _lay(bus: Bus, pack: Pack, clips: Mapping[str, Clip], n: int, speed: float) -> Array:
    """Return the pieces where they belong, on a time line stretched by ``speed``."""
    mono = all(clips[p.clip].channels == 1 and p.pan is None for p in bus.pieces)
    out = np.zeros((1 if mono else 2, n), np.float32)
    fade = np.linspace(0, 1, 221, dtype=np.float32)  # 5 ms
    for piece in bus.pieces:
        clip = clips[piece.clip]
        at = int(piece.at * speed)
        length = min(int(piece.n_samples * speed), n - at, clip.n_samples - piece.start)
        if length < 2 * len(fade):
            continue
        part = pack.read(clip, piece.start, length)
        # Clips meet at the level of their loud parts, whatever their peaks were.
        part = part * np.float32(0.1 * 10 ** (piece.gain_db / 20) / clip.active_rms)
        if bus.backward:
            part = part[:, ::-1].copy()
        part[:, : len(fade)] *= fade
        part[:, -len(fade) :] *= fade[::-1]
        if piece.pan is not None:
            angle = (piece.pan + 1) * np.pi / 4
            gains = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32) * np.float32(2**0.5)
            part = part.mean(axis=0, keepdims=True) * gains
        out[:, at : at + length] += part
    return out


def _folded(spectrum: NDArray[np.complex64], fold_db: float, n: int) -> NDArray[np.complex64]:
    """Return a spectrum with its lower part mirrored above `FOLD_HZ`, as a modulation does."""
    edge = int(FOLD_HZ / SAMPLE_RATE * n)
    mirrored = spectrum[:, edge - 1 : edge // 8 : -1].conj()
    # Falling by 6 dB to the top, as sibilants do.
    gain = 10 ** (fold_db / 20) * np.linspace(1, 0.5, mirrored.shape[1], dtype=np.float32)
    out = spectrum.copy()
    out[:, edge : edge + mirrored.shape[1]] += gain * mirrored
    return np.asarray(out, np.complex64)


def _shape(bus: Bus, n: int, high_hz: float) -> Array | None:
    """Return the gain of every bin: tilt and band limits (second order below, eighth above)."""
    limits = [f for f in (bus.high_hz, high_hz) if f]
    if not (any(bus.tilt_db) or limits or bus.low_hz):
        return None
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE).astype(np.float32)
    hz[0] = hz[1]
    gain = np.ones_like(hz)
    if any(bus.tilt_db):
        curve_db = np.interp(np.log(hz), np.log(TILT_HZ), bus.tilt_db)
        gain = (10 ** (curve_db / 20)).astype(np.float32)
    if bus.low_hz:
        gain /= np.sqrt(1 + (np.float32(bus.low_hz) / hz) ** 4)
    if limits:
        gain /= np.sqrt(1 + (hz / np.float32(min(limits))) ** 16 * 2)
    return gain


def _room(bus: Bus, pack: Pack, clips: Mapping[str, Clip], n: int) -> NDArray[np.complex64]:
    """Return the transform of direct sound plus room, shape (1 or 2, bins)."""
    response = pack.read(clips[bus.room], 0, int(ROOM_S * SAMPLE_RATE))
    response = response * np.linspace(1, 0, response.shape[1], dtype=np.float32)
    energy = float(np.sqrt(np.mean(np.sum(response**2, axis=1))))
    wet = np.float32(10 ** (bus.wet_db / 20) / max(energy, 1e-6))
    return np.asarray(1 + wet * np.fft.rfft(response, n, axis=1), np.complex64)


def _place(waveform: Array, bus: Bus) -> Array:
    """Return two channels: panned, or with their own width."""
    if bus.pan is not None:
        n = waveform.shape[1]
        angle = (np.linspace(bus.pan[0], bus.pan[1], n, dtype=np.float32) + 1) * np.float32(
            np.pi / 4
        )
        gains = np.stack([np.cos(angle), np.sin(angle)]) * np.float32(2**0.5)
        # A stereo room keeps its two sides; a dry voice has one channel.
        return np.asarray(waveform * gains, np.float32)
    if waveform.shape[0] == 1:
        waveform = np.repeat(waveform, 2, axis=0)
    if bus.width != 1:
        mid = (waveform[0] + waveform[1]) / 2
        side = (waveform[0] - waveform[1]) / 2 * np.float32(bus.width)
        waveform = np.stack([mid + side, mid - side])
    return waveform[::-1].copy() if bus.swap else waveform


def _holed(stems: Array, depth_db: float) -> Array:
    """Return stems without the cells that lie so far below their neighbors in the mix.

    A codec at a low rate spends no bits on cells that louder ones mask. The same cells go from
    every stem, so that the stems still add up to the mix that a listener gets.
    """
    n_fft, hop = 1024, 512  # with a sine window at both ends, frames add up to one
    n = stems.shape[2]
    n_frames = -(-n // hop) + 1
    window = np.sin(np.pi * (np.arange(n_fft, dtype=np.float32) + 0.5) / n_fft)
    padded = np.pad(stems, ((0, 0), (0, 0), (hop, n_frames * hop - n)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=2)[:, :, ::hop]
    cells = np.fft.rfft(frames * window, axis=3)  # (stems, channels, frames, bins)
    power = np.square(np.abs(cells.sum(axis=0))).sum(axis=0)  # both channels at once
    reach = 12  # bins to either side, half a kilohertz
    around = np.pad(power, ((0, 0), (reach, reach)))
    loudest = np.lib.stride_tricks.sliding_window_view(around, 2 * reach + 1, axis=1).max(axis=2)
    cells *= power > loudest * 10 ** (-depth_db / 10)
    parts = np.fft.irfft(cells, n_fft, axis=3) * window
    slots = np.zeros((*stems.shape[:2], n_frames + 1, hop), np.float32)
    slots[:, :, :-1] += parts[..., :hop]
    slots[:, :, 1:] += parts[..., hop:]
    flat = slots.reshape(*stems.shape[:2], -1)
    return np.ascontiguousarray(flat[:, :, hop : hop + n])


def _curve(points_db: Sequence[float], n: int) -> Array:
    if len(points_db) == 1:
        return np.full(n, 10 ** (points_db[0] / 20), np.float32)
    knots = np.linspace(0, n, len(points_db))
    gains = 10 ** (np.interp(np.arange(0, n, 512), knots, points_db) / 20)
    return np.asarray(gains, np.float32).repeat(512)[:n]


def _duck(speech: Array, depth_db: float) -> Array:
    """Return a gain that goes down by ``depth_db`` under speech, within a third of a second."""
    hop = 512
    n = speech.shape[1]
    power = np.pad(np.mean(speech**2, axis=0), (0, -n % hop)).reshape(-1, hop).mean(axis=1)
    active = (power > 1e-3 * max(float(power.max()), 1e-12)).astype(np.float32)
    smooth = np.convolve(active, np.hanning(31) / np.hanning(31).sum(), "same")
    return np.asarray(10 ** (-depth_db * smooth / 20), np.float32).repeat(hop)[:n]
