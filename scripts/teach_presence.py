"""Teach the net that is asked when a sound is there: a layer and a judge, on as much that is not.

    python scripts/teach_presence.py RUN --pack PACK

In training nine questions in ten are for something that plays, so that the layer learns to say yes.
Here every scene is asked for one of its sounds and for one that it does not hold. Then the judge,
three weights and a bias, learns how far to trust the layer, the part of the energy that is cut out
and what that sounds like: on scenes that choose, since of recordings that it trained on the net
knows too well what they sound like. The weights in RUN/best.pt are replaced; what chooses is
printed after each part.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unstir.finding import found_in
from unstir.neural.captions import draw_caption
from unstir.neural.pack import Pack
from unstir.neural.planes import planes_of
from unstir.neural.query_net import QueryNet
from unstir.neural.query_scenes import QueryRecipe
from unstir.neural.query_train import sounding, two_sources
from unstir.neural.text import encode
from unstir.neural.train import build, config_of_run

Array = NDArray[np.float64]
N_SAMPLES = 2**17 - 512
STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 400, 128, 2e-3, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of the training run")
    parser.add_argument("--pack", type=Path, required=True, help="what it was trained on")
    parser.add_argument("--scenes", type=int, default=1200, help="to train on")
    options = parser.parse_args()

    torch.set_flush_denormal(True)
    net = build(config_of_run(options.run)).eval()
    assert isinstance(net, QueryNet)
    best = torch.load(options.run / "best.pt", weights_only=True)
    net.load_state_dict(best["net"])
    pack = Pack(options.pack)
    rows, truth, _ = seen_by(net, pack, "train", options.scenes)
    chosen, when, evidence = seen_by(net, pack, "choose", options.scenes // 4)
    print("before:     ", told(scores(evidence, net.judge)))

    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(
        net.presence.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / STEPS)
        some = torch.randint(len(rows), (BATCH,))
        said = net.presence(rows[some].float())[..., 0]
        loss = nn.functional.binary_cross_entropy_with_logits(said, truth[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        evidence[..., 0] = net.presence(chosen.float())[..., 0]  # the rest does not depend on it
    print("layer:      ", told(scores(evidence, net.judge)))
    fit(net.judge, evidence, when)
    print("judge, own: ", told(scores(evidence, net.judge)))
    held = [f"{area(held_out(evidence, when, fold)):.3f}" for fold in range(5)]
    print("judge, held:", " ".join(held))
    torch.save({**best, "net": net.state_dict()}, options.run / "best.pt")


def fit(judge: nn.Linear, evidence: Tensor, truth: Tensor) -> None:
    """Fit the judge by logistic regression over frames, there and absent counting alike."""
    weight = torch.where(truth > 0, 1 / truth.mean(), 1 / (1 - truth.mean()))
    # One step of a few parameters that all know everything: no batches.
    optimizer = torch.optim.LBFGS(judge.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        said = judge(evidence)[..., 0]
        value = nn.functional.binary_cross_entropy_with_logits(said, truth, weight)
        value.backward()
        return value

    optimizer.step(loss)


def held_out(evidence: Tensor, truth: Tensor, fold: int) -> Array:
    """Return the scores of a fifth of the scenes, by a judge fitted on the others."""
    scene = torch.arange(len(evidence)) // 2
    own = scene % 5 == fold
    judge = nn.Linear(3, 1)
    fit(judge, evidence[~own], truth[~own])
    return scores(evidence[own], judge)


def seen_by(net: QueryNet, pack: Pack, split: str, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the layer sees of scenes, when what was asked for is to be heard, and evidence.

    Two rows a scene, of a sound that it holds and of one that it does not: float16 of shape
    (2 * scenes, frames, units), float32 of shape (2 * scenes, frames), and of scenes that choose
    what `QueryNet.evidence` gives, float32 of shape (2 * scenes, frames, 3).
    """
    is_training = split == "train"
    recipe = QueryRecipe(pack, split, film=0.15 if is_training else 0.0, absent=0.0)
    clips = {clip.path: clip for clip in pack.clips}
    kept: list[Tensor] = []
    hook = net.presence.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    found, truth, evidence = [], [], []
    for number in range(n):
        rng = np.random.default_rng([5, int(is_training), number])
        asked = recipe.draw(rng, N_SAMPLES, full=not is_training and number % 2 == 0)
        others = asked.absent
        other = others[int(rng.integers(len(others)))]
        words = [asked.caption, draw_caption(rng, other)]
        vectors = torch.from_numpy(encode(words if is_training else [asked.sounds[0], other]))
        if is_training:
            noise = torch.from_numpy(rng.normal(size=vectors.shape).astype(np.float32))
            vectors = vectors + 0.4 * float(rng.random()) * nn.functional.normalize(noise, dim=1)
        sources = two_sources(asked, pack, clips)
        mixture = sources.sum(dim=0)[None]
        vectors = nn.functional.normalize(vectors, dim=1)[None]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            if is_training:
                net.logits(planes_of(mixture, net.bands), vectors)
            else:
                evidence.append(net.evidence(mixture, vectors)[0])
        found.append(kept.pop().half())
        when = sounding(sources)
        truth.append(torch.stack([when, torch.zeros_like(when)]))
    hook.remove()
    every = torch.cat(evidence).clone() if evidence else torch.zeros(0)
    return torch.cat(found).clone(), torch.cat(truth), every


def scores(evidence: Tensor, judge: nn.Module) -> Array:
    """Return what a judge says of every scene's sound, and of one that is absent: (scenes, 2)."""
    with torch.no_grad():
        curves = torch.sigmoid(judge(evidence)[..., 0]).numpy()
    return np.array([found_in("", curve).score for curve in curves]).reshape(-1, 2)


def area(found: Array) -> float:
    """Return the area under the ROC."""
    return float(np.mean(found[:, :1] > found[None, :, 1]))


def told(found: Array) -> str:
    """Return how well scores tell what is there from what is not."""
    right = np.mean(found[:, 0] > 0.5), np.mean(found[:, 1] <= 0.5)
    edges = np.linspace(0.1, 0.9, 81)
    level = [(np.mean(found[:, 0] > e) + np.mean(found[:, 1] <= e)) / 2 for e in edges]
    return (
        f"area under ROC {area(found):.3f}, at 0.5 {right[0]:.2f} there and {right[1]:.2f} absent, "
        f"best at {edges[int(np.argmax(level))]:.2f}: {max(level):.2f}"
    )


if __name__ == "__main__":
    main()
