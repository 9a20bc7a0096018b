"""Which device a net runs on, and how precisely.

What was asked for is taken or refused, never replaced. On one device the same input gives the
same bytes: cuDNN is held to its deterministic algorithms, and on a CPU the number of threads
is left as torch found it at the start (set ``OMP_NUM_THREADS`` to choose), since another number
may round sums differently.

Every computation of a net runs within `inference`, and what it gives comes out through `finite`: so
too little memory and broken weights end in one sentence, whichever net it is.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from unstir.errors import AudioError, SettingsError, UnknownNameError


def resolve(device: str) -> torch.device:
    """Return the device that a name stands for, made sure to be there.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"cuda"`` (the current GPU), ``"cuda:1"``, or ``"auto"``: a GPU if there
        is one, else the CPU.

    Returns
    -------
    torch.device
        ``cpu``, or ``cuda`` with its index.

    Raises
    ------
    UnknownNameError
        If there is no such device here.

    Examples
    --------
    >>> resolve("cpu")
    device(type='cpu')
    """
    if device == "cpu":
        return torch.device("cpu")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" and not n_gpus:
        return torch.device("cpu")
    kind, colon, number = device.partition(":")
    if device != "auto" and (kind != "cuda" or (colon and not number.isdecimal())):
        raise UnknownNameError(
            f"device {device!r} came, and nets run on cpu or cuda; use --device auto, cpu, cuda "
            "or cuda:N"
        )
    if not n_gpus:
        raise UnknownNameError(
            f"device {device!r} came, and torch {torch.__version__} finds no GPU here; "
            "use --device auto or cpu"
        )
    index = int(number) if number else torch.cuda.current_device()
    if index >= n_gpus:
        raise UnknownNameError(
            f"device {device!r} came, and the GPUs here are 0 to {n_gpus - 1}; use one of those"
        )
    return torch.device("cuda", index)


def choose_precision(device: torch.device, precision: str = "auto") -> str:
    """Return the arithmetic that a net's products are done in.

    Parameters
    ----------
    device : torch.device
        Where the net runs.
    precision : {"auto", "bf16", "fp32"}
        ``"auto"`` is bf16 where the device has instructions for it.

    Returns
    -------
    str
        ``"bf16"`` or ``"fp32"``.

    Raises
    ------
    SettingsError
        If ``precision`` is something else.

    Examples
    --------
    >>> choose_precision(torch.device("cpu"), "fp32")
    'fp32'
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise SettingsError(f"precision {precision!r} came; auto, bf16 or fp32 is wanted")
    if precision != "auto":
        return precision
    return "bf16" if _has_bf16(device) else "fp32"


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        # Ampere, 8.0, was the first with bf16 units; older ones emulate it slowly.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Only the instructions themselves are faster than fp32; oneDNN's own test is also true of
    # processors on which it emulates them. Older versions of torch lack these functions.
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, test, lambda: False)() for test in tests)


@contextlib.contextmanager
def inference(device: torch.device, precision: str) -> Iterator[None]:
    """Give a context without gradients, in that precision, that makes bytes repeatable.

    Parameters
    ----------
    device : torch.device
        As `resolve` gives it.
    precision : {"bf16", "fp32"}
        As `choose_precision` gives it. With bf16, products take bf16 and everything else,
        transforms and normalizations among it, stays fp32: torch's autocasting.

    Raises
    ------
    AudioError
        If what is done in it needs more memory than the GPU has. Nets take one window at a time, so
        there is no smaller batch to fall back to.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
        )
        if device.type == "cuda":
            flags = torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            )
            stack.enter_context(flags)
        stack.enter_context(holding("one window, and windows are never shortened", device))
        yield


@contextlib.contextmanager
def holding(what: str, device: torch.device | str) -> Iterator[None]:
    """Give a context in which a GPU that runs out of memory ends in one sentence.

    Parameters
    ----------
    what : str
        What its memory is to hold.
    device : torch.device or str
        As `resolve` gives it.

    Raises
    ------
    AudioError
        If it does not; what torch kept in reserve is given back.

    Examples
    --------
    >>> with holding("the net", "cuda:0"):  # doctest: +ELLIPSIS
    ...     raise torch.cuda.OutOfMemoryError
    Traceback (most recent call last):
    unstir.errors.AudioError: the memory of cuda:0 does not hold the net; free some of it, or ...
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        raise AudioError(
            f"the memory of {device} does not hold {what}; free some of it, or use --device cpu"
        ) from None


def finite(output: Tensor) -> Tensor:
    """Return what a net gave, made sure to be numbers.

    Parameters
    ----------
    output : Tensor
        Of any shape.

    Raises
    ------
    AudioError
        If NaN or infinity is in it.

    Examples
    --------
    >>> finite(torch.ones(2))
    tensor([1., 1.])
    """
    if not output.isfinite().all():
        raise AudioError(
            "the net gave NaN or infinity; get its weights anew, or use another --device or method"
        )
    return output
