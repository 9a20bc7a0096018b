"""Scores written by program: chords, voices, tunes and rhythms, as MIDI.

A `Score` draws a form, a key, chords and a curve of intensity from its generator; its methods
add what an instrument does in most music: hold chords, break them, walk a bass, sing a tune,
keep time. The styles (made_styles.py, made_bands.py) only say who does what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mido
import numpy as np

TICKS = 480
MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
# What follows a chord on each degree; repeated entries are likelier.
NEXT = {
    0: (3, 3, 4, 4, 5, 5, 1, 2),
    1: (4, 4, 4, 3, 6),
    2: (5, 5, 3),
    3: (4, 4, 0, 0, 1, 5),
    4: (0, 0, 0, 5, 3),
    5: (3, 3, 1, 4, 2),
    6: (0, 2, 4),
}
# Rhythms of one bar in shares of it, sparse to dense.
RHYTHMS: Mapping[int, tuple[tuple[float, ...], ...]] = {
    0: ((1,), (0.5, 0.5), (0.75, 0.25)),
    1: ((0.5, 0.25, 0.25), (0.375, 0.125, 0.5), (0.25, 0.25, 0.5), (0.25,) * 4),
    2: (
        (0.25, 0.125, 0.125, 0.25, 0.25),
        (0.125, 0.125, 0.25, 0.375, 0.125),
        (0.1875, 0.1875, 0.125, 0.25, 0.25),
        (0.125,) * 6 + (0.25,),
    ),
    3: ((0.125,) * 8, (0.0625,) * 4 + (0.125,) * 6, (0.125, 0.0625, 0.0625) * 4),
}

Chord = tuple[int, ...]  # pitch classes, root first
Note = tuple[float, float, int, float]  # beat, length in beats, pitch, loudness 0 to 1


@dataclass
class Part:
    """One instrument: a General MIDI program, where it sits, and its notes."""

    program: int
    volume: int
    pan: int
    reverb: int
    chorus: int
    playing: np.ndarray  # per section, whether it plays
    drums: bool = False
    notes: list[Note] = field(default_factory=list)
    controls: list[tuple[float, int, int]] = field(default_factory=list)  # beat, number, value


class Score:
    """A piece in the making; every random number comes from ``rng``."""

    def __init__(
        self,
        rng: np.random.Generator,
        bpm: tuple[float, float],
        *,
        beats: int = 4,
        modes: Sequence[str] = ("major", "minor"),
        sevenths: float = 0.15,
        swing: float = 0.0,
        loose: float = 0.012,
        rubato: float = 0.01,
        dynamics: float = 0.25,
        held_bars: int = 1,
    ) -> None:
        self.rng, self.beats, self.swing, self.loose = rng, beats, swing, loose
        self.bpm = float(rng.uniform(*bpm))
        seconds = float(rng.uniform(44, 57))
        self.n_bars = max(8, round(seconds * self.bpm / 60 / beats))
        self.key = int(rng.integers(12))
        self.mode = str(rng.choice(list(modes)))
        self.section_bars = 4 if self.n_bars < 20 else 8
        n_sections = -(-self.n_bars // self.section_bars)
        phrases = [self._phrase(sevenths, held_bars) for _ in range(2)]
        form = [int(rng.random() < 0.4) if k % 4 else 0 for k in range(n_sections)]
        self.form = form
        lift = int(rng.choice([0, 0, 0, 1, 2]))  # the last section may go up
        self.chords: list[Chord] = []
        for k, which in enumerate(form):
            up = lift if k == n_sections - 1 else 0
            self.chords += [tuple((pc + up) % 12 for pc in c) for c in phrases[which]]
        self.chords = self.chords[: self.n_bars]
        self.lift_bar = (n_sections - 1) * self.section_bars if lift else self.n_bars
        self.lift = lift
        # Intensity per bar: one level per section, joined smoothly, and a swell of its own.
        levels = rng.uniform(0.5 - dynamics, 0.5 + dynamics, n_sections + 1)
        at = np.arange(self.n_bars) / self.section_bars
        self.intensity = np.interp(at, np.arange(n_sections + 1), levels)
        drift = np.cumsum(rng.normal(0, rubato, self.n_bars))
        self.tempo = self.bpm * np.exp(drift - drift.mean())
        if rng.random() < 0.5:
            self.tempo[-2:] *= (0.9, 0.75)
        self.n_sections = n_sections
        self.parts: list[Part] = []

    def _phrase(self, sevenths: float, held_bars: int) -> list[Chord]:
        degrees = [0]
        while len(degrees) < self.section_bars:
            degrees.append(int(self.rng.choice(NEXT[degrees[-1]])))
        degrees[-1] = int(self.rng.choice([0, 4, 4, 3]))
        degrees = [degrees[k - k % held_bars] for k in range(self.section_bars)]
        seventh = self.rng.random() < sevenths or sevenths > 0.5
        return [self.chord(d, seventh and self.rng.random() < max(0.5, sevenths)) for d in degrees]

    def chord(self, degree: int, seventh: bool = False) -> Chord:
        scale = MODES[self.mode]
        steps = (0, 2, 4, 6) if seventh else (0, 2, 4)
        tones = [(self.key + scale[(degree + s) % 7]) % 12 for s in steps]
        if self.mode == "minor" and degree == 4:
            tones[1] = (self.key + 11) % 12  # the leading note
        return tuple(tones)

    @property
    def end(self) -> float:
        """Length in beats."""
        return float(self.n_bars * self.beats)

    def part(
        self,
        program: int,
        *,
        volume: int = 95,
        pan: float | None = None,
        presence: float = 0.8,
        reverb: tuple[int, int] = (20, 75),
        chorus: tuple[int, int] = (0, 25),
        drums: bool = False,
    ) -> Part:
        """Seat an instrument; ``presence`` is the share of the sections in which it plays."""
        rng = self.rng
        part = Part(
            program,
            int(np.clip(volume + rng.normal(0, 6), 40, 127)),
            round(64 + 50 * (rng.uniform(-1, 1) if pan is None else pan)),
            int(rng.integers(*reverb)),
            int(rng.integers(*chorus)) if chorus[1] > chorus[0] else 0,
            rng.random(self.n_sections) < presence,
            drums,
        )
        if presence >= 1 or not part.playing.any():
            part.playing[:] = True
        self.parts.append(part)
        return part

    def add(self, part: Part, beat: float, length: float, pitch: int, loud: float = 0.6) -> None:
        """Add a note if the part plays there; loudness follows the intensity of the bar."""
        bar = min(self.n_bars - 1, max(0, int(beat // self.beats)))
        if beat < self.end and part.playing[bar // self.section_bars] and 12 <= pitch <= 115:
            level = float(np.clip(loud * (0.45 + 1.1 * self.intensity[bar]), 0.08, 1))
            part.notes.append((beat, min(length, self.end + 1 - beat), int(pitch), level))

    # ------------------------------------------------------------ what instruments do

    def voicings(self, low: int, high: int, n: int, step: int = 1) -> list[list[int]]:
        """Return chords bar by bar in which every voice moves as little as it can."""
        found: list[list[int]] = []
        for chord in self.chords:
            pool = [p for p in range(low, high + 1) if p % 12 in chord]
            last = max(1, len(pool) - (n - 1) * step)
            ways = [pool[i : i + n * step : step] for i in range(last)]
            center = (low + high) / 2
            before = found[-1] if found else [round(center)] * n
            costs = [
                sum(abs(a - b) for a, b in zip(way, before, strict=False))
                + 0.4 * abs(float(np.mean(way)) - center)
                for way in ways
            ]
            found.append(ways[int(np.argmin(costs))])
        return found

    def pad(
        self, part: Part, low: int, high: int, n: int = 3, *, step: int = 1, loud: float = 0.55
    ) -> None:
        """Hold chords; a voice that stays is tied over."""
        held: dict[int, float] = {}
        for bar, voicing in enumerate([*self.voicings(low, high, n, step), []]):
            for pitch in [p for p in held if p not in voicing or bar % 4 == 0]:
                start = held.pop(pitch)
                self.add(part, start, bar * self.beats - start - 0.05, pitch, loud)
            for pitch in voicing:
                held.setdefault(pitch, float(bar * self.beats))

    def comp(
        self,
        part: Part,
        hits: Sequence[tuple[float, float, float]],
        low: int,
        high: int,
        n: int = 3,
        *,
        strum: float = 0.0,
        skip: float = 0.08,
    ) -> None:
        """Strike chords at (beat, length, loudness) in every bar; ``strum`` beats per string."""
        for bar, voicing in enumerate(self.voicings(low, high, n)):
            for k, (at, length, loud) in enumerate(hits):
                if self.rng.random() >= skip:
                    order = voicing if k % 2 == 0 else voicing[::-1]
                    for j, pitch in enumerate(order):
                        self.add(part, bar * self.beats + at + j * strum, length, pitch, loud)

    def arpeggio(
        self, part: Part, low: int, high: int, unit: float, n: int = 4, *, loud: float = 0.5,
        ring: float = 1.0,
    ) -> None:  # fmt: skip
        """Break chords up, down, up and down, or in an order of their own."""
        shape = self.rng.integers(4)
        order = [*range(n)]
        order = [order, order[::-1], order + order[-2:0:-1], list(self.rng.permutation(n))][shape]
        for bar, voicing in enumerate(self.voicings(low, high, n)):
            for k in range(round(self.beats / unit)):
                pitch = voicing[order[k % len(order)] % len(voicing)]
                accent = 1.15 if k % len(order) == 0 else 0.92
                self.add(part, bar * self.beats + k * unit, unit * ring, pitch, loud * accent)

    def ostinato(
        self, part: Part, low: int, high: int, unit: float = 0.5, *, loud: float = 0.6,
        rests: float = 0.1, short: float = 0.6,
    ) -> None:  # fmt: skip
        """Repeat a figure of a bar, moved with the chords."""
        n = round(self.beats / unit)
        figure = self.rng.choice([0, 0, 0, 1, 2], n)
        quiet = self.rng.random(n) < rests
        accents = 0.8 + 0.4 * (self.rng.random(n) < 0.3)
        for bar, voicing in enumerate(self.voicings(low, high, 3)):
            for k in np.flatnonzero(~quiet):
                pitch = voicing[figure[k] % len(voicing)]
                at = bar * self.beats + k * unit
                self.add(part, at, unit * short, pitch, loud * accents[k])

    def bass(
        self, part: Part, hits: Sequence[tuple[float, float, str]], low: int = 33, *,
        loud: float = 0.7,
    ) -> None:  # fmt: skip
        """Play root (r), fifth (f), octave (o), third (t) or a step to the next root (a)."""
        for bar, chord in enumerate(self.chords):
            root = low + (chord[0] - low) % 12
            after = self.chords[min(bar + 1, self.n_bars - 1)][0]
            target = low + (after - low) % 12
            third, fifth = (root + (pc - chord[0]) % 12 for pc in chord[1:3])
            tones = {"r": root, "o": root + 12, "f": fifth, "t": third}
            tones["a"] = target + int(self.rng.choice([-1, 1, 2]))
            for at, length, tone in hits:
                if self.rng.random() > 0.05:
                    self.add(part, bar * self.beats + at, length, tones[tone], loud)

    def tune(
        self, part: Part, low: int, high: int, density: int = 1, *, rests: float = 0.15,
        loud: float = 0.72, third_below: Part | None = None, legato: float = 0.95,
    ) -> None:  # fmt: skip
        """Sing: a motif of two bars varied, chord notes on strong beats, steps between."""
        rng = self.rng
        cells = [RHYTHMS[density][rng.integers(len(RHYTHMS[density]))] for _ in range(2)]
        contour = rng.integers(-2, 3, 16)
        scale = MODES[self.mode]
        pitch = (low + high) // 2
        for bar, chord in enumerate(self.chords):
            up = self.lift if bar >= self.lift_bar else 0
            ladder = [p for p in range(low, high + 1) if (p - self.key - up) % 12 in scale]
            near = max(0, min(3, density + int(rng.integers(-1, 2))))
            same = rng.random() < 0.75
            cell = cells[bar % 2] if same else RHYTHMS[near][rng.integers(len(RHYTHMS[near]))]
            beat = 0.0
            for k, share in enumerate(cell):
                length = share * self.beats
                steps = int(contour[k % 16] if same else rng.integers(-2, 3))
                index = int(np.argmin([abs(p - pitch) for p in ladder])) + steps
                if not 1 <= index < len(ladder) - 1:  # turn back at the edges
                    index -= 2 * steps
                pitch = ladder[int(np.clip(index, 0, len(ladder) - 1))]
                if beat % 1 == 0:
                    strong = [p for p in range(low, high + 1) if p % 12 in chord]
                    pitch = min(strong, key=lambda p: abs(p - pitch))
                if rng.random() > rests or (beat == 0 and rng.random() > rests / 2):
                    accent = 1.08 if beat == 0 else 0.97
                    at = bar * self.beats + beat
                    self.add(part, at, length * legato, pitch, loud * accent)
                    if third_below is not None:
                        rung = ladder.index(pitch) - 2 if pitch in ladder else 0
                        self.add(third_below, at, length * legato, ladder[max(0, rung)], loud * 0.9)
                beat += length

    def beat(
        self, part: Part, grid: Mapping[int, str], *, ghosts: float = 0.04, fills: float = 0.6,
        loud: float = 0.7,
    ) -> None:  # fmt: skip
        """Keep time: per drum a bar of x (accent), o (soft), . (rest); fills end the sections."""
        rng = self.rng
        toms = (38, 45, 47, 48, 50, 41)
        for bar in range(self.n_bars):
            last = bar % self.section_bars == self.section_bars - 1
            fill = last and rng.random() < fills
            cut = rng.uniform(0.4, 0.8) if fill else 1.0
            for drum, pattern in grid.items():
                for k, sign in enumerate(pattern):
                    share = k / len(pattern)
                    ghost = sign == "." and rng.random() < ghosts
                    if share < cut and (sign != "." or ghost) and rng.random() > 0.02:
                        level = {"x": 1.0, "o": 0.65, ".": 0.35}[sign] * rng.normal(1, 0.08)
                        self.add(part, (bar + share) * self.beats, 0.2, drum, loud * level)
            if fill:
                n = int(rng.choice([4, 8, 12]))
                path = np.sort(rng.integers(0, len(toms), n))[:: int(rng.choice([-1, 1]))]
                for k in range(n):
                    at = bar + cut + (1 - cut) * k / n
                    self.add(part, at * self.beats, 0.2, toms[path[k]], loud * (0.7 + 0.3 * k / n))
            if bar % self.section_bars == 0 and bar and 36 in grid:
                self.add(part, bar * self.beats, 1, int(rng.choice([49, 57])), loud)

    def roll(self, part: Part, pitch: int, start: float, length: float, rate: float = 8) -> None:
        """Roll a drum, growing."""
        for k in range(round(length * rate)):
            self.add(part, start + k / rate, 0.15, pitch, 0.2 + 0.7 * k / (length * rate))

    def swells(self, part: Part, depth: float = 0.5, period_bars: float = 2) -> None:
        """Move the expression controller up and down, as bows and breath do."""
        phase, skew = self.rng.uniform(0, 2 * np.pi), self.rng.uniform(0.6, 1.4)
        for beat in np.arange(0, self.end, 0.25):
            x = np.sin(2 * np.pi * skew * beat / (period_bars * self.beats) + phase)
            part.controls.append((float(beat), 11, int(127 * (1 - depth * (0.5 - 0.5 * x)))))

    def vibrato(self, part: Part) -> None:
        """Turn the modulation wheel up and down."""
        for beat in np.arange(0, self.end, 1):
            part.controls.append((float(beat), 1, int(self.rng.integers(0, 70))))

    # ------------------------------------------------------------ writing

    def write(self, path: Path) -> None:
        """Write a MIDI file, swung, with human timing, and two seconds for the last tail."""
        rng = self.rng
        file = mido.MidiFile(ticks_per_beat=TICKS)
        conductor = file.add_track()
        for bar, bpm in enumerate(self.tempo):
            gap = self.beats * TICKS if bar else 0
            conductor.append(
                mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(float(bpm)), time=gap)
            )
        stop = round((self.end + 2 * self.bpm / 60) * TICKS)
        channels = iter([c for c in range(16) if c != 9])
        for part in self.parts:
            channel = 9 if part.drums else next(channels)
            late = float(rng.normal(0, self.loose / 2))  # every player leans one way
            events: list[tuple[int, int, mido.Message]] = []
            for number, value in ((7, part.volume), (10, part.pan), (91, part.reverb)):
                events.append((0, 0, _control(channel, number, value)))
            events.append((0, 0, _control(channel, 93, part.chorus)))
            program = mido.Message("program_change", channel=channel, program=part.program)
            events.append((0, 1, program))
            for beat, number, value in part.controls:
                events.append((round(beat * TICKS), 2, _control(channel, number, value)))
            for beat, length, pitch, level in part.notes:
                swung = beat + self.swing * ((beat % 1) == 0.5)
                second = self.bpm / 60  # in beats
                at = max(0.0, swung + second * (late + float(rng.normal(0, self.loose))))
                velocity = int(np.clip(127 * level * rng.normal(1, 0.06), 8, 127))
                on, off = round(at * TICKS), round((at + max(0.05, length)) * TICKS)
                kwargs = {"channel": channel, "note": pitch}
                events.append((off, 3, mido.Message("note_off", velocity=0, **kwargs)))
                events.append((on, 4, mido.Message("note_on", velocity=velocity, **kwargs)))
            track = file.add_track()
            now = 0
            for at_ticks, _, message in sorted(events, key=lambda event: event[:2]):
                track.append(message.copy(time=at_ticks - now))
                now = at_ticks
            track.append(mido.MetaMessage("end_of_track", time=max(0, stop - now)))
        file.save(path)


def _control(channel: int, number: int, value: int) -> mido.Message:
    value = int(np.clip(value, 0, 127))
    return mido.Message("control_change", channel=channel, control=number, value=value)
