"""Other families of small nets, to compare `unstir.neural.compact` with at equal compute.

Both see the same planes as `Compact` and give logits per band, so that they train on the
same data with the same loss.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unstir.neural.planes import N_PLANES, Bands, separate

SAMPLE_RATE = 44100
SOURCES = ("speech", "music", "effects")


@dataclass(frozen=True, slots=True)
class BandBlstmConfig:
    """Sizes of `BandBlstm`.

    Parameters
    ----------
    n_sources, n_bands, n_single : int
        Masks; bands, and how many of them are one bin wide.
    hidden, layers : int
        Units per direction, and layers.
    """

    n_sources: int = 3
    n_bands: int = 256
    n_single: int = 160
    hidden: int = 256
    layers: int = 3


class BandBlstm(nn.Module):
    """A BLSTM over all bands at once, as Open-Unmix and MRX have it.

    References
    ----------
    .. [1] F.-R. Stöter et al., "Open-Unmix - a reference implementation for music source
       separation", JOSS 4(41), 2019.
    """

    def __init__(self, config: BandBlstmConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or BandBlstmConfig()
        self.bands = Bands(n_bands=c.n_bands, n_single=c.n_single)
        flat = N_PLANES * c.n_bands
        self.into = nn.Sequential(nn.Linear(flat, 2 * c.hidden), nn.LayerNorm(2 * c.hidden))
        self.core = nn.LSTM(2 * c.hidden, c.hidden, c.layers, batch_first=True, bidirectional=True)
        self.out_of = nn.Sequential(
            nn.Linear(4 * c.hidden, 2 * c.hidden),
            nn.ReLU(),
            nn.Linear(2 * c.hidden, c.n_sources * c.n_bands),
        )

    def forward(self, mixture: Tensor, *, as_planes: bool = False) -> Tensor:
        """Return the sources, as `Compact` does; or, of planes, the logits."""
        return self.logits(mixture) if as_planes else separate(mixture, self.bands, self.logits)

    def logits(self, seen: Tensor) -> Tensor:
        """Return what the masks are made of, shape (batch, sources, frames, bands)."""
        b, _, t, k = seen.shape
        x = torch.tanh(self.into(seen.permute(0, 2, 1, 3).reshape(b, t, -1)))  # (B, T, 2H)
        x = self.out_of(torch.cat([x, self.core(x)[0]], dim=-1))
        logits: Tensor = x.reshape(b, t, -1, k).permute(0, 2, 1, 3)
        return logits


@dataclass(frozen=True, slots=True)
class BandSplitConfig:
    """Sizes of `BandSplit`.

    Parameters
    ----------
    n_sources, n_bands, n_single : int
        Masks; bands, and how many of them are one bin wide.
    group : int
        Neighboring bands that are one token.
    width, layers : int
        Features of a token, and pairs of recurrences over time and over bands.
    """

    n_sources: int = 3
    n_bands: int = 256
    n_single: int = 160
    group: int = 16
    width: int = 64
    layers: int = 3


class BandSplit(nn.Module):
    """Recurrences over time and over groups of bands, in turns.

    References
    ----------
    .. [1] Y. Luo and J. Yu, "Music source separation with band-split RNN", IEEE/ACM TASLP
       31, 2023.
    """

    def __init__(self, config: BandSplitConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or BandSplitConfig()
        self.bands = Bands(n_bands=c.n_bands, n_single=c.n_single)
        self.n_tokens = c.n_bands // c.group
        self.into = nn.Parameter(
            torch.randn(self.n_tokens, N_PLANES * c.group, c.width) / (N_PLANES * c.group) ** 0.5
        )
        self.places = nn.Parameter(torch.zeros(self.n_tokens, c.width))

        def recurrences() -> nn.ModuleList:
            return nn.ModuleList(
                nn.ModuleDict(
                    {
                        "norm": nn.LayerNorm(c.width),
                        "core": nn.LSTM(c.width, c.width, batch_first=True, bidirectional=True),
                        "out": nn.Linear(2 * c.width, c.width),
                    }
                )
                for _ in range(c.layers)
            )

        self.over_time = recurrences()
        self.over_bands = recurrences()
        self.out_of = nn.Parameter(
            torch.randn(self.n_tokens, c.width, c.n_sources * c.group) / c.width**0.5
        )

    def forward(self, mixture: Tensor, *, as_planes: bool = False) -> Tensor:
        """Return the sources, as `Compact` does; or, of planes, the logits."""
        return self.logits(mixture) if as_planes else separate(mixture, self.bands, self.logits)

    def logits(self, seen: Tensor) -> Tensor:
        """Return what the masks are made of, shape (batch, sources, frames, bands)."""
        c = self.config
        b, p, t, k = seen.shape
        tokens = seen.reshape(b, p, t, self.n_tokens, c.group).permute(0, 2, 3, 1, 4)
        tokens = tokens.reshape(b, t, self.n_tokens, p * c.group)
        x = torch.einsum("btni,nio->btno", tokens, self.into) + self.places  # (B, T, N, W)
        for time, band in zip(self.over_time, self.over_bands, strict=True):
            rows = x.transpose(1, 2).reshape(b * self.n_tokens, t, c.width)
            rows = _recur(time, rows).reshape(b, self.n_tokens, t, c.width)
            x = x + rows.transpose(1, 2)
            x = x + _recur(band, x.reshape(b * t, self.n_tokens, c.width)).reshape(x.shape)
        out = torch.einsum("btni,nio->btno", x, self.out_of)
        out = out.reshape(b, t, self.n_tokens, c.n_sources, c.group).permute(0, 3, 1, 2, 4)
        return out.reshape(b, c.n_sources, t, k)


def _recur(stage: nn.Module, rows: Tensor) -> Tensor:
    parts = dict(stage.named_children())
    out: Tensor = parts["out"](parts["core"](parts["norm"](rows))[0])
    return out
