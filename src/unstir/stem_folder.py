"""A folder of stems on the disk, read block by block."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstir.audio import AudioInfo, open_audio, probe
from unstir.errors import AudioError
from unstir.types import FILM, SONG, Stems

BLOCK = 2**16


@dataclass(frozen=True, slots=True)
class StemFolder:
    """Stems of one sound, all of one shape.

    Parameters
    ----------
    files : mapping of str to Path
        By stem.
    info : AudioInfo
        Of the first of them; rate, channels and length are those of all.
    n_samples : int
        Their length.
    report : mapping
        What ``unstir separate`` wrote of them; empty if it did not make them.
    sums : mapping of str to Path
        Sums of some of them, by name.
    """

    files: Mapping[str, Path]
    info: AudioInfo
    n_samples: int
    report: Mapping[str, Any]
    sums: Mapping[str, Path]

    def blocks(self) -> Iterator[Stems]:
        """Yield all stems, `BLOCK` samples at a time.

        Yields
        ------
        dict of str to ndarray of float32, shape (channels, samples)
        """
        yield from blocks_of(self.files)


def blocks_of(files: Mapping[str, Path]) -> Iterator[Stems]:
    """Yield sounds of one length, `BLOCK` samples at a time.

    Yields
    ------
    dict of str to ndarray of float32, shape (channels, samples)
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(open_audio(file)) for file in files.values()]
        for parts in zip(*(reader.blocks(BLOCK) for reader in readers), strict=True):
            yield dict(zip(files, parts, strict=True))


def find_stems(folder: Path) -> StemFolder:
    """Return the stems in a folder.

    Those that ``report.json`` names, if ``unstir separate`` made the folder; else every WAV and
    FLAC file, a stem each, the usual ones first.

    Raises
    ------
    AudioError
        If a stem is missing or cannot be read, or they differ in rate, channels or length.
    """
    files, sums, report = _listed(folder)
    infos = {}
    for name, file in (*files.items(), *sums.items()):
        if not file.is_file():
            raise AudioError(
                f"the folder {folder} lacks {file.name}, the stem {name} that its report.json "
                "names; put it back or separate again"
            )
        infos[name] = probe(file)
    if not files:
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
    return StemFolder(files, infos[first], n_samples, report, sums)


def _listed(folder: Path) -> tuple[dict[str, Path], dict[str, Path], dict[str, Any]]:
    """Return files of stems and of sums by name, and the report."""
    path = folder / "report.json"
    if not path.is_file():
        return _sounds(folder), {}, {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        stems, sums = (
            {str(name): str(row["file"]) for name, row in report.get(key, {}).items()}
            for key in ("stems", "sums")
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise AudioError(f"{path} is no report of 'unstir separate'; separate again") from None
    for name, file in (*stems.items(), *sums.items()):
        if Path(file).name != file:
            raise AudioError(
                f"{path} names {file!r} for the stem {name}, outside its folder; separate again"
            )
    files = {name: folder / file for name, file in stems.items()}
    return files, {name: folder / file for name, file in sums.items()}, report


def _sounds(folder: Path) -> dict[str, Path]:
    usual = (*FILM, *SONG)
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".wav", ".flac"))
    except OSError as error:
        raise AudioError(
            f"{folder} cannot be read ({error.strerror}); name a folder of stems"
        ) from None
    found.sort(key=lambda p: usual.index(p.stem) if p.stem in usual else len(usual))
    return {p.stem: p for p in found}
