"""The trainer: one loop, resumable to the same result, over a folder of packed arrays.

It needs torch and NumPy alone. Batch k of a run is made from (seed, k), so that a run
that was killed goes on with the batches it would have seen.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import torch
from torch import Tensor, nn

from unstir.errors import AudioError, SettingsError
from unstir.neural import checkpoint
from unstir.neural.batches import Batches, TrainConfig, resampled
from unstir.neural.pack import Pack
from unstir.neural.tasks import Loss, Task, task
from unstir.neural.validation import validation_scenes

P = ParamSpec("P")
NEEDED = {"film": ("speech", "music", "effects"), "song": ("singing", "music")}


@dataclass(frozen=True, slots=True)
class Observed:
    """What a run trains on that is not mixed from a pack.

    Parameters
    ----------
    batches : torch Dataset
        Batch k of the run, from its number alone; as many as the run has steps.
    chosen : sequence
        Batches that choose the best weights.
    task : Task
        What is made small, and what chooses.
    """

    batches: Any
    chosen: Sequence[Any]
    task: Task


def build(config: TrainConfig) -> nn.Module:
    """Return the net with the weights that the seed gives."""
    _, net_class, config_class = checkpoint.classes(config.net)
    torch.manual_seed(config.seed)
    net: nn.Module = net_class(config_class(**config.net_config))
    return net


def config_of_run(run: Path) -> TrainConfig:
    """Return what the run in a folder was trained by, from its ``last.pt``."""
    saved = torch.load(run / "last.pt", weights_only=True)
    config = TrainConfig(**json.loads(saved["config"]))
    net_config = {name: checkpoint.tuples(value) for name, value in config.net_config.items()}
    return replace(config, net_config=net_config)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate of a step: up, level, and down to nearly nothing.

    Examples
    --------
    >>> c = TrainConfig(steps=1000, warmup=100, decay=0.5)
    >>> [round(1e3 * learning_rate(c, k), 2) for k in (0, 99, 400, 750, 999)]
    [0.01, 1.0, 1.0, 0.5, 0.0]
    """
    up = min(1.0, (step + 1) / config.warmup)
    left = (config.steps - step) / max(1.0, config.decay * config.steps)
    return config.learning_rate * min(up, 1.0, left)


def _restoring(function: Callable[P, nn.Module]) -> Callable[P, nn.Module]:
    """Return the function with the process's arithmetic as it was before, once it is done."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> nn.Module:
        threads = torch.get_num_threads()
        try:
            return function(*args, **kwargs)
        finally:
            torch.set_num_threads(threads)
            # Whoever computes next in this process counts on the smallest numbers.
            torch.set_flush_denormal(False)

    return wrapped


@_restoring
def train(
    config: TrainConfig,
    pack: Pack | None,
    out: Path,
    *,
    device: torch.device | None = None,
    threads: int = 1,
    workers: int = 1,
    minutes: float = math.inf,
    init: Mapping[str, Tensor] | None = None,
    scenes: Tensor | None = None,
    observed: Observed | None = None,
    listener: Callable[[dict[str, Any]], None] = lambda entry: None,
    on_step: Callable[[int], None] = lambda step: None,
) -> nn.Module:
    """Train, or go on training, and return the net with the mean weights.

    Parameters
    ----------
    config : TrainConfig
        What to train. A run that lies in ``out`` must have been of the same config, but
        for its number of steps.
    pack : Pack or None
        The recordings; None where ``observed`` is given.
    out : Path
        ``last.pt`` and ``log.jsonl`` go there; ``best.pt`` holds the weights with the best
        validation so far.
    device : torch.device, optional
        The CPU if none is given.
    threads, workers : int
        Threads of the arithmetic, and processes that make scenes.
    minutes : float
        Stop after so long, with everything saved.
    init : mapping of str to Tensor, optional
        Weights to begin with, instead of those that the seed gives; a run that goes on has
        its own.
    scenes : Tensor, optional
        What chooses the best weights, as from `validation_scenes`, which is the default.
    observed : Observed, optional
        What to train on, and what for, instead of scenes mixed from the pack by the config.
    listener : callable
        Told of every entry of the log.
    on_step : callable
        Told after every step how many are done.

    Raises
    ------
    SettingsError
        If another run lies in ``out``, or the loss or its gradient is no longer a number:
        what was saved last is left as it is.
    AudioError
        If the pack lacks what scenes are made of.
    """
    if observed is None:
        _check(_given(pack), config)
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = device or torch.device("cpu")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    out.mkdir(parents=True, exist_ok=True)
    net = build(config)
    if init is not None:
        net.load_state_dict(init)
    net = net.to(device)
    what = task(config, net) if observed is None else observed.task
    mean = {name: value.detach().clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.AdamW(
        net.parameters(), config.learning_rate, (0.9, 0.99), weight_decay=config.weight_decay
    )
    step, best = 0, -math.inf
    if (out / "last.pt").exists():
        step, best = _resume(out, config, net, mean, optimizer, device)
    model: nn.Module = _Objective(net, what.loss)
    if world > 1:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        model = nn.parallel.DistributedDataParallel(model)
    known: Any = None if scenes is None else _ready(scenes, what, device)
    if observed is not None:
        known = [_moved(batch, device) for batch in observed.chosen]
    began, waited, seen = time.monotonic(), 0.0, 0
    losses: list[float] = []
    batches: Any = (
        observed.batches
        if observed is not None
        else Batches(_given(pack), config, rank, what.bands, what.sample_rate)
    )
    for batch, waiting_s in _timed(_loader(batches, step, workers)):
        waited += waiting_s
        # From the step alone, so that dropout is the same in a run that was interrupted.
        torch.manual_seed(_dice(config.seed, rank, step))
        loss = _step(model, _moved(batch, device), config, optimizer, step)
        if not math.isfinite(loss):
            raise _diverged(step, out)
        losses.append(loss)
        keep = min(config.ema, (step + 1) / (step + 10))
        for name, value in net.state_dict().items():
            mean[name].lerp_(value, 1 - keep) if value.is_floating_point() else mean[name].copy_(
                value
            )
        step, seen = step + 1, seen + 1
        on_step(step)
        out_of_time = _agreed(time.monotonic() - began > 60 * minutes, world, device)
        if step % config.validate_every and step < config.steps and not out_of_time:
            continue
        if rank == 0:
            if known is None:
                known = _ready(validation_scenes(_given(pack), config.scenes), what, device)
            found = what.validate(build(config).to(device), mean, known)
            score = float(found[what.score])
            if not math.isfinite(score):
                raise _diverged(step, out)
            elapsed = time.monotonic() - began
            entry = {
                "step": step,
                what.loss_name: round(float(np.mean(losses)), 3),
                **found,
                "learning_rate": learning_rate(config, step - 1),
                "seconds": round(elapsed, 1),
                "steps_per_s": round(seen / elapsed, 3),
                "data_share": round(waited / elapsed, 3),
            }
            if score > best:
                best = score
                _save(out / "best.pt", {"net": mean, "step": step, what.score: best})
            with (out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            _save(
                out / "last.pt",
                {
                    "config": json.dumps(asdict(config)),
                    "net": net.state_dict(),
                    "mean": mean,
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "best": best,
                },
            )
            listener(entry)
        losses = []
        if out_of_time:
            break
    if world > 1:
        # All return what the first has written: statistics of normalization are its own batches'.
        for value in mean.values():
            torch.distributed.broadcast(value, 0)
        torch.distributed.barrier()
        # DDP holds the group, and as its last holder would end it under Python's lock, which the
        # group's own threads may be waiting for.
        del model
        torch.distributed.destroy_process_group()
    final = build(config)
    final.load_state_dict(mean)
    return final.eval()


class _Objective(nn.Module):
    """Batch to loss, as one module, so that several processes can share any loss."""

    def __init__(self, net: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.net = net
        self.loss = loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.net, batch)


def _given(pack: Pack | None) -> Pack:
    if pack is None:
        raise SettingsError("no pack of recordings came, nor scenes that were observed")
    return pack


def _check(pack: Pack, config: TrainConfig) -> None:
    needed = NEEDED[config.scenes]
    for split in ("train", "choose"):
        for kind in needed:
            if not pack.select(split, kind):
                raise AudioError(
                    f"{pack.folder} holds no {kind} in the split {split!r}; training needs "
                    f"{', '.join(needed[:-1])} and {needed[-1]} of several families each"
                )


def _ready(scenes: Tensor, what: Task, device: torch.device) -> Tensor:
    """Return scenes at the net's rate, one after the other, since their spectra are large."""
    return torch.stack([resampled(scene, what.sample_rate) for scene in scenes]).to(device)


def _dice(seed: int, rank: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, rank, step]).generate_state(1)[0])


def _moved(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    parts = [_moved(part, device) for part in batch]
    return type(batch)(*parts) if hasattr(batch, "_fields") else parts


def _agreed(is_over: bool, world: int, device: torch.device) -> bool:
    """Return whether any process says so: one that left alone would leave the others waiting."""
    if world == 1:
        return is_over
    flag = torch.tensor(float(is_over), device=device)
    torch.distributed.all_reduce(flag)
    return bool(flag > 0)


def _diverged(step: int, out: Path) -> SettingsError:
    kept = out / "last.pt"
    return SettingsError(
        f"the loss is no number at step {step}; "
        + (f"{kept} holds the last good weights, " if kept.exists() else "nothing was saved yet, ")
        + "a lower learning rate may help"
    )


def _loader(batches: Any, first: int, workers: int) -> Iterable[Any]:
    return torch.utils.data.DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, len(batches)),
        num_workers=workers,
        prefetch_factor=3 if workers else None,
    )


def _timed(items: Iterable[Any]) -> Iterator[tuple[Any, float]]:
    """Yield items with the seconds that they were waited for."""
    at = time.monotonic()
    for item in items:
        yield item, time.monotonic() - at
        at = time.monotonic()


def _step(
    model: nn.Module,
    batch: Any,
    config: TrainConfig,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> float:
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step)
    loss = model(batch)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    # A gradient may be none where the loss still is a number; it would spoil every weight.
    value = float(loss.detach()) if math.isfinite(norm) else math.nan
    if math.isfinite(value):
        optimizer.step()
    return value


def _resume(
    out: Path,
    config: TrainConfig,
    net: nn.Module,
    mean: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> tuple[int, float]:
    path = out / "last.pt"
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        before = json.loads(saved["config"])
    except Exception as error:  # whatever torch makes of a file that is no checkpoint
        raise SettingsError(
            f"{path} is damaged or no checkpoint of a run ({type(error).__name__}); remove it, or "
            "train into a new folder"
        ) from error
    # A setting that is younger than the run had its default then.
    before = asdict(TrainConfig()) | before
    now = json.loads(json.dumps(asdict(config)))
    free = ("steps", "validate_every")
    changed = [name for name in now if now[name] != before[name] and name not in free]
    if changed:
        raise SettingsError(
            f"{out} holds a run with another {', '.join(changed)}; train into a new folder, or "
            "with the settings of that run"
        )
    net.load_state_dict(saved["net"])
    optimizer.load_state_dict(saved["optimizer"])
    for name, value in saved["mean"].items():
        mean[name].copy_(value)
    return int(saved["step"]), float(saved["best"])


def _save(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)
