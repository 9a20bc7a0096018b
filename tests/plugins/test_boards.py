"""Chains of Pedalboard's own effects as its own boards."""

import numpy as np
import pedalboard
import pytest

from unstir.errors import SettingsError
from unstir.plugins.chains import Chain, Effect, find_chain, parse_chain
from unstir.plugins.effects import CATALOG, Value
from unstir.plugins.processors import LONGEST
from unstir.types import Waveform

RATE = 48000
# Linear, without latency.
SAME: list[tuple[str, dict[str, Value]]] = [
    ("gain", {"gain_db": -3}),
    ("invert", {}),
    ("high-pass", {"cutoff_hz": 80, "order": 1}),
    ("high-pass", {"cutoff_hz": 3000, "order": 2}),
    ("high-pass", {"cutoff_hz": 6000, "order": 5}),
    ("low-pass", {"cutoff_hz": 8000, "order": 1}),
    ("low-pass", {"cutoff_hz": 5000, "order": 8}),
    ("peak", {"cutoff_hz": 4000, "gain_db": 4, "q": 1.5}),
    ("low-shelf", {"cutoff_hz": 3000, "gain_db": -4}),
    ("high-shelf", {"cutoff_hz": 6000, "gain_db": 4}),
    ("delay", {"delay_ms": 100, "feedback_db": -6, "wet_db": 3}),
]
# Not linear, or late.
ALIKE: list[tuple[str, dict[str, Value]]] = [
    ("saturation", {"drive_db": 9}),
    ("bitcrush", {"bits": 6}),
    ("clipping", {"threshold_db": -20}),
    ("maximizer", {"threshold_db": -20, "release_ms": 50}),
    ("ladder", {"cutoff_hz": 8000, "mode": "band-pass-24", "resonance": 0.3, "drive_db": 6}),
    ("resample", {"target_hz": 9000, "quality": "linear"}),
    ("mp3", {"vbr_quality": 4}),
]
SWAYING: list[tuple[str, dict[str, Value]]] = [
    ("chorus", {"rate_hz": 3, "depth": 0.4, "delay_ms": 9, "mix": 0.3}),
    ("phaser", {"rate_hz": 3, "depth": 0.4, "center_hz": 900, "feedback": 0.3, "mix": 0.6}),
]
REFUSED = set(CATALOG) - {name for name, _ in SAME + ALIKE + SWAYING}


def noise(rng: np.random.Generator) -> Waveform:
    return (0.1 * rng.standard_normal((2, RATE // 4))).astype(np.float32)


def ours(chain: Chain, sound: Waveform) -> Waveform:
    stream = chain.open(RATE, 2)
    return np.concatenate([stream.process(sound), stream.finish(0)], axis=1)


@pytest.mark.parametrize(("name", "settings"), SAME + ALIKE)
def test_a_board_gives_what_the_chain_gives(
    name: str, settings: dict[str, Value], rng: np.random.Generator
) -> None:
    chain, sound = Chain("x", (Effect(name, settings),)), noise(rng)
    wanted = ours(chain, sound)
    found = chain.board()(sound, RATE)
    assert np.abs(wanted - sound).max() > 1e-3
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), SWAYING)
def test_what_sways_is_the_same_from_where_the_chain_begins(
    name: str, settings: dict[str, Value], rng: np.random.Generator
) -> None:
    chain, sound = Chain("x", (Effect(name, settings),)), noise(rng)
    board = chain.board()
    board(np.zeros((2, LONGEST), np.float32), RATE, reset=False)
    parts = np.split(sound, range(LONGEST, sound.shape[1], LONGEST), axis=1)
    found = np.concatenate([board(part, RATE, reset=False) for part in parts], axis=1)
    np.testing.assert_allclose(found, ours(chain, sound), atol=1e-6)


def test_a_chain_file_becomes_a_board_with_its_parameters() -> None:
    effects: list[dict[str, Value]] = [
        {"effect": "peak", "cutoff_hz": 300, "gain_db": -4, "q": 2},
        {"effect": "saturation", "drive_db": 6},
        {"effect": "gain", "gain_db": 1.5},
    ]
    board = parse_chain({"format": 1, "chain": effects}, "mine").board()
    assert isinstance(board, pedalboard.Pedalboard)
    peak, distortion, back, gain = board
    assert isinstance(peak, pedalboard.PeakFilter)
    assert isinstance(distortion, pedalboard.Distortion)
    found = [peak.cutoff_frequency_hz, peak.gain_db, peak.q, distortion.drive_db, back.gain_db]
    np.testing.assert_allclose([*found, gain.gain_db], [300, -4, 2, 6, -6, 1.5], rtol=1e-6)


def test_an_empty_chain_is_an_empty_board() -> None:
    assert len(Chain("nothing").board()) == 0


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_effects_of_our_own_are_refused_by_name(name: str) -> None:
    needed = {p.name: p.choices[0] if p.choices else p.low for p in CATALOG[name].parameters}
    given = {p.name: needed[p.name] for p in CATALOG[name].parameters if p.default is None}
    if name == "vst3":
        given["path"] = "some.vst3"
    with pytest.raises(
        SettingsError, match=f"^x: no effect of Pedalboard's own gives what {name} does"
    ):
        Chain("x", (Effect("gain", {"gain_db": 1}), Effect(name, given))).board()


@pytest.mark.parametrize("name", ["de-mud", "dialogue-clarity", "dialogue-warmth"])
def test_presets_that_are_equalizers_are_boards_in_single_precision(
    name: str, rng: np.random.Generator
) -> None:
    chain, sound = find_chain(name), noise(rng)
    error = chain.board()(sound, RATE) - ours(chain, sound)
    assert np.mean(error**2) < 1e-7 * np.mean(sound**2)
