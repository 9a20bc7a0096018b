"""Presets load, do what they promise, and are drawn and listed."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from unstir.cli_chains import add_chains
from unstir.errors import SettingsError, UnknownNameError
from unstir.loudness import Meter
from unstir.plugins.chains import (
    Chain,
    check_format,
    find_chain,
    parse_effects,
    preset_path,
    presets,
    read_json,
)
from unstir.plugins.responses import frequencies_hz, response_db
from unstir.types import Waveform

RATE = 48000
WANTED = {
    "dialogue-clarity", "dialogue-warmth", "de-mud", "telephone", "night-mode", "music-bed",
    "vocal-plate", "small-room", "large-hall", "effects-wide", "lo-fi", "broadcast", "streaming",
}  # fmt: skip
CHAINS = [name for name in presets() if "stems" not in json.loads(preset_path(name).read_text())]
LINEAR = [name for name in CHAINS if find_chain(name).linear and not find_chain(name).needs_survey]


def through(chain: Chain, sound: Waveform, speech: Waveform) -> Waveform:
    stream = chain.open(RATE, len(sound))
    keys = dict.fromkeys(chain.keys, speech)
    tail = min(round(chain.tail_s * RATE), 3000)
    return np.concatenate([stream.process(sound, keys), stream.finish(tail)], axis=1)


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_chains(parser.add_subparsers())
    options = parser.parse_args(["chains", *arguments])
    return int(options.run(options))


def test_the_presets_that_people_want_are_there() -> None:
    assert set(presets()) >= WANTED


@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.parametrize("name", LINEAR)
def test_linear_presets_distribute_over_stems(
    name: str, n_channels: int, rng: np.random.Generator
) -> None:
    chain = find_chain(name)
    stems = (0.1 * rng.standard_normal((3, n_channels, 9000))).astype(np.float32)
    speech = stems[0]
    mixed = through(chain, stems.sum(axis=0), speech)
    apart = sum(through(chain, stem, speech) for stem in stems)
    np.testing.assert_allclose(mixed, apart, atol=1e-6)


def test_the_linear_presets_are_those_we_think() -> None:
    assert {"dialogue-clarity", "dialogue-warmth", "de-mud", "telephone", "large-hall"} < set(
        LINEAR
    )
    assert not {"lo-fi", "podcast-voice", "broadcast", "streaming"} & set(LINEAR)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("name", [name for name in CHAINS if not find_chain(name).needs_survey])
def test_presets_work_at_any_rate(name: str, rate: int, rng: np.random.Generator) -> None:
    chain = find_chain(name)
    stream = chain.open(rate, 2)
    sound = (0.1 * rng.standard_normal((2, 2000))).astype(np.float32)
    done = stream.process(sound, dict.fromkeys(chain.keys, sound))
    whole = np.concatenate([done, stream.finish(0)], axis=1)
    assert whole.shape == sound.shape
    assert np.isfinite(whole).all() and np.abs(whole).max() > 0.01


@pytest.mark.parametrize("name", presets())
def test_every_preset_says_what_it_is_for_and_is_of_our_format(name: str) -> None:
    content = read_json(preset_path(name))
    check_format(content, name)
    assert isinstance(content, dict)
    assert 20 < len(content["summary"]) < 100


def test_night_mode_is_a_rack_of_the_film_stems() -> None:
    content = json.loads(preset_path("night-mode").read_text())
    assert set(content["stems"]) == {"speech", "music", "effects"}
    for stem, strip in content["stems"].items():
        assert parse_effects(strip["chain"], stem)
    assert content["stems"]["speech"]["gain_db"] > 0 > content["stems"]["effects"]["gain_db"]
    with pytest.raises(SettingsError, match="night-mode is a rack"):
        find_chain("night-mode")


@pytest.mark.parametrize(("name", "target_lufs"), [("broadcast", -23), ("streaming", -14)])
def test_masters_meet_loudness_and_true_peak(
    name: str, target_lufs: float, rng: np.random.Generator
) -> None:
    sound = 0.02 * rng.standard_normal((2, 3 * RATE))
    sound[:, RATE : RATE + 3] *= 40  # a click above the ceiling
    sound = sound.astype(np.float32)
    chain = find_chain(name).survey([sound], RATE)
    mastered = through(chain, sound, sound)
    meter = Meter(RATE, 2)
    meter.push(mastered)
    assert meter.integrated_lufs() == pytest.approx(target_lufs, abs=0.5)
    peak = np.abs(scipy.signal.resample_poly(mastered.astype(np.float64), 8, 1, axis=1)).max()
    assert 20 * np.log10(peak) <= -1


def test_the_telephone_passes_its_band_alone() -> None:
    level_db = dict(zip(frequencies_hz(RATE), response_db(find_chain("telephone")), strict=True))
    inside = [level for hz, level in level_db.items() if 350 < hz < 3000]
    outside = [level for hz, level in level_db.items() if hz < 140 or hz > 7500]
    assert min(inside) > -2
    assert max(outside) < -24


def test_hum_goes_and_the_voice_stays() -> None:
    hz, level_db = frequencies_hz(RATE), response_db(find_chain("de-hum-50"))
    assert level_db[np.abs(hz - 50).argmin()] < -15
    assert level_db[hz > 400].min() > -0.5


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    text = capsys.readouterr().out
    assert all(name in text for name in presets())
    run("--json")
    assert [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()] == [
        *presets()
    ]


def test_a_shown_preset_can_be_saved_and_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("telephone", "--json")
    path = tmp_path / "mine.json"
    path.write_text(capsys.readouterr().out)
    assert find_chain(str(path)).effects == find_chain("telephone").effects


def test_notes_say_where_stems_stop_adding_up(capsys: pytest.CaptureFixture[str]) -> None:
    run("night-mode")
    assert "note: speech: compressor is not linear" in capsys.readouterr().out


def test_effects_are_listed_with_their_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    run("--effects")
    assert "cutoff_hz      10 to 20000" in capsys.readouterr().out


def test_responses_are_drawn(tmp_path: Path) -> None:
    run("dialogue-clarity", "--picture", str(tmp_path / "clarity.png"))
    assert (tmp_path / "clarity.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["clarity.png"]


def test_a_picture_must_be_a_png_in_a_folder_that_is_there(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "a.svg", "end its name"), (tmp_path / "b/a.png", "written")):
        with pytest.raises(SettingsError, match=message):
            run("de-mud", "--picture", str(path))


def test_an_unknown_preset_is_told_from_its_neighbor() -> None:
    with pytest.raises(UnknownNameError, match="did you mean large-hall"):
        run("larg-hall")
