"""A folder of stems as ``unstir separate`` leaves it, made without separating anything."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.sounds import mixture_of, scene
from unstir.riff import Subtype, WavWriter

LAYOUTS = {1: ("FC",), 2: ("FL", "FR"), 6: ("FL", "FR", "FC", "LFE", "SL", "SR")}
HOUR_S = 3600


@dataclass(frozen=True)
class Made:
    """The folder, the original, and what is in them, float32 of shape (channels, samples)."""

    folder: Path
    original: Path
    stems: dict[str, NDArray[np.float32]]
    mix: NDArray[np.float32]
    rate: int


def make(
    root: Path,
    *,
    channels: int = 2,
    rate: int = 48000,
    seconds: float = 1.3,
    start: int | None = None,
    subtype: Subtype = "FLOAT",
    name: str = "film one",
    lead: int = 0,
) -> Made:
    """Write stems, a sum, a report, and an original that begins ``lead`` samples before them."""
    stems = scene(seconds, rate, channels=channels)
    if subtype != "FLOAT":
        scale = 2.0 ** (15 if subtype == "PCM_16" else 23)
        stems = {
            k: np.round(v * scale).astype(np.float32) / np.float32(scale) for k, v in stems.items()
        }
    mix = mixture_of(stems)
    folder, original = root / name, root / f"{name}.wav"
    folder.mkdir(parents=True)

    def write(path: Path, x: NDArray[np.float32], begin: int | None) -> None:
        bext = None
        if begin is not None:
            bext = bytes(338) + begin.to_bytes(8, "little") + bytes(256)
        values: NDArray[np.float32] | NDArray[np.int32] = x
        if subtype != "FLOAT":
            values = np.round(x * scale).astype(np.int32)
        with WavWriter(
            path,
            sample_rate=rate,
            n_channels=channels,
            n_samples=x.shape[1],
            subtype=subtype,
            layout=LAYOUTS[channels] if channels > 2 else None,
            bext=bext,
        ) as writer:
            writer.write(values)

    sums = {"ME": stems["music"] + stems["effects"]}
    for stem, x in {**stems, **sums}.items():
        write(folder / f"{stem}.wav", x, start)
    before = np.zeros((channels, lead), np.float32)
    write(original, np.concatenate([before, mix], axis=1), None if start is None else start - lead)
    report = {
        "input": {
            "file": original.name,
            "sha256": hashlib.sha256(original.read_bytes()).hexdigest(),
            "stream": 0,
        },
        "stretch": {"first_sample": lead, "samples": mix.shape[1]},
        "mixture": {"loudness_lufs": -23.0},
        "stems": {stem: {"file": f"{stem}.wav"} for stem in stems},
        "sums": {"ME": {"file": "ME.wav", "of": ["music", "effects"]}},
    }
    (folder / "report.json").write_text(json.dumps(report))
    return Made(folder, original, stems, mix, rate)
