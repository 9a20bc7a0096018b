"""Scores: notes from a MIDI file, and what they allow an NMF to do (Ewert and Müller 2012).

A note allows its pitch to sound from a little before its onset to a little after its offset, and
a pitch may sound at its harmonics only. Both are zeros in a start value, and zeros stay zeros
under multiplicative updates [1]_. Channel 10 is percussion in General MIDI: a template for each
of its keys may fill the whole spectrum.

The first tick of the score is the first sample of the recording. The sustain pedal is not read.

References
----------
.. [1] S. Ewert and M. Müller, "Using score-informed constraints for NMF-based source separation",
   ICASSP 2012.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unstir.errors import AudioError
from unstir.midi import read_midi

PERCUSSION_CHANNEL = 9  # counted from 0
TOLERANCE_S = 0.2  # a player may be early, and a string rings on
HALF_WIDTH_SEMITONES = 0.5  # around every harmonic: tuning, vibrato
MAIN_LOBE_BINS = 2.0  # half of a Hann window's main lobe


@dataclass(frozen=True, slots=True)
class Note:
    """One note of a score.

    Parameters
    ----------
    onset_s, offset_s : float
        Seconds from the score's first tick.
    pitch : int
        MIDI key, 0 to 127; 69 is A at 440 Hz.
    velocity : int
        1 to 127.
    percussive : bool
        Whether it stands on channel 10.
    """

    onset_s: float
    offset_s: float
    pitch: int
    velocity: int
    percussive: bool


@dataclass(frozen=True, slots=True, order=True)
class Voice:
    """What shares a template: a pitch, or a key of the percussion."""

    pitch: int
    percussive: bool


def read_score(path: str | Path) -> tuple[Note, ...]:
    """Return the notes of a standard MIDI file, by onset.

    All tracks are read, and tempo changes followed. A note that is never released lasts to the
    end of the score.

    Parameters
    ----------
    path : str or Path
        A file of format 0 or 1, at most 4 MiB.

    Returns
    -------
    tuple of Note

    Raises
    ------
    AudioError
        If the file is not there, is no MIDI file, is cut short, is too large, or holds no note.
    """
    path = Path(path)
    return _read(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=8)
def _read(path: Path, _: int) -> tuple[Note, ...]:
    messages = read_midi(path)
    now_s = 0.0
    notes: list[Note] = []
    open_notes: dict[tuple[int, int], deque[tuple[float, int]]] = defaultdict(deque)
    for message in messages:
        now_s += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        key = (message.channel, message.note)
        if message.type == "note_on" and message.velocity:
            open_notes[key].append((now_s, message.velocity))
        elif open_notes[key]:
            onset_s, velocity = open_notes[key].popleft()
            notes.append(_note(key, onset_s, now_s, velocity))
    for key, held in open_notes.items():
        notes += [_note(key, onset_s, now_s, velocity) for onset_s, velocity in held]
    if not notes:
        raise AudioError(f"the score {path} holds no note; choose the file that has the music")
    return tuple(sorted(notes, key=lambda n: (n.onset_s, n.pitch, n.offset_s, n.percussive)))


def _note(key: tuple[int, int], onset_s: float, offset_s: float, velocity: int) -> Note:
    return Note(onset_s, offset_s, key[1], velocity, key[0] == PERCUSSION_CHANNEL)


def voices_of(notes: Sequence[Note]) -> tuple[Voice, ...]:
    """Return every pitch and every key of the percussion that occurs, once, in order.

    Examples
    --------
    >>> voices_of([Note(0, 1, 69, 90, False), Note(1, 2, 69, 80, False)])
    (Voice(pitch=69, percussive=False),)
    """
    return tuple(sorted({Voice(note.pitch, note.percussive) for note in notes}))


def pitch_hz(pitch: int) -> float:
    """Return the frequency of a MIDI key in equal temperament, in hertz.

    Examples
    --------
    >>> pitch_hz(69), round(pitch_hz(60), 2)
    (440.0, 261.63)
    """
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def score_templates(
    voices: Sequence[Voice], bands_hz: NDArray[np.float64], bin_hz: float
) -> NDArray[np.float32]:
    """Return a first template per voice: 1/h at the h-th harmonic, 0 between harmonics.

    Parameters
    ----------
    voices : sequence of Voice
        As `voices_of` gives them.
    bands_hz : ndarray of float64, shape (bands,)
        Centers of the bands, ascending.
    bin_hz : float
        Width of a bin of the transform, in hertz.

    Returns
    -------
    ndarray of float32, shape (bands, voices)
        Percussion is 1 everywhere; a pitch above the highest band is 0 everywhere.

    Examples
    --------
    >>> bands = np.arange(0.0, 2000.0, 20.0)
    >>> a4 = score_templates([Voice(69, False)], bands, 20.0)[:, 0]
    >>> float(a4[22]), float(a4[44]), float(a4[33])
    (1.0, 0.5, 0.0)
    """
    templates = np.ones((len(bands_hz), len(voices)), np.float32)
    # A band reaches halfway to its neighbors.
    half_band_hz = 0.5 * np.gradient(bands_hz) if len(bands_hz) > 1 else np.zeros(len(bands_hz))
    for column, voice in enumerate(voices):
        if voice.percussive:
            continue
        f0 = pitch_hz(voice.pitch)
        harmonic = np.maximum(1.0, np.round(bands_hz / f0))
        half_width_hz = np.maximum(
            harmonic * f0 * (2 ** (HALF_WIDTH_SEMITONES / 12) - 1), MAIN_LOBE_BINS * bin_hz
        )
        near = np.abs(bands_hz - harmonic * f0) <= half_width_hz + half_band_hz
        templates[:, column] = np.where(near, 1 / harmonic, 0)
    return templates


def score_activations(
    notes: Sequence[Note], voices: Sequence[Voice], times_s: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return where each voice may sound: its velocity while a note lasts, 0 elsewhere.

    Parameters
    ----------
    notes : sequence of Note
        The score.
    voices : sequence of Voice
        As `voices_of` gives them.
    times_s : ndarray of float64, shape (frames,)
        Centers of the frames in seconds from the start of the recording, ascending.

    Returns
    -------
    ndarray of float32, shape (voices, frames), in [0, 1]
        Notes reach 0.2 s beyond their onset and offset.

    Examples
    --------
    >>> note = Note(1.0, 2.0, 69, 127, False)
    >>> score_activations([note], voices_of([note]), np.array([0.5, 0.9, 1.5, 2.3])).tolist()
    [[0.0, 1.0, 1.0, 0.0]]
    """
    row = {voice: i for i, voice in enumerate(voices)}
    allowed = np.zeros((len(voices), len(times_s)), np.float32)
    for note in notes:
        first = np.searchsorted(times_s, note.onset_s - TOLERANCE_S, "left")
        last = np.searchsorted(times_s, note.offset_s + TOLERANCE_S, "right")
        if first < last:
            span = allowed[row[Voice(note.pitch, note.percussive)], first:last]
            np.maximum(span, np.float32(note.velocity / 127), out=span)
    return allowed
