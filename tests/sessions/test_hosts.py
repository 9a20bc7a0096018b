"""Real programs open what is written and play the original: nothing is lost, nothing moves."""

import shutil
import subprocess
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from tests.sessions.made import HOUR_S, make
from unstir.sessions.ardour import write_ardour
from unstir.sessions.mlt import write_mlt
from unstir.sessions.post import Delivery, write_wav
from unstir.sessions.session import read_session

pytestmark = pytest.mark.hosts
NULL = 1e-6
LIMIT_S = 60


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


def run(
    *command: str | Path, cwd: Path, limit_s: float = LIMIT_S
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )


def sound(path: Path) -> NDArray[np.float32]:
    x, _ = sf.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(x.T)


def ardour_error(project: Path, out: Path, mix: NDArray[np.float32]) -> float:
    """Return the largest difference between what Ardour exports and the mix, the best of three.

    A run in ten or so ends in a heap error of Ardour's own, mostly after the file is whole, now and
    then with garbage in it. A session that is wrong does not come out right at any run.
    """
    error = np.inf
    for _ in range(3):
        out.unlink(missing_ok=True)
        with suppress(subprocess.TimeoutExpired):
            run(
                *("ardour7-export", "-b", "float", "-o", out, project.parent, project.stem),
                cwd=out.parent,
            )
        found = sound(out) if out.exists() else mix[:, :0]
        if found.shape == mix.shape:
            error = min(error, float(np.abs(found - mix).max()))
        if error <= NULL:
            break
    return error


@needs("ardour7-export")
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_ardour_plays_the_original(channels: int, tmp_path: Path) -> None:
    made = make(tmp_path / "in", channels=channels, start=HOUR_S * 48000, lead=4800)
    project = made.folder / "film one-ardour" / "film one.ardour"
    write_ardour(read_session(made.folder), project)
    assert ardour_error(project, tmp_path / "out.wav", made.mix) <= NULL


@needs("ardour7-export")
def test_an_ardour_session_moves_with_its_stems(tmp_path: Path) -> None:
    made = make(tmp_path / "before")
    write_ardour(read_session(made.folder), made.folder / "s" / "s.ardour")
    (tmp_path / "before").rename(tmp_path / "after")
    project = tmp_path / "after" / "film one" / "s" / "s.ardour"
    assert ardour_error(project, tmp_path / "out.wav", made.mix) <= NULL


def melt(project: Path, out: Path, channels: int, rate: int, video: str = "") -> None:
    """Render with melt, which waits forever in about one run of five, whatever it renders."""
    picture = ("vn=1",) if not video else (f"vcodec={video}",)
    for _ in range(5):
        with suppress(subprocess.TimeoutExpired):
            done = run(
                *("melt", project, "-silent", "-consumer", f"avformat:{out}"),
                *("acodec=pcm_f32le", f"ar={rate}", f"channels={channels}", *picture),
                *("real_time=-1", "terminate_on_pause=1", "mlt_audio_format=f32le"),
                cwd=out.parent,
                limit_s=15,
            )
            assert done.returncode == 0, done.stderr
            return
    raise AssertionError("melt did not end in five runs")


LUA = """
AudioEngine:set_backend("None (Dummy)", "", "")
local s = load_session("{folder}", "{name}")
for t in s:get_tracks():iter() do
  local regions = t:to_track():playlist():region_list()
  for r in regions:iter() do
    local at, from, n = r:position():samples(), r:start():samples(), r:length():samples()
    print(table.concat({{"REGION", t:name(), t:muted() and "muted" or "heard", at, from, n}}, "|"))
  end
end
for l in s:locations():list():iter() do
  if l:is_mark() then print(table.concat({{"MARK", l:name(), l:start():samples()}}, "|")) end
end
close_session()
"""


@needs("ardour7-lua")
def test_ardour_finds_tracks_mutes_positions_and_markers(tmp_path: Path) -> None:
    start, lead = HOUR_S * 48000, 4800
    made = make(tmp_path / "in", start=start, lead=lead)
    session = read_session(made.folder)
    project = made.folder / "s" / "s.ardour"
    write_ardour(session, project)
    script = tmp_path / "look.lua"
    script.write_text(LUA.format(folder=project.parent, name=project.stem))
    said = run("ardour7-lua", script, cwd=tmp_path).stdout
    lines = [line.strip().split("|") for line in said.splitlines()]
    n = str(made.mix.shape[1])
    assert [line[1:] for line in lines if line[0] == "REGION"] == [
        ["speech", "heard", str(start), "0", n],
        ["music", "heard", str(start), "0", n],
        ["effects", "heard", str(start), "0", n],
        ["film one.wav (original)", "muted", str(start), str(lead), n],
    ]
    marks = [[m.name, str(start + m.sample)] for m in session.markers]
    assert marks and [line[1:] for line in lines if line[0] == "MARK"] == marks


@needs("melt")
@pytest.mark.parametrize(
    ("channels", "rate", "fps"),
    [(2, 48000, "25"), (2, 44100, "30000/1001"), (1, 48000, "30"), (6, 48000, "24000/1001")],
)
def test_melt_plays_the_original(channels: int, rate: int, fps: str, tmp_path: Path) -> None:
    made = make(tmp_path / "in", channels=channels, rate=rate)
    project = made.folder / "film one.mlt"
    session = read_session(made.folder, fps=Fraction(fps))
    write_mlt(session, project)
    out = tmp_path / "out.wav"
    melt(project, out, channels, rate)
    found, n = sound(out), made.mix.shape[1]
    assert n <= found.shape[1] < n + rate / session.fps + 1  # whole frames
    assert np.abs(found[:, :n] - made.mix).max() <= NULL
    assert not found[:, n:].any()


@needs("ffprobe")
def test_ffprobe_reads_the_time_of_day_and_the_speakers(tmp_path: Path) -> None:
    made = make(tmp_path / "in", channels=6, start=HOUR_S * 48000)
    write_wav(read_session(made.folder), tmp_path / "out", Delivery(two_pop=True))
    file = tmp_path / "out" / "film one_DX_5.1.wav"
    wanted = "stream=channel_layout:format_tags=time_reference"
    done = run("ffprobe", "-v", "error", "-show_entries", wanted, file, cwd=tmp_path)
    assert "channel_layout=5.1" in done.stdout
    assert f"time_reference={(HOUR_S - 2) * 48000}" in done.stdout
