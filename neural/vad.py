"""The voice detector's training: what counts as speech, and how often it is found.

A frame is speech if the true speech stem's level in it is within 40 dB of the stem's active
level. The detector itself is `unstir.neural.vocalnet.Vad`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstir.errors import AudioError
from unstir.neural.batches import resampled
from unstir.neural.pack import SAMPLE_RATE, Clip, Pack
from unstir.neural.render import render
from unstir.neural.scenes import Bus, Recipe, Scene
from unstir.neural.validation import validation_plans

DEPTH_DB = 40.0  # below the active level begins what is no speech
# Best on scenes that choose, within 2 dB and a tenth of a second: a frame holds a voice if its stem
# is above the floor and not further below the mix, and is clear somewhere near.
STEM_FLOOR_DB, STEM_SHARE_DB = -70.0, -36.0
STEM_CLEAR_DB, STEM_NEAR_S = -40.0, 0.5
LEVEL_DB = -29.0  # of a film scene's mix, root mean square, which is about -27 LUFS

# What stands beside the speech: rows of the stems, and whether the music must be sung.
KINDS: Mapping[str, tuple[tuple[int, ...], bool | None]] = {
    "music": ((1,), False),
    "sung music": ((1,), True),
    "effects": ((2,), None),
    "music and effects": ((1, 2), None),
}


def voice_frames(stem: Tensor, n_fft: int, hop_length: int, sample_rate: int) -> Tensor:
    """Return which frames of a voice hold it.

    Parameters
    ----------
    stem : Tensor
        float32, shape (batch, channels, samples): speech, or singing, alone.
    n_fft, hop_length : int
        The detector's frames, in samples.
    sample_rate : int
        In hertz.

    Returns
    -------
    Tensor
        bool, shape (batch, 1 + ceil(samples / hop_length)): whether the level is within
        `DEPTH_DB` of the active level, that of the tenths of a second which are within 40 dB
        of the loudest. Silence holds no voice.

    Examples
    --------
    >>> stem = torch.cat([torch.ones(1, 1, 4096), torch.zeros(1, 1, 4096)], dim=2)
    >>> voice_frames(stem, 1024, 2048, 22050)
    tensor([[ True,  True,  True, False, False]])
    """
    power = stem.square().mean(dim=1)  # (B, N)
    n = power.shape[1]
    tenths = functional.avg_pool1d(power, max(1, min(n, sample_rate // 10)))
    active = tenths >= 1e-4 * tenths.amax(dim=1, keepdim=True)
    level = (tenths * active).sum(dim=1) / active.sum(dim=1)  # (B,)
    frames = frame_power(power, n_fft, hop_length)
    depth = 10 ** (-DEPTH_DB / 10)
    found: Tensor = frames > (depth * level[:, None]).clamp(min=1e-12)
    return found


def loss(net: Any, sources: Tensor) -> Tensor:
    """Return the binary cross entropy of all frames, in nats.

    Parameters
    ----------
    net : Vad
        At the rate of the sources.
    sources : Tensor
        float32, shape (batch, sources, channels, samples), speech first.
    """
    with torch.autocast(sources.device.type, torch.bfloat16):
        logits = net(sources.sum(dim=1))
    c = net.config
    truth = voice_frames(sources[:, 0], c.n_fft, c.hop_length, c.sample_rate)
    return functional.binary_cross_entropy_with_logits(logits.float(), truth.to(torch.float32))


def measures(called: Tensor, truth: Tensor) -> dict[str, float]:
    """Return how well calls of frames agree with the truth.

    Parameters
    ----------
    called, truth : Tensor
        bool, the same shape.

    Returns
    -------
    dict of str to float
        ``balanced_accuracy``, the mean of the shares of speech and of the rest that are called
        right; ``precision``, the share of speech in what is called speech; ``recall``, the
        share of speech that is called so. Each in [0, 1]; NaN where there is nothing to share.

    Examples
    --------
    >>> truth = torch.tensor([True, True, False, False])
    >>> measures(torch.tensor([True, False, False, False]), truth)
    {'balanced_accuracy': 0.75, 'precision': 1.0, 'recall': 0.5}
    """
    recall, rest = _share(called[truth]), _share(~called[~truth])
    return {
        "balanced_accuracy": round((recall + rest) / 2, 4),
        "precision": round(_share(truth[called]), 4),
        "recall": round(recall, 4),
    }


def _share(hits: Tensor) -> float:
    return float(hits.float().mean()) if hits.numel() else float("nan")


@torch.inference_mode()
def validate(net: nn.Module, weights: dict[str, Tensor], scenes: Tensor) -> dict[str, Any]:
    """Return the `measures` over scenes, each heard with its speech and without.

    Without, since film scenes have speech most of the time and singing that is taken for it
    would not show.

    Parameters
    ----------
    net : Vad
        Gets the weights and is left in evaluation mode.
    weights : dict of str to Tensor
        A state of that net.
    scenes : Tensor
        float32, shape (scenes, sources, channels, samples) at the net's rate, speech first.
    """
    net.load_state_dict(weights)
    net.eval()
    pairs = [_heard(net, scene, tuple(range(1, len(scene)))) for scene in scenes]
    called, truth = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return dict(measures(called, truth))


def _heard(net: Any, stems: Tensor, beside: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return calls and truth of a scene with its speech and then without, (2 * frames,) each."""
    rest = stems[list(beside)].sum(dim=0)
    mixtures = torch.stack([stems[0] + rest, rest])  # (2, C, N)
    level = mixtures.square().mean(dim=(1, 2), keepdim=True).sqrt()
    mixtures = mixtures * (10 ** (LEVEL_DB / 20) / level.clamp(min=1e-9))
    with torch.autocast(stems.device.type, torch.bfloat16):
        called = net(mixtures).float() > 0  # (2, T)
    c = net.config
    truth = voice_frames(stems[:1], c.n_fft, c.hop_length, c.sample_rate)  # (1, T)
    return called.flatten(), torch.cat([truth, torch.zeros_like(truth)]).flatten()


@dataclass(frozen=True, slots=True)
class ByStemConfig:
    """The frames of `ByStem`, in samples and hertz."""

    sample_rate: int = SAMPLE_RATE
    n_fft: int = 2048
    hop_length: int = 512


class ByStem(nn.Module):
    """The voice detector that every separating net is: a voice is where its stem is.

    Parameters
    ----------
    net : nn.Module
        Gives the voice first, at 44.1 kHz.

    Examples
    --------
    >>> class Whole(nn.Module):
    ...     def forward(self, mixture):
    ...         return mixture[:, None]
    >>> found = ByStem(Whole())(torch.cat([torch.ones(1, 1, 8192), torch.zeros(1, 1, 8192)], 2))
    >>> (found[0] > 0).sum(), found.shape
    (tensor(18), torch.Size([1, 33]))
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.config = ByStemConfig()

    def forward(self, mixture: Tensor) -> Tensor:
        """Return how sure it is of a voice in each frame, as `unstir.neural.vocalnet.Vad` does.

        Parameters
        ----------
        mixture : Tensor
            float32, shape (batch, channels, samples), at -27 LUFS.

        Returns
        -------
        Tensor
            float32, shape (batch, 1 + ceil(samples / 512)): by how many decibels the voice's stem
            exceeds all of `STEM_FLOOR_DB`, `STEM_SHARE_DB` less than the mix and, somewhere
            within `STEM_NEAR_S`, `STEM_CLEAR_DB`.
        """
        c = self.config
        whole, own = (
            10 * torch.log10(frame_power(x.square().mean(dim=1), c.n_fft, c.hop_length) + 1e-10)
            for x in (mixture, self.net(mixture)[:, 0])
        )
        reach = round(STEM_NEAR_S * c.sample_rate / c.hop_length)
        clear = functional.max_pool1d(own[:, None] - STEM_CLEAR_DB, 2 * reach + 1, 1, reach)[:, 0]
        return torch.minimum(torch.minimum(own - STEM_FLOOR_DB, own - whole - STEM_SHARE_DB), clear)


def frame_power(power: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Return the mean over every frame, (batch, samples) to (batch, 1 + ceil(samples / hop))."""
    n = power.shape[1]
    n_frames = 1 + -(-n // hop_length)
    tail = (n_frames - 1) * hop_length + n_fft // 2 - n
    return functional.avg_pool1d(functional.pad(power, (n_fft // 2, tail)), n_fft, hop_length)


@dataclass(frozen=True, slots=True)
class VoiceScene:
    """A film scene whose singing is known.

    ``stems`` has shape (3, 2, samples): speech, music and effects; ``singing``, of shape
    (2, samples), is what in the music is sung, at some level, or zero. Both are float32 at
    44.1 kHz.
    """

    stems: Tensor
    singing: Tensor


def voice_scenes(
    pack: Pack, split: str, n: int = 40, seconds: float = 10.0
) -> tuple[VoiceScene, ...]:
    """Return scenes with all three stems, always the same of a pack.

    Parameters
    ----------
    pack : Pack
        The recordings.
    split : str
        ``"choose"`` or ``"report"``.
    n : int
        How many scenes.
    seconds : float
        Length of each.
    """
    clips = {clip.path: clip for clip in pack.clips}
    scenes = []
    for plan in validation_plans(Recipe(pack, split), n, seconds):
        sung = replace(plan, speech=(), effects=(), duck_db=0.0, music=_sung(plan, clips))
        scenes.append(
            VoiceScene(
                torch.from_numpy(render(plan, pack, clips)),
                torch.from_numpy(render(sung, pack, clips)[1]),
            )
        )
    return tuple(scenes)


def _sung(plan: Scene, clips: Mapping[str, Clip]) -> tuple[Bus, ...]:
    """Return the buses of the music with nothing but what has a voice in it."""
    buses = []
    for bus in plan.music:
        pieces = tuple(
            piece
            for piece in bus.pieces
            if clips[piece.clip].kind == "singing" or "/vocal/" in piece.clip
        )
        if pieces:
            buses.append(replace(bus, pieces=pieces))
    return tuple(buses)


@torch.inference_mode()
def frame_report(net: Any, scenes: Sequence[VoiceScene]) -> dict[str, Any]:
    """Return how a detector does on scenes, in all and by what stands beside the speech.

    Every scene is taken apart: its speech with its music, with its effects, and with both, and
    each of these again without the speech, all at the level of a film scene's mix.

    Parameters
    ----------
    net : Vad
        In evaluation mode.
    scenes : sequence of VoiceScene
        As `voice_scenes` gives them.

    Returns
    -------
    dict
        The `measures` of all frames; ``"kinds"``, the measures of each of `KINDS` that occurs;
        ``"singing_called_speech"``, the share of frames with singing and without speech that
        are called speech; ``"n_frames"`` and ``"n_singing_frames"``, how many were looked at.

    Raises
    ------
    AudioError
        If there are no scenes.
    """
    if not scenes:
        raise AudioError("there are no scenes to report on; give one at least")
    c = net.config
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    on_singing = []
    for scene in scenes:
        stems = resampled(scene.stems, c.sample_rate)
        singing = resampled(scene.singing, c.sample_rate)[None]
        sung = voice_frames(singing, c.n_fft, c.hop_length, c.sample_rate)[0].repeat(2)
        for kind, (beside, must_be_sung) in KINDS.items():
            if must_be_sung is None or must_be_sung == bool(sung.any()):
                called, truth = _heard(net, stems, beside)
                found.setdefault(kind, []).append((called, truth))
                if 1 in beside:
                    on_singing.append(called[sung & ~truth])
    kinds = {kind: [torch.cat(part) for part in zip(*found[kind], strict=True)] for kind in found}
    called, truth = (torch.cat(part) for part in zip(*kinds.values(), strict=True))
    heard = torch.cat(on_singing)
    return {
        **measures(called, truth),
        "kinds": {kind: measures(*both) for kind, both in kinds.items()},
        "singing_called_speech": round(_share(heard), 4),
        "n_frames": called.numel(),
        "n_singing_frames": heard.numel(),
    }
