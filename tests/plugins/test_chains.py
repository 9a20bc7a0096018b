"""Chains stream to the sample, say what they do to a sum, and refuse what they cannot do."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.loudness import Meter
from unstir.plugins.chains import Chain, Effect, find_chain, load_chain, parse_chain
from unstir.plugins.effects import CATALOG
from unstir.types import Waveform

RATE = 16000
BUSY = Chain(
    "busy",
    (
        Effect("high-pass", {"cutoff_hz": 100}),
        Effect("limiter", {"ceiling_db": -12}),
        Effect("ducking", {"by": "speech", "lookahead_ms": 30}),
        Effect("reverb", {"wet_db": -6, "decay_s": 0.8}),
        Effect("compressor"),
    ),
)
SOUND = (0.2 * np.random.default_rng(7).standard_normal((2, 12000))).astype(np.float32)
SPEECH = (0.2 * np.random.default_rng(8).standard_normal((1, 12000))).astype(np.float32)


def pieces(chain: Chain, cuts: list[int], tail: int = 0) -> Waveform:
    stream = chain.open(RATE, 2)
    out = []
    for start, stop in zip([0, *cuts], [*cuts, SOUND.shape[1]], strict=True):
        out.append(stream.process(SOUND[:, start:stop], {"speech": SPEECH[:, start:stop]}))
    return np.concatenate([*out, stream.finish(tail)], axis=1)


WHOLE = pieces(BUSY, [], 99)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, SOUND.shape[1]), max_size=8).map(sorted))
def test_any_partition_of_a_long_chain_gives_the_same_samples(cuts: list[int]) -> None:
    np.testing.assert_array_equal(pieces(BUSY, cuts, 99), WHOLE)


def test_as_many_samples_come_out_as_went_in_and_the_tail() -> None:
    assert WHOLE.shape == (2, SOUND.shape[1] + 99)


def test_an_empty_chain_is_the_identity_bit_for_bit() -> None:
    np.testing.assert_array_equal(pieces(Chain("nothing"), [5, 700]), SOUND)
    assert Chain("nothing").linear and not Chain("nothing").warnings()


def test_a_chain_may_get_nothing_at_all() -> None:
    stream = BUSY.open(RATE, 2)
    assert stream.finish(0).shape == (2, 0)


def test_a_key_waits_for_the_effects_before() -> None:
    ducking = Effect("ducking", {"by": "speech", "lookahead_ms": 20, "range_db": -20})
    late = Effect("limiter", {"ceiling_db": 0})  # holds back, but leaves what is below 0 dB
    alone = pieces(Chain("a", (ducking,)), [])
    np.testing.assert_array_equal(pieces(Chain("b", (late, ducking)), []), alone)
    np.testing.assert_array_equal(pieces(Chain("c", (ducking, late)), []), alone)


def test_a_key_of_two_channels_waits_to_the_end() -> None:
    late = Effect("limiter", {"ceiling_db": 0})
    ducking = Effect("ducking", {"by": "speech", "lookahead_ms": 20, "range_db": -20})
    both = np.concatenate([SPEECH, SPEECH])
    found = []
    for key in (SPEECH, both):
        stream = Chain("b", (late, ducking)).open(RATE, 2)
        found.append([stream.process(SOUND, {"speech": key}), stream.finish(50)])
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_latency_is_told() -> None:
    stream = Chain("l", (Effect("ducking", {"lookahead_ms": 25}),)).open(RATE, 1)
    assert stream.latency == 400
    silence = np.zeros((1, 500), np.float32)
    assert stream.process(silence, {"speech": silence}).shape == (1, 100)


def test_a_chain_says_what_it_listens_to_and_where_stems_stop_adding_up() -> None:
    assert BUSY.keys == ("speech",)
    assert not BUSY.linear
    assert [text.split(" is ")[0] for text in BUSY.warnings()] == [
        "busy: limiter",
        "busy: compressor",
    ]


def test_a_key_that_is_not_there_is_named() -> None:
    stream = BUSY.open(RATE, 2)
    with pytest.raises(SettingsError, match=r"listens to the stem speech.*there are: music"):
        stream.process(SOUND, {"music": SPEECH})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused_at_the_border(value: float) -> None:
    sound = SOUND.copy()
    sound[1, 17] = value
    with pytest.raises(AudioError, match="NaN or infinity"):
        Chain("any").open(RATE, 2).process(sound)
    with pytest.raises(AudioError, match="key speech holds NaN"):
        BUSY.open(RATE, 2).process(SOUND, {"speech": sound})


@pytest.mark.parametrize(
    "block", [SOUND.T, SOUND[0], SOUND.astype(np.float64), SOUND[:1]], ids=lambda x: str(x.shape)
)
def test_shapes_and_types_are_never_guessed(block: Waveform) -> None:
    with pytest.raises(AudioError, match=r"\(2, \d+\) of float32 is wanted"):
        Chain("any").open(RATE, 2).process(block)


def test_a_finished_stream_takes_no_more() -> None:
    stream = Chain("any").open(RATE, 2)
    stream.finish(0)
    with pytest.raises(AudioError, match="finished"):
        stream.process(SOUND)


# Loudness


def test_a_survey_brings_the_sound_to_its_target() -> None:
    chain = Chain("air", (Effect("gain", {"gain_db": 6}), Effect("loudness", {"target_lufs": -23})))
    fixed = chain.survey(np.array_split(SOUND, 5, axis=1), RATE)
    assert not fixed.needs_survey and fixed.linear
    meter = Meter(RATE, 2)
    meter.push(pieces(fixed, []))
    assert meter.integrated_lufs() == pytest.approx(-23, abs=0.01)


def test_silence_keeps_its_level() -> None:
    chain = Chain("air", (Effect("loudness", {"target_lufs": -23}),))
    fixed = chain.survey([np.zeros((2, RATE), np.float32)], RATE)
    assert fixed.effects == (Effect("gain", {"gain_db": 0.0}),)


def test_no_more_gain_is_given_than_allowed() -> None:
    chain = Chain("air", (Effect("loudness", {"target_lufs": -23, "most_gain_db": 5}),))
    fixed = chain.survey([1e-3 * SOUND], RATE)
    assert fixed.effects == (Effect("gain", {"gain_db": 5.0}),)


def test_what_needs_a_survey_cannot_be_opened_before() -> None:
    with pytest.raises(SettingsError, match="survey"):
        find_chain("broadcast").open(RATE, 2)


def test_loudness_is_leveled_once() -> None:
    leveler = Effect("loudness", {"target_lufs": -23})
    with pytest.raises(SettingsError, match="twice"):
        Chain("twice", (leveler, leveler))


# Files


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_chain_survives_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "busy.json", BUSY.to_json())
    assert load_chain(path) == BUSY == find_chain(str(path))


@pytest.mark.parametrize(
    ("effect", "error", "message"),
    [
        ({"effect": "compresor"}, UnknownNameError, "did you mean compressor"),
        ({"effect": "gain", "gian_db": 3}, UnknownNameError, "did you mean gain_db"),
        ({"effect": "gain", "gain_db": 300}, SettingsError, "is 300; -120 to 60 is wanted"),
        ({"effect": "gain", "gain_db": "3"}, SettingsError, "is '3'; -120 to 60 is wanted"),
        ({"effect": "gain", "gain_db": True}, SettingsError, "-120 to 60 is wanted"),
        ({"effect": "gain", "gain_db": float("nan")}, SettingsError, "-120 to 60 is wanted"),
        ({"effect": "gain"}, SettingsError, "gain_db is missing"),
        (
            {"effect": "high-pass", "cutoff_hz": 80, "order": 2.5},
            SettingsError,
            "1 to 8, whole is wanted",
        ),
        ({"effect": "convolution", "space": "x"}, SettingsError, "room or hall or plate"),
        ({"effect": "ducking", "by": 3}, SettingsError, "a text in quotes"),
        ({"gain_db": 3}, SettingsError, '"effect" with a name is wanted'),
    ],
)
def test_a_wrong_effect_is_named_with_its_place(
    tmp_path: Path, effect: object, error: type, message: str
) -> None:
    path = write(tmp_path / "mine.json", {"format": 1, "chain": [{"effect": "reverb"}, effect]})
    with pytest.raises(error, match=message) as caught:
        load_chain(path)
    assert str(caught.value).startswith("mine, effect 2: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": 2, "chain": []}, "format 2, and this version of unstir reads 1; update"),
        ({"chain": []}, '"format": 1 is wanted'),
        ({"format": True, "chain": []}, '"format": 1 is wanted'),
        ({"format": 1}, "chain is missing"),
        ({"format": 1, "chain": [], "run": "rm"}, "run came too"),
        ({"format": 1, "chain": "gain"}, "a list of effects is wanted"),
        ({"format": 1, "stems": {}}, "is a rack"),
        ([], "an object"),
    ],
)
def test_a_wrong_file_is_refused(content: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_chain(content, "mine")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\udcff"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match="is no JSON"):
        load_chain(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        find_chain(str(tmp_path / "none.json"))


def test_every_effect_opens_with_what_it_must_be_told() -> None:
    for kind in CATALOG.values():
        if kind.others:  # test_vst3 opens it
            continue
        needed = {
            p.name: p.choices[0] if p.choices else p.high
            for p in kind.parameters
            if p.default is None
        }
        assert Effect(kind.name, needed).settings.keys() == {p.name for p in kind.parameters}
