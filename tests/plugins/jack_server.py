"""A JACK server without a sound card, and a client that records, for tests of live sound."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from numpy.typing import NDArray

Sound = NDArray[np.float32]


@contextmanager
def dummy_server(rate: int, period: int) -> Iterator[None]:
    """Run a server that every client of this process finds; skip where there is none."""
    jack = pytest.importorskip("jack", reason="JACK-Client is not installed", exc_type=ImportError)
    if shutil.which("jackd") is None:
        pytest.skip("jackd is not installed")
    name = f"unstir-{os.getpid()}-{rate}-{period}"
    command = ["jackd", "-n", name, "-r", "-d", "dummy", "-r", str(rate), "-p", str(period)]
    jack.set_error_function(lambda text: None)
    before = os.environ.get("JACK_DEFAULT_SERVER")
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(0.001)  # as the command does
    os.environ["JACK_DEFAULT_SERVER"] = name
    # One server at a time, whoever runs tests: side by side they hold each other up.
    lock = filelock.FileLock(Path(tempfile.gettempdir()) / "unstir-jack-tests.lock", timeout=600)
    with (
        lock,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server,
    ):
        try:
            until(lambda: server.poll() is not None or _answers(jack))
            if server.poll() is not None:
                pytest.skip("jackd does not start here")
            yield
        finally:
            sys.setswitchinterval(interval_s)
            server.terminate()  # a server that is killed keeps its place, of which there are eight
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
            if before is None:
                del os.environ["JACK_DEFAULT_SERVER"]
            else:
                os.environ["JACK_DEFAULT_SERVER"] = before


def _answers(jack: Any) -> bool:
    try:
        jack.Client("knock", no_start_server=True).close()
    except jack.JackError:
        return False
    return True


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait until something holds; fail the test if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextmanager
def neighbor(name: str, played: Sound) -> Iterator["Neighbor"]:
    """Give a client that plays a sound when told to, and records all the time."""
    import jack

    client = jack.Client(name, no_start_server=True)
    found = Neighbor(client, played)
    with client:
        yield found


class Neighbor:
    """Another client; ``heard`` is what came in since it plays, if no cycle was lost."""

    def __init__(self, client: Any, played: Sound) -> None:
        self.playing, self.xruns, self._played, self._at = False, 0, played, 0
        self._heard: list[Sound] = []
        self.client = client
        for k in range(len(played)):
            client.outports.register(f"out_{k}")
            client.inports.register(f"in_{k}")
        client.set_process_callback(self._process)
        client.set_xrun_callback(self._late)

    def _late(self, delayed_us: float) -> None:
        self.xruns += 1

    def _process(self, frames: int) -> None:
        for row, port in zip(self._played, self.client.outports, strict=True):
            out = port.get_array()
            out[:] = 0
            if self.playing:
                part = row[self._at : self._at + frames]
                out[: len(part)] = part
        if self.playing:
            self._at += frames
            self._heard.append(np.stack([port.get_array() for port in self.client.inports]))

    @property
    def heard(self) -> Sound:
        return np.concatenate(self._heard, axis=1) if self._heard else self._played[:, :0]

    def wire(self, name: str, *, send: bool) -> None:
        """Connect with all ports of another client."""
        for k, (own_out, own_in) in enumerate(
            zip(self.client.outports, self.client.inports, strict=True)
        ):
            self.client.connect(f"{name}:out_{k + 1}", own_in)
            if send:
                self.client.connect(own_out, f"{name}:in_{k + 1}")
