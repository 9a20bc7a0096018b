"""Learn the dictionaries of the nmf method from a folder of recordings, and say what they reach.

    python scripts/learn_dictionaries.py CORPUS

CORPUS holds MANIFEST.csv. The split is that of the nets, by source family: only families that train
are learned from, only those that choose are measured on, and those that report are left alone.
Writes dictionaries.safetensors and dictionaries.json into the package. Seeded: the same corpus,
machine and versions give the same templates.

First comes KL-NMF of each kind alone (Lee and Seung 2001), from frames balanced over the
recordings, then discriminative training (Weninger et al. 2014; Le Roux, Hershey and Weninger,
"Deep NMF for speech separation", ICASSP 2015): scenes are mixed on the fly, the updates of the
activations unrolled, and the templates moved so that the masks cut the stems out with the best
signal-to-noise ratio.

Most recordings of speech end at 8 kHz. So that they do not teach that speech has nothing above,
the reach of each recording is measured (the highest band within 60 dB of its loudest); bands
above it count as not observed in the first stage, a scene counts up to the reach of its voice in
the second, and a part of the scenes takes its voice from recordings that reach beyond 10 kHz.
"""

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unstir.hybrid import dictionaries as dic
from unstir.hybrid.nmf import KINDS_OF, Nmf, kl_nmf
from unstir.neural.split import assign, family
from unstir.spectral import StftConfig, analyze, ratio_masks, render, stft
from unstir.types import STEM_SETS, Mixture, Stems, Waveform

KINDS = ("speech", "singing", "music", "effects")
RATE = 44100
GRID = StftConfig.for_rate(RATE)
HOP_S = GRID.hop_length / RATE
STARTS = dic.band_starts(GRID.frequencies_hz(RATE))
WIDTHS = np.diff(STARTS)[:, None].astype(np.float32)
BANDS_HZ = dic.band_centers_hz(GRID.frequencies_hz(RATE), STARTS)


@dataclass(frozen=True, slots=True)
class Recipe:
    n_components: int = 24  # per kind
    spans_frames: tuple[tuple[int, int], ...] = (
        *((0, 0), (-2, -1), (1, 2), (-12, -3), (3, 12)),
        *((-45, -13), (13, 45), (-130, -46), (46, 130)),
    )
    seed: int = 0
    frames_per_kind: int = 20000
    nmf_iterations: int = 40
    n_steps: int = 300
    scenes_per_step: int = 4
    scene_s: float = 5.0
    unrolled_iterations: int = 10
    learning_rate: float = 0.02
    song_share: float = 0.3  # of the steps
    wide_voice_share: float = 0.3  # of the scenes of film
    sung_share: float = 0.15  # of the scenes of film

    @property
    def spans_s(self) -> list[tuple[float, float]]:
        return [(first * HOP_S, last * HOP_S) for first, last in self.spans_frames]


@dataclass(frozen=True, slots=True)
class Recording:
    kind: str
    group: str  # a voice, a class of effects, a piece
    song: str  # the song that a track belongs to
    waveform: NDArray[np.int16]  # (channels, samples) at 44.1 kHz; whole numbers halve the memory
    reach_hz: float  # nothing above was recorded


Shelf = dict[str, list[list[Recording]]]  # groups from which scenes are drawn


def read_manifest(corpus: Path, split: str) -> list[dict[str, str]]:
    with open(corpus / "MANIFEST.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    splits = assign(rows)
    return [r for r in rows if splits[family(r)] == split and r["kind"] in KINDS]


def band_levels(waveform: Waveform) -> NDArray[np.float32]:
    """Return the linked magnitude per band, shape (bands, frames)."""
    return dic.pool(np.sqrt(np.mean(np.abs(stft(waveform, GRID)) ** 2, axis=0)), STARTS)


def measured_reach_hz(waveform: Waveform) -> float:
    """Return the center of the highest band within 60 dB of the loudest."""
    level = (band_levels(waveform) / WIDTHS).mean(axis=1)
    level = np.convolve(level, np.ones(3) / 3, "same")  # a lone spike is no reach
    return float(BANDS_HZ[np.flatnonzero(level >= 1e-3 * level.max())[-1]])


def load_recordings(corpus: Path, split: str) -> list[Recording]:
    import soundfile
    import soxr

    recordings = []
    for row in read_manifest(corpus, split):
        samples, rate = soundfile.read(corpus / row["path"], dtype="float32", always_2d=True)
        samples = (soxr.resample(samples, rate, RATE) if rate != RATE else samples).T
        samples = np.ascontiguousarray(samples / max(1.0, np.abs(samples).max()), np.float32)
        kind, label = row["kind"], row["label"].split("/")
        group = {"speech": label[-1], "effects": label[0]}.get(kind, row["path"])
        # Tracks of a song are labelled act/song/track, whole pieces of music style/piece.
        song = label[1] if kind in ("singing", "music") and len(label) > 2 else ""
        reach_hz = min(measured_reach_hz(samples), 0.97 * rate / 2)
        quantized = np.round(samples * 32767).astype(np.int16)
        recordings.append(Recording(kind, group, song, quantized, reach_hz))
    return recordings


def shelve(recordings: Sequence[Recording]) -> Shelf:
    groups: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[recording.kind, recording.group].append(recording)
    shelf = {kind: [g for (k, _), g in groups.items() if k == kind] for kind in KINDS}
    wide = [[r for r in group if r.reach_hz > 10000] for group in shelf["speech"]]
    tracks = [r for r in recordings if r.kind == "music" and r.song]
    songs = [[v[0], *(t for t in tracks if t.song == v[0].song)] for v in shelf["singing"]]
    return {**shelf, "wide": [group for group in wide if group] or shelf["speech"], "songs": songs}


def rms(x: Waveform) -> float:
    return float(np.sqrt(np.mean(x.astype(np.float64) ** 2)))


def excerpt(waveform: NDArray[np.int16], start: int, n: int) -> Waveform:
    return waveform[:, start : start + n].astype(np.float32) / 32767


def anywhere(rng: np.random.Generator, recording: Recording, n: int) -> Waveform:
    last = max(0, recording.waveform.shape[1] - n)
    return excerpt(recording.waveform, int(rng.integers(last + 1)), n)


def to_stereo(waveform: Waveform, position: float = 0.0) -> Waveform:
    """Pan a single channel with constant power, -1 left to 1 right; leave two as they are."""
    angle = (position + 1) * np.pi / 4
    gains = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32)
    return waveform if waveform.shape[0] == 2 else np.asarray(gains * waveform, np.float32)


def speak(
    rng: np.random.Generator, voices: list[list[Recording]], n: int
) -> tuple[Waveform, float]:
    """Return utterances of one voice with pauses, from one position, and their reach in hertz."""
    voice, pause_s = voices[rng.integers(len(voices))], rng.choice([0.6, 2.0])
    line, reach_hz = np.zeros((1, n), np.float32), RATE / 2
    at = int(rng.uniform(0, pause_s) * RATE)
    while at < n:
        recording = voice[rng.integers(len(voice))]
        part = anywhere(rng, recording, n).mean(axis=0, keepdims=True)[:, : n - at]
        line[:, at : at + part.shape[1]] = part / max(rms(part), 1e-4)
        reach_hz = min(reach_hz, recording.reach_hz)
        at += part.shape[1] + int(rng.uniform(0.2, pause_s) * RATE)
    return to_stereo(line, 0.0 if rng.random() < 0.7 else rng.uniform(-0.6, 0.6)), reach_hz


def rustle(rng: np.random.Generator, effects: list[list[Recording]], n: int) -> Waveform:
    """Return a chain of effects, some of them overlapping, each from its own position."""
    line = np.zeros((2, n), np.float32)
    at = int(rng.uniform(0, 1.5) * RATE)
    while at < n:
        group = effects[rng.integers(len(effects))]
        part = excerpt(group[rng.integers(len(group))].waveform, 0, min(n - at, 6 * RATE))
        position = rng.uniform(-0.8, 0.8) if rng.random() < 0.7 else 0.0
        gain = 10 ** (rng.normal(0, 2.5) / 20) / max(rms(part), 1e-4)
        line[:, at : at + part.shape[1]] += to_stereo(part, position) * np.float32(gain)
        at += int(part.shape[1] * rng.uniform(0.4, 1)) + int(rng.uniform(0, 1) * RATE)
    return line


def play(rng: np.random.Generator, music: list[list[Recording]], n: int) -> Waveform:
    """Return a sounding excerpt of music, repeated where it is too short."""
    while True:
        part = to_stereo(anywhere(rng, music[rng.integers(len(music))][0], n))
        if rms(part) > 1e-3:
            return np.tile(part, (1, -(-n // part.shape[1])))[:, :n]


def sing(
    rng: np.random.Generator, songs: list[list[Recording]], n: int
) -> tuple[Waveform, Waveform, float]:
    """Return vocals, the tracks that go with them, and the reach of the vocals in hertz."""
    while True:
        song = songs[rng.integers(len(songs))]
        start = int(rng.integers(min(track.waveform.shape[1] for track in song) - n))
        vocals, *tracks = (to_stereo(excerpt(track.waveform, start, n)) for track in song)
        backing = np.sum(tracks, axis=0, dtype=np.float32)
        if rms(vocals) > 0.01 and rms(backing) > 0.01:
            return vocals, backing, song[0].reach_hz


def scene(
    rng: np.random.Generator, shelf: Shelf, name: str, recipe: Recipe, n: int
) -> tuple[Waveform, float]:
    """Return the stems of a scene of film or song, shape (stems, 2, n), and its voice's reach."""
    if name == "song":
        vocals, backing, reach_hz = sing(rng, shelf["songs"], n)
        parts = [vocals, backing if rng.random() < 0.5 else play(rng, shelf["music"], n)]
        levels_db = rng.normal((-22, -20), 3)
    else:
        voices = shelf["wide" if rng.random() < recipe.wide_voice_share else "speech"]
        speech, reach_hz = speak(rng, voices, n)
        if rng.random() < recipe.sung_share:
            vocals, backing, sung_hz = sing(rng, shelf["songs"], n)
            music, reach_hz = vocals + backing, min(reach_hz, sung_hz)
        else:
            music = play(rng, shelf["music"], n)
        parts = [speech, music, rustle(rng, shelf["effects"], n)]
        levels_db = rng.normal((-20, -25, -24), 4)
    gains = 10 ** (levels_db / 20) / [max(rms(part), 1e-6) for part in parts]
    return np.stack(parts) * gains[:, None, None].astype(np.float32), reach_hz


def learn_alone(
    rng: np.random.Generator, recordings: Sequence[Recording], recipe: Recipe
) -> NDArray[np.float32]:
    """Return templates of one kind by KL-NMF of its frames, shape (bands, components)."""
    quota = -(-3 * recipe.frames_per_kind // len(recordings))
    frames, seen = [], []
    for recording in recordings:
        level = band_levels(anywhere(rng, recording, 60 * RATE))
        total = level.sum(axis=0)
        loud = rng.permutation(np.flatnonzero(total > 0.01 * total.max()))[:quota]
        frames.append(level[:, loud] / total[loud].mean())
        seen.append(np.repeat(recording.reach_hz >= BANDS_HZ[:, None], len(loud), axis=1))
    keep = rng.permutation(sum(f.shape[1] for f in frames))[: recipe.frames_per_kind]
    V, M = (np.concatenate(x, axis=1)[:, keep].astype(np.float32) for x in (frames, seen))
    mean = (V * M).sum(axis=1, keepdims=True) / np.maximum(M.sum(axis=1, keepdims=True), 1)
    W = V[:, rng.choice(V.shape[1], recipe.n_components, replace=False)] + 0.2 * mean
    H = np.full((recipe.n_components, V.shape[1]), 1 / recipe.n_components, np.float32)
    W, _ = kl_nmf(V, W, H, n_iter=recipe.nmf_iterations, weights=M)
    return np.asarray(W / W.sum(axis=0), np.float32)


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
    stacked = dic.with_context(V / scale, recipe.spans_s, HOP_S)
    seen = np.tile(counts, len(recipe.spans_frames)).astype(np.float32)
    return stacked, seen, products / scale**2, energies / scale**2


def train(
    start: dict[str, NDArray[np.float32]], shelf: Shelf, recipe: Recipe
) -> dict[str, NDArray[np.float16]]:
    """Return templates of shape (spans, bands, components) that separate scenes best."""
    import torch

    torch.set_num_threads(1)  # the products are small: a second thread costs more than it gives
    rng = np.random.default_rng([recipe.seed, 1])
    n_spans, n_bands = len(recipe.spans_frames), len(BANDS_HZ)
    # Every span starts as the frame itself: as if all sound stood still.
    starts = {kind: np.log(np.tile(W, (n_spans, 1)) + 1e-4 / n_bands) for kind, W in start.items()}
    logs = {kind: torch.tensor(log, requires_grad=True) for kind, log in starts.items()}
    optimizer = torch.optim.Adam(logs.values(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.n_steps)
    reached: dict[str, list[float]] = {"film": [], "song": []}
    for step in range(1, recipe.n_steps + 1):
        name = "song" if rng.random() < recipe.song_share else "film"
        n = int(recipe.scene_s * RATE)
        scenes = [
            observe(*scene(rng, shelf, name, recipe, n), recipe)
            for _ in range(recipe.scenes_per_step)
        ]
        V, seen, products, energies = (
            torch.from_numpy(np.stack(part).astype(np.float32))
            for part in zip(*scenes, strict=True)
        )
        kinds_of = KINDS_OF[STEM_SETS[name]]
        W = {kind: logs[kind].exp() for kinds in kinds_of.values() for kind in kinds}
        every = torch.cat(list(W.values()), dim=1)
        total = (seen @ every)[..., None]
        H = V.sum(dim=1, keepdim=True) / (every.shape[1] * total)
        for _ in range(recipe.unrolled_iterations):
            H = H * (every.T @ (V / (every @ H + 1e-9))) / total
        parts_of = dict(zip(W, H.split(recipe.n_components, dim=1), strict=True))
        parts = [sum(W[k][:n_bands] @ parts_of[k] for k in kinds) for kinds in kinds_of.values()]
        masks = torch.stack(parts, dim=1) + 1e-9
        masks = masks / masks.sum(dim=1, keepdim=True)
        errors = (masks**2 * products[:, :1] - 2 * masks * products[:, 1:]).sum(dim=(2, 3))
        # Stems 40 dB below the mix, and errors 30 dB below a stem, are good enough.
        faint = 1e-4 * products[:, :1].sum(dim=(2, 3))
        errors = (errors + energies).clamp_min(0) + 1e-3 * energies + faint
        snr_db = 10 * torch.log10((energies + faint) / errors).mean()
        optimizer.zero_grad()
        (-snr_db).backward()
        optimizer.step()
        schedule.step()
        reached[name].append(snr_db.item())
        if step % 100 == 0:
            print(
                f"step {step}:", {k: round(float(np.mean(v[-50:])), 2) for k, v in reached.items()}
            )
    tensors = {kind: log.detach().exp().numpy() for kind, log in logs.items()}
    per_bin = {kind: W.reshape(n_spans, n_bands, -1) / WIDTHS for kind, W in tensors.items()}
    # Half precision holds four decades below the highest value of a template.
    return {
        kind: np.maximum(W / W.max(axis=(0, 1)), 1e-4).astype(np.float16)
        for kind, W in per_bin.items()
    }


def si_sdr(estimate: Waveform, reference: Waveform) -> float:
    e, r = estimate.ravel().astype(np.float64), reference.ravel().astype(np.float64)
    target = (e @ r) / (r @ r) * r
    return float(10 * np.log10((target @ target) / max(np.sum((e - target) ** 2), 1e-20)))


def ideal(mix: Mixture, stems: dict[str, Waveform]) -> Stems:
    """Return what the ratio mask of the true magnitudes cuts out."""
    grid = analyze(mix)
    cells = {name: analyze(Mixture(stem, RATE)) for name, stem in stems.items()}
    return render(grid, ratio_masks({name: x.magnitude[None] for name, x in cells.items()}))


def validate(scenes: Sequence[Waveform], names: tuple[str, ...]) -> dict[str, object]:
    """Return SI-SDR of doing nothing, and what nmf and the ideal ratio mask gain on it, in dB."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for parts in scenes:
        stems = dict(zip(names, (np.ascontiguousarray(part) for part in parts), strict=True))
        mix = Mixture(np.asarray(parts.sum(axis=0), np.float32), RATE)
        nothing = [si_sdr(mix.waveform, stem) for stem in stems.values()]
        rows["mixture"].append(nothing)
        for row, out in ("nmf", Nmf(names).separate(mix)), ("ideal_ratio_mask", ideal(mix, stems)):
            reached = [si_sdr(out[name], stem) for name, stem in stems.items()]
            rows[row].append([r - n for r, n in zip(reached, nothing, strict=True)])
    picks = np.random.default_rng(0).integers(len(scenes), size=(2000, len(scenes)))
    report: dict[str, object] = {"scenes": len(scenes)}
    for row, values in rows.items():
        table = np.column_stack([np.array(values), np.mean(values, axis=1)])
        low, high = np.percentile(table[picks].mean(axis=1), [2.5, 97.5], axis=0).round(2)
        means = zip((*names, "mean"), table.mean(axis=0).round(2), low, high, strict=True)
        report[row] = {
            name: {"mean_db": float(m), "interval_95_db": [float(a), float(b)]}
            for name, m, a, b in means
        }
    return report


def describe_data(corpus: Path) -> dict[str, object]:
    """Return what was learned from: files and minutes per source, kind and licence."""
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in read_manifest(corpus, "train"):
        source = f"github.com/{row['source_repo']}", row["kind"], row["licence"]
        seconds[source].append(float(row["seconds"]))
    keys = ("repository", "kind", "licence", "files", "minutes")
    rows = [(*s, len(x), round(sum(x) / 60, 1)) for s, x in sorted(seconds.items())]
    return {
        "split": "the families that unstir.neural.split.assign lets train",
        "licences": sorted({licence for _, _, licence in seconds}),
        "sources": [dict(zip(keys, row, strict=True)) for row in rows],
    }


def write(learned: dict[str, NDArray[np.float16]], about: dict[str, object]) -> None:
    from safetensors.numpy import save_file

    save_file({**learned, "bands_hz": BANDS_HZ}, dic.FOLDER / "dictionaries.safetensors")
    text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    (dic.FOLDER / "dictionaries.json").write_text(text, encoding="utf-8")
    dic.load_dictionaries.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    corpus, recipe, began = parser.parse_args().corpus, Recipe(), time.process_time()
    recordings, rng = load_recordings(corpus, "train"), np.random.default_rng(recipe.seed)
    by_kind = {kind: [r for r in recordings if r.kind == kind] for kind in KINDS}
    start = {kind: learn_alone(rng, part, recipe) for kind, part in by_kind.items()}
    learned = train(start, shelve(recordings), recipe)
    print(f"learned in {time.process_time() - began:.0f} s of processor time")
    config = {"kinds": KINDS, "n_components": recipe.n_components, "spans_s": recipe.spans_s}
    method = (__doc__ or "").split("\n\n", 3)[3].strip()
    about = {"config": config, "recipe": {**asdict(recipe), "method": method}}
    write(learned, about)
    validation: dict[str, object] = {
        "note": "SI-SDR of the mixture, and gains on it, in dB, with intervals by bootstrap over "
        "scenes; scenes are mixed like those of training from recordings of families that were not "
        "learned from; all singing is of one song, so the intervals of song are too narrow"
    }
    shelf, rng = shelve(load_recordings(corpus, "choose")), np.random.default_rng(2026)
    for name, n_scenes in (("film", 40), ("song", 16)):
        stereo = [scene(rng, shelf, name, recipe, 10 * RATE)[0] for _ in range(n_scenes)]
        mono = [stems.mean(axis=1, keepdims=True) for stems in stereo]
        for layout, scenes in (("stereo", stereo), ("mono", mono)):
            validation[f"{name} {layout}"] = validate(scenes, STEM_SETS[name])
    print(json.dumps(validation, indent=1))
    write(learned, {**about, "data": describe_data(corpus), "validation": validation})


if __name__ == "__main__":
    main()
