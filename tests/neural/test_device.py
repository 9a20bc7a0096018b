"""The device that was asked for, or a refusal."""

import pytest
import torch

from unstir.errors import SettingsError, UnknownNameError
from unstir.neural.device import choose_precision, inference, resolve

CPU = torch.device("cpu")
WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
WITH_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def test_the_cpu_is_taken_when_asked_for() -> None:
    assert resolve("cpu") == CPU


@WITHOUT_GPU
def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    assert resolve("auto") == CPU


@WITH_GPU
def test_auto_is_the_gpu_where_there_is_one_and_says_which() -> None:
    assert resolve("auto") == resolve("cuda") == torch.device("cuda", torch.cuda.current_device())


@WITHOUT_GPU
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(UnknownNameError, match=f"'{device}' came.*no GPU here"):
        resolve(device)


@WITH_GPU
def test_a_gpu_beyond_the_last_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'cuda:999' came, and the GPUs here are 0 to"):
        resolve("cuda:999")


@pytest.mark.parametrize("device", ["mps", "quantum", "cuda:x", "cuda:", "cuda:-1", "cpu:0", ""])
def test_a_device_that_nets_do_not_know_is_refused(device: str) -> None:
    with pytest.raises(UnknownNameError, match="nets run on cpu or cuda"):
        resolve(device)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_precision_asked_for_is_taken(precision: str) -> None:
    assert choose_precision(CPU, precision) == precision


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(SettingsError, match="precision 'int8' came"):
        choose_precision(CPU, "int8")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_products_are_done_in_the_precision_and_without_gradients(
    precision: str, dtype: torch.dtype
) -> None:
    layer = torch.nn.Linear(4, 4)
    with inference(CPU, precision):
        y = layer(torch.ones(1, 4))
    assert y.dtype == dtype
    assert y.is_inference()
    assert not torch.is_autocast_enabled("cpu")
