import importlib.util
from pathlib import Path

import mido
import numpy as np
import pytest

from unstir.loudness import Meter
from unstir.scene import load_scene
from unstir.types import FILM

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_demo_scene.py"


@pytest.fixture(scope="module")
def scene():
    return load_scene()


def level_db(waveform, start_s, stop_s, rate=44100):
    part = waveform[:, round(start_s * rate) : round(stop_s * rate)].astype(np.float64)
    return 10 * np.log10(np.square(part).mean() + 1e-20)


def test_it_holds_three_stereo_stems_of_20_seconds(scene):
    assert tuple(scene.stems) == FILM
    assert scene.sample_rate == 44100
    for stem in scene.stems.values():
        assert stem.shape == (2, 20 * 44100)
        assert stem.dtype == np.float32
        assert stem.flags.c_contiguous


def test_the_mix_is_the_exact_sum_and_does_not_clip(scene):
    total = sum(stem.astype(np.float64) for stem in scene.stems.values())
    assert np.array_equal(scene.mix, total)
    assert 0.5 < np.abs(total).max() < 1
    assert np.array_equal(total * 32768, np.round(total * 32768))  # fits 16 bits, bit for bit


def test_every_stem_is_heard_at_the_level_of_a_film(scene):
    bounds = {"speech": (-21, -17), "music": (-26, -22), "effects": (-26, -21)}
    for name, stem in scene.stems.items():
        meter = Meter(44100, 2)
        meter.push(stem)
        low, high = bounds[name]
        assert low < meter.integrated_lufs() < high, name


@pytest.mark.parametrize(
    ("name", "start_s", "stop_s"),
    [("effects", 0.2, 2.0), ("speech", 2.4, 3.9), ("music", 4.2, 6.3)],
)
def test_every_stem_is_alone_for_a_while(scene, name, start_s, stop_s):
    for other, stem in scene.stems.items():
        if other != name:
            assert level_db(stem, start_s, stop_s) < -60
    assert level_db(scene.stems[name], start_s, stop_s) > -36


def test_all_three_sound_together_for_a_while(scene):
    for stem in scene.stems.values():
        assert level_db(stem, 11.3, 14.0) > -32


def test_speech_stands_in_the_middle_and_music_is_wide(scene):
    def side_to_mid_db(name):
        left, right = scene.stems[name].astype(np.float64)
        return 10 * np.log10(np.square(left - right).sum() / np.square(left + right).sum())

    assert -25 < side_to_mid_db("speech") < -14
    assert side_to_mid_db("music") > -10
    assert side_to_mid_db("effects") > -10


def test_the_first_steps_go_from_left_to_right(scene):
    left, right = scene.stems["effects"]
    balance = []
    for k in range(4):
        start = round((0.17 + 0.34 * k) * 44100)
        step = slice(start, start + 4410)
        balance.append(np.square(right[step]).sum() / np.square(left[step]).sum())
    assert balance == sorted(balance)
    assert balance[0] < 0.5 < 1.2 < balance[-1]


def test_the_files_stay_small(scene):
    files = list(scene.score.parent.glob("*"))
    assert {f.name for f in files} == {*(f"{name}.flac" for name in FILM), "music.mid", "README.md"}
    assert sum(f.stat().st_size for f in files) <= 3_000_000


def test_the_music_begins_where_the_score_says(scene):
    time_s, onsets_s = 0.0, []
    for message in mido.MidiFile(scene.score):
        time_s += message.time
        if message.type == "note_on" and message.velocity:
            onsets_s.append(time_s)
    assert onsets_s[0] == pytest.approx(4.0)
    assert 19.5 < time_s <= 20
    music = np.abs(scene.stems["music"]).max(axis=0)
    first = np.flatnonzero(music > 1e-3)[0] / 44100
    assert first == pytest.approx(onsets_s[0], abs=0.01)


def test_the_notes_of_the_score_are_heard_in_the_music(scene):
    # The energy at a melody note's pitch must rise as it begins.
    rises = []
    time_s, rate = 0.0, scene.sample_rate
    mono = scene.stems["music"].mean(axis=0).astype(np.float64)
    for message in mido.MidiFile(scene.score):
        time_s += message.time
        if message.type == "note_on" and message.velocity and message.channel == 2:
            hz = 440 * 2 ** ((message.note - 69) / 12)
            n = round(0.08 * rate)
            probe = np.hanning(n) * np.exp(-2j * np.pi * hz * np.arange(n) / rate)
            at = round(time_s * rate)
            before, after = (abs(probe @ mono[k : k + n]) for k in (at - n, at + rate // 200))
            rises.append(after > before)
    assert len(rises) > 25
    assert np.mean(rises) > 0.9


@pytest.mark.skipif(not SCRIPT.exists(), reason="the script does not come with the package")
def test_the_script_writes_this_very_score(scene, tmp_path):
    pytest.importorskip("soxr")
    spec = importlib.util.spec_from_file_location("make_demo_scene", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write_score(tmp_path / "music.mid")
    assert (tmp_path / "music.mid").read_bytes() == scene.score.read_bytes()


def test_the_script_hangs_no_note(scene):
    sounding = set()
    for message in mido.MidiFile(scene.score):
        key = (getattr(message, "channel", None), getattr(message, "note", None))
        if message.type == "note_on" and message.velocity:
            assert key not in sounding
            sounding.add(key)
        elif message.type in ("note_on", "note_off"):
            sounding.remove(key)
    assert not sounding
