"""The commands as a user runs them: files out, exit codes, one sentence when refused."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import unstir as unstir_package
from tests.sounds import mixture_of, scene
from unstir import __version__
from unstir.cli import main
from unstir.cli_separate import result_names
from unstir.errors import JournalError

RATE = 8000


def unstir(*arguments: str | Path, cwd: Path | None = None, **kwargs: object):
    return subprocess.run(
        [sys.executable, "-m", "unstir", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        encoding="utf-8",
        **kwargs,
    )


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.wav"
    sf.write(path, mixture_of(scene(3, RATE)).T, RATE, subtype="PCM_16")
    return path


def refused(done: subprocess.CompletedProcess[str], out: Path, *words: str) -> None:
    """One sentence on stderr, exit code 2, no traceback, nothing written."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    # What broke off a run that had begun comes after what was said at its beginning.
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("note: ")]
    assert len(lines) == 1 and lines[0].startswith("unstir: "), done.stderr
    for word in words:
        assert word in lines[0], lines[0]
    assert not out.exists()


def test_one_command_gives_stems_and_a_report(film: Path, tmp_path: Path) -> None:
    done = unstir("separate", film, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {p.name for p in (tmp_path / "stems" / "film").iterdir()}
    assert names == {"speech.wav", "music.wav", "effects.wav", "report.json"}
    assert "add up to the mix bit for bit" in done.stdout


def test_a_picture_and_a_sum_can_be_asked_for(film: Path, tmp_path: Path) -> None:
    done = unstir("separate", film, "-o", tmp_path / "o", "--picture", "--sum", "ME=music+effects")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o/film/stems.png").read_bytes()[:4] == b"\x89PNG"
    parts = [
        sf.read(tmp_path / f"o/film/{n}.wav", dtype="int16")[0] for n in ("music", "effects", "ME")
    ]
    np.testing.assert_array_equal(parts[0] + parts[1], parts[2])


def test_json_mode_gives_one_object_per_line(film: Path, tmp_path: Path) -> None:
    done = unstir("separate", film, "-o", tmp_path / "o", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    stages = [e["stage"] for e in events if e["event"] == "progress"]
    assert list(dict.fromkeys(stages)) == ["reading", "learning", "separating", "writing"]
    result = events[-1]
    assert result["event"] == "result" and result["null"]["exact"] and result["device"] == "cpu"
    assert all(Path(file).is_file() for file in result["files"].values())
    assert done.stderr == ""


def test_quiet_mode_says_nothing(film: Path, tmp_path: Path) -> None:
    done = unstir("separate", film, "-o", tmp_path / "o", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_second_run_finds_the_work_done(film: Path, tmp_path: Path) -> None:
    unstir("separate", film, "-o", tmp_path / "o")
    before = (tmp_path / "o/film/speech.wav").stat().st_mtime_ns
    again = unstir("separate", film, "-o", tmp_path / "o")
    assert again.returncode == 0 and "already done" in again.stdout
    assert (tmp_path / "o/film/speech.wav").stat().st_mtime_ns == before


def test_an_older_result_is_replaced_only_when_asked(film: Path, tmp_path: Path) -> None:
    unstir("separate", film, "-o", tmp_path / "o")
    other = unstir("separate", film, "-o", tmp_path / "o", "--method", "mixture")
    assert other.returncode == 2 and "--overwrite" in other.stderr
    done = unstir("separate", film, "-o", tmp_path / "o", "--method", "mixture", "--overwrite")
    assert done.returncode == 0
    report = json.loads((tmp_path / "o/film/report.json").read_text())
    assert report["method"]["name"] == "mixture"
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["film"]


def test_a_stretch_is_cut_to_the_sample(film: Path, tmp_path: Path) -> None:
    done = unstir("separate", film, "-o", tmp_path / "o", "--from", "0:00:01", "--to", "2.5")
    assert done.returncode == 0, done.stderr
    stems = [sf.read(p, dtype="int16")[0] for p in (tmp_path / "o/film").glob("*.wav")]
    mix = sf.read(film, dtype="int16")[0][RATE : RATE * 5 // 2]
    np.testing.assert_array_equal(sum(stems), mix)


def test_a_preview_is_the_busiest_passage(tmp_path: Path) -> None:
    x = 0.01 * mixture_of(scene(40, RATE))
    x[:, 20 * RATE : 30 * RATE] *= 50
    sf.write(tmp_path / "a.wav", x.T, RATE)
    done = unstir("separate", tmp_path / "a.wav", "-o", tmp_path / "o", "--preview", "5s")
    assert done.returncode == 0, done.stderr
    stretch = json.loads((tmp_path / "o/a/report.json").read_text())["stretch"]
    assert stretch["samples"] == 5 * RATE
    assert 19 * RATE <= stretch["first_sample"] <= 25 * RATE


@pytest.mark.parametrize("name", ['it\'s "x"', "new\nline", "\U0001f436 dog", "n" * 200, "-dash"])
def test_odd_file_names_work(name: str, tmp_path: Path) -> None:
    sf.write(tmp_path / "plain.wav", np.zeros((500, 2)), RATE)
    (tmp_path / "plain.wav").rename(tmp_path / f"{name}.wav")
    done = unstir("separate", tmp_path / f"{name}.wav", "-o", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o" / name / "speech.wav").is_file()


def test_inputs_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    for i, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        sf.write(tmp_path / folder / "film.wav", np.full((500, 2), 0.1 * (i + 1)), RATE)
    done = unstir(
        "separate", tmp_path / "a/film.wav", tmp_path / "b/film.wav", "-o", tmp_path / "o"
    )
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "o").iterdir()} == {"a film.wav", "b film.wav"}


def test_result_names_are_all_different_even_where_case_does_not_count() -> None:
    paths = [Path(p) for p in ("x/a.wav", "x/A.wav", "x/a.mp3", "x/a.wav", "b.wav")]
    names = result_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    assert names[-1] == "b"


def test_one_bad_file_does_not_cost_the_others(film: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    done = unstir("separate", tmp_path / "bad.wav", film, "-o", tmp_path / "o")
    assert done.returncode == 2
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["film"]


@pytest.mark.parametrize("name", ["missing.wav", ".", "empty.wav", "text.wav", "zero.wav"])
def test_what_is_no_sound_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("Dear diary, today I sang.")
    sf.write(tmp_path / "zero.wav", np.zeros((0, 2)), RATE)
    refused(unstir("separate", tmp_path / name, "-o", tmp_path / "o"), tmp_path / "o")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_and_its_place_named(value: float, tmp_path: Path) -> None:
    x = np.zeros((4 * RATE, 2), np.float32)
    x[3 * RATE, 1] = value
    sf.write(tmp_path / "a.wav", x, RATE, subtype="FLOAT")
    refused(unstir("separate", tmp_path / "a.wav", "-o", tmp_path / "o"), tmp_path / "o", "3.0")


def test_a_cut_file_is_refused_unless_allowed(film: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(film.read_bytes()[:-20001])
    refused(unstir("separate", cut, "-o", tmp_path / "o"), tmp_path / "o", "--allow-truncated")
    done = unstir("separate", cut, "-o", tmp_path / "o", "--allow-truncated")
    assert done.returncode == 0, done.stderr
    assert sf.info(tmp_path / "o/cut/speech.wav").frames == 3 * RATE - 5001
    assert "cut" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "nope"], ["nope", "midside"]),
        (["--stems", "opera"], ["opera", "film"]),
        (["--device", "quantum"], ["quantum", "cpu"]),
        (["--format", "mp3"], ["mp3", "pcm24"]),
        (["--channels", "some"], ["some", "linked"]),
        (["--lfe", "speech"], ["speech", "each"]),
        (["--sum", "X=music+noise"], ["noise", "speech"]),
        (["--sum", "music=music+effects"], ["music"]),
        (["--from", "99"], ["99", "3.00 s"]),
        (["--from", "2", "--to", "1"], ["--to"]),
        (["--stream", "5"], ["5"]),
        (["--method", "oracle"], ["references"]),
        (["--method", "ica", "--channels", "each"], ["two channels", "each"]),
        (["--method", "bands", "--base", "midside"], ["--base", "bands", "only the hybrid"]),
        (["--method", "bands", "--leakage", "0.5"], ["--leakage", "only the hybrid"]),
        (["--method", "bands", "--explain"], ["--explain", "only the hybrid"]),
    ],
)
def test_what_cannot_be_is_refused(arguments, words, film: Path, tmp_path: Path) -> None:
    done = unstir("separate", film, "-o", tmp_path / "o", *arguments)
    refused(done, tmp_path / "o", *words)


def test_a_method_for_two_channels_says_so_for_one(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.zeros(500), RATE)
    done = unstir("separate", tmp_path / "a.wav", "-o", tmp_path / "o", "--method", "ica")
    refused(done, tmp_path / "o", "needs two channels or more")


def test_sound_too_loud_for_pcm_is_refused_for_pcm_and_taken_as_float(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.full((500, 2), 20.0), RATE, subtype="FLOAT")
    done = unstir("separate", tmp_path / "a.wav", "-o", tmp_path / "o", "--format", "pcm16")
    refused(done, tmp_path / "o", "+26.0 dBFS", "float32")
    assert unstir("separate", tmp_path / "a.wav", "-o", tmp_path / "o").returncode == 0


def test_an_output_folder_that_cannot_be_written_is_refused(film: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = unstir("separate", film, "-o", tmp_path / "file" / "o")
    assert done.returncode == 2 and "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("separate", "a.wav"), ("extract", "a.wav", "speech")])
def test_a_full_disk_leaves_nothing_half_written(words: tuple[str, ...], tmp_path: Path) -> None:
    """The limit on file size stands in for the disk: the same kind of error, anywhere."""
    sf.write(tmp_path / "a.wav", mixture_of(scene(60, RATE)).T, RATE, subtype="PCM_16")
    command, name, *rest = words
    done = unstir(
        command,
        tmp_path / name,
        *rest,
        "-o",
        tmp_path / "o",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000)),
    )
    refused(done, tmp_path / "o", "full")


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can make a small disk",
)
def test_a_small_disk_is_refused_before_work_begins(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        sf.write(tmp_path / "a.wav", mixture_of(scene(60, RATE)).T, RATE)
        done = unstir("separate", tmp_path / "a.wav", "-o", disk / "o")
        refused(done, disk / "o", "too full")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def half_done(film: Path, out: Path) -> Path:
    """Run, and put the finished result back to where an interrupted run stands."""
    from unstir.separate import separate_file
    from unstir.settings import Progress

    class Stop(Exception):
        pass

    def stop(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "writing":
            raise Stop

    with pytest.raises(Stop):
        separate_file(film, out, listener=stop)
    (workspace,) = out.iterdir()
    return workspace


def test_a_journal_of_another_version_is_refused(film: Path, tmp_path: Path) -> None:
    workspace = half_done(film, tmp_path / "o")
    journal = workspace / "journal.json"
    journal.write_text(journal.read_text().replace(f'"{__version__}"', '"0.0.1"', 1))
    kept = {p: p.read_bytes() for p in workspace.iterdir() if p.is_file()}
    done = unstir("separate", film, "-o", tmp_path / "o")
    assert done.returncode == 2 and "0.0.1" in done.stderr and "--fresh" in done.stderr
    assert {p: p.read_bytes() for p in workspace.iterdir() if p.is_file()} == kept
    assert unstir("separate", film, "-o", tmp_path / "o", "--fresh").returncode == 0
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["film"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unstir": 1}', "null"])
def test_a_broken_journal_is_refused(text: str, film: Path, tmp_path: Path) -> None:
    workspace = half_done(film, tmp_path / "o")
    (workspace / "journal.json").write_text(text)
    done = unstir("separate", film, "-o", tmp_path / "o")
    assert done.returncode == 2 and "--fresh" in done.stderr and "Traceback" not in done.stderr


def test_an_interrupted_run_with_other_settings_is_not_mixed_in(film: Path, tmp_path: Path) -> None:
    half_done(film, tmp_path / "o")
    done = unstir("separate", film, "-o", tmp_path / "o", "--method", "mixture")
    assert done.returncode == 2 and "method" in done.stderr and "--fresh" in done.stderr


def test_an_interrupted_run_in_windows_of_another_length_is_not_mixed_in(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unstir.separate import separate_file

    half_done(film, tmp_path / "o")
    monkeypatch.setattr("unstir.streaming.WINDOW_S", 20.0)
    with pytest.raises(JournalError, match="unfinished run with another grid"):
        separate_file(film, tmp_path / "o")


def test_a_second_run_for_the_same_folder_is_refused_meanwhile(film: Path, tmp_path: Path) -> None:
    from unstir.separate import separate_file
    from unstir.settings import Progress

    said: list[str] = []

    def begin_another(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "writing" and not said:
            done = unstir("separate", film, "-o", tmp_path / "o", "--method", "mixture", "--fresh")
            assert done.returncode == 2
            said.append(done.stderr)

    result = separate_file(film, tmp_path / "o", listener=begin_another)
    assert len(said) == 1 and "another run is at work" in said[0]
    assert result.report["method"]["name"] != "mixture"
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["film"]


@pytest.mark.parametrize("method", ["mixture", "midside"])
def test_a_result_that_another_run_made_meanwhile_is_not_replaced(
    method: str, film: Path, tmp_path: Path
) -> None:
    from unstir.errors import SettingsError
    from unstir.separate import separate_file
    from unstir.settings import Progress, Settings

    def end_another(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "learning":
            separate_file(film, tmp_path / "o", Settings(method="mixture"))

    if method == "mixture":
        assert separate_file(
            film, tmp_path / "o", Settings(method=method), listener=end_another
        ).reused
    else:
        with pytest.raises(SettingsError, match="--overwrite"):
            separate_file(film, tmp_path / "o", Settings(method=method), listener=end_another)
    report = json.loads((tmp_path / "o/film/report.json").read_text())
    assert report["method"]["name"] == "mixture"
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["film"]


def test_methods_and_info_speak_json(film: Path) -> None:
    done = unstir("methods", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"mixture", "oracle", "midside", "ica"} <= {row["name"] for row in rows}
    info = json.loads(unstir("info", film, "--json").stdout)
    assert (info["samples"], info["sample_rate_hz"], info["layout"]) == (
        3 * RATE,
        RATE,
        ["FL", "FR"],
    )


def test_help_has_examples_and_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("separate", "methods", "info", "demo", "bench"):
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
        assert "example" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"unstir {__version__}"


@pytest.mark.skipif(shutil.which("unstir") is None, reason="not installed on the path")
def test_the_console_script_is_the_same_command() -> None:
    done = subprocess.run(["unstir", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"unstir {__version__}"


def test_a_score_is_laid_on_the_recording_and_refused_where_it_has_no_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from unstir.scene import load_scene

    demo = load_scene()
    mix = np.sum(list(demo.stems.values()), axis=0)[:, : 6 * demo.sample_rate]
    sf.write(tmp_path / "in.wav", mix.T, demo.sample_rate)
    score = str(Path(unstir_package.__file__).parent / "demo" / "music.mid")
    arguments = ["separate", str(tmp_path / "in.wav"), "-o", str(tmp_path / "out"), "--quiet"]
    assert main([*arguments, "--method", "nmf", "--score", score]) == 0
    report = json.loads((tmp_path / "out/in/report.json").read_text())
    assert report["key"]["settings"]["score"] == score and len(report["key"]["score"]) == 64
    assert main([*arguments, "--method", "midside", "--score", score]) == 2
    assert "only the nmf takes it" in capsys.readouterr().err
    assert main([*arguments, "--method", "nmf", "--score", str(tmp_path / "in.wav")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
