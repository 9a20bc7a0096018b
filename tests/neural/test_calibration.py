"""The temperature of a net's masks: the best of those tried, and nothing else changes."""

import numpy as np
import pytest
import torch

from unstir.neural.calibration import TEMPERATURES, calibrate
from unstir.neural.compact import Compact, CompactConfig
from unstir.neural.pack import Pack
from unstir.neural.validation import validate, validation_scenes

SMALL = CompactConfig(
    n_fft=512, hop_length=256, n_bands=64, n_single=32, channels=(4, 6, 8), hidden=8
)


@pytest.fixture(scope="module")
def scenes(tiny_pack: Pack) -> torch.Tensor:
    return validation_scenes(tiny_pack, n=2, seconds=1.0)


def sure(factor: float) -> Compact:
    """Return an untrained net whose masks are far surer than they are right."""
    torch.manual_seed(0)
    net = Compact(SMALL).eval()
    with torch.no_grad():
        for value in net.last.parameters():
            value *= factor
    return net


def test_what_is_too_sure_is_softened_to_the_best_that_was_tried(scenes: torch.Tensor) -> None:
    net = sure(30)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = calibrate(net, scenes)
    assert tuple(by for by, _ in found) == TEMPERATURES
    gains_db = [gain_db for _, gain_db in found]
    best = TEMPERATURES[int(np.argmax(gains_db))]
    assert best > 1 and max(gains_db) > gains_db[0] + 0.1
    for name, value in net.state_dict().items():
        wanted = before[name] / best if name.startswith("last.") else before[name]
        torch.testing.assert_close(value, wanted, rtol=0, atol=0)
    assert np.mean(validate(net, net.state_dict(), scenes)) == pytest.approx(
        max(gains_db), abs=1e-3
    )
