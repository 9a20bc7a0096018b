"""What a Reaper project holds, as far as our scripts look: plain Python, copied for undo."""

import copy
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile as sf

_numbers = itertools.count(1)


def new_guid() -> str:
    return f"{{{next(_numbers):08X}-0000-4000-8000-000000000000}}"


KINDS = {".wav": "WAVE", ".flac": "FLAC", ".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF"}


@dataclass(eq=False)
class Source:
    kind: str
    path: str = ""
    length_s: float = 0.0
    rate: int = 0
    n_channels: int = 0
    parent: "Source | None" = None
    section: tuple[float, float, bool] | None = None  # offset_s, length_s, reversed

    @staticmethod
    def of_file(path: Path | str) -> "Source":
        info = sf.info(str(path))
        kind = KINDS[Path(path).suffix.lower()]
        length = info.frames / info.samplerate
        return Source(kind, str(path), length, info.samplerate, info.channels)

    def cut(self, offset_s: float, length_s: float, *, backward: bool = False) -> "Source":
        """Return a section of this source."""
        return Source(
            "SECTION",
            "",
            length_s,
            self.rate,
            self.n_channels,
            self,
            (offset_s, length_s, backward),
        )


@dataclass
class Fx:
    """An effect on a take or track; parameters by their number from 0."""

    name: str
    values: dict[int, float] = field(default_factory=dict)


@dataclass(eq=False)
class Take:
    source: Source
    name: str = ""
    guid: str = field(default_factory=new_guid)
    values: dict[str, float] = field(default_factory=dict)
    ext: dict[str, str] = field(default_factory=dict)
    stretch_markers: int = 0
    fx: list[Fx] = field(default_factory=list)
    envelopes: list[str] = field(default_factory=list)
    notes: list[tuple[float, float, int, int]] = field(default_factory=list)


TAKE_DEFAULTS = {"D_VOL": 1.0, "D_PLAYRATE": 1.0, "B_PPITCH": 1.0, "D_PANLAW": -1.0}


@dataclass(eq=False)
class Item:
    takes: list[Take] = field(default_factory=list)
    active: int = 0
    guid: str = field(default_factory=new_guid)
    values: dict[str, float] = field(default_factory=dict)
    ext: dict[str, str] = field(default_factory=dict)
    selected: bool = False

    @property
    def take(self) -> Take:
        return self.takes[self.active]


ITEM_DEFAULTS = {"D_VOL": 1.0, "B_LOOPSRC": 1.0}


@dataclass(eq=False)
class Track:
    name: str = ""
    guid: str = field(default_factory=new_guid)
    values: dict[str, float] = field(default_factory=dict)
    ext: dict[str, str] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    fx: list[Fx] = field(default_factory=list)
    razor: str = ""
    selected: bool = False


TRACK_DEFAULTS = {"D_VOL": 1.0, "I_NCHAN": 2.0, "D_WIDTH": 1.0, "B_MAINSEND": 1.0}
DEFAULTS = {Take: TAKE_DEFAULTS, Item: ITEM_DEFAULTS, Track: TRACK_DEFAULTS}


@dataclass(eq=False)
class Project:
    folder: str
    tracks: list[Track] = field(default_factory=list)
    time_selection: tuple[float, float] = (0.0, 0.0)
    rate: int = 0  # 0: the device's
    undo_names: list[str] = field(default_factory=list)
    _undo: list[list[Track]] = field(default_factory=list)
    _before: list[Track] | None = None

    @property
    def items(self) -> list[Item]:
        return [item for track in self.tracks for item in track.items]

    def holds(self, thing: Any) -> bool:
        """Return whether a handle still points to something."""
        if isinstance(thing, Track):
            return thing in self.tracks
        if isinstance(thing, Item):
            return thing in self.items
        return any(thing in item.takes for item in self.items)

    def begin(self) -> None:
        assert self._before is None, "an undo block is open already"
        self._before = copy.deepcopy(self.tracks)

    def end(self, name: str) -> None:
        assert self._before is not None, "no undo block is open"
        self._undo.append(self._before)
        self.undo_names.append(name)
        self._before = None

    def undo(self) -> None:
        """Go one step back; every object is a new one, as in Reaper."""
        self.tracks = copy.deepcopy(self._undo.pop())
        self.undo_names.pop()

    def track_of(self, item: Item) -> Track:
        return next(track for track in self.tracks if item in track.items)

    def levels(self) -> list[int]:
        """Return how deep in folders each track lies."""
        found, level = [], 0
        for track in self.tracks:
            found.append(level)
            level += int(track.values.get("I_FOLDERDEPTH", 0))
        return found


def value(thing: Take | Item | Track, key: str) -> float:
    return float(thing.values.get(key, DEFAULTS[type(thing)].get(key, 0.0)))


def split(track: Track, item: Item, at: float) -> Item | None:
    """Split an item as Reaper does: the right part is new, its own marks are copied."""
    start, length = value(item, "D_POSITION"), value(item, "D_LENGTH")
    if not start < at < start + length:
        return None
    right = copy.deepcopy(item)
    right.guid = new_guid()
    for take in right.takes:
        take.guid = new_guid()
        shift = (at - start) * value(take, "D_PLAYRATE")
        take.values["D_STARTOFFS"] = value(take, "D_STARTOFFS") + shift
    right.values.update(D_POSITION=at, D_LENGTH=start + length - at, D_FADEINLEN=0.0)
    item.values.update(D_LENGTH=at - start, D_FADEOUTLEN=0.0)
    track.items.insert(track.items.index(item) + 1, right)
    return right
