"""Any separator over any length: cross-faded windows on a fixed grid, and the sample for surveys.

Blocks of any size go in; the same samples come out whatever their sizes were, because
windows start at multiples of a fixed hop and everything random hangs on absolute indices.
"""

import heapq
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from unstir.errors import SettingsError
from unstir.heap import give_back
from unstir.spectral import StftConfig, istft, stft
from unstir.types import Mixture, Separator, State, Stems, Waveform

WINDOW_S = 60.0  # nets gain by hearing more at once (docs/neural.md), memory is bounded by it
MAX_WINDOW_SAMPLES = 3_000_000  # above 50 kHz windows get shorter in time: memory stays bounded
SURVEY_S = 60
MAX_SURVEY_VALUES = (
    32_000_000  # 128 MB; only beyond eight channels at 48 kHz is less than 60 s kept
)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where windows lie: window k covers ``[k * hop, k * hop + window)``.

    Parameters
    ----------
    window : int
        Samples in a window.
    overlap : int
        Samples over which neighbors are cross-faded; at most half a window.
    """

    window: int
    overlap: int

    def __post_init__(self) -> None:
        if not 1 <= 2 * self.overlap <= self.window:
            raise SettingsError(
                f"windows of {self.window} samples with {self.overlap} of overlap came; "
                "an overlap between 1 and half a window is wanted"
            )

    @classmethod
    def for_rate(cls, sample_rate: int) -> "Grid":
        """Return 60 s windows, a tenth of it overlap, or less time at high rates.

        Examples
        --------
        >>> Grid.for_rate(48000)
        Grid(window=2880000, overlap=288000)
        """
        window = min(round(WINDOW_S * sample_rate), MAX_WINDOW_SAMPLES)
        return cls(window, window // 10)

    @property
    def hop(self) -> int:
        """Samples from window to window."""
        return self.window - self.overlap

    def n_windows(self, n_samples: int) -> int:
        """Return how many windows cover ``n_samples``: none brings nothing but overlap."""
        return max(1, -(-(n_samples - self.overlap) // self.hop))


def separate_stream(
    separator: Separator,
    blocks: Iterable[Waveform],
    *,
    sample_rate: int,
    grid: Grid,
    state: State | None = None,
    start: int = 0,
    first_window: int = 0,
) -> Iterator[Stems]:
    """Yield the stems of a stream, window by window.

    Parameters
    ----------
    separator : Separator
        Takes one window at a time.
    blocks : iterable of ndarray of float32, each of shape (channels, any)
        The sound, from sample ``max(first_window - 1, 0) * grid.hop`` of the stream on.
    sample_rate : int
        In hertz.
    grid : Grid
        Where windows lie.
    state : mapping, optional
        What the separator's survey learned.
    start : int
        Index, within the recording, of the stream's sample 0.
    first_window : int
        Where to take up again. The window before it is computed once more, for its
        tail alone, since that is what the first new window is faded into.

    Yields
    ------
    dict of str to ndarray of float32, each of shape (channels, n)
        One item per window; together they are as long as the stream. Item k ends
        where the overlap with window k + 1 begins, the last one at the stream's end.
    """
    window = max(first_window - 1, 0)
    held: Stems | None = None  # the tail of the window before, not yet faded
    # Linear fades: the two sides estimate the same sound, so amplitudes add, not powers.
    rise = (np.arange(grid.overlap, dtype=np.float32) + np.float32(0.5)) / np.float32(grid.overlap)
    for piece, last in _windows(blocks, grid):
        mix = Mixture(piece, sample_rate, start + window * grid.hop)
        with one_blas_thread():
            stems = separator.separate(mix, state)
        give_back()
        body = piece.shape[1] if last else grid.hop
        ready = {}
        for name, value in stems.items():
            ready[name] = value[:, :body].copy()
            if held is not None:
                ready[name][:, : grid.overlap] *= rise
                ready[name][:, : grid.overlap] += held[name] * (1 - rise)
        held = {name: value[:, grid.hop :].copy() for name, value in stems.items()}
        # What is named here would lie beside the next window while that is separated.
        del piece, mix, stems, value
        if window >= first_window:
            yield ready
        del ready
        window += 1


def one_blas_thread() -> AbstractContextManager[Any]:
    """Return a context in which matrix products keep to one thread.

    The products of one window are small. Spread over all cores they gain little on an idle
    machine and lose a factor of ten on a busy one, where each waits for the slowest thread
    (measured with NMF on two cores: 0.2 s a window against 2.2 s). It also makes the bytes
    of a result independent of the number of cores.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits


def _windows(blocks: Iterable[Waveform], grid: Grid) -> Iterator[tuple[Waveform, bool]]:
    """Yield each window with whether it is the last; look ahead by one block at most."""
    buffer: Waveform | None = None
    filled = 0
    for block in blocks:
        if buffer is None:
            buffer = np.empty((block.shape[0], grid.window), np.float32)
        at = 0
        while at < block.shape[1]:
            if filled == grid.window:
                # A sample beyond this window exists, so this one is not the last.
                yield buffer, False
                rest = buffer[:, grid.hop :]
                buffer = np.empty_like(buffer)
                buffer[:, : grid.overlap] = rest
                filled = grid.overlap
            n = min(grid.window - filled, block.shape[1] - at)
            buffer[:, filled : filled + n] = block[:, at : at + n]
            filled += n
            at += n
    if buffer is not None and filled:
        yield np.ascontiguousarray(buffer[:, :filled]), True


def survey_sample(blocks: Iterable[Waveform], *, sample_rate: int, start: int = 0) -> list[Mixture]:
    """Return at most 60 s of the stream: one-second segments chosen by a hash of their index.

    The choice depends on nothing but the stream's length, so every run, whatever its
    blocks, surveys the same segments. Neighbors that were both chosen come as one.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, each of shape (channels, any)
        The sound.
    sample_rate : int
        In hertz; also the length of a segment in samples.
    start : int
        Index, within the recording, of the stream's sample 0.

    Returns
    -------
    list of Mixture
        In order of time. The whole stream if it is shorter than a minute.
    """
    chosen: list[tuple[int, int, Waveform]] = []  # a heap whose root has the largest hash
    for index, segment in enumerate(_segments(blocks, sample_rate)):
        capacity = max(1, min(SURVEY_S, MAX_SURVEY_VALUES // (segment.shape[0] * sample_rate)))
        entry = (-_hash(index), index, segment)
        if len(chosen) < capacity:
            heapq.heappush(chosen, entry)
        elif entry[0] > chosen[0][0]:
            heapq.heapreplace(chosen, entry)
    runs: list[list[tuple[int, Waveform]]] = []
    for _, i, segment in sorted(chosen, key=lambda entry: entry[1]):
        if runs and runs[-1][-1][0] == i - 1:
            runs[-1].append((i, segment))
        else:
            runs.append([(i, segment)])
    return [
        Mixture(
            np.concatenate([segment for _, segment in run], axis=1),
            sample_rate,
            start + run[0][0] * sample_rate,
        )
        for run in runs
    ]


def _segments(blocks: Iterable[Waveform], length: int) -> Iterator[Waveform]:
    parts: list[Waveform] = []
    filled = 0
    for block in blocks:
        at = 0
        while at < block.shape[1]:
            part = block[:, at : at + length - filled]
            parts.append(part)
            filled += part.shape[1]
            at += part.shape[1]
            if filled == length:
                yield np.concatenate(parts, axis=1)
                parts, filled = [], 0
    if filled:
        yield np.concatenate(parts, axis=1)


def _hash(index: int) -> int:
    """Return 64 well-mixed bits (the finalizer of SplitMix64, Steele et al. 2014)."""
    mask = (1 << 64) - 1
    z = (index + 1) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


@dataclass(frozen=True)
class AtRate:
    """A separator that wants one sample rate, over sound of any rate.

    What the resampling cannot carry (all that lies above the separator's band) is
    shared out frame by frame, as the stems share the top octave below it.

    Parameters
    ----------
    separator : Separator
        Sees sound at ``sample_rate`` only.
    sample_rate : int
        In hertz.
    """

    separator: Separator
    sample_rate: int

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        return self.separator.stems

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return what the separator learns of the resampled blocks."""
        return self.separator.survey([at_rate(block, self.sample_rate) for block in blocks])

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return stems at the mix's own rate; no delay, no seam, nothing lost."""
        if mix.sample_rate == self.sample_rate:
            return self.separator.separate(mix, state)
        low = self.separator.separate(at_rate(mix, self.sample_rate), state)
        stems = {
            name: resample(value, self.sample_rate, mix.sample_rate, mix.n_samples)
            for name, value in low.items()
        }
        missing = mix.waveform - sum(stems.values(), start=np.zeros_like(mix.waveform))
        config = StftConfig.for_rate(mix.sample_rate)
        frequencies_hz = config.frequencies_hz(mix.sample_rate)
        top_hz = min(self.sample_rate, mix.sample_rate) / 2
        octave = (frequencies_hz >= top_hz / 2) & (frequencies_hz <= top_hz)
        # One channel at a time: transforms are several times as large as what they are of.
        for channel in range(mix.n_channels):
            waves = [value[channel : channel + 1] for value in stems.values()]
            levels = [
                np.abs(stft(wave, config)[:, octave]).mean(axis=1, keepdims=True) + 1e-12
                for wave in waves
            ]
            rest = missing[channel : channel + 1]
            cells = stft(rest, config)
            total = sum(levels, start=np.zeros_like(levels[0]))
            for wave, level in zip(waves[:-1], levels, strict=False):
                part = istft(cells * (level / total), config, mix.n_samples)
                wave += part
                rest -= part
            waves[-1] += rest
        return stems


def at_rate(mix: Mixture, sample_rate: int) -> Mixture:
    """Return a mix at another sample rate; at its own, the mix itself.

    Examples
    --------
    >>> there = at_rate(Mixture(np.zeros((2, 480), np.float32), 48000, start=960), 44100)
    >>> there.waveform.shape, there.start
    ((2, 441), 882)
    """
    if mix.sample_rate == sample_rate:
        return mix
    start = round(mix.start * sample_rate / mix.sample_rate)
    n_samples = samples_at(mix, sample_rate)
    waveform = resample(mix.waveform, mix.sample_rate, sample_rate, n_samples)
    return Mixture(waveform, sample_rate, start, mix.role)


def samples_at(mix: Mixture, sample_rate: int) -> int:
    """Return how many samples a mix has at another rate."""
    return max(1, round(mix.n_samples * sample_rate / mix.sample_rate))


def resample(waveform: Waveform, rate_from: int, rate_to: int, n_samples: int) -> Waveform:
    """Return exactly ``n_samples`` samples; soxr's own count may differ by one.

    Parameters
    ----------
    waveform : ndarray of float32, shape (channels, samples)
    rate_from, rate_to : int
        In hertz; where they are the same, the waveform itself comes back.
    n_samples : int
        Samples wanted.

    Returns
    -------
    ndarray of float32, shape (channels, n_samples)
    """
    if rate_from == rate_to:
        return waveform
    new = soxr.resample(waveform.T, rate_from, rate_to, quality="VHQ").T[:, :n_samples]
    return np.pad(np.asarray(new, np.float32), ((0, 0), (0, n_samples - new.shape[1])))
