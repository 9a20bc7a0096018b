"""The seven promises of the design, held for every method that is registered.

A method joins these tests by being registered; no line here names one.
"""

import atexit
import dataclasses
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from tests.hall.test_joined import saved
from tests.sounds import mixture_of, null_db, references, scene
from unstir.channels import Routed, groups
from unstir.errors import SettingsError
from unstir.registry import find, make, methods
from unstir.separate import separate_file, separate_mixture
from unstir.settings import Settings
from unstir.streaming import Grid, separate_stream, survey_sample
from unstir.types import STEM_SETS, Mixture, Prior, Separator, Stems

ALL = list(methods())
READY = [name for name in ALL if not find(name).needs]
CASES = [(name, stems) for name in ALL for stems in find(name).stem_sets]
RATE = 8000
GRID = Grid(2 * RATE, RATE // 4)


def first_set(name: str) -> str:
    return find(name).stem_sets[0]


@functools.cache
def drawn_refiner(stems: str) -> str:
    """Return where a small refiner with random weights lies."""
    folder = tempfile.mkdtemp(prefix="unstir-refiner-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return saved(Path(folder), stems=STEM_SETS[stems])


def ready(name: str, stems: str, truth: Stems | None = None) -> Separator:
    """Return a method: with the scene's references or with random weights, if it needs those."""
    names = STEM_SETS[stems]
    if find(name).needs == "references":
        assert truth is not None
        return make(name, stems, references=references(truth, names))
    if find(name).package:
        pytest.importorskip(find(name).package)
    if find(name).needs == "weights" and find(name).kind == "hybrid":
        return make(name, stems, model=drawn_refiner(stems), base="midside")
    if find(name).needs == "weights":
        return make(name, stems, model=f"random:{name}")
    return make(name, stems)


def windowed(separator: Separator, x: np.ndarray, sizes: list[int]) -> Stems:
    blocks = np.split(x, np.cumsum(sizes)[np.cumsum(sizes) < x.shape[1]], axis=1)
    routed = Routed(separator, groups(x.shape[0]))
    state = routed.survey(survey_sample(blocks, sample_rate=RATE))
    parts = list(separate_stream(routed, blocks, sample_rate=RATE, grid=GRID, state=state))
    return {name: np.concatenate([p[name] for p in parts], axis=1) for name in separator.stems}


# 1. Stems add up.


@pytest.mark.parametrize(("name", "stems"), CASES)
@pytest.mark.parametrize("gain", [1e-5, 1.0, 20.0])
def test_stems_add_up(name: str, stems: str, gain: float) -> None:
    truth = {k: (gain * v).astype(np.float32) for k, v in scene(5, RATE).items()}
    x = mixture_of(truth)
    parts = windowed(ready(name, stems, truth), x, [x.shape[1]])
    assert null_db(x, parts) <= -120
    if gain < 1:  # a quiet file is held to its own level, too
        assert null_db(x / gain, {k: v / np.float32(gain) for k, v in parts.items()}) <= -110


@pytest.mark.parametrize(("name", "stems"), [case for case in CASES if case[0] in READY])
@given(
    n_samples=st.integers(1, 3000),
    channels=st.sampled_from([1, 2]),
    decade=st.integers(-6, 4),
    rate=st.sampled_from([8000, 44100, 384000]),
    mask=st.sampled_from(["ratio", "binary"]),
)
# A transform that ends within a hop of the last frame's center makes stems far above the mix.
@hypothesis.example(n_samples=924, channels=2, decade=1, rate=8000, mask="ratio")
@hypothesis.settings(deadline=None, max_examples=12)
def test_stems_and_masks_add_up_at_every_length_and_scale(
    name: str, stems: str, n_samples: int, channels: int, decade: int, rate: int, mask: str
) -> None:
    noise = np.random.default_rng(n_samples).standard_normal((channels, n_samples))
    mix = Mixture((10.0**decade * noise).astype(np.float32), rate)
    fields = {field.name for field in dataclasses.fields(type(make(name, stems)))}
    method = make(name, stems, **({"mask": mask} if "mask" in fields else {}))
    state = method.survey([mix])
    parts = method.separate(mix, state)
    peak = np.abs(mix.waveform).max()
    assert null_db(mix.waveform / peak, {k: v / peak for k, v in parts.items()}) <= -120
    if not isinstance(method, Prior):
        return
    evidence = method.estimate(mix, state)
    # Complex masks may be large where a channel nearly vanishes: they cancel to float32's grain.
    total, largest = (
        sum(evidence.masks.values()),
        max(np.abs(m).max() for m in evidence.masks.values()),
    )
    np.testing.assert_allclose(total, 1, atol=1e-5 * max(1, largest))
    assert 0 <= evidence.validity.min() <= evidence.validity.max() <= 1


@pytest.mark.parametrize(("name", "stems"), CASES)
def test_silence_in_silence_out(name: str, stems: str) -> None:
    truth = {k: np.zeros_like(v) for k, v in scene(3, RATE).items()}
    x = mixture_of(truth)
    for value in windowed(ready(name, stems, truth), x, [x.shape[1]]).values():
        assert not value.any()


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_pcm_stems_add_up_bit_for_bit(name: str, subtype: str, tmp_path: Path) -> None:
    x = mixture_of(scene(3, RATE))
    x /= np.abs(x).max()  # full scale, so that stems have to hand over
    sf.write(tmp_path / "in.wav", x.T, RATE, subtype=subtype)
    result = separate_file(tmp_path / "in.wav", tmp_path, Settings(name, first_set(name)))
    mix = sf.read(tmp_path / "in.wav", dtype="int32")[0].astype(np.int64)
    stems = [sf.read(file, dtype="int32")[0].astype(np.int64) for file in result.files.values()]
    np.testing.assert_array_equal(sum(stems), mix)
    assert result.report["null"] == {"exact": True, "depth_db": None}
    assert all(sf.info(file).subtype == subtype for file in result.files.values())


@pytest.mark.parametrize("name", READY)
def test_float_stems_null_and_the_report_says_how_deep(name: str, tmp_path: Path) -> None:
    x = 20 * mixture_of(scene(3, RATE))
    sf.write(tmp_path / "in.wav", x.T, RATE, subtype="FLOAT")
    result = separate_file(tmp_path / "in.wav", tmp_path, Settings(name, first_set(name)))
    stems = {n: sf.read(f, dtype="float32")[0].T for n, f in result.files.items()}
    depth = null_db(sf.read(tmp_path / "in.wav", dtype="float32")[0].T, stems)
    assert depth <= -120
    told = result.report["null"]["depth_db"]
    assert told is None or abs(told - depth) < 0.1


# 2. Nothing moves.


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("channels", [2, 5, 6, 8])
def test_length_rate_channels_and_layout_stay(name: str, channels: int, tmp_path: Path) -> None:
    x = mixture_of(scene(1.7, RATE, channels=channels))
    sf.write(tmp_path / "in.wav", x.T, RATE, subtype="PCM_24", format="WAVEX")
    result = separate_file(tmp_path / "in.wav", tmp_path, Settings(name, first_set(name)))
    source = sf.info(tmp_path / "in.wav")
    for file in result.files.values():
        stem = sf.info(file)
        assert (stem.frames, stem.samplerate, stem.channels, stem.subtype) == (
            source.frames,
            source.samplerate,
            source.channels,
            source.subtype,
        )


@pytest.mark.parametrize(("name", "stems"), CASES)
def test_a_sound_stays_where_it_was(name: str, stems: str) -> None:
    """A click comes out at its own sample in the stems that hold it, not beside it."""
    truth = {k: np.zeros((2, 2 * RATE), np.float32) for k in STEM_SETS["film"]}
    for value in truth.values():
        value[:, 9000] = 0.5
    x = mixture_of(truth)
    for value in windowed(ready(name, stems, truth), x, [x.shape[1]]).values():
        if np.abs(value).max() > 0.1:
            assert np.argmax(np.abs(value).max(axis=0)) == 9000


# 3. Memory does not grow with the file.

PEAK = """
import resource, sys
from unstir.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
sys.exit(code)
"""


def peak_mb(*arguments: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *arguments],
        capture_output=True,
        text=True,
        check=True,
        # What is freed goes back at once: otherwise glibc keeps more or less of it from run to run.
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)},
    )
    return float(done.stdout.split()[-1])


@pytest.mark.parametrize("name", READY)
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read by resource")
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path) -> None:
    minute = mixture_of(scene(60, RATE))
    peaks = []
    for minutes in (2, 8):
        path = tmp_path / f"{minutes}.wav"
        with sf.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute.T)
        peaks.append(
            peak_mb(
                "separate",
                str(path),
                "-o",
                str(tmp_path),
                "--method",
                name,
                "--stems",
                first_set(name),
                "--quiet",
            )
        )
    # The stems of six minutes more, as float32, would alone be 66 MB.
    assert peaks[1] - peaks[0] < 6 + 8, peaks  # 1 MB a minute, and the allocator's noise


# 4. The result does not depend on how the file was fed.


@pytest.mark.parametrize(("name", "stems"), CASES)
def test_any_block_partition_gives_the_same_bytes(name: str, stems: str) -> None:
    truth = scene(7, RATE)
    x = mixture_of(truth)
    sizes = [1, 7, 4096, 333, 20000, 1, 8000] * 2
    whole = windowed(ready(name, stems, truth), x, [x.shape[1]])
    parts = windowed(ready(name, stems, truth), x, sizes)
    for key, value in whole.items():
        np.testing.assert_array_equal(value, parts[key])


@pytest.mark.parametrize(("name", "stems"), CASES)
def test_inputs_are_not_changed(name: str, stems: str) -> None:
    truth = scene(2, RATE)
    x = mixture_of(truth)
    kept = x.copy()
    separator = ready(name, stems, truth)
    mix = Mixture(x, RATE)
    separator.separate(mix, separator.survey([mix]))
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("name", READY)
def test_louder_in_louder_out(name: str) -> None:
    x = mixture_of(scene(4, RATE))
    quiet, loud = (
        separate_mixture(
            Mixture((x * np.float32(g)).astype(np.float32), RATE),
            method=name,
            stems=first_set(name),
        )
        for g in (1, 16)
    )
    for key, value in quiet.items():
        np.testing.assert_allclose(loud[key] / 16, value, atol=2e-4 * np.abs(x).max())


# 5. Nothing is lost.


def digests(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.name != "report.json"  # it tells the seconds, which differ
    }


def killed_at(command: list[str], *, line: int, delay_s: float) -> bool:
    """Start, kill -9 a moment after the n-th line of progress; tell whether it was in time."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(line):
            if not process.stdout.readline():
                break
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(
    "name", [name for name in ("midside", "ica", "compact-film", "hybrid") if name in READY]
)
def test_after_a_kill_at_any_point_the_next_run_ends_with_the_same_bytes(
    name: str, tmp_path: Path
) -> None:
    x = mixture_of(scene(150, RATE))
    sf.write(tmp_path / "in.wav", x.T, RATE, subtype="PCM_16")
    before = hashlib.sha256((tmp_path / "in.wav").read_bytes()).hexdigest()
    command = [
        sys.executable,
        "-m",
        "unstir",
        "separate",
        str(tmp_path / "in.wav"),
        "--json",
        "--method",
        name,
        "-o",
    ]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, stdout=subprocess.DEVNULL)
    n_lines = 2 + Grid.for_rate(RATE).n_windows(x.shape[1])
    dice = random.Random(name)
    kills = 0
    for _ in range(5):
        line, delay_s = dice.randint(1, n_lines), dice.uniform(0, 0.1)
        kills += killed_at([*command, str(tmp_path / "cut")], line=line, delay_s=delay_s)
        # Under its own name there is a whole result or none.
        done = tmp_path / "cut" / "in"
        assert not done.exists() or digests(done) == digests(tmp_path / "whole" / "in")
    subprocess.run([*command, str(tmp_path / "cut")], check=True, stdout=subprocess.DEVNULL)
    assert kills, "every run ended before it could be killed"
    assert digests(tmp_path / "cut" / "in") == digests(tmp_path / "whole" / "in")
    assert [item.name for item in (tmp_path / "cut").iterdir()] == ["in"]
    assert hashlib.sha256((tmp_path / "in.wav").read_bytes()).hexdigest() == before


# 6. Nothing is hidden.


@pytest.mark.parametrize("name", READY)
def test_the_report_says_what_really_ran(name: str, tmp_path: Path) -> None:
    sf.write(tmp_path / "in.wav", mixture_of(scene(2, RATE)).T, RATE)
    report = separate_file(
        tmp_path / "in.wav", tmp_path, Settings(name, first_set(name), seed=3)
    ).report
    assert report == json.loads((tmp_path / "in" / "report.json").read_text())
    assert report["method"]["name"] == name
    assert report["method"]["config"]["stems"] == list(STEM_SETS[first_set(name)])
    assert (report["device"], report["seed"]) == ("cpu", 3)
    assert set(report["stems"]) == set(STEM_SETS[first_set(name)])
    assert report["seconds"]["all"] > 0


@pytest.mark.parametrize("device", ["cuda", "mps", "quantum"])
def test_a_device_that_is_not_there_is_refused_not_replaced(device: str, tmp_path: Path) -> None:
    sf.write(tmp_path / "in.wav", np.zeros((100, 2)), RATE)
    with pytest.raises(SettingsError, match=device):
        separate_file(tmp_path / "in.wav", tmp_path / "out", Settings(device=device))
    assert not (tmp_path / "out").exists()


# 7. It works offline.


@pytest.mark.parametrize("name", READY)
def test_nothing_is_asked_of_the_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    sf.write(tmp_path / "in.wav", mixture_of(scene(1, RATE)).T, RATE)
    assert separate_file(
        tmp_path / "in.wav", tmp_path, Settings(name, first_set(name))
    ).folder.is_dir()


@pytest.mark.parametrize(("name", "stems"), [case for case in CASES if case[0] in READY])
def test_one_sample_is_enough(name: str, stems: str, tmp_path: Path) -> None:
    sf.write(tmp_path / "in.wav", np.array([[0.25, -0.5]]), 48000, subtype="PCM_16")
    result = separate_file(tmp_path / "in.wav", tmp_path, Settings(name, stems))
    assert all(sf.info(file).frames == 1 for file in result.files.values())
    assert result.report["null"]["exact"]


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("rate", [8000, 22050, 96000, 384000])
def test_every_sample_rate_is_taken(name: str, rate: int) -> None:
    x = mixture_of(scene(0.3, rate))
    assert (
        null_db(x, separate_mixture(Mixture(x, rate), method=name, stems=first_set(name))) <= -120
    )
