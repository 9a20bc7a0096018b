"""A net as a separator: level, rate, device, stems that add up, and what is refused."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import mixture_of, null_db, scene
from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.loudness import Meter
from unstir.neural.checkpoint import random_model, save
from unstir.neural.device import choose_precision, resolve
from unstir.neural.mrx import SOURCES, MRXConfig
from unstir.neural.query import QuerySeparator, hear_mixture
from unstir.neural.query_net import QueryConfig, QueryNet
from unstir.neural.separator import NetSeparator, as_stems, gain_to_level_db, open_model, run
from unstir.separate import separate_with
from unstir.types import FILM, SONG, Mixture, Separator

SMALL = MRXConfig(window_lengths=(256, 1024), hop_length=128, n_hidden=8, n_layers=1)
RATE = 44100


def save_small(path: Path, sources: tuple[str, ...] = SOURCES, seed: int = 0) -> str:
    model = random_model("mrx", SMALL, seed=seed)
    save(path, "mrx", model.net, model.config, sources, {})
    return f"file:{path}"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small(tmp_path_factory.mktemp("models") / "small.safetensors")


@pytest.fixture(scope="module")
def separator(small: str) -> NetSeparator:
    return NetSeparator(FILM, small, "cpu", "fp32")


def mix_of(seconds: float, rate: int = RATE, gain: float = 1.0) -> Mixture:
    return Mixture((gain * mixture_of(scene(seconds, rate))).astype(np.float32), rate)


def test_it_is_a_separator(separator: NetSeparator) -> None:
    assert isinstance(separator, Separator)
    assert separator.stems == FILM


def test_the_device_and_precision_taken_can_be_read_back(small: str) -> None:
    taken = NetSeparator(FILM, small)
    assert taken.device == str(resolve("auto"))
    assert taken.precision == choose_precision(resolve("auto"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_when_made(small: str) -> None:
    with pytest.raises(UnknownNameError, match="no GPU here"):
        NetSeparator(FILM, small, "cuda")


def test_stems_are_the_nets_sources_under_their_own_names(separator: NetSeparator) -> None:
    """At the training level, a stem is its source and a third of what the sources miss."""
    mix = mix_of(1.0)
    net = random_model("mrx", SMALL).net.half().float()  # as it was kept
    with torch.inference_mode():
        sources = net(torch.from_numpy(mix.waveform)[None])[0].numpy()
    stems = separator.separate(mix, {"gain_db": np.array(0.0)})
    missing = (mix.waveform - sources.sum(axis=0)) / 3
    for name, source in zip(SOURCES, sources, strict=True):
        np.testing.assert_allclose(stems[name], source + missing, atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_stems_add_up_at_every_rate(small: str, rate: int, precision: str) -> None:
    mix = mix_of(0.5, rate)
    separator = NetSeparator(FILM, small, "cpu", precision)
    stems = separator.separate(mix, separator.survey([mix]))
    assert null_db(mix.waveform, stems) <= -120
    assert all(value.dtype == np.float32 for value in stems.values())


@given(
    n_samples=st.integers(1, 3000),
    channels=st.integers(1, 3),
    decade=st.integers(-40, 30),
)
@settings(deadline=None, max_examples=30)
def test_any_length_and_level_is_safe(
    separator: NetSeparator, n_samples: int, channels: int, decade: int
) -> None:
    noise = np.random.default_rng(n_samples).uniform(-1, 1, (channels, n_samples))
    mix = Mixture((10.0**decade * noise).astype(np.float32), RATE)
    stems = separator.separate(mix, separator.survey([mix]))
    peak = max(float(np.abs(mix.waveform).max()), 1e-37)
    scaled = {name: value / np.float64(peak) for name, value in stems.items()}
    assert null_db(mix.waveform / np.float64(peak), scaled) <= -110


def test_silence_is_exactly_silence(separator: NetSeparator) -> None:
    mix = Mixture(np.zeros((2, 5000), np.float32), RATE)
    state = separator.survey([mix])
    assert state["gain_db"] == 0
    assert not any(value.any() for value in separator.separate(mix, state).values())


def test_a_silent_window_of_a_loud_file_is_exactly_silence(separator: NetSeparator) -> None:
    mix = Mixture(np.zeros((1, 5000), np.float32), RATE)
    stems = separator.separate(mix, {"gain_db": np.array(-20.0)})
    assert not any(value.any() for value in stems.values())


@pytest.mark.parametrize("gain", [1e-6, 16.0])
def test_the_net_hears_every_level_alike(separator: NetSeparator, gain: float) -> None:
    stems = [separate_with(separator, mix_of(1.0, gain=g)) for g in (1.0, gain)]
    for name, value in stems[0].items():
        np.testing.assert_allclose(stems[1][name] / np.float32(gain), value, atol=1e-5)


def test_the_gain_brings_sound_to_the_level_of_training() -> None:
    mix = mix_of(3.0, 48000)
    gain_db = gain_to_level_db([mix])
    meter = Meter(48000, 2)
    meter.push((mix.waveform * 10 ** (gain_db / 20)).astype(np.float32))
    assert meter.integrated_lufs() == pytest.approx(-27, abs=0.01)


def test_sound_too_short_for_a_meter_is_leveled_by_its_power() -> None:
    mix = Mixture(np.full((1, 100), 0.5, np.float32), RATE)
    assert gain_to_level_db([mix]) == pytest.approx(-27 + 6.02, abs=0.01)


def test_the_input_and_the_state_are_not_changed(separator: NetSeparator) -> None:
    mix = mix_of(0.3)
    before = mix.waveform.copy()
    state = separator.survey([mix])
    kept = float(state["gain_db"])
    separator.separate(mix, state)
    np.testing.assert_array_equal(mix.waveform, before)
    assert state["gain_db"] == kept


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_same_input_gives_the_same_bytes(small: str, precision: str) -> None:
    mix = mix_of(0.5)
    one, other = (
        NetSeparator(FILM, small, "cpu", precision).separate(mix, {"gain_db": np.array(3.0)})
        for _ in range(2)
    )
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_the_gpu_repeats_itself_and_agrees_with_the_cpu(small: str) -> None:
    mix = mix_of(1.0)
    runs = [
        NetSeparator(FILM, small, device, "fp32").separate(mix)
        for device in ("cuda", "cuda", "cpu")
    ]
    for name, value in runs[0].items():
        np.testing.assert_array_equal(value, runs[1][name])
        np.testing.assert_allclose(value, runs[2][name], atol=1e-4)


def test_a_model_is_read_once_and_again_when_its_files_change(tmp_path: Path) -> None:
    mix = mix_of(0.2)
    path = tmp_path / "a.safetensors"
    separator = NetSeparator(FILM, save_small(path), "cpu", "fp32")
    assert separator._opened() is separator._opened()
    first = separator.separate(mix)["speech"]
    save_small(path, seed=7)
    assert not np.array_equal(separator.separate(mix)["speech"], first)


def test_a_net_that_gives_nan_is_an_error_that_says_where(tmp_path: Path) -> None:
    model = random_model("mrx", SMALL)
    with torch.no_grad():
        next(model.net.parameters()).fill_(float("nan"))
    path = tmp_path / "nan.safetensors"
    save(path, "mrx", model.net, model.config, model.sources, {})
    separator = NetSeparator(FILM, f"file:{path}", "cpu")
    mix = Mixture(mix_of(0.2).waveform, RATE, start=3 * RATE)
    with pytest.raises(AudioError, match=r"nan\.safetensors at 3 s: the net gave NaN"):
        separator.separate(mix)


class Greedy(torch.nn.Module):
    """Asks for more memory than there is, and hears what CUDA says then."""

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError


def test_too_little_gpu_memory_is_one_sentence_and_no_shorter_window() -> None:
    with pytest.raises(AudioError, match=r"does not hold one window.*never shortened.*device cpu"):
        run(Greedy(), np.zeros((1, 10), np.float32), "cpu", "fp32")


# ---- the net that is asked, which is looked into without separating anything ----

ASKED = QueryConfig(channels=(4, 4, 4), hidden=8, n_condition=8)


def asking(folder: Path, *, broken: bool = False) -> QuerySeparator:
    net = QueryNet(ASKED)
    if broken:
        for parameter in net.parameters():
            torch.nn.init.constant_(parameter, float("nan"))
    save(folder / "query.safetensors", "query", net, ASKED, ("target",), {})
    model = f"file:{folder / 'query.safetensors'}"
    return QuerySeparator(("a dog", "rest"), model, ("a dog",), device="cpu")


@contextlib.contextmanager
def too_little_memory() -> Iterator[None]:
    """Give a context in which every layer hears from CUDA that there is no memory left."""

    def refuse(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    hook = torch.nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        yield
    finally:
        hook.remove()


def test_a_net_that_listens_runs_out_of_memory_in_one_sentence(tmp_path: Path) -> None:
    separator, mix = asking(tmp_path), mix_of(0.3)
    separator.asked()  # the words are read before
    net = open_model(separator.model, "cpu").net
    assert isinstance(net, QueryNet)
    for listen in (
        lambda: separator.when(mix, 0.0),
        lambda: hear_mixture(net, mix, "cpu"),
        lambda: separator.separate(mix, {"gain_db": np.zeros(())}),
    ):
        with pytest.raises(AudioError, match="does not hold one window"), too_little_memory():
            listen()
    assert separator.when(mix, 0.0).shape[0] == 1  # and hears when there is memory again


def test_a_net_that_hears_nan_is_an_error_and_no_answer(tmp_path: Path) -> None:
    separator, mix = asking(tmp_path, broken=True), mix_of(0.3)
    later = Mixture(mix.waveform, RATE, start=3 * RATE)
    with pytest.raises(AudioError, match=r"query\.safetensors at 3 s: the net gave NaN"):
        separator.when(later, 0.0)
    net = open_model(separator.model, "cpu").net
    assert isinstance(net, QueryNet)
    with pytest.raises(AudioError, match="the net gave NaN"):
        hear_mixture(net, mix, "cpu")


def test_stems_that_the_net_does_not_give_are_refused_in_the_survey(small: str) -> None:
    with pytest.raises(SettingsError, match="gives music, speech, effects; it cannot give vocals"):
        NetSeparator(SONG, small, "cpu").survey([mix_of(0.2)])


def test_everything_but_the_vocals_is_accompaniment(tmp_path: Path) -> None:
    path = tmp_path / "song.safetensors"
    model = save_small(path, sources=("vocals", "drums", "bass"))
    mix = mix_of(0.3)
    stems = NetSeparator(SONG, model, "cpu", "fp32").separate(mix)
    assert tuple(stems) == SONG
    assert null_db(mix.waveform, stems) <= -120
    parts = {n: np.full((1, 2), i, np.float32) for i, n in enumerate(("vocals", "drums", "bass"))}
    mix = Mixture(np.ones((1, 2), np.float32), RATE)
    assert as_stems(mix, parts, SONG)["accompaniment"].tolist() == [[3, 3]]


def test_what_a_net_for_vocals_alone_leaves_is_accompaniment() -> None:
    mix = Mixture(np.ones((1, 2), np.float32), RATE)
    stems = as_stems(mix, {"vocals": np.full((1, 2), 0.25, np.float32)}, SONG)
    assert {name: value.tolist() for name, value in stems.items()} == {
        "vocals": [[0.25, 0.25]],
        "accompaniment": [[0.75, 0.75]],
    }


def test_a_model_that_is_not_there_is_refused_in_the_survey(tmp_path: Path) -> None:
    separator = NetSeparator(FILM, f"file:{tmp_path / 'no.safetensors'}", "cpu")
    with pytest.raises(SettingsError, match=r"there is no .*no\.safetensors"):
        separator.survey([mix_of(0.2)])
