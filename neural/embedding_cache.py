"""Vectors of words kept on disk, for encoders that take seconds to load.

Each lies in a file of its own in the folder of the user's models, named by a hash of the encoder
and the words. There may be no cache: what cannot be read is worked out again, and what cannot be
written is not kept.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unstir.neural.text import Encoder
from unstir.weights import models_folder


def remembered(
    encoder: str, texts: Sequence[str], size: int, load: Callable[[], Encoder]
) -> NDArray[np.float32]:
    """Return the vectors of descriptions; the encoder is loaded only if one is not known yet.

    Parameters
    ----------
    encoder : str
        What tells it from all others, as its digest does.
    texts : sequence of str
        At least one. Each is encoded alone, so that nothing depends on what was asked with it.
    size : int
        Numbers in a vector.
    load : callable
        Gives the encoder.
    """
    encode: Encoder | None = None
    vectors = []
    for text in texts:
        asked = f"{encoder}\n{text}".encode("utf-8", "surrogatepass")
        name = f"{hashlib.sha256(asked).hexdigest()}.npy"
        vector = _read(name, size)
        if vector is None:
            encode = encode or load()
            vector = encode([text])[0]
            with suppress(OSError, RuntimeError):  # the latter where the user has no home
                _write(name, vector)
        vectors.append(vector)
    return np.stack(vectors)


def _folder() -> Path:
    return models_folder() / "embeddings"


def _read(name: str, size: int) -> NDArray[np.float32] | None:
    try:
        with (_folder() / name).open("rb") as file:
            vector: NDArray[np.float32] = np.lib.format.read_array(file, allow_pickle=False)
    except Exception:  # what it makes of a damaged file is without limit
        return None
    is_whole = vector.shape == (size,) and vector.dtype == np.float32
    return vector if is_whole and abs(np.linalg.norm(vector) - 1) < 1e-4 else None


def _write(name: str, vector: NDArray[np.float32]) -> None:
    _folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_folder(), prefix=".adding-") as adding:
        whole = Path(adding) / name
        np.save(whole, vector, allow_pickle=False)
        os.replace(whole, _folder() / name)
