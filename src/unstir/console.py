"""What the commands show: bars and tables for people, JSON lines for scripts."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from unstir.audio import probe
from unstir.channels import groups
from unstir.deliver import choose_format
from unstir.errors import UnstirError
from unstir.registry import methods
from unstir.separate import Result
from unstir.settings import Listener, Note
from unstir.settings import Progress as Event


@dataclass
class Reporter:
    """Tells of a batch of separations as it goes."""

    quiet: bool
    as_json: bool
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    def _emit(self, event: str, path: Path, **values: Any) -> None:
        print(json.dumps({"event": event, "input": str(path), **values}), flush=True)

    @contextlib.contextmanager
    def file(self, path: Path) -> Iterator[Listener]:
        """Give a listener for one file's run."""
        if self.quiet:
            yield lambda event: None
        elif self.as_json:
            began: dict[str, tuple[float, int]] = {}
            yield lambda event: self._line(path, event, began)
        else:
            columns = (
                TextColumn("{task.fields[name]}", style="bold"),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self.console, transient=True) as bars:
                tasks: dict[str, TaskID] = {}
                name = escape(_printable(path.name))

                def show(event: Event | Note) -> None:
                    if isinstance(event, Note):
                        self.console.print(
                            f"[yellow]note:[/] {escape(event.text)}",
                            soft_wrap=not self.console.is_terminal,
                        )
                        return
                    total = event.total or None
                    if event.stage not in tasks:
                        for task in tasks.values():
                            bars.update(task, visible=False)
                        tasks[event.stage] = bars.add_task(event.stage, total=total, name=name)
                    bars.update(tasks[event.stage], completed=event.done, total=total)

                yield show

    def _line(self, path: Path, event: Event | Note, began: dict[str, tuple[float, int]]) -> None:
        if isinstance(event, Note):
            self._emit("note", path, text=event.text)
            return
        # A resumed stage begins in the middle: speed is reckoned from there.
        now = time.monotonic()
        since, first = began.setdefault(event.stage, (now, event.done))
        speed = (event.done - first) / (now - since) if now > since else 0.0
        known = event.total and speed > 0
        self._emit(
            "progress",
            path,
            stage=event.stage,
            done=event.done,
            total=event.total or None,
            eta_s=round((event.total - event.done) / speed, 1) if known else None,
        )

    def result(self, path: Path, result: Result) -> None:
        """Tell how a file came out."""
        report = result.report
        if self.as_json:
            self._emit(
                "result",
                path,
                folder=str(result.folder),
                files={name: str(file) for name, file in result.files.items()},
                reused=result.reused,
                null=report["null"],
                seconds=report["seconds"]["all"],
                real_time_factor=report["real_time_factor"],
                device=report["device"],
                method=report["method"]["name"],
                base=report["method"]["base"],
            )
        elif not self.quiet:
            table = Table(title=None, box=None, pad_edge=False)
            table.add_column("stem")
            table.add_column("LUFS", justify="right")
            table.add_column("peak dBFS", justify="right")
            table.add_column("file")
            for name, row in {**report["stems"], **report["sums"]}.items():
                table.add_row(
                    escape(name),
                    _figure(row["loudness_lufs"]),
                    _figure(row["peak_dbfs"]),
                    escape(_printable(str(result.folder / row["file"]))),
                )
            out = Console(highlight=False, soft_wrap=True)
            out.print(table)
            null = report["null"]
            depth = (
                "the stems add up to the mix bit for bit"
                if null["exact"]
                else f"the stems add up to the mix within {null['depth_db']:.1f} dB"
            )
            speed = (
                "already done, same sound and settings"
                if result.reused
                else f"{report['seconds']['all']:.1f} s, "
                f"{report['real_time_factor']:.1f} x real time"
            )
            tracker = report["method"]["pitch_tracker"]
            base = report["method"]["base"]
            by = (
                report["method"]["name"]
                + (f" over {base}" if base else "")
                + (f" (pitch by {tracker})" if tracker else "")
            )
            out.print(f"{by} on {report['device']}: {depth}; {speed}")

    def error(self, path: Path, error: UnstirError) -> None:
        """Tell scripts of a refusal; people read it on stderr."""
        if self.as_json:
            self._emit("error", path, kind=type(error).__name__, text=str(error))


@contextlib.contextmanager
def reporter(*, quiet: bool, as_json: bool) -> Iterator[Reporter]:
    """Give a reporter for a batch."""
    yield Reporter(quiet, as_json)


def _figure(value: float | None) -> str:
    return "silent" if value is None else f"{value:.1f}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show_methods(*, as_json: bool) -> None:
    """Print what methods there are."""
    rows = [
        {
            "name": method.name,
            "kind": method.kind,
            "stems": list(method.stem_sets),
            "needs": method.needs or ("two channels" if method.min_channels > 1 else ""),
            "weights_license": method.weights_license,
            "summary": method.summary,
        }
        for method in methods().values()
    ]
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "kind", "stems", "needs", "weights", "what it is"):
        table.add_column(title, no_wrap=title in ("name", "kind"))
    for row in rows:
        table.add_row(
            str(row["name"]),
            str(row["kind"]),
            ", ".join(row["stems"]),
            str(row["needs"]) or "-",
            str(row["weights_license"]) or "none",
            str(row["summary"]),
        )
    Console(highlight=False).print(table)


def show_models(*, as_json: bool) -> None:
    """Print whose weights there are, and where."""
    from unstir.neural.models import entries  # only this command waits for torch

    rows: list[dict[str, Any]] = []
    for entry in entries():
        known = entry.description
        rows.append(
            {
                "name": entry.name,
                "state": entry.state,
                "net": known.net if known else None,
                "sources": list(known.sources) if known else [],
                "sample_rate_hz": known.sample_rate if known else None,
                "license": str(known.card.get("license", "")) if known else "",
                "file": str(entry.path),
            }
        )
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "weights", "gives", "license", "file"):
        # A path that is cut is no path.
        table.add_column(title, no_wrap=title in ("name", "weights"), overflow="fold")
    for row in rows:
        shown = (row["name"], row["state"], ", ".join(row["sources"]), row["license"], row["file"])
        table.add_row(*(escape(_printable(str(value))) or "-" for value in shown))
    Console(highlight=False).print(table)


def show_info(path: Path, *, stream: int, allow_truncated: bool, as_json: bool) -> None:
    """Print what a file is and how it would be taken apart."""
    info = probe(path, stream=stream, allow_truncated=allow_truncated)
    format = choose_format(info, "source")
    duration_s = info.duration_s if info.n_samples is None else info.n_samples / info.sample_rate
    values: dict[str, Any] = {
        "file": path.name,
        "container": info.format,
        "sample_format": info.subtype,
        "sample_rate_hz": info.sample_rate,
        "channels": info.n_channels,
        "layout": info.layout,
        "taken_apart_as": [group.name for group in groups(info.n_channels, info.layout)],
        "samples": info.n_samples,
        "duration_s": duration_s,
        "audio_stream": info.stream,
        "audio_streams": info.audio_streams,
        "stream_start_s": info.start_s,
        "time_reference_samples": info.time_reference,
        "bext": info.bext is not None,
        "ixml": info.ixml is not None,
        "stems_would_be": f"{format.container} {format.subtype}",
    }
    if as_json:
        print(json.dumps(values))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in values.items():
        if isinstance(value, list | tuple):
            value = " ".join(value)
        shown = (
            "-" if value is None else "yes" if value is True else "no" if value is False else value
        )
        table.add_row(name.replace("_", " "), escape(_printable(str(shown))))
    Console(highlight=False, file=sys.stdout).print(table)
