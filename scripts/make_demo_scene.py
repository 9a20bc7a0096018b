#!/usr/bin/env python3
"""Make the demo scene in src/unstir/demo: three stems of a 20 s film scene, and the score.

Nothing is recorded: espeak-ng speaks, fluidsynth plays the score below with FluidR3_GM,
numpy makes rain, doors and cars. The same versions of the programs give the same bytes.

    apt-get install espeak-ng fluidsynth fluid-soundfont-gm
    python scripts/make_demo_scene.py
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import scipy.signal
import soundfile
import soxr
from numpy.typing import NDArray

RATE = 44100
DURATION_S = 20.0
N = round(RATE * DURATION_S)
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
DEMO = Path(__file__).resolve().parents[1] / "src" / "unstir" / "demo"

Sound = NDArray[np.float64]  # (2, samples), or (samples,) before it is placed


# ---------------------------------------------------------------- tools


def seconds(duration_s: float) -> Sound:
    return np.arange(round(duration_s * RATE)) / RATE


def band(sound: Sound, low_hz: float, high_hz: float, order: int = 2) -> Sound:
    sos = scipy.signal.butter(order, [low_hz, high_hz], "bandpass", fs=RATE, output="sos")
    return scipy.signal.sosfilt(sos, sound)


def low_pass(sound: Sound, cutoff_hz: float, order: int = 2) -> Sound:
    return scipy.signal.sosfilt(scipy.signal.butter(order, cutoff_hz, fs=RATE, output="sos"), sound)


def panned(sound: Sound, position: float | Sound) -> Sound:
    """Place a mono sound by constant power; -1 is left, 0 the center, 1 right."""
    angle = (np.asarray(position) + 1) * np.pi / 4
    return np.stack([np.cos(angle) * sound, np.sin(angle) * sound])


def in_room(sound: Sound, rng: np.random.Generator, *, rt60_s: float, wet_db: float) -> Sound:
    """Add a tail of decaying noise, different on the left and on the right."""
    t = seconds(rt60_s)
    tail = rng.standard_normal((2, t.size)) * 10 ** (-3 * t / rt60_s) * np.minimum(1, t / 0.008)
    tail = low_pass(tail, 5000)
    tail *= 10 ** (wet_db / 20) / np.sqrt(np.square(tail).sum(axis=1, keepdims=True))
    dry = np.concatenate([sound, np.zeros((2, t.size))], axis=1)
    return dry + scipy.signal.fftconvolve(dry, tail[:, : t.size], axes=1)[:, : dry.shape[1]]


def put(scene: Sound, sound: Sound, start_s: float, gain_db: float = 0.0) -> None:
    """Mix a stereo sound into the scene; what lasts beyond the end is cut."""
    start = round(start_s * RATE)
    part = sound[:, : scene.shape[1] - start]
    scene[:, start : start + part.shape[1]] += 10 ** (gain_db / 20) * part


def ramp(*points: tuple[float, float]) -> Sound:
    """Return a gain over the whole scene that goes from point to point (seconds, gain)."""
    times, gains = zip(*points, strict=True)
    return np.interp(seconds(DURATION_S), times, gains)


def active_db(sound: Sound) -> float:
    """Return the level of the frames of 50 ms that lie within 30 dB of the loudest."""
    frames = sound[:, : sound.shape[1] // 2205 * 2205].reshape(2, -1, 2205)
    power = np.square(frames).mean(axis=(0, 2))
    return float(10 * np.log10(power[power > power.max() / 1000].mean()))


# ---------------------------------------------------------------- speech

MAN, WOMAN = "en-gb", "en-us+f3"
LINES = (  # start in seconds, voice, words per minute, pitch, text
    (2.25, MAN, 160, 38, "You are late. Sit down."),
    (6.4, WOMAN, 172, 55, "I came as fast as I could. The whole city is under water."),
    (11.2, MAN, 158, 36, "Then we have one hour, before they close the bridge."),
    (14.6, WOMAN, 165, 58, "Do you trust him?"),
    (16.1, MAN, 150, 33, "Not for a second."),
)
# Milliseconds and dB of a small room's first reflections, on the left and on the right.
REFLECTIONS = (
    ((7.3, -20), (13.1, -22), (22.7, -24), (36.1, -28)),
    ((9.7, -21), (15.9, -21), (26.3, -25), (33.7, -27)),
)


def speak(voice: str, words_per_minute: int, pitch: int, text: str, folder: Path) -> Sound:
    wav = folder / "line.wav"
    options = ["-v", voice, "-s", str(words_per_minute), "-p", str(pitch)]
    subprocess.run(["espeak-ng", *options, "-w", str(wav), text], check=True)
    line, rate = soundfile.read(wav)
    line = soxr.resample(line, rate, RATE)
    line = scipy.signal.sosfilt(scipy.signal.butter(2, 70, "high", fs=RATE, output="sos"), line)
    loud = np.flatnonzero(np.abs(line) > 1e-3 * np.abs(line).max())
    line = line[loud[0] : loud[-1]]
    # As in any film, a compressor evens the syllables out: well above the mean, 5 dB become 2.
    envelope = scipy.signal.sosfiltfilt(
        scipy.signal.butter(1, 25, fs=RATE, output="sos"), np.square(line)
    )
    return line * (1 + np.maximum(envelope, 0) / np.square(line).mean()) ** -0.3


def speech(folder: Path) -> Sound:
    scene = np.zeros((2, N))
    rng = np.random.default_rng(1)
    for start_s, voice, rate, pitch, text in LINES:
        line = speak(voice, rate, pitch, text, folder)
        line *= 10 ** ((-20 - active_db(np.stack([line, line]))) / 20)
        dull = low_pass(line, 4500, 1)
        placed = np.zeros((2, line.size + RATE // 10))
        for side, taps in enumerate(REFLECTIONS):
            placed[side, : line.size] = line
            for delay_ms, gain_db in taps:
                delay = round(delay_ms * RATE / 1000)
                placed[side, delay : delay + line.size] += 10 ** (gain_db / 20) * dull
        put(scene, in_room(placed, rng, rt60_s=0.22, wet_db=-22), start_s)
    return scene


# ---------------------------------------------------------------- music

BPM, TICKS = 120, 480  # a bar of four beats lasts 2 s
FIRST_BAR_S = 4.0  # two bars of rest: time 0 of the score is time 0 of the scene

# Per track: channel, General MIDI program, volume, pan (0 left, 64 center, 127 right), reverb.
TRACKS = {
    "piano": (0, 0, 88, 12, 50),
    "bass": (1, 32, 92, 64, 10),
    "vibraphone": (2, 11, 104, 114, 60),
    "violins": (3, 48, 78, 4, 70),
    "celli": (4, 48, 76, 123, 70),
    "brushes": (9, 40, 88, 64, 30),
}
CHORDS = (  # bar by bar: Am9, Fmaj9, Dm9, E7b9, Am9, F#m7b5, E7b9, Am6/9
    ((57, 60, 64, 71), (65, 69, 76)),
    ((57, 60, 64, 67), (65, 69, 72)),
    ((53, 57, 60, 64), (62, 69, 77)),
    ((56, 59, 62, 65), (64, 68, 74)),
    ((57, 60, 64, 71), (64, 72, 76)),
    ((54, 57, 60, 64), (66, 69, 76)),
    ((56, 59, 62, 65), (68, 71, 77)),
    ((57, 60, 66, 71), (69, 76, 83)),
)
BASS = (  # MIDI notes, a quarter each; the last bar is held
    (33, 40, 45, 43),
    (41, 36, 33, 40),
    (38, 45, 41, 39),
    (40, 44, 47, 46),
    (45, 40, 36, 35),
    (42, 36, 33, 41),
    (40, 47, 44, 40),
    (33,),
)
MELODY = (  # beat within the music, length in beats, note
    *((0.5, 1, 76), (1.5, 0.5, 79), (2, 1.5, 83), (3.5, 0.5, 81)),
    *((4, 2.5, 76), (7, 0.5, 72), (7.5, 0.5, 76)),
    *((8, 1.5, 77), (9.5, 0.5, 76), (10, 1, 74), (11, 1, 72)),
    *((12, 2, 71), (14.5, 0.5, 74), (15, 0.5, 77), (15.5, 0.5, 80)),
    *((16, 1.5, 83), (17.5, 0.5, 81), (18, 1.5, 79), (19.5, 0.5, 76)),
    *((20, 1.5, 78), (21.5, 0.5, 76), (22, 2, 72)),
    *((24, 1, 74), (25, 1, 77), (26, 1, 80), (27, 1, 83)),
    *((28, 3.5, 81),),
)


def score_notes() -> dict[str, list[tuple[float, float, int, int]]]:
    """Return per track the notes as (beat within the music, length in beats, note, velocity)."""
    notes: dict[str, list[tuple[float, float, int, int]]] = {name: [] for name in TRACKS}
    notes["vibraphone"] = [(beat, length, note, 84) for beat, length, note in MELODY]
    for bar, (left, right) in enumerate(CHORDS):
        beat, last = 4.0 * bar, bar == len(CHORDS) - 1
        hits = ((0, 3.5, 60),) if last else ((0, 1.4, 62), (1.5, 0.4, 50), (2.5, 1.2, 56))
        for at, length, velocity in hits:
            notes["piano"] += [(beat + at, length, note, velocity) for note in left]
        notes["violins"] += [(beat, 3.9, note, 66) for note in right]
        notes["celli"] += [(beat, 3.9, note - 12, 64) for note in left[:2]]
        for k, note in enumerate(BASS[bar]):
            notes["bass"].append((beat + k, 3.5 if last else 0.9, note, 88 - 8 * (k % 2)))
        if last:
            notes["brushes"].append((beat, 0.5, 49, 60))
            continue
        for at, note, velocity in (
            *((0, 36, 62), (2, 36, 50)),  # bass drum
            *((1, 38, 54), (3, 38, 58)),  # swept snare
            *((k, 51, 58 if k % 2 else 48) for k in range(4)),  # ride
            *((k + 2 / 3, 51, 38) for k in (1, 3)),  # ... swung
        ):
            notes["brushes"].append((beat + at, 0.2, note, velocity))
    return notes


def write_score(path: Path) -> None:
    """Write the score as a MIDI file whose time 0 is the start of the scene."""
    file = mido.MidiFile(ticks_per_beat=TICKS)
    conductor = file.add_track("unstir demo")
    conductor.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BPM)))
    rest = round(FIRST_BAR_S * BPM / 60 * TICKS)
    for name, notes in score_notes().items():
        channel, program, volume, pan, reverb = TRACKS[name]
        track = file.add_track(name)
        track.append(mido.Message("program_change", channel=channel, program=program))
        for control, value in ((7, volume), (10, pan), (91, reverb)):
            track.append(
                mido.Message("control_change", channel=channel, control=control, value=value)
            )
        events = []
        for beat, length, note, velocity in notes:
            start = rest + round(beat * TICKS)
            events.append((start + round(length * TICKS), 0, note, 0))  # note-offs come first
            events.append((start, 1, note, velocity))
        now = 0
        for at, on, note, velocity in sorted(events):
            kind = "note_on" if on else "note_off"
            track.append(
                mido.Message(kind, channel=channel, note=note, velocity=velocity, time=at - now)
            )
            now = at
    file.save(path)


def music(score: Path, folder: Path) -> Sound:
    wav = folder / "music.wav"
    command = ["fluidsynth", "-n", "-i", "-q", "-g", "0.7", "-r", str(RATE), "-O", "float"]
    command += ["-T", "wav", "-F", str(wav), str(SOUNDFONT), str(score)]
    subprocess.run(command, check=True)
    played, _ = soundfile.read(wav)
    scene = np.zeros((2, N))
    put(scene, played.T, 0)
    return scene * ramp((0, 1), (19.5, 1), (19.97, 0), (20, 0))


# ---------------------------------------------------------------- effects


def rain(rng: np.random.Generator) -> Sound:
    """Return a hiss, unlike on both sides, with drops near by."""
    hiss = rng.standard_normal((3, N))
    bed = band(hiss[:2] + 0.5 * hiss[2], 500, 5200, 1)
    bed = low_pass(bed / bed.std(), 7500, 4)
    drops = np.zeros((2, N))
    for at in rng.uniform(0, DURATION_S - 0.1, 1500):
        t = seconds(0.03)
        tone = np.sin(2 * np.pi * rng.uniform(900, 4200) * t) * np.exp(
            -t / rng.uniform(0.002, 0.006)
        )
        put(drops, panned(tone, rng.uniform(-0.9, 0.9)), at, 20 * np.log10(rng.lognormal(0, 0.7)))
    return bed + 1.4 * drops


def footstep(rng: np.random.Generator) -> Sound:
    t = seconds(0.25)
    noise = rng.standard_normal((2, t.size))
    heel = np.sin(2 * np.pi * (95 - 90 * t) * t) * np.exp(-t / 0.035)
    heel += 1.1 * band(noise[0], 350, 2600) * np.exp(-t / 0.018)
    toe = 0.5 * band(noise[1], 700, 3800) * np.exp(-np.maximum(t - 0.085, 0) / 0.02) * (t > 0.085)
    return heel + toe


def door_slam(rng: np.random.Generator) -> Sound:
    t = seconds(0.7)
    noise = rng.standard_normal(t.size)
    slam = 2.0 * low_pass(noise, 420) * np.exp(-t / 0.07)
    for mode_hz, decay_s, gain in (
        *((61, 0.16, 0.9), (97, 0.12, 0.8), (146, 0.09, 0.6)),
        *((233, 0.06, 0.4), (377, 0.05, 0.25)),
    ):
        slam += gain * np.sin(2 * np.pi * mode_hz * t) * np.exp(-t / decay_s)
    slam += 0.7 * band(noise, 1500, 4500) * np.exp(-t / 0.006)
    latch = 0.25 * band(rng.standard_normal(t.size), 2200, 5200) * np.exp(-t / 0.004)
    late = np.roll(latch, round(0.13 * RATE))
    return np.tanh(0.8 * slam) + late  # wood gives way: no spike at the start


def clink() -> Sound:
    t = seconds(0.9)
    return sum(
        gain * np.sin(2 * np.pi * hz * t) * np.exp(-t / decay_s)
        for hz, decay_s, gain in (
            *((2093, 0.28, 1.0), (2101, 0.25, 0.7), (3417, 0.17, 0.6)),
            *((5230, 0.10, 0.45), (5266, 0.09, 0.3), (7741, 0.05, 0.3)),
        )
    ) * np.minimum(1, t / 0.0008)


def car(rng: np.random.Generator) -> Sound:
    """Return a car that comes from the right, passes after 2.6 s, and goes to the left."""
    t = seconds(5.2)
    ahead_m = 14 * (t - 2.6)  # 50 km/h
    distance_m = np.hypot(ahead_m, 7)
    doppler = 1 / (1 + 14 / 343 * ahead_m / distance_m)
    phase = 2 * np.pi * np.cumsum(62 * doppler) / RATE
    engine = sum(np.sin(k * phase + k * k) / k**0.8 for k in range(1, 13))
    noise = rng.standard_normal(t.size)
    near = np.clip(7 / distance_m, 0, 1)
    tyres = band(noise, 150, 900, 1) * 2.2 + band(noise, 500, 4200, 1) * 2.4 * near
    body = (0.45 * engine + tyres) * near**1.2 * np.sin(np.pi * t / t[-1]) ** 0.4
    return panned(body, -0.95 * ahead_m / distance_m)


def siren() -> Sound:
    """Return a distant wail that wanders from right to left."""
    t = seconds(4.6)
    pitch_hz = 690 + 270 * np.sin(2 * np.pi * 0.42 * t - 1.2)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE
    wail = np.sin(phase) + 0.35 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)
    return panned(wail * np.sin(np.pi * t / t[-1]) ** 0.8, np.linspace(0.7, -0.5, t.size))


def effects() -> Sound:
    rng = np.random.default_rng(7)
    # Outdoors until the door falls shut; then the window is opened for a while.
    open_air = ramp(
        *((0, 0), (0.25, 1), (1.58, 1), (1.66, 0)),
        *((9.4, 0), (10.1, 0.55), (15.8, 0.55), (16.6, 0), (20, 0)),
    )
    scene = rain(rng) * open_air * 10 ** (-37 / 20)
    walk = np.zeros((2, N))
    for k, position in enumerate((-0.95, -0.5, 0.0, 0.5)):
        put(walk, panned(footstep(rng), position), 0.17 + 0.34 * k, -20 + 1.5 * k)
    for k, position in enumerate((0.2, -0.25, -0.6, -0.95)):
        put(walk, panned(footstep(rng), position), 17.9 + 0.42 * k, -17 - 2 * k)
    put(walk, panned(door_slam(rng), 0.75), 1.58, -14)
    for at_s, position in ((8.95, 0.45), (9.4, 0.55), (10.5, 0.4)):
        put(walk, panned(clink(), position), at_s, -24)
    scene += in_room(walk, rng, rt60_s=0.35, wet_db=-14)[:, :N]
    put(scene, car(rng), 10.9, -23)
    put(scene, in_room(siren(), rng, rt60_s=1.2, wet_db=-8), 15.3, -35)
    return scene * ramp((0, 1), (19.6, 1), (19.95, 0), (20, 0))


# ---------------------------------------------------------------- the scene

LEVELS_DB = {"speech": -21.0, "music": -26.0, "effects": -28.0}  # while active; rain is quiet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DEMO, help="folder to write to")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    write_score(folder / "music.mid")
    with tempfile.TemporaryDirectory() as scratch:
        stems = {
            "speech": speech(Path(scratch)),
            "music": music(folder / "music.mid", Path(scratch)),
            "effects": effects(),
        }
    total = 0
    for name, stem in stems.items():
        scaled = stem * 10 ** ((LEVELS_DB[name] - active_db(stem)) / 20)
        # Trim what no ear misses: above 15 kHz the stems cost bytes and tell nothing.
        pcm = np.round(low_pass(scaled, 15000, 6) * 32768)
        if np.abs(pcm).max() > 32767:
            raise SystemExit(f"{name} clips")
        soundfile.write(
            folder / f"{name}.flac", pcm.T.astype(np.int16), RATE, compression_level=1.0
        )
        total = total + pcm
        size = (folder / f"{name}.flac").stat().st_size
        print(f"{name:8} {size:8} bytes, peak {np.abs(pcm).max() / 32768:.2f}")
    print(f"mix      peak {np.abs(total).max() / 32768:.2f}")
    if np.abs(total).max() > 32767:
        raise SystemExit("the mix clips")


if __name__ == "__main__":
    main()
