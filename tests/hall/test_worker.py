"""The worker: clips as they are heard, status, cancel, and going on after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

import unstir
from unstir.errors import AudioError, SettingsError
from unstir.worker import assemble, work
from unstir.worker_job import Clip, Segment, parse_lines, read_job, safe_name, to_lines

RATE = 16000


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """Return a file of 1000 samples whose channels count up and down."""
    n = np.arange(1000) / 1024
    sf.write(tmp_path / "ramp.wav", np.stack([n, -n], axis=1), RATE, subtype="FLOAT")
    return tmp_path / "ramp.wav"


def heard(path: Path, *segments: tuple[int, int, int], channels: object = "all") -> np.ndarray:
    clip = Clip(path, "x", RATE, channels, tuple(Segment(*one) for one in segments))
    assemble(clip, path.with_name("heard.wav"))
    return sf.read(path.with_name("heard.wav"), always_2d=True)[0].T * 1024


def test_segments_sound_one_after_another_forward_and_backward(ramp: Path) -> None:
    wave = heard(ramp, (10, 3, 1), (5, 3, -1))
    assert wave[0].tolist() == [10, 11, 12, 5, 4, 3]


def test_outside_the_file_is_silence(ramp: Path) -> None:
    assert heard(ramp, (-2, 4, 1), (999, 2, 1))[0].tolist() == [0, 0, 0, 1, 999, 0]
    assert heard(ramp, (1, 3, -1), (2000, 2, 1))[0].tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("channels", "wanted"), [((2,), [-7]), ((2, 1), [-7, 7]), ("mean", [0]), ((1, 3), [7, 0])]
)
def test_channels_are_routed(ramp: Path, channels: object, wanted: list[float]) -> None:
    assert heard(ramp, (7, 1, 1), channels=channels)[:, 0].tolist() == wanted


def test_a_long_backward_stretch_is_read_in_pieces(tmp_path: Path) -> None:
    wave = np.random.default_rng(0).uniform(-1, 1, 600_000).astype(np.float32)
    sf.write(tmp_path / "long.wav", wave, RATE, subtype="FLOAT")
    found = heard(tmp_path / "long.wav", (599_999, 600_000, -1))[0]
    assert np.array_equal(found / 1024, wave[::-1])


def test_another_rate_than_the_daw_says_is_refused(ramp: Path) -> None:
    with pytest.raises(AudioError, match="16000 samples a second"):
        assemble(Clip(ramp, "x", 48000, "all", (Segment(0, 1, 1),)), ramp.with_name("o.wav"))
    assert not ramp.with_name("o.wav").exists()


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["file", "name_1", "error"]), st.text()))
def test_any_text_survives_the_border(values: dict[str, str]) -> None:
    assert parse_lines(to_lines(values)) == values


def test_bytes_of_file_names_survive_the_border() -> None:
    name = os.fsdecode(b"/a/\xff\xfe%.wav")
    assert parse_lines(to_lines({"file": name})) == {"file": name}


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_a_safe_name_is_a_file_name(text: str) -> None:
    name = safe_name(text)
    assert name and len(name.encode()) <= 61
    assert not set(name) & set('/\\:*?"<>|\n\0')


@pytest.mark.parametrize("content", [b"", b"unstir_job=2\n", b"unstir_job=1\naction=separate\n"])
def test_a_garbled_job_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "job.txt").write_bytes(content)
    with pytest.raises(SettingsError):
        read_job(tmp_path / "job.txt")


def job_in(folder: Path, sound: Path, n: int) -> Path:
    folder.mkdir(exist_ok=True)
    values = {
        **{"unstir_job": 1, "action": "separate", "out": folder / "out", "methods": "midside"},
        **{"stems": "film", "clips": 1, "clip_1_file": sound, "clip_1_name": "clip"},
        **{"clip_1_rate": RATE, "clip_1_channels": "all", "clip_1_segments": 1},
        "clip_1_segment_1": f"0 {n} 1",
    }
    (folder / "job.txt").write_bytes(to_lines(values))
    return folder / "job.txt"


def status_of(job: Path) -> dict[str, str]:
    try:
        return parse_lines(job.with_name("status.txt").read_bytes())
    except FileNotFoundError:
        return {}


def test_a_done_job_lists_its_files_and_leaves_no_other(tmp_path: Path, ramp: Path) -> None:
    job = job_in(tmp_path / "job", ramp, 1000)
    assert work(job) == 0
    status = status_of(job)
    assert (status["state"], status["outputs"], status["progress"]) == ("done", "3", "1.0")
    assert [status[f"output_{i}_stem"] for i in (1, 2, 3)] == ["speech", "music", "effects"]
    total = sum(sf.read(status[f"output_{i}_file"])[0] for i in (1, 2, 3))
    assert np.abs(total - sf.read(ramp)[0]).max() < 1e-6
    assert {path.name for path in job.parent.iterdir()} == {"job.txt", "status.txt", "out"}


def test_the_same_job_again_reuses_and_mends_the_result(tmp_path: Path, ramp: Path) -> None:
    job = job_in(tmp_path / "job", ramp, 1000)
    assert work(job) == 0
    first = Path(status_of(job)["output_1_file"])
    stamp = first.stat().st_mtime_ns
    assert work(job) == 0
    assert first.stat().st_mtime_ns == stamp
    first.unlink()
    assert work(job) == 0
    assert first.exists()


def test_a_cancelled_job_can_be_given_again(tmp_path: Path, ramp: Path) -> None:
    job = job_in(tmp_path / "job", ramp, 1000)
    (job.parent / "cancel").touch()
    assert work(job) == 130
    assert status_of(job)["state"] == "cancelled"
    (job.parent / "cancel").unlink()
    assert work(job) == 0


def test_a_refusal_is_in_the_status(tmp_path: Path) -> None:
    job = job_in(tmp_path / "job", tmp_path / "gone.wav", 10)
    assert work(job) == 2
    assert status_of(job)["state"] == "failed"
    assert "gone.wav" in status_of(job)["error"]


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_a_killed_worker_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    n = 45 * RATE
    wave = 0.1 * np.random.default_rng(0).standard_normal((n, 2))
    sf.write(tmp_path / "long.wav", wave, RATE)
    whole = job_in(tmp_path / "whole", tmp_path / "long.wav", n)
    assert work(whole) == 0
    job = job_in(tmp_path / "killed", tmp_path / "long.wav", n)
    start = "import sys; from unstir.worker import work; sys.exit(work(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", start, str(job)])
    try:
        while process.poll() is None:
            journals = list((job.parent / "out").glob(".unstir-*/journal.json"))
            if journals and '"windows_done": 0' not in journals[0].read_text():
                break
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert status_of(job)["state"] == "running"
    assert work(job) == 0
    for i in (1, 2, 3):
        files = [Path(status_of(one)[f"output_{i}_file"]) for one in (whole, job)]
        assert files[0].read_bytes() == files[1].read_bytes()


def extracting(folder: Path, sound: Path, words: str) -> dict[str, str]:
    """Return the status of a job that asks for words, once it has ended."""
    info = sf.info(sound)
    job = job_in(folder, sound, info.frames)
    values = parse_lines(job.read_bytes())
    values |= {"action": "extract", "words": words, "methods": ""}
    values["clip_1_rate"] = str(info.samplerate)
    job.write_bytes(to_lines(values))
    work(job)
    return status_of(job)


def test_what_words_ask_for_is_extracted(tmp_path: Path) -> None:
    folder = Path(unstir.__file__).with_name("demo")
    mix = sum(sf.read(folder / f"{name}.flac")[0] for name in ("speech", "music", "effects"))
    scene = tmp_path / "scene.wav"
    sf.write(scene, mix, sf.info(folder / "speech.flac").samplerate, subtype="FLOAT")
    status = extracting(tmp_path / "job", scene, "speech; music")
    assert (status["state"], status["outputs"]) == ("done", "3")
    stems = [status[f"output_{i}_stem"] for i in (1, 2, 3)]
    assert stems == ["speech", "music", "residual"]
    parts = [sf.read(status[f"output_{i}_file"])[0] for i in (1, 2, 3)]
    assert np.abs(sum(parts) - sf.read(scene)[0]).max() < 1e-5


@pytest.mark.parametrize(
    ("words", "said", "stems"),
    [
        ("a dog", "not heard: a dog (0.00)", ["target", "residual"]),
        ("not a dog", "not heard: a dog (0.00)", ["target", "residual"]),
        ("dog; rain", "not heard: dog (0.00), rain (0.00)", ["dog", "rain", "residual"]),
    ],
)
def test_what_is_not_heard_in_an_item_is_said_and_placed_all_the_same(
    words: str, said: str, stems: list[str], tmp_path: Path
) -> None:
    sf.write(tmp_path / "silent.wav", np.zeros((RATE, 2)), RATE, subtype="FLOAT")
    status = extracting(tmp_path / "job", tmp_path / "silent.wav", words)
    assert status["state"] == "done"
    assert [status[f"output_{i + 1}_stem"] for i in range(len(stems))] == stems
    assert [value for key, value in status.items() if key.endswith("_note")] == [said]
