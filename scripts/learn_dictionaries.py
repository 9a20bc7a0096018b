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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unstir.hybrid import dictionaries as dic
from unstir.hybrid.nmf import KINDS_OF, Nmf, kl_nmf
from unstir.spectral import StftConfig, analyze, ratio_masks, render, stft
from unstir.types import STEM_SETS, Mixture, Stems, Waveform

RATE = 44100
GRID = StftConfig.for_rate(RATE)
FREQUENCIES_HZ = GRID.frequencies_hz(RATE)
STARTS = dic.band_starts(FREQUENCIES_HZ)
WIDTHS = np.diff(STARTS)[:, None].astype(np.float32)
BANDS_HZ = dic.band_centers_hz(FREQUENCIES_HZ, STARTS)
KINDS = ("speech", "singing", "music", "effects")
HOP_S = GRID.hop_length / RATE


Lags = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    n_components: int = 48  # per kind
    spans_frames: Lags = ((0, 0), (-2, -1), (1, 2), (-12, -3), (3, 12))
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
    reach_hz: float  # nothing above was recorded


def magnitudes(waveform: Waveform) -> NDArray[np.float32]:
    """Return the linked magnitude per band, shape (bands, frames)."""
    power = np.mean(np.abs(stft(waveform, GRID)) ** 2, axis=0)
    return dic.pool(np.sqrt(power), STARTS)


def as_float(waveform: NDArray[np.int16]) -> Waveform:
    return waveform.astype(np.float32) / 32768


def measured_reach_hz(waveform: Waveform) -> float:
    """Return the center of the highest band within 60 dB of the loudest."""
    level = (magnitudes(waveform) / WIDTHS).mean(axis=1)
    level = np.convolve(level, np.ones(3) / 3, "same")  # a lone spike is no reach
    return float(BANDS_HZ[np.flatnonzero(level >= 1e-3 * level.max())[-1]])


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
        reach_hz = min(measured_reach_hz(samples.astype(np.float32)), 0.97 * rate / 2)
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
                reach_hz,
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
    wide = [[r for r in g if r.reach_hz > 10000] for g in voices]
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
) -> tuple[Waveform, float]:
    """Return utterances of one voice with pauses, from one position, and their reach."""
    line = np.zeros((1, n), np.float32)
    reach_hz = RATE / 2
    at = int(rng.uniform(0, pause_s) * RATE)
    while at < n:
        recording = voice[rng.integers(len(voice))]
        part = excerpt(rng, recording, n).mean(axis=0, keepdims=True)[:, : n - at]
        line[:, at : at + part.shape[1]] = part / max(rms(part), 1e-4)
        reach_hz = min(reach_hz, recording.reach_hz)
        at += part.shape[1] + int(rng.uniform(0.2, pause_s) * RATE)
    return to_stereo(line, 0.0 if rng.random() < 0.7 else rng.uniform(-0.6, 0.6)), reach_hz


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


def sing(rng: np.random.Generator, shelf: Shelf, n: int) -> tuple[Waveform, Waveform, float]:
    """Return vocals, the tracks that go with them, and the vocals' reach."""
    while True:
        vocals, tracks = shelf.songs[rng.integers(len(shelf.songs))]
        start = int(rng.integers(0, min(r.waveform.shape[1] for r in (vocals, *tracks)) - n))
        parts = [
            to_stereo(as_float(r.waveform[:, start : start + n]), 0.0) for r in (vocals, *tracks)
        ]
        backing = np.sum(parts[1:], axis=0, dtype=np.float32)
        if rms(parts[0]) > 0.01 and rms(backing) > 0.01:
            return parts[0], backing, vocals.reach_hz


def set_levels(
    rng: np.random.Generator, parts: Sequence[Waveform], levels_db: Sequence[float], spread: float
) -> Waveform:
    """Return the parts at RMS levels in dB, spread by a normal law, shape (parts, channels, n)."""
    gains = [
        10 ** ((level + rng.normal(0, spread)) / 20) / max(rms(part), 1e-6)
        for part, level in zip(parts, levels_db, strict=True)
    ]
    return np.stack(parts) * np.asarray(gains, np.float32)[:, None, None]


def film_scene(rng: np.random.Generator, shelf: Shelf, n: int) -> tuple[Waveform, float]:
    """Return speech, music (sung at times) and effects, shape (3, 2, n), and the voice's reach."""
    voices = shelf.wide_voices if shelf.wide_voices and rng.random() < 0.3 else shelf.voices
    speech, reach_hz = speak(rng, voices[rng.integers(len(voices))], n, rng.choice([0.6, 2.0]))
    if rng.random() < 0.15:
        vocals, backing, sung_hz = sing(rng, shelf, n)
        music, reach_hz = vocals + backing, min(reach_hz, sung_hz)
    else:
        music = play(rng, shelf.music, n)
    parts = [speech, music, rustle(rng, shelf.effects, n)]
    stems = set_levels(rng, parts, (-20, -25, -24), 4)
    mono = rng.random() < 0.2
    return np.repeat(stems.mean(axis=1, keepdims=True), 2, 1) if mono else stems, reach_hz


def song_scene(rng: np.random.Generator, shelf: Shelf, n: int) -> tuple[Waveform, float]:
    """Return vocals and accompaniment, half of the time of another piece, shape (2, 2, n)."""
    vocals, backing, reach_hz = sing(rng, shelf, n)
    if rng.random() < 0.5:
        backing = play(rng, shelf.music, n)
    return set_levels(rng, [vocals, backing], (-22, -20), 3), reach_hz


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
        seen.append(np.repeat(BANDS_HZ[:, None] <= recording.reach_hz, len(loud), axis=1))
    keep = rng.permutation(sum(f.shape[1] for f in frames))[: recipe.frames_per_kind]
    V = np.concatenate(frames, axis=1)[:, keep].astype(np.float32)
    M = np.concatenate(seen, axis=1)[:, keep].astype(np.float32)
    mean = (V * M).sum(axis=1, keepdims=True) / np.maximum(M.sum(axis=1, keepdims=True), 1)
    W = V[:, rng.choice(V.shape[1], recipe.n_components, replace=False)] + 0.2 * mean
    H = np.full((recipe.n_components, V.shape[1]), 1 / recipe.n_components, np.float32)
    W, _ = kl_nmf(V, W, H, n_iter=recipe.nmf_iterations, weights=M)
    return np.asarray(W / W.sum(axis=0), np.float32)


def spans_s(recipe: Recipe) -> list[tuple[float, float]]:
    return [(first * HOP_S, last * HOP_S) for first, last in recipe.spans_frames]


def observe(stems: Waveform, reach_hz: float, recipe: Recipe) -> tuple[NDArray[np.float32], ...]:
    """Return what the loss needs of a scene: V, the bands that count, and products per band.

    A mask m that is constant over a band leaves the squared error m^2 X.X - 2 m X.S + S.S there:
    the products (1 + stems, bands, frames) are X.X and the X.S, the energies (stems,) sum S.S.
    """
    cells = np.stack([stft(np.ascontiguousarray(stem), GRID) for stem in stems])
    mix = cells.sum(axis=0)
    counts = reach_hz >= BANDS_HZ
    pairs = [mix * mix.conj(), *(mix * stem.conj() for stem in cells)]
    products = np.stack([dic.pool(pair.real.mean(axis=0), STARTS) for pair in pairs])
    energies = dic.pool((np.abs(cells) ** 2).mean(axis=1), STARTS)[:, counts].sum(axis=(1, 2))
    V = dic.pool(np.sqrt(np.mean(np.abs(mix) ** 2, axis=0)), STARTS)
    scale = V[counts].mean()
    V[~counts], products[:, ~counts] = 0, 0
    stacked = dic.with_context(V / scale, spans_s(recipe), HOP_S)
    seen = np.tile(counts, len(recipe.spans_frames)).astype(np.float32)
    return stacked, seen, products / scale**2, energies / scale**2


def train(
    start: dict[str, NDArray[np.float32]], shelf: Shelf, recipe: Recipe
) -> dict[str, NDArray[np.float32]]:
    """Return templates of shape (spans, bands, components) that separate scenes best."""
    import torch

    torch.set_num_threads(1)  # the products are small: a second thread costs more than it gives
    rng = np.random.default_rng([recipe.seed, 1])
    n_spans, n_bands = len(recipe.spans_frames), len(BANDS_HZ)
    # Every span starts as the frame itself: as if all sound stood still.
    logs = {
        kind: torch.tensor(np.log(np.tile(W, (n_spans, 1)) + recipe.floor / n_bands))
        for kind, W in start.items()
    }
    for log in logs.values():
        log.requires_grad_()
    optimizer = torch.optim.Adam(logs.values(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.n_steps)
    n_samples = int(recipe.scene_s * RATE)
    recent: dict[str, list[float]] = {"film": [], "song": []}
    for step in range(1, recipe.n_steps + 1):
        name = "song" if rng.random() < recipe.song_share else "film"
        kinds_of = KINDS_OF[STEM_SETS[name]]
        scenes = [
            observe(*SCENES[name](rng, shelf, n_samples), recipe)
            for _ in range(recipe.scenes_per_step)
        ]
        V, seen, products, energies = (
            torch.from_numpy(np.stack(part).astype(np.float32))
            for part in zip(*scenes, strict=True)
        )
        W = {kind: logs[kind].exp() for kinds in kinds_of.values() for kind in kinds}
        all_w = torch.cat(list(W.values()), dim=1)
        total = (seen @ all_w)[..., None]
        H = V.sum(dim=1, keepdim=True) / (all_w.shape[1] * total)
        for _ in range(recipe.unrolled_iterations):
            H = H * (all_w.T @ (V / (all_w @ H + 1e-9))) / total
        activations = dict(zip(W, H.split(recipe.n_components, dim=1), strict=True))
        parts = [
            sum(W[kind][:n_bands] @ activations[kind] for kind in kinds)
            for kinds in kinds_of.values()
        ]
        masks = torch.stack(parts, dim=1) + 1e-9
        masks = masks / masks.sum(dim=1, keepdim=True)
        errors = (masks**2 * products[:, :1] - 2 * masks * products[:, 1:]).sum(dim=(2, 3))
        errors = (errors + energies).clamp_min(0)
        # Stems 40 dB below the mix, and errors 30 dB below a stem, are good enough.
        faint = 1e-4 * products[:, :1].sum(dim=(2, 3))
        snr = (energies + faint) / (errors + 1e-3 * energies + faint)
        loss = -10 * torch.log10(snr).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        recent[name].append(loss.item())
        if step % 100 == 0:
            reached = ", ".join(f"{k} {-np.mean(v[-50:]):.2f} dB" for k, v in recent.items() if v)
            print(f"  step {step}: SNR {reached}", flush=True)
    learned = {}
    for kind, log in logs.items():
        W = log.detach().exp().numpy().reshape(n_spans, n_bands, -1) / WIDTHS
        # Half precision holds five decades below the highest value of a template.
        learned[kind] = np.maximum(W / W.max(axis=(0, 1)), 6e-5).astype(np.float16)
    return learned


# ---------------------------------------------------------------- validation and files

SCENES: dict[str, Callable[..., tuple[Waveform, float]]] = {"film": film_scene, "song": song_scene}


def si_sdr(estimate: Waveform, reference: Waveform) -> float:
    e, r = estimate.ravel().astype(np.float64), reference.ravel().astype(np.float64)
    target = (e @ r) / (r @ r) * r
    return float(10 * np.log10((target @ target) / max(np.sum((e - target) ** 2), 1e-20)))


def ideal(mix: Mixture, stems: Waveform, names: Sequence[str]) -> Stems:
    """Return what the ratio mask of the true magnitudes cuts out."""
    spectrum = analyze(mix)
    parts = {
        name: np.sqrt(np.mean(np.abs(stft(stem, spectrum.config)) ** 2, axis=0))[None]
        for name, stem in zip(names, stems, strict=True)
    }
    return render(spectrum, ratio_masks(parts))


def validate(
    scenes: Sequence[Waveform], names: tuple[str, ...], *, mono: bool
) -> dict[str, object]:
    """Return SI-SDR of doing nothing and what nmf and the ideal ratio mask gain on it, in dB."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for stems in scenes:
        stems = stems.mean(axis=1, keepdims=True) if mono else stems
        mix = Mixture(np.ascontiguousarray(stems.sum(axis=0)), RATE)
        nothing = [si_sdr(mix.waveform, stem) for stem in stems]
        rows["mixture"].append(nothing)
        for row, estimates in (
            ("nmf", Nmf(names).separate(mix)),
            ("ideal_ratio_mask", ideal(mix, stems, names)),
        ):
            reached = [si_sdr(estimates[n], stem) for n, stem in zip(names, stems, strict=True)]
            rows[row].append([r - n for r, n in zip(reached, nothing, strict=True)])
    rng = np.random.default_rng(0)
    picks = rng.integers(len(scenes), size=(2000, len(scenes)))
    report: dict[str, object] = {"scenes": len(scenes)}
    for row, values in rows.items():
        table = np.column_stack([np.array(values), np.mean(values, axis=1)])
        low, high = np.percentile(table[picks].mean(axis=1), [2.5, 97.5], axis=0)
        report[row] = {
            name: {"mean_db": round(m, 2), "interval_95_db": [round(a, 2), round(b, 2)]}
            for name, m, a, b in zip(
                (*names, "mean"),
                *(x.tolist() for x in (table.mean(axis=0), low, high)),
                strict=True,
            )
        }
    return report


def validation_scenes(name: str, shelf: Shelf, n_scenes: int, seconds: float) -> list[Waveform]:
    rng = np.random.default_rng(2026)
    return [SCENES[name](rng, shelf, int(seconds * RATE))[0] for _ in range(n_scenes)]


def describe_data(corpus: Path) -> dict[str, object]:
    """Return what was learned from: files and minutes per source, kind and licence."""
    with open(corpus / "MANIFEST.csv", newline="", encoding="utf-8") as table:
        rows = [r for r in csv.DictReader(table) if r["split"] == "train" and r["kind"] in KINDS]
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        seconds[row["source_repo"], row["kind"], row["licence"]].append(float(row["seconds"]))
    return {
        "licences": sorted({licence for _, _, licence in seconds}),
        "sources": [
            {
                "repository": f"github.com/{repository}",
                "kind": kind,
                "licence": licence,
                "files": len(lengths),
                "minutes": round(sum(lengths) / 60, 1),
            }
            for (repository, kind, licence), lengths in sorted(seconds.items())
        ],
    }


def write(learned: dict[str, NDArray[np.float16]], about: dict[str, object]) -> None:
    from safetensors.numpy import save_file

    save_file({**learned, "bands_hz": BANDS_HZ}, dic.FOLDER / "dictionaries.safetensors")
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (dic.FOLDER / "dictionaries.json").write_text(text + "\n", encoding="utf-8")
    dic.load_dictionaries.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    corpus = parser.parse_args().corpus
    recipe = Recipe()
    began = time.process_time()
    print("reading the recordings", flush=True)
    recordings = load_recordings(corpus, "train")
    rng = np.random.default_rng(recipe.seed)
    start = {}
    for kind in KINDS:
        start[kind] = learn_alone(rng, [r for r in recordings if r.kind == kind], recipe)
        print(f"KL-NMF of {kind}", flush=True)
    learned = train(start, shelve(recordings), recipe)
    about: dict[str, object] = {
        "config": {
            "kinds": KINDS,
            "n_components": recipe.n_components,
            "spans_s": spans_s(recipe),
            "sample_rate": RATE,
            "n_fft": GRID.n_fft,
        },
        "recipe": {
            **asdict(recipe),
            "stages": (__doc__ or "").split("\n\n", 3)[3].strip(),
            "cpu_seconds": round(time.process_time() - began),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
        "data": describe_data(corpus),
    }
    write(learned, about)
    shelf = shelve(load_recordings(corpus, "valid"))
    validation: dict[str, object] = {
        "note": "SI-SDR of the mixture and gains on it, in dB; scenes mixed like those of training "
        "from recordings that were not learned from; all singing is of one song, so the "
        "intervals of song are too narrow"
    }
    for name, n_scenes in (("film", 40), ("song", 16)):
        scenes = validation_scenes(name, shelf, n_scenes, 10.0)
        for layout in ("stereo", "mono"):
            report = validate(scenes, STEM_SETS[name], mono=layout == "mono")
            validation[f"{name} {layout}"] = report
            print(f"{name} {layout}: {json.dumps(report, indent=1)}", flush=True)
    write(learned, {**about, "validation": validation})


if __name__ == "__main__":
    main()
