"""What a training run depends on, and the scenes of its steps, each from its number alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.planes import Bands, Sums, observe
from unstir.neural.render import render
from unstir.neural.scenes import STEMS, Recipe
from unstir.neural.songs import SongRecipe
from unstir.types import SONG

SOURCES: Mapping[str, tuple[str, ...]] = {
    "film": STEMS,
    "song": SONG,
    "query": ("target",),
}  # of each kind of scenes, in order
SCENE_RECIPES: Mapping[str, type[Recipe] | type[SongRecipe]] = {"film": Recipe, "song": SongRecipe}
PASSBAND = 0.91  # of Nyquist: where the resamplers of players and editors begin to fall too


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything a training run depends on.

    Parameters
    ----------
    net : str
        A name of `unstir.neural.checkpoint.NETS`.
    net_config : dict
        Fields of the net's config that differ from its defaults.
    scenes : {"film", "song", "query"}
        Speech, music and effects; vocals and accompaniment; or what is asked for.
    loss : {"snr", "si_sdr", "chimera", "ratio", "binary", "voice", "asked"}
        What training makes small, see `unstir.neural.tasks`: the SNR of the stems, or what
        the papers of nets with other heads say; the last is `unstir.neural.query_train`'s.
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
    made : float
        Share of music and effects, or of backings not a song's own, drawn from made or gathered
        recordings, where the pack has any.
    spoken : float
        Of songs: share of scenes in which a talker stands in for the singer.
    wordless : float
        Share of questions without words; all, for a net that never hears any.
    half : 0, 1 or None
        Whether to train on one half of the families alone, see `Pack`.
    seed : int
        Of weights and scenes.
    validate_every : int
        Steps between validations.
    """

    net: str = "compact"
    net_config: dict[str, Any] = field(default_factory=dict)
    scenes: str = "film"
    loss: str = "snr"
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
    made: float = 0.0
    spoken: float = 0.0
    wordless: float = 0.07
    half: int | None = None
    seed: int = 0
    validate_every: int = 250


@dataclass(frozen=True)
class Batches(torch.utils.data.Dataset[Any]):
    """Batch k of a run, from (seed, rank, k) alone.

    With ``bands``, what a net sees and the energies its error follows from, made by the
    process that mixes, so that the one that trains has nothing to transform; without,
    scenes at ``sample_rate`` as float32 of shape (batch, sources, 2, samples).
    """

    pack: Pack
    config: TrainConfig
    rank: int = 0
    bands: Bands | None = None
    sample_rate: int = SAMPLE_RATE

    def __post_init__(self) -> None:
        half = self.config.half
        pack = self.pack if half is None else replace(self.pack, half=half)
        recipe: Recipe | SongRecipe
        if self.config.scenes == "song":
            recipe = SongRecipe(pack, "train", made=self.config.made, spoken=self.config.spoken)
        else:
            recipe = Recipe(pack, "train", made=self.config.made)
        object.__setattr__(self, "_recipe", recipe)
        object.__setattr__(self, "_clips", {clip.path: clip for clip in self.pack.clips})

    _recipe: Recipe | SongRecipe = field(init=False, repr=False)
    _clips: dict[str, Any] = field(init=False, repr=False)

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, index: int) -> Any:
        n_sources = len(SOURCES[self.config.scenes])
        scenes = []
        for i in range(self.config.batch):
            rng = np.random.default_rng([self.config.seed, self.rank, index, i])
            plan = self._recipe.draw(rng, self.config.segment)
            sources = render(plan, self.pack, self._clips)[:n_sources]
            scenes.append(resampled(torch.from_numpy(sources), self.sample_rate))
        if self.bands is None:
            return torch.stack(scenes)
        seen, sums = zip(*(observe(scene[None], self.bands) for scene in scenes), strict=True)
        return torch.cat(seen), Sums(*(torch.cat(part) for part in zip(*sums, strict=True)))


def resampled(sound: Tensor, sample_rate: int) -> Tensor:
    """Return sound at a lower rate, by cutting its spectrum.

    One transform of the whole, which is taken as a circle: no delay and no aliasing; the two
    ends leak into each other a little. The top of what is left falls as it does in resamplers
    of sound files, so that nets meet the same edge when they are used.

    Parameters
    ----------
    sound : Tensor
        float32, shape (..., samples) at 44.1 kHz.
    sample_rate : int
        In hertz, at most 44100; 44100 gives ``sound`` itself.

    Returns
    -------
    Tensor
        float32, shape (..., samples * sample_rate / 44100), rounded.

    Examples
    --------
    >>> resampled(torch.ones(2, 44100), 16000).shape
    torch.Size([2, 16000])
    """
    if sample_rate == SAMPLE_RATE:
        return sound
    n = sound.shape[-1]
    n_out = round(n * sample_rate / SAMPLE_RATE)
    spectrum = torch.fft.rfft(sound)[..., : n_out // 2 + 1]
    place = torch.arange(n_out // 2 + 1, device=sound.device) / (n_out / 2)  # 1 is Nyquist
    fall = ((place - PASSBAND) / (1 - PASSBAND)).clamp(0, 1)
    gain = torch.cos(fall * (torch.pi / 2)).square() * (n_out / n)
    found: Tensor = torch.fft.irfft(spectrum * gain, n_out)
    return found
