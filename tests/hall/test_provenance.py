"""What moved a stem: found by leaving it out, drawn, and zero where nothing was learned."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from tests.hall.test_joined import saved
from tests.sounds import mixture_of, scene
from unstir.channels import Routed, groups
from unstir.errors import SettingsError
from unstir.hybrid.bank import TELLS
from unstir.joined import Hybrid
from unstir.neural import checkpoint
from unstir.neural.trust import Trust, TrustConfig
from unstir.provenance import Provenance, explain, explain_all
from unstir.provenance_picture import COLORS, N_ROWS, colors_of, draw_provenance, legend, painted
from unstir.registry import make
from unstir.streaming import MAX_WINDOW_SAMPLES
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


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a refiner of the kind that ships: it trusts one prior, and looks at no mix."""
    net = Trust(TrustConfig())
    torch.nn.init.constant_(net.trust, 0.5)
    path = tmp_path_factory.mktemp("trust") / "trust.safetensors"
    checkpoint.save(path, "trust", net, net.config, FILM, {}, half=False, sample_rate=44100)
    return f"file:{path}"


def test_what_trust_does_without_priors_is_told_as_leakage_where_there_is_any(
    trusting: str,
) -> None:
    without, more = (explain(Hybrid(FILM, trusting, "nmf", leakage=x), mix()) for x in (0.0, 0.5))
    assert without.evidence == ("base", "alike")
    assert more.evidence == ("base", "leakage", "alike")
    assert without.shares()["music"] == {"alike": 1}
    assert set(more.shares()["music"]) == {"leakage", "alike"}
    assert min(more.shares()["music"].values()) > 0.01
    # The same evidence has the same color, whether something stands before it or not.
    assert colors_of(without.evidence)[1] == colors_of(more.evidence)[2]
    assert colors_of(more.evidence)[1] == COLORS[1]
    assert painted(without, 1).shape == painted(more, 1).shape


def test_what_has_nothing_to_say_moves_nothing(tmp_path: Path) -> None:
    found = explain(Hybrid(FILM, saved(tmp_path), "nmf"), mix(channels=1))
    moved = dict(zip(found.evidence, found.moved.sum(axis=(0, 2, 3)), strict=True))
    assert moved["midside"] == 0 and moved["panning"] == 0
    assert moved["nmf"] > 0


def test_groups_of_channels_add_up_and_the_lfe_is_left_out(tmp_path: Path) -> None:
    hybrid = Hybrid(FILM, saved(tmp_path), "bands")
    sound = Mixture(mixture_of(scene(1, RATE, channels=4)), RATE)
    layout = ("FL", "FR", "FC", "LFE")
    state = Routed(hybrid, groups(4, layout)).survey([sound])
    found = explain_all(Routed(hybrid, groups(4, layout)), sound, state)
    front, center = (
        explain(hybrid, part, hybrid.survey([part]))
        for part in (
            Mixture(sound.waveform[:2], RATE),
            Mixture(np.ascontiguousarray(sound.waveform[2:3]), RATE, role="center"),
        )
    )
    np.testing.assert_allclose(found.moved, front.moved + center.moved, rtol=1e-4, atol=1e-6)


def test_windows_join_without_a_frame_too_many(tmp_path: Path) -> None:
    rate = 384000  # whose windows are shortest in time
    n_samples = MAX_WINDOW_SAMPLES + 100_000
    noise = np.random.default_rng(0).standard_normal((1, n_samples)).astype(np.float32)
    hybrid = Hybrid(FILM, saved(tmp_path), "bands")
    done: list[int] = []
    routed = Routed(hybrid, groups(1))
    found = explain_all(routed, Mixture(0.1 * noise, rate), progress=done.append)
    assert done == [MAX_WINDOW_SAMPLES, n_samples]
    assert abs(found.power.shape[0] - (n_samples / rate * 44100 / 512 + 1)) <= 1
    assert found.moved.shape[2] == found.power.shape[0]


def test_silence_moves_nothing(tmp_path: Path) -> None:
    silence = Mixture(np.zeros((2, RATE), np.float32), RATE)
    found = explain_all(Routed(Hybrid(FILM, saved(tmp_path), "midside"), groups(2)), silence)
    assert not found.moved.any()
    assert not painted(found, 0).any()


def test_only_a_hybrid_is_explained() -> None:
    with pytest.raises(SettingsError, match="a MidSide came to be explained"):
        explain_all(Routed(make("midside"), groups(2)), mix())


def test_the_legend_goes_from_most_to_least(found: Provenance) -> None:
    lines = legend(found, "music")
    assert {name for name, _, _ in lines} == set(found.evidence[1:])
    assert [share for _, _, share in lines] == sorted((x for _, _, x in lines), reverse=True)
    assert dict((name, color) for name, color, _ in lines)["mix"] == COLORS[1]


def test_there_is_a_color_for_every_piece_of_evidence() -> None:
    assert all(len(priors) + 2 <= len(set(COLORS)) for priors in TELLS.values())


def test_a_quiet_stem_is_still_seen(found: Provenance) -> None:
    """Most of what is within 40 dB of the loudest is brighter than a dark gray."""
    base = found.moved[0, 0]
    loud = painted(found, 0).max(axis=2)[:, : base.shape[0]]
    assert np.median(loud[loud > 0]) > 0.3


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
