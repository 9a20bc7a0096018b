"""What the tests of the published nets share: references, and the formula that fills weights."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unstir.errors import SettingsError

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a published implementation gave."""

    shapes: dict[str, tuple[int, ...]]
    n_parameters: int
    arrays: dict[str, Tensor]


def read_reference(name: str) -> Reference:
    """Return the reference of a net, or skip the test."""
    folder = FOLDER / name
    if not folder.exists():
        pytest.skip("the published nets' inputs and outputs are not here")
    table = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    return Reference(
        {n: tuple(shape) for n, shape in table["state_dict"].items()},
        table["parameters"],
        {path.stem: torch.from_numpy(np.load(path)) for path in folder.glob("*.npy")},
    )


def shapes_of(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of all that a net learns or tracks."""
    return {
        n: tuple(v.shape)
        for n, v in net.state_dict().items()
        if not n.endswith("num_batches_tracked")
    }


def reference_weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return the weights that follow from their names alone."""
    return {name: torch.from_numpy(_fill(name, tuple(shape))) for name, shape in shapes.items()}


def _fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    x = rng.standard_normal(shape)
    if name.endswith("running_var"):
        x = 0.5 + np.abs(x)
    elif len(shape) < 2:
        x = float(name.endswith("weight")) + 0.1 * x
    else:
        x = x / np.sqrt(np.prod(shape[1:]))
    return x.astype(np.float32)


def hollow(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return weights of these shapes that take next to no room in a file."""
    return {name: torch.zeros(1).expand(*shape) for name, shape in shapes.items()}


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Return seeded noise at -20 dB."""
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def refusal(load: Callable[[Path], object], path: Path) -> str:
    """Return the one line with which a reader refuses a file."""
    with pytest.raises(SettingsError) as caught:
        load(path)
    message = str(caught.value)
    assert path.name in message and "\n" not in message
    return message
