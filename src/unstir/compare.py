"""Methods side by side on sound whose true stems are known."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from unstir.evaluate import bootstrap_interval, improvement, si_sdr_db, snr_db
from unstir.registry import find, is_asked, make, methods, stem_set
from unstir.separate import separate_with
from unstir.types import Mixture, Separator, Stems, Waveform


@dataclass(frozen=True, slots=True)
class Row:
    """How one method did on one mix.

    Parameters
    ----------
    method : str
        Its name.
    mix : str
        The mix's name.
    source : str
        What intervals are drawn over.
    si_sdr_db : dict of str to float
        Per stem; nan where the true stem is silent.
    gain_db : dict of str to float
        The same less that of the mix itself.
    sdr_db : dict of str to float
        The signal-to-distortion ratio without any scaling: a wrong level counts.
    seconds, duration_s : float
        Time taken, and length of the sound.
    """

    method: str
    mix: str
    source: str
    si_sdr_db: dict[str, float]
    gain_db: dict[str, float]
    sdr_db: dict[str, float]
    seconds: float
    duration_s: float


def candidates(set_name: str, wanted: Sequence[str] | None = None) -> list[str]:
    """Return the methods to compare: all that give the set and can run, or those asked for.

    Raises
    ------
    UnknownNameError
        If one that was asked for does not exist.
    """
    ready = [name for name, method in methods().items() if method.needs != "weights"]
    names = list(wanted) if wanted else ready
    return [name for name in names if set_name in find(name).stem_sets or is_asked(name)]


def compare(
    name: str,
    set_name: str,
    truth: Stems,
    sample_rate: int,
    *,
    mix_name: str = "",
    source: str = "",
    seed: int = 0,
    separator: Separator | None = None,
) -> Row:
    """Return how a method does on the sum of true stems; the oracle is given them.

    Parameters
    ----------
    name, set_name : str
        Method and stem set.
    truth : dict of str to ndarray of float32, each of shape (channels, samples)
        The stems of that set.
    sample_rate : int
        In hertz.
    mix_name, source : str
        Carried over into the row.
    seed : int
        For methods that draw random numbers.
    separator : Separator, optional
        Instead of the method of that name.
    """
    mixture: Waveform = sum_of(truth)
    if separator is None:
        options: dict[str, Any] = {"references": truth} if find(name).needs == "references" else {}
        separator = make(name, set_name, seed=seed, **options)
    began = time.perf_counter()
    stems = separate_with(separator, Mixture(mixture, sample_rate))
    seconds = time.perf_counter() - began
    return Row(
        name,
        mix_name,
        source,
        {k: si_sdr_db(truth[k], stems[k]) for k in stem_set(set_name)},
        {k: improvement(truth[k], stems[k], mixture) for k in stem_set(set_name)},
        {k: snr_db(truth[k], stems[k]) for k in stem_set(set_name)},
        seconds,
        mixture.shape[1] / sample_rate,
    )


def sum_of(stems: Stems) -> Waveform:
    """Return the mix of some stems, summed in float64."""
    return np.asarray(np.sum(list(stems.values()), axis=0, dtype=np.float64), np.float32)


def summary(rows: Sequence[Row], *, seed: int = 0) -> list[dict[str, Any]]:
    """Return one entry per method: mean SI-SDR and gain of every stem, with intervals.

    Parameters
    ----------
    rows : sequence of Row
        Of one stem set.
    seed : int
        Seeds the bootstrap over sources.

    Returns
    -------
    list of dict
        ``method``, ``stems`` (per stem ``si_sdr_db``, ``sdr_db``, ``gain_db``, ``interval_db``),
        ``mean_gain_db``, ``mean_interval_db`` and ``real_time_factor``. An interval is
        None where there are fewer than three sources.
    """
    entries = []
    for name in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == name]
        sources = [row.source for row in own]
        stems = {}
        for stem in own[0].gain_db:
            gains = [row.gain_db[stem] for row in own]
            stems[stem] = {
                "si_sdr_db": _mean([row.si_sdr_db[stem] for row in own]),
                "sdr_db": _mean([row.sdr_db[stem] for row in own]),
                "gain_db": _mean(gains),
                "interval_db": _interval(gains, sources, seed),
            }
        means = [_mean(list(row.gain_db.values())) for row in own]
        entries.append(
            {
                "method": name,
                "stems": stems,
                "mean_gain_db": _mean(means),
                "mean_interval_db": _interval(means, sources, seed),
                "real_time_factor": sum(r.duration_s for r in own) / sum(r.seconds for r in own),
            }
        )
    return entries


def table(entries: Sequence[dict[str, Any]], title: str) -> Table:
    """Return the summary for the terminal: gain per stem over the mix itself, in dB."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("method", overflow="fold")  # names with words behind them are long
    for stem in entries[0]["stems"]:
        shown.add_column(stem, justify="right", no_wrap=True)
    shown.add_column("mean", justify="right", no_wrap=True)
    shown.add_column("x real\ntime", justify="right", no_wrap=True)
    best = max((e["mean_gain_db"] for e in entries if e["method"] != "oracle"), default=0.0)
    for entry in entries:
        marked = entry["mean_gain_db"] == best and entry["method"] != "oracle"
        shown.add_row(
            entry["method"],
            *(f"{v['si_sdr_db']:.1f} ({_signed(v['gain_db'])})" for v in entry["stems"].values()),
            _signed(entry["mean_gain_db"]),
            f"{entry['real_time_factor']:.0f}",
            style="bold" if marked else None,
        )
    return shown


def markdown(entries: Sequence[dict[str, Any]]) -> str:
    """Return the summary as a table for the documents, intervals in brackets."""
    stems = list(entries[0]["stems"])
    lines = [
        "| method | " + " | ".join(stems) + " | mean |",
        "|---|" + "---:|" * (len(stems) + 1),
    ]
    for entry in entries:
        cells = [_cell(v["gain_db"], v["interval_db"]) for v in entry["stems"].values()]
        cells.append(_cell(entry["mean_gain_db"], entry["mean_interval_db"]))
        lines.append(f"| `{entry['method']}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def levels_markdown(entries: Sequence[dict[str, Any]]) -> str:
    """Return SI-SDR and SDR themselves as a table for the documents, and the speed."""
    stems = list(entries[0]["stems"])
    lines = [
        "| method | " + " | ".join(stems) + " | x real time |",
        "|---|" + "---:|" * (len(stems) + 1),
    ]
    for entry in entries:
        cells = [f"{v['si_sdr_db']:.1f} / {v['sdr_db']:.1f}" for v in entry["stems"].values()]
        cells.append(f"{entry['real_time_factor']:.0f}")
        lines.append(f"| `{entry['method']}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float, interval: tuple[float, float] | None) -> str:
    return _signed(value) + (
        f" ({_signed(interval[0])} to {_signed(interval[1])})" if interval else ""
    )


def _signed(value: float) -> str:
    """Return one decimal with its sign; what rounds to zero has none."""
    return f"{value:+.1f}" if abs(value) >= 0.05 else "0.0"


def _mean(values: Sequence[float]) -> float:
    kept = [value for value in values if not np.isnan(value)]
    return float(np.mean(kept)) if kept else float("nan")


def _interval(
    values: Sequence[float], sources: Sequence[str], seed: int
) -> tuple[float, float] | None:
    if len(set(sources)) < 3:
        return None
    return bootstrap_interval(values, groups=sources, seed=seed)
