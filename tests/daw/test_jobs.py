"""Job folders do not pile up: scripts remove their own, the worker those that were left."""

import os
import time
from pathlib import Path

import pytest

from tests.daw.conftest import item_of
from tests.daw.host import Reaper
from tests.daw.model import Project, Source
from unstir.worker import work
from unstir.worker_job import KEEP_DAYS

SEPARATE = "Separate selected items (last settings)"
DAY_S = 24 * 3600.0


@pytest.fixture
def jobs(project: Project, sounds: Path) -> Path:
    project.tracks[0].items.append(item_of(Source.of_file(sounds / "stereo.wav")))
    return Path(project.folder) / "stems/jobs"


def run(reaper: Reaper) -> None:
    reaper.run(SEPARATE)
    reaper.pump()


def left_behind(jobs: Path, number: int, days: float, *, beat_days: float | None = None) -> Path:
    """Return a job folder whose files are so many days old."""
    folder = jobs / f"20260101-00000{number}-0123456789AB"
    folder.mkdir(parents=True)
    (folder / "job.txt").write_text("unstir_job=1\n")
    (folder / "status.1.part").write_text("")
    (folder / "heard_1.wav").write_bytes(b"RIFF")
    if beat_days is not None:
        beat = time.time() - beat_days * DAY_S
        (folder / "status.txt").write_text(f"state=running\nheartbeat={beat:.2f}\n")
    then = time.time() - days * DAY_S
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))
    return folder


def test_a_script_removes_its_job_once_the_stems_are_placed(reaper: Reaper, jobs: Path) -> None:
    run(reaper)
    assert len(reaper.front.tracks) == 4
    assert not list(jobs.iterdir())
    assert all(Path(item.take.source.path).is_file() for item in reaper.front.items)


def test_the_job_of_a_run_that_failed_stays_for_a_report(reaper: Reaper, jobs: Path) -> None:
    reaper.ext_state["unstir", "method"] = "no-such-method"
    run(reaper)
    (folder,) = jobs.iterdir()
    assert "no-such-method" in (folder / "status.txt").read_text()


def test_the_job_of_a_run_whose_item_is_gone_stays(reaper: Reaper, jobs: Path) -> None:
    def worker(job: str) -> None:
        work(job)
        reaper.front.tracks[0].items.clear()

    reaper.worker = worker
    run(reaper)
    assert len(list(jobs.iterdir())) == 1


def test_the_worker_removes_jobs_without_a_sign_of_life_for_a_week(
    reaper: Reaper, jobs: Path
) -> None:
    old = left_behind(jobs, 1, KEEP_DAYS + 1)
    dead = left_behind(jobs, 2, KEEP_DAYS + 2, beat_days=KEEP_DAYS + 1)
    empty = jobs / "20260101-000003-0123456789AB"  # as Windows leaves it
    empty.mkdir()
    os.utime(empty, (0, 0))
    run(reaper)
    assert not any(path.exists() for path in (old, dead, empty))
    assert not reaper.messages


def test_the_worker_leaves_jobs_alone_that_may_be_at_work(reaper: Reaper, jobs: Path) -> None:
    young = left_behind(jobs, 1, KEEP_DAYS - 1)
    # On a disk whose clock is wrong the heartbeat alone tells that it lives.
    beating = left_behind(jobs, 2, KEEP_DAYS + 30, beat_days=0.0)
    kept = {folder: sorted(folder.iterdir()) for folder in (young, beating)}
    run(reaper)
    assert {folder: sorted(folder.iterdir()) for folder in kept} == kept


def test_the_worker_removes_nothing_that_is_not_a_job_s(reaper: Reaper, jobs: Path) -> None:
    with_notes = left_behind(jobs, 1, KEEP_DAYS + 1)
    (with_notes / "notes of mine.txt").write_text("keep")
    other = jobs / "my own folder"
    other.mkdir()
    (other / "job.txt").write_text("unstir_job=1\n")
    for path in (with_notes / "notes of mine.txt", with_notes, other / "job.txt", other):
        os.utime(path, (0, 0))
    run(reaper)
    assert [path.name for path in with_notes.iterdir()] == ["notes of mine.txt"]
    assert (other / "job.txt").exists()
