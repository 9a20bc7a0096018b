"""A causal `Compact` on sound as it comes: a few samples in, as many out, a frame later.

The net runs frame by frame. What a layer needs of earlier frames is kept, so nothing is
computed twice and any cutting of the sound into blocks gives the same samples.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from unstir.errors import AudioError, SettingsError
from unstir.neural.compact import SOURCES, Compact
from unstir.neural.planes import planes, to_bins
from unstir.types import Stems, Waveform


class CompactStream:
    """A causal `Compact` as a `unstir.types.StreamSeparator`, for sound at 44.1 kHz.

    What comes out is what ``net`` itself gives for the whole sound, later by ``latency``: a
    sample is done when the last frame that holds it is whole. Level is the caller's matter:
    a stream has no loudness before it ends. The net is put into evaluation mode.

    Parameters
    ----------
    net : Compact
        On any device.
    stems : tuple of str
        Names of its sources, in order.

    Raises
    ------
    SettingsError
        If the net looks ahead, or has another number of sources.

    Examples
    --------
    >>> from unstir.neural.compact import CompactConfig
    >>> net = Compact(CompactConfig(channels=(4, 4, 4), hidden=8, causal=True))
    >>> stream = CompactStream(net)
    >>> stream.latency
    2047
    >>> stream.process(np.ones((2, 100), np.float32))["music"].shape
    (2, 100)
    """

    def __init__(self, net: Compact, stems: tuple[str, ...] = SOURCES) -> None:
        if not net.config.causal or net.config.n_sources != len(stems):
            raise SettingsError(
                f"a net with causal={net.config.causal} and {net.config.n_sources} sources came "
                f"for a stream of {len(stems)} stems; a causal net with as many sources is wanted"
            )
        self.net = net.eval()
        self.stems = stems
        self.reset()

    @property
    def latency(self) -> int:
        """How many samples later everything comes out: a frame less one."""
        return self.net.config.n_fft - 1

    def reset(self) -> None:
        """Forget what came, as between two recordings."""
        self._frames: _Frames | None = None

    def process(self, block: Waveform, /) -> Stems:
        """Return the stems of as many samples, those that came ``latency`` samples ago.

        Parameters
        ----------
        block : ndarray of float32, shape (channels, samples)
            What comes next, of one or two channels, best at -27 LUFS; any number of samples.

        Returns
        -------
        dict of str to ndarray of float32, each of the block's shape
            They add up to what came ``latency`` samples ago, and to silence before that.

        Raises
        ------
        AudioError
            If the block has another shape, type or number of channels than before, or holds NaN
            or infinity, which the net would never forget.
        """
        allowed = (self._frames.n_channels,) if self._frames else (1, 2)
        if block.ndim != 2 or block.shape[0] not in allowed:
            wanted = " or ".join(str(n) for n in allowed)
            raise AudioError(f"a block of shape {block.shape} came; ({wanted}, samples) is wanted")
        if block.dtype != np.float32 or not np.isfinite(block).all():
            raise AudioError(f"a block of {block.dtype} came; finite float32 is wanted")
        if self._frames is None:
            self._frames = _Frames(self.net, block.shape[0])
        with torch.inference_mode():
            sources = self._frames.push(block)  # (S, C, samples)
        return dict(zip(self.stems, sources, strict=True))


class _Frames:
    """Blocks to frames, frames through the net, and frames to blocks."""

    def __init__(self, net: Compact, n_channels: int) -> None:
        c = net.config
        self.n_channels, self.n_fft, self.hop_length = n_channels, c.n_fft, c.hop_length
        self.step = _Step(net)
        self.device = next(net.parameters()).device
        self.bands = net.bands
        self.window = torch.hann_window(c.n_fft, device=self.device)
        # The first frame is centered on the first sample: half of it is silence before.
        self.coming = np.zeros((n_channels, c.n_fft // 2), np.float32)
        self.skip = c.n_fft // 2
        self.sums = torch.zeros(c.n_sources, n_channels, c.n_fft, device=self.device)
        self.norm = torch.zeros(c.n_fft, device=self.device)
        self.done = np.zeros((c.n_sources, n_channels, c.n_fft - 1), np.float32)

    def push(self, block: Waveform) -> Waveform:
        coming = np.concatenate([self.coming, block], axis=1)
        ready, at = [self.done], 0
        while coming.shape[1] - at >= self.n_fft:
            frame = torch.from_numpy(coming[:, at : at + self.n_fft].copy()).to(self.device)
            ready.append(self._frame(frame))
            at += self.hop_length
        self.coming = coming[:, at:]
        out = np.concatenate(ready, axis=2)
        self.done = out[:, :, block.shape[1] :]
        return out[:, :, : block.shape[1]]

    def _frame(self, frame: Tensor) -> Waveform:
        """Return the samples, at most a hop, that no later frame adds to."""
        cells = torch.fft.rfft(frame * self.window)[None, :, None]  # (1, C, 1, F)
        logits = self.step(planes(cells, self.bands))  # (1, S, 1, K)
        shares = to_bins(torch.softmax(logits, dim=1), self.bands)[0]  # (S, 1, F)
        self.sums += torch.fft.irfft(shares * cells[0, :, 0], self.n_fft) * self.window
        self.norm += self.window.square()
        hop = self.hop_length
        ready = self.sums[:, :, :hop] / self.norm[:hop]
        self.sums = nn.functional.pad(self.sums[:, :, hop:], (0, hop))
        self.norm = nn.functional.pad(self.norm[hop:], (0, hop))
        early = min(self.skip, hop)  # what lies before the first sample
        self.skip -= early
        return cast(Waveform, ready[:, :, early:].cpu().numpy())


class _Step:
    """A causal `Compact` on one frame after the other: `Compact.logits`, with memory."""

    def __init__(self, net: Compact) -> None:
        self.net = net
        self.first = _remembering(net.first)
        self.encoder = [
            tuple(_remembering(cast(nn.Sequential, conv)) for conv in cast(nn.Sequential, stage))
            for stage in net.encoder
        ]
        decoder = cast("list[nn.ModuleDict]", list(net.decoder)[::-1])  # outermost first
        self.up = [stage["up"] for stage in decoder]
        self.mix = [_remembering(cast(nn.Sequential, stage["mix"])) for stage in decoder]
        self.waiting: list[Tensor | None] = [None] * len(decoder)
        self.held: list[Tensor | None] = [None] * len(decoder)
        self.memory: tuple[Tensor, Tensor] | None = None

    def __call__(self, seen: Tensor) -> Tensor:
        """Return logits (1, sources, 1, bands) of planes (1, 5, 1, bands)."""
        logits: Tensor = self.net.last(self._level(0, self.first(seen)))
        return logits

    def _level(self, i: int, x: Tensor) -> Tensor:
        """Return what the decoder gives for one frame of level ``i`` of the encoder."""
        if i == len(self.up):
            return self._core(x)
        first, below = self.waiting[i], self.held[i]
        if first is None:
            self.waiting[i] = x
        else:
            narrow, wide = self.encoder[i]
            pair = self.up[i](self._level(i + 1, wide(narrow(torch.cat([first, x], dim=2)))))
            self.waiting[i] = None
            below, self.held[i] = pair[:, :, :1], pair[:, :, 1:]
        if below is None:  # before the first group is whole
            below = torch.zeros_like(x)
        return self.mix[i](torch.cat([below, x], dim=1))

    def _core(self, x: Tensor) -> Tensor:
        _, c, _, k = x.shape
        rows = nn.functional.relu(self.net.into(x.permute(0, 2, 1, 3).reshape(1, 1, c * k)))
        rows, self.memory = self.net.core(rows, self.memory)
        told: Tensor = self.net.out_of(rows).reshape(1, 1, c, k).permute(0, 2, 1, 3)
        return x + told


def _remembering(conv: nn.Sequential) -> Callable[[Tensor], Tensor]:
    """Return a convolution of `Compact` that keeps the frames that its next step needs."""
    pad, *rest = conv
    lower, upper, n_early, _ = cast("tuple[int, int, int, int]", pad.padding)
    past: Tensor | None = None

    def step(x: Tensor) -> Tensor:
        nonlocal past
        if past is None:
            past = x.new_zeros(*x.shape[:2], n_early, x.shape[3])
        x = torch.cat([past, x], dim=2)
        past = x[:, :, x.shape[2] - n_early :]
        x = nn.functional.pad(x, (lower, upper))
        for layer in rest:
            x = layer(x)
        return x

    return step
