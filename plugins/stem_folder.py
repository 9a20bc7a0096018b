"""A folder of stems on the disk, read block by block."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstir.audio import AudioInfo, open_audio, probe
from unstir.errors import AudioError
from unstir.types import Stems

BLOCK = 2**16


@dataclass(frozen=True, slots=True)
class StemFolder:
    """Stems of one sound, all of one shape.

    Parameters
    ----------
    files : mapping of str to Path
        By stem.
    info : AudioInfo
        Of the first of them; rate, channels and format are those of all.
    n_samples : int
        Their length.
    report : mapping
        What ``unstir separate`` wrote of them; empty if it did not make them.
    """

    files: Mapping[str, Path]
    info: AudioInfo
    n_samples: int
    report: Mapping[str, Any]

    def blocks(self) -> Iterator[Stems]:
        """Yield all stems, `BLOCK` samples at a time.

        Yields
        ------
        dict of str to ndarray of float32, shape (channels, samples)
        """
        with ExitStack() as stack:
            readers = [stack.enter_context(open_audio(file)) for file in self.files.values()]
            for parts in zip(*(reader.blocks(BLOCK) for reader in readers), strict=True):
                yield dict(zip(self.files, parts, strict=True))


def find_stems(folder: Path) -> StemFolder:
    """Return the stems in a folder.

    Those that ``report.json`` names, if ``unstir separate`` made the folder; else every WAV and
    FLAC file, a stem each.

    Raises
    ------
    AudioError
        If a stem is missing or cannot be read, or they differ in rate, channels or length.
    """
    files, report = _listed(folder)
    infos = {}
    for name, file in files.items():
        if not file.is_file():
            raise AudioError(
                f"the folder {folder} lacks {file.name}, the stem {name} that its report.json "
                "names; put it back or separate again"
            )
        infos[name] = probe(file)
    if not infos:
        raise AudioError(
            f"the folder {folder} holds no stem; WAV or FLAC files are wanted, "
            "as 'unstir separate' makes them"
        )
    first, *others = infos
    for name in others:
        a, b = infos[first], infos[name]
        for what, x, y in (
            ("Hz", a.sample_rate, b.sample_rate),
            ("channels", a.n_channels, b.n_channels),
            ("samples", a.n_samples, b.n_samples),
        ):
            if x != y:
                raise AudioError(
                    f"the stems in {folder} differ: {first} has {x} {what} and {name} {y}; "
                    "stems of one sound are wanted"
                )
    n_samples = infos[first].n_samples
    if n_samples is None:
        raise AudioError(f"the stem {first} in {folder} does not say how long it is; write WAV")
    return StemFolder(files, infos[first], n_samples, report)


def _listed(folder: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    path = folder / "report.json"
    if not path.is_file():
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".wav", ".flac"))
        return {p.stem: p for p in found}, {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): str(row["file"]) for name, row in report["stems"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise AudioError(f"{path} is no report of 'unstir separate'; separate again") from None
    for name, file in files.items():
        if Path(file).name != file:
            raise AudioError(
                f"{path} names {file!r} for the stem {name}, outside its folder; separate again"
            )
    return {name: folder / file for name, file in files.items()}, report
