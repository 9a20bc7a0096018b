import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError
from unstir.neural import checkpoint
from unstir.neural.query import QuerySeparator
from unstir.neural.query_net import QueryConfig, QueryNet
from unstir.neural.separator import open_model
from unstir.types import FILM, Mixture

PAIR = ("target", "residual")


def noise(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return where a small net lies that answers every question otherwise, but knows nothing."""
    config = QueryConfig(channels=(4, 4, 4), hidden=8, n_condition=8)
    torch.manual_seed(3)
    net = QueryNet(config)
    for film in net.films:
        torch.nn.init.normal_(film.weight, std=0.5)
    path = tmp_path_factory.mktemp("query") / "small.safetensors"
    checkpoint.save(path, "query", net, config, ("target",), {})
    return f"file:{path}"


@pytest.fixture(scope="module")
def mix() -> Mixture:
    return Mixture(noise(0, (2, 40000)), 22050)


def test_target_and_residual_add_up(model: str, mix: Mixture) -> None:
    out = QuerySeparator(PAIR, model, ("a dog",)).separate(mix)
    assert tuple(out) == PAIR
    np.testing.assert_allclose(sum(out.values()), mix.waveform, atol=1e-5)


def test_other_words_give_another_target(model: str, mix: Mixture) -> None:
    a, b = (
        QuerySeparator(PAIR, model, (words,)).separate(mix)["target"]
        for words in ("a dog barking", "rain on a roof")
    )
    assert np.abs(a - b).max() > 1e-4


def test_what_is_not_wanted_is_the_residual_of_the_opposite_question(
    model: str, mix: Mixture
) -> None:
    plain = QuerySeparator(PAIR, model, ("a dog",)).separate(mix)
    negated = QuerySeparator(PAIR, model, ("a dog",), is_negated=True).separate(mix)
    np.testing.assert_allclose(negated["target"], plain["residual"], atol=1e-6)


def test_several_questions_give_a_stem_each_and_one_residual(model: str, mix: Mixture) -> None:
    out = QuerySeparator(("dog", "rain", "residual"), model, ("dog", "rain")).separate(mix)
    assert tuple(out) == ("dog", "rain", "residual")
    np.testing.assert_allclose(sum(out.values()), mix.waveform, atol=1e-5)


def test_without_a_question_it_asks_for_the_stems_of_a_film(model: str, mix: Mixture) -> None:
    separator = QuerySeparator(FILM, model)
    assert separator.queries == ("speech", "music", "sound effects")
    out = separator.separate(mix)
    np.testing.assert_allclose(sum(out.values()), mix.waveform, atol=1e-5)


def test_other_stems_need_words(model: str) -> None:
    with pytest.raises(SettingsError, match="give words for sounds"):
        QuerySeparator(("vocals", "accompaniment"), model)


@pytest.mark.parametrize("stems", [("target",), ("a", "b", "c")])
def test_stems_and_questions_must_fit(model: str, stems: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="as many queries as stems"):
        QuerySeparator(stems, model, ("a dog",))


def test_a_recording_asks(model: str, mix: Mixture, tmp_path: Path) -> None:
    bark = tmp_path / "bark.wav"
    sf.write(bark, noise(1, (30000,)), 16000)
    separator = QuerySeparator(PAIR, model, likes=(str(bark),))
    assert separator.asked().norm() == pytest.approx(1, abs=1e-5)
    out = separator.separate(mix)
    np.testing.assert_allclose(sum(out.values()), mix.waveform, atol=1e-5)


def test_several_recordings_ask_for_one_sound(model: str, tmp_path: Path) -> None:
    paths = []
    for seed in (1, 2):
        paths.append(str(tmp_path / f"{seed}.wav"))
        sf.write(paths[-1], noise(seed, (30000,)) * np.hanning(30000) ** seed, 16000)
    both = QuerySeparator(PAIR, model, likes=tuple(paths)).asked()
    one, two = (QuerySeparator(PAIR, model, likes=(path,)).asked() for path in paths)
    torch.testing.assert_close(both, torch.nn.functional.normalize(one + two, dim=-1))


def test_a_changed_recording_is_heard_anew(model: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sf.write(path, noise(1, (30000,)), 16000)
    before = QuerySeparator(PAIR, model, likes=(str(path),)).asked()
    other = tmp_path / "b.wav"
    sf.write(other, np.sin(np.arange(30000) / 5), 16000)
    shutil.move(other, path)
    after = QuerySeparator(PAIR, model, likes=(str(path),)).asked()
    assert (before - after).abs().max() > 1e-4


def test_a_recording_that_is_not_there_is_refused_before_any_work(model: str, mix: Mixture) -> None:
    with pytest.raises(AudioError, match=r"there is no 'nope\.wav'"):
        QuerySeparator(PAIR, model, likes=("nope.wav",)).survey([mix])


def test_a_silent_recording_cannot_ask(model: str, mix: Mixture, tmp_path: Path) -> None:
    path = tmp_path / "silent.wav"
    sf.write(path, np.zeros(9000), 16000)
    with pytest.raises(AudioError, match="is silent"):
        QuerySeparator(PAIR, model, likes=(str(path),)).survey([mix])


def test_silence_gives_silence(model: str) -> None:
    silent = Mixture(np.zeros((2, 9000), np.float32), 44100)
    out = QuerySeparator(PAIR, model, ("a dog",)).separate(silent)
    assert not any(value.any() for value in out.values())


@pytest.mark.parametrize("n_samples", [1, 5000])
def test_nothing_sounds_in_silence_and_the_net_is_not_run_to_say_so(
    model: str, n_samples: int
) -> None:
    separator = QuerySeparator(("dog", "rain", "residual"), model, ("dog", "rain"))
    runs: list[str] = []
    net = open_model(model, separator.device).net
    hook = net.get_submodule("body.first").register_forward_hook(lambda *_: runs.append("run"))
    sounding = separator.when(Mixture(noise(0, (2, n_samples)), 44100), 0.0)
    assert runs
    runs.clear()
    silent = separator.when(Mixture(np.zeros((2, n_samples), np.float32), 44100), 0.0)
    hook.remove()
    assert not runs
    assert sounding.shape == silent.shape
    assert silent.dtype == np.float32
    assert sounding.all() and not silent.any()


def test_a_model_that_takes_no_questions_is_refused(mix: Mixture) -> None:
    with pytest.raises(SettingsError, match="takes no questions"):
        QuerySeparator(PAIR, "random:mrx", ("a dog",)).when(mix, 0.0)


def test_of_a_film_the_loudest_channel_asks(model: str, tmp_path: Path) -> None:
    voice = np.zeros((30000, 6), np.float32)
    voice[:, 2] = noise(1, (30000,))
    sf.write(tmp_path / "film.wav", voice, 16000)
    sf.write(tmp_path / "voice.wav", voice[:, 2], 16000)
    film, mono = (
        QuerySeparator(PAIR, model, likes=(str(tmp_path / name),)).asked()
        for name in ("film.wav", "voice.wav")
    )
    torch.testing.assert_close(film, mono)


def test_a_recording_of_a_few_samples_cannot_ask(model: str, tmp_path: Path) -> None:
    path = tmp_path / "click.wav"
    sf.write(path, noise(0, (100,)), 16000)
    with pytest.raises(AudioError, match=r"lasts 0\.006 s; a recording of 0\.1 s or more"):
        QuerySeparator(PAIR, model, likes=(str(path),)).asked()
