"""Training runs by name, and what a run leaves behind: a model with its card."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from unstir.errors import UnknownNameError
from unstir.neural import checkpoint
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.scenes import STEMS
from unstir.neural.train import TrainConfig

RECIPES: dict[str, TrainConfig] = {
    "compact-film": TrainConfig(batch=8, steps=8000),
    "compact-film-causal": TrainConfig(
        batch=8, steps=8000, net_config={"causal": True, "n_fft": 1536, "hop_length": 384}
    ),
}


def recipe(name: str) -> TrainConfig:
    """Return the training run of a name.

    Raises
    ------
    UnknownNameError
        If there is none.

    Examples
    --------
    >>> recipe("compact-film").batch
    8
    """
    if name not in RECIPES:
        raise UnknownNameError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]


def export(name: str, config: TrainConfig, net: nn.Module, pack: Pack, out: Path) -> Path:
    """Write a trained net as ``NAME.safetensors`` and ``NAME.json`` beside its log.

    Parameters
    ----------
    name : str
        What the model will be called.
    config : TrainConfig
        What it was trained by; goes into the card.
    net : nn.Module
        What `unstir.neural.train.train` gave.
    pack : Pack
        What it was trained on; the licenses of the recordings go into the card.
    out : Path
        Where the run lies.

    Returns
    -------
    Path
        The safetensors file.
    """
    log = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    minutes: dict[str, float] = {}
    for clip in pack.clips:
        if clip.split == "train":
            before = minutes.get(clip.license, 0.0)
            minutes[clip.license] = round(before + clip.n_samples / SAMPLE_RATE / 60, 4)
    card: dict[str, Any] = {
        "recipe": asdict(config),
        "last_validation": json.loads(log[-1]),
        "training_minutes_by_license": minutes,
    }
    path = out / f"{name}.safetensors"
    _, _, config_class = checkpoint.classes(config.net)
    # What a net gives is in the order it was trained in, whatever order its paper has.
    checkpoint.save(path, config.net, net, config_class(**config.net_config), STEMS, card)
    return path
