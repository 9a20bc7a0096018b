"""Sounds asked for, in words or by recordings, as a separator of the hall."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unstir.audio import open_audio
from unstir.errors import AudioError, SettingsError
from unstir.neural.checkpoint import Model
from unstir.neural.device import choose_precision, finite, inference, resolve
from unstir.neural.embedding_cache import remembered
from unstir.neural.planes import planes_of
from unstir.neural.query_net import QueryNet, n_presence_frames
from unstir.neural.separator import Leveled, gain_to_level_db, open_model, placed
from unstir.neural.text import N_DIMENSIONS, TeacherEncoder, encode, teacher_digest
from unstir.streaming import AtRate
from unstir.types import FILM, Mixture, State, Stems, Waveform

FILM_QUERIES = ("speech", "music", "sound effects")
EXAMPLE_S = 30.0  # of a recording that asks, its loudest stretch
LEAST_EXAMPLE_S = 0.1
Words = Literal["small", "large"]


@dataclass(frozen=True)
class QuerySeparator:
    """What is asked for and what is left, of mixes of any rate, length and level.

    Parameters
    ----------
    stems : tuple of str
        Names of what comes out: one per query, and one more for what is left. Without queries, the
        film's stems: each is asked for by its name, and nothing is left.
    model : str
        Where the net's weights lie, as in `unstir.neural.separator.NetSeparator`.
    queries : tuple of str
        What is asked for.
    likes : tuple of str
        Recordings that ask instead of words, all for one sound; the mean of what they are counts.
    is_negated : bool
        Whether the first stem is everything but what is asked for, and the second the rest.
    words : {"small", "large"}
        Which encoder reads the words: ours, or the one it learned from.
    device, precision : str
        As in `unstir.neural.separator.NetSeparator`.

    Raises
    ------
    SettingsError
        If the numbers of stems and queries do not fit.
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
        device = resolve(self.device)
        object.__setattr__(self, "device", str(device))
        object.__setattr__(self, "precision", choose_precision(device, self.precision))
        queries = queries_for(self.stems, self.queries, self.likes, is_negated=self.is_negated)
        object.__setattr__(self, "queries", queries)

    def survey(self, blocks: Iterable[Mixture], /) -> State:
        """Return the one gain that brings the recording to the net's level, as ``"gain_db"``.

        Raises
        ------
        SettingsError
            If the weights cannot be loaded, or the words or recordings not be read: before
            anything is written.
        """
        self.asked()
        return {"gain_db": np.asarray(gain_to_level_db(list(blocks)), np.float64)}

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return one waveform per stem, each of the mix's shape; they add up to the mix.

        Parameters, errors and returns as of `unstir.neural.separator.NetSeparator.separate`.
        """
        if not mix.waveform.any():
            return {name: np.zeros_like(mix.waveform) for name in self.stems}
        model = open_model(self.model, self.device)
        gain_db = float((self.survey([mix]) if state is None else state)["gain_db"])
        net = Asking(model.net, self.asked(), len(self.stems), is_negated=self.is_negated)
        asking = replace(model, net=net, sources=self.stems)
        leveled = Leveled(self.stems, asking, gain_db, self.model, self.device, self.precision)
        return AtRate(leveled, model.sample_rate).separate(mix)

    def asked(self) -> Tensor:
        """Return what is asked with, float32 of shape (queries, 384), of length 1."""
        stamps = tuple((path, Path(path).stat().st_mtime_ns) for path in map(_there, self.likes))
        return _asked(self.model, self.device, self.queries, stamps, self.words)

    def when(self, mix: Mixture, gain_db: float) -> NDArray[np.float32]:
        """Return how likely every query sounds, frame by frame.

        Parameters
        ----------
        mix : Mixture
            One or two channels at 44.1 kHz.
        gain_db : float
            What brings the recording to the net's level.

        Returns
        -------
        ndarray of float32 in [0, 1], shape (queries, frames)
            A frame every `unstir.neural.query_net.FRAME` samples. In silence nothing sounds.

        Raises
        ------
        AudioError
            If the net gives NaN, or the GPU's memory does not hold the window.
        """
        net = _query_net(open_model(self.model, self.device))
        asked = self.asked()
        if not mix.waveform.any():
            return np.zeros((len(asked), n_presence_frames(mix.n_samples)), np.float32)
        place = torch.device(self.device)
        leveled = (mix.waveform * np.float64(10 ** (gain_db / 20))).astype(np.float32)
        with placed(self.model, mix), inference(place, self.precision):
            sounds = net.when(torch.from_numpy(leveled)[None].to(place), asked.to(place)[None])[0]
            found: NDArray[np.float32] = finite(sounds).cpu().numpy()
        return found


def queries_for(
    stems: tuple[str, ...],
    queries: tuple[str, ...],
    likes: tuple[str, ...] = (),
    *,
    is_negated: bool,
) -> tuple[str, ...]:
    """Return the queries that give the stems: those that came, or without any the film's.

    Parameters
    ----------
    stems, queries, likes, is_negated
        As in `QuerySeparator`.

    Raises
    ------
    SettingsError
        If nothing asks for stems other than the film's, or the numbers do not fit.

    Examples
    --------
    >>> queries_for(("speech", "music", "effects"), (), is_negated=False)
    ('speech', 'music', 'sound effects')
    """
    if not queries and not likes:
        if stems != FILM:
            raise SettingsError(
                f"nothing was asked for to give {', '.join(stems)}; give words for sounds"
            )
        queries = FILM_QUERIES
    n_targets = 1 if likes or is_negated else len(queries)
    if len(stems) - n_targets not in (0, 1) or len(stems) < 2:
        raise SettingsError(
            f"{n_targets} queries came for the stems {', '.join(stems)}; as many queries as stems "
            "are wanted, or one less, and the last stem is what is left"
        )
    return queries


class Asking(nn.Module):
    """The net with its questions, as one that takes a mixture alone.

    Parameters
    ----------
    net : nn.Module
        Takes a mixture, questions and ``rest``, as `QueryNet.forward` does.
    asked : Tensor
        The questions, shape (queries, size of an embedding).
    n_stems : int
        How many stems are wanted: where there are more than questions, the last is what is left.
    is_negated : bool
        Whether all that is not asked for comes first, and the sum of what is second.
    """

    def __init__(self, net: nn.Module, asked: Tensor, n_stems: int, *, is_negated: bool) -> None:
        super().__init__()
        self.net = net
        self.asked = asked
        self.rest = is_negated or n_stems > len(asked)
        self.is_negated = is_negated

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the stems, shape (batch, stems, channels, samples)."""
        asked = self.asked.to(mixture.device)[None].expand(len(mixture), -1, -1)
        found: Tensor = self.net(mixture, asked, rest=self.rest)
        if self.is_negated:
            unwanted = found[:, :-1].sum(dim=1, keepdim=True)
            found = torch.cat([found[:, -1:], unwanted], dim=1)
        return found


def wordless(model: str, mix: Mixture) -> Waveform:
    """Return what a net takes for the target when it is told nothing: zeros for a vector.

    A share of the questions that it trained on were such ones.

    Parameters
    ----------
    model : str
        As in `QuerySeparator`.
    mix : Mixture
        One or two channels at 44.1 kHz.
    """
    stems = ("target", "residual")
    device = str(resolve("auto"))
    opened = open_model(model, device)
    net = Asking(opened.net, torch.zeros(1, N_DIMENSIONS), len(stems), is_negated=False)
    asking = replace(opened, net=net, sources=stems)
    gain_db = gain_to_level_db([mix])
    return Leveled(stems, asking, gain_db, model, device, "fp32").separate(mix)[stems[0]]


def _query_net(model: Model) -> QueryNet:
    if not isinstance(model.net, QueryNet):
        raise SettingsError(
            f"a {type(model.net).__name__} came, which takes no questions; a model of the net "
            "'query' is wanted"
        )
    return model.net


def _there(path: str) -> str:
    if not Path(path).is_file():
        raise AudioError(f"there is no {path!r}; a recording of what to look for is wanted")
    return path


@lru_cache(maxsize=16)
def _asked(
    model: str,
    device: str,
    queries: tuple[str, ...],
    likes: tuple[tuple[str, int], ...],
    words: Words,
) -> Tensor:
    if not likes:
        if words == "small":
            return torch.from_numpy(encode(queries))
        return torch.from_numpy(remembered(teacher_digest(), queries, N_DIMENSIONS, _teacher))
    net = _query_net(open_model(model, device))
    heard = torch.stack([hear(net, path, device) for path, _ in likes])
    return nn.functional.normalize(heard.mean(dim=0, keepdim=True), dim=-1)


@lru_cache(maxsize=1)
def _teacher() -> TeacherEncoder:
    return TeacherEncoder()


def hear(net: QueryNet, path: str, device: str) -> Tensor:
    """Return where a recording stands among the embeddings of words, shape (384,).

    Raises
    ------
    AudioError
        If it cannot be read, is silent, or is shorter than a tenth of a second; and as of
        `hear_mixture`.
    """
    mix = Mixture(_loudest(path), 44100)
    return hear_mixture(net, mix, device)


def hear_mixture(net: QueryNet, mix: Mixture, device: str) -> Tensor:
    """Return what `hear` does, of sound in memory: one or two channels at 44.1 kHz.

    Raises
    ------
    AudioError
        If the net gives NaN or infinity, or the GPU's memory does not hold the sound.
    """
    place = torch.device(device)
    gain = np.float64(10 ** (gain_to_level_db([mix]) / 20))
    leveled = torch.from_numpy((mix.waveform * gain).astype(np.float32))
    with inference(place, "fp32"):
        heard = net.hear(planes_of(leveled[None].to(place), net.bands))[0]
        return finite(heard).cpu().clone()


def _loudest(path: str) -> Waveform:
    """Return the loudest stretch of a recording, at 44.1 kHz and of one or two channels.

    Of more channels, the loudest one alone.
    """
    with open_audio(path) as reader:
        rate = reader.info.sample_rate
        limit = round(EXAMPLE_S * rate)
        best, best_energy, n_samples = np.zeros((1, 0), np.float32), 0.0, 0
        for block in reader.blocks(limit):
            n_samples += block.shape[1]
            energies = np.square(block, dtype=np.float64).sum(axis=1)
            if energies.sum() > best_energy:
                # Beyond stereo the channel that says most: of a film's voice, the center.
                chosen = [int(energies.argmax())] if len(block) > 2 else slice(None)
                best, best_energy = block[chosen].copy(), float(energies.sum())
    if n_samples < LEAST_EXAMPLE_S * rate:
        raise AudioError(
            f"{path!r} lasts {n_samples / rate:.3f} s; a recording of {LEAST_EXAMPLE_S:g} s or "
            "more is wanted"
        )
    if not best_energy:
        raise AudioError(f"{path!r} is silent; a recording of what to look for is wanted")
    waveform = soxr.resample(best.T, rate, 44100, quality="HQ").T
    return np.ascontiguousarray(waveform, np.float32)
