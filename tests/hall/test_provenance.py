"""What moved a stem: found by leaving it out, drawn, and zero where nothing was learned."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from tests.hall.test_joined import saved
from tests.sounds import mixture_of, scene
from unstir.hybrid.bank import TELLS
from unstir.joined import Hybrid
from unstir.provenance import Provenance, explain
from unstir.provenance_picture import N_ROWS, draw_provenance, painted
from unstir.types import FILM, Mixture

RATE = 22050


def mix(channels: int = 2) -> Mixture:
    return Mixture(mixture_of(scene(2, RATE, channels=channels)), RATE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Provenance:
    return explain(Hybrid(FILM, saved(tmp_path_factory.mktemp("model")), "midside"), mix())


def test_every_piece_of_evidence_has_its_plane_and_its_share(found: Provenance) -> None:
    assert found.evidence == ("base", "mix", *TELLS[FILM])
    assert found.moved.shape == (3, len(found.evidence), *found.power.shape)
    assert found.moved.min() >= 0
    for share in found.shares().values():
        assert sum(share.values()) == pytest.approx(1, abs=1e-4)


def test_an_untrained_refiner_moves_nothing(tmp_path: Path) -> None:
    found = explain(Hybrid(FILM, saved(tmp_path, learned=False), "midside"), mix())
    assert not found.moved[:, 1:].any() and found.moved[:, 0].any()
    assert all(not any(share.values()) for share in found.shares().values())


def test_what_has_nothing_to_say_moves_nothing(tmp_path: Path) -> None:
    found = explain(Hybrid(FILM, saved(tmp_path), "nmf"), mix(channels=1))
    moved = dict(zip(found.evidence, found.moved.sum(axis=(0, 2, 3)), strict=True))
    assert moved["midside"] == 0 and moved["panning"] == 0
    assert moved["nmf"] > 0


def test_the_panel_is_gray_where_the_base_decided_and_colored_where_not() -> None:
    evidence = ("base", "mix", *TELLS[FILM])
    moved = np.zeros((1, len(evidence), 40, 256), np.float32)
    moved[0, 0, :20] = 1.0
    moved[0, evidence.index("nmf"), 20:] = 1.0
    edges = np.arange(257) * 4
    power = np.ones((40, 256), np.float32)
    found = Provenance(("speech",), evidence, moved, power, 44100, 512, edges, 2048)
    panel = painted(found, 0)
    assert panel.shape == (N_ROWS, 40, 3)
    spread = panel.max(axis=2) - panel.min(axis=2)
    assert spread[:, :20].max() < 0.06 and spread[:, 20:].min() > 0.3
    assert found.shares()["speech"]["nmf"] == pytest.approx(1)


def test_the_picture_is_drawn(found: Provenance, tmp_path: Path) -> None:
    target = tmp_path / "provenance.png"
    draw_provenance(target, found, title="$film$ <b>.wav")
    pixels = matplotlib.image.imread(target)
    assert pixels.shape[1] == 1400 and pixels.shape[0] > 600
    assert pixels[..., :3].std() > 0.05
