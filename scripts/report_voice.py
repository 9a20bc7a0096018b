"""Tabulate the voice detectors on the report scenes, as Markdown.

    python scripts/report_voice.py PACK MODEL [MODEL ...] --out benchmarks/voice.json

A MODEL is a detector's .safetensors, or a separating net's, whose speech stem then detects.
"""

import argparse
import json
from pathlib import Path

import torch

from unstir.neural.checkpoint import load
from unstir.neural.pack import Pack
from unstir.neural.vad import KINDS, ByStem, frame_report, voice_scenes
from unstir.neural.vocalnet import Vad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenes = voice_scenes(Pack(options.pack), "report", options.scenes)
    figures = {}
    print("| detector | beside the speech | balanced accuracy | precision | recall |")
    print("|---|---|---:|---:|---:|")
    for path in options.models:
        net = load(path).net
        found = frame_report(net if isinstance(net, Vad) else ByStem(net), scenes)
        figures[path.stem] = found
        for kind, part in [("all of these", found), *((k, found["kinds"].get(k)) for k in KINDS)]:
            if part:
                shares = (part["balanced_accuracy"], part["precision"], part["recall"])
                print(
                    f"| `{path.stem}` | {kind} | {' | '.join(f'{100 * x:.1f} %' for x in shares)} |"
                )
        share, n = found["singing_called_speech"], found["n_singing_frames"]
        print(f"| `{path.stem}` | singing called speech | {100 * share:.1f} % of {n} frames | | |")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
