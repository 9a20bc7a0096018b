"""How good a net is while it trains: SI-SDR improvement on scenes that never train.

These scenes choose between weights; figures for reports come from `unstir.evaluate`.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from unstir.neural.batches import SCENE_RECIPES, SOURCES
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.render import render
from unstir.neural.scenes import Recipe, Scene
from unstir.neural.songs import SongRecipe

VALIDATION_SEED = 1000


def validation_plans(recipe: Recipe | SongRecipe, n: int, seconds: float) -> Iterator[Scene]:
    """Yield plans of scenes that choose models, always the same of a recipe.

    Parameters
    ----------
    recipe : Recipe or SongRecipe
        What draws them.
    n : int
        How many.
    seconds : float
        Length of each.

    Yields
    ------
    Scene
        One that holds every stem.
    """
    for i in range(n):
        rng = np.random.default_rng([VALIDATION_SEED, i])
        yield recipe.draw(rng, int(seconds * SAMPLE_RATE), full=True)


def validation_scenes(
    pack: Pack, scenes: str = "film", n: int = 24, seconds: float = 10.0
) -> Tensor:
    """Return scenes that choose models, always the same of a pack.

    Parameters
    ----------
    pack : Pack
        Its split ``"choose"`` is used.
    scenes : {"film", "song"}
        What they hold.
    n : int
        How many scenes.
    seconds : float
        Length of each.

    Returns
    -------
    Tensor
        float32, shape (n, sources, 2, samples) at 44.1 kHz: speech, music and effects, or
        vocals and accompaniment.
    """
    plans = validation_plans(SCENE_RECIPES[scenes](pack, "choose"), n, seconds)
    clips = {clip.path: clip for clip in pack.clips}
    found = [render(plan, pack, clips)[: len(SOURCES[scenes])] for plan in plans]
    return torch.from_numpy(np.stack(found))


def si_sdr_gain_db(estimates: Tensor, targets: Tensor, mixture: Tensor) -> Tensor:
    """Return the SI-SDR improvement per scene and source in dB.

    Both channels are taken as one signal, no mean taken away, as `unstir.evaluate` does;
    energies have a floor, so that a silent source gives a number too, and a silent estimate one
    that nothing else falls below by much.

    Parameters
    ----------
    estimates, targets : Tensor
        Shape (batch, sources, channels, samples).
    mixture : Tensor
        Shape (batch, channels, samples).

    Returns
    -------
    Tensor
        float64, shape (batch, sources).
    """
    return _si_sdr(estimates, targets) - _si_sdr(mixture[:, None].expand_as(targets), targets)


def _si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    e, t = estimate.double().flatten(2), target.double().flatten(2)
    scale = (e * t).sum(-1, keepdim=True) / t.square().sum(-1, keepdim=True).clamp(min=1e-12)
    near = (scale * t).square().sum(-1)
    # Of two floors alike, a net that gives nothing would have 0 dB, better than most mixtures.
    return 10 * torch.log10((near + 1e-12) / ((e - scale * t).square().sum(-1) + 1e-9))


@torch.inference_mode()
def validate(net: nn.Module, weights: dict[str, Tensor], scenes: Tensor) -> list[float]:
    """Return the mean SI-SDR improvement of every source in dB.

    Parameters
    ----------
    net : nn.Module
        Gets the weights and is left in evaluation mode.
    weights : dict of str to Tensor
        A state of that net.
    scenes : Tensor
        From `validation_scenes`, on the net's device.
    """
    net.load_state_dict(weights)
    net.eval()
    gains = []
    for scene in scenes:
        mixture = scene.sum(dim=0)[None]
        with torch.autocast(scene.device.type, torch.bfloat16):
            estimates = net(mixture)
        gains.append(si_sdr_gain_db(estimates.float(), scene[None], mixture)[0])
    return [float(g) for g in torch.stack(gains).mean(dim=0)]
