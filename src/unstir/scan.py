"""The first pass over a file: true length, peak, a sample to learn from, the busiest part."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from unstir.streaming import survey_sample
from unstir.types import Mixture, Waveform

SLOT_S = 0.5  # resolution at which the busiest passage is looked for


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass over the sound tells.

    Parameters
    ----------
    n_samples : int
        Samples per channel that were really there.
    peak : float
        Largest absolute sample; 1 is full scale.
    levels : ndarray of float64, shape (slots,)
        Mean square over all channels of every half second.
    changes : ndarray of float64, shape (slots,)
        How much the level moved within every half second, in dB.
    sample : list of Mixture
        At most a minute, for surveys.
    """

    n_samples: int
    peak: float
    levels: np.ndarray[tuple[int], np.dtype[np.float64]]
    changes: np.ndarray[tuple[int], np.dtype[np.float64]]
    sample: list[Mixture]

    def busiest(self, length: int, slot: int) -> int:
        """Return the sample at which the loudest, busiest ``length`` samples begin.

        Loudness and movement are ranked separately, so that neither a steady roar nor
        a faint clatter wins alone.

        Parameters
        ----------
        length : int
            Samples wanted.
        slot : int
            Samples per slot of ``levels``.
        """
        n_slots = max(1, length // slot)
        if n_slots >= len(self.levels):
            return 0
        ranks = [
            np.argsort(np.argsort(x, kind="stable"), kind="stable")
            for x in (self.levels, self.changes)
        ]
        score = np.cumsum(np.concatenate([[0], ranks[0] + ranks[1]]))
        sums = score[n_slots:] - score[:-n_slots]
        return min(int(np.argmax(sums)) * slot, max(0, self.n_samples - length))


@dataclass(slots=True)
class _Meter:
    """Running figures of `scan`; the last, unfinished slot waits for the next block."""

    slot: int
    n_samples: int = 0
    peak: float = 0.0
    levels: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    waiting: list[Waveform] = field(default_factory=list)

    def close_slot(self) -> None:
        power = np.mean(np.concatenate(self.waiting, axis=1).astype(np.float64) ** 2, axis=0)
        self.waiting.clear()
        parts = [float(part.mean()) for part in np.array_split(power, 25) if part.size]
        parts_db = 10 * np.log10(np.array(parts) + 1e-9)
        self.levels.append(float(power.mean()))
        self.changes.append(float(np.abs(np.diff(parts_db)).mean()) if len(parts) > 1 else 0.0)


def slot_samples(sample_rate: int) -> int:
    """Return the samples per slot of a scan."""
    return max(1, round(SLOT_S * sample_rate))


def scan(
    blocks: Iterable[Waveform],
    *,
    sample_rate: int,
    start: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Scan:
    """Return what one pass over the sound tells; memory does not grow with it but for the levels.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, each of shape (channels, any)
        The sound; the reader has already refused NaN and infinity.
    sample_rate : int
        In hertz.
    start : int
        Index, within the recording, of the first sample.
    progress : callable
        Told the number of samples read so far.
    """
    meter = _Meter(slot_samples(sample_rate))

    def metered() -> Iterator[Waveform]:
        for block in blocks:
            meter.peak = max(meter.peak, float(np.abs(block).max(initial=0.0)))
            at = 0
            while at < block.shape[1]:
                room = meter.slot - sum(part.shape[1] for part in meter.waiting)
                part = block[:, at : at + room]
                meter.waiting.append(part)
                at += part.shape[1]
                if part.shape[1] == room:
                    meter.close_slot()
            meter.n_samples += block.shape[1]
            progress(meter.n_samples)
            yield block

    sample = survey_sample(metered(), sample_rate=sample_rate, start=start)
    if meter.waiting:
        meter.close_slot()
    return Scan(
        meter.n_samples,
        meter.peak,
        np.array(meter.levels, np.float64),
        np.array(meter.changes, np.float64),
        sample,
    )
