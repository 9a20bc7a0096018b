#!/usr/bin/env python3
"""Set how far the hybrid trusts its prior, on scenes that choose, and put it into the package.

    python scripts/set_trust.py film --pack PACK

The prior is what every stem has in common with itself (`unstir.hybrid.backfit`); the refiner is one
number (`unstir.neural.trust`). Some are tried on scenes of 20 s whose recordings choose between
weights, as our recipe draws them and, of films, staged as well. Of those whose gain over the
default base is within a standard error of the highest the least ships [1]_, since what gains no
more should change no more; the card has what each gained, over that base and over others.

References
----------
.. [1] L. Breiman, J. Friedman, R. Olshen, C. Stone, "Classification and Regression Trees", 1984,
   section 3.4.3: the rule of one standard error.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from unstir.ablation import look_at, refined
from unstir.compare import sum_of
from unstir.evaluate import si_sdr_db
from unstir.hybrid.bank import Bank
from unstir.joined import BASES
from unstir.neural import checkpoint
from unstir.neural.batches import SCENE_RECIPES
from unstir.neural.bending import staged
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.render import render
from unstir.neural.separator import gain_to_level_db
from unstir.neural.trust import Trust, TrustConfig
from unstir.neural.validation import validation_plans
from unstir.registry import make, set_name
from unstir.types import STEM_SETS, Mixture, Stems

ROOT = Path(__file__).resolve().parents[1]
TRUST = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
SCENE_S = 20.0
STAGED_SEED = 77


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stems", choices=sorted(STEM_SETS))
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=18, help="plans; of films each counts twice")
    parser.add_argument("--base", nargs="+", help="methods; the first one decides")
    options = parser.parse_args()
    console = Console(stderr=True)
    names = STEM_SETS[options.stems]
    config = TrustConfig(n_sources=len(names))
    net = Trust(config).eval()
    scenes = list(drawn(options.stems, Pack(options.pack), options.scenes))
    gained = {}  # by base, each of shape (scenes, trusts)
    for base in options.base or [BASES[options.stems]]:
        each = [gains_db(net, base, stems) for stems in track(scenes, base, console=console)]
        means_db = np.mean(each, axis=2)
        gained[base] = means_db - means_db[:, :1]
    by_base = {
        base: [
            (trust, round(float(gain_db), 3))
            for trust, gain_db in zip(TRUST, values.mean(axis=0), strict=True)
        ]
        for base, values in gained.items()
    }
    console.print(by_base)
    chosen = TRUST[least_of_the_best(next(iter(gained.values())))]
    net.trust.data = torch.tensor([chosen])
    card = {
        "license": "CC-BY-SA-4.0",
        "set_by": "scripts/set_trust.py",
        "scenes": len(scenes),
        "gain_db_by_trust": by_base,
        "known_weaknesses": [
            "a sound that is heard once has nothing to be compared with",
            "what the base gets wrong throughout a window stays wrong",
        ],
    }
    path = ROOT / "neural" / f"hybrid-{options.stems}.safetensors"
    checkpoint.save(path, "trust", net, config, names, card, half=False, sample_rate=SAMPLE_RATE)
    print(f"{path.name}: {chosen:g}")


def least_of_the_best(gained: NDArray[np.float64]) -> int:
    """Return the first whose mean is within a standard error of the highest.

    Parameters
    ----------
    gained : ndarray, shape (scenes, settings)
        In dB, settings that change less first.
    """
    means = gained.mean(axis=0)
    best = int(means.argmax())
    error = gained[:, best].std(ddof=1) / np.sqrt(len(gained))
    return int(np.argmax(means >= means[best] - error))


def drawn(stems: str, pack: Pack, n: int, seconds: float = SCENE_S) -> Iterator[Stems]:
    """Yield the true stems of scenes that choose, at the level of our nets."""
    clips = {clip.path: clip for clip in pack.clips}
    recipe = SCENE_RECIPES[stems](pack, "choose")
    for index, plan in enumerate(validation_plans(recipe, n, seconds)):
        plans = [plan]
        if stems == "film":
            rng = np.random.default_rng([STAGED_SEED, index])
            speech, music, effects = staged(rng, plan.speech, plan.music, plan.effects)
            plans.append(replace(plan, speech=speech, music=music, effects=effects))
        for one in plans:
            sources = render(one, pack, clips)[: len(STEM_SETS[stems])]
            truth = dict(zip(STEM_SETS[stems], sources, strict=True))
            gain_db = gain_to_level_db([Mixture(sum_of(truth), SAMPLE_RATE)])
            gain = np.float32(10 ** (gain_db / 20))
            yield {name: gain * stem for name, stem in truth.items()}


def gains_db(net: Trust, base: str, truth: Stems) -> NDArray[np.float64]:
    """Return the SI-SDR improvement with each trust, shape (trusts, stems)."""
    mix = Mixture(sum_of(truth), SAMPLE_RATE)
    separator = make(base, set_name(tuple(truth)))
    bank = Bank(tuple(truth), priors=net.config.priors)
    found = separator.separate(mix, separator.survey([mix]))
    at = look_at(mix, found, bank, bank.survey([mix]), net)
    rows = []
    for trust in TRUST:
        net.trust.data = torch.tensor([trust])
        stems = refined(at, net, at.seen)
        gains = [si_sdr_db(truth[k], stems[k]) - si_sdr_db(truth[k], mix.waveform) for k in truth]
        rows.append(gains)
    return np.array(rows)


if __name__ == "__main__":
    main()
