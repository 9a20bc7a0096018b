"""The hybrid: its base as long as nothing was learned, and then stems that still add up."""

import contextlib
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.sounds import mixture_of, null_db, scene
from unstir import run
from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.evaluate import si_sdr_db
from unstir.hybrid.bank import Bank
from unstir.joined import Hybrid
from unstir.neural import checkpoint
from unstir.neural.refiner import Refiner, RefinerConfig
from unstir.registry import _registered, make
from unstir.scene import load_scene
from unstir.separate import Result, separate_file, separate_with
from unstir.settings import Progress, Settings
from unstir.types import FILM, SONG, STEM_SETS, Mixture

RATE = 22050


def saved(
    folder: Path,
    *,
    stems: tuple[str, ...] = FILM,
    n_priors: int = -1,
    learned: bool = True,
    weight: float | None = None,
) -> str:
    """Write a small refiner; one that has learned something has a last layer that is not zero."""
    n_priors = len(Bank(stems).names) if n_priors < 0 else n_priors
    config = RefinerConfig(n_priors, len(stems), channels=(8, 8), dilations=(1,))
    torch.manual_seed(0)
    net = Refiner(config)
    if learned:
        torch.nn.init.normal_(net.last.weight)
    if weight is not None:
        torch.nn.init.constant_(net.last.weight, weight)
    folder.mkdir(exist_ok=True)
    path = folder / "refiner.safetensors"
    checkpoint.save(path, "refiner", net, config, stems, {}, sample_rate=44100)
    return f"file:{path}"


def mix(channels: int = 2, *, seconds: float = 2.0, gain: float = 1.0) -> Mixture:
    return Mixture(np.float32(gain) * mixture_of(scene(seconds, RATE, channels=channels)), RATE)


@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000])
@pytest.mark.parametrize(
    ("stems", "base", "channels"),
    [
        ("film", "compact-film", 1),
        ("film", "compact-film", 2),
        ("film", "classical", 2),
        ("film", "midside", 2),
        ("film", "query", 2),
        ("song", "nmf", 1),
    ],
)
def test_untrained_it_is_its_base(
    tmp_path: Path, stems: str, base: str, channels: int, sample_rate: int
) -> None:
    names = STEM_SETS[stems]
    hybrid = Hybrid(names, saved(tmp_path, stems=names, learned=False), base)
    sound = Mixture(mix(channels).waveform, sample_rate)
    alone = make(base, stems)
    wanted = alone.separate(sound, alone.survey([sound]))
    found = hybrid.separate(sound, hybrid.survey([sound]))
    for name in names:
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("gain", [1e-5, 1.0, 20.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_it_has_learned_changes_the_stems_and_they_add_up(
    tmp_path: Path, channels: int, gain: float
) -> None:
    sound = mix(channels, gain=gain)
    base = make("midside", "film")
    found = Hybrid(FILM, saved(tmp_path), "midside").separate(sound)
    assert null_db(sound.waveform / gain, {k: v / gain for k, v in found.items()}) < -110
    alone = base.separate(sound, base.survey([sound]))
    changed = max(np.abs(found[name] - alone[name]).max() for name in FILM)
    assert changed > 0.02 * np.abs(sound.waveform).max()


@pytest.mark.parametrize("channels", [1, 2])
def test_what_ships_does_no_harm_where_nobody_speaks(channels: int) -> None:
    found = load_scene()
    part = slice(4 * found.sample_rate, 10 * found.sample_rate)
    truth = {name: found.stems[name][:, part] for name in ("music", "effects")}
    if channels == 1:
        truth = {name: wave.mean(axis=0, keepdims=True) for name, wave in truth.items()}
    sound = Mixture(mixture_of(truth), found.sample_rate)
    base, hybrid = (
        separate_with(make(name, "film", device="cpu"), sound)
        for name in ("compact-film", "hybrid")
    )
    for name, wave in truth.items():
        assert si_sdr_db(wave, hybrid[name]) > si_sdr_db(wave, base[name]) - 0.05
    speech_db = 20 * np.log10(hybrid["speech"].std() / sound.waveform.std())
    assert speech_db < -70


def later(sound: Mixture) -> Mixture:
    return Mixture(sound.waveform, RATE, start=7 * RATE)


def test_a_refiner_that_gives_nan_is_an_error_that_says_where(tmp_path: Path) -> None:
    hybrid = Hybrid(FILM, saved(tmp_path, weight=float("nan")), "midside", "cpu")
    with pytest.raises(AudioError, match=r"refiner\.safetensors at 7 s: the net gave NaN"):
        hybrid.separate(later(mix()))


def test_a_refiner_without_memory_is_one_sentence_that_says_where(tmp_path: Path) -> None:
    hybrid = Hybrid(FILM, saved(tmp_path), "midside", "cpu")

    def refuse(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    hook = torch.nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        with pytest.raises(AudioError, match=r"at 7 s: the memory of cpu does not hold one window"):
            hybrid.separate(later(mix()))
    finally:
        hook.remove()


def test_twice_the_level_gives_twice_the_stems(tmp_path: Path) -> None:
    hybrid = Hybrid(FILM, saved(tmp_path), "midside")
    one, two = hybrid.separate(mix()), hybrid.separate(mix(gain=2.0))
    for name in FILM:
        np.testing.assert_allclose(two[name], 2 * one[name], rtol=0, atol=2e-4)


def test_leakage_shares_cells_more_evenly(tmp_path: Path) -> None:
    model = saved(tmp_path)
    sound = mix()

    def concentration(leakage: float) -> float:
        stems = Hybrid(FILM, model, "midside", leakage=leakage).separate(sound)
        powers = np.stack([np.square(value) for value in stems.values()])
        return float(powers.sum())

    found = [concentration(x) for x in (-1.0, 0.0, 1.0)]
    assert found[0] > found[1] > found[2]


def test_it_says_what_it_took(tmp_path: Path) -> None:
    hybrid = Hybrid(FILM, saved(tmp_path))
    assert hybrid.base == "compact-film" and hybrid.device == "cpu"
    assert hybrid.precision in ("bf16", "fp32")


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    model = saved(tmp_path)
    with pytest.raises(SettingsError, match=r"leakage=1\.5 came"):
        Hybrid(FILM, model, leakage=1.5)
    with pytest.raises(UnknownNameError, match="no method 'spleeter'"):
        Hybrid(FILM, model, "spleeter")
    with pytest.raises(SettingsError, match="refiner for vocals, accompaniment is wanted"):
        Hybrid(SONG, model).survey([mix()])
    with pytest.raises(SettingsError, match="another version of unstir"):
        Hybrid(FILM, saved(tmp_path, n_priors=5)).survey([mix()])


@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("hybrid", "is a hybrid itself"),
        ("oracle", "needs references"),
        ("compact-song", "does not give the stem set film"),
    ],
)
def test_a_base_that_cannot_be_one_is_refused_with_those_that_can(base: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"{why}; choose from mixture, invert, midside"):
        Hybrid(FILM, "file:none.safetensors", base)


def test_a_base_without_weights_says_how_to_get_them() -> None:
    with pytest.raises(SettingsError, match="unstir models add mrx --file"):
        Hybrid(FILM, "file:none.safetensors", "mrx")


# ---- as a method of the registry, with weights that came from elsewhere ----


@contextlib.contextmanager
def brought(folder: Path) -> Iterator[None]:
    """Give the method ``cheap``, as a package in that folder would: random weights, a fast base."""
    (folder / "joined_room.py").write_text(
        "from dataclasses import dataclass\n"
        "from unstir.joined import Hybrid\n"
        "from unstir.registry import Method\n"
        "@dataclass(frozen=True)\n"
        "class Cheap(Hybrid):\n"
        "    base: str = 'midside'\n"
        "ours = Method('cheap', 'joined_room:Cheap', 'hybrid', 'cheap', ('film',),\n"
        f"    weights=({saved(folder)!r},), weights_license='none')\n"
    )
    info = folder / "joined_room-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: joined-room\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[unstir.methods]\ncheap = joined_room:ours\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        _registered.cache_clear()
        yield
    sys.modules.pop("joined_room", None)
    _registered.cache_clear()


@pytest.fixture(scope="module")
def cheap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of a package that brings the method ``cheap``, which is installed."""
    folder = tmp_path_factory.mktemp("package")
    with brought(folder):
        yield folder


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Return six seconds, of which the fourth and the fifth are loud."""
    sound = mixture_of(scene(6, 8000))
    sound[:, : 3 * 8000] *= np.float32(0.02)
    sound[:, 5 * 8000 :] *= np.float32(0.02)
    soundfile.write(tmp_path / "film.wav", sound.T, 8000, "PCM_16")
    return tmp_path / "film.wav"


def bytes_of(result: Result) -> dict[str, bytes]:
    return {
        file.name: file.read_bytes()
        for file in result.folder.iterdir()
        if file.name != "report.json"
    }


def test_a_run_says_base_leakage_and_weights(cheap: Path, film: Path, tmp_path: Path) -> None:
    notes: list[object] = []
    settings = Settings("cheap", base="bands", leakage=-0.5)
    told = separate_file(film, tmp_path / "o", settings, listener=notes.append).report
    digest = hashlib.sha256((cheap / "refiner.safetensors").read_bytes()).hexdigest()
    assert (told["method"]["base"], told["method"]["leakage"]) == ("bands", -0.5)
    assert told["method"]["weights_sha256"] == {"refiner.safetensors": digest}
    assert told["null"]["exact"] and told["device"] == "cpu" and told["provenance"] is None
    said = [note for note in told["notes"] if "bands" in note]
    assert len(said) == 1 and "-0.5" in said[0] and digest[:12] in said[0]
    assert said[0] in [getattr(note, "text", "") for note in notes]


def test_base_and_leakage_belong_to_what_a_result_is_known_by(
    cheap: Path, film: Path, tmp_path: Path
) -> None:
    settings = Settings("cheap")
    separate_file(film, tmp_path / "o", settings)
    assert separate_file(film, tmp_path / "o", settings).reused
    for other in (Settings("cheap", base="bands"), Settings("cheap", leakage=0.5)):
        with pytest.raises(SettingsError, match="--overwrite"):
            separate_file(film, tmp_path / "o", other)


def test_the_busiest_stretch_is_explained_and_an_interrupted_run_ends_alike(
    cheap: Path, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "EXPLAINED_S", 2)
    whole = separate_file(film, tmp_path / "whole", Settings("cheap"), explain=True)
    told = whole.report["provenance"]
    assert (told["file"], told["first_sample"], told["samples"]) == (
        "provenance.png",
        3 * 8000,
        2 * 8000,
    )
    assert set(told["shares"]) == set(FILM)
    assert (whole.folder / "provenance.png").read_bytes()[:4] == b"\x89PNG"

    def stop(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "explaining":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        separate_file(film, tmp_path / "cut", Settings("cheap"), explain=True, listener=stop)
    assert not (tmp_path / "cut" / "film").exists()
    again = separate_file(film, tmp_path / "cut", Settings("cheap"), explain=True)
    assert again.report["resumed_at_window"] and bytes_of(again) == bytes_of(whole)


def test_a_base_for_two_channels_says_so_for_one(cheap: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mono.wav", np.zeros(500), 8000)
    with pytest.raises(SettingsError, match="midside needs two channels or more"):
        separate_file(tmp_path / "mono.wav", tmp_path / "o", Settings("cheap"))
    made = separate_file(tmp_path / "mono.wav", tmp_path / "o", Settings("cheap", base="bands"))
    assert made.report["null"]["exact"]
