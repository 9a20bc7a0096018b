"""Input and stems of a live separation on their way to a folder of stems, aligned."""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unstir import __version__
from unstir.audio import probe
from unstir.deliver import BLOCK, Format, write_stems
from unstir.errors import AudioError, SettingsError
from unstir.journal import Scratch, Workspace, is_disk_full, write_whole
from unstir.plugins.strips import Queue
from unstir.riff import WavWriter
from unstir.types import Stems, Waveform

INPUT = "input"


class Recording:
    """Input and stems on their way to the disk; made by `recording`.

    Parameters
    ----------
    workspace : Workspace
        Held by this run.
    folder : Path
        Where the result goes.
    stems : tuple of str
        Their names.
    sample_rate, n_channels : int
        Of all of them.
    latency : int
        Samples by which the stems are behind the input.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        stems: tuple[str, ...],
        sample_rate: int,
        n_channels: int,
        latency: int,
    ) -> None:
        self._workspace, self._folder, self._stems = workspace, folder, stems
        self._sample_rate, self._n_channels = sample_rate, n_channels
        self._scratch = Scratch(workspace.folder, (INPUT, *stems), n_channels)
        self._files = ExitStack()
        self._appender = self._files.enter_context(self._scratch.appending(0))
        self._coming: deque[Stems] = deque()
        self._input = Queue(n_channels)
        self._to_skip = latency
        self._n_taken = self._n_written = 0

    def append(self, block: Waveform, stems: Stems) -> None:
        """Take the next of the input, or nothing of it at the end, and what was given for it."""
        skipped = min(self._to_skip, next(iter(stems.values())).shape[1])
        self._to_skip -= skipped
        self._input.push(block)
        late = {name: stem[:, skipped:] for name, stem in stems.items()}
        n_samples = next(iter(late.values())).shape[1]
        self._coming.append({INPUT: self._input.pop(n_samples)} | late)
        self._n_taken += n_samples

    def write(self) -> bool:
        """Write what came, if that is a second or more; return whether it was. For a thread."""
        if self._n_taken - self._n_written < self._sample_rate:
            return False
        self._flush()
        return True

    def _flush(self) -> None:
        blocks = [self._coming.popleft() for _ in range(len(self._coming))]
        if not blocks:
            return
        whole = {n: np.concatenate([block[n] for block in blocks], axis=1) for n in blocks[0]}
        self._appender.append(whole)
        self._n_written += whole[INPUT].shape[1]

    def finish(self, report: Mapping[str, Any]) -> Path | None:
        """Write the rest, and put the result into its place.

        Parameters
        ----------
        report : mapping
            What ``report.json`` holds besides the figures of the stems.

        Returns
        -------
        Path or None
            The folder; None if nothing came.

        Raises
        ------
        AudioError
            If the disk is full.
        """
        self._flush()
        self._files.close()
        if not self._n_written:
            return None
        folder = self._workspace.result
        folder.mkdir()
        file = folder / f"{INPUT}.wav"
        with WavWriter(
            file,
            sample_rate=self._sample_rate,
            n_channels=self._n_channels,
            n_samples=self._n_written,
            subtype="FLOAT",
        ) as writer:
            for block in self._scratch.blocks(BLOCK):
                writer.write(block[INPUT])
        figures = write_stems(
            folder,
            (block[INPUT] for block in self._scratch.blocks(BLOCK)),
            ({n: block[n] for n in self._stems} for block in self._scratch.blocks(BLOCK)),
            names=self._stems,
            sums={},
            format=Format("wav", None),
            info=probe(file),
            n_samples=self._n_written,
            start=0,
        )
        text = json.dumps(
            {"unstir": __version__, "samples": self._n_written, **report, **figures}, indent=2
        )
        write_whole(folder / "report.json", text.encode() + b"\n")
        self._workspace.publish(self._folder)
        return self._folder

    def close(self) -> None:
        """Let go of what `finish` did not need."""
        self._files.close()


@contextmanager
def recording(
    folder: Path, stems: tuple[str, ...], sample_rate: int, n_channels: int, latency: int
) -> Iterator[Recording]:
    """Give a recording into a folder of stems, which appears whole with `Recording.finish`.

    Parameters
    ----------
    folder : Path
        Must not be there yet.
    stems, sample_rate, n_channels, latency
        As for `Recording`.

    Raises
    ------
    SettingsError
        If the folder is there.
    AudioError
        If it cannot be written, or the disk is full.
    """
    if folder.exists():
        raise SettingsError(f"{folder} exists, and a recording replaces nothing; choose another")
    workspace = Workspace.beside(folder)
    with workspace.locked():
        workspace.clear()
        made = Recording(workspace, folder, stems, sample_rate, n_channels, latency)
        try:
            yield made
        except (OSError, AudioError) as error:
            if is_disk_full(error):
                raise AudioError(
                    f"the disk of {folder} is full, and nothing was kept; free some and try again"
                ) from None
            if isinstance(error, AudioError):
                raise
            raise AudioError(f"{folder} cannot be written ({error.strerror})") from None
        finally:
            made.close()
            workspace.clear()
