"""Styles of music for bands, and for drums alone: who plays what.

With made_styles.py these are all the styles there are.
"""

import numpy as np
from made_scores import Score
from made_styles import STYLES, kit, pick, solo, style

__all__ = ["LOUD", "STYLES"]

LOUD = {"rock", "metal", "pop", "funk", "action", "epic", "synthwave", "drum_loop", "country"}

BACKBEAT = {36: "x.......x.x.....", 38: "....x.......x...", 42: "x.o.x.o.x.o.x.o."}
GROOVES = (
    BACKBEAT,
    {36: "x..o..x...x.....", 38: "....x..o.o..x...", 42: "xoxoxoxoxoxoxoxo"},
    {
        36: "x...x...x...x...",
        39: "....x.......x...",
        46: "..x...x...x...x.",
        42: "x.......x.......",
    },
    {36: "x.....x.x.......", 38: "....x.......x..o", 51: "x.o.x.o.x.o.x.o."},
    {36: "x.x.......x..x..", 37: "....x.......x...", 70: "x.oox.oox.oox.oo"},
    {
        36: "x..x..x.x..x..x.",
        40: "....x.......x...",
        42: "x.x.x.x.x.x.x.x.",
        56: "x...x...x...x...",
    },
    {41: "x..x..x.", 45: "..x..x..", 36: "x...x...", 49: "x......."},
)


@style
def ragtime(rng: np.random.Generator) -> Score:
    s = Score(rng, (84, 120), modes=("major",), sevenths=0.4)
    piano = s.part(pick(s, 3, 0, 105), presence=1, pan=0, reverb=(10, 50))
    s.tune(piano, 64, 88, 3, rests=0.2)
    s.bass(piano, ((0, 0.5, "r"), (2, 0.5, "f")), 33)
    s.comp(piano, ((1, 0.4, 0.5), (3, 0.4, 0.5)), 52, 68, 3)
    return s


@style
def rock(rng: np.random.Generator) -> Score:
    s = Score(rng, (92, 168), modes=("minor", "mixolydian", "major"), loose=0.008)
    eighths = tuple((k / 2, 0.45, 0.75 if k % 2 else 0.9) for k in range(8))
    for pan in (-0.8, 0.8):
        s.comp(s.part(pick(s, 29, 30, 27), pan=pan, presence=0.9), eighths, 45, 64, 3, strum=0.01)
    s.bass(s.part(pick(s, 33, 34), pan=0, presence=1), [(k / 2, 0.45, "r") for k in range(8)], 28)
    solo(s, pick(s, 29, 30, 27), 60, 88, 2, presence=0.5, rests=0.2)
    s.pad(s.part(pick(s, 16, 18), presence=0.4), 55, 74, 3, loud=0.4)
    s.beat(kit(s, pick(s, 0, 16)), GROOVES[int(rng.integers(2))], fills=0.8)
    return s


@style
def metal(rng: np.random.Generator) -> Score:
    s = Score(rng, (120, 190), modes=("phrygian", "minor"), loose=0.006)
    for pan in (-0.9, 0.9):
        part = s.part(30, pan=pan, presence=1)
        s.ostinato(part, 38, 57, float(rng.choice([0.25, 0.5])), loud=0.85, short=0.7)
        s.comp(part, ((0, 1.5, 0.9),), 40, 60, 2)
    s.bass(s.part(34, presence=1, pan=0), [(k / 2, 0.4, "r") for k in range(8)], 26)
    solo(s, 30, 62, 92, 3, presence=0.4, rests=0.1)
    s.beat(kit(s, 16, 1), {36: "xoxoxoxoxoxoxoxo", 38: "....x.......x...", 49: "x...x...x...x..."})
    return s


@style
def pop(rng: np.random.Generator) -> Score:
    s = Score(rng, (84, 130), modes=("major", "minor"), loose=0.008)
    s.comp(s.part(pick(s, 0, 4, 5), presence=0.9), ((0, 1.4, 0.6), (1.5, 1, 0.5), (3, 0.9, 0.5)),
           55, 76, 4)  # fmt: skip
    s.bass(s.part(pick(s, 33, 38, 39), pan=0, presence=0.9), ((0, 1, "r"), (1.5, 0.5, "r"),
                                                           (2.5, 1, "f")), 30)  # fmt: skip
    s.pad(s.part(pick(s, 48, 89, 50), presence=0.6), 55, 79, 3, loud=0.4)
    solo(s, pick(s, 80, 27, 65, 11, 73, 81), 64, 86, 2, presence=0.6)
    s.arpeggio(s.part(pick(s, 25, 28, 27), presence=0.6, pan=0.6), 52, 76, 0.5, 4)
    s.beat(kit(s, pick(s, 0, 8, 16, 24)), GROOVES[int(rng.integers(4))])
    return s


@style
def funk(rng: np.random.Generator) -> Score:
    s = Score(rng, (92, 116), modes=("dorian", "mixolydian"), sevenths=0.9, swing=0.04)
    line = ((0, 0.4, "r"), (0.75, 0.2, "o"), (1.5, 0.3, "f"), (2.5, 0.3, "r"), (3.25, 0.4, "a"))
    s.bass(s.part(pick(s, 36, 33), presence=1, pan=0), line, 28, loud=0.85)
    chops = [(k / 4, 0.1, 0.7) for k in np.flatnonzero(rng.random(16) < 0.5)]
    s.comp(s.part(pick(s, 27, 28), pan=0.6), chops, 57, 74, 3, strum=0.01)
    stabs = [(float(k), 0.3, 0.8) for k in rng.choice([0, 0.5, 1.5, 2.5, 3, 3.5], 3, False)]
    s.comp(s.part(61, presence=0.6, pan=-0.3), stabs, 60, 80, 4)
    s.comp(s.part(pick(s, 4, 7, 16), presence=0.7, pan=-0.6), ((0.5, 0.5, 0.6),), 52, 72, 4)
    solo(s, pick(s, 65, 66, 62), 58, 82, 2, presence=0.4, rests=0.3)
    s.beat(kit(s, 0, 1), GROOVES[int(rng.choice([1, 5]))], ghosts=0.12)
    return s


@style
def jazz_trio(rng: np.random.Generator) -> Score:
    s = Score(rng, (84, 200), sevenths=0.95, swing=0.16, loose=0.02, modes=("major", "dorian"))
    comps = ((0, 1.2, 0.5), (1.5, 0.4, 0.5), (3.5, 0.4, 0.45))
    s.comp(s.part(pick(s, 0, 26, 4), presence=1, pan=-0.3), comps, 50, 70, 4, skip=0.3)
    s.bass(s.part(32, presence=1, pan=0.1), ((0, 0.9, "r"), (1, 0.9, "t"), (2, 0.9, "f"),
                                             (3, 0.9, "a")), 31)  # fmt: skip
    solo(s, pick(s, 0, 11, 66, 56, 59, 26), 60, 86, int(rng.integers(2, 4)), rests=0.3)
    ride = {51: "x..x.xx..x.x", 44: "...x.....x..", 37: "...........o"}
    s.beat(kit(s, pick(s, 32, 40), 0.95), ride, ghosts=0.05, fills=0.3, loud=0.5)
    return s


@style
def big_band(rng: np.random.Generator) -> Score:
    s = Score(rng, (112, 190), sevenths=0.95, swing=0.15, dynamics=0.35)
    stabs = [(float(k), 0.4, 0.85) for k in rng.choice([0, 0.5, 1.5, 2.5, 3, 3.5], 3, False)]
    for program, low, pan in ((56, 60, 0.4), (57, 48, 0.1), (65, 55, -0.4)):
        section = s.part(program, pan=pan, presence=0.7, reverb=(30, 80))
        s.comp(section, stabs, low, low + 22, 4, skip=0.15)
    alto = s.part(65, pan=-0.4, presence=0.8)
    s.tune(s.part(pick(s, 65, 56, 71), presence=0.9), 62, 84, 2, third_below=alto, rests=0.25)
    s.bass(s.part(32, presence=1, pan=0), ((0, 0.9, "r"), (1, 0.9, "t"), (2, 0.9, "f"),
                                           (3, 0.9, "a")), 30)  # fmt: skip
    s.beat(kit(s, 32, 1), {51: "x..x.xx..x.x", 44: "...x.....x..", 36: "o..o..o..o.."}, fills=0.7)
    return s


@style
def latin(rng: np.random.Generator) -> Score:
    s = Score(rng, (88, 190), sevenths=0.7)
    montuno = ((0, 0.4, 0.7), (0.5, 0.4, 0.6), (1.5, 0.4, 0.7), (2.5, 0.4, 0.7), (3.5, 0.4, 0.6))
    s.comp(s.part(pick(s, 0, 24, 25), presence=1), montuno, 52, 76, 3)
    s.bass(s.part(pick(s, 32, 33, 35), presence=1, pan=0), ((0, 1.4, "r"), (1.5, 0.5, "f"),
                                                        (3, 1, "a")), 31)  # fmt: skip
    solo(s, pick(s, 73, 56, 66, 24, 114), 60, 84, 2, rests=0.3)
    s.comp(s.part(61, presence=0.4, pan=0.4), ((0.5, 0.3, 0.7), (3, 0.5, 0.7)), 60, 78, 3)
    hands = {75: "x..x..x...x.x...", 63: "..x...xx..x...xx", 64: "x.....x.x.....x.",
             70: "xoxoxoxoxoxoxoxo", 56: "x...x...x...x...", 36: "x.....x.x.....x."}  # fmt: skip
    chosen = dict(list(hands.items())[:: int(rng.choice([1, 1, 2]))])
    s.beat(kit(s, 0, 1), chosen, ghosts=0.06)
    return s


@style
def folk(rng: np.random.Generator) -> Score:
    beats = int(rng.choice([3, 4, 4]))
    s = Score(rng, (96, 150), beats=beats, modes=("major", "dorian", "mixolydian", "minor"))
    strums = [(k / 2, 0.5, 0.7 if k % 2 else 0.55) for k in range(2 * beats)]
    s.comp(s.part(pick(s, 25, 24, 105), presence=1), strums, 50, 69, 4, strum=0.03)
    lead, other = rng.choice([110, 21, 73, 22, 78, 40, 109, 75], 2, False)
    solo(s, int(lead), 62, 86, 3, rests=0.1, presence=1)
    solo(s, int(other), 60, 81, 1, presence=0.5)
    s.bass(s.part(32, presence=0.8), ((0, 0.9, "r"), (2, 0.9, "f")), 31)
    if rng.random() < 0.5:
        s.beat(kit(s, 0, 0.7), {36: "x...x...", 54: "..x...x.", 37: "x.oxx.ox"}, fills=0.2)
    return s


@style
def country(rng: np.random.Generator) -> Score:
    s = Score(rng, (88, 140), modes=("major", "mixolydian"))
    s.arpeggio(s.part(pick(s, 25, 105), presence=1, pan=-0.5), 52, 74, 0.25, 4, loud=0.6)
    s.comp(s.part(25, pan=0.5), ((1, 0.4, 0.6), (3, 0.4, 0.6)), 52, 70, 4, strum=0.02)
    s.bass(s.part(33, presence=1, pan=0), ((0, 0.9, "r"), (2, 0.9, "f")), 29)
    solo(s, pick(s, 110, 27, 22, 26), 60, 84, 2)
    s.beat(kit(s, pick(s, 0, 40)), {36: "x...x...", 38: "..x...x.", 42: "xoxoxoxo"}, ghosts=0.1)
    return s


@style
def reggae(rng: np.random.Generator) -> Score:
    s = Score(rng, (66, 92), swing=0.06)
    skank = ((0.5, 0.25, 0.7), (1.5, 0.25, 0.7), (2.5, 0.25, 0.7), (3.5, 0.25, 0.7))
    s.comp(s.part(pick(s, 27, 0, 16), presence=1, pan=0.4), skank, 55, 74, 3)
    s.bass(s.part(33, presence=1, pan=0), ((0, 0.9, "r"), (1.5, 0.4, "t"), (2, 0.9, "f"),
                                           (3.5, 0.4, "a")), 28, loud=0.9)  # fmt: skip
    solo(s, pick(s, 22, 56, 16, 114), 60, 82, 1, presence=0.6)
    s.beat(kit(s, 0), {36: "........x.......", 37: "........x.......", 42: "xox.xoxoxox.xoxo"})
    return s


@style
def percussion(rng: np.random.Generator) -> Score:
    s = Score(rng, (84, 160), beats=int(rng.choice([3, 4, 5])), dynamics=0.4)
    drums = kit(s, pick(s, 0, 48), 1)
    chosen = rng.choice([41, 45, 47, 50, 60, 61, 62, 63, 64, 68, 69, 70, 75, 76, 77, 36], 6, False)
    n = int(rng.choice([8, 12, 16]))
    grid = {int(d): "".join(rng.choice([*"xo.."], n)) for d in chosen}
    s.beat(drums, grid, fills=0.9)
    for program in rng.choice([116, 117, 47, 12, 115, 108, 114, 13], 2, False):
        part = s.part(int(program), presence=0.8)
        low = 55 if program in (12, 108, 114, 13) else 36
        s.ostinato(part, low, low + 22, float(rng.choice([0.25, 0.5])), rests=0.35, short=0.9)
    return s


@style
def drum_loop(rng: np.random.Generator) -> Score:
    s = Score(rng, (72, 176), swing=float(rng.choice([0, 0, 0.1])), loose=0.006)
    grid = dict(GROOVES[int(rng.integers(len(GROOVES)))])
    if rng.random() < 0.5:
        grid[int(rng.choice([54, 69, 70, 75, 63, 56]))] = "".join(rng.choice([*"xo.."], 16))
    kit_part = kit(s, pick(s, 0, 8, 16, 24, 25, 32, 40), 1)
    s.beat(kit_part, grid, ghosts=0.12, fills=0.8)
    if rng.random() < 0.35:  # some have a bass with them
        s.bass(s.part(pick(s, 33, 38, 36), pan=0), ((0, 0.8, "r"), (2.5, 0.5, "r")), 29)
    return s


@style
def synthwave(rng: np.random.Generator) -> Score:
    s = Score(rng, (84, 132), modes=("minor", "dorian"), loose=0.003, rubato=0)
    s.bass(s.part(pick(s, 38, 39, 87), presence=1, pan=0), [(k / 2, 0.4, "ro"[k % 2])
                                                        for k in range(8)], 28)  # fmt: skip
    s.arpeggio(s.part(pick(s, 80, 81, 90), pan=0.4), 57, 84, 0.25, 4, loud=0.45)
    s.pad(s.part(pick(s, 50, 51, 90, 62), presence=0.8, chorus=(30, 90)), 52, 76, 4, loud=0.45)
    solo(s, pick(s, 80, 81, 84, 86), 64, 88, 1, presence=0.5)
    s.beat(kit(s, pick(s, 24, 25)), GROOVES[int(rng.choice([0, 2]))], fills=0.7)
    return s
