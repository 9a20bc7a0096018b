"""Plans of scenes: all from the seed, spanning wide, from one split alone."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.scenes import STEMS, Bus, Recipe, Scene, digest

N = 3 * SAMPLE_RATE


def plan(pack: Pack, seed: int, *, split: str = "train", full: bool = False) -> Scene:
    return Recipe(pack, split).draw(np.random.default_rng(seed), N, full=full)


def buses(scene: Scene) -> Iterator[Bus]:
    for stem in STEMS:
        yield from getattr(scene, stem)


@pytest.fixture(scope="module")
def many(tiny_pack: Pack) -> list[Scene]:
    recipe = Recipe(tiny_pack, "train")
    return [recipe.draw(np.random.default_rng([1, k]), N) for k in range(400)]


def test_the_same_seed_gives_the_same_scene_and_another_another(tiny_pack: Pack) -> None:
    assert plan(tiny_pack, 3) == plan(tiny_pack, 3)
    assert plan(tiny_pack, 3) != plan(tiny_pack, 4)


def test_a_scene_does_not_depend_on_those_drawn_before(tiny_pack: Pack) -> None:
    recipe = Recipe(tiny_pack, "train")
    for k in range(5):
        recipe.draw(np.random.default_rng(k), N)
    assert recipe.draw(np.random.default_rng(9), N) == plan(tiny_pack, 9)


def test_a_list_of_plans_has_a_hash_that_any_change_changes(many: list[Scene]) -> None:
    assert digest(many) == digest(list(many))
    assert digest(many) != digest([replace(many[0], mix_db=-29.001), *many[1:]])
    assert digest(many) != digest(many[::-1])
    assert digest(many) != digest([replace(many[0], holes_db=31.5), *many[1:]])
    turned = tuple(replace(bus, backward=not bus.backward) for bus in many[0].music)
    assert not turned or digest(many) != digest([replace(many[0], music=turned), *many[1:]])


@pytest.mark.parametrize("split", ["train", "choose", "report"])
def test_scenes_take_from_their_own_split_alone(tiny_pack: Pack, split: str) -> None:
    sides = {clip.path: clip.split for clip in tiny_pack.clips}
    for seed in range(60):
        for bus in buses(plan(tiny_pack, seed, split=split)):
            assert {sides[piece.clip] for piece in bus.pieces} == {split}
            assert not bus.room or sides[bus.room] == split


def test_pieces_lie_in_the_scene_and_in_their_clips(tiny_pack: Pack, many: list[Scene]) -> None:
    lengths = {clip.path: clip.n_samples for clip in tiny_pack.clips}
    for scene in many:
        for bus in buses(scene):
            assert bus.pieces
            for piece in bus.pieces:
                assert piece.at >= 0 and piece.n_samples > 0
                assert piece.at + piece.n_samples <= N
                assert 0 <= piece.start < lengths[piece.clip]


def test_a_full_scene_has_all_stems_treble_and_channels(tiny_pack: Pack) -> None:
    for seed in range(60):
        scene = plan(tiny_pack, seed, full=True)
        assert scene.speech and scene.music and scene.effects
        assert not scene.mono and not scene.high_hz and scene.mix_db == -29


def test_training_scenes_span_wide(many: list[Scene]) -> None:
    kinds = {stem: np.mean([bool(getattr(s, stem)) for s in many]) for stem in STEMS}
    assert all(0.6 < share < 0.8 for share in kinds.values()), kinds
    assert 0.07 < np.mean([s.mono for s in many]) < 0.17
    assert 0.2 < np.mean([s.high_hz > 0 for s in many]) < 0.5
    assert 0.15 < np.mean([s.duck_db > 0 for s in many]) < 0.35
    for j in range(3):
        assert np.std([s.level_db[j] for s in many]) > 2
    assert {len(s.speech) for s in many} >= {0, 1, 2}
    widths = [bus.width for s in many for bus in s.music]
    assert min(widths) == 0 and max(widths) > 1.3


def test_training_scenes_hold_two_of_a_kind_bent_sources_and_codecs(
    tiny_pack: Pack, many: list[Scene]
) -> None:
    assert 0.03 < np.mean([s.holes_db > 0 for s in many]) < 0.15
    assert 0.02 < np.mean([b.high_hz > 0 for s in many for b in (*s.music, *s.effects)]) < 0.12
    bent = [b for s in many for b in (*s.music, *s.effects)]
    assert 0.05 < np.mean([b.backward for b in bent]) < 0.16
    assert np.std([np.log(b.speed) for b in bent]) > 0.15
    # A single layer of music is one bus, or two where a singer comes over another piece.
    assert any(len(s.music) > 2 for s in many) and any(len(s.speech) > 2 for s in many)
    full = [plan(tiny_pack, seed, full=True) for seed in range(60)]
    assert not any(s.holes_db for s in full)
    assert not any(b.backward for s in full for b in buses(s))
    assert not any(b.high_hz for s in full for b in (*s.music, *s.effects))


def test_in_many_training_scenes_dialogue_alone_is_in_the_middle(many: list[Scene]) -> None:
    def alone(scene: Scene) -> bool:
        middle = all(bus.pan == (0.0, 0.0) for bus in scene.speech)
        events = [p for bus in scene.effects for p in bus.pieces]
        beside = all(p.pan is None or abs(p.pan) >= 0.2 for p in events)
        return middle and beside and all(bus.width >= 0.8 for bus in scene.music)

    whole = [s for s in many if s.speech and s.music and s.effects]
    assert 0.35 < np.mean([alone(s) for s in whole]) < 0.7


def test_a_third_of_the_music_is_sung(many: list[Scene]) -> None:
    scored = [s for s in many if s.music]
    sung = [any("singing/" in p.clip for b in s.music for p in b.pieces) for s in scored]
    assert np.mean(sung) == pytest.approx(1 / 3, abs=0.08)


def test_the_instruments_of_a_song_play_from_the_same_place(many: list[Scene]) -> None:
    for scene in many:
        for bus in scene.music:
            if any("eir_" in piece.clip for piece in bus.pieces):
                assert len({(piece.start, piece.at) for piece in bus.pieces}) == 1
                assert (
                    len({piece.clip.partition("__")[0].rpartition("/")[2] for piece in bus.pieces})
                    == 1
                )


@pytest.fixture(scope="module")
def mixed_pack(tiny_pack: Pack) -> Pack:
    """Return the pack with a twin of every training clip that says it was made by program."""
    twins = [
        replace(c, path=f"made/{c.path}", family=f"made: {c.kind} {c.label}")
        for c in tiny_pack.clips
        if c.split == "train" and c.kind in ("speech", "music", "effects")
    ]
    pack = Pack(tiny_pack.folder)
    pack.__dict__["clips"] = (*tiny_pack.clips, *twins)
    return pack


def test_made_recordings_change_no_number_until_they_are_asked_for(
    tiny_pack: Pack, mixed_pack: Pack, many: list[Scene]
) -> None:
    found = Recipe(mixed_pack, "train")
    assert [found.draw(np.random.default_rng([1, k]), N) for k in range(100)] == many[:100]
    # Asked for where there are none, as in the scenes that choose a model.
    none = Recipe(mixed_pack, "choose", made=0.9)
    for seed in range(20):
        scene = none.draw(np.random.default_rng(seed), N)
        assert scene == plan(tiny_pack, seed, split="choose")


def test_made_recordings_are_drawn_as_often_as_asked(mixed_pack: Pack) -> None:
    recipe = Recipe(mixed_pack, "train", made=0.6)
    shares: dict[str, list[bool]] = {stem: [] for stem in STEMS}
    for k in range(400):
        scene = recipe.draw(np.random.default_rng([2, k]), N)
        for stem in STEMS:
            for bus in getattr(scene, stem):
                # The first of each: short clips are followed by others. Songs are always found.
                paths = [p.clip for p in bus.pieces if not p.clip.startswith("music/eir_")][:1]
                paths = [path for path in paths if not path.startswith("singing/")]
                shares[stem] += [path.startswith("made/") for path in paths]
    assert np.mean(shares["music"]) == pytest.approx(0.6, abs=0.1)
    assert np.mean(shares["effects"]) == pytest.approx(0.6, abs=0.1)
    assert np.mean(shares["speech"]) == pytest.approx(0.6 / 4 * 0.75, abs=0.06)


def test_made_singers_sing_over_any_music_as_often_as_asked(
    tiny_pack: Pack, many: list[Scene]
) -> None:
    pack = Pack(tiny_pack.folder)
    pack.__dict__["clips"] = tiny_pack.clips + tuple(
        replace(clip, path=f"made/{clip.path}", family=f"made: singing {clip.family}")
        for clip in tiny_pack.select("train", "singing")
    )
    unasked = Recipe(pack, "train")
    assert [unasked.draw(np.random.default_rng([1, k]), N) for k in range(50)] == many[:50]
    recipe = Recipe(pack, "train", made=0.6)
    sung = []
    for k in range(400):
        scene = recipe.draw(np.random.default_rng([2, k]), N)
        made = [bus for bus in scene.music if bus.pieces[0].clip.startswith("made/singing/")]
        sung.append(bool(made))
        assert not made or len(scene.music) >= 2
    assert np.mean(sung) == pytest.approx(0.6 / 3, abs=0.07)


def test_a_scene_is_as_long_as_asked_for_even_if_short(tiny_pack: Pack) -> None:
    scene = Recipe(tiny_pack, "train").draw(np.random.default_rng(0), 4000, full=True)
    assert scene.n_samples == 4000 and scene.music
