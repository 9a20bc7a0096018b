"""What nets are trained to do: what a batch holds, what is made small, what chooses weights.

The trainer's loop is one for all; what differs between separating nets, nets with losses of
their own and the voice detector stands here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unstir.errors import UnknownNameError
from unstir.neural import vad, vocalnet
from unstir.neural.batches import TrainConfig
from unstir.neural.calibration import softened
from unstir.neural.chimera import Chimera
from unstir.neural.clustering import chimera_loss
from unstir.neural.compact import Compact
from unstir.neural.frames import linked_magnitude, stft
from unstir.neural.losses import (
    masked_si_sdr_loss,
    masked_snr_loss,
    si_sdr_loss,
    snr_loss,
    spectral_loss,
)
from unstir.neural.pack import SAMPLE_RATE
from unstir.neural.planes import Bands, Sums
from unstir.neural.validation import validate

Loss = Callable[[Any, Any], Tensor]
SOFTENED_BY = (1.0, 1.4, 2.0)  # temperatures that weights are judged at


@dataclass(frozen=True, slots=True)
class Task:
    """What the trainer asks.

    Parameters
    ----------
    loss : callable
        Net and batch to a scalar; the net runs in bf16 there, the loss itself does not.
    validate : callable
        Net, weights and scenes to entries of the log.
    score : str
        The entry that chooses weights; more is better.
    loss_name : str
        What the mean loss is called in the log.
    bands : Bands or None
        The grid of the batches, or None where they are waveforms.
    sample_rate : int
        Of those and of the scenes that validate, in hertz.
    """

    loss: Loss
    validate: Callable[[nn.Module, dict[str, Tensor], Any], dict[str, Any]]
    score: str
    loss_name: str
    bands: Bands | None
    sample_rate: int


def task(config: TrainConfig, net: nn.Module) -> Task:
    """Return what a net is trained to do.

    Raises
    ------
    UnknownNameError
        If there is no such loss.

    Examples
    --------
    >>> from unstir.neural.vocalnet import Vad
    >>> found = task(TrainConfig(net="vad", loss="voice"), Vad())
    >>> found.score, found.sample_rate
    ('balanced_accuracy', 22050)
    """
    sample_rate = getattr(net.config, "sample_rate", SAMPLE_RATE)
    if config.loss == "voice":
        return Task(vad.loss, vad.validate, "balanced_accuracy", "loss", None, sample_rate)
    if config.loss in ON_PLANES:
        bands = None if config.spectral else getattr(net, "bands", None)
        loss: Loss = partial(_planes_loss, loss=ON_PLANES[config.loss])
        if bands is None:
            own = ON_WAVEFORMS[config.loss]
            loss = partial(_waveform_loss, loss=own, spectral=config.spectral)
        gains = _softened_gains if isinstance(net, Compact) else _gains
        return Task(loss, gains, "gain_db", "loss_db", bands, sample_rate)
    if config.loss not in OTHERS:
        known = ", ".join((*ON_PLANES, "voice", *OTHERS))
        raise UnknownNameError(f"there is no loss {config.loss!r}; there are {known}")
    return Task(OTHERS[config.loss], _gains, "gain_db", "loss", None, sample_rate)


def _gains(net: nn.Module, weights: dict[str, Tensor], scenes: Tensor) -> dict[str, Any]:
    gains = validate(net, weights, scenes)
    return {
        "gain_db": round(float(np.mean(gains)), 3),
        "gains_db": [round(gain, 2) for gain in gains],
    }


def _softened_gains(net: nn.Module, weights: dict[str, Tensor], scenes: Tensor) -> dict[str, Any]:
    """Return the gains at the temperature that suits best.

    A net grows surer of its masks from step to step. Calibration takes that back in the end, so
    it must not decide which weights are the best.
    """
    found = [_gains(net, softened(weights, by), scenes) | {"temperature": by} for by in SOFTENED_BY]
    return max(found, key=lambda entry: entry["gain_db"])


def _planes_loss(net: Any, batch: Any, *, loss: Callable[[Tensor, Sums], Tensor]) -> Tensor:
    seen, sums = batch
    with torch.autocast(seen.device.type, torch.bfloat16):
        logits = net(seen, as_planes=True)
    return loss(torch.softmax(logits.float(), dim=1), Sums(*sums))


def _half(snr: Callable[..., Tensor], si_sdr: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a loss that is the mean of two."""
    return lambda *given: (snr(*given) + si_sdr(*given).mean()) / 2


def _waveform_loss(
    net: Any, sources: Tensor, *, loss: Callable[..., Tensor], spectral: float
) -> Tensor:
    mixture = sources.sum(dim=1)
    with torch.autocast(sources.device.type, torch.bfloat16):
        estimates = net(mixture).float()
    found = loss(estimates, sources, mixture)
    if spectral:
        found = found + spectral * spectral_loss(estimates, sources)
    return found


def _chimera_loss(net: Chimera, sources: Tensor) -> Tensor:
    mixture = net.bands(sources.sum(dim=1))  # (B, K, T)
    parts = net.bands(sources.flatten(0, 1))
    parts = parts.reshape(*sources.shape[:2], *parts.shape[1:])  # (B, S, K, T)
    with torch.autocast(sources.device.type, torch.bfloat16):
        embeddings, masks = net.heads(mixture)
    return chimera_loss(embeddings.float(), masks.float(), mixture, parts)


def _mask_loss(
    net: vocalnet.Vocalnet,
    sources: Tensor,
    *,
    targets: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    n_fft, hop_length = net.config.n_fft, net.config.hop_length
    cells = stft(sources.flatten(0, 1), n_fft, hop_length)
    cells = cells.reshape(*sources.shape[:2], *cells.shape[1:])  # (B, S, C, F, T)
    mixture = linked_magnitude(cells.sum(dim=1))  # (B, F, T)
    magnitudes = torch.stack([linked_magnitude(part) for part in cells.unbind(1)], dim=1)
    with torch.autocast(sources.device.type, torch.bfloat16):
        logits = net.logits(mixture)
    return distance(logits.float(), targets(magnitudes)[:, : logits.shape[1]])


ON_PLANES: Mapping[str, Callable[[Tensor, Sums], Tensor]] = {
    "snr": masked_snr_loss,
    "si_sdr": _half(masked_snr_loss, masked_si_sdr_loss),
}
ON_WAVEFORMS = {"snr": snr_loss, "si_sdr": _half(snr_loss, si_sdr_loss)}
OTHERS: Mapping[str, Loss] = {
    "chimera": _chimera_loss,
    "ratio": partial(_mask_loss, targets=vocalnet.ratio_targets, distance=vocalnet.squared_loss),
    "binary": partial(
        _mask_loss, targets=vocalnet.binary_targets, distance=vocalnet.cross_entropy_loss
    ),
}
