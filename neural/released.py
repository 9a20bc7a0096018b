"""Released checkpoints of published nets: read without running code, and fitted exactly."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unstir.errors import SettingsError

NAMED = 3  # names of weights that an error shows of each kind


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the named entries of a checkpoint, without running any code in it.

    Parameters
    ----------
    path : str or Path
        A file that ``torch.save`` wrote: a dict of weights, or one that holds it as
        ``"state_dict"`` beside other things.

    Returns
    -------
    dict of str to object
        The weights by name, on the CPU; whether they are tensors is not checked yet.

    Raises
    ------
    SettingsError
        If there is no such file, it cannot be read, or it holds no dict of names.
    """
    path = Path(path)
    if not path.is_file():
        raise SettingsError(f"no checkpoint at {path}; give the path of a released one")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a parser raises on a file from anywhere is without limit
        raise SettingsError(
            f"{path} is damaged, not a checkpoint, or holds Python objects, which are never "
            f"loaded since they can run code; give a whole checkpoint of tensors alone"
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise SettingsError(f"{path} holds no weights by name; give a checkpoint of the net")
    return dict(content)


def load_released(
    path: str | Path, build: Callable[[], nn.Module], is_ours: Callable[[str], bool] | None = None
) -> dict[str, Tensor]:
    """Return the weights of a released checkpoint, for ``load_state_dict`` of the published net.

    Parameters
    ----------
    path : str or Path
        A file that ``torch.save`` wrote, of the weights alone or with these under
        ``"state_dict"``, with one prefix to the net's names. No code in it is run.
    build : callable
        Makes the published net.
    is_ours : callable, optional
        Which names, without that prefix, are the net's; others are skipped. All if not given.

    Returns
    -------
    dict of str to Tensor of float32
        Every parameter and running statistic of the net, under its name there.

    Raises
    ------
    SettingsError
        If the file cannot be read, holds Python objects besides tensors and plain values, or
        other weights than those of the published net.

    Examples
    --------
    >>> load_released("absent.pth", lambda: nn.Linear(1, 1))
    Traceback (most recent call last):
    unstir.errors.SettingsError: no checkpoint at absent.pth; give the path of a released one
    """
    weights = read_checkpoint(path)
    with torch.device("meta"):  # names and shapes alone
        net = build()
    first = next(iter(net.state_dict()))
    prefix = next((name.removesuffix(first) for name in weights if name.endswith(first)), "")
    bare = {name.removeprefix(prefix): value for name, value in weights.items()}
    return fit_to(net, {n: v for n, v in bare.items() if is_ours is None or is_ours(n)}, path)


def fit_to(net: nn.Module, weights: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    """Return the weights that are exactly the net's.

    ``num_batches_tracked``, which counts training steps and changes no output, may be absent
    and is left out.

    Parameters
    ----------
    net : nn.Module
        Gives the names and shapes.
    weights : mapping of str to object
        What a file held.
    path : str or Path
        That file, for the message.

    Returns
    -------
    dict of str to Tensor of float32
        One per name of the net, in its order, each with memory of its own.

    Raises
    ------
    SettingsError
        If a name is missing, unknown, or stands for anything but a tensor of the net's shape.

    Examples
    --------
    >>> fit_to(nn.Linear(1, 1), {"weight": torch.zeros(1, 1)}, "a.pth")
    Traceback (most recent call last):
    unstir.errors.SettingsError: a.pth is no Linear checkpoint: 1 missing (bias); give one that is
    """
    counter = "num_batches_tracked"
    wanted = {n: stands_for(v) for n, v in net.state_dict().items() if not n.endswith(counter)}
    given = {n: v for n, v in weights.items() if not n.endswith(counter)}
    faults = {
        "missing": [n for n in wanted if n not in given],
        "unknown": [n for n in given if n not in wanted],
        "of another shape": [
            f"{n} is {stands_for(given[n])}, wanted {shape}"
            for n, shape in wanted.items()
            if n in given and stands_for(given[n]) != shape
        ],
    }
    if any(faults.values()):
        said = "; ".join(f"{len(n)} {kind} ({first_of(n)})" for kind, n in faults.items() if n)
        name = type(net).__name__
        raise SettingsError(f"{path} is no {name} checkpoint: {said}; give one that is")
    return {n: given[n].detach().to(torch.float32, copy=True).contiguous() for n in wanted}


def stands_for(value: object) -> str:
    """Return the shape of a tensor of real numbers, and the kind of anything else.

    Examples
    --------
    >>> stands_for(torch.zeros(2, 3)), stands_for(None)
    ('(2, 3)', 'NoneType')
    """
    if not isinstance(value, Tensor):
        return type(value).__name__
    plain = value.layout == torch.strided and value.is_floating_point()
    return f"{tuple(value.shape)}" if plain else f"{tuple(value.shape)} of {value.dtype}"


def first_of(names: list[str]) -> str:
    """Return the first few names, and dots for the others.

    Examples
    --------
    >>> first_of(list("abcd"))
    'a, b, c, …'
    """
    return ", ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])])
