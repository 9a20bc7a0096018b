"""Work that survives a power cut: float scratch files and a journal of what is whole.

A run keeps its work in a hidden folder beside its result. After every window the stems'
new samples are flushed to disk and then, by an atomic rename, the journal that counts
them. Whatever else lies in the scratch files after a crash is cut off on resumption.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from unstir import __version__
from unstir.errors import AudioError, JournalError
from unstir.types import State, Stems, Waveform

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Journal:
    """How far a run has come.

    Parameters
    ----------
    key : dict
        Everything the result depends on: input hash, method, settings.
    n_samples : int
        Length of the stretch being separated.
    start : int
        Its first sample within the recording.
    peak : float
        Largest absolute sample of that stretch.
    windows_done, samples_done : int
        Whole windows, and samples per channel, that are safely in the scratch files.
    finished : bool
        Whether the result folder is whole and only has to be moved into place.
    """

    key: dict[str, Any]
    n_samples: int
    start: int
    peak: float
    windows_done: int = 0
    samples_done: int = 0
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Workspace:
    """The hidden folder in which one result is made.

    Parameters
    ----------
    folder : Path
        Beside the result, so that moving it into place is a rename.
    """

    folder: Path

    @classmethod
    def beside(cls, result: Path) -> "Workspace":
        """Return the workspace for a result folder; its name does not depend on settings."""
        tag = hashlib.sha256(result.name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        return cls(result.parent / f".unstir-{tag}")

    @property
    def result(self) -> Path:
        """Where the result is put together."""
        return self.folder / "result"

    @property
    def replaced(self) -> Path:
        """Where an older result waits until the new one is in place."""
        return self.folder / "replaced"

    def load(self, key: Mapping[str, Any]) -> Journal | None:
        """Return the journal of an unfinished run, or None if there is none.

        Raises
        ------
        JournalError
            If it was begun by another version or with other settings.
        """
        path = self.folder / "journal.json"
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        afresh = "finish it with those, or start afresh with --fresh"
        try:
            kept = json.loads(text)
            version = kept.pop("unstir")
            journal = Journal(**kept) if version == __version__ else None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise JournalError(
                f"the journal {path} cannot be read; start afresh with --fresh"
            ) from None
        if journal is None:
            raise JournalError(
                f"an unfinished run of unstir {version} lies in {self.folder}, and this is "
                f"{__version__}; start afresh with --fresh"
            )
        differing = sorted(k for k in {*journal.key, *key} if journal.key.get(k) != key.get(k))
        if differing:
            raise JournalError(
                f"an unfinished run with another {', '.join(differing)} lies in {self.folder}; "
                f"{afresh}"
            )
        return journal

    def save(self, journal: Journal) -> None:
        """Replace the journal in one step; on return it is on the disk."""
        text = json.dumps({"unstir": __version__, **asdict(journal)})
        write_whole(self.folder / "journal.json", text.encode())

    def save_state(self, state: State | None) -> None:
        """Keep what the survey learned."""
        with (self.folder / "state.npz").open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(state or {}))
            _flush(file)

    def load_state(self) -> State | None:
        """Return what the survey learned."""
        with np.load(self.folder / "state.npz", allow_pickle=False) as kept:
            return {key: kept[key] for key in kept.files} or None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workspace alone, made if need be; an empty one is removed on leaving.

        Raises
        ------
        AudioError
            If the folder cannot be made.
        JournalError
            If another process holds it.
        """
        import filelock

        made = [self.folder, *(p for p in self.folder.parents if not p.exists())]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / "lock", timeout=0)
            lock.acquire()
        except filelock.Timeout:
            raise JournalError(
                f"another run is at work in {self.folder}; wait for it or choose another folder"
            ) from None
        except OSError as error:
            raise AudioError(
                f"the output folder {self.folder.parent} cannot be written ({error.strerror}); "
                "choose another with -o"
            ) from None
        try:
            yield
        finally:
            lock.release()
            (self.folder / "lock").unlink(missing_ok=True)
            for folder in made:
                # Only the workspace and what this run made, and only if nothing is left in it.
                try:
                    folder.rmdir()
                except OSError:
                    break

    def clear(self) -> None:
        """Remove everything but the lock."""
        for item in list(self.folder.iterdir()) if self.folder.exists() else []:
            if item.is_dir():
                shutil.rmtree(item)
            elif item.name != "lock":
                item.unlink()

    def publish(self, result: Path) -> None:
        """Move the finished result into place, an older one out of the way first."""
        if self.result.exists():
            if result.exists():
                os.replace(result, self.replaced)
            os.replace(self.result, result)
            _sync_folder(result.parent)
        self.clear()


class Scratch:
    """The stems so far, as raw interleaved float32, one file each.

    Parameters
    ----------
    folder : Path
        Where they lie.
    stems : sequence of str
        Their names.
    n_channels : int
        Channels of every stem.
    """

    def __init__(self, folder: Path, stems: Sequence[str], n_channels: int) -> None:
        self._paths = {name: folder / f"{i}.f32" for i, name in enumerate(stems)}
        self._n_channels = n_channels

    @contextmanager
    def appending(self, samples_done: int) -> Iterator["Appender"]:
        """Open for writing after ``samples_done`` samples; anything beyond is cut off."""
        with ExitStack() as stack:
            files: dict[str, BinaryIO] = {}
            for name, path in self._paths.items():
                path.touch()
                file = stack.enter_context(path.open("r+b"))
                file.truncate(samples_done * self._n_channels * 4)
                file.seek(0, os.SEEK_END)
                files[name] = file
            yield Appender(files)

    def blocks(self, block_size: int) -> Iterator[Stems]:
        """Yield the stems block by block, each array of shape (channels, up to block_size)."""
        with ExitStack() as stack:
            files = {n: stack.enter_context(p.open("rb")) for n, p in self._paths.items()}
            while True:
                block: Stems = {}
                for name, file in files.items():
                    raw = file.read(block_size * self._n_channels * 4)
                    frames = np.frombuffer(raw, "<f4").reshape(-1, self._n_channels)
                    block[name] = np.ascontiguousarray(frames.T, np.float32)
                if not next(iter(block.values())).shape[1]:
                    return
                yield block


@dataclass(frozen=True, slots=True)
class Appender:
    """Open scratch files."""

    files: Mapping[str, BinaryIO]

    def append(self, stems: Stems) -> None:
        """Write one window's samples; on return they are on the disk."""
        for name, value in stems.items():
            self.files[name].write(np.ascontiguousarray(value.T, "<f4").tobytes())
        for file in self.files.values():
            _flush(file)


def advance(journal: Journal, chunk: Waveform) -> Journal:
    """Return the journal after one more window."""
    return replace(
        journal,
        windows_done=journal.windows_done + 1,
        samples_done=journal.samples_done + chunk.shape[1],
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        _flush(file)
    os.replace(temporary, path)
    _sync_folder(path.parent)


def is_disk_full(error: BaseException) -> bool:
    """Return whether a full disk, or a limit on its use, is behind an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in DISK_FULL:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _flush(file: BinaryIO | Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename last; Windows neither needs nor allows it."""
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free_bytes(folder: Path) -> int:
    """Return the free space where ``folder`` is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
