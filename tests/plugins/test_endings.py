"""A live session ends in order, whoever ends it: the recording is whole, and the exit code is 0."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.plugins.jack_server import dummy_server, neighbor, until
from unstir.audio import open_audio
from unstir.live import METHOD, open_stream, separate_whole
from unstir.plugins.endings import told_to_end
from unstir.stem_folder import find_stems
from unstir.types import FILM, Waveform

RATE = 44100


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with dummy_server(RATE, 1024):
        yield


def command(take: Path) -> list[str]:
    words = ["live", "--input", "jack", "--record", str(take), "--device", "cpu"]
    return [sys.executable, "-m", "unstir", *words]


def recorded_whole(take: Path) -> bool:
    """Return whether a recording holds sound, and its stems are those of its input."""

    def read(path: Path) -> Waveform:
        with open_audio(path) as reader:
            return np.concatenate(list(reader.blocks(RATE)), axis=1)

    folder = find_stems(take)
    came = read(take / "input.wav")
    assert tuple(folder.files) == FILM
    assert folder.report["samples"] == came.shape[1] == folder.n_samples
    stream, _ = open_stream(METHOD, device="cpu")
    wanted = separate_whole(stream, came)
    return bool(came.any()) and all(
        np.array_equal(read(folder.files[name]), wanted[name]) for name in FILM
    )


def heard_sound(ended: Callable[[], object]) -> None:
    """Play noise to the session for a second, then end it."""
    import jack

    noise = np.random.default_rng(0).normal(0, 0.05, (2, 60 * RATE)).astype(np.float32)
    with neighbor("player", noise) as player:

        def wired() -> bool:
            try:
                player.wire("unstir", send=True)
            except jack.JackError:
                return False
            return True

        until(wired, 60)
        player.playing = True
        time.sleep(1.0)
        ended()


def test_a_signal_ends_a_session_in_order(server: None, tmp_path: Path) -> None:
    take = tmp_path / "take"
    pipe = subprocess.PIPE
    with subprocess.Popen([*command(take), "--json"], stdout=pipe, stderr=pipe) as session:

        def end() -> None:
            session.terminate()
            time.sleep(0.05)
            session.terminate()  # while the recording is written, a second one changes nothing

        heard_sound(end)
        out, err = session.communicate(timeout=60)
    assert (session.returncode, err) == (0, b"")
    assert json.loads(out.splitlines()[-1])["folder"] == str(take)
    assert recorded_whole(take)
    assert [path.name for path in tmp_path.iterdir()] == ["take"]


def test_a_terminal_that_is_closed_ends_a_session_in_order(server: None, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    take = tmp_path / "take"
    terminal, end = pty.openpty()
    # Who leads a session and opens a terminal has it as its own, and is told when it is closed.
    # Under nohup, where this test may run, the signal would be ignored.
    own = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [sys.executable, "-c", own, *command(take)]
    with subprocess.Popen(
        words, stdin=end, stdout=end, stderr=end, start_new_session=True
    ) as session:
        os.close(end)
        heard_sound(lambda: os.close(terminal))
        assert session.wait(60) == 0
    assert recorded_whole(take)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with told_to_end() as ended:
            signal.raise_signal(signal.SIGHUP)
            assert not ended()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with told_to_end() as ended:
        assert not ended()
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
