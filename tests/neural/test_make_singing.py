"""Speech that sings: notes where there was a voice, everything else as it was spoken."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from unstir.neural.pack import Pack, pack
from unstir.neural.split import MADE

RATE = 44100


@pytest.fixture
def script(script_named: Callable[[str], ModuleType]) -> ModuleType:
    return script_named("make_singing")


def test_long_stretches_are_cut_where_they_are_quietest(script: ModuleType) -> None:
    voiced = np.zeros(200, bool)
    voiced[10:40] = voiced[60:180] = True
    power = np.zeros(200)
    power[115] = -3
    assert script.syllables(voiced, power) == [(10, 40), (60, 115), (115, 180)]
    assert script.syllables(np.zeros(20, bool), np.zeros(20)) == []


def test_every_voiced_stretch_is_a_note_of_the_scale_and_the_rest_stays(script: ModuleType) -> None:
    parts = [(10, 40), (60, 90)]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        who = script.singer(rng, 120.0)
        notes = script.melody(rng, who, parts, 100)
        is_sung = np.isfinite(notes.pitch)
        for note in set(notes.pitch[is_sung]):
            assert (note - who.low) % 12 in who.scale
        spoken = notes.source[~is_sung]
        np.testing.assert_array_equal(spoken, [*range(10), *range(40, 60), *range(90, 100)])
        assert np.all(np.diff(notes.source) >= 0)
        assert 0.8 * 60 - 1 <= is_sung.sum() <= 6 * 60


def test_what_is_sung_has_the_melody_and_packs_as_made(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyworld")
    rng = np.random.default_rng(0)
    spoken = np.zeros(3 * RATE)
    for start in range(0, len(spoken), RATE // 2):  # a buzz with pauses, as a voice has
        n = RATE // 3
        spoken[start : start + n] = np.sign(np.sin(2 * np.pi * 130 * np.arange(n) / RATE))[
            : len(spoken) - start
        ]
    spoken += 0.01 * rng.standard_normal(len(spoken))
    (tmp_path / "speech").mkdir()
    soundfile.write(tmp_path / "speech" / "one.wav", 0.1 * spoken, RATE)
    columns = ("path", "kind", "label", "source_repo", "author_if_known", "licence", "seconds")
    with (tmp_path / "MANIFEST.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*columns, "samplerate"))
        origin = ("debian/talkers", "one", "CC0-1.0")  # gathered, so that it trains
        writer.writerow(("speech/one.wav", "speech", "en/one", *origin, 3, RATE))
    list(pack(tmp_path, tmp_path / "pack"))
    monkeypatch.setattr(
        sys, "argv", ["make_singing", str(tmp_path / "pack"), str(tmp_path / "sung"), "--voices=2"]
    )
    assert script.main() == 0
    list(pack([tmp_path, tmp_path / "sung"], tmp_path / "both"))
    clips = Pack(tmp_path / "both").select("train", "singing")
    assert len(clips) == 2 and all(clip.family.startswith(MADE) for clip in clips)
    assert all(clip.license == "CC0-1.0" for clip in clips)
    import pyworld

    for clip in clips:
        sound = Pack(tmp_path / "both").read(clip).mean(axis=0).astype(float)
        f0, _ = pyworld.dio(sound, RATE)
        assert np.ptp(12 * np.log2(f0[f0 > 0] / 130)) > 1.5  # several notes, where there was one
