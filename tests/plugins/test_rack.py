"""Stems under strips and a master: what adds up, what streams, what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.plugins.automation import GainCurve
from unstir.plugins.chains import Chain, Effect
from unstir.plugins.mixing import rack_for
from unstir.plugins.rack import StemRack, find_rack, parse_rack
from unstir.plugins.strips import Strip

RATE = 48000
Waves = dict[str, NDArray[np.float32]]


def stems(n_samples: int = 20000, n_channels: int = 2, bits: int | None = 24) -> Waves:
    """Return noise, as PCM of so many bits or as float."""
    rng = np.random.default_rng(7)
    found = {}
    for name in ("speech", "music", "effects"):
        x = rng.uniform(-0.3, 0.3, (n_channels, n_samples))
        found[name] = (
            x if bits is None else np.round(x * 2 ** (bits - 1)) / 2 ** (bits - 1)
        ).astype(np.float32)
    return found


def chain(*effects: tuple[str, dict[str, Any]]) -> Chain:
    return Chain("test", tuple(Effect(name, settings) for name, settings in effects))


BUSY = StemRack(
    {
        "speech": Strip(chain(("high-pass", {"cutoff_hz": 80})), gain_db=3.0),
        "music": Strip(
            chain(("ducking", {"by": "speech", "range_db": -9}), ("reverb", {"wet_db": -20})),
            gain_db=-6.0,
            pan=0.3,
            automation=GainCurve((0.0, 0.2), (0.0, -10.0)),
        ),
        "effects": Strip(chain(("compressor", {})), gain_db=-3.0),
    },
    chain(("limiter", {"ceiling_db": -3})),
)


@pytest.mark.parametrize("bits", [16, 24])
def test_a_rack_that_does_nothing_gives_the_sum_of_pcm_stems_bit_for_bit(bits: int) -> None:
    parts = stems(bits=bits)
    total = sum(np.round(x.astype(np.float64) * 2**23).astype(np.int64) for x in parts.values())
    mixed = StemRack()(parts, RATE)
    assert np.array_equal(np.round(mixed.astype(np.float64) * 2**23).astype(np.int64), total)


def test_strips_at_rest_give_the_same_as_none() -> None:
    parts = stems(bits=None)
    rest = StemRack({name: Strip() for name in parts})
    assert np.array_equal(rest(parts, RATE), StemRack()(parts, RATE))


def test_float_stems_that_miss_their_mix_give_it_back_with_its_help() -> None:
    parts = stems(bits=None)
    mix = sum(parts.values()) + np.float32(1e-9)
    mix[:, 100:200] = np.float32(1e-30)  # the stems there are far louder than their sum
    mix[:, 300:400] = -0.0
    assert not np.array_equal(StemRack()(parts, RATE), mix)
    assert StemRack()(parts, RATE, mix=mix).tobytes() == mix.tobytes()


def test_with_the_mix_a_gain_changes_what_it_changes_without_it() -> None:
    parts = stems()
    mix = StemRack()(parts, RATE)
    rack = StemRack({"music": Strip(gain_db=-12.0), "speech": Strip(mute=True)})
    assert np.allclose(rack(parts, RATE, mix=mix), rack(parts, RATE), atol=1e-7)


def test_a_gain_a_mute_and_a_solo_do_what_they_say() -> None:
    parts = stems()
    half = 20 * math.log10(0.5)
    for strips, expected in (
        ({"music": Strip(gain_db=half)}, {"speech": 1, "music": 0.5, "effects": 1}),
        ({"music": Strip(gain_db=-math.inf)}, {"speech": 1, "music": 0, "effects": 1}),
        ({"music": Strip(mute=True)}, {"speech": 1, "music": 0, "effects": 1}),
        ({"music": Strip(solo=True)}, {"speech": 0, "music": 1, "effects": 0}),
        ({"music": Strip(solo=True, mute=True)}, {"speech": 0, "music": 0, "effects": 0}),
    ):
        wanted = sum(np.float64(factor) * parts[name] for name, factor in expected.items())
        assert np.allclose(StemRack(strips)(parts, RATE), wanted, atol=1e-7), strips


@pytest.mark.parametrize(("n_channels", "lefts"), [(2, [0]), (6, [0, 4])])
def test_pan_turns_down_the_other_side_of_every_pair(n_channels: int, lefts: list[int]) -> None:
    parts = {"speech": np.ones((n_channels, 8), np.float32)}
    right = StemRack({"speech": Strip(pan=1.0)})(parts, RATE)
    kept = [channel for channel in range(n_channels) if channel not in lefts]
    assert np.allclose(right[lefts], 0, atol=1e-7) and (right[kept] == 1).all()


def test_a_curve_moves_only_its_stem() -> None:
    parts = stems()
    curve = GainCurve((0.0, 0.1), (0.0, -math.inf))
    mixed = StemRack({"music": Strip(automation=curve)})(parts, RATE)
    others = parts["speech"].astype(np.float64) + parts["effects"]
    factors = curve.factors(0, 20000, sample_rate=RATE)
    assert np.allclose(mixed, others + parts["music"] * factors, atol=1e-7)


@pytest.mark.parametrize("size", [1000, 4096, 20000])
@pytest.mark.parametrize("with_mix", [False, True])
def test_a_stream_of_blocks_gives_what_the_whole_gives(size: int, with_mix: bool) -> None:
    parts = stems()
    mix = StemRack()(parts, RATE) if with_mix else None
    whole = BUSY(parts, RATE, mix=mix)
    stream = BUSY.open(RATE, 2, tuple(parts))
    found = [
        stream.process(
            {name: x[:, at : at + size] for name, x in parts.items()},
            None if mix is None else mix[:, at : at + size],
        )
        for at in range(0, 20000, size)
    ]
    found.append(stream.finish())
    assert np.abs(np.concatenate(found, axis=1) - whole).max() < 1e-6
    assert whole.shape[1] == 20000 + stream.tail


def test_calls_without_reset_go_on_and_a_call_with_reset_begins_anew() -> None:
    parts = stems()
    rack = StemRack({"speech": Strip(chain(("high-pass", {"cutoff_hz": 200})))})
    whole = rack(parts, RATE)
    for _ in range(2):
        blocks = [
            rack({name: x[:, at : at + 5000] for name, x in parts.items()}, RATE, reset=False)
            for at in range(0, 20000, 5000)
        ]
        assert np.allclose(np.concatenate(blocks, axis=1), whole, atol=1e-6)
        assert np.array_equal(rack(parts, RATE), whole)


def test_a_look_ahead_on_one_stem_moves_no_other() -> None:
    click = {name: np.zeros((2, 4000), np.float32) for name in ("speech", "music")}
    for x in click.values():
        x[:, 1000] = 0.1
    slow = chain(("limiter", {"lookahead_ms": 20}))
    mixed = StemRack({"music": Strip(slow)})(click, RATE)
    assert mixed.shape[1] == 4000
    assert np.argmax(np.abs(mixed[0])) == 1000 and mixed[0, 1000] == pytest.approx(0.2, rel=1e-3)


def test_tails_are_kept_and_all_stems_share_the_longest() -> None:
    parts = stems(4800)
    rack = StemRack(
        {
            "speech": Strip(chain(("reverb", {"decay_s": 1}))),
            "music": Strip(chain(("delay", {"delay_ms": 50}))),
        }
    )
    mixed = rack(parts, RATE)
    assert mixed.shape[1] == 4800 + round(RATE * rack.tail_s)
    assert np.abs(mixed[:, 4800:9600]).max() > 1e-3
    assert np.abs(mixed[:, -480:]).max() < np.abs(mixed[:, :4800]).max() / 500


def test_ducking_listens_to_the_other_stem() -> None:
    rng = np.random.default_rng(1)
    talk = np.zeros((2, 3 * RATE), np.float32)
    talk[:, RATE : 2 * RATE] = rng.uniform(-0.3, 0.3, (2, RATE))
    hum = rng.uniform(-0.1, 0.1, (2, 3 * RATE)).astype(np.float32)
    duck = chain(("ducking", {"by": "speech", "range_db": -12, "release_ms": 50, "hold_ms": 0}))
    mixed = StemRack({"music": Strip(duck)})({"speech": talk, "music": hum}, RATE)
    under = mixed - talk
    level = [float(np.sqrt(np.mean(under[:, at : at + 4800] ** 2))) for at in (0, 72000, 139000)]
    assert 20 * math.log10(level[1] / level[0]) == pytest.approx(-12, abs=1)
    assert level[2] == pytest.approx(level[0], rel=0.1)


def test_a_master_is_leveled_to_its_target_before_it_streams() -> None:
    from unstir.loudness import Meter

    parts = stems(2 * RATE)
    rack = StemRack(master=chain(("loudness", {"target_lufs": -30})))
    meter = Meter(RATE, 2)
    meter.push(rack(parts, RATE))
    assert meter.integrated_lufs() == pytest.approx(-30, abs=0.1)
    with pytest.raises(SettingsError, match="survey"):
        rack.open(RATE, 2, tuple(parts))


def test_linear_chains_keep_stems_adding_up_and_others_warn() -> None:
    linear = StemRack({"speech": Strip(chain(("high-pass", {"cutoff_hz": 80})))})
    assert linear.warnings() == ()
    (warning,) = StemRack({"effects": Strip(chain(("compressor", {})))}).warnings()
    assert warning.startswith("effects: ") and "no longer add up" in warning


def test_a_rack_comes_back_from_its_json() -> None:
    content = json.loads(json.dumps(BUSY.to_json()))
    again = parse_rack(content, "again")
    assert again.to_json() == BUSY.to_json()
    assert again.strips["music"].pan == 0.3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "an object"),
        ({"stems": {}}, '"format": 1 is wanted'),
        ({"format": 2, "stems": {}}, "update unstir"),
        ({"format": 1}, "stems is missing"),
        ({"format": 1, "stems": {}, "strips": {}}, "strips came too"),
        ({"format": 1, "stems": {"music": 3}}, "mine, music: an object"),
        ({"format": 1, "stems": {"music": {"gian_db": 3}}}, "did you mean gain_db"),
        ({"format": 1, "stems": {"music": {"gain_db": 99}}}, "-inf to 24 dB"),
        ({"format": 1, "stems": {"music": {"gain_db": "loud"}}}, "a number is wanted"),
        ({"format": 1, "stems": {"music": {"pan": 2}}}, "music: pan 2 came; -1"),
        ({"format": 1, "stems": {"music": {"mute": 1}}}, "true or false is wanted"),
        (
            {"format": 1, "stems": {"music": {"chain": [{"effect": "gian", "gain_db": 1}]}}},
            "mine, music, effect 1: there is no effect 'gian'.*did you mean gain",
        ),
        ({"format": 1, "stems": {}, "master": [{"effect": "gain"}]}, "mine, master, effect 1"),
    ],
)
def test_a_bad_rack_file_is_refused_in_a_sentence(content: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_rack(content, "mine")


def test_a_rack_file_is_found_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"format": 1, "stems": {"music": {"mute": true}}}')
    assert find_rack(str(tmp_path / "mine.json")).strips["music"].mute
    with pytest.raises(SettingsError, match="cannot be read"):
        find_rack(str(tmp_path / "other.json"))


@pytest.mark.parametrize(
    "rack",
    [
        StemRack({"musik": Strip()}),
        StemRack({"speech": Strip(chain(("ducking", {"by": "musik"})))}),
    ],
)
def test_a_stem_that_is_not_there_is_named_with_the_nearest_one(rack: StemRack) -> None:
    with pytest.raises(UnknownNameError, match=r"no stem 'musik' \(did you mean music\?\)"):
        rack(stems(100), RATE)


def test_a_place_in_mono_is_refused() -> None:
    with pytest.raises(SettingsError, match="one channel"):
        StemRack({"speech": Strip(pan=0.5)})(stems(100, 1), RATE)


@pytest.mark.parametrize(
    "broken",
    [
        {"music": np.zeros((2, 99), np.float32)},
        {"music": np.zeros((1, 100), np.float32)},
        {"music": np.zeros((2, 100))},
        {"music": np.full((2, 100), np.nan, np.float32)},
    ],
)
def test_stems_that_differ_or_are_not_finite_are_refused(broken: Waves) -> None:
    with pytest.raises(AudioError, match="music"):
        StemRack()({**stems(100), **broken}, RATE)


def test_a_bed_leaves_the_unwanted_stems_that_far_down() -> None:
    names = ("speech", "music", "effects")
    rack = rack_for(names, bed_db=17.5)
    assert [rack.strips[name].gain_db for name in names] == [0, -17.5, -17.5]
    rack = rack_for(names, gains_db={"music": -math.inf, "speech": 2}, bed_db=10)
    assert [rack.strips[name].gain_db for name in names] == [2, -10, 0]
    soloed = StemRack({"effects": Strip(solo=True)})
    rack = rack_for(names, soloed, bed_db=10)
    assert [rack.strips[name].gain_db for name in names] == [-10, -10, 0]
    assert not any(strip.solo or strip.mute for strip in rack.strips.values())


def test_ducking_comes_after_the_effects_that_are_there() -> None:
    rack = rack_for(
        ("speech", "music"),
        chains={"music": chain(("high-pass", {"cutoff_hz": 80}))},
        ducking_db={("music", "speech"): -9.0},
    )
    effects = rack.strips["music"].chain.effects
    assert [effect.name for effect in effects] == ["high-pass", "ducking"]
    with pytest.raises(SettingsError, match="before itself"):
        rack_for(("speech",), ducking_db={("speech", "speech"): -9.0})
