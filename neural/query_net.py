"""The net that is asked for a sound: `Compact`, steered by an embedding of words or of sound.

What its convolutions find does not depend on the question, so that several questions share it; the
core and the decoder are scaled and shifted by what was asked for. A recording can be the question
too: the same convolutions, pooled over time, give it a place among the embeddings of words.
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from unstir.neural.compact import Compact, CompactConfig
from unstir.neural.planes import planes, separate, stft, to_bins

SAMPLE_RATE = 44100
SOURCES = ("target",)  # and what is left
N_PARTS = 8  # of the spectrum, each pooled apart
AT_ONCE = 2  # questions
HOP = 512  # samples between two frames of the planes
FRAME = 4 * HOP  # samples between two frames of the presence
SPAN = 256  # frames of the planes, three seconds: what is judged at once by its sound


@dataclass(frozen=True, slots=True)
class QueryConfig:
    """Sizes of `QueryNet`.

    Parameters
    ----------
    n_embedding : int
        Of what is asked with.
    n_condition : int
        Of what steers.
    channels, hidden, layers, dropout
        As in `unstir.neural.compact.CompactConfig`.
    """

    n_embedding: int = 384
    n_condition: int = 192
    channels: tuple[int, ...] = (24, 48, 80)
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.0


class QueryNet(nn.Module):
    """Masks of what is asked for, linked over the channels, and when it sounds.

    Parameters
    ----------
    config : QueryConfig, optional
        Its sizes.

    References
    ----------
    .. [1] E. Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018,
       eq. 2: a gain and a bias per feature.
    .. [2] X. Liu et al., "Separate What You Describe", Interspeech 2022: a net steered by words.

    Examples
    --------
    >>> net = QueryNet(QueryConfig(channels=(4, 4, 4), hidden=8)).eval()
    >>> asked = torch.nn.functional.normalize(torch.ones(1, 2, 384), dim=-1)
    >>> net(torch.zeros(1, 2, 10000), asked).shape  # two targets and what is left
    torch.Size([1, 3, 2, 10000])
    """

    def __init__(self, config: QueryConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or QueryConfig()
        self.body = Compact(
            CompactConfig(
                n_sources=1,
                channels=c.channels,
                hidden=c.hidden,
                layers=c.layers,
                dropout=c.dropout,
            )
        )
        self.bands = self.body.bands
        self.condition = nn.Sequential(nn.Linear(c.n_embedding, c.n_condition), nn.GELU())
        widths = (c.hidden, 2 * c.hidden, *reversed(c.channels[:-1]))
        self.films = nn.ModuleList(nn.Linear(c.n_condition, 2 * width) for width in widths)
        for film in self.films:  # untrained, nothing is steered
            assert isinstance(film, nn.Linear)  # for the types
            nn.init.zeros_(film.weight)
            nn.init.zeros_(film.bias)
        self.presence = nn.Linear(2 * c.hidden, 1)
        self.judge = nn.Linear(3, 1)  # of the evidence; untrained it repeats the layer
        nn.init.zeros_(self.judge.bias)
        with torch.no_grad():
            self.judge.weight.copy_(torch.tensor([[1.0, 0.0, 0.0]]))
        pooled = 3 * c.channels[-1] * N_PARTS
        self.ear = nn.Sequential(
            nn.Linear(pooled, 256), nn.GELU(), nn.Dropout(0.2), nn.Linear(256, c.n_embedding)
        )

    def logits(self, seen: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Return what masks and presence are made of.

        Parameters
        ----------
        seen : Tensor
            Planes, shape (batch, 5, frames, bands).
        asked : Tensor
            Embeddings of length 1, shape (batch, queries, 384); zeros ask for nothing special.

        Returns
        -------
        tuple of Tensor
            Of what is asked for against what is left, shape (batch, queries, frames, bands); and
            whether it sounds, shape (batch, queries, frames / 4), rounded up.
        """
        x, skips = self.body.encode(seen)
        # A few at a time, so that memory does not grow with their number.
        parts = [
            self._decoded(x, skips, part, seen.shape[2])
            for part in torch.split(asked, AT_ONCE, dim=1)
        ]
        logits, presence = zip(*parts, strict=True)
        return torch.cat(logits, dim=1), torch.cat(presence, dim=1)

    def _decoded(
        self, x: Tensor, skips: list[Tensor], asked: Tensor, n_frames: int
    ) -> tuple[Tensor, Tensor]:
        n_queries = asked.shape[1]
        x = x.repeat_interleave(n_queries, dim=0)
        skips = [skip.repeat_interleave(n_queries, dim=0) for skip in skips]
        steering = self.condition(asked.flatten(0, 1))  # (B * Q, condition)
        rows: list[Tensor] = []

        def steer(number: int, flow: Tensor) -> Tensor:
            gain, bias = self.films[number](steering).chunk(2, dim=-1)
            if flow.dim() == 3:
                flow = flow * (1 + gain[:, None]) + bias[:, None]
            else:
                flow = flow * (1 + gain[:, :, None, None]) + bias[:, :, None, None]
            if number == 1:
                rows.append(flow)
            return flow

        flow = self.body.decode(x, skips, steer)
        logits = self.body.last(flow)[:, 0, :n_frames]  # (B * Q, T, K)
        presence = self.presence(rows[0])[..., 0]  # (B * Q, T')
        logits = logits.reshape(-1, n_queries, *logits.shape[1:])
        return logits, presence.reshape(-1, n_queries, presence.shape[1])

    def hear(self, seen: Tensor) -> Tensor:
        """Return where a recording stands among the embeddings of words.

        Parameters
        ----------
        seen : Tensor
            Planes, shape (batch, 5, frames, bands).

        Returns
        -------
        Tensor
            float32 of length 1, shape (batch, 384).
        """
        x, _ = self.body.encode(seen)
        b, c, t, k = x.shape
        x = x.float().reshape(b, c, t, N_PARTS, k // N_PARTS).mean(dim=4).permute(0, 2, 1, 3)
        rows = x.flatten(2)  # (B, T', channels * parts)
        spread = (rows - rows.mean(dim=1, keepdim=True)).square().mean(dim=1).add(1e-8).sqrt()
        pooled = torch.cat([rows.mean(dim=1), rows.amax(dim=1), spread], dim=1)
        heard: Tensor = nn.functional.normalize(self.ear(pooled), dim=-1)
        return heard

    def forward(self, mixture: Tensor, asked: Tensor, *, rest: bool = True) -> Tensor:
        """Return every target and, last, what is left.

        Parameters
        ----------
        mixture : Tensor
            float32, shape (batch, channels, samples) at 44.1 kHz, best at -27 LUFS; one or two
            channels.
        asked : Tensor
            Embeddings, shape (batch, queries, 384).
        rest : bool
            Whether anything is left; without, the targets share the mixture among themselves.

        Returns
        -------
        Tensor
            float32, shape (batch, queries + 1, channels, samples); they add up to the mixture. What
            two queries both ask for is shared between them.
        """

        def logits(seen: Tensor) -> Tensor:
            wanted, _ = self.logits(seen, asked)
            nothing = torch.zeros_like(wanted[:, : int(rest)])
            return torch.cat([wanted.float(), nothing.float()], dim=1)

        return separate(mixture, self.bands, logits, follow=not self.training)

    def when(self, mixture: Tensor, asked: Tensor) -> Tensor:
        """Return how likely each target sounds, frame by frame.

        Parameters
        ----------
        mixture, asked : Tensor
            As in `forward`.

        Returns
        -------
        Tensor
            float32 in [0, 1], shape (batch, queries, frames), a frame every `FRAME` samples.
        """
        evidence = self.evidence(mixture, asked)
        with torch.autocast(mixture.device.type, enabled=False):
            judged: Tensor = self.judge(evidence)[..., 0]
        return torch.sigmoid(judged)

    def evidence(self, mixture: Tensor, asked: Tensor) -> Tensor:
        """Return what speaks for each target being there, frame by frame.

        A layer says so; something is cut out of the mixture at all; and what is cut out sounds like
        what was asked for. The last two are judged by the `SPAN` around.

        Parameters
        ----------
        mixture, asked : Tensor
            As in `forward`.

        Returns
        -------
        Tensor
            float32, shape (batch, queries, frames, 3): the layer's logit; the logarithm to base 10
            of the part of the energy that is cut out; its cosine to what was asked for.
        """
        cells = stft(mixture, self.bands.n_fft, self.bands.hop_length)  # (B, C, T, F)
        with torch.autocast(mixture.device.type, enabled=False):
            seen = planes(cells, self.bands)
        logits, presence = self.logits(seen, asked)
        n_frames = cells.shape[2]
        found = torch.zeros((*presence.shape, 3), device=mixture.device)  # (B, Q, T', 3)
        found[..., 0] = presence
        # The last span is whole, too, and begins within the one before.
        starts = [*range(0, n_frames - SPAN, SPAN), max(0, n_frames - SPAN)]
        for query, start in product(range(asked.shape[1]), starts):
            part = cells[:, :, start : start + SPAN]
            with torch.autocast(mixture.device.type, enabled=False):
                share = torch.sigmoid(logits[:, query, start : start + SPAN].float())
                cut = to_bins(share, self.bands)[:, None] * part
                seen_of_cut = planes(cut, self.bands)
            energy = _energy(cut) / (_energy(part) + 1e-12)
            likeness = (self.hear(seen_of_cut) * asked[:, query]).sum(dim=-1)
            own = torch.stack([torch.log10(energy + 1e-6), likeness], dim=-1)  # (B, 2)
            found[:, query, start // 4 :, 1:] = own[:, None]  # to be overwritten by the next
        return found


def _energy(cells: Tensor) -> Tensor:
    return torch.view_as_real(cells).square().sum(dim=(1, 2, 3, 4))


def n_presence_frames(n_samples: int) -> int:
    """Return how many frames `QueryNet.when` gives of a waveform.

    Examples
    --------
    >>> n_presence_frames(1), n_presence_frames(10 * FRAME)
    (1, 11)
    """
    n_frames = 1 + -(-n_samples // HOP)  # of the planes
    return -(-n_frames // 4)
