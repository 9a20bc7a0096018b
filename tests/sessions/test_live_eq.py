"""Equalizers on stems go live into Reaper projects: read back, they sound as the chains do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rpp
import soundfile as sf

from tests.daw.eel import Effect as Eel
from tests.daw.mixer import EQUALIZER
from tests.sessions.made import Made, make
from tests.sessions.test_cli_session import unstir
from unstir.cli_reaper import install
from unstir.errors import SettingsError, UnknownNameError
from unstir.plugins.chains import find_chain
from unstir.worker_chain import BAND_TYPES, LIVE_BANDS

RATE = 16000
WANTED = {"speech": "dialogue-clarity", "effects": "de-hum-50"}
FX = [f"{stem}={chain}" for stem, chain in WANTED.items()]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make(tmp_path, rate=RATE, seconds=0.5, name="film")


def tracks(project: Path) -> dict[str, Any]:
    parsed = rpp.loads(project.read_text(encoding="utf-8"))
    return {track.find("NAME")[1]: track for track in parsed.findall("TRACK")}


def heard(effect: Any, wave: np.ndarray) -> np.ndarray:
    """Return a sound through the equalizer as a project sets it."""
    (values,) = effect.children
    given = {n: float(value) for n, value in enumerate(values, 1) if value != "-"}
    played = Eel(EQUALIZER, RATE, len(wave))
    assert len(values) == 64
    assert sorted(given) == sorted(played.sliders)
    for n, value in given.items():
        low, high, *_ = played.sliders[n]
        assert low <= value <= high
    played.set(given)
    return played.process(wave)


def test_a_project_sounds_as_the_chains_rendered(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unstir("session", made.folder, "--to", "rpp", "--no-markers", "--fx", *FX) == 0
    assert "unstir reaper install" in capsys.readouterr().out
    found = tracks(made.folder / "film.rpp")
    assert [name for name, track in found.items() if track.find("FXCHAIN")] == list(WANTED)
    for stem, name in WANTED.items():
        effects = found[stem].find("FXCHAIN")
        wave = sf.read(made.folder / found[stem].find("ITEM/SOURCE/FILE")[1])[0].T
        begins = int(np.flatnonzero(wave.any(axis=0))[0])  # after a silence
        wave = wave[:, begins : begins + 2000]
        wanted = find_chain(name).open(RATE, 2).process(wave.astype(np.float32))
        assert np.abs(wanted - wave).max() > 1e-3
        assert np.abs(heard(effects.find("JS"), wave) - wanted).max() < 1e-6
        assert effects.find("BYPASS")[1:] == ["0", "0", "0"]


def test_the_effect_is_named_as_it_is_installed(made: Made, tmp_path: Path) -> None:
    (tmp_path / "reaper").mkdir()
    install(tmp_path / "reaper", "python")
    unstir("session", made.folder, "--to", "rpp", "--no-markers", "--fx", FX[0])
    name, comment = tracks(made.folder / "film.rpp")["speech"].find("FXCHAIN/JS").attrib
    assert (tmp_path / "reaper/Effects" / name).is_file()
    assert comment == ""


def test_the_types_of_bands_are_those_of_the_effect() -> None:
    sliders = Eel(EQUALIZER, RATE, 1).sliders
    for band in range(LIVE_BANDS):
        menu = [title.lower().replace(" ", "-") for title in sliders[4 * band + 1][2]]
        assert [title.removesuffix("-db/octave") for title in menu] == list(BAND_TYPES)


def test_without_equalizers_no_track_has_effects(made: Made) -> None:
    unstir("session", made.folder, "--to", "rpp", "--no-markers")
    assert "FXCHAIN" not in (made.folder / "film.rpp").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rpp", "--fx", "speech=podcast-voice"], "since compressor is no band .* 'unstir remix'"),
        (["rpp", "--fx", "speech=small-room"], "since convolution is no band of an equalizer"),
        (["rpp,aaf", "--fx", "speech=de-mud"], "--to aaf, and live effects go into rpp only"),
        (["rpp", "--fx", "speech"], "--fx speech came; STEM=CHAIN is wanted"),
        (["rpp", "--fx", "speech=de-mud", "speech=telephone"], "once for a stem"),
        (["rpp", "--fx", "speech=de-mut"], "did you mean de-mud"),
    ],
)
def test_what_cannot_be_live_is_refused_in_one_sentence(
    words: list[str], sentence: str, made: Made
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        unstir("session", made.folder, "--to", *words)
    assert not (made.folder / "film.rpp").exists()


def test_a_stem_that_is_not_there_is_named(made: Made) -> None:
    with pytest.raises(UnknownNameError, match="no stem 'vocals'; there are: speech, music"):
        unstir("session", made.folder, "--to", "rpp", "--no-markers", "--fx", "vocals=de-mud")
    assert not (made.folder / "film.rpp").exists()
