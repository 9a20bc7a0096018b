"""What a DAW script and the worker say to each other: a job file, a status file, a cancel file.

All are lines of ``key=value`` in UTF-8, with control characters and percent signs of values
written as ``%0A``, so that a script needs neither a JSON parser nor any quoting.

=============  ==================================================================================
``job.txt``    what is wanted; the worker's only argument
``status.txt`` replaced as a whole, twice a second while the worker lives and when it ends
``cancel``     made by the script; the worker leaves at its next window
=============  ==================================================================================

A clip is sound as it is heard: stretches of a file, forward or backward, one after another. What
lies outside the file is silence. Places are whole samples, so that nothing is rounded twice.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from unstir import __version__
from unstir.errors import SettingsError

ACTIONS = ("separate", "notes", "chain", "extract")
BEAT_S = 0.5
KEEP_DAYS = 7
OWN_FILES = ("job.txt", "status.txt", "cancel", "log.txt", "exit.txt", "*.part", "*_[0-9]*.wav")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a file.

    Parameters
    ----------
    first : int
        The sample that sounds first; below 0 or beyond the end it is silence.
    count : int
        How many sound.
    step : {1, -1}
        Whether they sound forward or backward.
    """

    first: int
    count: int
    step: int


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound as an item of the DAW plays it, before its rate, gain and fades.

    Parameters
    ----------
    file : Path
        Where it comes from.
    name : str
        For the result's folder.
    sample_rate : int
        What the DAW takes the file's rate for, in hertz.
    channels : tuple of int or str
        Which channels of the file, from 1, in order; or ``"all"``; or ``"mean"`` of all.
    segments : tuple of Segment
        What sounds, in order.
    """

    file: Path
    name: str
    sample_rate: int
    channels: tuple[int, ...] | str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What a DAW script wants.

    Parameters
    ----------
    action : {"separate", "notes", "chain", "extract"}
        What to do with every clip.
    out : Path
        The folder for results.
    methods : tuple of str
        One after another; empty names are the stem set's default.
    stems, device : str
        As in `unstir.settings.Settings`.
    chain : str
        Of the action ``chain``: a preset or a file.
    live : bool
        Of the action ``chain``: whether the DAW has our equalizer, so that a chain of filters
        need not be rendered.
    words : str
        Of the action ``extract``: what to look for.
    clips : tuple of Clip
        What to work on.
    """

    action: str
    out: Path
    methods: tuple[str, ...]
    stems: str
    device: str
    chain: str
    live: bool
    words: str
    clips: tuple[Clip, ...]


def escape(value: object) -> str:
    r"""Return a value as one line holds it.

    Examples
    --------
    >>> escape("50 %\nör")
    '50 %25%0Aör'
    """
    return re.sub(r"[%\x00-\x1f\x7f]", lambda m: f"%{ord(m[0]):02X}", str(value))


def parse_lines(content: bytes) -> dict[str, str]:
    r"""Return the keys and values of a job or status file.

    Bytes that are no UTF-8 are kept as Python keeps them in file names.

    Examples
    --------
    >>> parse_lines(b"file=/a=b%25\nname=x%0Ay\n")
    {'file': '/a=b%', 'name': 'x\ny'}
    """
    found = {}
    for line in content.decode("utf-8", "surrogateescape").split("\n"):
        key, equals, value = line.rstrip("\r").partition("=")
        if equals:
            found[key] = unquote(value, errors="surrogateescape") if "%" in value else value
    return found


def to_lines(values: Mapping[str, object]) -> bytes:
    """Return the content of a job or status file."""
    text = "".join(f"{key}={escape(value)}\n" for key, value in values.items())
    return text.encode("utf-8", "surrogateescape")


def read_job(path: Path) -> Job:
    """Return what a job file asks for.

    Raises
    ------
    SettingsError
        If it cannot be read, or holds something else than a job of this version.
    """
    try:
        values = parse_lines(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"the job file {path} cannot be read: {error.strerror}") from None
    if values.get("unstir_job") != "1":
        raise SettingsError(
            f"{path} is no job of format 1; update the DAW scripts with 'unstir reaper install'"
        )
    try:
        return Job(
            action=_one_of(values["action"], ACTIONS),
            out=Path(values["out"]),
            methods=tuple(values.get("methods", "").split(",")),
            stems=values.get("stems", "film"),
            device=values.get("device", "auto"),
            chain=values.get("chain", ""),
            live=values.get("live") == "1",
            words=values.get("words", ""),
            clips=tuple(_clip(values, f"clip_{i + 1}") for i in range(int(values["clips"]))),
        )
    except (KeyError, ValueError) as error:
        raise SettingsError(f"the job file {path} lacks or garbles {error}; run it again") from None


def remove_old(folder: Path) -> None:
    """Remove what jobs beside this one left behind, if none gave a sign of life for a week.

    Jobs are told by the names that the scripts give their folders. What is in one but is not a
    job's own stays, and the folder with it.

    Parameters
    ----------
    folder : Path
        The job's that begins.
    """
    for other in folder.parent.iterdir():
        if other == folder or not re.fullmatch(r"\d{8}-\d{6}-\w+", other.name):
            continue
        # Another worker, or the script, may be removing the same.
        with suppress(OSError):
            if time.time() - _last_sign_of_life(other) > KEEP_DAYS * 24 * 3600:
                for path in [path for name in OWN_FILES for path in other.glob(name)]:
                    path.unlink()
                other.rmdir()


def _last_sign_of_life(folder: Path) -> float:
    signs = [path.stat().st_mtime for path in (folder, *folder.iterdir())]
    status = folder / "status.txt"
    with suppress(OSError, ValueError):
        signs.append(float(parse_lines(status.read_bytes()).get("heartbeat", "0")))
    return max(signs)


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"action={value}")
    return value


def _clip(values: Mapping[str, str], key: str) -> Clip:
    channels = values.get(f"{key}_channels", "all")
    segments = []
    for i in range(int(values[f"{key}_segments"])):
        first, count, step = map(int, values[f"{key}_segment_{i + 1}"].split())
        if count < 1 or step not in (1, -1):
            raise ValueError(f"{key}_segment_{i + 1}")
        segments.append(Segment(first, count, step))
    return Clip(
        file=Path(values[f"{key}_file"]),
        name=safe_name(values.get(f"{key}_name", "")),
        sample_rate=int(values[f"{key}_rate"]),
        channels=channels if channels in ("all", "mean") else tuple(map(int, channels.split(","))),
        segments=tuple(segments),
    )


def safe_name(text: str) -> str:
    r"""Return a name that every file system takes, at most 60 bytes long.

    Examples
    --------
    >>> safe_name('Take 1: "hello/you"?\n'), safe_name("..."), safe_name("con")
    ('Take 1_ _hello_you', 'clip', 'con_')
    """
    name = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]+', "_", text).strip("._ ")
    name = name.encode("utf-8", "replace")[:60].decode("utf-8", "ignore").strip("._ ")
    if re.fullmatch(r"(?i)con|prn|aux|nul|com\d|lpt\d", name):
        name += "_"
    return name or "clip"


class Cancelled(Exception):
    """The script made a cancel file."""


class Status:
    """The status file, rewritten as long as the worker lives.

    Parameters
    ----------
    folder : Path
        The job's.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._cancel = folder / "status.txt", folder / "cancel"
        self._values: dict[str, object] = dict(
            unstir=__version__, state="running", progress=0.0, stage="starting"
        )
        self._began = time.monotonic()
        self._lock, self._ended = threading.Lock(), threading.Event()

    @contextmanager
    def beating(self) -> Iterator["Status"]:
        """Keep the file fresh; leave the process if a cancel is not obeyed for 10 s."""
        thread = threading.Thread(target=self._beat, daemon=True)
        self._write()
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def update(self, **values: object) -> None:
        """Change what the next beat writes.

        Raises
        ------
        Cancelled
            If the script wants an end.
        """
        if self._cancel.exists():
            raise Cancelled
        with self._lock:
            self._values.update(values)

    def end(self, state: str, **values: object) -> None:
        """Write the last word: ``done``, ``failed`` or ``cancelled``."""
        self._ended.set()
        with self._lock:
            self._values.update(values, state=state)
        self._write()

    def _beat(self) -> None:
        since: float | None = None
        while not self._ended.wait(BEAT_S):
            self._write()
            if self._cancel.exists():
                since = since or time.monotonic()
                if time.monotonic() - since > 10:
                    # As safe as a power cut: results appear whole or not at all.
                    self.end("cancelled")
                    os._exit(130)

    def _write(self) -> None:
        with self._lock:
            progress = float(str(self._values["progress"]))
            spent = time.monotonic() - self._began
            eta = round(spent * (1 / progress - 1)) if progress > 0.02 else ""
            now = {
                **self._values,
                "eta": eta,
                "pid": os.getpid(),
                "heartbeat": f"{time.time():.2f}",
            }
            temporary = self._path.with_name(f"status.{os.getpid()}.part")
            temporary.write_bytes(to_lines(now))
            for _ in range(20):
                try:
                    os.replace(temporary, self._path)
                    return
                except PermissionError:  # Windows, while the script reads
                    time.sleep(0.01)


Tell = Callable[[str, int, int], None]  # of a stage, what is done and all there is
Outputs = list[dict[str, object]]


def folder_name(clip: Clip, heard: Path, *settings: str) -> str:
    """Return a name that tells results of other sound, settings or versions apart."""
    with heard.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update("\n".join((__version__, *settings)).encode())
    return f"{clip.name}_{digest.hexdigest()[:12]}"
