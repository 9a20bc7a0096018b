"""What the net that is asked trains on, what is made small, and what chooses its weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unstir.neural.batches import TrainConfig
from unstir.neural.captions import classes
from unstir.neural.losses import FLOOR, SILENT, masked_si_sdr_loss
from unstir.neural.pack import Pack
from unstir.neural.planes import Bands, Sums, observe, planes_of
from unstir.neural.plans import Bus, Piece, Scene
from unstir.neural.query_net import FRAME, QueryNet, n_presence_frames
from unstir.neural.query_scenes import Asked, QueryRecipe
from unstir.neural.render import render
from unstir.neural.scenes import _tilt
from unstir.neural.tasks import Task
from unstir.neural.train import Observed
from unstir.neural.validation import si_sdr_gain_db

Embed = Callable[[Sequence[str]], NDArray[np.float32]]  # words to rows of length 1

EXAMPLE = 88_064 - 512  # samples of a recording that asks: 2 s
BY_EAR = 0.15  # share of questions put by a recording
N_CHOSEN, CHOSEN_SEED, CHOSEN_S = 80, 1000, 6.0
SHARPNESS = 12.0  # of the choice among names


class Questions(NamedTuple):
    """A batch.

    ``seen`` (batch, 5, frames, bands) and ``sums`` of target and rest are as of
    `unstir.neural.planes.observe`; ``asked`` (batch, 384) is the words' embedding, ``by_ear``
    (batch,) says where ``example`` (batch, 5, frames, bands) asks instead; ``number`` (batch,) is
    that of the narrowest class of the example; ``sounding`` (batch, frames / 4) is 1 where the
    target is to be heard.
    """

    seen: Tensor
    sums: Sums
    asked: Tensor
    by_ear: Tensor
    example: Tensor
    number: Tensor
    sounding: Tensor


@dataclass(frozen=True)
class QueryBatches(torch.utils.data.Dataset[Any]):
    """Batch k of a run, from (seed, k) alone; every question by one of some encoders."""

    pack: Pack
    config: TrainConfig
    encoders: Sequence[Embed]
    bands: Bands

    def __post_init__(self) -> None:
        object.__setattr__(self, "_recipe", QueryRecipe(self.pack, "train"))
        object.__setattr__(self, "_clips", {clip.path: clip for clip in self.pack.clips})
        object.__setattr__(self, "_numbers", {name: k for k, name in enumerate(classes())})

    _recipe: QueryRecipe = field(init=False, repr=False)
    _clips: dict[str, Any] = field(init=False, repr=False)
    _numbers: dict[str, int] = field(init=False, repr=False)

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, index: int) -> Questions:
        items = [self._item(index, i) for i in range(self.config.batch)]
        seen, sums, *others = zip(*items, strict=True)
        joined = Sums(*(torch.cat(part) for part in zip(*sums, strict=True)))
        return Questions(torch.cat(seen), joined, *(torch.stack(part) for part in others))

    def _item(self, index: int, i: int) -> tuple[Any, ...]:
        rng = np.random.default_rng([self.config.seed, index, i])
        asked = self._recipe.draw(rng, self.config.segment)
        sources = two_sources(asked, self.pack, self._clips)
        seen, sums = observe(sources[None], self.bands)
        embed = self.encoders[int(rng.integers(len(self.encoders)))]
        words = torch.from_numpy(embed([asked.caption])[0])
        # No encoder puts a caption exactly where another one does.
        noise = torch.from_numpy(rng.normal(size=len(words)).astype(np.float32))
        words = words + float(rng.uniform(0, 0.6)) * noise / noise.norm()
        words = nn.functional.normalize(words, dim=0)
        dice = rng.random()
        wordless = dice < self.config.wordless
        if wordless:
            words = torch.zeros_like(words)
        # One recording cannot ask for all that the music or the effects of a film are.
        by_ear = torch.tensor(not wordless and dice > 1 - BY_EAR and asked.target == 0)
        example = _example(rng, asked, self.pack, self._clips)
        heard = planes_of(example[None], self.bands)[0]
        number = torch.tensor(self._numbers[asked.sounds[0]])
        return seen, sums, words, by_ear, heard, number, sounding(sources)


def two_sources(asked: Asked, pack: Pack, clips: dict[str, Any]) -> Tensor:
    """Return what is asked for and what is left, float32 of shape (2, 2, samples)."""
    stems = render(asked.scene, pack, clips)
    target = stems[asked.target]
    return torch.from_numpy(np.stack([target, stems.sum(axis=0) - target]))


def sounding(sources: Tensor) -> Tensor:
    """Return when the first of two sources is to be heard.

    Parameters
    ----------
    sources : Tensor
        Shape (2, channels, samples).

    Returns
    -------
    Tensor
        1 where a frame of `FRAME` samples is within 40 dB of the loudest one and of what else
        sounds within 20 dB, else 0; float32 of shape (frames,).
    """
    n = sources.shape[-1]
    n_frames = n_presence_frames(n)
    padded = nn.functional.pad(sources, (FRAME // 2, n_frames * FRAME - n))
    frames = padded[..., : n_frames * FRAME].reshape(2, -1, n_frames, FRAME)
    target, rest = frames.square().mean(dim=(1, 3))
    loud = target > 1e-4 * target.max().clamp(min=1e-9)
    found: Tensor = (loud & (target > 1e-2 * rest)).float()
    return found


def _example(rng: np.random.Generator, asked: Asked, pack: Pack, clips: dict[str, Any]) -> Tensor:
    """Return a recording that asks, at the level of the nets, shape (2, samples)."""
    clip = clips[asked.example]
    start = int(rng.integers(0, max(1, clip.n_samples - EXAMPLE)))
    length = min(clip.n_samples - start, EXAMPLE)
    at = int(rng.integers(0, max(1, EXAMPLE - length))) if rng.random() < 0.5 else 0
    bus = Bus(
        (Piece(clip.path, start, at, length),),
        pan=(0.0, 0.0) if clip.channels == 1 else None,
        tilt_db=_tilt(rng, 3),
    )
    scene = Scene(EXAMPLE, (bus,), mix_db=-29.0 + float(rng.normal(0, 3)))
    return torch.from_numpy(render(scene, pack, clips)[0])


def chosen(pack: Pack, embed: Embed, split: str = "choose") -> list[tuple[Tensor, Tensor]]:
    """Return scenes of two sounds that choose weights, with what they are asked for.

    Parameters
    ----------
    pack : Pack
        The recordings.
    embed : callable
        Words to embeddings.
    split : str
        Of the recordings.

    Returns
    -------
    list of (Tensor, Tensor)
        Target and rest, float32 of shape (2, 2, samples), and the embedding of the name.
    """
    recipe = QueryRecipe(pack, split, film=0)
    clips = {clip.path: clip for clip in pack.clips}
    found = []
    for i in range(N_CHOSEN):
        rng = np.random.default_rng([CHOSEN_SEED, i])
        asked = recipe.draw(rng, int(CHOSEN_S * 44100), full=True)
        words = torch.from_numpy(embed([asked.caption])[0])
        found.append((two_sources(asked, pack, clips), words))
    return found


def task(embed: Embed, bands: Bands) -> Task:
    """Return what is made small, and what chooses."""
    names = torch.from_numpy(embed(list(classes())))

    def loss(net: Any, batch: Any) -> Tensor:
        batch = Questions(*batch)
        with torch.autocast(batch.seen.device.type, torch.bfloat16):
            heard = net.hear(batch.example)
            by_ear = batch.by_ear[:, None]
            asked = torch.where(by_ear, heard.detach().float(), batch.asked)
            logits, presence = net.logits(batch.seen, asked[:, None])
        share = torch.sigmoid(logits.float())
        separated = asked_loss(share[:, 0], Sums(*batch.sums))
        # Without words nobody can say what is there.
        told = batch.asked.abs().sum(dim=1).gt(0) | batch.by_ear
        wrong = nn.functional.binary_cross_entropy_with_logits(
            presence[:, 0].float(), batch.sounding, reduction="none"
        ).mean(dim=1)
        there = (wrong * told).sum() / told.sum().clamp(min=1)
        likeness = SHARPNESS * heard.float() @ names.to(heard.device).T
        named = nn.functional.cross_entropy(likeness, batch.number)
        total: Tensor = separated + 2 * there + 0.5 * named
        return total

    return Task(loss, _validate, "gain_db", "loss", bands, 44100)


def asked_loss(share: Tensor, sums: Sums) -> Tensor:
    """Return how far target and rest are off, in dB; of a target that is absent, how loud it is.

    The mean of their SNR, which knows their levels, and of the target's SI-SDR, by which a net that
    is not sure does better to leave more in than to cut out a little of the wrong sound.
    Beside what sounds, silence counts little (15 dB at most, and half): otherwise a net that does
    not yet understand the question learns to give nothing, whatever it is asked.

    Parameters
    ----------
    share : Tensor
        The target's mask, shape (batch, frames, bands).
    sums : Sums
        Of target and rest.

    Returns
    -------
    Tensor
        A scalar.
    """
    masks = torch.stack([share, 1 - share], dim=1)
    error = (masks * (masks * sums.mixture - 2 * sums.cross)).sum((2, 3)) + sums.energy
    error = error.clamp(min=0)
    mixture = sums.mixture.sum((2, 3))
    soft = FLOOR * sums.energy + FLOOR * 0.25 * mixture + 1e-6
    off = 10 * torch.log10((error + soft) / (sums.energy + soft))
    quiet = 0.03 * mixture[:, 0] + 1e-6
    loud = 10 * torch.log10((error[:, 0] + quiet) / quiet)
    absent = sums.energy[:, 0] < SILENT * mixture[:, 0]
    wrong = masked_si_sdr_loss(masks, sums)[:, 0]
    return torch.where(absent, loud / 2, (off.mean(dim=1) + wrong) / 2).mean()


@torch.inference_mode()
def _validate(net: nn.Module, weights: dict[str, Tensor], scenes: Any) -> dict[str, Any]:
    assert isinstance(net, QueryNet)  # for the types
    net.load_state_dict(weights)
    net.eval()
    gains = []
    for sources, words in scenes:
        mixture = sources.sum(dim=0)[None]
        with torch.autocast(sources.device.type, torch.bfloat16):
            estimates = net(mixture, words[None, None])
        gains.append(si_sdr_gain_db(estimates.float()[:, :1], sources[None, :1], mixture)[0, 0])
    found = torch.stack(gains)
    return {
        "gain_db": round(float(found.mean()), 3),
        "median_db": round(float(found.median()), 3),
        "helped": round(float((found > 0).float().mean()), 3),
    }


def observed(config: TrainConfig, pack: Pack, encoders: Sequence[Embed]) -> Observed:
    """Return what a run trains on, and what for.

    Parameters
    ----------
    config : TrainConfig
        Of the run; its seed, segment, batch and steps count.
    pack : Pack
        The recordings.
    encoders : sequence of callable
        Words to embeddings. Training uses all of them, so that users may; the first one chooses.
    """
    bands = Bands()
    batches = QueryBatches(pack, config, tuple(encoders), bands)
    return Observed(batches, chosen(pack, encoders[0]), task(encoders[0], bands))
