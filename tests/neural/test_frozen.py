"""The scenes that report stay what they were, and nothing trains on their sources."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from unstir.errors import AudioError
from unstir.neural.captions import HELD_OUT
from unstir.neural.frozen import (
    FROZEN,
    N_QUERY,
    foreign_scenes,
    frozen_queries,
    report_plans,
    report_scenes,
    song_plans,
    song_scenes,
)
from unstir.neural.pack import Clip, Pack, pack
from unstir.neural.scenes import digest
from unstir.neural.split import SPLITS, assign, family
from unstir.types import SONG

pytestmark = pytest.mark.corpus


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("whole") / "pack"
    assert sum(1 for _ in pack(corpus, folder, encoding="mulaw8")) > 2000
    return Pack(folder)


def test_the_report_scenes_are_those_of_the_frozen_list(whole: Pack) -> None:
    assert digest(report_plans(whole)) == FROZEN["report"]
    name, source, stems = next(report_scenes(whole, 1))
    assert name.startswith("report 0") and source
    assert all(value.shape == (2, 882000) and value.any() for value in stems.values())


def test_a_report_scene_uses_recordings_of_the_report_split_alone(whole: Pack) -> None:
    clips: Mapping[str, Clip] = {clip.path: clip for clip in whole.clips}
    for plan in report_plans(whole):
        for bus in (*plan.speech, *plan.music, *plan.effects):
            assert all(clips[piece.clip].split == "report" for piece in bus.pieces)
            assert not bus.room or clips[bus.room].split == "report"


def test_the_song_scenes_are_those_of_the_frozen_list(whole: Pack) -> None:
    plans = song_plans(whole)
    assert digest(plans) == FROZEN["song"]
    clips: Mapping[str, Clip] = {clip.path: clip for clip in whole.clips}
    for plan in plans:
        for bus in (*plan.speech, *plan.music):
            assert all(clips[piece.clip].split == "report" for piece in bus.pieces)
    name, source, stems = next(song_scenes(whole, 1))
    assert (name, source, list(stems)) == ("song 0", "song: eir_rubidium", list(SONG))
    assert all(value.shape == (2, 882000) and value.any() for value in stems.values())


def test_the_foreign_scenes_are_those_of_the_frozen_list(corpus: Path) -> None:
    ((name, _, stems),) = foreign_scenes(corpus, 1)
    assert name == "foreign 0"
    assert np.isfinite(sum(stems.values())).all() and stems["speech"].any()


@pytest.mark.parametrize("kind", ["seen", "held out"])
def test_the_questions_are_those_of_the_frozen_list(whole: Pack, kind: str) -> None:
    clips: Mapping[str, Clip] = {clip.path: clip for clip in whole.clips}
    plans = frozen_queries(whole, kind)
    assert len(plans) == N_QUERY[kind]
    for asked, wrong in plans:
        assert wrong not in (asked.name, *asked.sounds)
        buses = (*asked.scene.speech, *asked.scene.music, *asked.scene.effects)
        others = [piece.clip for bus in buses[1:] for piece in bus.pieces]
        assert all(clips[path].split == "report" for path in others)
        assert (asked.name in HELD_OUT) == (kind == "held out")


def test_a_manifest_with_a_recording_less_is_refused(corpus: Path, tmp_path: Path) -> None:
    lines = (corpus / "MANIFEST.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    splits = assign(rows)
    assert set(splits.values()) == set(SPLITS)
    drop = next(
        i for i, r in enumerate(rows) if r["kind"] == "speech" and splits[family(r)] == "report"
    )
    (tmp_path / "MANIFEST.csv").write_text("\n".join(lines[: drop + 1] + lines[drop + 2 :]))
    with pytest.raises(AudioError, match="frozen"):
        next(foreign_scenes(tmp_path, 1))
