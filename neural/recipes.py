"""Training runs by name, and what a run leaves behind: a model with its card."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from unstir.errors import SettingsError, UnknownNameError
from unstir.neural import checkpoint
from unstir.neural.batches import SOURCES, TrainConfig
from unstir.neural.compact import Compact
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.query_net import QueryConfig, QueryNet
from unstir.neural.vocalnet import Vad, Vocalnet, grow

SIX_S = 6 * SAMPLE_RATE  # whole numbers of samples at 22050 Hz, too
LATER_LEGS: dict[str, Any] = {"channels": (24, 48, 80), "dropout": 0.2}
FURTHER_LEGS: dict[str, Any] = {"decay": 0.85, "weight_decay": 0.01, "made": 0.5}
BRIEFLY: dict[str, Any] = {
    "learning_rate": 1e-3, "warmup": 20, "decay": 0.6, "made": 0.5, "steps": 400,
    "validate_every": 200,
}  # fmt: skip
AT_22_KHZ: dict[str, Any] = {"n_sources": 3, "sample_rate": 22050}

# `compact-film` was trained in ten legs, its causal sibling in two after the first of them,
# `compact-song` in one after five, each begun with the weights of the one before.
# From mrx-small on, for comparison only: other published nets at reduced size, trained for minutes
# (MRX at 44.1 kHz, the others at 22.05 kHz; those that see 0.3 s at once get shorter scenes), and
# other families to compare `compact-film` with, for as many steps as cost the same. The last are
# refiners, trained on observed scenes (`unstir.refining`), with as many planes as the bank of
# priors has.
RECIPES: dict[str, TrainConfig] = {
    "compact-film": TrainConfig(
        steps=4200, learning_rate=2e-3, warmup=150, decay=0.7, validate_every=350
    ),
    "compact-film-2": TrainConfig(
        steps=2400, net_config=LATER_LEGS, learning_rate=1.2e-3, warmup=50, decay=0.8,
        weight_decay=0.03, made=0.25, seed=5, validate_every=200,
    ),
    "compact-film-3": TrainConfig(
        steps=1500, net_config=LATER_LEGS, learning_rate=8e-4, warmup=30, decay=0.9,
        weight_decay=0.03, made=0.25, seed=7, validate_every=150,
    ),
    "compact-film-4": TrainConfig(
        **FURTHER_LEGS, net_config={"dropout": 0.15}, steps=2900, learning_rate=8e-4, warmup=40,
        seed=21, validate_every=250,
    ),
    "compact-film-5": TrainConfig(
        **FURTHER_LEGS, net_config={"dropout": 0.15}, steps=860, learning_rate=7e-4, warmup=40,
        loss="si_sdr", seed=31, validate_every=120,
    ),
    "compact-film-6": TrainConfig(
        **FURTHER_LEGS, net_config={"dropout": 0.15}, steps=2400, learning_rate=1e-3, warmup=40,
        loss="si_sdr", seed=41, validate_every=200,
    ),
    "compact-film-7": TrainConfig(
        **FURTHER_LEGS, net_config={"dropout": 0.15}, steps=1500, learning_rate=8e-4, warmup=30,
        loss="si_sdr", seed=71, validate_every=250,
    ),
    "compact-film-8": TrainConfig(
        **{**FURTHER_LEGS, "weight_decay": 0.02}, net_config={"dropout": 0.25}, steps=900,
        learning_rate=7e-4, warmup=30, loss="si_sdr", seed=81, validate_every=300,
    ),
    "compact-film-9": TrainConfig(
        **{**FURTHER_LEGS, "weight_decay": 0.02, "decay": 0.5}, net_config={"dropout": 0.3},
        steps=2800, learning_rate=8e-4, warmup=30, ema=0.9995, loss="si_sdr", seed=91,
        validate_every=400,
    ),
    "compact-film-10": TrainConfig(
        **{**FURTHER_LEGS, "weight_decay": 0.02, "decay": 0.5}, net_config={"dropout": 0.35},
        steps=2800, learning_rate=1e-3, warmup=40, loss="si_sdr", seed=101, validate_every=400,
    ),
    "compact-film-causal": TrainConfig(
        steps=4200, learning_rate=2e-3, warmup=150, decay=0.7, validate_every=350,
        net_config={"causal": True, "n_fft": 1536, "hop_length": 384},
    ),
    "compact-film-causal-2": TrainConfig(
        **FURTHER_LEGS, loss="si_sdr", steps=1000, learning_rate=1e-3, warmup=40, seed=51,
        validate_every=200,
        net_config={"causal": True, "n_fft": 1536, "hop_length": 384, "dropout": 0.15},
    ),
    "compact-song": TrainConfig(
        scenes="song", loss="si_sdr", steps=800, net_config={"n_sources": 2, "dropout": 0.15},
        learning_rate=1e-3, warmup=40, decay=0.8, weight_decay=0.01, made=0.5, spoken=0.5, seed=61,
        validate_every=100,
    ),
    "vad": TrainConfig(
        net="vad", loss="voice", segment=SIX_S // 2, batch=8, steps=4000, weight_decay=1e-3,
        learning_rate=2e-3, decay=0.7,
    ),
    "query": TrainConfig(
        net="query", scenes="query", loss="asked", net_config={"dropout": 0.15}, steps=5000,
        segment=2**17 - 512, batch=16, learning_rate=1e-3, warmup=150, decay=0.7,
        validate_every=250,
    ),
    "query-2": TrainConfig(
        net="query", scenes="query", loss="asked", net_config={"dropout": 0.3}, steps=2400,
        segment=2**17 + 2**16 - 512, batch=10, learning_rate=8e-4, warmup=40, decay=0.55,
        weight_decay=0.02, seed=111, validate_every=200,
    ),
    "query-blind": TrainConfig(
        net="query", scenes="query", loss="asked", net_config={"dropout": 0.15}, steps=800,
        segment=2**17 - 512, batch=16, learning_rate=7e-4, warmup=50, decay=0.7, wordless=1.0,
        validate_every=200,
    ),
    "mrx-small": TrainConfig(
        **BRIEFLY,
        net="mrx",
        loss="si_sdr",
        net_config={
            "window_lengths": (2048, 8192), "hop_length": 1024, "n_hidden": 64, "n_layers": 1,
            "dropout": 0.0,
        },
        segment=SIX_S,
        batch=4,  # a transform per window and source, forth and back, costs more than the net
    ),
    "unet-small": TrainConfig(
        **BRIEFLY,
        net="unet",
        loss="si_sdr",
        net_config={**AT_22_KHZ, "hop_length": 512, "channels": (12, 24, 48, 96, 192)},
        segment=SIX_S,
    ),
    "chimera-small": TrainConfig(
        **BRIEFLY,
        net="chimera",
        loss="chimera",
        net_config={
            **AT_22_KHZ, "hop_length": 512, "n_bands": 100, "hidden": 128, "n_layers": 2,
            "n_dims": 12,
        },
        segment=SIX_S,
    ),
    "vocalnet-small": TrainConfig(
        **{**BRIEFLY, "steps": 150}, net="vocalnet", loss="ratio", net_config=AT_22_KHZ,
        segment=SIX_S // 2,
    ),
    "vocalnet-small-binary": TrainConfig(
        **{**BRIEFLY, "steps": 150}, net="vocalnet", loss="binary", net_config=AT_22_KHZ,
        segment=SIX_S // 2,
    ),
    "family-blstm": TrainConfig(net="blstm", batch=8, steps=800, validate_every=200),
    "family-bandsplit": TrainConfig(net="bandsplit", batch=8, steps=310, validate_every=80),
    "family-compact": TrainConfig(batch=8, steps=600, validate_every=150),
    "family-compact-spectral": TrainConfig(
        batch=8, steps=600, validate_every=150, spectral=1.0
    ),
    "family-compact-si-sdr": TrainConfig(
        loss="si_sdr", batch=8, steps=600, validate_every=150
    ),
    "refiner-film": TrainConfig(
        net="refiner", net_config={"n_priors": 22}, learning_rate=2e-3, steps=3000, decay=0.7,
        ema=0.99,
    ),
    "refiner-film-blind": TrainConfig(
        net="refiner", net_config={"n_priors": 0}, learning_rate=2e-3, steps=3000, decay=0.7,
        ema=0.99,
    ),
    "refiner-song": TrainConfig(
        net="refiner", net_config={"n_priors": 18, "n_sources": 2}, scenes="song",
        learning_rate=2e-3, steps=3000, decay=0.7, ema=0.99,
    ),
}  # fmt: skip


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


def start(config: TrainConfig, path: Path) -> dict[str, Tensor]:
    """Return the weights of a model to begin a run with.

    Parameters
    ----------
    config : TrainConfig
        What will be trained.
    path : Path
        A model of the same net and sizes; its dropout may be another. Of `Compact` it may have
        more sources: the run begins with the first of them (speech and music become vocals and
        accompaniment); a `QueryNet` begins with all of it but the last layer. For the mask net
        that grows from it, a voice detector: then the last layer's weights are those that torch
        draws next.

    Raises
    ------
    SettingsError
        If there is no such model, or the run's net does not begin with it.
    """
    model = checkpoint.load(path)
    _, net_class, config_class = checkpoint.classes(config.net)
    wanted = config_class(**config.net_config)
    if net_class is Vocalnet and isinstance(model.net, Vad):
        return grow(model.net, wanted).state_dict()
    if isinstance(model.net, Compact) and net_class is QueryNet:
        return _steered(model.net, wanted)
    if (
        isinstance(model.net, Compact)
        and net_class is Compact
        and model.config.n_sources >= wanted.n_sources
        and replace(model.config, n_sources=wanted.n_sources, dropout=wanted.dropout) == wanted
    ):
        weights = dict(model.net.state_dict())
        n = wanted.n_sources
        weights["last.weight"] = weights["last.weight"][:, :n].clone()
        weights["last.bias"] = weights["last.bias"][:n].clone()
        return weights
    given = model.config
    if isinstance(model.net, net_class) and hasattr(wanted, "dropout"):
        given = replace(given, dropout=wanted.dropout)
    if not isinstance(model.net, net_class) or given != wanted:
        raise SettingsError(
            f"{path} is a {type(model.net).__name__} of another kind or size; this run begins "
            f"with a {net_class.__name__} of its own size"
            + (", or a Vad" if net_class is Vocalnet else "")
        )
    return model.net.state_dict()


def _steered(body: Compact, wanted: QueryConfig) -> dict[str, Tensor]:
    """Return the weights of a net that is asked, which begins with those of one that is not."""
    net = QueryNet(wanted)
    there = body.state_dict()
    if any(
        name not in there or there[name].shape != value.shape
        for name, value in net.body.state_dict().items()
        if not name.startswith("last.")
    ):
        raise SettingsError(
            f"a net of sizes {body.config} came; one of the sizes of {wanted} is wanted"
        )
    kept = {name: value for name, value in there.items() if not name.startswith("last.")}
    net.body.load_state_dict(kept, strict=False)
    return net.state_dict()


def export(
    name: str,
    config: TrainConfig,
    net: nn.Module,
    pack: Pack,
    out: Path,
    more: Mapping[str, Any] | None = None,
) -> Path:
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
    more : mapping, optional
        Further entries of the card.

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
        **(more or {}),
    }
    path = out / f"{name}.safetensors"
    _, _, config_class = checkpoint.classes(config.net)
    net_config = config_class(**config.net_config)
    # What a net gives is in the order it was trained in, whatever order its paper has.
    sources = ("speech",) if config.loss == "voice" else SOURCES[config.scenes]
    rate = getattr(net_config, "sample_rate", None)
    checkpoint.save(path, config.net, net, net_config, sources, card, sample_rate=rate)
    return path
