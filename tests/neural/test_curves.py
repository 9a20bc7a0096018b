"""The curves of training are what the model cards say."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def curves(script_named: Callable[[str], Any]) -> Any:
    """Return the script that draws them."""
    return script_named("draw_curves")


def test_legs_follow_each_other(curves: Any) -> None:
    card = {"curve": [[10, 1.0], [20, 2.0]], "earlier_legs": [{"curve": [[5, 0.5]]}]}
    assert curves.legs(card) == [[(5, 0.5)], [(15, 1.0), (25, 2.0)]]


def test_every_net_has_a_curve_that_ends_where_its_card_says(curves: Any) -> None:
    for name in curves.NETS:
        card = json.loads((ROOT / "neural" / f"{name}.json").read_text())["card"]
        [chosen] = card["validation"].values()
        step = card["step"]
        assert dict(map(tuple, card["curve"]))[step] == pytest.approx(chosen, abs=1e-3), name
        assert all(a[0] < b[0] for leg in curves.legs(card) for a, b in pairwise(leg))


def test_the_picture_has_a_panel_per_net(curves: Any, tmp_path: Path) -> None:
    curves.draw(tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.size == (300 * len(curves.NETS), 252)
        assert len(picture.convert("RGB").getcolors(100) or []) > 8
