"""A small made corpus and its pack, written once."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.tiny_corpus import write_corpus
from unstir.neural.pack import Clip, Pack, pack


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of a minute of made recordings with its manifest; not to be changed."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def tiny_pack(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Return it packed."""
    folder = tmp_path_factory.mktemp("packs") / "tiny"
    assert list(pack(tiny_corpus, folder))
    return Pack(folder)


@pytest.fixture(scope="session")
def tiny_clips(tiny_pack: Pack) -> Mapping[str, Clip]:
    """Return its clips by path."""
    return {clip.path: clip for clip in tiny_pack.clips}


@pytest.fixture
def script_named(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return what imports a file of ``scripts`` as it sees itself, its neighbors beside it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    return import_module
