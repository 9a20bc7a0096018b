"""Mixes of real recordings whose true stems are known, for tables of figures.

A corpus is a folder with ``MANIFEST.csv`` (columns path, kind, label, seconds, split;
kinds speech, music, effects, singing). Only its validation split is used here, and none
of its sound is ever written anywhere.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from unstir.audio import open_audio
from unstir.errors import AudioError
from unstir.types import Stems, Waveform

SAMPLE_RATE = 44100
DURATION_S = 20.0
LEVELS_DB = {"speech": -20.0, "music": -26.0, "effects": -24.0}


@dataclass(frozen=True)
class RealMix:
    """One mix and what it is made of.

    Parameters
    ----------
    name : str
        For tables.
    stems : dict of str to ndarray of float32, each of shape (2, samples)
        The true stems; their sum is the mix.
    source : str
        What must be drawn together when intervals are made over sources.
    """

    name: str
    stems: Stems
    source: str

    @property
    def waveform(self) -> Waveform:
        """The mix, float32, shape (2, samples)."""
        total = np.sum(list(self.stems.values()), axis=0, dtype=np.float64)
        return np.asarray(total, np.float32)


def manifest(corpus: Path, split: str = "valid") -> list[dict[str, str]]:
    """Return the rows of one split.

    Raises
    ------
    AudioError
        If there is no manifest.
    """
    path = corpus / "MANIFEST.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if row["split"] == split]
    except OSError as error:
        raise AudioError(
            f"{path} cannot be read ({error.strerror}); --corpus wants a folder of recordings "
            "with MANIFEST.csv"
        ) from None


def load(path: Path) -> Waveform:
    """Return a recording as float32 at 44.1 kHz, shape (2, samples); mono goes to both channels."""
    with open_audio(path) as reader:
        waveform = reader.read()
        rate = reader.info.sample_rate
    if rate != SAMPLE_RATE:
        waveform = soxr.resample(waveform.T, rate, SAMPLE_RATE, quality="VHQ").T
    if waveform.shape[0] == 1:
        waveform = np.repeat(waveform, 2, axis=0)
    return np.ascontiguousarray(waveform[:2], np.float32)


def film_mixes(corpus: Path, *, n: int = 12, seed: int = 0) -> list[RealMix]:
    """Return ``n`` stereo scenes of 20 s: one talker, one piece of music, several effects.

    Speech sits in the middle in two scenes of three, else a little aside; its
    utterances follow each other with pauses. Effects are panned anywhere. Levels
    spread by 3 dB around -20, -26 and -24 dBFS RMS.
    """
    rng = np.random.default_rng(seed)
    rows = manifest(corpus)
    talkers: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if row["kind"] == "speech":
            talkers.setdefault(row["label"], []).append(row)
    effects = [row for row in rows if row["kind"] == "effects"]
    music = [row for row in rows if row["kind"] == "music" and float(row["seconds"]) > 5]
    labels = sorted(talkers, key=lambda label: -sum(float(r["seconds"]) for r in talkers[label]))
    mixes = []
    for i in range(n):
        label = labels[i % len(labels)]
        pan = 0.0 if i % 3 else float(rng.uniform(-0.4, 0.4))
        speech = _panned(_sequence(corpus, talkers[label], rng, gap_s=(0.2, 1.5)), pan)
        piece = music[i % len(music)]
        score = _looped(load(corpus / piece["path"]), rng)
        sounds = np.zeros_like(score)
        for row in rng.choice(np.array(effects, dtype=object), 8, replace=False):
            event = _panned(load(corpus / row["path"])[:, : 6 * SAMPLE_RATE], rng.uniform(-1, 1))
            event *= 0.1 * 10 ** (rng.normal(0, 3) / 20) / max(1e-4, _rms(event))
            at = int(rng.integers(0, sounds.shape[1]))
            event = event[:, : sounds.shape[1] - at]
            sounds[:, at : at + event.shape[1]] += event
        stems = {}
        for name, value in (("speech", speech), ("music", score), ("effects", sounds)):
            level_db = LEVELS_DB[name] + rng.normal(0, 3)
            stems[name] = (value * (10 ** (level_db / 20) / max(1e-6, _rms(value)))).astype(
                np.float32
            )
        mixes.append(RealMix(f"film {i + 1}", stems, f"{label} {piece['path']}"))
    return mixes


def song_mixes(corpus: Path) -> list[RealMix]:
    """Return 20 s excerpts of every song of the split that comes as voice and accompaniment."""
    rows = manifest(corpus)
    mixes = []
    for row in rows:
        if row["kind"] != "singing":
            continue
        song = Path(row["path"]).stem.removesuffix("__vocals")
        vocals = load(corpus / row["path"])
        parts = [
            load(corpus / r["path"]) for r in rows if f"/{song}__" in r["path"] and r is not row
        ]
        if not parts:
            continue
        length = min(x.shape[1] for x in [vocals, *parts])
        backing = np.asarray(np.sum([part[:, :length] for part in parts], axis=0), np.float32)
        step = int(DURATION_S * SAMPLE_RATE)
        for at in range(0, length - step + 1, step):
            stems = {
                "vocals": vocals[:, at : at + step],
                "accompaniment": backing[:, at : at + step],
            }
            if _rms(stems["vocals"]) > 1e-3:
                mixes.append(RealMix(f"{song} {at // SAMPLE_RATE} s", stems, song))
    return mixes


def _rms(waveform: Waveform) -> float:
    return float(np.sqrt(np.mean(waveform.astype(np.float64) ** 2)))


def _panned(waveform: Waveform, pan: float) -> Waveform:
    """Return the mono sum at a place from -1 (left) to 1 (right), by constant power."""
    mono = waveform.mean(axis=0)
    angle = (pan + 1) * np.pi / 4
    return np.stack([np.cos(angle) * mono, np.sin(angle) * mono]).astype(np.float32)


def _looped(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Return 20 s from a random place on, from the beginning again where it ends."""
    n = int(DURATION_S * SAMPLE_RATE)
    at = int(rng.integers(0, max(1, waveform.shape[1] - n)))
    return np.take(waveform, np.arange(at, at + n), axis=1, mode="wrap")


def _sequence(
    corpus: Path,
    rows: Sequence[dict[str, str]],
    rng: np.random.Generator,
    *,
    gap_s: tuple[float, float],
) -> Waveform:
    """Return 20 s of utterances in random order with pauses between them."""
    n = int(DURATION_S * SAMPLE_RATE)
    out = np.zeros((2, n), np.float32)
    at = int(rng.uniform(*gap_s) * SAMPLE_RATE)
    while at < n:
        for k in rng.permutation(len(rows)):
            part = load(corpus / rows[k]["path"])[:, : max(0, n - at)]
            out[:, at : at + part.shape[1]] = part
            at += part.shape[1] + int(rng.uniform(*gap_s) * SAMPLE_RATE)
    return out
