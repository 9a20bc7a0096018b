"""AudioSep as a separator of the hall: linked channels, any rate and length, stems that add up.

The published net is mono and answers one question. Here its mask is taken from the root mean square
over the channels, which nothing cancels in, and applied to each of them, so that a sound stays
where it stands; of a mono mix that is the published output. Several questions share what they
claim together, and what is left of the mix is left exactly.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from unstir.errors import SettingsError
from unstir.neural.audiosep import ResUNet30, ResUNet30Config
from unstir.neural.checkpoint import Model, random_model
from unstir.neural.clap import ClapText, clap_folder
from unstir.neural.device import choose_precision, resolve
from unstir.neural.embedding_cache import remembered
from unstir.neural.frames import linked_magnitude, render, stft
from unstir.neural.query import Asking, Words, queries_for
from unstir.neural.separator import Leveled, gain_to_level_db, open_model
from unstir.streaming import AtRate
from unstir.types import Mixture, State, Stems
from unstir.weights import locate

RANDOM = "random:audiosep"
SMALL = ResUNet30Config(widths=(8, 16, 16))  # what is drawn: the published size takes its time
FLOOR = 1e-5  # of the magnitudes that the net sees, as published
BARELY = 1e-6  # of a mask, so that cells that no question claims are shared evenly


@dataclass(frozen=True)
class AudioSepSeparator:
    """What words ask AudioSep for, and what is left, of mixes of any rate, length and level.

    Parameters
    ----------
    stems : tuple of str
        As in `unstir.neural.query.QuerySeparator`: one name per query, and one more for what is
        left; or the film's stems, each asked for by its name.
    model : str
        Where the net's weights lie, as in `unstir.neural.separator.NetSeparator`; the CLAP model
        that reads the words lies beside them. ``"random:audiosep"`` is a small net with drawn
        weights and no CLAP model: each query's condition is drawn too, by a hash of its words.
    queries : tuple of str
        What is asked for.
    likes : tuple of str
        Must be empty: recordings cannot ask.
    is_negated : bool
        Whether the first stem is everything but what is asked for, and the second the rest.
    words : {"small"}
        Nothing but CLAP reads the words.
    device, precision : str
        As in `unstir.neural.separator.NetSeparator`.

    Raises
    ------
    SettingsError
        If the numbers of stems and queries do not fit, or something else than words asks.

    References
    ----------
    X. Liu et al., "Separate Anything You Describe", 2023, arXiv 2308.05037.

    Examples
    --------
    >>> asked = AudioSepSeparator(("target", "residual"), "random:audiosep", ("a dog",))
    >>> noise = np.random.default_rng(0).standard_normal((2, 400)).astype(np.float32)
    >>> parts = asked.separate(Mixture(noise, 32000))
    >>> bool(np.allclose(parts["target"] + parts["residual"], noise, atol=1e-5))
    True
    """

    stems: tuple[str, ...]
    model: str
    queries: tuple[str, ...] = ()
    likes: tuple[str, ...] = ()
    is_negated: bool = False
    words: Words = "small"
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.likes or self.words != "small":
            raise SettingsError(
                "audiosep is asked in words alone, which CLAP reads; leave out --like and --words, "
                "or use --method query"
            )
        device = resolve(self.device)
        object.__setattr__(self, "device", str(device))
        object.__setattr__(self, "precision", choose_precision(device, self.precision))
        queries = queries_for(self.stems, self.queries, is_negated=self.is_negated)
        object.__setattr__(self, "queries", queries)

    def survey(self, blocks: Iterable[Mixture], /) -> State:
        """Return the one gain that brings the recording to the nets' level, as ``"gain_db"``.

        Raises
        ------
        SettingsError
            If the weights or the CLAP model cannot be loaded: before anything is written.
        """
        self.asked()
        return {"gain_db": np.asarray(gain_to_level_db(list(blocks)), np.float64)}

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return one waveform per stem, each of the mix's shape; they add up to the mix.

        Parameters, errors and returns as of `unstir.neural.separator.NetSeparator.separate`.
        """
        if not mix.waveform.any():
            return {name: np.zeros_like(mix.waveform) for name in self.stems}
        model = self._opened()
        gain_db = float((self.survey([mix]) if state is None else state)["gain_db"])
        net = Asking(
            LinkedMasks(model.net), self.asked(), len(self.stems), is_negated=self.is_negated
        )
        asking = replace(model, net=net, sources=self.stems)
        leveled = Leveled(self.stems, asking, gain_db, self.model, self.device, self.precision)
        return AtRate(leveled, model.sample_rate).separate(mix)

    def asked(self) -> Tensor:
        """Return what is asked with, float32 of shape (queries, 512), of length 1.

        Raises
        ------
        SettingsError
            If the weights or the CLAP model cannot be loaded.
        """
        model = self._opened()
        if self.model == RANDOM:
            return torch.stack(
                [drawn(words, model.config.condition_size) for words in self.queries]
            )
        folder, sha256 = clap_folder(locate(self.model)), model.card.get("clap_sha256") or ""
        return _read(folder, sha256, self.queries, model.config.condition_size)

    def _opened(self) -> Model:
        model = _drawn(self.device) if self.model == RANDOM else open_model(self.model, self.device)
        if not isinstance(model.net, ResUNet30):
            raise SettingsError(
                f"a {type(model.net).__name__} came; a model of the net 'audiosep' is wanted"
            )
        return model


class LinkedMasks(nn.Module):
    """The net over any number of channels and questions, one mask per question for all channels.

    Parameters
    ----------
    net : ResUNet30
        The net.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        assert isinstance(net, ResUNet30)
        self.net = net

    def forward(self, mixture: Tensor, asked: Tensor, *, rest: bool = True) -> Tensor:
        """Return what the questions ask for, and what is left.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, channels, samples)
            At 32 kHz.
        asked : Tensor of float32, shape (batch, queries, condition_size)
            The questions.
        rest : bool
            Whether what is left comes last; otherwise it is shared out, too.

        Returns
        -------
        Tensor of float32, shape (batch, queries + rest, channels, samples)
            They add up to the mixture.
        """
        n_fft, hop = self.net.config.n_fft, self.net.config.hop_length
        cells = stft(mixture, n_fft, hop)  # (B, C, F, T)
        magnitude = linked_magnitude(cells).clamp(min=FLOOR)  # (B, F, T)
        # One question at a time: the net's planes for one take most of the memory.
        masks = torch.stack(
            [self.net.base(magnitude, self.net.shifts(one)) for one in asked.unbind(dim=1)], dim=1
        )  # (B, Q, F, T)
        found = render(cells, agreed(masks, rest=rest), n_fft, hop, mixture.shape[-1])
        if rest:
            left = mixture[:, None] - found.sum(dim=1, keepdim=True)
            found = torch.cat([found, left], dim=1)
        return found


def agreed(masks: Tensor, *, rest: bool) -> Tensor:
    """Return masks that claim no more than there is.

    Parameters
    ----------
    masks : Tensor of complex64, shape (batch, queries, bins, frames)
        Each at most 1 in magnitude.
    rest : bool
        Whether something may be left. Then, where the magnitudes add up to more than 1, each is
        divided by their sum. Otherwise what the masks leave, or claim too much, is shared in
        proportion to their magnitudes, and they add up to 1.

    Returns
    -------
    Tensor of complex64, the same shape
        One mask that leaves a rest stays as it is.

    Examples
    --------
    >>> claims = torch.tensor([1.0, 0.6]).reshape(1, 2, 1, 1).to(torch.complex64)
    >>> agreed(claims, rest=True).real.flatten(), agreed(claims / 2, rest=False).real.flatten()
    (tensor([0.6250, 0.3750]), tensor([0.6250, 0.3750]))
    """
    size = masks.abs()
    if rest:
        return masks / size.sum(dim=1, keepdim=True).clamp(min=1)
    share = (size + BARELY) / (size + BARELY).sum(dim=1, keepdim=True)
    return masks + share * (1 - masks.sum(dim=1, keepdim=True))


def drawn(words: str, size: int) -> Tensor:
    """Return a unit vector that is always the same for the same words, and means nothing.

    Examples
    --------
    >>> bool((drawn("a dog", 8) == drawn("a dog", 8)).all()), len(drawn("rain", 8))
    (True, 8)
    """
    seed = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8])
    vector = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    return nn.functional.normalize(torch.from_numpy(vector), dim=0)


@lru_cache(maxsize=1)
def _drawn(device: str) -> Model:
    model = random_model("audiosep", SMALL)
    model.net.to(device)
    return model


# The vectors are remembered, not the encoder, which takes half a gigabyte.
@lru_cache(maxsize=16)
def _read(folder: Path, sha256: str, queries: tuple[str, ...], size: int) -> Tensor:
    return torch.from_numpy(remembered(sha256, queries, size, partial(ClapText, folder, sha256)))
