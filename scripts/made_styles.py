"""Styles of music for orchestras, small ensembles and soloists: who plays what.

Each writes a `Score` from a generator. Programs are numbers of General MIDI from 0: 48 are
strings, 60 is a horn.
"""

from collections.abc import Callable

import numpy as np
from made_scores import Part, Score

Style = Callable[[np.random.Generator], Score]
STYLES: dict[str, Style] = {}


def style(function: Style) -> Style:
    STYLES[function.__name__] = function
    return function


def pick(s: Score, *programs: int) -> int:
    return int(s.rng.choice(programs))


def strings(s: Score, presence: float = 1.0, *, loud: float = 0.55) -> None:
    """Seat three desks that hold chords and swell."""
    program = pick(s, 48, 48, 49, 44)
    for low, high, pan, n in ((36, 55, 0.5, 1), (50, 70, 0.1, 2), (64, 86, -0.5, 2)):
        part = s.part(program, pan=pan, presence=presence, reverb=(50, 100))
        s.pad(part, low, high, n, step=2 if n == 2 else 1, loud=loud)
        s.swells(part, s.rng.uniform(0.2, 0.7), float(s.rng.choice([1, 2, 4])))


def solo(s: Score, program: int, low: int, high: int, density: int = 1, **more: float) -> Part:
    part = s.part(program, presence=more.pop("presence", 0.8), volume=105, reverb=(40, 95))
    s.tune(part, low, high, density, **more)  # type: ignore[arg-type]
    if s.rng.random() < 0.6:
        s.vibrato(part)
    return part


def kit(s: Score, program: int, presence: float = 0.9) -> Part:
    return s.part(program, drums=True, pan=0, presence=presence, volume=100, reverb=(5, 60))


def timpani(s: Score, presence: float = 0.6) -> None:
    part = s.part(47, presence=presence, pan=0.3, reverb=(60, 110))
    s.bass(part, ((0, 1, "r"), (s.beats - 0.5, 0.5, "f")), 38, loud=0.75)
    for bar in range(s.section_bars - 1, s.n_bars, s.section_bars):
        s.roll(part, 38 + (s.chords[bar][0] - 38) % 12, bar * s.beats, s.beats)


@style
def romantic(rng: np.random.Generator) -> Score:
    s = Score(rng, (56, 92), rubato=0.03, dynamics=0.35, held_bars=int(rng.choice([1, 2])))
    strings(s)
    solo(s, pick(s, 73, 68, 71, 40, 60), 60, 84, 1, rests=0.25)
    solo(s, pick(s, 60, 42, 69, 70), 45, 67, 0, presence=0.5, rests=0.3)
    s.arpeggio(s.part(46, presence=0.5, reverb=(60, 100)), 48, 84, 0.5, 5, ring=2)
    if rng.random() < 0.5:
        timpani(s, 0.4)
    return s


@style
def epic(rng: np.random.Generator) -> Score:
    s = Score(rng, (84, 150), modes=("minor", "minor", "dorian"), dynamics=0.4)
    unit = float(rng.choice([0.25, 0.5]))
    s.ostinato(s.part(48, pan=-0.3, presence=1, reverb=(40, 90)), 55, 76, unit, short=0.5)
    s.ostinato(s.part(48, pan=0.4, reverb=(40, 90)), 36, 55, unit, short=0.5, loud=0.7)
    brass = s.part(pick(s, 61, 57, 60), presence=0.7, reverb=(50, 100))
    s.pad(brass, 48, 70, 4, loud=0.7)
    s.swells(brass, 0.6, 2)
    s.pad(s.part(52, presence=0.5, reverb=(70, 110)), 55, 79, 4)
    s.tune(s.part(60, presence=0.6, pan=-0.4, reverb=(60, 110)), 50, 72, 0, loud=0.85)
    timpani(s, 0.8)
    war = kit(s, 48)
    s.beat(war, {36: "x.....x...x.....", 41: "x..x..x.x..x..x.", 49: "x..............."}, fills=0.8)
    return s


@style
def action(rng: np.random.Generator) -> Score:
    beats = int(rng.choice([4, 4, 3, 5]))
    s = Score(rng, (120, 168), beats=beats, modes=("minor", "phrygian"), dynamics=0.35)
    s.ostinato(s.part(pick(s, 48, 45, 57), pan=-0.2, presence=1), 40, 60, 0.5, short=0.4, loud=0.7)
    s.ostinato(s.part(48, pan=0.3), 60, 84, 0.25, short=0.5, rests=0.3)
    hits = ((0, 0.4, 0.9), (1.5, 0.4, 0.8), (beats - 0.5, 0.3, 0.7))
    s.comp(s.part(61, presence=0.7, reverb=(50, 90)), hits, 50, 74, 4, skip=0.3)
    s.comp(s.part(58, presence=0.6), hits, 28, 46, 1, skip=0.2)
    timpani(s)
    toms = {47: "x.oxx.o.", 41: "x...x..x", 38: "..x...x.", 49: "x......."}
    s.beat(kit(s, 48), toms, ghosts=0.15, fills=0.9)
    return s


@style
def adagio(rng: np.random.Generator) -> Score:
    s = Score(rng, (48, 72), rubato=0.04, loose=0.03, dynamics=0.4, held_bars=2)
    strings(s, loud=0.5)
    solo(s, pick(s, 48, 40, 42), 62, 86, 0, rests=0.1, loud=0.6)
    return s


@style
def string_quartet(rng: np.random.Generator) -> Score:
    beats = int(rng.choice([3, 4]))
    s = Score(rng, (66, 132), beats=beats, rubato=0.025, sevenths=0.3)
    first = s.part(40, pan=-0.6, presence=1, reverb=(30, 80))
    second = s.part(40, pan=-0.2, presence=1, reverb=(30, 80))
    s.tune(first, 64, 91, int(rng.integers(1, 4)), rests=0.1, third_below=second)
    viola, cello = s.part(41, pan=0.2, presence=0.9), s.part(42, pan=0.6, presence=1)
    s.ostinato(viola, 50, 69, 0.5, short=float(rng.uniform(0.4, 1)), loud=0.45)
    s.bass(cello, ((0, beats / 2, "r"), (beats / 2, beats / 2, "f")), 36, loud=0.6)
    for part in (first, cello):
        s.swells(part, 0.35, 2)
    return s


@style
def fanfare(rng: np.random.Generator) -> Score:
    s = Score(rng, (84, 126), modes=("major", "mixolydian"), dynamics=0.3)
    second = s.part(56, pan=0.1, presence=1, reverb=(50, 100))
    s.tune(s.part(56, pan=-0.3, presence=1, reverb=(50, 100)), 60, 82, 2, third_below=second)
    s.pad(s.part(60, pan=-0.5, presence=0.9), 48, 67, 3, loud=0.65)
    s.pad(s.part(57, pan=0.5, presence=0.9), 40, 60, 3, loud=0.65)
    s.bass(s.part(58, presence=0.9), ((0, 1, "r"), (2, 1, "f")), 29)
    timpani(s, 0.7)
    s.beat(
        kit(s, 48, 0.7), {38: "x..oo.x.x.ooxooo", 49: "x...............", 36: "x.......x......."}
    )
    return s


@style
def march(rng: np.random.Generator) -> Score:
    s = Score(rng, (104, 128), modes=("major",), loose=0.015)
    reed = s.part(71, pan=-0.4, presence=0.9)
    s.tune(s.part(pick(s, 56, 72, 61), presence=1), 65, 89, 2, rests=0.08, third_below=reed)
    s.tune(s.part(pick(s, 57, 60, 66), pan=0.4, presence=0.6), 48, 67, 1, loud=0.6)
    s.comp(s.part(60, pan=0.3), ((1, 0.4, 0.55), (3, 0.4, 0.55)), 55, 72, 3)
    s.bass(s.part(58, presence=1), ((0, 0.7, "r"), (2, 0.7, "f")), 31, loud=0.8)
    snare = {38: "x.oox.o.x.oox.oo", 36: "x.......x.......", 49: "..............x."}
    s.beat(kit(s, 48), snare, fills=0.4)
    return s


@style
def wind_quintet(rng: np.random.Generator) -> Score:
    s = Score(rng, (72, 138), beats=int(rng.choice([3, 4])), rubato=0.02, sevenths=0.3)
    oboe = s.part(68, pan=-0.1, presence=0.9, reverb=(40, 80))
    s.tune(s.part(73, pan=-0.5, presence=1, reverb=(40, 80)), 67, 93, 2, third_below=oboe)
    s.arpeggio(s.part(71, pan=0.2), 52, 76, 0.5, 4, loud=0.45, ring=0.8)
    s.pad(s.part(60, pan=0.4), 48, 65, 2, loud=0.4)
    s.bass(s.part(70, presence=1, pan=0.5), ((0, 0.9, "r"), (2, 0.9, "t")), 34)
    return s


@style
def piano_solo(rng: np.random.Generator) -> Score:
    s = Score(rng, (60, 140), beats=int(rng.choice([3, 4])), rubato=0.03, sevenths=0.4, loose=0.018)
    right = s.part(0, pan=0, presence=1, reverb=(20, 100))
    left = s.part(0, pan=0, presence=1, reverb=(20, 100))
    s.tune(right, 62, 94, int(rng.integers(1, 4)), rests=0.15, legato=1.1)
    s.arpeggio(left, 40, 67, float(rng.choice([0.25, 0.5, 1])), 4, ring=1.5)
    s.bass(left, ((0, 2, "r"),), 28, loud=0.6)
    for bar in range(s.n_bars):  # a pedal that changes with the chords
        left.controls += [(bar * s.beats, 64, 0), (bar * s.beats + 0.15, 64, 100)]
        right.controls += left.controls[-2:]
    return s


@style
def waltz(rng: np.random.Generator) -> Score:
    s = Score(rng, (132, 186), beats=3, rubato=0.03, dynamics=0.3)
    s.comp(s.part(pick(s, 48, 45, 21, 0), presence=1), ((1, 0.5, 0.45), (2, 0.5, 0.45)), 55, 72, 3)
    s.bass(s.part(pick(s, 43, 32, 58), presence=1), ((0, 0.9, "r"),), 31, loud=0.7)
    seconds = s.part(pick(s, 48, 71), presence=0.6)
    s.tune(s.part(pick(s, 48, 40, 73, 21), presence=1), 62, 88, 1, third_below=seconds)
    if rng.random() < 0.4:
        s.arpeggio(s.part(46, presence=0.5), 52, 84, 0.5, 5, ring=2)
    return s


@style
def ambient(rng: np.random.Generator) -> Score:
    s = Score(rng, (50, 80), sevenths=0.6, held_bars=2, modes=("major", "dorian", "minor"))
    for _ in range(int(rng.integers(2, 4))):
        part = s.part(int(rng.integers(88, 96)), presence=0.85, reverb=(60, 120), chorus=(20, 90))
        s.pad(part, 43, 79, 4, step=int(rng.choice([1, 2])), loud=0.5)
        s.swells(part, 0.7, 4)
    s.arpeggio(s.part(pick(s, 11, 8, 46, 4, 98, 108), presence=0.6), 60, 91, 1.0, 5, ring=2)
    return s


@style
def drone(rng: np.random.Generator) -> Score:
    s = Score(rng, (44, 70), modes=("phrygian", "minor"), held_bars=4, dynamics=0.45)
    low = s.part(pick(s, 48, 89, 95, 43, 19, 44), presence=1, reverb=(70, 120))
    s.pad(low, 28, 48, 2, loud=0.7)
    s.swells(low, 0.8, 2)
    high = s.part(pick(s, 44, 92, 93, 52, 97, 99), presence=0.6, reverb=(80, 127))
    for beat in np.arange(0, s.end, 2 * s.beats):  # clusters of neighbors, softly
        root = int(rng.integers(60, 84))
        for step in rng.choice(7, 3, False):
            s.add(high, float(beat), 2 * s.beats, root + int(step), 0.45)
    s.swells(high, 0.9, 1)
    s.bass(s.part(pick(s, 116, 47, 14, 0), presence=0.6), ((0, 2, "r"),), 30, loud=0.6)
    solo(s, pick(s, 42, 60, 69, 77), 48, 72, 0, presence=0.4, rests=0.5)
    return s


@style
def choir(rng: np.random.Generator) -> Score:
    s = Score(rng, (54, 88), rubato=0.02, loose=0.03, modes=("major", "minor", "dorian"))
    for low, high, pan in ((60, 79, -0.4), (53, 72, 0.4), (45, 64, -0.2), (36, 55, 0.3)):
        part = s.part(pick(s, 52, 52, 53), pan=pan, presence=0.95, reverb=(70, 120))
        s.pad(part, low, high, 1)
        s.swells(part, 0.5, 2)
    if rng.random() < 0.6:
        s.pad(s.part(pick(s, 19, 48), presence=0.7), 40, 76, 4, step=2, loud=0.4)
    solo(s, pick(s, 52, 53, 68), 64, 83, 0, presence=0.5)
    return s


@style
def church_organ(rng: np.random.Generator) -> Score:
    s = Score(rng, (60, 104), rubato=0.02, sevenths=0.3)
    s.pad(s.part(19, pan=0, presence=1, reverb=(70, 120)), 50, 74, 3)
    s.tune(s.part(pick(s, 19, 20), presence=1, pan=0), 62, 86, 2, rests=0.05)
    s.bass(s.part(19, presence=0.9, pan=0), ((0, 2, "r"), (2, 2, "f")), 29)
    return s


@style
def harp_celesta(rng: np.random.Generator) -> Score:
    s = Score(rng, (66, 120), beats=int(rng.choice([3, 4])), sevenths=0.5, rubato=0.02)
    s.arpeggio(s.part(46, presence=1, reverb=(50, 100)), 45, 84, 0.5, 6, ring=2.5)
    solo(s, pick(s, 8, 9, 10, 11, 14, 98), 72, 98, 1, rests=0.2)
    s.pad(s.part(pick(s, 49, 53, 89), presence=0.5), 55, 76, 3, loud=0.35)
    return s


@style
def cartoon(rng: np.random.Generator) -> Score:
    s = Score(rng, (100, 176), sevenths=0.3, swing=float(rng.choice([0, 0.12])))
    s.bass(s.part(pick(s, 45, 70, 58), presence=1), ((0, 0.4, "r"), (2, 0.4, "f")), 34)
    s.comp(s.part(45, pan=0.3), ((1, 0.3, 0.5), (3, 0.3, 0.5)), 55, 74, 3)
    solo(s, pick(s, 13, 12, 71, 70, 72), 62, 91, 3, rests=0.3)
    solo(s, pick(s, 9, 78, 57, 59), 60, 86, 1, presence=0.5, rests=0.4)
    s.beat(kit(s, 0, 0.6), {76: "x...x...", 77: "..o...o.", 37: "x..ox..o"}, ghosts=0.1)
    return s


@style
def solo_instrument(rng: np.random.Generator) -> Score:
    s = Score(rng, (60, 130), rubato=0.04, loose=0.025, modes=("major", "minor", "dorian"))
    seats = (
        *((24, 45), (42, 38), (73, 62), (56, 57), (40, 58), (66, 47)),
        *((71, 52), (104, 50), (107, 52), (26, 45), (22, 60), (60, 45)),
    )
    program, low = seats[rng.integers(12)]
    solo(s, program, low, low + 28, int(rng.integers(1, 4)), presence=1, rests=0.1)
    if program in (24, 26, 104, 107):
        s.arpeggio(s.part(program, presence=1), 40, 64, 0.5, 4, ring=1.5)
    return s
