"""The trainer: one loop, resumable to the same result, over a folder of packed arrays.

It needs torch and NumPy alone. Batch k of a run is made from (seed, k), so that a run
that was killed goes on with the batches it would have seen.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unstir.errors import AudioError, SettingsError
from unstir.neural.losses import masked_snr_loss, snr_loss, spectral_loss
from unstir.neural.pack import Pack
from unstir.neural.planes import Bands, Sums, observe
from unstir.neural.render import render
from unstir.neural.scenes import Recipe
from unstir.neural.validation import validate, validation_scenes

NETS: dict[str, str] = {
    "compact": "unstir.neural.compact:Compact",
    "blstm": "unstir.neural.families:BandBlstm",
    "bandsplit": "unstir.neural.families:BandSplit",
    "mrx": "unstir.neural.mrx:MRX",
    "unet": "unstir.neural.unet:Unet",
}


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything a training run depends on.

    Parameters
    ----------
    net : str
        A name of `NETS`.
    net_config : dict
        Fields of the net's config that differ from its defaults.
    segment : int
        Samples in a training scene, at 44.1 kHz.
    batch : int
        Scenes in a step.
    steps : int
        How many steps in all.
    learning_rate : float
        Reached after the warm-up; it falls in a straight line over the last part.
    warmup, decay : float
        Steps of the warm-up, and what part of the run the fall takes.
    weight_decay, clip, ema : float
        AdamW's decay, the largest norm of the gradient, and what part of the running mean
        of the weights stays from step to step.
    spectral : float
        Weight in dB of the multi-resolution spectral loss beside the SNR.
    seed : int
        Of weights and scenes.
    validate_every : int
        Steps between validations.
    """

    net: str = "compact"
    net_config: dict[str, Any] = field(default_factory=dict)
    segment: int = 2**18 - 512
    batch: int = 8
    steps: int = 3000
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.3
    weight_decay: float = 1e-2
    clip: float = 5.0
    ema: float = 0.998
    spectral: float = 0.0
    seed: int = 0
    validate_every: int = 250


def build(config: TrainConfig) -> nn.Module:
    """Return the net with the weights that the seed gives."""
    import importlib

    module, _, name = NETS[config.net].partition(":")
    room = importlib.import_module(module)
    torch.manual_seed(config.seed)
    net: nn.Module = getattr(room, name)(getattr(room, name + "Config")(**config.net_config))
    return net


@dataclass(frozen=True)
class Batches(torch.utils.data.Dataset[Any]):
    """Batch k of a run, from (seed, rank, k) alone.

    With ``bands``, what a net sees and the energies its error follows from, made by the
    process that mixes, so that the one that trains has nothing to transform; without,
    scenes as float32 of shape (batch, 3, 2, segment).
    """

    pack: Pack
    config: TrainConfig
    rank: int = 0
    bands: Bands | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_recipe", Recipe(self.pack, "train"))
        object.__setattr__(self, "_clips", {clip.path: clip for clip in self.pack.clips})

    _recipe: Recipe = field(init=False, repr=False)
    _clips: dict[str, Any] = field(init=False, repr=False)

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, index: int) -> Any:
        scenes = []
        for i in range(self.config.batch):
            rng = np.random.default_rng([self.config.seed, self.rank, index, i])
            plan = self._recipe.draw(rng, self.config.segment)
            scenes.append(torch.from_numpy(render(plan, self.pack, self._clips)))
        if self.bands is None:
            return torch.stack(scenes)
        seen, sums = zip(*(observe(scene[None], self.bands) for scene in scenes), strict=True)
        return torch.cat(seen), Sums(*(torch.cat(part) for part in zip(*sums, strict=True)))


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


def train(
    config: TrainConfig,
    pack: Pack,
    out: Path,
    *,
    device: torch.device | None = None,
    threads: int = 1,
    workers: int = 1,
    minutes: float = math.inf,
    scenes: Tensor | None = None,
    listener: Callable[[dict[str, Any]], None] = lambda entry: None,
    on_step: Callable[[int], None] = lambda step: None,
) -> nn.Module:
    """Train, or go on training, and return the net with the mean weights.

    Parameters
    ----------
    config : TrainConfig
        What to train. A run that lies in ``out`` must have been of the same config, but
        for its number of steps.
    pack : Pack
        The recordings.
    out : Path
        ``last.pt`` and ``log.jsonl`` go there; ``best.pt`` holds the weights with the best
        validation so far.
    device : torch.device, optional
        The CPU if none is given.
    threads, workers : int
        Threads of the arithmetic, and processes that make scenes.
    minutes : float
        Stop after so long, with everything saved.
    scenes : Tensor, optional
        What chooses the best weights, as from `validation_scenes`, which is the default.
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
    _check(pack)
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = device or torch.device("cpu")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    out.mkdir(parents=True, exist_ok=True)
    net = build(config).to(device)
    mean = {name: value.detach().clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.AdamW(
        net.parameters(), config.learning_rate, (0.9, 0.99), weight_decay=config.weight_decay
    )
    step, best = 0, -math.inf
    if (out / "last.pt").exists():
        step, best = _resume(out, config, net, mean, optimizer, device)
    model: nn.Module = net
    if world > 1:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        model = nn.parallel.DistributedDataParallel(net)
    known = None if scenes is None else scenes.to(device)
    began, waited, seen = time.monotonic(), 0.0, 0
    losses: list[float] = []
    bands = None if config.spectral else getattr(net, "bands", None)
    for batch, waiting_s in _timed(_loader(Batches(pack, config, rank, bands), step, workers)):
        waited += waiting_s
        loss = _step(model, batch, config, optimizer, step, device)
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
                known = validation_scenes(pack).to(device)
            gains = validate(build(config).to(device), mean, known)
            if not np.all(np.isfinite(gains)):
                raise _diverged(step, out)
            gain_db = round(float(np.mean(gains)), 3)
            elapsed = time.monotonic() - began
            entry = {
                "step": step,
                "loss_db": round(float(np.mean(losses)), 3),
                "gain_db": gain_db,
                "gains_db": [round(g, 2) for g in gains],
                "learning_rate": learning_rate(config, step - 1),
                "seconds": round(elapsed, 1),
                "steps_per_s": round(seen / elapsed, 3),
                "data_share": round(waited / elapsed, 3),
            }
            if gain_db > best:
                best = gain_db
                _save(out / "best.pt", {"net": mean, "step": step, "gain_db": best})
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
        torch.distributed.destroy_process_group()
    final = build(config)
    final.load_state_dict(mean)
    return final.eval()


def _check(pack: Pack) -> None:
    for split in ("train", "choose"):
        for kind in ("speech", "music", "effects"):
            if not pack.select(split, kind):
                raise AudioError(
                    f"{pack.folder} holds no {kind} in the split {split!r}; training needs "
                    "speech, music and effects of several families each"
                )


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


def _loader(batches: Batches, first: int, workers: int) -> Iterable[Any]:
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
    device: torch.device,
) -> float:
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step)
    if isinstance(batch, Tensor):
        sources = batch.to(device)
        mixture = sources.sum(dim=1)
        with torch.autocast(device.type, torch.bfloat16):
            estimates = model(mixture).float()
        loss = snr_loss(estimates, sources, mixture)
        if config.spectral:
            loss = loss + config.spectral * spectral_loss(estimates, sources)
    else:
        seen, sums = batch[0].to(device), Sums(*(part.to(device) for part in batch[1]))
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(seen, as_planes=True)
        loss = masked_snr_loss(torch.softmax(logits.float(), dim=1), sums)
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
    now = json.loads(json.dumps(asdict(config)))
    changed = [k for k in now if now[k] != before.get(k) and k not in ("steps", "validate_every")]
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
