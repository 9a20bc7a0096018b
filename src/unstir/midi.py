"""MIDI files: reading them without being hurt, and the map from beats to seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError

MAX_BYTES = 4 * 2**20  # about a million notes; reading more takes minutes
TICKS_PER_BEAT = 960
MIN_BPM, MAX_BPM = 20.0, 400.0
BEAT_TOLERANCE_S = 0.03  # a beat track is not surer of itself than this


def read_midi(path: str | Path, *, what: str = "score") -> Any:
    """Return a standard MIDI file, parsed.

    Parameters
    ----------
    path : str or Path
        A file of format 0 or 1 in ticks per beat, at most 4 MiB.
    what : str
        What it is to the user, for messages.

    Returns
    -------
    mido.MidiFile
        To iterate over it gives the messages of all tracks in order, with ``time`` in seconds
        from the one before.

    Raises
    ------
    AudioError
        If the file is not there, is no MIDI file, is cut short or is too large.
    """
    import mido

    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise AudioError(f"the {what} {path} cannot be read: {error.strerror}") from error
    if size > MAX_BYTES:
        raise AudioError(
            f"the {what} {path} has {size} bytes; at most {MAX_BYTES} are read, "
            "so cut it to the part that sounds"
        )
    try:
        midi = mido.MidiFile(path, clip=True)
        if midi.ticks_per_beat <= 0 or midi.type not in (0, 1):
            raise AudioError(
                f"the {what} {path} is of MIDI format {midi.type} with time division "
                f"{midi.ticks_per_beat}; format 0 or 1 in ticks per beat is read"
            )
        for _ in midi:  # some damage shows only here
            pass
    except AudioError:
        raise
    except Exception as error:  # mido lets whatever its parser meets pass: a dozen types
        reason = str(error) or type(error).__name__
        raise AudioError(
            f"the {what} {path} is not a whole MIDI file ({reason}); export it again"
        ) from error
    return midi


@dataclass(frozen=True, slots=True)
class TempoMap:
    """Where the beats lie: tempi that hold from a tick on.

    Parameters
    ----------
    changes : tuple of (int, int)
        Tick, at 960 ticks per beat, and microseconds per beat from there on; the first at tick 0,
        in rising order.

    Examples
    --------
    >>> slower = TempoMap(((0, 500_000), (1920, 1_000_000)))
    >>> slower.seconds(2880), slower.ticks(2.0)
    (2.0, 2880)
    """

    changes: tuple[tuple[int, int], ...]

    def seconds(self, tick: int) -> float:
        """Return when a tick is reached, in seconds."""
        now_s, at, tempo = 0.0, 0, self.changes[0][1]
        for first, following in self.changes:
            if first > tick:
                break
            now_s += (first - at) * tempo / (1e6 * TICKS_PER_BEAT)
            at, tempo = first, following
        return now_s + (tick - at) * tempo / (1e6 * TICKS_PER_BEAT)

    def ticks(self, seconds: float) -> int:
        """Return the tick nearest to a time in seconds, at least 0."""
        starts_s = self._starts_s()
        index = max(0, int(np.searchsorted(starts_s, seconds, side="right")) - 1)
        first, tempo = self.changes[index]
        return max(
            0, first + round(float(seconds - starts_s[index]) * 1e6 * TICKS_PER_BEAT / tempo)
        )

    @property
    def bpm(self) -> float:
        """Beats per minute: the median over the changes."""
        return 60e6 / float(np.median([tempo for _, tempo in self.changes]))

    def _starts_s(self) -> NDArray[np.float64]:
        ticks, tempi = np.array(self.changes, np.float64).T
        lengths_s = np.diff(ticks) * tempi[:-1] / (1e6 * TICKS_PER_BEAT)
        return np.concatenate([[0.0], np.cumsum(lengths_s)])


def steady_tempo(bpm: float) -> TempoMap:
    """Return one tempo throughout.

    Raises
    ------
    SettingsError
        If it is outside 20 to 400 beats per minute.

    Examples
    --------
    >>> steady_tempo(120).ticks(1.0)
    1920
    """
    if not MIN_BPM <= bpm <= MAX_BPM:
        raise SettingsError(
            f"a tempo of {bpm:g} came; {MIN_BPM:g} to {MAX_BPM:g} beats per minute are wanted"
        )
    return TempoMap(((0, round(60e6 / bpm)),))


def tempo_through(beats_s: NDArray[np.float64]) -> TempoMap:
    """Return a map that puts beats on whole beats, with as few changes as 30 ms of play allow.

    A tempo is held for as long as one line meets all its beats; so a steady recording keeps one
    tempo, and one that drifts is followed. The first beat is preceded by as many as fit.

    Parameters
    ----------
    beats_s : ndarray of float64, shape (beats,)
        Two or more, in rising order, in seconds.

    Returns
    -------
    TempoMap
        The last tempo holds on after the last beat.

    Examples
    --------
    >>> tempo_through(np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0])).changes
    ((0, 500000), (3840, 1000000))
    """
    period_s = float(np.median(np.diff(beats_s)))
    n_before = max(1, round(beats_s[0] / period_s)) if beats_s[0] > BEAT_TOLERANCE_S else 0
    # What comes before the first beat is knot 0, if it is no beat itself.
    times_s = np.concatenate([[0.0], beats_s[0 if n_before else 1 :]])
    at = np.concatenate([[0], np.arange(len(times_s) - 1) + max(n_before, 1)])
    changes: list[tuple[int, int]] = []
    now_s, first = 0.0, 0
    while first < len(at) - 1:
        low, high, last = 0.0, np.inf, first
        for k in range(first + 1, len(at)):
            n = at[k] - at[first]
            tightest = (
                max(low, (times_s[k] - BEAT_TOLERANCE_S - now_s) / n),
                min(high, (times_s[k] + BEAT_TOLERANCE_S - now_s) / n),
            )
            if tightest[0] > tightest[1]:
                break
            (low, high), last = tightest, k
        best = (low + high) / 2
        # What comes before the first beat may be shorter than any beat.
        shortest = 1 if first == 0 and n_before else 60e6 / MAX_BPM
        tempo = int(np.clip(round(1e6 * best), shortest, 60e6 / MIN_BPM))
        if not changes or changes[-1][1] != tempo:
            changes.append((int(at[first]) * TICKS_PER_BEAT, tempo))
        now_s += int(at[last] - at[first]) * tempo / 1e6
        first = last
    return TempoMap(tuple(changes))
