"""The hybrid: its base as long as nothing was learned, and then stems that still add up."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sounds import mixture_of, null_db, scene
from unstir.errors import SettingsError, UnknownNameError
from unstir.hybrid.bank import Bank
from unstir.joined import Hybrid
from unstir.neural import checkpoint
from unstir.neural.refiner import Refiner, RefinerConfig
from unstir.registry import make
from unstir.types import FILM, SONG, STEM_SETS, Mixture

RATE = 22050


def saved(
    folder: Path, *, stems: tuple[str, ...] = FILM, n_priors: int = -1, learned: bool = True
) -> str:
    """Write a small refiner; one that has learned something has a last layer that is not zero."""
    n_priors = len(Bank(stems).names) if n_priors < 0 else n_priors
    config = RefinerConfig(n_priors, len(stems), channels=(8, 8), dilations=(1,))
    torch.manual_seed(0)
    net = Refiner(config)
    if learned:
        torch.nn.init.normal_(net.last.weight)
    path = folder / "refiner.safetensors"
    checkpoint.save(path, "refiner", net, config, stems, {}, sample_rate=44100)
    return f"file:{path}"


def mix(channels: int = 2, *, seconds: float = 2.0, gain: float = 1.0) -> Mixture:
    return Mixture(np.float32(gain) * mixture_of(scene(seconds, RATE, channels=channels)), RATE)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("stems", "base"),
    [("film", "compact-film"), ("film", "classical"), ("film", "midside"), ("song", "nmf")],
)
def test_untrained_it_is_its_base(tmp_path: Path, stems: str, base: str, channels: int) -> None:
    names = STEM_SETS[stems]
    hybrid = Hybrid(names, saved(tmp_path, stems=names, learned=False), base)
    sound = mix(channels)
    at_home = Mixture(np.repeat(sound.waveform, 2, axis=1), 44100)  # no resampling on the way
    alone = make(base, stems)
    wanted = alone.separate(at_home, alone.survey([at_home]))
    found = hybrid.separate(at_home, hybrid.survey([at_home]))
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
    assert np.abs(found["speech"] - alone["speech"]).max() > 0.01 * np.abs(sound.waveform).max()


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
