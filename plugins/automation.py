"""Gains that move in time: curves from a CSV table or from a MIDI file's controllers.

A CSV table has the columns ``time_s``, ``stem`` and ``gain_db``; between two points the gain
goes in a straight line in decibels, before the first and after the last it stands still.
``-inf`` is silence.

In a MIDI file, controller 7 (channel volume) on channel k moves the k-th stem: channel 1 the
first. Its values 0 to 127 are a fader's travel, see `fader_db`; every move takes `RAMP_S`, so
that no step clicks.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unstir.errors import SettingsError, UnknownNameError
from unstir.midi import read_midi

MAX_GAIN_DB = 24.0
SILENT_DB = -120.0  # a curve at or below it is silent; ramps to silence end here
RAMP_S = 0.01
VOLUME, DETENT, FADER_STEP_DB = 7, 100, 0.6
_COLUMNS = ("time_s", "stem", "gain_db")


@dataclass(frozen=True, slots=True)
class GainCurve:
    """A gain over time.

    Parameters
    ----------
    times_s : tuple of float
        Seconds from the start of the sound, ascending; one at least.
    gains_db : tuple of float
        The gain at those times, up to `MAX_GAIN_DB`; minus infinity is silence.

    Raises
    ------
    SettingsError
        If the times do not ascend, or a gain is too high or no number.

    Examples
    --------
    >>> curve = GainCurve((0.0, 1.0), (0.0, -20.0))
    >>> curve.factors(0, 3, sample_rate=2).round(3).tolist()
    [1.0, 0.316, 0.1]
    """

    times_s: tuple[float, ...]
    gains_db: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.times_s or len(self.times_s) != len(self.gains_db):
            raise SettingsError(
                f"{len(self.times_s)} times and {len(self.gains_db)} gains came; "
                "as many of both, one at least, are wanted"
            )
        for before, after in zip((-1.0, *self.times_s), self.times_s, strict=False):
            if not (math.isfinite(after) and after >= 0 and after > before):
                raise SettingsError(
                    f"a gain at {after:g} s came after one at {before:g} s; "
                    "times from 0 on that ascend are wanted"
                )
        for gain_db in self.gains_db:
            check_gain("an automated gain", gain_db)

    def factors(self, start: int, n_samples: int, *, sample_rate: int) -> NDArray[np.float64]:
        """Return what the samples from ``start`` on are multiplied by.

        Parameters
        ----------
        start, n_samples : int
            The stretch, in samples from the start of the sound.
        sample_rate : int
            In hertz.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            Exactly 1 where the curve is at 0 dB, exactly 0 where it is silent.
        """
        times = np.arange(start, start + n_samples) / sample_rate
        gains_db = np.interp(times, self.times_s, np.maximum(self.gains_db, SILENT_DB))
        factors: NDArray[np.float64] = 10 ** (gains_db / 20)
        factors[gains_db <= SILENT_DB] = 0
        return factors


def check_gain(what: str, gain_db: float) -> None:
    """Refuse a gain that is no number or above `MAX_GAIN_DB`.

    Raises
    ------
    SettingsError
        With what came and what is allowed.

    Examples
    --------
    >>> check_gain("the gain of music", 30)
    Traceback (most recent call last):
        ...
    unstir.errors.SettingsError: the gain of music is 30 dB; -inf to 24 dB is wanted
    """
    if not gain_db <= MAX_GAIN_DB:
        raise SettingsError(f"{what} is {gain_db:g} dB; -inf to {MAX_GAIN_DB:g} dB is wanted")


def fader_db(value: int) -> float:
    """Return the gain of a fader at a controller's value.

    0 is silence, 1 is -59.4 dB, and from there 0.6 dB a step up to 0 dB at the detent, 100;
    above it as far as +6 dB at 127.

    Parameters
    ----------
    value : int
        0 to 127.

    Returns
    -------
    float
        In decibels.

    Examples
    --------
    >>> [round(fader_db(value), 1) for value in (0, 1, 100, 127)]
    [-inf, -59.4, 0.0, 6.0]
    """
    if value <= 0:
        return -math.inf
    if value <= DETENT:
        return (value - DETENT) * FADER_STEP_DB
    return (value - DETENT) * 6.0 / (127 - DETENT)


def load_automation(path: Path, stems: Sequence[str]) -> dict[str, GainCurve]:
    """Return the gain curves of stems from a CSV table or a MIDI file.

    Parameters
    ----------
    path : Path
        Ends in ``.csv``, ``.mid`` or ``.midi``.
    stems : sequence of str
        The stems there are; in a MIDI file the k-th channel moves the k-th of them.

    Returns
    -------
    dict of str to GainCurve
        Of the stems that move.

    Raises
    ------
    SettingsError
        If the file cannot be read, holds no gain, or one out of range.
    UnknownNameError
        If it names a stem that is not there.
    AudioError
        If it is no MIDI file though its name says so.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".mid", ".midi"):
        raise SettingsError(f"{path.name!r} came for automation; a .csv or .mid is wanted")
    try:
        points = _from_csv(path, stems) if kind == ".csv" else _from_midi(path, stems)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror or error}); give another"
        ) from None
    if not points:
        wanted = "a row of numbers" if kind == ".csv" else "a controller 7"
        raise SettingsError(f"{path.name} holds no gain; {wanted} is wanted")
    curves = {}
    for stem, found in points.items():
        try:
            curves[stem] = GainCurve(tuple(t for t, _ in found), tuple(g for _, g in found))
        except SettingsError as error:
            raise SettingsError(f"{path.name}, {stem}: {error}") from None
    return curves


Points = Mapping[str, Sequence[tuple[float, float]]]


def _from_csv(path: Path, stems: Sequence[str]) -> Points:
    found: dict[str, list[tuple[float, float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            names = [name.strip() for name in rows.fieldnames or ()]
            if any(column not in names for column in _COLUMNS):
                raise SettingsError(
                    f"{path.name} begins with {','.join(names)!r}; "
                    f"the columns {','.join(_COLUMNS)} are wanted"
                )
            rows.fieldnames = names
            for row in rows:
                stem = (row["stem"] or "").strip()
                if stem not in stems:
                    raise UnknownNameError(
                        f"{path.name}, line {rows.line_num}: there is no stem {stem!r}; "
                        f"there are {', '.join(stems)}"
                    )
                try:
                    point = float(row["time_s"] or ""), float(row["gain_db"] or "")
                except ValueError:
                    raise SettingsError(
                        f"{path.name}, line {rows.line_num}: {row['time_s']!r} and "
                        f"{row['gain_db']!r} came; numbers are wanted"
                    ) from None
                found.setdefault(stem, []).append(point)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path.name} is no table of text ({error}); write CSV") from None
    return {stem: sorted(points) for stem, points in found.items()}


def _from_midi(path: Path, stems: Sequence[str]) -> Points:
    moves: dict[str, list[tuple[float, float]]] = {}
    now_s = 0.0
    for message in read_midi(path, what="automation"):
        now_s += message.time
        if message.type != "control_change" or message.control != VOLUME:
            continue
        if message.channel >= len(stems):
            raise UnknownNameError(
                f"{path.name} moves channel {message.channel + 1}, and there are "
                f"{len(stems)} stems: {', '.join(stems)}, on channels 1 to {len(stems)}"
            )
        moves.setdefault(stems[message.channel], []).append((now_s, fader_db(message.value)))
    return {stem: _ramped(points) for stem, points in moves.items()}


def _ramped(moves: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points of a fader that stays where it is put and takes `RAMP_S` to get there."""
    latest = dict(moves)  # of several moves at one instant the last one holds
    points: list[tuple[float, float]] = []
    times = list(latest)
    for i, (time_s, gain_db) in enumerate(latest.items()):
        if points and time_s > points[-1][0]:
            points.append((time_s, points[-1][1]))
        if not points:
            points.append((time_s, gain_db))
            continue
        until = times[i + 1] if i + 1 < len(times) else math.inf
        points.append((min(time_s + RAMP_S, until), gain_db))
    return points
