"""The temperature of a net's masks: the best of those tried, and nothing else changes."""

import numpy as np
import pytest
import torch

from unstir.neural.calibration import TEMPERATURES, calibrate, softened
from unstir.neural.compact import Compact, CompactConfig
from unstir.neural.pack import Pack
from unstir.neural.tasks import SOFTENED_BY, task
from unstir.neural.train import TrainConfig
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


def test_weights_are_judged_by_what_calibration_will_make_of_them(scenes: torch.Tensor) -> None:
    """Of the same masks, the surer ones are worse as they are, and no worse to choose."""
    net = sure(30)
    what = task(TrainConfig(loss="si_sdr"), net)
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    surer = softened(weights, 1 / SOFTENED_BY[-1])
    as_they_are = [np.mean(validate(net, each, scenes)) for each in (weights, surer)]
    judged = [what.validate(net, each, scenes) for each in (weights, surer)]
    assert as_they_are[1] < as_they_are[0] - 0.1
    assert judged[0]["temperature"] > 1
    assert judged[0]["gain_db"] == pytest.approx(
        max(np.mean(validate(net, softened(weights, by), scenes)) for by in SOFTENED_BY), abs=1e-3
    )
    assert judged[1]["gain_db"] >= as_they_are[0] - 1e-3
