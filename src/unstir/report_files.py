"""Comparisons as a folder: pages, and the figures as CSV and JSON beside them."""

import csv
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from unstir import __version__
from unstir.compare import Row, summary
from unstir.errors import AudioError, SettingsError
from unstir.report import Comparison
from unstir.report_page import asset, page, template
from unstir.report_tables import text

FILES = ("index.html", "comparison.csv", "comparison.json")


def write_report(
    folder: str | Path,
    comparisons: Iterable[tuple[str, Comparison]],
    *,
    single: bool = True,
    overwrite: bool = False,
) -> None:
    """Write comparisons as ``index.html``, ``comparison.csv`` and ``comparison.json``.

    Parameters
    ----------
    folder : str or Path
        Appears when all is written, and not before.
    comparisons : iterable of (str, Comparison)
        What each file is called, and what was found. One is held at a time.
    single : bool
        Whether one is all there will be. Otherwise each gets a folder of its own, and
        ``index.html`` leads to them.
    overwrite : bool
        Whether to replace an older report.

    Raises
    ------
    SettingsError
        If the folder exists, unless it holds a report and ``overwrite`` is set.
    AudioError
        If it cannot be written, or nothing could be compared.
    """
    folder = Path(folder).absolute()
    _check_free(folder, overwrite)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        heads: list[dict[str, Any]] = []
        for name, comparison in comparisons:
            place = (
                partial if single else partial / f"{len(heads) + 1} {name.replace('/', ' ')[-60:]}"
            )
            place.mkdir(exist_ok=True)
            head = {**comparison.header(), "rows": comparison.records()}
            (place / FILES[0]).write_text(page(comparison), encoding="utf-8")
            _write_figures(place, [head])
            heads.append({**head, "folder": place.name, "name": name})
        if not heads:
            raise AudioError("no file could be compared; see what was said of each")
        if not single:
            (partial / FILES[0]).write_text(_index(heads), encoding="utf-8")
            _write_figures(partial, heads)
        if folder.exists():
            old = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            os.rename(folder, old)
            os.rename(partial, folder)
            shutil.rmtree(old)
        else:
            os.rename(partial, folder)
    except OSError as error:
        raise AudioError(
            f"{str(folder)!r} cannot be written ({error.strerror}); make room or choose another -o"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    ours = all((folder / name).is_file() for name in FILES)
    if not ours or not overwrite:
        advice = "use --overwrite or another -o" if ours else "choose another -o"
        raise SettingsError(f"{str(folder)!r} exists; {advice}")


def _write_figures(folder: Path, heads: Sequence[Mapping[str, Any]]) -> None:
    rows = [row for head in heads for row in head["rows"]]
    with (folder / FILES[1]).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    content = json.dumps({"comparisons": heads}, indent=2, allow_nan=False)
    (folder / FILES[2]).write_text(content + "\n", encoding="utf-8")


def _index(heads: Sequence[Mapping[str, Any]]) -> str:
    """Return the page that leads to those of several files, with means where stems are known."""
    known = [head for head in heads if head["references"]]
    tables = []
    for name in dict.fromkeys(head["stem_set"] for head in known):
        group = [head for head in known if head["stem_set"] == name]
        entries = summary([row for head in group for row in _rows(head)])
        tables.append(
            {
                "title": f"Gain in SI-SDR over {len(group)} files, dB",
                "stems": list(entries[0]["stems"]),
                "rows": [
                    {
                        "method": entry["method"],
                        "cells": [
                            *(text(v["gain_db"], "+.1f") for v in entry["stems"].values()),
                            text(entry["mean_gain_db"], "+.1f"),
                            text(entry["real_time_factor"], ".1f"),
                        ],
                    }
                    for entry in entries
                ],
            }
        )
    return template("index.html.j2").render(
        version=__version__,
        summaries=tables,
        pages=[
            {
                "folder": head["folder"],
                "name": head["name"],
                "excerpt": f"{head['duration_s']:.1f} s from {head['start_s']:.1f} s on",
                "channels": head["channels"],
            }
            for head in heads
        ],
        css=Markup(asset("page.css")),
    )


def _rows(head: Mapping[str, Any]) -> list[Row]:
    """Return a file's figures as `unstir.compare.summary` takes them."""
    rows = []
    for method in dict.fromkeys(row["method"] for row in head["rows"]):
        own = [row for row in head["rows"] if row["method"] == method]
        si_sdr_db, gain_db, snr_db = (
            {row["stem"]: math.nan if row[key] is None else row[key] for row in own}
            for key in ("si_sdr_db", "gain_db", "snr_db")
        )
        rows.append(
            Row(
                method=method,
                mix=head["name"],
                source=head["name"],
                si_sdr_db=si_sdr_db,
                gain_db=gain_db,
                sdr_db=snr_db,
                seconds=own[0]["seconds"],
                duration_s=head["duration_s"],
            )
        )
    return rows
