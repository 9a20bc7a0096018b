"""A run from start to end: worker, cancel, failure, and what befalls the project meanwhile."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.daw.conftest import RATE, item_of
from tests.daw.host import Reaper
from tests.daw.mixer import mix
from tests.daw.model import Item, Project, Source, Track, value
from unstir.worker_job import parse_lines

SEPARATE = "Separate selected items (last settings)"


@pytest.fixture
def item(project: Project, sounds: Path) -> Item:
    one = item_of(Source.of_file(sounds / "stereo.wav"))
    project.tracks[0].items.append(one)
    return one


def job_folder(project: Project) -> Path:
    (folder,) = (Path(project.folder) / "stems/jobs").iterdir()
    return folder


def untouched(project: Project) -> bool:
    return len(project.tracks) == 1 and not any(value(i, "B_MUTE") for i in project.items)


def no_worker(job: str) -> None:
    """Stand for a worker that takes long to start."""


def start(reaper: Reaper) -> None:
    """Bring a run to where it waits for its worker."""
    reaper.worker = no_worker
    reaper.run(SEPARATE)
    for _ in range(5):
        reaper.tick()


@pytest.fixture
def wired() -> None:
    """Skip where the commands do not have the worker."""
    found = subprocess.run(
        [sys.executable, "-m", "unstir", "worker", "--help"], capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip("this unstir has no worker command")


@pytest.mark.usefixtures("wired")
def test_the_real_worker_in_a_process_of_its_own(lua: str, tmp_path: Path, sounds: Path) -> None:
    folder = tmp_path / 'it\'s a "project" & $HOME; 50% \U0001f3ac'
    folder.mkdir()
    (folder / "söng.wav").write_bytes((sounds / "stereo.wav").read_bytes())
    project = Project(str(folder), [Track("Dialogue")])
    project.tracks[0].items.append(item_of(Source.of_file(folder / "söng.wav")))
    before = mix(project, RATE, 3)
    reaper = Reaper(lua, project)
    reaper.real_processes = True
    reaper.ext_state["unstir", "python"] = sys.executable
    reaper.ext_state["unstir", "method"] = "midside"
    began = time.monotonic()
    reaper.run(SEPARATE)
    reaper.pump(30, until=lambda: (job_folder(project) / "job.txt").exists())
    assert time.monotonic() - began < 5
    reaper.pump(8000)
    assert not reaper.messages
    assert len(project.tracks) == 4
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6


def test_an_interpreter_that_is_not_there_is_said_soon(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.real_processes = True
    reaper.ext_state["unstir", "python"] = "/nowhere/python3"
    reaper.run(SEPARATE)
    reaper.pump()
    assert "exit code 127" in reaper.messages[0]
    assert "/nowhere/python3" in reaper.messages[0]
    assert untouched(project)


def test_without_an_interpreter_the_set_up_is_named(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.ext_state["unstir", "python"] = ""
    reaper.run(SEPARATE)
    assert "check the set-up" in reaper.messages[0]
    assert not reaper.deferred


def test_nothing_selected_is_said_and_nothing_is_left(reaper: Reaper, project: Project) -> None:
    reaper.run(SEPARATE)
    assert "Select" in reaper.messages[0]
    assert not (Path(project.folder) / "stems").exists()


def test_an_empty_item_is_passed_over(reaper: Reaper, project: Project) -> None:
    project.tracks[0].items.append(Item(selected=True))
    reaper.run(SEPARATE)
    assert "Select" in reaper.messages[0]


def test_midi_is_left_out_and_said_so(reaper: Reaper, project: Project, item: Item) -> None:
    project.tracks[0].items.append(item_of(Source("MIDI")))
    reaper.run(SEPARATE)
    reaper.pump()
    assert "left out: MIDI" in reaper.messages[0]
    assert [len(track.items) for track in project.tracks] == [2, 1, 1, 1]


def test_an_unsaved_project_is_told_where_its_files_go(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.run(SEPARATE)
    reaper.pump()
    assert f"not saved; results go to {project.folder}" in " ".join(reaper.lines)


def test_the_worker_s_refusal_reaches_the_user(
    reaper: Reaper, project: Project, sounds: Path
) -> None:
    project.tracks[0].items.append(item_of(Source.of_file(sounds / "mono.wav")))
    reaper.run(SEPARATE)  # midside needs two channels
    reaper.pump()
    assert "midside needs two channels" in reaper.messages[0]
    assert untouched(project)


def test_a_file_that_vanished_is_named(reaper: Reaper, project: Project, item: Item) -> None:
    item.take.source.path = item.take.source.path.replace("stereo", "gone")
    reaper.run(SEPARATE)
    reaper.pump()
    assert "gone.wav" in reaper.messages[0]
    assert untouched(project)


def test_an_mp3_that_vanished_is_not_taken_for_silence(
    reaper: Reaper, project: Project, sounds: Path
) -> None:
    one = item_of(Source.of_file(sounds / "song.mp3"))
    one.take.source.path = one.take.source.path.replace("song", "gone")
    project.tracks[0].items.append(one)
    reaper.run(SEPARATE)
    reaper.pump()
    assert "gone.mp3" in reaper.messages[0]
    assert untouched(project)


def test_a_worker_that_dies_is_noticed_by_its_heartbeat(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.worker = lambda job: (
        Path(job).with_name("status.txt").write_text("state=running\nprogress=0.4\nheartbeat=1\n")
        and None
    )
    reaper.run(SEPARATE)
    reaper.pump()
    assert "no sign of life" in reaper.messages[0]
    assert untouched(project)


def test_a_slow_worker_that_lives_is_never_given_up(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.worker = no_worker
    reaper.tick_s = 50.0
    reaper.run(SEPARATE)
    [reaper.tick() for _ in range(4)]
    folder = job_folder(project)
    for beat in range(150):  # two hours
        (folder / "status.txt").write_text(f"state=running\nprogress=0.5\nheartbeat={beat}\n")
        reaper.tick()
    assert not reaper.messages
    reaper_worker(folder)
    reaper.pump()
    assert len(project.tracks) == 4


def reaper_worker(folder: Path) -> None:
    from unstir.worker import work

    assert work(folder / "job.txt") == 0


def test_a_worker_that_ends_without_a_word_is_noticed(
    reaper: Reaper, project: Project, item: Item
) -> None:
    def die(job: str) -> None:
        Path(job).with_name("log.txt").write_text("Segmentation fault\n")
        Path(job).with_name("exit.txt").write_text("139\n")

    reaper.worker = die
    reaper.run(SEPARATE)
    reaper.pump()
    assert "139" in reaper.messages[0]
    assert "Segmentation fault" in reaper.messages[0]


def test_escape_cancels_and_leaves_nothing_in_the_project(
    reaper: Reaper, project: Project, item: Item
) -> None:
    start(reaper)
    reaper.keys = [27]
    reaper.tick()
    folder = job_folder(project)
    assert (folder / "cancel").exists()
    assert not reaper.deferred
    reaper_cancelled(folder)
    assert not reaper.messages
    assert untouched(project)
    assert not project.undo_names


def reaper_cancelled(folder: Path) -> None:
    from unstir.worker import work

    assert work(folder / "job.txt") == 130
    assert parse_lines((folder / "status.txt").read_bytes())["state"] == "cancelled"


def test_scripts_ended_by_reaper_cancel_the_worker(
    reaper: Reaper, project: Project, item: Item
) -> None:
    start(reaper)
    reaper.quit_scripts()
    assert (job_folder(project) / "cancel").exists()


def test_an_item_deleted_meanwhile_is_passed_over(
    reaper: Reaper, project: Project, item: Item, sounds: Path
) -> None:
    other = item_of(Source.of_file(sounds / "stereo.wav"), 2.0)
    project.tracks[0].items.append(other)
    start(reaper)
    project.tracks[0].items.remove(item)
    reaper_worker(job_folder(project))
    reaper.pump()
    assert "1 of 2" in reaper.messages[0]
    assert [len(track.items) for track in project.tracks] == [1, 1, 1, 1]


def test_an_item_moved_and_trimmed_meanwhile_takes_its_stems_along(
    reaper: Reaper, project: Project, item: Item
) -> None:
    start(reaper)
    item.values.update(D_POSITION=1.7, D_LENGTH=0.6)
    item.take.values["D_STARTOFFS"] = 0.3
    before = mix(project, RATE, 3)
    reaper_worker(job_folder(project))
    reaper.pump()
    assert np.abs(mix(project, RATE, 3) - before).max() < 1e-6


def test_an_undo_meanwhile_replaces_objects_and_harms_nothing(
    reaper: Reaper, project: Project, item: Item
) -> None:
    project.begin()
    item.values["D_VOL"] = 0.5
    project.end("volume")
    start(reaper)
    project.undo()
    reaper_worker(job_folder(project))
    reaper.pump()
    assert not reaper.messages
    assert len(project.tracks) == 4
    assert value(project.tracks[1].items[0], "D_VOL") == 1.0


def test_a_project_switched_meanwhile_gets_its_stems_when_it_is_back(
    reaper: Reaper, project: Project, item: Item, tmp_path: Path
) -> None:
    other = Project(str(tmp_path / "other"), [Track("Song")])
    reaper.projects.append(other)
    start(reaper)
    reaper.front = other
    reaper_worker(job_folder(project))
    [reaper.tick() for _ in range(60)]
    assert len(other.tracks) == 1
    assert untouched(project)
    assert "go back to the project" in " ".join(reaper.lines[-4:])
    reaper.front = project
    reaper.pump()
    assert len(project.tracks) == 4
    assert len(other.tracks) == 1


def test_a_project_closed_meanwhile_harms_nothing(
    reaper: Reaper, project: Project, item: Item, tmp_path: Path
) -> None:
    other = Project(str(tmp_path / "other"), [Track("Song")])
    start(reaper)
    reaper.projects, reaper.front = [other], other
    reaper_worker(job_folder(project))
    reaper.pump()
    assert "closed" in reaper.messages[0]
    assert len(other.tracks) == 1


def test_a_project_closed_while_items_are_rendered_ends_the_run(
    reaper: Reaper, project: Project, sounds: Path, tmp_path: Path
) -> None:
    project.tracks[0].items.append(item_of(Source.of_file(sounds / "song.mp3"), length=1.5))
    other = Project(str(tmp_path / "other"))
    reaper.run(SEPARATE)
    reaper.tick()
    reaper.projects, reaper.front = [other], other
    reaper.pump()
    assert not reaper.launched


def test_two_runs_at_once_do_not_disturb_each_other(
    reaper: Reaper, project: Project, item: Item, sounds: Path
) -> None:
    other = item_of(Source.of_file(sounds / "stereo.wav"), 2.0)
    reaper.run(SEPARATE)
    item.selected = False
    project.tracks[0].items.append(other)
    reaper.run(SEPARATE)
    reaper.pump()
    assert [len(track.items) for track in project.tracks] == [2, 2, 2, 2]


def test_polling_leaves_the_disk_alone_most_of_the_time(
    reaper: Reaper, project: Project, item: Item
) -> None:
    reaper.worker = no_worker
    reaper.run(SEPARATE)
    [reaper.tick() for _ in range(90)]
    # Whatever the status, a file is looked at every 0.3 s; the window is drawn at every tick.
    assert len(reaper.lines) >= 170


def test_the_presets_ask_for_their_own_stems(reaper: Reaper, project: Project, item: Item) -> None:
    reaper.worker = no_worker
    reaper.run("Separate selected items into vocals and accompaniment")
    [reaper.tick() for _ in range(5)]
    job = parse_lines((job_folder(project) / "job.txt").read_bytes())
    assert (job["stems"], job["methods"], job["clip_1_capture"]) == ("song", "", "source")
    assert os.path.basename(job["clip_1_file"]) == "stereo.wav"


def test_windows_is_started_without_a_shell(reaper: Reaper, project: Project, item: Item) -> None:
    reaper.os_name = "Win64"
    reaper.ext_state["unstir", "python"] = "C:\\Program Files\\Python\\python.exe"
    reaper.worker = None
    reaper.run(SEPARATE)
    [reaper.tick() for _ in range(5)]
    assert reaper.launched[0].startswith('"C:\\Program Files\\Python\\python.exe" "-m" "unstir"')
    assert ">" not in reaper.launched[0]
