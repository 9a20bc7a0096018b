"""Scenes observed for the refiner: true energies, damage that adds up, runs that resume."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sounds import mixture_of, null_db, scene
from unstir.cli import main
from unstir.errors import AudioError
from unstir.hybrid.bank import TELLS, Bank
from unstir.joined import Hybrid
from unstir.neural import checkpoint, recipes
from unstir.neural.batches import TrainConfig
from unstir.neural.checkpoint import load
from unstir.neural.compact import Compact, CompactConfig
from unstir.neural.pack import Pack
from unstir.neural.planes import Bands, istft, planes, stft, to_bins
from unstir.neural.refiner import Residues, error_energy
from unstir.neural.render import render
from unstir.neural.scenes import Recipe
from unstir.neural.train import Observed as Source
from unstir.neural.train import train
from unstir.refining import (
    ObserveConfig,
    Observed,
    batch_of,
    damaged,
    observe,
    observed,
    opened,
    refining,
)
from unstir.registry import make
from unstir.types import FILM, STEM_SETS, Mixture

MIDSIDE = ObserveConfig(bases={"midside": 1.0})
CONFIG = TrainConfig(
    net="refiner",
    net_config={"n_priors": len(Bank().names), "channels": (6, 8), "dilations": (1,)},
    batch=2,
    steps=4,
    validate_every=2,
    warmup=1,
)


@pytest.fixture(scope="module")
def scenes(tiny_pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("observed")
    assert list(observe(MIDSIDE, tiny_pack, "train", 3, folder)) == [1, 2, 3]
    return folder


def test_energies_say_what_a_correction_leaves() -> None:
    """The error of corrected waveforms, computed directly, is what the energies predict."""
    truth = {name: wave[:, :30000] for name, wave in scene(1, 44100).items()}
    seen, sums, energies = observed(truth, "midside", "film")
    rng = np.random.default_rng(0)
    corrections = rng.normal(0, 0.1, sums[1:].shape).astype(np.float32)
    corrections -= corrections.mean(axis=0)
    d = torch.from_numpy(corrections)[None]
    total = torch.from_numpy(sums)[None]
    residues = Residues(
        total[:, :1], total[:, 1:], *(torch.from_numpy(row)[None] for row in energies)
    )
    predicted = error_energy(d, residues)[0]
    mix = Mixture(mixture_of(truth), 44100)
    method = make("midside", "film")
    base = method.separate(mix, method.survey([mix]))
    bands = Bands()
    cells = stft(torch.from_numpy(mix.waveform), bands.n_fft, bands.hop_length)
    for j, name in enumerate(FILM):
        lacking = stft(torch.from_numpy(truth[name] - base[name]), bands.n_fft, bands.hop_length)
        left = lacking - to_bins(d, bands)[0, j] * cells
        direct = float(torch.view_as_real(left).square().sum())
        # Within wide bands, masks run in straight lines where the energies take them as level.
        assert float(predicted[j]) == pytest.approx(direct, rel=0.1)
    assert seen.shape == (5 + 3 + len(Bank().names), *sums.shape[1:])
    wave = istft([cells], bands.n_fft, bands.hop_length, 30000)
    np.testing.assert_allclose(wave, mix.waveform, atol=1e-5)


def test_observing_goes_on_where_it_stopped(tiny_pack: Pack, scenes: Path, tmp_path: Path) -> None:
    first = observe(MIDSIDE, tiny_pack, "train", 3, tmp_path)
    assert next(first) == 1
    first.close()
    # Only what was written to the end counts.
    assert list(observe(MIDSIDE, tiny_pack, "train", 3, tmp_path))[-1] == 3
    for name, array in opened(scenes).items():
        np.testing.assert_array_equal(array, opened(tmp_path)[name])
    assert list(observe(MIDSIDE, tiny_pack, "train", 3, tmp_path)) == []


def test_other_scenes_are_not_mixed_in(tiny_pack: Pack, scenes: Path) -> None:
    with pytest.raises(AudioError, match="holds other scenes"):
        list(observe(replace(MIDSIDE, seed=1), tiny_pack, "train", 3, scenes))
    assert json.loads((scenes / "scenes.json").read_text())["done"] == 3


def test_damaged_stems_still_add_up_and_differ() -> None:
    stems = {name: wave.astype(np.float32) for name, wave in scene(1, 44100).items()}
    moved = 0
    for seed in range(12):
        found = damaged(stems, np.random.default_rng(seed))
        np.testing.assert_allclose(mixture_of(found), mixture_of(stems), atol=1e-5)
        moved += any(np.abs(found[name] - stems[name]).max() > 1e-3 for name in stems)
    assert moved >= 10


def test_priors_are_dropped_or_swapped_whole_and_the_rest_is_left(scenes: Path) -> None:
    data = Observed(scenes, replace(CONFIG, steps=40), drop=0.4, stray=0.3)
    whole = torch.from_numpy(np.array(opened(scenes)["seen"])).float()
    gone, kept, strayed = 0, 0, 0
    for index in range(40):
        seen, _ = data[index]
        for mix, priors in zip(seen.mix, seen.priors, strict=True):
            row = next(k for k in range(3) if torch.equal(whole[k, :5], mix))
            at = 0
            for own in TELLS[FILM].values():
                part = slice(at, at + len(own) + 1)
                at += len(own) + 1
                if not priors[part].any():
                    gone += 1
                else:
                    whose = [k for k in range(3) if torch.equal(priors[part], whole[k, 8:][part])]
                    assert whose, "planes of no scene"
                    kept += row in whose
                    strayed += row not in whose
    assert gone / (gone + kept + strayed) == pytest.approx(0.1 + 0.9 * 0.4, abs=0.1)
    assert strayed / (kept + strayed) == pytest.approx(0.3, abs=0.1)


def test_a_run_over_observed_scenes_resumes_to_the_same_weights(
    scenes: Path, tmp_path: Path
) -> None:
    chosen = [batch_of(opened(scenes), np.arange(3), 3)]

    def run(folder: Path, **options: float) -> dict[str, torch.Tensor]:
        source = Source(Observed(scenes, CONFIG), chosen, refining())
        net = train(CONFIG, None, tmp_path / folder, workers=0, observed=source, **options)
        return net.state_dict()

    whole = run(Path("whole"))
    run(Path("parts"), minutes=0)
    parts = run(Path("parts"))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [2, 4]
    assert all(np.isfinite(entry["gain_db"]) for entry in log)


def test_scenes_are_observed_and_a_refiner_trained_from_the_command_line(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {**CONFIG.net_config, "n_priors": len(Bank().names)}
    monkeypatch.setitem(recipes.RECIPES, "refiner-film", replace(CONFIG, net_config=small))
    pack, seen = ["--pack", str(tiny_pack.folder)], str(tmp_path / "seen")
    words = ["data", "observe", *pack, "--base", "midside=1", "--scenes", "2", "--choose", "1"]
    assert main([*words, "-o", seen]) == 0
    words = ["train", "refiner-film", *pack, "--workers", "0", "-o", str(tmp_path / "run")]
    assert main([*words, "--observed", seen]) == 0
    model = load(tmp_path / "run" / "refiner-film.safetensors")
    assert model.sources == FILM and model.config.n_priors == len(Bank().names)
    sound = Mixture(mixture_of(scene(1, 44100)), 44100)
    hybrid = Hybrid(FILM, f"file:{tmp_path / 'run' / 'refiner-film.safetensors'}", "midside")
    assert null_db(sound.waveform, hybrid.separate(sound)) < -120


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "refiner-film"], "trains on observed scenes; give them with --observed"),
        (["train", "refiner-film", "--observed", "."], "holds no observed scenes"),
        (["train", "compact-film", "--observed", "."], "trains on the pack alone; leave it out"),
        (["data", "observe", "--base", "midside"], "NAME=SHARE with a share above 0 is wanted"),
        (["data", "observe", "--base", "spleeter=1"], "there is no method 'spleeter'"),
        (["data", "observe", "--base", "half:2:x=1"], "half:0:FILE or half:1:FILE is wanted"),
        (["data", "observe", "--damaged", "2"], "damaged=2 came; 0 to 1 is allowed"),
        (["data", "observe", "--scenes", "0", "--choose", "0"], "at least 1 is wanted"),
    ],
)
def test_bad_input_gets_a_sentence(
    tiny_pack: Pack,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    out = tmp_path / "out"
    assert main([*words, "--pack", str(tiny_pack.folder), "-o", str(out)]) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_recipes_of_refiners_have_as_many_planes_as_the_bank() -> None:
    for name, config in recipes.RECIPES.items():
        if config.net == "refiner" and config.net_config["n_priors"]:
            bank = Bank(STEM_SETS[config.scenes])
            assert config.net_config["n_priors"] == len(bank.names), name
            assert config.net_config.get("n_sources", 3) == len(bank.stems), name


def test_scenes_of_a_half_net_are_of_the_other_half(tiny_pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    small = CompactConfig(channels=(4, 4, 4), hidden=8)
    torch.manual_seed(0)
    checkpoint.save(path, "compact", Compact(small), small, FILM, {}, sample_rate=44100)
    config = ObserveConfig(bases={f"half:0:{path}": 1.0}, damaged=0.0)
    assert list(observe(config, tiny_pack, "train", 1, tmp_path / "seen")) == [1]
    # The same scene, drawn here from the other half: its mix has these levels.
    rng = np.random.default_rng([3000, 0, 0])
    rng.choice(1, p=[1.0])
    half = replace(tiny_pack, half=1)
    plan = Recipe(half, "train").draw(rng, 511 * 512)
    truth = render(plan, half, {clip.path: clip for clip in half.clips})
    cells = stft(torch.from_numpy(truth.sum(axis=0))[None], 2048, 512)
    wanted = planes(cells, Bands())[0].numpy()
    # Where a channel pair cancels, what is left of the side is rounding.
    away = np.abs(opened(tmp_path / "seen")["seen"][0, :5] - wanted)
    assert np.mean(away > 5e-3) < 0.01
