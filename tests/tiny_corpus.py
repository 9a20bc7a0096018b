"""A corpus of a minute, made rather than found: every kind, several families each."""

import csv
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

COLUMNS = (
    *("path", "kind", "label", "source_repo", "source_path", "licence", "author_if_known"),
    *("seconds", "samplerate", "channels", "split"),
)


def _voice(rng: np.random.Generator, seconds: float, rate: int) -> NDArray[np.float64]:
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(rng.uniform(90, 220) * (1 + 0.1 * np.sin(3 * t))) / rate
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2, 4) * t), 0, 1)
    breath = 0.02 * rng.standard_normal(len(t))  # up to the highest frequency of the rate
    return 0.2 * syllables * (sum(np.sin(k * phase) / k for k in range(1, 20)) + breath)


def _chords(rng: np.random.Generator, seconds: float, rate: int) -> NDArray[np.float64]:
    t = np.arange(int(seconds * rate)) / rate
    notes = rng.uniform(150, 900, (2, 4))
    return np.stack([0.05 * sum(np.sin(2 * np.pi * f * t + f) for f in side) for side in notes])


def _burst(rng: np.random.Generator, seconds: float, rate: int) -> NDArray[np.float64]:
    n = int(seconds * rate)
    return 0.2 * rng.standard_normal(n) * np.exp(-np.arange(n) / rate / seconds * rng.uniform(2, 9))


def write_corpus(folder: Path) -> Path:
    """Write a corpus with its manifest; return the folder."""
    rows = []

    def add(kind: str, name: str, wave: NDArray[np.float64], rate: int, **more: str) -> None:
        path = folder / kind / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, wave.T, rate, subtype="PCM_16")
        row = dict.fromkeys(COLUMNS, "")
        row |= {"path": f"{kind}/{name}.wav", "kind": kind, "label": name, "licence": "CC0-1.0"}
        row |= {"source_repo": f"somebody/{name}", "author_if_known": name}
        row |= {"seconds": f"{wave.shape[-1] / rate:.3f}", "samplerate": str(rate)}
        row |= {"channels": str(wave.ndim)} | more
        rows.append(row)

    for i in range(6):
        rate = 44100 if i < 3 else 16000
        for take in range(2):
            rng = np.random.default_rng([1, i, take])
            voice = _voice(rng, 2.0, rate)
            add("speech", f"voice{i}_{take}", voice, rate, label=f"xx/voice{chr(97 + i)}")
    for i in range(4):
        rng = np.random.default_rng([2, i])
        add("music", f"tune{chr(97 + i)}", _chords(rng, 4.0, 44100), 44100)
    for i, song in enumerate(("eir_ash", "eir_oak", "eir_elm")):
        rng = np.random.default_rng([3, i])
        add("music", f"{song}__bass", _chords(rng, 4.0, 44100), 44100)
        add("singing", f"{song}__vocals", _voice(rng, 4.0, 44100), 44100)
    for i in range(4):
        for take in range(2):
            rng = np.random.default_rng([4, i, take])
            noise = _burst(rng, 0.5, 44100)
            add("effects", f"hit{i}_{take}", noise, 44100, author_if_known=f"maker {i}")
    rng = np.random.default_rng(5)
    add("effects", "wind", 0.05 * rng.standard_normal((2, 9 * 22050)), 22050)
    for i in range(3):
        rng = np.random.default_rng([6, i])
        add("rir", f"room{chr(97 + i)}", _burst(rng, 0.4, 44100), 44100)
    with (folder / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder
