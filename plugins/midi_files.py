"""One voice as a MIDI file and back: notes, bends and tempo.

The file is of format 1 at 960 ticks per beat: a track of tempi, and one of notes on channel 1. The
range of the pitch wheel is set by its registered parameter to the least number of semitones, two or
more, that holds all bends, and every note finds the wheel in place before it begins. The first tick
is the first sample of the sound.
"""

import io
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mido
import numpy as np

from unstir.errors import AudioError
from unstir.journal import write_whole
from unstir.midi import TICKS_PER_BEAT, TempoMap, read_midi
from unstir.plugins.notes import MelodyNote

WHEEL = 8192  # steps from the middle to the lower end
USUAL_RANGE, WIDEST_RANGE = 2, 24  # semitones
FINEST_SEMITONES = 0.01  # a smaller move is not written
PERCUSSION_CHANNEL = 9  # counted from 0
# Controllers, and the registered parameter that they select.
PARAMETER_HIGH, PARAMETER_LOW, DATA_HIGH, DATA_LOW = 101, 100, 6, 38
RANGE_PARAMETER, NO_PARAMETER = (0, 0), (127, 127)


def melody_bytes(notes: Sequence[MelodyNote], tempo: TempoMap, *, name: str = "melody") -> bytes:
    """Return notes as a standard MIDI file.

    Parameters
    ----------
    notes : sequence of MelodyNote
        In order, none overlapping another.
    tempo : TempoMap
        Where the beats lie. It moves no note in time.
    name : str
        Name of the track.

    Raises
    ------
    AudioError
        If there is no note.
    """
    if not notes:
        raise AudioError("there is no note to write; choose sound in which one voice has a pitch")
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    file.tracks.append(
        _track([(at, 0, mido.MetaMessage("set_tempo", tempo=us)) for at, us in tempo.changes])
    )
    semitones = max((abs(move) for note in notes for _, move in note.bend), default=0.0)
    span = int(np.clip(np.ceil(semitones), USUAL_RANGE, WIDEST_RANGE))
    # At one tick: first the end of a note, then the wheel, then the next note.
    events = [(0, -1, message) for message in _wheel_range(span)]
    previous = 0
    for note in notes:
        first = max(previous, tempo.ticks(note.onset_s))
        last = previous = max(first + 1, tempo.ticks(note.offset_s))
        events.append((first, 2, _message("note_on", note=note.key, velocity=note.velocity)))
        events.append((last, 0, _message("note_off", note=note.key, velocity=64)))
        written = np.inf
        for at_s, move in note.bend or ((0.0, 0.0),):
            at = first if at_s == 0 else tempo.ticks(note.onset_s + at_s)
            if first <= at < last and abs(move - written) >= FINEST_SEMITONES:
                wheel = int(np.clip(round(move / span * WHEEL), -WHEEL, WHEEL - 1))
                events.append((at, 1, _message("pitchwheel", pitch=wheel)))
                written = move
    title = mido.MetaMessage("track_name", name=name)
    file.tracks.append(_track([(0, -2, title), *events]))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def write_melody(
    path: str | Path, notes: Sequence[MelodyNote], tempo: TempoMap, *, name: str = "melody"
) -> None:
    """Write notes to a MIDI file, which is there whole or not at all.

    Parameters
    ----------
    path : str or Path
        A file of that name is replaced.
    notes, tempo, name : sequence of MelodyNote, TempoMap, str
        As in `melody_bytes`.

    Raises
    ------
    AudioError
        If there is no note, or the file cannot be written.
    """
    content = melody_bytes(notes, tempo, name=name)
    try:
        write_whole(Path(path), content)
    except OSError as error:
        raise AudioError(
            f"{path} cannot be written: {error.strerror}; choose another place with -o"
        ) from error


def read_melody(path: str | Path) -> tuple[MelodyNote, ...]:
    """Return the notes of a MIDI file with their bends, by onset.

    Every channel's wheel and its range are followed, and tempo changes. Percussion is left out. A
    note that is never released lasts to the end.

    Parameters
    ----------
    path : str or Path
        A file of format 0 or 1, at most 4 MiB.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    now_s = 0.0
    notes: list[MelodyNote] = []
    sounding: dict[tuple[int, int], deque[_Sounding]] = defaultdict(deque)
    channels: dict[int, _Channel] = defaultdict(_Channel)
    for message in read_midi(path, what="melody"):
        now_s += message.time
        if (
            message.is_meta
            or not hasattr(message, "channel")
            or message.channel == PERCUSSION_CHANNEL
        ):
            continue
        channel = channels[message.channel]
        if message.type == "control_change":
            channel.control(message.control, message.value)
        elif message.type == "pitchwheel":
            channel.wheel = message.pitch
            for (number, _), held in sounding.items():
                if number == message.channel:
                    for one in held:
                        one.move(now_s, channel.semitones)
        elif message.type == "note_on" and message.velocity:
            one = _Sounding(now_s, message.velocity, [(0.0, channel.semitones)])
            sounding[message.channel, message.note].append(one)
        elif message.type in ("note_on", "note_off"):
            held = sounding[message.channel, message.note]
            if held:
                notes.append(held.popleft().note(message.note, now_s))
    for (_, key), held in sounding.items():
        notes += [one.note(key, now_s) for one in held]
    return tuple(sorted(notes, key=lambda note: (note.onset_s, note.key, note.offset_s)))


@dataclass
class _Channel:
    """Where the wheel of a channel stands, and what it means."""

    wheel: int = 0
    span: float = USUAL_RANGE
    parameter: tuple[int, int] = NO_PARAMETER

    @property
    def semitones(self) -> float:
        return self.wheel / WHEEL * self.span

    def control(self, number: int, value: int) -> None:
        if number == PARAMETER_HIGH:
            self.parameter = (value, self.parameter[1])
        elif number == PARAMETER_LOW:
            self.parameter = (self.parameter[0], value)
        elif self.parameter == RANGE_PARAMETER and number == DATA_HIGH:
            self.span = value + self.span % 1
        elif self.parameter == RANGE_PARAMETER and number == DATA_LOW:
            self.span = self.span // 1 + value / 128


@dataclass
class _Sounding:
    """A note that is held."""

    onset_s: float
    velocity: int
    bend: list[tuple[float, float]] = field(default_factory=list)

    def move(self, now_s: float, semitones: float) -> None:
        at_s = now_s - self.onset_s
        if self.bend[-1][0] == at_s:
            self.bend.pop()
        self.bend.append((at_s, semitones))

    def note(self, key: int, now_s: float) -> MelodyNote:
        bend = tuple(self.bend) if any(move for _, move in self.bend) else ()
        return MelodyNote(self.onset_s, now_s, key, self.velocity, bend)


def _message(kind: str, **values: int) -> Any:
    return mido.Message(kind, channel=0, **values)


def _wheel_range(semitones: int) -> list[Any]:
    """Return what sets the range of the wheel, and then lets go of the parameter."""
    values = (
        *zip((PARAMETER_HIGH, PARAMETER_LOW), RANGE_PARAMETER, strict=True),
        *((DATA_HIGH, semitones), (DATA_LOW, 0)),
        *zip((PARAMETER_HIGH, PARAMETER_LOW), NO_PARAMETER, strict=True),
    )
    return [_message("control_change", control=number, value=value) for number, value in values]


def _track(events: list[tuple[int, int, Any]]) -> Any:
    """Return a track of messages by tick and rank, each with its distance from the one before."""
    track = mido.MidiTrack()
    now = 0
    for at, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=at - now))
        now = at
    return track
