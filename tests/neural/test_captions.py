import re

import numpy as np
import pytest

from unstir.neural.captions import (
    HELD_OUT,
    classes,
    classes_of,
    draw_caption,
    other_captions,
    train_captions,
)


def test_there_are_a_hundred_classes_and_their_patterns_compile() -> None:
    assert len(classes()) >= 100
    for one in classes().values():
        re.compile(one.pattern)
        assert one.names
        assert one.paraphrases


def test_what_is_held_out_are_classes() -> None:
    assert set(HELD_OUT) <= set(classes())


@pytest.mark.parametrize("name", classes())
def test_no_paraphrase_is_trained_on(name: str) -> None:
    every = {caption for one in classes() for caption in train_captions(one)}
    assert not every & set(other_captions(name))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("speech/de_kerstin48k/de__kerstin__x.ogg", ("speech", "German speech")),
        ("singing/eir_sodium__vocals.ogg", ("singing", "music")),
        ("effects/dog_wolf/dog_wolf__a__sounds_dog_bark.ogg", ("dog", "dog barking")),
        ("made/effects/rain/rain__made__7.flac", ("sound effects", "rain")),
        ("effects/bird/bird__a__sounds_balloon_pop.ogg", ("sound effects",)),
        ("rir/room__kitchen.flac", ()),
    ],
)
def test_a_path_says_what_a_recording_is(path: str, expected: tuple[str, ...]) -> None:
    found = classes_of(path)
    assert set(expected) <= set(found)
    if expected in ((), ("sound effects",)):
        assert found == expected


def test_wide_classes_come_before_narrow_ones() -> None:
    found = classes_of("effects/farm_animal/x__y__sounds_horse_neigh_01.ogg")
    assert found[0] == "sound effects" or found.index("animal") < found.index("horse")
    assert found[-1] == "horse"


def test_captions_are_drawn_from_those_of_training() -> None:
    rng = np.random.default_rng(0)
    drawn = {draw_caption(rng, "rain") for _ in range(300)}
    assert drawn <= set(train_captions("rain"))
    assert len(drawn) > 20


def test_no_caption_has_two_articles() -> None:
    for name in classes():
        for caption in train_captions(name):
            assert not re.search(r"\b(the|a|an) (the|a|an)\b", caption), caption
