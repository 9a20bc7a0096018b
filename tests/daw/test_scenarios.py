"""Runs that meet: each other, an earlier run, a failure, a loss; and items drawn at random."""

from pathlib import Path

import numpy as np
import pytest

from tests.daw.conftest import RATE, item_of
from tests.daw.host import Reaper
from tests.daw.mixer import mix
from tests.daw.model import Item, Project, Source, Track
from unstir.worker import work

SEPARATE = "Separate selected items (last settings)"


@pytest.fixture
def item(project: Project, sounds: Path) -> Item:
    one = item_of(Source.of_file(sounds / "stereo.wav"))
    project.tracks[0].items.append(one)
    return one


def run(reaper: Reaper) -> None:
    reaper.run(SEPARATE)
    reaper.pump()


def test_a_run_that_fails_leaves_the_stems_of_the_one_before(
    reaper: Reaper, project: Project, item: Item
) -> None:
    run(reaper)
    before, stems = mix(project, RATE, 3), [one.guid for one in project.items]
    reaper.ext_state["unstir", "method"] = "no-such-method"
    run(reaper)
    assert len(reaper.messages) == 1
    assert [one.guid for one in project.items] == stems
    assert np.abs(mix(project, RATE, 3) - before).max() == 0
    assert len(project.undo_names) == 1


def test_a_run_that_was_cancelled_can_be_done_again(
    reaper: Reaper, project: Project, item: Item
) -> None:
    def cancelled(job: str) -> None:
        Path(job).with_name("cancel").touch()
        assert work(job) == 130

    before = mix(project, RATE, 3)
    reaper.worker = cancelled
    run(reaper)
    assert len(project.tracks) == 1
    reaper.worker = work
    run(reaper)
    assert not reaper.messages
    assert len(project.tracks) == 4
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6


def test_the_only_item_deleted_meanwhile_leaves_no_track(
    reaper: Reaper, project: Project, item: Item
) -> None:
    def worker(job: str) -> None:
        work(job)
        project.tracks[0].items.clear()

    reaper.worker = worker
    run(reaper)
    assert "1 of 1" in reaper.messages[0]
    assert "stems" in reaper.messages[0]  # where the results are
    assert [track.name for track in project.tracks] == ["Dialogue"]


def test_two_projects_with_a_run_each_keep_their_stems_apart(
    reaper: Reaper, project: Project, item: Item, sounds: Path, tmp_path: Path
) -> None:
    other = Project(str(tmp_path / "other"), [Track("Song")])
    (tmp_path / "other").mkdir()
    other.tracks[0].items.append(item_of(Source.of_file(sounds / "song.flac"), 0.5))
    reaper.projects.append(other)
    before = mix(project, RATE, 3), mix(other, RATE, 3)
    reaper.run(SEPARATE)
    reaper.front = other
    reaper.run(SEPARATE)
    reaper.pump(600, until=lambda: len(other.tracks) == 4)
    assert len(project.tracks) == 1
    reaper.front = project
    reaper.pump()
    assert [track.name for track in project.tracks][:2] == ["Dialogue", "Speech"]
    assert [track.name for track in other.tracks][:2] == ["Song", "Speech"]
    for one, was in zip((project, other), before, strict=True):
        files = [Path(i.take.source.path) for i in one.items if i.ext.get("P_EXT:unstir_role")]
        assert len(files) == 3
        assert all(file.is_relative_to(one.folder) for file in files)
        assert np.abs(mix(one, RATE, 3) - was).max() < 1e-6


def test_mono_and_six_channels_on_one_track(reaper: Reaper, project: Project, sounds: Path) -> None:
    reaper.ext_state["unstir", "method"] = "bands"
    project.tracks[0].values["I_NCHAN"] = 6.0
    project.tracks[0].items += [
        item_of(Source.of_file(sounds / "mono.wav"), 0.0, 0.5),
        item_of(Source.of_file(sounds / "film.wav"), 0.5, 0.5),
    ]
    before = mix(project, RATE, 2)
    run(reaper)
    assert {track.values["I_NCHAN"] for track in project.tracks} == {6.0}
    assert np.abs(mix(project, RATE, 2) - before).max() < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_stems_add_up_to_an_item_drawn_at_random(
    seed: int, reaper: Reaper, project: Project, sounds: Path
) -> None:
    rng = np.random.default_rng(seed)
    source = Source.of_file(sounds / ("song.flac" if seed % 2 else "stereo.wav"))
    for _ in range(rng.integers(0, 3)):
        length = float(rng.uniform(0.4, 0.9)) * source.length_s
        offset = float(rng.uniform(0, source.length_s - length))
        backward = bool(rng.integers(2))
        # Reaper keeps sections in seconds; ours begin and end with a sample.
        source = source.cut(round(offset * RATE) / RATE, round(length * RATE) / RATE)
        source.section = (*source.section[:2], backward) if source.section else None
    item = item_of(
        source,
        float(rng.uniform(0, 0.5)),
        float(rng.uniform(0.3, 1.5)),
        D_STARTOFFS=float(rng.uniform(-0.1, 0.4)),
        D_PLAYRATE=float(rng.uniform(0.5, 2)),
        B_PPITCH=0.0,
        B_LOOPSRC=float(rng.integers(2)),
        D_VOL=float(rng.uniform(0.2, 1)),
        D_FADEINLEN=float(rng.uniform(0, 0.2)),
        I_CHANMODE=float(rng.integers(2)),
    )
    project.tracks[0].items.append(item)
    before = mix(project, RATE, 3)
    run(reaper)
    assert not reaper.messages
    assert np.abs(before).max() > 0.01
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6
