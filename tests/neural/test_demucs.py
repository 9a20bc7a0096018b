"""The adapter over the package demucs: what it reads, what it refuses, and what it gives."""

import dataclasses
import importlib.util
import json
import os
import random
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from unstir.errors import SettingsError
from unstir.neural.checkpoint import load, random_model
from unstir.neural.demucs_adapter import (
    SOURCES,
    Demucs,
    DemucsConfig,
    load_published,
    published_config,
)

INSTALLED = importlib.util.find_spec("demucs") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="the package demucs is not installed")
TINY = {
    "channels": 8,
    "t_layers": 1,
    "t_heads": 2,
    "bottom_channels": 16,
    "segment": "1/2",
}
KEPT = {**TINY, "segment": Fraction(1, 2), "sources": list(SOURCES)}


def release(path: Path, **changes: object) -> Path:
    """Write a file as the package does, of its class with these arguments."""
    from demucs.htdemucs import HTDemucs

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = HTDemucs(**KEPT)
    state = {name: value.half() for name, value in net.state_dict().items()}
    kwargs = {**KEPT, **changes}
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        coded = {
            k: {"_type": "fraction", "numerator": v.numerator, "denominator": v.denominator}
            if isinstance(v, Fraction)
            else v
            for k, v in kwargs.items()
        }
        notes = {
            "klass": "demucs.htdemucs.HTDemucs",
            "args": "[]",
            "kwargs": json.dumps(coded),
        }
        save_file(state, path, metadata=notes)
    else:
        content = {"klass": HTDemucs, "args": (), "kwargs": kwargs, "state": state}
        torch.save({**content, "training_args": {"optim": {"lr": 3e-4}}}, path)
    return path


@pytest.mark.skipif(INSTALLED, reason="the package demucs is installed")
def test_without_the_package_it_says_what_to_install() -> None:
    with pytest.raises(SettingsError, match=r"pip install 'unstir\[demucs\]'"):
        Demucs()


@needs_package
@pytest.mark.parametrize("name", ["955717e8.safetensors", "955717e8-8726e21a.th"])
def test_a_released_file_gives_its_settings_and_every_weight(name: str, tmp_path: Path) -> None:
    path = release(tmp_path / name)
    assert published_config(path) == DemucsConfig(TINY)
    net = Demucs(published_config(path))
    net.load_state_dict(load_published(path))
    from demucs.htdemucs import HTDemucs

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted = HTDemucs(**KEPT).state_dict()
    for key, value in net.net.state_dict().items():
        torch.testing.assert_close(value, wanted[key].half().float(), rtol=0, atol=0)


@needs_package
@pytest.mark.parametrize("name", ["a.safetensors", "a.th"])
def test_it_can_be_added_and_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unstir.neural.models import add_file
    from unstir.registry import find, make
    from unstir.types import SONG, Mixture

    monkeypatch.setenv("UNSTIR_MODELS", str(tmp_path / "models"))
    assert find("demucs").needs == "weights"
    path = add_file("demucs", release(tmp_path / name))
    assert (load(path).sources, load(path).config) == (SOURCES, DemucsConfig(TINY))
    assert find("demucs").needs == ""
    x = (0.1 * np.random.default_rng(0).standard_normal((2, 60000))).astype(np.float32)
    parts = make("demucs", "song", device="cpu").separate(Mixture(x, 44100))
    assert tuple(parts) == SONG
    np.testing.assert_allclose(sum(parts.values()), x, atol=1e-6)


@needs_package
@pytest.mark.parametrize(("n_channels", "n_samples"), [(1, 1), (2, 1000), (2, 22050), (1, 60000)])
def test_any_length_of_mono_and_stereo_is_taken(n_channels: int, n_samples: int) -> None:
    net = random_model("demucs", DemucsConfig(TINY)).net
    x = torch.randn(2, n_channels, n_samples, generator=torch.Generator().manual_seed(0))
    kept = x.clone()
    with torch.inference_mode():
        y = net(x)
        assert y.shape == (2, 4, n_channels, n_samples) and y.isfinite().all()
        assert torch.equal(net(x), y) and torch.equal(x, kept)
        assert net(torch.zeros_like(x)).isfinite().all()


@needs_package
def test_the_default_is_the_released_size() -> None:
    assert sum(p.numel() for p in Demucs().parameters()) == 41_984_456


@needs_package
def test_chance_elsewhere_is_left_alone(tmp_path: Path) -> None:
    path, before = release(tmp_path / "a.th"), (torch.get_rng_state(), random.getstate())
    random_model("demucs", DemucsConfig(TINY)).net(torch.zeros(1, 2, 100))
    load_published(path)
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("where", ["klass", "kwargs", "state"])
def test_a_pickle_with_code_is_refused_and_runs_nothing(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = {"klass": 0, "args": (SOURCES,), "kwargs": {}, "state": {}, where: _Harmful()}
    torch.save(content, "bad.th")
    for read in (published_config, load_published):
        with pytest.raises(SettingsError, match="can run code"):
            read("bad.th")
    assert not Path("harm").exists()


def test_no_file_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    for name in ("a.th", "a.safetensors"):
        with pytest.raises(SettingsError, match="no checkpoint at"):
            load_published(tmp_path / name)
        (tmp_path / name).write_bytes(b"PK\x03\x04 and nothing")
        with pytest.raises(SettingsError, match="damaged"):
            load_published(tmp_path / name)


@needs_package
def test_another_net_and_another_size_are_refused(tmp_path: Path) -> None:
    six = [*SOURCES, "guitar", "piano"]
    with pytest.raises(SettingsError, match="guitar, piano; a demucs"):
        load_published(release(tmp_path / "six.th", sources=six))
    with pytest.raises(SettingsError, match=r"is no Demucs checkpoint: .* of another shape"):
        load_published(release(tmp_path / "wide.th", channels=16))
    with pytest.raises(SettingsError, match="does not take its settings"):
        load_published(release(tmp_path / "odd.th", no_such_setting=1))


def test_a_module_named_in_a_safetensors_file_is_not_imported(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    notes = {"klass": "antigravity.HTDemucs", "args": "[[]]", "kwargs": "{}"}
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", metadata=notes)
    with pytest.raises(SettingsError, match=r"holds a antigravity\.HTDemucs"):
        load_published(tmp_path / "a.safetensors")
    assert "antigravity" not in sys.modules


def test_the_config_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DemucsConfig().settings = {}  # type: ignore[misc]
