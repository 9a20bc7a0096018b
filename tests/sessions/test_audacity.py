"""Audacity itself takes the stems in and exports their mix, on a screen that nobody sees."""

import os
import select
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.sessions.made import make
from tests.sessions.test_hosts import needs, sound
from unstir.sessions.post import write_wav
from unstir.sessions.session import read_session

MODULE = Path("/usr/lib/audacity/modules/mod-script-pipe.so")
PIPES = [Path(f"/tmp/audacity_script_pipe.{way}.{os.getuid()}") for way in ("to", "from")]
LIMIT_S = 60


def configure(home: Path) -> None:
    """Switch the module on that takes commands; Audacity wants its path and date for that."""
    folder = home / ".audacity-data"
    folder.mkdir(parents=True)
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(MODULE.stat().st_mtime))
    (folder / "audacity.cfg").write_text(
        "NewPrefsInitialized=1\nPrefsVersion=1.1.1r1\n[GUI]\nShowSplashScreen=0\n"
        "[VST]\nEnable=0\n[LADSPA]\nEnable=0\n[LV2]\nEnable=0\n"  # which it would look for
        "[Module]\nmod-script-pipe=1\n"
        f"[ModulePath]\nmod-script-pipe={MODULE}\n[ModuleDateTime]\nmod-script-pipe={date}\n"
    )


@contextmanager
def audacity(home: Path) -> Iterator[list[int]]:
    """Run Audacity; give its pipes, for commands and for answers."""
    configure(home)
    for pipe in PIPES:  # what an Audacity that was killed left keeps the next from starting
        pipe.unlink(missing_ok=True)
    process = subprocess.Popen(
        ["xvfb-run", "-a", "audacity"],
        env={**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    opened: list[int] = []
    try:
        until = time.monotonic() + LIMIT_S
        while not all(pipe.exists() and stat.S_ISFIFO(pipe.stat().st_mode) for pipe in PIPES):
            assert time.monotonic() < until, "Audacity did not start"
            time.sleep(0.2)
        opened += [os.open(pipe, os.O_RDWR) for pipe in PIPES]  # for both ways: it never blocks
        while "OK" not in tell(opened, "GetInfo: Type=Tracks"):
            assert time.monotonic() < until, "Audacity has no window"
            time.sleep(0.5)
        yield opened
    finally:
        for pipe in opened:
            os.close(pipe)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, number)
                process.wait(5)
        for path in PIPES:
            path.unlink(missing_ok=True)


def tell(pipes: list[int], command: str) -> str:
    """Send a command; return what Audacity answers: up to an empty line, which may be all."""
    os.write(pipes[0], f"{command}\n".encode())
    answer = b""
    while not answer.endswith(b"\n\n") and answer != b"\n":
        ready, _, _ = select.select([pipes[1]], [], [], LIMIT_S)
        assert ready, f"Audacity did not answer {command}"
        answer += os.read(pipes[1], 4096)
    return answer.decode()


@pytest.mark.hosts
@needs("audacity", "xvfb-run")
@pytest.mark.skipif(not MODULE.exists(), reason="Audacity takes no commands here")
def test_audacity_imports_the_stems_and_exports_the_mix(tmp_path: Path) -> None:
    made = make(tmp_path / "in")
    write_wav(read_session(made.folder), tmp_path / "stems")
    out = tmp_path / "mix.wav"
    with audacity(tmp_path / "home") as pipes:
        for name in ("DX", "MX", "FX"):
            file = tmp_path / "stems" / f"film one_{name}_2.0.wav"
            assert "OK" in tell(pipes, f'Import2: Filename="{file}"')
        assert "OK" in tell(pipes, "SelectAll:")
        assert "OK" in tell(pipes, f'Export2: Filename="{out}" NumChannels=2')
    found = sound(out)
    assert found.shape == made.mix.shape
    assert np.abs(found - made.mix).max() <= 5e-4  # Audacity exports 16 bits with dither
