"""The device that was asked for, or a refusal."""

import pytest
import torch

from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.neural.device import choose_precision, finite, inference, resolve

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


def test_too_little_memory_is_one_sentence_that_another_one_around_it_keeps() -> None:
    with (
        pytest.raises(
            AudioError, match=r"^the memory of cpu does not hold one window.*device cpu$"
        ),
        inference(CPU, "bf16"),
        inference(CPU, "fp32"),
    ):
        raise torch.cuda.OutOfMemoryError
    assert not torch.is_inference_mode_enabled()


@WITH_GPU
def test_a_gpu_out_of_memory_says_so_and_goes_on() -> None:
    gpu = resolve("cuda")
    whole = torch.cuda.get_device_properties(gpu).total_memory
    with (
        pytest.raises(AudioError, match="the memory of cuda:0 does not hold"),
        inference(gpu, "fp32"),
    ):
        torch.empty(2 * whole, dtype=torch.uint8, device=gpu)
    assert float(torch.ones(3, device=gpu).sum()) == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    output = torch.zeros(2, 3)
    assert finite(output) is output
    output[1, 2] = value
    with pytest.raises(AudioError, match="gave NaN or infinity; get its weights anew"):
        finite(output)
