"""AudioSep as a method: what it makes of any mix, and how it comes into the model folder."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from numpy.typing import NDArray

from tests.neural.reference_weights import noise as sound
from tests.neural.reference_weights import reference_weights, shapes_of
from tests.neural.test_clap import tiny_clap
from tests.sounds import mixture_of, scene
from unstir.cli import main
from unstir.errors import SettingsError
from unstir.neural import checkpoint
from unstir.neural.audiosep import ResUNet30, ResUNet30Config
from unstir.neural.audiosep_separator import AudioSepSeparator, LinkedMasks, agreed
from unstir.neural.clap import folder_digest, keep
from unstir.neural.models import add_file, remove, show
from unstir.registry import find, make
from unstir.separate import separate_file
from unstir.settings import Settings
from unstir.types import FILM, Mixture

RANDOM = "random:audiosep"
PAIR = ("target", "residual")
TINY = ResUNet30Config(n_fft=256, hop_length=40, widths=(4, 8, 8), condition_size=16)


def noise(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def tiny_net() -> ResUNet30:
    net = ResUNet30(TINY)
    net.load_state_dict(reference_weights(shapes_of(net)))
    return net.eval()


@pytest.fixture(scope="module")
def mix() -> Mixture:
    return Mixture(noise(0, (2, 9000)), 22050)


def test_target_and_residual_add_up_and_the_words_decide(mix: Mixture) -> None:
    dog, rain, again = (
        AudioSepSeparator(PAIR, RANDOM, (words,), device="cpu").separate(mix)
        for words in ("a dog", "rain", "a dog")
    )
    assert tuple(dog) == PAIR
    np.testing.assert_allclose(sum(dog.values()), mix.waveform, atol=1e-6)
    assert np.abs(dog["target"] - rain["target"]).max() > 1e-5
    np.testing.assert_array_equal(dog["target"], again["target"])


def test_what_is_not_wanted_is_the_residual_of_the_opposite_question(mix: Mixture) -> None:
    plain, negated = (
        AudioSepSeparator(PAIR, RANDOM, ("a dog",), is_negated=negated).separate(mix)
        for negated in (False, True)
    )
    np.testing.assert_allclose(negated["target"], plain["residual"], atol=1e-6)


def test_several_questions_give_a_stem_each_and_one_residual(mix: Mixture) -> None:
    out = AudioSepSeparator(("dog", "rain", "residual"), RANDOM, ("dog", "rain")).separate(mix)
    assert tuple(out) == ("dog", "rain", "residual")
    np.testing.assert_allclose(sum(out.values()), mix.waveform, atol=1e-6)


def test_without_a_question_it_asks_for_the_stems_of_a_film(mix: Mixture) -> None:
    separator = AudioSepSeparator(FILM, RANDOM)
    assert separator.queries == ("speech", "music", "sound effects")
    out = separator.separate(mix)
    np.testing.assert_allclose(sum(out.values()), mix.waveform, atol=1e-6)


@pytest.mark.parametrize(("channels", "n_samples"), [(1, 1), (2, 7), (1, 700)])
def test_the_shortest_sound_adds_up(channels: int, n_samples: int) -> None:
    x = noise(1, (channels, n_samples))
    out = AudioSepSeparator(PAIR, RANDOM, ("a dog",)).separate(Mixture(x, 32000))
    np.testing.assert_allclose(sum(out.values()), x, atol=1e-6)


def test_silence_gives_silence() -> None:
    out = AudioSepSeparator(PAIR, RANDOM, ("a dog",)).separate(
        Mixture(np.zeros((2, 900), np.float32), 44100)
    )
    assert not any(value.any() for value in out.values())


@pytest.mark.parametrize("asked", [{"likes": ("bark.wav",)}, {"words": "large"}])
def test_only_words_that_clap_reads_can_ask(asked: dict) -> None:
    with pytest.raises(SettingsError, match="leave out --like and --words, or use --method query"):
        AudioSepSeparator(PAIR, RANDOM, ("a dog",), **asked)


def test_stems_and_questions_must_fit() -> None:
    with pytest.raises(SettingsError, match="as many queries as stems"):
        AudioSepSeparator(("a", "b", "c"), RANDOM, ("a dog",))


def test_a_model_of_another_net_is_refused(mix: Mixture) -> None:
    with pytest.raises(SettingsError, match="a Compact came; a model of the net 'audiosep'"):
        AudioSepSeparator(PAIR, "random:compact", ("a dog",)).survey([mix])


def test_of_a_mono_mix_the_target_is_the_published_one() -> None:
    net, mixture, asked = tiny_net(), sound(2, 1, 4000), sound(2, 1, 16, seed=1)
    with torch.no_grad():
        found = LinkedMasks(net)(mixture, asked)
        wanted = net(mixture, asked[:, 0])
    assert found.shape == (2, 2, 1, 4000)
    torch.testing.assert_close(found[:, 0], wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.sum(dim=1), mixture, rtol=0, atol=1e-6)


def test_channels_share_one_mask_even_where_they_cancel_each_other() -> None:
    net, mono, asked = LinkedMasks(tiny_net()), sound(1, 1, 4000), sound(1, 1, 16, seed=1)
    with torch.no_grad():
        alone = net(mono, asked)
        both = net(torch.cat([mono, -mono], dim=1), asked)
    torch.testing.assert_close(both, torch.cat([alone, -alone], dim=2), rtol=0, atol=1e-6)


def masks(*sizes: float) -> torch.Tensor:
    turned = torch.polar(torch.tensor(sizes), torch.arange(len(sizes), dtype=torch.float32))
    return turned.reshape(1, -1, 1, 1)


def test_questions_that_want_more_than_there_is_get_shares_of_it() -> None:
    torch.testing.assert_close(agreed(masks(0.5, 0.4), rest=True), masks(0.5, 0.4))
    torch.testing.assert_close(agreed(masks(1.0, 0.6), rest=True), masks(1.0, 0.6) / 1.6)


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 0.9), (0.1, 0.0, 0.2), (0.0, 0.0, 0.0)])
def test_without_a_rest_everything_is_shared(sizes: tuple[float, ...]) -> None:
    total = agreed(masks(*sizes), rest=False).sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total))


# In the model folder.


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point at a model folder of the test's own."""
    monkeypatch.setenv("UNSTIR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clap(tmp_path_factory.mktemp("clap") / "clap")


def tiny_audiosep(folder: Path, clap: Path) -> Path:
    """Write a small model of ours with its CLAP model."""
    config = dataclasses.replace(TINY, condition_size=512)
    path = folder / "mine.safetensors"
    card = {"clap_sha256": keep(clap, folder / "mine-clap", 512)}
    model = checkpoint.random_model("audiosep", config, seed=3)
    checkpoint.save(path, "audiosep", model.net, config, model.sources, card)
    return path


@pytest.fixture
def mine(clap: Path, tmp_path: Path) -> Path:
    return tiny_audiosep(tmp_path, clap)


def test_a_released_checkpoint_and_a_clap_folder_become_a_method(
    clap: Path, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file

    net = checkpoint.random_model("audiosep", seed=4).net
    theirs = {"text_model.": "text_branch.", "linear1.": "0.", "linear2.": "2."}
    weights = {f"ss_model.{name}": value for name, value in net.state_dict().items()}
    weights["ss_model.base.stft.conv_real.weight"] = torch.zeros(1025, 1, 2048)
    for name, value in load_file(clap / "model.safetensors").items():
        for ours, released in theirs.items():
            name = name.replace(ours, released)
        if name.startswith("text"):
            weights[f"query_encoder.model.{name}"] = -value if value.is_floating_point() else value
    file = tmp_path / "audiosep_base.ckpt"
    torch.save({"state_dict": weights, "epoch": 3}, file)

    assert find("audiosep").needs == "weights"
    assert main(["models", "add", "audiosep", "--file", str(file), "--clap", str(clap)]) == 0
    assert "use it with --method audiosep" in capsys.readouterr().out
    assert find("audiosep").needs == ""
    card = show("audiosep")["card"]
    assert card["origin"] == "audiosep_base.ckpt"
    assert card["clap_sha256"] == folder_digest(store / "audiosep-clap")
    opened = make("audiosep", device="cpu")._opened()  # type: ignore[attr-defined]
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(opened.net.state_dict()[name], value, rtol=0, atol=0)
    # Words are read by what the separator was trained with, not by what the folder holds.
    kept, given = (load_file(f / "model.safetensors") for f in (store / "audiosep-clap", clap))
    name = "text_projection.linear2.bias"
    torch.testing.assert_close(kept[name], -given[name], rtol=0, atol=0)


def test_an_added_model_answers_words(mine: Path, tmp_path: Path) -> None:
    add_file("audiosep", mine)
    street = tmp_path / "street.wav"
    sf.write(street, mixture_of(scene(0.5, 8000)).T, 8000, subtype="PCM_16")
    settings = Settings("audiosep", query="a dog; rain", device="cpu")
    report = separate_file(street, tmp_path / "out", settings).report
    assert list(report["stems"]) == ["a dog", "rain", "residual"]
    assert report["null"]["exact"]
    assert make('audiosep:"a dog"', PAIR).queries == ("a dog",)  # type: ignore[attr-defined]


def test_a_clap_model_that_was_changed_is_refused_before_anything_is_written(
    mine: Path, store: Path, tmp_path: Path
) -> None:
    add_file("audiosep", mine)
    sf.write(tmp_path / "a.wav", noise(0, (500, 2)), 8000)
    (store / "audiosep-clap/merges.txt").write_text("#version: 0.2\na b\n")
    with pytest.raises(SettingsError, match="audiosep-clap was changed since it was added"):
        separate_file(tmp_path / "a.wav", tmp_path / "out", Settings("audiosep", device="cpu"))
    assert not (tmp_path / "out").exists()


def test_removing_takes_the_clap_model_along(mine: Path, store: Path) -> None:
    add_file("audiosep", mine)
    remove("audiosep")
    assert find("audiosep").needs == "weights"
    assert not list(store.iterdir())


@pytest.mark.parametrize("words", [["--file", "a.ckpt"], ["--url", "https://a.example/a.ckpt"]])
def test_without_a_clap_folder_it_says_that_one_is_wanted(
    words: list[str], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--sha256", "0" * 64] if words[0] == "--url" else []
    assert main(["models", "add", "audiosep", *words, *more]) == 2
    assert "give the folder of one in the format of transformers, too: --clap FOLDER" in (
        capsys.readouterr().err
    )
    assert not store.exists()


def test_a_clap_model_that_is_none_leaves_nothing_behind(
    clap: Path, mine: Path, store: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"it lacks config\.json, model\.safetensors"):
        add_file("audiosep", mine, clap=tmp_path / "empty")
    other = tmp_path / "other"
    other.mkdir()
    for path in clap.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "model_type": "clip"}))
    with pytest.raises(SettingsError, match="holds a 'clip'; a CLAP model"):
        add_file("audiosep", mine, clap=other)
    assert not store.exists()
