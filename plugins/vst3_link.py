"""A process for foreign code, asked and answered over pipes, that may crash or hang without harm.

A frame, either way, is two 32-bit lengths (little endian), a JSON object and bytes. Neither side
unpickles anything, and the asking side takes no more bytes than it expects.
"""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import unstir
from unstir.errors import PluginError

BLOCK = 512  # samples; always as many, so that how the sound is cut changes nothing
MOST_JSON = 2**24  # bytes; a plug-in with ten thousand parameters needs a tenth of that
_LENGTHS = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Limits:
    """When a plug-in that does not answer is taken to hang.

    Slow is not hung: as long as its process computes, it has the longer of the two times. Where
    the system does not tell what a process computes (no ``/proc``), it has that one anyway.

    Parameters
    ----------
    idle_s : float
        Seconds in which it computes for less than 1 % of the time.
    busy_s : float
        Seconds of computing on one request: loading, or at most 8192 samples of sound.
    """

    idle_s: float = 60.0
    busy_s: float = 300.0


PATIENT = Limits()


def write_frame(file: IO[bytes], head: Mapping[str, Any], body: bytes = b"") -> None:
    """Write a JSON object and bytes.

    Examples
    --------
    >>> import io
    >>> pipe = io.BytesIO()
    >>> write_frame(pipe, {"do": "run"}, b"sound")
    >>> _ = pipe.seek(0)
    >>> read_frame(pipe, 5)
    ({'do': 'run'}, b'sound')
    """
    text = json.dumps(head).encode()
    file.write(_LENGTHS.pack(len(text), len(body)) + text + body)
    file.flush()


def read_frame(file: IO[bytes], most: int) -> tuple[dict[str, Any], bytes]:
    """Return the next JSON object and bytes.

    Parameters
    ----------
    file : binary file
        Blocks until the frame is whole.
    most : int
        Bytes allowed besides the JSON.

    Raises
    ------
    EOFError
        If the other side has ended.
    ValueError
        If what came is no frame, or a longer one.
    """
    n_text, n_body = _LENGTHS.unpack(_read(file, _LENGTHS.size))
    if n_text > MOST_JSON or n_body > most:
        raise ValueError(f"a frame of {n_text} and {n_body} bytes came; {most} are allowed")
    head = json.loads(_read(file, n_text))
    if not isinstance(head, dict):
        raise ValueError("a frame without an object came")
    return head, _read(file, n_body)


def _read(file: IO[bytes], n_bytes: int) -> bytes:
    found = file.read(n_bytes)
    if len(found) < n_bytes:
        raise EOFError
    return found


class Child:
    """A Python module in a process of its own that answers frames, watched while it does.

    The process is killed and waited for when it fails, with `close`, when the object goes away
    and at the end of the program: none is left behind.

    Parameters
    ----------
    name : str
        Of the plug-in, for messages.
    module : str
        Run as ``python -m``.
    limits : Limits
        When it is taken to hang.

    Attributes
    ----------
    name : str
    process : subprocess.Popen
    """

    def __init__(self, name: str, module: str, limits: Limits) -> None:
        self.name = name
        root = str(Path(unstir.__file__).parents[1])
        search = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            # -P: nothing is imported from the folder that the user happens to be in.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # plug-ins chatter
            env=os.environ | {"PYTHONPATH": search},
        )
        self._watch = _Watch(self.process, limits)
        self._end = weakref.finalize(self, _end, self.process, self._watch)

    def ask(
        self, doing: str, request: Mapping[str, Any], body: bytes = b"", *, most: int = 0
    ) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a request.

        Parameters
        ----------
        doing : str
            For messages: "while it was loaded".
        request : mapping
            JSON.
        body : bytes
            What goes with it.
        most : int
            Bytes that the answer may have besides its JSON.

        Raises
        ------
        PluginError
            If the process refuses, ends, hangs or answers nonsense. It is gone then.
        """
        if not self._end.alive or self.process.stdin is None or self.process.stdout is None:
            raise PluginError(f"the process of {self.name} has ended; open the chain again")
        try:
            with self._watch:
                write_frame(self.process.stdin, request, body)
                answer, found = read_frame(self.process.stdout, most)
        except (EOFError, OSError):
            raise PluginError(
                f"{self.name} {self._fate()} {doing}; leave it out of the chain, or try another "
                "version of it"
            ) from None
        except (ValueError, RecursionError):
            self.close()
            raise PluginError(
                f"{self.name} gave an answer that cannot be read {doing}; leave it out of the chain"
            ) from None
        except BaseException:  # Ctrl-C: the answer that is still to come must not be the next
            self.close()
            raise
        if "error" in answer:
            self.close()
            raise PluginError(f"{self.name} failed {doing} ({answer['error']})")
        return answer, found

    def close(self) -> None:
        """End the process; harmless if it has ended."""
        self._end()

    def _fate(self) -> str:
        """Return what became of the process, which is gone afterwards."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)  # its pipe closes a moment before it can be waited for
        code = self.process.poll()
        self.close()
        if self._watch.verdict:
            return self._watch.verdict
        if code is None:
            return "stopped listening"
        if code < 0:
            return f"crashed ({signal.strsignal(-code)})"
        return f"ended by itself (exit code {code})"


class _Watch:
    """Kills a process that is asked and does not get anywhere; used around each question."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.verdict = ""
        self._process, self._limits = process, limits
        self._question: object | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def __enter__(self) -> None:
        self._question = object()

    def __exit__(self, *_: object) -> None:
        self._question = None

    def stop(self) -> None:
        self._done.set()
        if self._thread is not threading.current_thread():  # collected in the watching thread
            self._thread.join()

    def _look(self) -> None:
        limits, asked = self._limits, None
        began = marked = (0.0, 0.0)
        while not self._done.wait(min(0.25, limits.idle_s / 4)):
            now = (time.monotonic(), _computed_s(self._process.pid))
            if self._question is None or self._question is not asked:
                asked, began, marked = self._question, now, now
                continue
            waited_s = now[0] - marked[0]
            if now[1] - began[1] > limits.busy_s:
                self.verdict = f"was still busy after {limits.busy_s:g} s and was ended"
            elif waited_s > limits.idle_s:
                if now[1] - marked[1] < waited_s / 100:
                    self.verdict = f"hung (no answer and no work for {limits.idle_s:g} s)"
                marked = now
            if self.verdict:
                self._process.kill()
                return


def _computed_s(pid: int) -> float:
    """Return the processor time of a process, or what the clock says if nobody knows it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end(process: subprocess.Popen[bytes], watch: _Watch) -> None:
    watch.stop()
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not sent will not be
                pipe.close()
