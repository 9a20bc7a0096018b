#!/usr/bin/env python3
"""Make recordings to train with: music, effects and voices, written by program.

    apt-get install fluidsynth espeak-ng fluid-soundfont-gm musescore-general-soundfont-small
    python scripts/make_sounds.py made
    unstir data pack CORPUS made -o pack

Scores in thirty styles are played by fluidsynth with General MIDI sound fonts, NumPy makes
effects, espeak-ng speaks. The folder has a MANIFEST.csv; its rows say source_repo "made", so
that everything in it trains and nothing chooses or reports. The same seed and versions of the
programs give the same samples.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from made_bands import LOUD, STYLES
from made_effects import EFFECTS
from made_synthesis import RATE, wide
from made_voices import SENTENCES, VARIANTS, speak
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

COLUMNS = (
    *("path", "kind", "label", "source_repo", "source_path", "licence", "author_if_known"),
    *("seconds", "samplerate", "channels", "split"),
)
# Path, share of the pieces, and the license that its Debian package states. Permissive ones only:
# what others (TimGM6mb is GPL-2, OPL-3 CC-BY-SA-4.0) mean for weights that learned from
# renderings is unclear.
FONTS = (
    (Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"), 0.6, "MIT"),
    (Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3"), 0.4, "MIT, parts CC0-1.0"),
)
N_VOICES = 40  # pairs of a language and a variant

Sound = NDArray[np.float64]
Made = tuple[str, str, str, str, Sound, int]  # kind, style, source, license, sound, rate


def music(seed: int, n: int, folder: Path) -> Iterator[Made]:
    names = sorted(STYLES)
    for index in range(n):
        rng = np.random.default_rng([seed, 0, index])
        name = names[index % len(names)]
        font, license_name = _font(rng)
        score = STYLES[name](rng)
        score.write(folder / "score.mid")
        sound = _play(rng, font, folder)
        if name in LOUD:  # mastered: peaks pressed
            sound = np.tanh(10 ** rng.uniform(0, 0.9) * sound / np.abs(sound).max())
        font_license = f"CC0-1.0 (score); {license_name} (sound font {font.stem})"
        source = f"seed {seed} {index}, {font.name}"
        yield "music", name, source, font_license, _ended(sound, 0.5 * RATE), RATE


def _font(rng: np.random.Generator) -> tuple[Path, str]:
    path, _, license_name = FONTS[rng.choice(len(FONTS), p=[share for _, share, _ in FONTS])]
    return path, license_name


def _play(rng: np.random.Generator, font: Path, folder: Path) -> Sound:
    room = {
        "room-size": rng.uniform(0.1, 0.9),
        "damp": rng.uniform(0, 0.6),
        "width": rng.uniform(0.2, 1),
        "level": rng.uniform(0.15, 0.9),
    }
    wav = folder / "music.wav"
    command = ["fluidsynth", "-n", "-i", "-q", "-o", "synth.dynamic-sample-loading=1"]
    for name, value in room.items():
        command += ["-o", f"synth.reverb.{name}={value:.3f}"]
    command += ["-g", "0.3", "-r", str(RATE), "-O", "float", "-T", "wav", "-F", str(wav)]
    subprocess.run(
        [*command, str(font), str(folder / "score.mid")], check=True, capture_output=True
    )
    sound, _ = soundfile.read(wav)
    return np.asarray(sound.T[:, : 60 * RATE])


def _ended(sound: Sound, fade: float) -> Sound:
    """Return sound without the silence at its end, faded out over ``fade`` samples."""
    loud = np.flatnonzero(np.abs(sound).max(axis=0) > 1e-3 * np.abs(sound).max())
    sound = sound[:, : loud[-1] + 1]
    return sound * np.minimum(1, np.arange(sound.shape[1])[::-1] / fade)


def effects(seed: int, n: int) -> Iterator[Made]:
    names = sorted(EFFECTS)
    for index in range(n):
        rng = np.random.default_rng([seed, 1, index])
        name = names[index % len(names)]
        sound = EFFECTS[name](rng)
        if sound.ndim == 1 and rng.random() < 0.25:
            sound = wide(rng, sound)
        sound = _ended(np.atleast_2d(sound)[:, : 12 * RATE], 0.02 * RATE)
        yield "effects", name, f"seed {seed} {index}", "CC0-1.0", sound, RATE


def voices(seed: int, n: int) -> Iterator[Made]:
    languages = sorted(SENTENCES)
    cast = [
        (languages[k % len(languages)], VARIANTS[k % len(VARIANTS)])
        for k in range(min(n, N_VOICES))
    ]
    for index in range(n):
        rng = np.random.default_rng([seed, 2, index])
        language, variant = cast[index % len(cast)]
        sound, rate, text = speak(rng, language, variant)
        name = f"{language}/espeak_{language}+{variant}"
        yield "speech", name, text, "CC0-1.0 (text); spoken by espeak-ng", sound[None], rate


def finish(rows: list[dict[str, str]], out: Path) -> None:
    """Write the manifest of a folder of recordings, and say how many they are."""
    with (out / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    minutes = sum(float(row["seconds"]) for row in rows) / 60
    print(f"{len(rows)} recordings, {minutes:.1f} minutes, in {out}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", metavar="DIR", type=Path, help="a new or empty folder")
    parser.add_argument("--music", metavar="N", type=int, default=150, help="pieces of a minute")
    parser.add_argument("--effects", metavar="N", type=int, default=200)
    parser.add_argument("--voices", metavar="N", type=int, default=120)
    parser.add_argument("--seed", metavar="K", type=int, default=0)
    options = parser.parse_args()
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out} holds files already; name a new or empty folder")
    missing = [str(font) for font, _, _ in FONTS if not font.exists()]
    if missing and options.music:
        parser.error(f"no sound font at {', '.join(missing)}; install the packages named above")
    rows = []
    with tempfile.TemporaryDirectory(prefix="unstir-made-") as scratch:
        stages = (
            (music(options.seed, options.music, Path(scratch)), options.music),
            (effects(options.seed, options.effects), options.effects),
            (voices(options.seed, options.voices), options.voices),
        )
        for (made, n), text in zip(stages, ("music", "effects", "voices"), strict=True):
            shown = track(made, text, total=n, console=Console(stderr=True))
            for index, (kind, style, source, license_name, sound, rate) in enumerate(shown):
                rng = np.random.default_rng([options.seed, 3, len(rows)])
                level = 10 ** (rng.uniform(-14, -1) / 20)
                sound = sound * level / np.abs(sound).max()
                author = style.rpartition("/")[2]
                path = Path(kind) / f"{author.replace('+', '_')}_{index:03}.flac"
                (options.out / path).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(options.out / path, sound.T, rate, subtype="PCM_16")
                shape = (f"{sound.shape[1] / rate:.3f}", str(rate), str(sound.shape[0]))
                about = (path.as_posix(), kind, style, "made", source, license_name, author)
                rows.append(dict(zip(COLUMNS, (*about, *shape, "train"), strict=True)))
    finish(rows, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
