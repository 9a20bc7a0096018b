#!/usr/bin/env python3
"""Make singing to train with: recorded speech, given melodies.

    pip install pyworld
    python scripts/make_singing.py PACK sung --voices 240
    unstir data pack CORPUS sung -o pack

Speech of the pack's training split is taken apart by the vocoder WORLD (Morise et al. 2016); its
voiced stretches become notes of a random melody, longer than they were spoken, with glides and
vibrato, and everything else stays. Talkers whose recordings reach above 11 kHz are taken alone:
who learns from others learns that singers have no treble. The folder's MANIFEST.csv says
source_repo "made", so that everything in it trains and nothing chooses or reports. It says every
recording's license. The same seed gives the same samples.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from make_sounds import COLUMNS, finish
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.ndimage import gaussian_filter1d

from unstir.neural.pack import SAMPLE_RATE, Pack, of_labels
from unstir.neural.split import GATHERED

Values = NDArray[np.float64]
FRAME_S = 0.005
WIDE_HZ = 11000.0
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
BEATS = (0.25, 0.5, 0.5, 1.0, 1.0, 2.0, 3.0)
LOWEST_HZ, HIGHEST_HZ = 75.0, 800.0


class Singer(NamedTuple):
    """What stays the same through a recording."""

    low: float  # note number of the first step of the scale
    scale: tuple[int, ...]
    beat_s: float
    glide_s: float
    vibrato_semitones: float
    vibrato_hz: float


class Notes(NamedTuple):
    """Where each frame of the song is taken from, and its pitch."""

    source: Values  # frame of the speech
    pitch: Values  # note number, NaN where unvoiced


def singer(rng: np.random.Generator, spoken_hz: float) -> Singer:
    """Return one for a voice that speaks at a frequency: most sing above it."""
    is_exact = rng.random() < 0.2  # as pitch correction leaves it
    return Singer(
        float(np.round(_note(spoken_hz) + rng.uniform(-2, 9))),
        SCALES[rng.integers(len(SCALES))],
        60 / rng.uniform(65, 150),
        0.005 if is_exact else float(rng.uniform(0.02, 0.09)),
        0.0 if is_exact else float(rng.uniform(0, 0.9)),
        float(rng.uniform(4.5, 7)),
    )


def _note(hz: float) -> float:
    return 69 + 12 * float(np.log2(hz / 440))


def syllables(voiced: NDArray[np.bool_], power: Values) -> list[tuple[int, int]]:
    """Return voiced stretches, long ones cut where they are quietest."""
    edges = np.flatnonzero(np.diff(np.r_[False, voiced, False].astype(int)))
    found = []
    todo = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    margin = round(0.1 / FRAME_S)
    while todo:
        a, b = todo.pop()
        if b - a > 4 * margin:
            cut = a + margin + int(np.argmin(power[a + margin : b - margin]))
            todo += [(a, cut), (cut, b)]
        else:
            found.append((a, b))
    return sorted(found)


def melody(rng: np.random.Generator, who: Singer, parts: list[tuple[int, int]], n: int) -> Notes:
    """Return a phrase of ``n`` spoken frames: a note per voiced stretch, the rest as spoken."""
    source: list[Values] = []
    pitch: list[Values] = []
    step = int(rng.integers(0, 6))
    at = 0
    for a, b in parts:
        source.append(np.arange(at, a, dtype=float))
        pitch.append(np.full(a - at, np.nan))
        step = int(np.clip(step + rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3]), -3, 10))
        octave, degree = divmod(step, len(who.scale))
        note = who.low + 12 * octave + who.scale[degree]
        held_s = BEATS[rng.integers(len(BEATS))] * who.beat_s
        # No more than six times as long: one frame would ring like a machine.
        length = round(np.clip(held_s / FRAME_S - (a - at), 0.8 * (b - a), 6 * (b - a)))
        source.append(np.linspace(a, b - 1, length))
        pitch.append(np.full(length, note))
        at = b
    source.append(np.arange(at, n, dtype=float))
    pitch.append(np.full(n - at, np.nan))
    return Notes(np.concatenate(source), np.concatenate(pitch))


def sung(rng: np.random.Generator, who: Singer, speech: Values) -> Values:
    """Return recorded speech as one phrase of a song, or nothing where there is no voice in it."""
    import pyworld

    f0, times = pyworld.dio(speech, SAMPLE_RATE, 65, 500, frame_period=1000 * FRAME_S)
    f0 = pyworld.stonemask(speech, f0, times, SAMPLE_RATE)
    if np.mean(f0 > 0) < 0.2:
        return np.zeros(0)
    envelope = pyworld.cheaptrick(speech, f0, times, SAMPLE_RATE)
    noise = pyworld.d4c(speech, f0, times, SAMPLE_RATE)
    power = gaussian_filter1d(np.log(envelope.sum(axis=1) + 1e-12), 4)
    notes = melody(rng, who, syllables(f0 > 0, power), len(f0))
    n = len(notes.pitch)
    is_sung = np.isfinite(notes.pitch)
    # Between notes the pitch goes on from the last, so that it glides from one to the next.
    held = notes.pitch[np.maximum.accumulate(np.where(is_sung, np.arange(n), 0))]
    held[np.isnan(held)] = notes.pitch[is_sung][0]
    pitch = gaussian_filter1d(held, who.glide_s / FRAME_S)
    since_s = FRAME_S * (np.arange(n) - np.maximum.accumulate(_begins(held) * np.arange(n)))
    depth = who.vibrato_semitones * np.clip((since_s - 0.2) / 0.3, 0, 1)
    pitch += depth * np.sin(2 * np.pi * who.vibrato_hz * FRAME_S * np.arange(n))
    pitch += gaussian_filter1d(rng.standard_normal(n), 20) * (0.5 if who.vibrato_semitones else 0)
    hz = np.clip(440 * 2 ** ((pitch - 69) / 12), LOWEST_HZ, HIGHEST_HZ)
    return np.asarray(
        pyworld.synthesize(
            np.where(is_sung, hz, 0.0),
            _at(envelope, notes.source),
            _at(noise, notes.source),
            SAMPLE_RATE,
            1000 * FRAME_S,
        )
    )


def _begins(held: Values) -> NDArray[np.bool_]:
    return np.r_[True, np.diff(held) != 0]


def _at(frames: Values, places: Values) -> Values:
    """Return frames between frames."""
    low = places.astype(int)
    high = np.minimum(low + 1, len(frames) - 1)
    part = (places - low)[:, None]
    return np.ascontiguousarray((1 - part) * frames[low] + part * frames[high])


def song(rng: np.random.Generator, phrases: list[Values], seconds: float) -> Values:
    """Return phrases one after the other; a third is sung twice and stands wide, as doubles do.

    Shape (1, samples) or (2, samples); empty where nobody has a voice.
    """
    import pyworld

    found = []
    who, taken_s = None, 0.0
    n_takes = 2 if rng.random() < 1 / 3 else 1
    for phrase in phrases:
        if who is None:
            f0, _ = pyworld.dio(phrase, SAMPLE_RATE, 65, 500)
            if not np.any(f0 > 0):
                continue
            who = singer(rng, float(np.median(f0[f0 > 0])))
        seed = int(rng.integers(2**31))  # both takes sing the same notes, not the same pitch
        takes = []
        for take in range(n_takes):
            own = who._replace(low=who.low + take * float(rng.normal(0, 0.1)))
            takes.append(sung(np.random.default_rng(seed), own, phrase))
        if not len(takes[0]):
            continue
        late = round(SAMPLE_RATE * rng.uniform(0.008, 0.03))
        if n_takes == 2:
            takes = [np.pad(takes[0], (0, late)), np.pad(takes[1], (late, 0))]
        rest = round(SAMPLE_RATE * who.beat_s * rng.choice([0.25, 0.5, 1, 2]))
        found.append(np.pad(np.stack(takes), ((0, 0), (0, rest))))
        taken_s += found[-1].shape[1] / SAMPLE_RATE
        if taken_s > seconds:
            break
    return np.concatenate(found, axis=1) if found else np.zeros((1, 0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pack", metavar="PACK", type=Path, help="recordings that were packed")
    parser.add_argument("out", metavar="DIR", type=Path, help="a new or empty folder")
    parser.add_argument("--voices", metavar="N", type=int, default=240, help="songs to make")
    parser.add_argument("--seed", metavar="K", type=int, default=0)
    options = parser.parse_args()
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out} holds files already; name a new or empty folder")
    given = Pack(options.pack)
    wide = [c for c in given.select("train", "speech") if c.bandwidth_hz > WIDE_HZ]
    voices = {name: part for name, part in of_labels(wide).items() if not name.startswith("made")}
    names = sorted(voices)
    if not names:
        parser.error(f"{options.pack} holds no speech that reaches above {WIDE_HZ:.0f} Hz")
    (options.out / "singing").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for index in track(range(options.voices), "songs", console=Console(stderr=True)):
        rng = np.random.default_rng([options.seed, index])
        name = names[index % len(names)]
        order = rng.permutation(len(voices[name]))[:30]
        clips = [voices[name][k] for k in order]
        phrases = [
            given.read(c, 0, min(c.n_samples, 8 * SAMPLE_RATE)).mean(axis=0).astype(float)
            for c in clips
        ]
        sound = song(rng, phrases, 30.0)
        if not np.any(sound):
            continue
        sound *= 10 ** (rng.uniform(-9, -1) / 20) / np.abs(sound).max()
        author = name.removeprefix(GATHERED)
        path = f"singing/sung_{index:03}.flac"
        soundfile.write(options.out / path, sound.T, SAMPLE_RATE, subtype="PCM_16")
        shape = (f"{sound.shape[1] / SAMPLE_RATE:.3f}", str(SAMPLE_RATE), str(len(sound)))
        origin = (f"{clips[0].path} and others", clips[0].license, author)
        about = (path, "singing", "sung speech", "made", *origin)
        rows.append(dict(zip(COLUMNS, (*about, *shape, "train"), strict=True)))
    finish(rows, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
