"""Take the best weights of a training run into the package, with a card that says all of it.

    python scripts/land_model.py compact-film RUN --pack PACK [--figures benchmarks/evaluation.json]

Run it once to land the weights, then 'unstir evaluate' (for the voice detector, report_voice.py
--out benchmarks/voice.json; for query, with --queries), then again with --figures.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from unstir.compare import Row, summary
from unstir.neural.calibration import calibrate
from unstir.neural.compact import Compact
from unstir.neural.pack import Pack
from unstir.neural.recipes import export
from unstir.neural.tasks import task
from unstir.neural.train import build, config_of_run
from unstir.neural.validation import validation_scenes

ROOT = Path(__file__).resolve().parents[1]

WEAKNESSES = {
    "compact-film": [
        "sung music: learned from one act's singing and from speech that was made to sing; vocals "
        "may go to speech",
        "music in the training set is mostly electronic and game music, half of the rest played "
        "from made scores or sampled instruments; recorded orchestras are rare",
        "languages other than English, German and Spanish were heard as short prompts alone",
        "sounds of one stem that resemble another (crowds, musical effects, beatboxing) are split",
        "two sources of one stem in one cell at two places are not told apart",
    ],
    "compact-song": [
        "of real singing there were five songs by one act; other singers were made from speech",
        "reported on one more song by that act; on others it was never measured",
        "choirs, rap and screams were not there to learn from",
        "music it learned with is mostly electronic and game music, half of it gathered or made",
    ],
    "vad": ["singing by one act was all there was to tell from speech"],
}
WEAKNESSES["query"] = [
    "of most classes there are less than a minute and few collections: rare sounds are found worse",
    "sounds that resemble each other (growling, engines and wind, hits) are taken for one another",
    "words it was not trained on work as far as the text encoder places them near ones it was",
    "English only",
    "two sounds of one class are one target",
]
WEAKNESSES["compact-film-causal"] = [
    "sung music: one act's singing was all there was to learn it from; vocals may go to speech",
    *WEAKNESSES["compact-film"][1:],
]
WEAKNESSES |= {
    name: ["trained for minutes, to compare designs with; far behind compact-film"]
    for name in ("mrx-small", "unet-small", "chimera-small", "vocalnet-small")
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(WEAKNESSES))
    parser.add_argument("run", type=Path, help="folder of the training run")
    parser.add_argument("--pack", type=Path, required=True, help="what it was trained on")
    parser.add_argument(
        "--figures", type=Path, help="what 'unstir evaluate --out' or report_voice.py wrote"
    )
    parser.add_argument(
        "--after", type=Path, nargs="+", default=[], help="folders of the legs it goes on from"
    )
    options = parser.parse_args()

    best = torch.load(options.run / "best.pt", weights_only=True)
    config = config_of_run(options.run)
    net = build(config)
    net.load_state_dict(best["net"])
    score = "gain_db" if config.loss == "asked" else task(config, net).score
    card: dict[str, Any] = {
        "license": "CC-BY-SA-4.0",
        "step": best["step"],
        "validation": {score: best[score]},
        "curve": _curve(options.run, score),
        "earlier_legs": [
            {
                "recipe": json.loads(torch.load(leg / "last.pt", weights_only=True)["config"]),
                "curve": _curve(leg, score),
            }
            for leg in options.after
        ],
        "known_weaknesses": WEAKNESSES[options.name],
    }
    if isinstance(net, Compact):
        scenes = validation_scenes(Pack(options.pack), config.scenes)
        card["gain_db_by_temperature"] = calibrate(net, scenes)
    if options.figures and options.name == "vad":
        card["figures"] = json.loads(options.figures.read_text())[options.name]
    elif options.figures and options.name == "query":
        card["figures"] = json.loads(options.figures.read_text())["summary"]
    elif options.figures:
        figures = json.loads(options.figures.read_text())["figures"]
        card["figures"] = {
            name: entry
            for name, rows in figures.items()
            for entry in summary([Row(**row) for row in rows])
            if entry["method"] == options.name
        }
    path = export(options.name, config, net, Pack(options.pack), options.run, card)
    for file in (path, path.with_suffix(".json")):
        shutil.copyfile(file, ROOT / "neural" / file.name)
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, step {best['step']}")


def _curve(run: Path, score: str) -> list[list[float]]:
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [[entry["step"], entry[score]] for entry in log]


if __name__ == "__main__":
    main()
