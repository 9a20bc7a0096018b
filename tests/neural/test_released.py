"""Released checkpoints load exactly, or are refused in a sentence; no code in them runs."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.neural.reference_weights import hollow, refusal, shapes_of
from unstir.neural import audiosep, mrx
from unstir.neural.audiosep import ResUNet30
from unstir.neural.mrx import MRX
from unstir.neural.released import load_released

NETS = [(MRX, mrx.load_published, ResUNet30), (ResUNet30, audiosep.load_published, MRX)]

Load = Callable[[Path], dict[str, Tensor]]


def small_net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def load(path: Path) -> dict[str, Tensor]:
    return load_released(path, small_net)


def saved(path: Path, content: object, **options: bool) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("prefix", ["", "model.", "module.net."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_loads_bare_or_wrapped(tmp_path: Path, prefix: str, wrapped: bool) -> None:
    net = small_net()
    weights = {prefix + name: value for name, value in net.state_dict().items()}
    assert f"{prefix}1.num_batches_tracked" in weights
    content = {"state_dict": weights, "epoch": 3} if wrapped else weights
    found = load(saved(tmp_path / "net.pth", content))
    assert list(found) == list(shapes_of(net))
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in found.items())


def test_what_is_not_the_net_s_is_skipped_if_that_is_known(tmp_path: Path) -> None:
    weights = {f"net.{name}": value for name, value in small_net().state_dict().items()}
    path = saved(tmp_path / "net.pth", {"text.scale": torch.zeros(()), **weights})
    assert "1 unknown (text.scale)" in refusal(load, path)
    found = load_released(path, small_net, lambda name: not name.startswith("text."))
    assert list(found) == list(shapes_of(small_net()))


@pytest.mark.parametrize(("net_class", "load_published", "_other"), NETS)
def test_what_loads_is_what_was_saved_and_fits_the_net(
    tmp_path: Path, net_class: type[nn.Module], load_published: Load, _other: object
) -> None:
    net = net_class()
    found = load_published(saved(tmp_path / "net.pth", net.state_dict()))
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in found.items())
    net.load_state_dict(found)


@pytest.mark.parametrize(("net_class", "load_published", "other"), NETS)
def test_a_checkpoint_of_another_net_is_refused_by_name(
    tmp_path: Path, net_class: type[nn.Module], load_published: Load, other: type[nn.Module]
) -> None:
    with torch.device("meta"):
        wanted, weights = shapes_of(net_class()), hollow(shapes_of(other()))
    message = refusal(load_published, saved(tmp_path / "other.pth", weights))
    assert f"{len(wanted)} missing ({next(iter(wanted))}, " in message
    assert len(message) < 400


def test_weights_without_a_place_are_counted_and_the_first_of_them_named(tmp_path: Path) -> None:
    weights = {**small_net().state_dict(), **{f"more{i}": torch.zeros(1) for i in range(5)}}
    message = refusal(load, saved(tmp_path / "net.pth", weights))
    assert "5 unknown (more0, more1, more2, …)" in message


def test_a_missing_an_unknown_and_a_misshapen_weight_are_each_named(tmp_path: Path) -> None:
    weights = dict(small_net().state_dict())
    del weights["1.bias"]
    weights["2.bias"] = torch.zeros(4)
    weights["0.bias"] = torch.zeros(5)
    weights["1.weight"] = torch.zeros(4, dtype=torch.int64)
    weights["1.running_mean"] = "4"
    message = refusal(load, saved(tmp_path / "net.pth", weights))
    assert "1 missing (1.bias)" in message
    assert "1 unknown (2.bias)" in message
    assert "0.bias is (5,), wanted (4,)" in message
    assert "1.weight is (4,) of torch.int64" in message
    assert "1.running_mean is str" in message


class Code:
    """Unpickled by an unguarded reader, this makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_code_in_a_checkpoint_is_refused_and_never_run(write, tmp_path: Path) -> None:
    write({"weight": Code(tmp_path / "ran")}, tmp_path / "net.pth")
    assert "can run code" in refusal(load, tmp_path / "net.pth")
    assert not (tmp_path / "ran").exists()
    with suppress(RuntimeError):  # a bare pickle is no checkpoint, but runs before that is noticed
        torch.load(tmp_path / "net.pth", weights_only=False)
    assert (tmp_path / "ran").exists()  # so the trap was armed


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_checkpoint_is_refused_in_a_sentence(tmp_path: Path, zipped: bool) -> None:
    weights = small_net().state_dict()
    path = saved(tmp_path / "net.pth", weights, _use_new_zipfile_serialization=zipped)
    load(path)
    whole = path.read_bytes()
    for part in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:part])
        assert "damaged" in refusal(load, path)


@pytest.mark.parametrize("content", [[1, 2], {3: torch.zeros(1)}, torch.zeros(3)])
def test_a_file_without_named_weights_is_refused(tmp_path: Path, content: object) -> None:
    assert "no weights by name" in refusal(load, saved(tmp_path / "net.pth", content))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "no checkpoint at" in refusal(load, tmp_path / "absent.pth")
