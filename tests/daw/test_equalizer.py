"""Chains that are filters and gains go live: the same filters, on takes or on tracks."""

from pathlib import Path

import lupa.lua54
import numpy as np
import pytest
import soundfile as sf

from tests.daw.conftest import RATE, item_of
from tests.daw.eel import Effect as Eel
from tests.daw.host import SCRIPTS, Reaper
from tests.daw.mixer import EQUALIZER, mix
from tests.daw.model import Item, Project, Source, Track
from unstir.errors import SettingsError
from unstir.plugins.chains import Chain, Effect, find_chain, presets
from unstir.worker_chain import LIVE_BANDS, live_bands

APPLY = "Apply effect chain to stems"
KINDS = {  # as they stand in the menu of the effect
    **{"peak": "Peak", "low-shelf": "Low shelf", "high-shelf": "High shelf", "notch": "Notch"},
    **{"high-pass-12": "High-pass 12 dB/octave", "low-pass-12": "Low-pass 12 dB/octave"},
    **{"high-pass-6": "High-pass 6 dB/octave", "low-pass-6": "Low-pass 6 dB/octave"},
}


def live(chain: Chain, rate: int, n_channels: int = 1) -> Eel:
    """Return the effect with the bands of a chain."""
    effect = Eel(EQUALIZER, rate, n_channels)
    bands, gain_db = live_bands(chain)
    menu = effect.sliders[1][2]
    sliders = {33: gain_db}
    for i, band in enumerate(bands):
        kind, *numbers = band.split(" ")
        sliders[4 * i + 1] = menu.index(KINDS[kind])
        sliders.update({4 * i + 2 + k: float(n) for k, n in enumerate(numbers)})
    effect.set(sliders)
    return effect


def level_db(wave: np.ndarray, rate: int) -> np.ndarray:
    """Return the response in tenths of octaves, from 20 Hz to 0.45 of the rate."""
    frequencies = np.geomspace(20, 0.45 * rate, 100)
    turns = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(wave.shape[1])) / rate)
    return 20 * np.log10(np.maximum(np.abs(turns @ wave[0]), 1e-4))


def check_alike(chain: Chain, rate: int, n_samples: int = 3000) -> None:
    impulse = np.zeros((1, n_samples), np.float32)
    impulse[0, 0] = 1
    wanted = chain.open(rate, 1).process(impulse)
    found = live(chain, rate).process(impulse.astype(np.float64))
    assert np.abs(found - wanted).max() < 1e-6
    assert np.abs(level_db(found, rate) - level_db(wanted, rate)).max() < 0.1


CHAINS = {
    "a peak": [("peak", {"cutoff_hz": 700, "gain_db": 7.5, "q": 1.7})],
    "a dip": [("peak", {"cutoff_hz": 3100, "gain_db": -24, "q": 0.4})],
    "a low shelf": [("low-shelf", {"cutoff_hz": 250, "gain_db": -5, "q": 0.6})],
    "a high shelf": [("high-shelf", {"cutoff_hz": 4000, "gain_db": 9})],
    "a notch": [("notch", {"cutoff_hz": 1000, "q": 5})],
    **{
        f"a high-pass of order {n}": [("high-pass", {"cutoff_hz": 300, "order": n})] for n in (1, 8)
    },
    **{f"a low-pass of order {n}": [("low-pass", {"cutoff_hz": 2500, "order": n})] for n in (2, 5)},
    "gains alone": [("gain", {"gain_db": 3}), ("gain", {"gain_db": -10.5})],
    "nothing": [],
    "what lies above the sound": [
        ("low-pass", {"cutoff_hz": 20000}),
        ("peak", {"cutoff_hz": 20000, "gain_db": 12}),
        ("high-shelf", {"cutoff_hz": 20000, "gain_db": 12}),
        ("notch", {"cutoff_hz": 20000}),
        ("low-shelf", {"cutoff_hz": 20000, "gain_db": -6}),
    ],
    "a high-pass above the sound": [("high-pass", {"cutoff_hz": 20000, "order": 3})],
}


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("case", CHAINS)
def test_the_effect_filters_as_unstir_does(case: str, rate: int) -> None:
    check_alike(Chain(case, tuple(Effect(name, given) for name, given in CHAINS[case])), rate)


LIVE = ("de-hum-50", "de-hum-60", "de-mud", "dialogue-clarity", "dialogue-warmth")


@pytest.mark.parametrize("name", LIVE)
def test_presets_that_are_filters_sound_alike_live(name: str) -> None:
    check_alike(find_chain(name), 48000)


def test_what_else_ships_is_refused_with_its_reason() -> None:
    for name in sorted({*presets()} - {*LIVE, "night-mode"}):
        with pytest.raises(SettingsError, match="no band of an equalizer"):
            live_bands(find_chain(name))


@pytest.mark.parametrize(
    ("effects", "why"),
    [
        ([("high-pass", {"cutoff_hz": 80, "order": 8})] * 3, "takes 12 bands"),
        ([("gain", {"gain_db": 60})] * 2, "gain of 120 dB"),
    ],
)
def test_a_chain_beyond_the_effect_is_refused(effects: list, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        live_bands(Chain("much", tuple(Effect(*one) for one in effects)))


def test_channels_are_filtered_apart_and_silence_ends_the_memory() -> None:
    rng = np.random.default_rng(1)
    wave = rng.standard_normal((3, 400))
    wave[:, 100:] = 0
    chain = find_chain("telephone")
    chain = Chain("telephone", tuple(e for e in chain.effects if e.name != "width"))
    together = live(chain, 16000, 3).process(wave)
    for channel in range(3):
        alone = live(chain, 16000, 1).process(wave[channel : channel + 1])
        assert (together[channel] == alone[0]).all()
    effect = live(chain, 16000, 1)
    effect.memory[5 * LIVE_BANDS] = 1e-200
    effect.run("block")
    assert effect.memory[5 * LIVE_BANDS] == 0


def test_sliders_and_kinds_are_those_that_the_scripts_set() -> None:
    effect = Eel(EQUALIZER, 48000, 2)
    assert sorted(effect.sliders) == list(range(1, 4 * LIVE_BANDS + 2))
    lua = lupa.lua54.LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    lua.execute("reaper = {}")
    loaded = lua.execute("return dofile(...)", str(SCRIPTS / "unstir/equalizer.lua"))
    kinds = dict((loaded[0] if isinstance(loaded, tuple) else loaded).kinds)
    for band in range(LIVE_BANDS):
        menu = effect.sliders[4 * band + 1][2]
        assert {name: menu[number] for name, number in kinds.items()} == KINDS
        titles = [effect.sliders[4 * band + 1 + k][3] for k in range(4)]
        assert titles == [
            f"Band {band + 1} {what}" for what in ("type", "frequency (Hz)", "gain (dB)", "Q")
        ]
    assert effect.sliders[33][3] == "Output gain (dB)"


# In Reaper


@pytest.fixture
def stems(reaper: Reaper, project: Project, tmp_path: Path) -> list[Item]:
    """Return stems of two short items; the equalizer is installed."""
    target = tmp_path / "Effects/unstir/equalizer.jsfx"
    target.parent.mkdir(parents=True)
    target.write_bytes(EQUALIZER.read_bytes())
    wave = 0.1 * np.random.default_rng(2).standard_normal((3200, 2))
    sf.write(tmp_path / "short.wav", wave, RATE, subtype="FLOAT")
    file = Source.of_file(tmp_path / "short.wav")
    project.tracks[0].items += [item_of(file, 0.0, 0.2), item_of(file, 0.3, 0.2)]
    reaper.run("Separate selected items (last settings)")
    reaper.pump()
    for item in project.tracks[0].items:
        item.selected = False
    return [stem for track in project.tracks[1:] for stem in track.items]


def apply(reaper: Reaper, chain: str) -> None:
    reaper.answers = [chain]
    reaper.run(APPLY)
    reaper.pump()
    assert not reaper.messages


def test_a_chain_of_filters_goes_live_on_selected_takes(
    reaper: Reaper, project: Project, stems: list[Item]
) -> None:
    stems[0].selected = stems[2].selected = True
    apply(reaper, "dialogue-clarity")
    assert [len(stem.take.fx) for stem in stems] == [1, 0, 1, 0, 0, 0]
    assert all(len(stem.takes) == 1 for stem in stems)
    assert not any(track.fx for track in project.tracks)
    assert reaper.console == [
        "unstir: dialogue-clarity is live: 5 bands of the effect 'unstir equalizer' on 2 takes.\n"
    ]
    assert project.undo_names[-1] == "unstir: apply dialogue-clarity, live"
    values = stems[0].take.fx[0].values
    assert (values[0], values[4]) == (6, 4)  # a high-pass of third order
    assert len(values) == 33


def test_live_and_rendered_sound_alike(
    reaper: Reaper, project: Project, stems: list[Item], tmp_path: Path
) -> None:
    for stem in stems:
        stem.selected = True
    before = mix(project, RATE, 0.6)
    apply(reaper, "dialogue-warmth")
    found = mix(project, RATE, 0.6)
    project.undo()
    assert np.abs(mix(project, RATE, 0.6) - before).max() == 0
    (tmp_path / "Effects/unstir/equalizer.jsfx").unlink()
    apply(reaper, "dialogue-warmth")
    assert "rendered into 6 new takes, since the equalizer is not there" in reaper.console[-1]
    assert project.undo_names[-1] == "unstir: apply dialogue-warmth, rendered"
    rendered = mix(project, RATE, 0.6)
    assert np.abs(rendered - before).max() > 1e-2
    assert np.abs(found - rendered).max() < 1e-6


def test_a_chain_goes_live_on_selected_tracks_once(
    reaper: Reaper, project: Project, stems: list[Item]
) -> None:
    project.tracks[1].selected = project.tracks[3].selected = True
    apply(reaper, "de-mud")
    assert [len(track.fx) for track in project.tracks] == [0, 1, 0, 1]
    assert not any(stem.take.fx for stem in stems)
    assert "on 2 tracks" in reaper.console[0]
    # Stems that are made anew keep it.
    for item in project.tracks[0].items:
        item.selected = True
    reaper.run("Separate selected items (last settings)")
    reaper.pump()
    assert [len(track.fx) for track in project.tracks] == [0, 1, 0, 1]


def test_another_chain_sets_the_same_equalizer_anew(
    reaper: Reaper, project: Project, stems: list[Item]
) -> None:
    stems[0].selected = True
    apply(reaper, "de-hum-50")
    apply(reaper, "dialogue-clarity")
    again = [dict(fx.values) for fx in stems[0].take.fx]
    stems[0].take.fx.clear()
    apply(reaper, "dialogue-clarity")
    first = [dict(fx.values) for fx in stems[0].take.fx]
    for values in (*again, *first):
        # What a band that is off was set to does not matter.
        [values.pop(k) for b in range(8) if values[4 * b] == 0 for k in range(4 * b + 1, 4 * b + 4)]
    assert again == first


def test_what_is_no_filter_is_rendered_and_the_reason_said(
    reaper: Reaper, project: Project, stems: list[Item]
) -> None:
    project.tracks[2].selected = True
    apply(reaper, "podcast-voice")
    assert [len(stem.takes) for stem in stems] == [1, 1, 2, 2, 1, 1]
    assert reaper.console == [
        "unstir: podcast-voice was rendered into 2 new takes, since compressor is no band of an "
        "equalizer.\n"
    ]


def test_a_chain_file_of_the_user_goes_live(
    reaper: Reaper, project: Project, stems: list[Item], tmp_path: Path
) -> None:
    file = tmp_path / 'my "chain".json'
    file.write_text(
        '{"format": 1, "chain": [{"effect": "high-pass", "cutoff_hz": 90.5, "order": 3},'
        ' {"effect": "gain", "gain_db": -2.25}]}'
    )
    stems[1].selected = True
    apply(reaper, str(file))
    values = stems[1].take.fx[0].values
    assert [values[k] for k in (0, 1, 4, 5, 32)] == [6, 90.5, 4, 90.5, -2.25]
    assert "2 bands" in reaper.console[0]


def test_an_effect_that_reaper_does_not_find_leaves_the_project_alone(
    reaper: Reaper, project: Project, stems: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    stems[0].selected = True
    monkeypatch.setattr(reaper.functions, "_effect", lambda name: None)  # not scanned yet
    reaper.answers = ["de-mud"]
    reaper.run(APPLY)
    reaper.pump()
    assert "run 'unstir reaper install' once more" in reaper.messages[0]
    assert not stems[0].take.fx
    assert isinstance(project.tracks[0], Track)
