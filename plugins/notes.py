r"""Notes of one voice: from a pitch track to what a sequencer can play.

A hidden Markov model decides where notes begin and end, in the manner of Tony [1]_: every pitch, on
a grid of a third of a semitone, has an attack, in which the pitch may glide, and a stable part,
around which it may shake; between notes there is silence. The costs are such that a vibrato of a
semitone to either side stays one note, and a step of a semitone held for 60 ms is two.

What the pitch does not show, the level does: a note that is struck again is cut where the level
dips, and beginnings and ends beside silence are placed where the level rises and falls. Pieces too
short to be notes join the note that they lead to.

A note's key is its median pitch, rounded; what the pitch does about it is kept as a bend. The
velocity follows the square law that synthesizers obey by and large [2]_.

References
----------
.. [1] M. Mauch, C. Cannam, R. Bittner, G. Fazekas, J. Salamon, J. Dai, J. Bello and S. Dixon,
   "Computer-aided melody note transcription using the Tony software: accuracy and efficiency",
   TENOR 2015.
.. [2] R. B. Dannenberg, "The interpretation of MIDI velocity", ICMC 2006.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from unstir.pitch import PitchTrack

PER_SEMITONE = 3
STABLE_SEMITONES = 0.55  # standard deviations about a note's pitch
ATTACK_SEMITONES = 5.0
# Costs in nats. A frame lasts 10 ms.
START = 8.0  # a note out of silence
CHANGE = 6.5  # a note out of another
END = 4.6
ATTACK_STAYS, ATTACK_ENDS = 0.2, 1.6
UNVOICED_IN_NOTE = 3.0
VOICED_IN_SILENCE = 4.0

STAY, FROM_SILENCE, FROM_NOTE = 0, 1, 2

QUIET_DB = 40.0  # below what is loud: not the voice, but what leaked into its stem
DIP_DB = 6.0  # a level that falls and rises by this is a note struck again
EDGE_DB = 9.0  # below the level of a note, where it begins and ends
EDGE_S = 0.08
EDGE_FRAMES = 8
MIN_NOTE_S = 0.07
MIN_VOICING = 0.015  # on average; noise has 0.01, what the tracker gives to its best guess
SPLIT_S = 0.3  # without a pitch for this long, there is no note across
SMOOTH_FRAMES = 5


@dataclass(frozen=True, slots=True)
class MelodyNote:
    """One note of one voice.

    Parameters
    ----------
    onset_s, offset_s : float
        In seconds from the start of the sound.
    key : int
        MIDI key, 0 to 127; 69 is A at 440 Hz.
    velocity : int
        1 to 127.
    bend : tuple of (float, float)
        Seconds from the onset, in rising order, and semitones from the key, which hold until the
        next; empty for none.
    """

    onset_s: float
    offset_s: float
    key: int
    velocity: int
    bend: tuple[tuple[float, float], ...] = ()

    def pitch_at(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pitch, in keys and fractions, at times from the start of the sound.

        Examples
        --------
        >>> note = MelodyNote(1.0, 2.0, 69, 90, ((0.0, -0.5), (0.25, 0.25)))
        >>> note.pitch_at(np.array([1.0, 1.2, 1.5])).tolist()
        [68.5, 68.5, 69.25]
        """
        if not self.bend:
            return np.full(len(times_s), float(self.key))
        at_s, semitones = np.array(self.bend).T
        last = np.searchsorted(at_s, times_s - self.onset_s + 1e-9, side="right") - 1
        bent: NDArray[np.float64] = self.key + semitones[np.maximum(last, 0)]
        return bent


@dataclass(frozen=True, slots=True)
class Fit:
    """How well notes tell what a pitch track tells.

    Parameters
    ----------
    coverage : float
        Share of the frames with a pitch that lie within a note, in [0, 1].
    deviation_cents : float
        Mean distance there of note and bend from the track, in cents.
    """

    coverage: float
    deviation_cents: float


def find_notes(track: PitchTrack) -> tuple[MelodyNote, ...]:
    """Return the notes of one voice, in order; none overlaps another.

    Parameters
    ----------
    track : PitchTrack
        Of a single voice, with a frame every 10 ms.

    Returns
    -------
    tuple of MelodyNote
        Empty where nothing has a pitch for as long as a note.

    Examples
    --------
    >>> f0_hz = np.repeat([np.nan, 220.0, 247.0, np.nan], [20, 50, 50, 20])
    >>> level_db = np.where(np.isnan(f0_hz), -90.0, -20.0)
    >>> notes = find_notes(PitchTrack(f0_hz, np.ones(140), level_db, 0.01))
    >>> [(note.key, round(note.onset_s, 1), round(note.offset_s, 1)) for note in notes]
    [(57, 0.2, 0.7), (59, 0.7, 1.2)]
    """
    keys = _keys(track)
    voiced = np.isfinite(keys)
    if not voiced.any():
        return ()
    loud_db = float(np.percentile(track.level_db[voiced], 95))
    keys[track.level_db < loud_db - QUIET_DB] = np.nan
    spans: list[tuple[int, int]] = []
    for first, stop in _stretches(np.isfinite(keys), round(SPLIT_S / track.hop_s)):
        for begin, end in _decode(keys[first:stop]):
            spans += _split(track.level_db, first + begin, first + end)
    spans = _joined(spans, keys, round(MIN_NOTE_S / track.hop_s))
    spans = [span for span in spans if track.voicing[slice(*span)].mean() >= MIN_VOICING]
    edges = _edges(track, keys, spans)
    top_db = max((_loudness(track, span) for span in spans), default=0.0)
    return tuple(
        _note(track, keys, span, edge, top_db)
        for span, edge in zip(spans, edges, strict=True)
        if edge[1] - edge[0] >= MIN_NOTE_S / 2
    )


def fit(notes: Sequence[MelodyNote], track: PitchTrack) -> Fit:
    """Return how well notes tell what a pitch track tells; zeros where it has no pitch.

    Examples
    --------
    >>> track = PitchTrack(np.full(100, 440.0), np.ones(100), np.zeros(100), 0.01)
    >>> fit([MelodyNote(0.0, 0.5, 69, 100, ((0.0, 0.1),))], track)
    Fit(coverage=0.5, deviation_cents=10.0)
    """
    keys = _keys(track)
    times_s = np.arange(len(keys), dtype=np.float64) * track.hop_s
    said = np.full(len(keys), np.nan)
    for note in notes:
        first, stop = np.searchsorted(times_s, (note.onset_s, note.offset_s))
        said[first:stop] = note.pitch_at(times_s[first:stop])
    voiced = np.isfinite(keys)
    inside = voiced & np.isfinite(said)
    if not inside.any():
        return Fit(0.0, 0.0)
    off_cents = 100 * np.abs(said[inside] - keys[inside]).mean()
    return Fit(float(inside.sum() / voiced.sum()), float(off_cents.round(3)))


def _keys(track: PitchTrack) -> NDArray[np.float64]:
    """Return the track in MIDI keys and fractions; NaN where there is no pitch."""
    return np.asarray(69 + 12 * np.log2(track.f0_hz / 440))


def _stretches(voiced: NDArray[np.bool_], gap: int) -> Iterator[tuple[int, int]]:
    """Yield where pitch begins and ends, bridging what is shorter than a gap."""
    frames = np.flatnonzero(voiced)
    breaks = np.flatnonzero(np.diff(frames) > gap)
    firsts = frames[np.concatenate([[0], breaks + 1])] if len(frames) else frames
    lasts = frames[np.concatenate([breaks, [-1]])] if len(frames) else frames
    yield from zip(firsts.tolist(), (lasts + 1).tolist(), strict=True)


def _decode(keys: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return first and stop of the notes on the cheapest path through the states (Viterbi)."""
    low, high = np.floor(np.nanmin(keys)) - 1, np.ceil(np.nanmax(keys)) + 1
    grid = np.arange(low, high, 1 / PER_SEMITONE)
    n, n_frames = len(grid), len(keys)
    attack_from = np.zeros((n_frames, n), np.uint8)  # STAY, FROM_SILENCE or FROM_NOTE
    stable_from_attack = np.zeros((n_frames, n), np.bool_)
    silence_from_note = np.zeros(n_frames, np.bool_)
    best_stable = np.zeros(n_frames, np.int64)  # of the frame before
    attack, stable, silence = np.full(n, np.inf), np.full(n, np.inf), 0.0
    for t, key in enumerate(keys):
        best = best_stable[t] = int(stable.argmin())
        change = stable[best] + CHANGE
        begin, how = min((silence + START, FROM_SILENCE), (change, FROM_NOTE))
        attack_from[t] = np.where(attack + ATTACK_STAYS <= begin, STAY, how)
        settled = attack + ATTACK_ENDS
        stable_from_attack[t] = settled < stable
        silence_from_note[t] = stable[best] + END < silence
        new_silence = min(silence, stable[best] + END)
        attack, stable = np.minimum(attack + ATTACK_STAYS, begin), np.minimum(settled, stable)
        if np.isnan(key):
            attack += UNVOICED_IN_NOTE
            stable += UNVOICED_IN_NOTE
            silence = new_silence
        else:
            away = np.square(grid - key)
            attack += away / (2 * ATTACK_SEMITONES**2) + np.log(ATTACK_SEMITONES)
            stable += away / (2 * STABLE_SEMITONES**2) + np.log(STABLE_SEMITONES)
            silence = new_silence + VOICED_IN_SILENCE
    spans = []
    stop, p = n_frames, int(stable.argmin())
    where = "stable" if stable[p] + END < silence else "silence"
    for t in range(n_frames - 1, -1, -1):
        if where == "attack" and attack_from[t, p] != STAY:
            spans.append((t, stop))
            where = "silence" if attack_from[t, p] == FROM_SILENCE else "stable"
            stop, p = t, int(best_stable[t])
        elif where == "stable" and stable_from_attack[t, p]:
            where = "attack"
        elif where == "silence" and silence_from_note[t]:
            where, stop, p = "stable", t, int(best_stable[t])
    return spans[::-1]


def _split(level_db: NDArray[np.float64], first: int, stop: int) -> list[tuple[int, int]]:
    """Return the parts of a note between dips of its level."""
    dips, _ = scipy.signal.find_peaks(-level_db[first:stop], prominence=DIP_DB)
    edges = [first, *(first + dips).tolist(), stop]
    return list(pairwise(edges))


def _joined(
    spans: list[tuple[int, int]], keys: NDArray[np.float64], shortest: int
) -> list[tuple[int, int]]:
    """Return the spans without fragments: each joins its successor, else its predecessor."""
    kept: list[tuple[int, int]] = []
    for first, stop in reversed(spans):
        if stop - first >= shortest:
            kept.append((first, stop))
        elif kept and kept[-1][0] == stop:
            kept[-1] = (first, kept[-1][1])
    return kept[::-1]


def _edges(
    track: PitchTrack, keys: NDArray[np.float64], spans: list[tuple[int, int]]
) -> list[tuple[float, float]]:
    """Return onset and offset of every note in seconds."""
    level_db, n = track.level_db, len(keys)
    reach = round(EDGE_S / track.hop_s)
    middles = [(first + stop) // 2 for first, stop in spans]
    onsets, offsets = [], []
    for i, (first, stop) in enumerate(spans):
        before = middles[i - 1] if i > 0 else 0
        after = middles[i + 1] if i + 1 < len(spans) else n - 1
        onsets.append(_rise(level_db, first, middles[i], max(before, first - reach), reach))
        last = n - 1  # ends are rises seen from behind
        latest, earliest = last - middles[i], last - min(after, stop + reach)
        offsets.append(last - _rise(level_db[::-1], max(last - stop, 0), latest, earliest, reach))
    for i in range(1, len(spans)):
        if spans[i - 1][1] == spans[i][0] and offsets[i - 1] > onsets[i] - 1:
            # Slurred: nothing but the pitch says where.
            onsets[i] = offsets[i - 1] = _halfway(keys, *spans[i - 1], spans[i][1])
        elif offsets[i - 1] > onsets[i]:
            onsets[i] = offsets[i - 1] = (offsets[i - 1] + onsets[i]) / 2
    in_order = np.maximum.accumulate(np.array([onsets, offsets]).T.ravel()).reshape(-1, 2)
    return [(float(onset), float(offset)) for onset, offset in in_order * track.hop_s]


def _halfway(keys: NDArray[np.float64], first: int, middle: int, stop: int) -> float:
    """Return the frame, with a fraction, where one note's pitch gives way to the next one's."""
    half = (np.nanmedian(keys[first:middle]) + np.nanmedian(keys[middle:stop])) / 2
    frames = np.arange(first, stop)
    voiced = np.isfinite(keys[first:stop])
    pitch = np.interp(frames, frames[voiced], keys[first:stop][voiced])
    crossings = np.flatnonzero((pitch[1:] > half) != (pitch[:-1] > half))
    if len(crossings) == 0:
        return float(middle)
    k = int(crossings[np.abs(first + crossings + 0.5 - middle).argmin()])
    frame = float(first + k + (half - pitch[k]) / (pitch[k + 1] - pitch[k]))
    return frame if abs(frame - middle) <= EDGE_FRAMES else float(middle)


def _rise(
    level_db: NDArray[np.float64], first: int, latest: int, earliest: int, reach: int
) -> float:
    """Return the frame, with a fraction, where the level rises to that of the note."""
    wanted_db = level_db[first : max(first, min(latest, first + 2 * reach)) + 1].max() - EDGE_DB
    latest = min(latest, first + reach)
    below = np.flatnonzero(level_db[earliest : latest + 1] < wanted_db)
    if len(below) == 0 or earliest + below[-1] == latest:
        return float(first)
    k = earliest + int(below[-1])
    return float(k + (wanted_db - level_db[k]) / (level_db[k + 1] - level_db[k]))


def _loudness(track: PitchTrack, span: tuple[int, int]) -> float:
    return float(np.percentile(track.level_db[slice(*span)], 90))


def _note(
    track: PitchTrack,
    keys: NDArray[np.float64],
    span: tuple[int, int],
    edge: tuple[float, float],
    top_db: float,
) -> MelodyNote:
    frames = np.arange(*span)
    pitch = keys[slice(*span)]
    voiced = np.isfinite(pitch)
    key = int(np.clip(np.rint(np.median(pitch[voiced])), 0, 127))
    # Gaps are bridged by lines, and the tracker's grid of ten cents is rounded off.
    whole = np.interp(frames, frames[voiced], pitch[voiced])
    smooth = scipy.signal.savgol_filter(
        whole, min(SMOOTH_FRAMES, 2 * (len(whole) // 2) - 1), 2, mode="interp"
    )
    times_s = np.maximum(frames * track.hop_s - edge[0], 0.0)
    bend: list[tuple[float, float]] = [(0.0, 0.0)]
    for at_s, semitones in zip(times_s.tolist(), (smooth - key).tolist(), strict=True):
        if at_s == 0.0:
            bend[0] = (0.0, semitones)
        elif at_s < edge[1] - edge[0]:
            bend.append((at_s, semitones))
    if times_s[0] > 0:
        bend[0] = (0.0, bend[1][1] if len(bend) > 1 else 0.0)
    softer_db = _loudness(track, span) - top_db
    velocity = int(np.clip(round(127 * 10 ** (softer_db / 40)), 1, 127))
    return MelodyNote(edge[0], edge[1], key, velocity, tuple(bend))
