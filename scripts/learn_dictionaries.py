"""Learn the dictionaries of the nmf method from a folder of recordings, and say what they reach.

    python scripts/learn_dictionaries.py CORPUS

CORPUS holds MANIFEST.csv and LICENCES.md. Only recordings of the split "train" are learned from,
only those of "valid" are measured on. Writes dictionaries.safetensors and dictionaries.json into
the package. Seeded: the same corpus, machine and thread count give the same files.

Two stages:

1. KL-NMF of each kind alone (Lee and Seung 2001), from frames balanced over the recordings.
2. Discriminative training (Weninger et al. 2014; Le Roux et al. 2015): scenes are mixed on the
   fly, the activations unrolled, and the templates moved so that the masks cut the stems out
   with the best signal-to-noise ratio.

Most recordings of speech end at 8 kHz. So that they do not teach that speech has nothing above,
each recording's reach is measured (the highest band within 60 dB of its loudest), bands above
count as not observed in stage 1, a scene counts only up to the lowest reach of its parts in stage
2, and a part of the scenes draws its voice from those that reach beyond 10 kHz.
"""

import argparse
import csv
import json
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unstir.hybrid import dictionaries as dic
from unstir.hybrid.nmf import MAPPING, Nmf, kl_nmf
from unstir.spectral import StftConfig, ratio_masks, render, stft
from unstir.types import FILM, SONG, STEM_SETS, Mixture, Stems, Waveform

RATE = 44100
GRID = StftConfig.for_rate(RATE)
FREQUENCIES_HZ = GRID.frequencies_hz(RATE)
STARTS = dic.band_starts(FREQUENCIES_HZ)
WIDTHS = np.diff(STARTS)[:, None].astype(np.float32)
BANDS_HZ = dic.band_centers_hz(FREQUENCIES_HZ, STARTS)
KINDS = ("speech", "singing", "music", "effects")
HOP_S = GRID.hop_length / RATE


@dataclass(frozen=True, slots=True)
class Recipe:
    n_components: int = 48  # per kind
    spans_frames: tuple[tuple[int, int], ...] = ((0, 0), (-2, -1), (1, 2), (-12, -3), (3, 12))
    seed: int = 0
    frames_per_kind: int = 20000
    nmf_iterations: int = 40
    n_steps: int = 800
    scenes_per_step: int = 4
    scene_s: float = 5.0
    unrolled_iterations: int = 10
    learning_rate: float = 0.02
    song_share: float = 0.3  # of the steps
    floor: float = 1e-4  # of the mean of a template


@dataclass(frozen=True, slots=True)
class Recording:
    kind: str
    group: str  # a voice, a class of effects, a piece
    song: str  # the song that a track belongs to
    path: str
    waveform: NDArray[np.int16]  # (channels, samples) at 44.1 kHz; whole numbers halve the memory
    reach: int  # bands that the recording really has


def magnitudes(waveform: Waveform) -> NDArray[np.float32]:
    """Return the linked magnitude per band, shape (bands, frames)."""
    power = np.mean(np.abs(stft(waveform, GRID)) ** 2, axis=0)
    return dic.pool(np.sqrt(power), STARTS)


def as_float(waveform: NDArray[np.int16]) -> Waveform:
    return waveform.astype(np.float32) / 32768


def measured_reach(waveform: Waveform) -> int:
    """Return how many bands lie below the highest one within 60 dB of the loudest."""
    level = (magnitudes(waveform) / WIDTHS).mean(axis=1)
    level = np.convolve(level, np.ones(3) / 3, "same")
    return int(np.flatnonzero(level >= 1e-3 * level.max())[-1]) + 1


def load_recordings(corpus: Path, split: str) -> list[Recording]:
    import soundfile
    import soxr

    recordings = []
    with open(corpus / "MANIFEST.csv", newline="", encoding="utf-8") as table:
        rows = [r for r in csv.DictReader(table) if r["split"] == split and r["kind"] in KINDS]
    for row in rows:
        samples, rate = soundfile.read(corpus / row["path"], dtype="float32", always_2d=True)
        samples = soxr.resample(samples, rate, RATE).T if rate != RATE else samples.T
        samples = samples / max(1.0, float(np.abs(samples).max()))
        nyquist = np.count_nonzero(BANDS_HZ < 0.97 * rate / 2)
        reach = min(measured_reach(samples.astype(np.float32)), int(nyquist))
        parts = row["label"].split("/")
        group = {"speech": parts[-1].split("_neutral")[0], "effects": parts[0]}
        song = parts[1] if len(parts) > 2 and row["kind"] == "music" else ""
        song = parts[1] if row["kind"] == "singing" else song
        recordings.append(
            Recording(
                row["kind"],
                group.get(row["kind"], row["label"]),
                song,
                row["path"],
                np.round(samples * 32767).astype(np.int16),
                reach,
            )
        )
    return recordings


# ---------------------------------------------------------------- scenes


@dataclass(frozen=True, slots=True)
class Shelf:
    """Recordings by kind and group, from which scenes are drawn."""

    voices: Sequence[Sequence[Recording]]
    wide_voices: Sequence[Sequence[Recording]]
    music: Sequence[Recording]
    songs: Sequence[tuple[Recording, Sequence[Recording]]]  # vocals and the other tracks
    effects: Sequence[Sequence[Recording]]


def shelve(recordings: Sequence[Recording]) -> Shelf:
    groups: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[recording.kind, recording.group].append(recording)
    voices = [g for (kind, _), g in groups.items() if kind == "speech"]
    wide = [[r for r in g if BANDS_HZ[r.reach - 1] > 10000] for g in voices]
    music = [r for r in recordings if r.kind == "music"]
    songs = [
        (vocals, [r for r in music if r.song == vocals.song])
        for vocals in recordings
        if vocals.kind == "singing"
    ]
    effects = [g for (kind, _), g in groups.items() if kind == "effects"]
    return Shelf(voices, [g for g in wide if g], music, songs, effects)


def rms(x: Waveform) -> float:
    return float(np.sqrt(np.mean(x.astype(np.float64) ** 2)))


def to_stereo(waveform: Waveform, position: float) -> Waveform:
    """Pan a single channel with constant power, -1 left to 1 right; leave two as they are."""
    if waveform.shape[0] == 2:
        return waveform
    angle = (position + 1) * np.pi / 4
    gains = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32)
    return np.asarray(gains * waveform, np.float32)


def excerpt(rng: np.random.Generator, recording: Recording, n: int) -> Waveform:
    start = int(rng.integers(0, max(1, recording.waveform.shape[1] - n)))
    return as_float(recording.waveform[:, start : start + n])


def speak(
    rng: np.random.Generator, voice: Sequence[Recording], n: int, pause_s: float
) -> tuple[Waveform, int]:
    """Return utterances of one voice with pauses, from one position, and their reach."""
    line = np.zeros((1, n), np.float32)
    reach = len(BANDS_HZ)
    at = int(rng.uniform(0, pause_s) * RATE)
    while at < n:
        recording = voice[rng.integers(len(voice))]
        part = excerpt(rng, recording, n).mean(axis=0, keepdims=True)[:, : n - at]
        line[:, at : at + part.shape[1]] = part / max(rms(part), 1e-4)
        reach = min(reach, recording.reach)
        at += part.shape[1] + int(rng.uniform(0.2, pause_s) * RATE)
    return to_stereo(line, 0.0 if rng.random() < 0.7 else rng.uniform(-0.6, 0.6)), reach


def rustle(rng: np.random.Generator, effects: Sequence[Sequence[Recording]], n: int) -> Waveform:
    """Return a chain of effects, some of them overlapping, each from its own position."""
    line = np.zeros((2, n), np.float32)
    at = int(rng.uniform(0, 1.5) * RATE)
    while at < n:
        group = effects[rng.integers(len(effects))]
        part = as_float(group[rng.integers(len(group))].waveform[:, : min(n - at, 6 * RATE)])
        if rms(part) > 1e-4:
            position = rng.uniform(-0.8, 0.8) if rng.random() < 0.7 else 0.0
            gain = 10 ** (rng.normal(0, 2.5) / 20) / rms(part)
            line[:, at : at + part.shape[1]] += to_stereo(part, position) * np.float32(gain)
        at += int(part.shape[1] * rng.uniform(0.4, 1)) + int(rng.uniform(0, 1) * RATE)
    return line


def play(rng: np.random.Generator, music: Sequence[Recording], n: int) -> Waveform:
    """Return a sounding excerpt of music, repeated where it is too short."""
    while True:
        part = to_stereo(excerpt(rng, music[rng.integers(len(music))], n), 0.0)
        if rms(part) > 1e-3:
            return np.tile(part, (1, -(-n // part.shape[1])))[:, :n]


def sing(rng: np.random.Generator, shelf: Shelf, n: int) -> tuple[Waveform, Waveform, int]:
    """Return vocals, the tracks that go with them, and the vocals' reach."""
    while True:
        vocals, tracks = shelf.songs[rng.integers(len(shelf.songs))]
        start = int(rng.integers(0, min(r.waveform.shape[1] for r in (vocals, *tracks)) - n))
        parts = [
            to_stereo(as_float(r.waveform[:, start : start + n]), 0.0) for r in (vocals, *tracks)
        ]
        backing = np.sum(parts[1:], axis=0, dtype=np.float32)
        if rms(parts[0]) > 0.01 and rms(backing) > 0.01:
            return parts[0], backing, vocals.reach


def set_levels(
    rng: np.random.Generator, parts: Sequence[Waveform], levels_db: Sequence[float], spread: float
) -> Waveform:
    """Return the parts at RMS levels in dB, spread by a normal law, shape (parts, channels, n)."""
    gains = [
        10 ** ((level + rng.normal(0, spread)) / 20) / max(rms(part), 1e-6)
        for part, level in zip(parts, levels_db, strict=True)
    ]
    return np.stack(parts) * np.asarray(gains, np.float32)[:, None, None]


def film_scene(rng: np.random.Generator, shelf: Shelf, n: int) -> tuple[Waveform, int]:
    """Return speech, music (sung at times) and effects, shape (3, 2, n), and what counts of it."""
    voices = shelf.wide_voices if rng.random() < 0.3 else shelf.voices
    speech, reach = speak(rng, voices[rng.integers(len(voices))], n, rng.choice([0.6, 2.0]))
    if rng.random() < 0.15:
        vocals, backing, sung_reach = sing(rng, shelf, n)
        music, reach = vocals + backing, min(reach, sung_reach)
    else:
        music = play(rng, shelf.music, n)
    parts = [speech, music, rustle(rng, shelf.effects, n)]
    stems = set_levels(rng, parts, (-20, -25, -24), 4)
    return (np.repeat(stems.mean(axis=1, keepdims=True), 2, 1) if rng.random() < 0.2 else stems), (
        reach
    )


def song_scene(rng: np.random.Generator, shelf: Shelf, n: int) -> tuple[Waveform, int]:
    """Return vocals and accompaniment, half of the time of another piece, shape (2, 2, n)."""
    vocals, backing, reach = sing(rng, shelf, n)
    if rng.random() < 0.5:
        backing = play(rng, shelf.music, n)
    return set_levels(rng, [vocals, backing], (-22, -20), 3), reach


# ---------------------------------------------------------------- learning


def learn_alone(
    rng: np.random.Generator, recordings: Sequence[Recording], recipe: Recipe
) -> NDArray[np.float32]:
    """Return templates of one kind by KL-NMF of its frames, shape (bands, components)."""
    quota = -(-recipe.frames_per_kind // len(recordings))
    frames, seen = [], []
    for recording in recordings:
        # A minute from anywhere in a long piece says enough of it.
        level = magnitudes(excerpt(rng, recording, 60 * RATE))
        total = level.sum(axis=0)
        loud = np.flatnonzero(total > 0.01 * total.max())
        loud = rng.permutation(loud)[: 3 * quota]
        frames.append(level[:, loud] / total[loud].mean())
        seen.append(np.repeat(np.arange(len(BANDS_HZ))[:, None] < recording.reach, len(loud), 1))
    keep = rng.permutation(sum(f.shape[1] for f in frames))[: recipe.frames_per_kind]
    V = np.concatenate(frames, axis=1)[:, keep].astype(np.float32)
    M = np.concatenate(seen, axis=1)[:, keep].astype(np.float32)
    mean = (V * M).sum(axis=1, keepdims=True) / np.maximum(M.sum(axis=1, keepdims=True), 1)
    W = V[:, rng.choice(V.shape[1], recipe.n_components, replace=False)] + 0.2 * mean
    H = np.full((recipe.n_components, V.shape[1]), 1 / recipe.n_components, np.float32)
    W, _ = kl_nmf(V, W, H, n_iter=recipe.nmf_iterations, weights=M)
    return np.asarray(W / W.sum(axis=0), np.float32)
