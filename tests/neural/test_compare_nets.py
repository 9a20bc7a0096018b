"""The comparison of nets at equal compute: what it counts, what it trains, what it prints."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from unstir.neural.recipes import RECIPES


@pytest.fixture
def script(script_named: Callable[[str], ModuleType]) -> ModuleType:
    return script_named("compare_nets")


def test_multiplications_of_layers_and_of_recurrent_ones_are_counted(script: ModuleType) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = SimpleNamespace(sample_rate=100)
            self.linear = nn.Linear(4, 8)
            self.lstm = nn.LSTM(8, 16, bidirectional=True, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.lstm(self.linear(x.reshape(1, -1, 4)))[0]
            return out

    frames_per_s = 2 * 100 / 4  # two channels, four samples a frame
    per_frame = 4 * 8 + 2 * 4 * 16 * (8 + 16)
    assert script.multiply_adds(Net()) == pytest.approx(frames_per_s * per_frame)


def test_every_net_that_is_compared_has_a_recipe_and_runs_of_one_kind(script: ModuleType) -> None:
    assert set(script.COMPARED.values()) <= set(RECIPES)
    configs = [script.config_of(title, 200) for title in script.COMPARED]
    assert {(c.learning_rate, c.decay, c.warmup, c.seed, c.steps) for c in configs} == {
        (1e-3, 0.6, 20, 3, 200)
    }
    assert [c.loss for c in configs].count("snr") == 2  # where losses are compared
    assert [c.spectral > 0 for c in configs].count(True) == 1


def test_a_row_says_parameters_cost_and_gain_with_its_interval(script: ModuleType) -> None:
    row = {
        "net": "a", "parameters": 4_770_000, "multiply_adds_per_s": 5.4e8, "steps": 300,
        "gain_db": 3.21, "interval_db": [2.5, 4.0], "speech_db": 4.0, "music_db": 2.5,
        "effects_db": -0.1,
    }  # fmt: skip
    last = script.table([row]).splitlines()[-1]
    assert last == "| a | 4.8 | 0.5 | 300 | +3.21 (+2.50 to +4.00) | +4.0 | +2.5 | -0.1 |"
