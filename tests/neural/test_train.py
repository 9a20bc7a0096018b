"""The trainer: goes on to the same weights, stops at nonsense, learns."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unstir import cli_train
from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.evaluate import si_sdr_db
from unstir.neural import checkpoint
from unstir.neural.batches import Batches
from unstir.neural.losses import masked_snr_loss
from unstir.neural.pack import Pack
from unstir.neural.planes import Bands
from unstir.neural.query_net import QueryConfig, QueryNet
from unstir.neural.recipes import RECIPES, export, recipe, start
from unstir.neural.tasks import task
from unstir.neural.train import TrainConfig, build, learning_rate, train
from unstir.neural.validation import si_sdr_gain_db, validation_scenes

SHIPPED = Path(checkpoint.__file__).parent
NET = {
    "n_fft": 512, "hop_length": 256, "n_bands": 64, "n_single": 32, "channels": [4, 6, 8],
    "hidden": 8,
}  # fmt: skip
TINY = TrainConfig(
    net_config={**NET, "channels": tuple(NET["channels"])},
    segment=22050,
    batch=2,
    steps=6,
    learning_rate=3e-3,
    warmup=2,
    validate_every=3,
)


@pytest.fixture(scope="module")
def scenes(tiny_pack: Pack) -> torch.Tensor:
    return validation_scenes(tiny_pack, n=2, seconds=1.0)


def run(pack: Pack, out: Path, config: TrainConfig = TINY, **options: Any) -> dict[str, Any]:
    return train(config, pack, out, **{"workers": 0, **options}).state_dict()


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.fixture(scope="module")
def whole(
    tiny_pack: Pack, scenes: torch.Tensor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, torch.Tensor], Path]:
    """Return the weights and the folder of a run that was never interrupted."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return run(tiny_pack, out, scenes=scenes), out


class KilledError(Exception):
    pass


def kill_at(step: int) -> Any:
    def listener(entry: dict[str, Any]) -> None:
        if entry["step"] == step:
            raise KilledError

    return listener


def test_a_killed_run_goes_on_to_the_same_weights(
    tiny_pack: Pack, scenes: torch.Tensor, whole: Any, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        run(tiny_pack, tmp_path, scenes=scenes, listener=kill_at(3))
    assert_same(run(tiny_pack, tmp_path, scenes=scenes), whole[0])
    for ours, theirs in zip(log_of(tmp_path), log_of(whole[1]), strict=True):
        assert ours["loss_db"] == theirs["loss_db"] and ours["gains_db"] == theirs["gains_db"]


def test_a_run_killed_between_two_checkpoints_repeats_the_lost_steps(
    tiny_pack: Pack, scenes: torch.Tensor, whole: Any, tmp_path: Path
) -> None:
    def on_step(step: int) -> None:
        if step == 5:
            raise KilledError

    with pytest.raises(KilledError):
        run(tiny_pack, tmp_path, scenes=scenes, on_step=on_step)
    assert_same(run(tiny_pack, tmp_path, scenes=scenes), whole[0])


def test_legs_give_what_one_run_gives(
    tiny_pack: Pack, scenes: torch.Tensor, whole: Any, tmp_path: Path
) -> None:
    for leg in range(1, TINY.steps + 1):
        weights = run(tiny_pack, tmp_path, scenes=scenes, minutes=1e-9)  # a step, no more
        assert log_of(tmp_path)[-1]["step"] == leg
    assert_same(weights, whole[0])


def test_a_process_that_mixes_changes_nothing(
    tiny_pack: Pack, scenes: torch.Tensor, whole: Any, tmp_path: Path
) -> None:
    assert_same(run(tiny_pack, tmp_path, scenes=scenes, workers=1), whole[0])


def test_a_finished_run_gives_its_weights_again(
    tiny_pack: Pack, scenes: torch.Tensor, whole: Any
) -> None:
    before = (whole[1] / "last.pt").read_bytes()
    assert_same(run(tiny_pack, whole[1], scenes=scenes), whole[0])
    assert (whole[1] / "last.pt").read_bytes() == before


def test_the_log_tells_of_every_validation(whole: Any) -> None:
    entries = log_of(whole[1])
    assert [entry["step"] for entry in entries] == [3, 6]
    for entry in entries:
        assert entry["gain_db"] == pytest.approx(np.mean(entry["gains_db"]), abs=0.01)
        assert len(entry["gains_db"]) == 3 and 0 <= entry["data_share"] <= 1
        assert entry["seconds"] >= 0 and entry["steps_per_s"] > 0


def test_every_step_is_told(tiny_pack: Pack, scenes: torch.Tensor, tmp_path: Path) -> None:
    told: list[int] = []
    run(tiny_pack, tmp_path, scenes=scenes, on_step=told.append)
    assert told == list(range(1, TINY.steps + 1))


def test_the_best_weights_are_those_of_the_best_validation(whole: Any) -> None:
    best = torch.load(whole[1] / "best.pt", weights_only=True)
    top = max(log_of(whole[1]), key=lambda entry: float(entry["gain_db"]))
    assert (best["step"], best["gain_db"]) == (top["step"], top["gain_db"])


def test_the_loss_goes_down(tiny_pack: Pack, scenes: torch.Tensor, tmp_path: Path) -> None:
    config = replace(TINY, steps=200, learning_rate=5e-3, validate_every=40, ema=0.9)
    run(tiny_pack, tmp_path, config, scenes=scenes)
    entries = log_of(tmp_path)
    # Scenes differ more than training changes in so few steps: the same ones before and after.
    before, after = build(config), build(config)
    after.load_state_dict(torch.load(tmp_path / "last.pt", weights_only=True)["mean"])
    what = task(config, before)
    batches = [Batches(tiny_pack, config, 0, what.bands)[k] for k in range(20)]
    losses = [
        np.mean([what.loss(net, batch).item() for batch in batches])
        for net in (before.eval(), after.eval())
    ]
    assert losses[1] < losses[0] - 0.5
    assert entries[-1]["gain_db"] > entries[0]["gain_db"] + 0.5


def test_a_loss_over_waveforms_trains_too(
    tiny_pack: Pack, scenes: torch.Tensor, tmp_path: Path
) -> None:
    config = replace(TINY, steps=2, spectral=1.0)
    weights = run(tiny_pack, tmp_path, config, scenes=scenes)
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_another_config_into_the_same_folder_is_refused(
    tiny_pack: Pack, scenes: torch.Tensor, whole: Any
) -> None:
    before = (whole[1] / "last.pt").read_bytes()
    for other, name in (
        (replace(TINY, seed=1), "seed"),
        (replace(TINY, net_config={**TINY.net_config, "hidden": 9}), "net_config"),
    ):
        with pytest.raises(SettingsError, match=name):
            run(tiny_pack, whole[1], other, scenes=scenes)
    assert (whole[1] / "last.pt").read_bytes() == before


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_weights(
    tiny_pack: Pack, scenes: torch.Tensor, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        run(tiny_pack, tmp_path, scenes=scenes, listener=kill_at(3))
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    wild = replace(TINY, learning_rate=1e30, steps=50)
    config = {**json.loads(saved["config"]), "learning_rate": 1e30}
    torch.save({**saved, "config": json.dumps(config)}, tmp_path / "last.pt")
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(SettingsError, match=r"no number at step \d+; .*last good weights"):
        run(tiny_pack, tmp_path, replace(wild, validate_every=3), scenes=scenes)
    assert (tmp_path / "last.pt").read_bytes() == before
    assert all(np.isfinite(entry["gain_db"]) for entry in log_of(tmp_path))


def test_a_run_that_never_was_good_saves_nothing(
    tiny_pack: Pack, scenes: torch.Tensor, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="nothing was saved"):
        run(tiny_pack, tmp_path, replace(TINY, learning_rate=1e30), scenes=scenes)
    assert not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("content", [b"", b"PK no archive"])
def test_a_damaged_checkpoint_is_refused(tiny_pack: Pack, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(SettingsError, match="damaged"):
        run(tiny_pack, tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == content


def test_a_pack_without_a_kind_is_refused(tiny_pack: Pack, tmp_path: Path) -> None:
    poor = Pack(tiny_pack.folder)
    poor.__dict__["clips"] = tuple(clip for clip in poor.clips if clip.kind != "effects")
    with pytest.raises(AudioError, match="no effects in the split 'train'"):
        run(poor, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_batch_depends_on_seed_rank_and_number_alone(tiny_pack: Pack) -> None:
    first = Batches(tiny_pack, TINY)
    again = Batches(tiny_pack, TINY)
    _ = again[0]
    torch.testing.assert_close(first[2], again[2], atol=0, rtol=0)
    assert first[2].shape == (2, 3, 2, 22050)
    for other in (first[3], Batches(tiny_pack, TINY, 1)[2]):
        assert not torch.equal(first[2], other)
    assert not torch.equal(Batches(tiny_pack, replace(TINY, seed=1))[2], first[2])


def test_what_the_mixing_process_sees_is_what_the_net_would(tiny_pack: Pack) -> None:
    bands = Bands(512, 256, 64, 32)
    seen, sums = Batches(tiny_pack, TINY, bands=bands)[0]
    assert seen.shape[:2] == (2, 5) and sums.cross.shape[:2] == (2, 3)
    masks = torch.full(sums.cross.shape, 1 / 3)
    assert torch.isfinite(masked_snr_loss(masks, sums))


def test_the_measure_is_that_of_the_hall(rng: np.random.Generator) -> None:
    targets = rng.normal(0, 0.1, (2, 3, 2, 5000)).astype(np.float32)
    targets += 0.01  # an offset counts, as it does there
    mixture = targets.sum(axis=1)
    estimates = (0.3 * targets + 0.05 * mixture[:, None]).astype(np.float32)
    found = si_sdr_gain_db(*(torch.from_numpy(x) for x in (estimates, targets, mixture)))
    for i in range(2):
        for j in range(3):
            expected = si_sdr_db(targets[i, j], estimates[i, j])
            expected -= si_sdr_db(targets[i, j], mixture[i])
            assert found[i, j].item() == pytest.approx(expected, abs=0.01)


def test_validation_scenes_are_always_the_same(tiny_pack: Pack, scenes: torch.Tensor) -> None:
    again = validation_scenes(tiny_pack, n=2, seconds=1.0)
    assert torch.equal(scenes, again) and scenes.shape == (2, 3, 2, 44100)


def test_the_same_seed_builds_the_same_net() -> None:
    assert_same(build(TINY).state_dict(), build(TINY).state_dict())


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [learning_rate(replace(TINY, steps=100, warmup=10), k) for k in range(100)]
    assert np.all(np.diff(rates[:10]) > 0) and np.all(np.diff(rates[71:]) < 0)
    assert rates[10:70] == [TINY.learning_rate] * 60


SMALLER: dict[str, dict[str, Any]] = {
    "compact": TINY.net_config,
    "blstm": {"n_bands": 256, "hidden": 4, "layers": 1},
    "bandsplit": {"width": 4, "layers": 1},
    "mrx": {"window_lengths": (128, 512), "hop_length": 64, "n_hidden": 4},
    "unet": {"n_fft": 256, "hop_length": 128, "channels": (2, 4, 8)},
    "chimera": {"n_fft": 256, "hop_length": 128, "n_bands": 8, "hidden": 4, "n_layers": 1},
    "vocalnet": {"n_fft": 128, "hop_length": 64, "channels": (2, 2, 2, 2), "hidden": 4},
    "vad": {"n_fft": 128, "hop_length": 64, "channels": (2, 2, 2, 2), "hidden": 4},
}


def smaller(name: str) -> TrainConfig:
    """Return a recipe at a size for tests."""
    config = recipe(name)
    net_config = {**config.net_config, **SMALLER[config.net]}
    return replace(config, net_config=net_config, segment=11025, batch=2, steps=1)


# Refiners train on observed scenes: test_refining.py; what is asked: test_query_train.py.
@pytest.mark.parametrize(
    "name", [name for name in RECIPES if RECIPES[name].net not in ("refiner", "query")]
)
def test_every_recipe_makes_a_step_and_a_model(
    tiny_pack: Pack, scenes: torch.Tensor, tmp_path: Path, name: str
) -> None:
    config = smaller(name)
    first = build(config).state_dict()
    chosen = scenes[:1, :2] if config.scenes == "song" else scenes[:1]
    net = train(config, tiny_pack, tmp_path, workers=0, scenes=chosen)
    assert any(not torch.equal(value, first[key]) for key, value in net.state_dict().items())
    model = checkpoint.load(export(name, config, net, tiny_pack, tmp_path))
    assert model.sample_rate == config.net_config.get(
        "sample_rate", 22050 if name == "vad" else 44100
    )
    wanted = {"compact-song": ("vocals", "accompaniment"), "vad": ("speech",)}
    assert model.sources == wanted.get(name, ("speech", "music", "effects"))
    if name != "vad":
        with torch.inference_mode():
            assert model.net(torch.zeros(1, 2, 3000)).shape == (1, len(model.sources), 2, 3000)


@pytest.mark.parametrize("name", [name for name in RECIPES if "small" in name])
def test_a_small_net_is_small(name: str) -> None:
    weights = build(recipe(name)).state_dict().values()
    assert sum(w.numel() * (2 if w.ndim > 1 else 4) for w in weights) < 4e6


def test_help_lists_the_recipes() -> None:
    assert ", ".join(cli_train.RECIPES).split(", ") == list(RECIPES)


def test_dropout_goes_on_as_if_the_run_had_not_stopped(
    tiny_pack: Pack, scenes: torch.Tensor, tmp_path: Path
) -> None:
    config = replace(smaller("vad"), steps=4, validate_every=2)
    whole = run(tiny_pack, tmp_path / "whole", config, scenes=scenes)
    with pytest.raises(KilledError):
        run(tiny_pack, tmp_path / "legs", config, scenes=scenes, listener=kill_at(2))
    assert_same(run(tiny_pack, tmp_path / "legs", config, scenes=scenes), whole)


def test_a_run_from_before_a_setting_goes_on(
    tiny_pack: Pack, scenes: torch.Tensor, whole: Any, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        run(tiny_pack, tmp_path, scenes=scenes, listener=kill_at(3))
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    config = json.loads(saved["config"])
    del config["scenes"], config["loss"]
    torch.save({**saved, "config": json.dumps(config)}, tmp_path / "last.pt")
    assert_same(run(tiny_pack, tmp_path, scenes=scenes), whole[0])


@pytest.fixture(scope="module")
def vad_model(tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small detector on disk."""
    path = tmp_path_factory.mktemp("models") / "vad.safetensors"
    net = build(smaller("vad"))
    checkpoint.save(path, "vad", net, net.config, ("speech",), {}, half=False)
    return path


def test_a_mask_net_grows_from_a_detector(
    tiny_pack: Pack, scenes: torch.Tensor, tmp_path: Path, vad_model: Path
) -> None:
    config = replace(smaller("vocalnet-small"), learning_rate=1e-9, weight_decay=0)
    weights = run(tiny_pack, tmp_path, config, scenes=scenes, init=start(config, vad_model))
    grown = checkpoint.load(vad_model).net.state_dict()
    for name, value in weights.items():
        # Statistics follow the sound that is seen, whatever the learning rate.
        if name.startswith("trunk.") and "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(value, grown[name], atol=1e-6, rtol=0)


def test_a_model_that_a_run_cannot_begin_with_is_refused(vad_model: Path) -> None:
    assert_same(start(smaller("vad"), vad_model), checkpoint.load(vad_model).net.state_dict())
    for config in (smaller("unet-small"), recipe("vad")):
        with pytest.raises(SettingsError, match=r"begins with a (Unet|Vad)"):
            start(config, vad_model)
    with pytest.raises(SettingsError, match="the two must agree"):
        start(recipe("vocalnet-small"), vad_model)


@pytest.mark.parametrize("shipped", ["compact-film", "compact-film-causal", "compact-song"])
def test_the_legs_on_the_card_of_a_shipped_net_are_recipes(shipped: str) -> None:
    card = checkpoint.describe(SHIPPED / f"{shipped}.safetensors").card
    legs = [*(leg["recipe"] for leg in card["earlier_legs"]), card["recipe"]]
    further = [f"compact-film-{leg}" for leg in range(2, 11)]
    if shipped == "compact-song":
        further[4:] = ["compact-song"]
    if shipped == "compact-film-causal":
        further = ["compact-film-causal-2"]
        del legs[1]  # in another grid than the first, at another rate than its own recipe
    for name, leg in zip(("compact-film", *further), legs, strict=True):
        # A setting that is younger than the leg had its default then.
        trained = json.loads(json.dumps(asdict(TrainConfig()))) | leg
        assert json.loads(json.dumps(asdict(recipe(name)))) == trained, name


@pytest.mark.parametrize("shipped", [n for n in RECIPES if n.endswith("-small")])
def test_a_small_net_ships_as_its_recipe_made_it(shipped: str) -> None:
    card = checkpoint.describe(SHIPPED / f"{shipped}.safetensors").card
    assert json.loads(json.dumps(asdict(recipe(shipped)))) == card["recipe"]


def test_a_leg_begins_with_the_weights_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "compact-film.safetensors"
    net = build(smaller("compact-film"))
    checkpoint.save(path, "compact", net, net.config, ("speech", "music", "effects"), {})
    later = smaller("compact-film-2")
    weights = start(later, path)
    assert_same(weights, checkpoint.load(path).net.state_dict())
    build(later).load_state_dict(weights)
    wider = replace(later, net_config={**later.net_config, "hidden": 16})
    with pytest.raises(SettingsError, match="of another kind or size"):
        start(wider, path)


def test_a_leg_may_have_another_dropout_than_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "query.safetensors"
    small: dict[str, Any] = {"channels": (4, 4, 4), "hidden": 8, "n_condition": 8}
    net = QueryNet(QueryConfig(**small, dropout=0.1))
    checkpoint.save(path, "query", net, net.config, ("target",), {})
    later = replace(recipe("query-2"), net_config={**small, "dropout": 0.3})
    assert_same(start(later, path), checkpoint.load(path).net.state_dict())
    with pytest.raises(SettingsError, match="of another kind or size"):
        start(replace(later, net_config={**small, "hidden": 16}), path)


def test_a_pack_without_singing_trains_no_song_net(tiny_pack: Pack, tmp_path: Path) -> None:
    poor = Pack(tiny_pack.folder)
    poor.__dict__["clips"] = tuple(clip for clip in poor.clips if clip.kind != "singing")
    with pytest.raises(AudioError, match="no singing in the split 'train'"):
        run(poor, tmp_path / "out", smaller("compact-song"))


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="compact-film, compact-film-2"):
        recipe("compact-flim")


def test_a_run_is_exported_as_a_model_with_a_card(tiny_pack: Pack, whole: Any) -> None:
    net = train(TINY, tiny_pack, whole[1], workers=0)
    model = checkpoint.load(export("tiny", TINY, net, tiny_pack, whole[1]))
    assert model.sources == ("speech", "music", "effects")
    assert model.card["last_validation"] == log_of(whole[1])[-1]
    assert model.card["recipe"]["steps"] == TINY.steps
    assert set(model.card["training_minutes_by_license"]) == {"CC0-1.0"}
    x = 0.05 * torch.randn(1, 2, 9000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(model.net(x), net(x), atol=1e-3, rtol=1e-2)
