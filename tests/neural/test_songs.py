"""Plans of songs: a singer, what accompanies, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from unstir.neural.batches import Batches, TrainConfig
from unstir.neural.pack import SAMPLE_RATE, Clip, Pack
from unstir.neural.render import render
from unstir.neural.scenes import Scene
from unstir.neural.songs import SongRecipe
from unstir.neural.validation import validation_scenes

N = 2 * SAMPLE_RATE


@pytest.fixture(scope="module")
def many(tiny_pack: Pack) -> list[Scene]:
    recipe = SongRecipe(tiny_pack, "train")
    return [recipe.draw(np.random.default_rng([1, k]), N) for k in range(60)]


def projects(scene: Scene, clips: Mapping[str, Clip]) -> tuple[set[str], set[str]]:
    """Return the families of the vocals and of the accompaniment."""
    vocals, backing = (
        {clips[piece.clip].family for bus in buses for piece in bus.pieces}
        for buses in (scene.speech, scene.music)
    )
    return vocals, backing


def without(pack: Pack, *, kind: str, families: str) -> Pack:
    poor = Pack(pack.folder)
    poor.__dict__["clips"] = tuple(
        clip for clip in pack.clips if clip.kind != kind or not clip.family.startswith(families)
    )
    return poor


def test_the_same_seed_gives_the_same_song_and_another_another(tiny_pack: Pack) -> None:
    one, again, other = (
        SongRecipe(tiny_pack, "train").draw(np.random.default_rng(seed), N) for seed in (3, 3, 4)
    )
    assert one == again != other


def test_vocals_and_accompaniment_are_all_there_is(
    tiny_pack: Pack, tiny_clips: Mapping[str, Clip], many: list[Scene]
) -> None:
    for plan in many[:8]:
        vocals, accompaniment, rest = render(plan, tiny_pack, tiny_clips)
        assert not rest.any()
        assert vocals.any() == bool(plan.speech) and accompaniment.any()
        mix_db = 10 * np.log10(np.mean((vocals + accompaniment).astype(np.float64) ** 2))
        assert mix_db == pytest.approx(plan.mix_db, abs=0.01)


def test_the_vocals_are_sung_and_the_accompaniment_is_not(
    tiny_clips: Mapping[str, Clip], many: list[Scene]
) -> None:
    for plan in many:
        kinds = [
            {tiny_clips[piece.clip].kind for bus in buses for piece in bus.pieces}
            for buses in (plan.speech, plan.music)
        ]
        assert kinds[0] <= {"singing"} and kinds[1] == {"music"}


def test_a_project_stays_aligned_and_other_music_is_another_project_s(
    tiny_clips: Mapping[str, Clip], many: list[Scene]
) -> None:
    own = 0
    for plan in many:
        vocals, backing = projects(plan, tiny_clips)
        if vocals and vocals == backing:
            own += 1
            pieces = [piece for bus in (*plan.speech, *plan.music) for piece in bus.pieces]
            assert len({(piece.start, piece.at, piece.n_samples) for piece in pieces}) == 1
            assert plan.speech[0].speed == plan.music[0].speed
        else:
            assert not vocals & backing
    assert 15 < own < 50


def test_some_songs_have_no_singer_but_none_that_validates(
    tiny_pack: Pack, many: list[Scene]
) -> None:
    assert 0 < sum(not plan.speech for plan in many) < 15
    recipe = SongRecipe(tiny_pack, "choose")
    for seed in range(10):
        assert recipe.draw(np.random.default_rng(seed), N, full=True).speech


def test_the_place_with_most_singing_of_three_is_taken(tiny_pack: Pack) -> None:
    recipe = SongRecipe(tiny_pack, "train")
    vocals = tiny_pack.select("train", "singing")[:1]
    n = SAMPLE_RATE // 8  # shorter than a syllable, so that places differ
    start = recipe._start(np.random.default_rng(2), vocals, n)
    places = np.random.default_rng(2).integers(0, vocals[0].n_samples - n, 3)
    powers = [np.sum(tiny_pack.read(vocals[0], int(place), n) ** 2) for place in places]
    assert start == places[np.argmax(powers)]


def test_a_project_without_instruments_gets_other_music(
    tiny_pack: Pack, tiny_clips: Mapping[str, Clip]
) -> None:
    recipe = SongRecipe(without(tiny_pack, kind="music", families="song:"), "train")
    for seed in range(10):
        plan = recipe.draw(np.random.default_rng(seed), N)
        vocals, backing = projects(plan, tiny_clips)
        assert backing and not vocals & backing
        assert np.isfinite(render(plan, tiny_pack, tiny_clips)).all()


def test_projects_alone_are_enough(tiny_pack: Pack) -> None:
    recipe = SongRecipe(without(tiny_pack, kind="music", families="music:"), "train")
    assert all(recipe.draw(np.random.default_rng(seed), N).music for seed in range(10))


@pytest.fixture(scope="module")
def mixed_pack(tiny_pack: Pack) -> Pack:
    """Return the pack with a twin of every training piece that says it was made by program."""
    pack = Pack(tiny_pack.folder)
    pack.__dict__["clips"] = tiny_pack.clips + tuple(
        replace(clip, path=f"made/{clip.path}", family=f"made: music {clip.label}")
        for clip in tiny_pack.select("train", "music")
    )
    return pack


def test_made_music_changes_no_number_until_it_is_asked_for(
    tiny_pack: Pack, mixed_pack: Pack, many: list[Scene]
) -> None:
    recipe = SongRecipe(mixed_pack, "train")
    assert [recipe.draw(np.random.default_rng([1, k]), N) for k in range(60)] == many
    # Asked for where there is none, as in the scenes that choose a model.
    none, plain = SongRecipe(mixed_pack, "choose", made=0.9), SongRecipe(tiny_pack, "choose")
    for seed in range(10):
        one, other = (r.draw(np.random.default_rng(seed), N) for r in (none, plain))
        assert one == other


def test_made_music_backs_singers_of_other_songs_as_often_as_asked(mixed_pack: Pack) -> None:
    recipe = SongRecipe(mixed_pack, "train", made=0.4)
    clips = {clip.path: clip for clip in mixed_pack.clips}
    other = []
    for k in range(400):
        plan = recipe.draw(np.random.default_rng([2, k]), N)
        vocals, (backing,) = projects(plan, clips)
        if vocals and vocals != {backing}:
            other.append(backing.startswith("made: "))
    assert np.mean(other) == pytest.approx(0.4, abs=0.1)


def test_made_singers_stand_in_instead_of_talkers(tiny_pack: Pack) -> None:
    pack = Pack(tiny_pack.folder)
    pack.__dict__["clips"] = tiny_pack.clips + tuple(
        replace(clip, path=f"made/{clip.path}", family=f"made: singing {clip.family}")
        for clip in tiny_pack.select("train", "singing")
    )
    clips = {clip.path: clip for clip in pack.clips}
    for voices, stand_in in ((tiny_pack, "speech"), (pack, "singing")):
        recipe = SongRecipe(voices, "train", spoken=0.5)
        plans = [recipe.draw(np.random.default_rng([3, k]), N) for k in range(300)]
        sung = [clips[plan.speech[0].pieces[0].clip] for plan in plans if plan.speech]
        others = [clip for clip in sung if not clip.family.startswith("song:")]
        assert {clip.kind for clip in others} == {stand_in}
        assert len(others) / len(sung) == pytest.approx(0.5, abs=0.1)
    plain = SongRecipe(tiny_pack, "train"), SongRecipe(pack, "train")
    one, other = (recipe.draw(np.random.default_rng(0), N) for recipe in plain)
    assert one == other


def test_batches_take_the_share_of_made_music_from_the_config(
    tiny_pack: Pack, mixed_pack: Pack
) -> None:
    plain, none, some = (
        Batches(pack, TrainConfig(scenes="song", segment=4000, batch=4, made=made))[0]
        for pack, made in ((tiny_pack, 0.0), (mixed_pack, 0.0), (mixed_pack, 1.0))
    )
    assert torch.equal(plain, none) and not torch.equal(none, some)


def test_batches_and_validation_have_two_sources(tiny_pack: Pack) -> None:
    config = TrainConfig(scenes="song", segment=11025, batch=2)
    batch = Batches(tiny_pack, config)[0]
    assert batch.shape == (2, 2, 2, 11025) and torch.isfinite(batch).all()
    scenes = validation_scenes(tiny_pack, "song", n=2, seconds=0.5)
    assert scenes.shape == (2, 2, 2, 22050)
    assert (scenes.square().mean(dim=(2, 3)) > 1e-8).all()
