import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from tests.tiny_corpus import COLUMNS
from unstir.neural import checkpoint
from unstir.neural.captions import HELD_OUT, classes, classes_of, train_captions
from unstir.neural.pack import Pack, pack
from unstir.neural.query_scenes import WIDE, Asked, QueryRecipe
from unstir.neural.query_train import QueryBatches, observed, two_sources
from unstir.neural.recipes import export, recipe
from unstir.neural.text import encode
from unstir.neural.train import TrainConfig, build, train

N = 2**15 - 512
NAMES = {  # of recordings, several families each
    "effects/dog_wolf": "sounds_dog_bark",
    "effects/rain": "sounds_rain_heavy",
    "effects/farm_animal": "sounds_horse_neigh",  # held out
    "effects/door": "sounds_door_close",
    "speech/en": "talk",
    "music/instrumental": "orchestral__tune",
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Return a pack of recordings that are called as those of the corpus are."""
    folder = tmp_path_factory.mktemp("named")
    rows = []
    for k, (place, name) in enumerate(NAMES.items()):
        for i in range(8):
            path = f"{place}/x__y__{name}_{i}.wav"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng([k, i])
            wave = 0.2 * rng.standard_normal(22050) * np.hanning(22050)
            sf.write(folder / path, wave, 44100)
            row = dict.fromkeys(COLUMNS, "")
            row |= {"path": path, "kind": place.split("/")[0], "label": f"en/{name}{i}"}
            row |= {"source_repo": f"somebody/{k}-{i}", "author_if_known": f"author {k}-{i}"}
            row |= {"seconds": "0.5", "samplerate": "44100", "channels": "1", "licence": "CC0-1.0"}
            rows.append(row)
    with (folder / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    out = tmp_path_factory.mktemp("packs") / "named"
    assert list(pack(folder, out))
    return Pack(out)


def drawn(recipe: QueryRecipe, n: int, **more: bool) -> list:  # type: ignore[type-arg]
    return [recipe.draw(np.random.default_rng(i), N, **more) for i in range(n)]


def test_what_is_asked_for_plays_in_nothing_else(named: Pack) -> None:
    for asked in drawn(QueryRecipe(named, "train", film=0), 150):
        others = [p.clip for bus in (*asked.scene.music, *asked.scene.effects) for p in bus.pieces]
        assert others
        for path in others:
            assert asked.name not in classes_of(path)
        if asked.scene.speech:
            (path, *_) = [p.clip for bus in asked.scene.speech for p in bus.pieces]
            assert asked.name in classes_of(path)
            narrow = set(classes_of(path)) - set(WIDE)
            assert not any(narrow & set(classes_of(other)) for other in others)
        assert asked.caption in train_captions(asked.name)


def paths(asked: Asked) -> list[str]:
    scene = asked.scene
    return [p.clip for b in (*scene.speech, *scene.music, *scene.effects) for p in b.pieces]


def test_some_questions_are_for_what_is_not_there(named: Pack) -> None:
    absent = [not a.scene.speech for a in drawn(QueryRecipe(named, "train", film=0), 200)]
    assert 0.04 < np.mean(absent) < 0.18


def test_what_is_held_out_plays_only_where_it_is_asked_for(named: Pack) -> None:
    for asked in drawn(QueryRecipe(named, "train", film=0), 100):
        assert not any("horse" in path for path in paths(asked))
        assert "horse" not in (asked.name, *asked.sounds, *asked.absent)
    for asked in drawn(QueryRecipe(named, "report", film=0, targets=("horse",)), 20, full=True):
        assert asked.name == "horse"
        target, *others = paths(asked)
        assert "horse" in target
        assert not any("horse" in path for path in others if path != target)


@pytest.mark.parametrize("film", [0, 1])
def test_every_class_is_heard_or_absent_or_held_out(named: Pack, film: int) -> None:
    for asked in drawn(QueryRecipe(named, "train", film=film), 20):
        heard = {name for path in paths(asked) for name in classes_of(path)}
        assert heard and heard.isdisjoint(asked.absent)
        assert heard | {*asked.absent, *HELD_OUT} == set(classes())


def test_scenes_for_figures_hold_two_sounds_all_along_at_the_level_of_each_other(
    named: Pack,
) -> None:
    clips = {clip.path: clip for clip in named.clips}
    recipe = QueryRecipe(named, "train", film=0)
    for asked in drawn(recipe, 30, full=True):
        target, rest = two_sources(asked, named, clips).numpy()
        ratio_db = 10 * np.log10(np.sum(target**2) / np.sum(rest**2))
        assert -9 < ratio_db < 9  # what gaps do to -5 to 5
        for wave in (target, rest):
            tenths = np.array_split(np.sum(wave**2, axis=0), 3)
            assert min(part.sum() for part in tenths) > 0


def test_a_film_scene_is_asked_for_one_of_its_stems(tiny_pack: Pack) -> None:
    clips = {clip.path: clip for clip in tiny_pack.clips}
    for asked in drawn(QueryRecipe(tiny_pack, "train", film=1), 12):
        assert asked.name == ("speech", "music", "sound effects")[asked.target]
        assert two_sources(asked, tiny_pack, clips).shape == (2, 2, N)


def small(**more: object) -> TrainConfig:
    sizes = {"channels": (4, 4, 4), "hidden": 8, "n_condition": 8}
    found = replace(
        recipe("query"), net_config=sizes, segment=N, batch=2, steps=2, validate_every=2
    )
    return replace(found, **more)  # type: ignore[arg-type]


def test_a_batch_follows_from_its_number_alone(named: Pack) -> None:
    bands = build(small()).bands
    a, b = (QueryBatches(named, small(), (encode,), bands)[3] for _ in range(2))
    for one, other in zip(a, b, strict=True):
        for x, y in zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]:
            assert torch.equal(x, y)


def test_a_step_is_made_and_a_model_comes_of_it(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unstir.neural.query_train.N_CHOSEN", 2)
    config = small()
    first = build(config).state_dict()
    source = observed(config, tiny_pack, (encode,))
    net = train(config, tiny_pack, tmp_path, workers=0, observed=source)
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, first[key])}
    assert any(key.startswith("films.") for key in changed)
    assert any(key.startswith("presence.") for key in changed)
    assert any(key.startswith("ear.") for key in changed)
    model = checkpoint.load(export("query", config, net, tiny_pack, tmp_path))
    assert model.sources == ("target",)
    asked = torch.from_numpy(encode(["a dog"]))[None]
    with torch.inference_mode():
        assert model.net(torch.zeros(1, 2, 3000), asked).shape == (1, 2, 2, 3000)
