"""Where sounds were found, as files that editors read: labels, regions, JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from unstir.errors import AudioError, SettingsError
from unstir.finding import Found
from unstir.journal import write_whole
from unstir.queries import plain

KINDS = (".txt", ".csv", ".json")


def clock(seconds: float) -> str:
    """Return a time as people write it.

    Examples
    --------
    >>> clock(3725.25), clock(9.999)
    ('1:02:05.250', '0:00:09.999')
    """
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def check_markers(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that cannot be written, before any work is done.

    Raises
    ------
    SettingsError
        If its ending is unknown, it is there already or is a folder, or its own folder is not
        there.
    """
    if path.suffix.lower() not in KINDS:
        raise SettingsError(f"{path} came; a name that ends in {', '.join(KINDS)} is wanted")
    if path.is_dir():
        raise SettingsError(f"{path} is a folder; choose another -o")
    if path.exists() and not overwrite:
        raise SettingsError(f"{path} exists; use --overwrite or another -o")
    if not path.absolute().parent.is_dir():
        raise SettingsError(f"there is no folder {path.parent}; make it, or choose another -o")


def write_markers(found: Sequence[Found], path: Path) -> None:
    """Write every stretch in which a sound is heard; the file appears only when whole.

    ``.txt`` gives labels as Audacity imports them, ``.csv`` regions as Reaper does, ``.json``
    everything. An older file is replaced.

    Raises
    ------
    AudioError
        If the file cannot be written.
    """
    rows = sorted(
        (span.start_s, span.end_s, plain(one.query)) for one in found for span in one.spans
    )
    kind = path.suffix.lower()
    if kind == ".json":
        text = json.dumps([asdict(one) for one in found], indent=2) + "\n"
    elif kind == ".txt":
        text = "".join(f"{start:.6f}\t{end:.6f}\t{name}\n" for start, end, name in rows)
    else:
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["#", "Name", "Start", "End", "Length"])
        for number, (start, end, name) in enumerate(rows, 1):
            times = (clock(start), clock(end), clock(end - start))
            table.writerow([f"R{number}", name, *times])
        text = out.getvalue()
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise AudioError(f"{path} cannot be written: {error.strerror}; choose another -o") from None
