"""Our own recipe of film scenes: a plan drawn from a seed.

The recipe spans wide on purpose, since nets trained on one narrow recipe lose most of
their gain on scenes of another: levels, densities, mono to wide music, sung songs as
music, speech dry in the middle or anywhere in a room, whole scenes without treble. A plan
is plain numbers, so a list of plans can be frozen by a hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from unstir.neural.bending import softer, staged, varied
from unstir.neural.pack import SAMPLE_RATE, Clip, Pack, of_labels
from unstir.neural.plans import FOLD_HZ, ROOM_S, STEMS, Bus, Piece, Scene, digest
from unstir.neural.split import GATHERED, MADE

# A plan's parts are imported from here as well.
__all__ = [
    "FOLD_HZ",
    "FULL_BAND_HZ",
    "ROOM_S",
    "STEMS",
    "Bus",
    "Piece",
    "Recipe",
    "Scene",
    "digest",
]

FULL_BAND_HZ = 9000.0


@dataclass(frozen=True)
class Recipe:
    """Draws scenes of one split of a pack.

    Parameters
    ----------
    pack : Pack
        The recordings.
    split : str
        ``"train"``, ``"choose"`` or ``"report"``.
    made : float
        How likely a piece of instrumental music, and likewise a bed or an event of effects, is
        drawn from what was made by program or gathered from packages, if the split holds any;
        else they would outnumber what was picked by hand. A made voice is at a quarter of it,
        unless it must have treble; gathered voices are drawn like all others. So likely, too, a
        singer is one that was made.
    """

    pack: Pack
    split: str
    made: float = 0.0

    def __post_init__(self) -> None:
        clips: dict[bool, list[Clip]] = {False: [], True: []}  # picked by hand, and others
        for clip in self.pack.clips:
            if clip.split == self.split:
                others = MADE if clip.kind == "speech" else (MADE, GATHERED)
                clips[clip.family.startswith(others)].append(clip)
        by_kind, made = (
            {
                kind: of_labels(clip for clip in side if clip.kind == kind)
                for kind in ("speech", "music", "singing", "effects", "rir")
            }
            for side in clips.values()
        )
        # A song project's instruments go together and with its singer, not as loose music.
        songs = {name: part for name, part in by_kind["music"].items() if name[:5] == "song:"}
        loose = {name: part for name, part in by_kind["music"].items() if name not in songs}
        voices = by_kind["speech"]
        full = {
            name: part
            for name, part in voices.items()
            if np.median([c.bandwidth_hz for c in part]) > FULL_BAND_HZ
        }
        beds, made_beds = (
            [c for c in side if c.kind == "effects" and c.n_samples > 8 * SAMPLE_RATE]
            for side in clips.values()
        )
        object.__setattr__(self, "_by_kind", by_kind)
        object.__setattr__(self, "_songs", songs)
        object.__setattr__(self, "_loose", loose)
        object.__setattr__(self, "_full", full)
        object.__setattr__(self, "_beds", beds)
        object.__setattr__(self, "_made", made)
        object.__setattr__(self, "_made_beds", made_beds)

    _by_kind: dict[str, dict[str, Sequence[Clip]]] = field(init=False, repr=False, compare=False)
    _songs: dict[str, Sequence[Clip]] = field(init=False, repr=False, compare=False)
    _loose: dict[str, Sequence[Clip]] = field(init=False, repr=False, compare=False)
    _full: dict[str, Sequence[Clip]] = field(init=False, repr=False, compare=False)
    _beds: list[Clip] = field(init=False, repr=False, compare=False)
    _made: dict[str, dict[str, Sequence[Clip]]] = field(init=False, repr=False, compare=False)
    _made_beds: list[Clip] = field(init=False, repr=False, compare=False)

    def draw(self, rng: np.random.Generator, n_samples: int, *, full: bool = False) -> Scene:
        """Return one scene's plan.

        Parameters
        ----------
        rng : numpy.random.Generator
            All that is random comes from it.
        n_samples : int
            Length at 44.1 kHz.
        full : bool
            Whether all three stems must be there and the scene keeps its treble and channels,
            as scenes that are reported do.
        """
        present = [full or rng.random() > 0.3 for _ in STEMS]
        if sum(present) == 0:
            present[int(rng.integers(3))] = True
        wide_voice = bool(rng.random() < (0.5 if full else 0.25))
        # Few voices have treble to learn from; most get some that moves with their sibilants.
        folded = not full and not wide_voice and bool(rng.random() < 0.45)
        speech = self._speech(rng, n_samples, wide_voice, folded) if present[0] else ()
        high_hz = 0.0
        if not full and rng.random() < (0.15 if wide_voice or folded else 0.5):
            high_hz = float(np.exp(rng.uniform(np.log(3500), np.log(15000))))
            if not (wide_voice or folded) and rng.random() < 0.7:
                high_hz = float(rng.uniform(7200, 8000))  # no stem has what the voice lacks
        music = self._music(rng, n_samples) if present[1] else ()
        effects = self._effects(rng, n_samples) if present[2] else ()
        if not full:
            # Two of a kind at once, and recordings at low rates: more than the corpus holds.
            if speech and rng.random() < 0.08:
                speech += softer(rng, self._speech(rng, n_samples, wide_voice, folded))
            if music and rng.random() < 0.15:
                music += softer(rng, self._music(rng, n_samples))
            if effects and rng.random() < 0.15:
                effects += softer(rng, self._effects(rng, n_samples))
            music, effects = varied(rng, music), varied(rng, effects)
            if rng.random() < 0.4:
                speech, music, effects = staged(rng, speech, music, effects)
        return Scene(
            n_samples,
            speech,
            music,
            effects,
            (
                float(rng.normal(-22, 3 if full else 5)),
                float(rng.normal(-28, 5 if full else 7)),
                float(rng.normal(-27, 5 if full else 7)),
            ),
            tuple(_automation(rng, full) for _ in STEMS),
            duck_db=float(rng.uniform(3, 12)) if rng.random() < 0.25 else 0.0,
            mono=not full and bool(rng.random() < 0.12),
            high_hz=high_hz,
            mix_db=-29.0 if full else float(rng.normal(-29, 3)),
            holes_db=float(rng.uniform(18, 36)) if not full and rng.random() < 0.08 else 0.0,
        )

    def _speech(
        self, rng: np.random.Generator, n: int, wide: bool, folded: bool
    ) -> tuple[Bus, ...]:
        voices = self._full if wide and self._full else self._by_kind["speech"]
        n_voices = 2 if rng.random() < 0.3 else 1
        room = self._room(rng) if rng.random() < 0.4 else ""
        takes: list[list[Piece]] = [[] for _ in range(n_voices)]
        chosen = []
        for _ in range(n_voices):
            # Those made have no treble to learn from.
            families = self._of(rng, 0 if wide else self.made / 4, "speech", voices)
            chosen.append(families[sorted(families)[rng.integers(len(families))]])
        at = int(rng.uniform(-1.5, 0.8) * SAMPLE_RATE)
        while at < n:
            who = int(rng.integers(n_voices))
            clip = chosen[who][int(rng.integers(len(chosen[who])))]
            start = 0 if clip.n_samples < n else int(rng.integers(0, clip.n_samples - n // 2))
            length = min(clip.n_samples - start, int(rng.uniform(2, 8) * SAMPLE_RATE))
            skip = max(0, -at)
            if length > skip:
                takes[who].append(
                    Piece(
                        clip.path, start + skip, at + skip, min(length, n - at) - skip,
                        float(rng.normal(0, 1.5)),
                    )
                )  # fmt: skip
            gap_s = rng.exponential(0.6) if rng.random() < 0.85 else rng.uniform(1.5, 4)
            at += length + int(gap_s * SAMPLE_RATE)
        buses = []
        for pieces in takes:
            place = rng.random()
            pan = 0.0 if place < 0.6 else float(rng.uniform(-0.7, 0.7))
            to = float(rng.uniform(-0.7, 0.7)) if place > 0.9 else pan
            buses.append(
                Bus(
                    tuple(pieces),
                    _speed(rng, 0.08),
                    (pan, to),
                    room=room,
                    wet_db=float(rng.uniform(-22, -3)),
                    tilt_db=_tilt(rng, 3),
                    low_hz=float(rng.uniform(60, 150)) if rng.random() < 0.4 else 0.0,
                    high_hz=float(rng.uniform(3400, 8000)) if rng.random() < 0.06 else 0.0,
                    fold_db=float(rng.uniform(-18, -6)) if folded else 0.0,
                )
            )
        return tuple(bus for bus in buses if bus.pieces)

    def _music(self, rng: np.random.Generator, n: int) -> tuple[Bus, ...]:
        sung = rng.random() < 1 / 3
        speed = _speed(rng, 0.12)
        width = (
            0.0 if (w := rng.random()) < 0.12 else 1.0 if w < 0.6 else float(rng.uniform(0.2, 1.6))
        )
        common = Bus(
            (),
            speed,
            width=width,
            swap=bool(rng.random() < 0.5),
            room=self._room(rng) if rng.random() < 0.12 else "",
            wet_db=float(rng.uniform(-20, -6)),
            tilt_db=_tilt(rng, 3),
            low_hz=float(rng.uniform(40, 250)) if rng.random() < 0.1 else 0.0,
        )
        source_n = int(n * speed * 1.1)
        # Without made singers no number is drawn.
        if sung and self.made and self._made["singing"] and rng.random() < self.made:
            clip, start = _pick(rng, self._made["singing"], source_n)
            voice = replace(
                common,
                pieces=(Piece(clip.path, start, 0, n),),
                level_db=float(rng.normal(0, 4)),
            )
            return (voice, replace(common, pieces=self._stretch(rng, n, speed)))
        if self._songs and (sung or not self._loose or rng.random() < 0.12):
            name = sorted(self._songs)[rng.integers(len(self._songs))]
            parts = self._songs[name]
            singing = self._by_kind["singing"].get(name, ()) if sung else ()
            start = int(rng.integers(0, max(1, parts[0].n_samples - source_n)))
            own = rng.random() < 0.7
            chosen = [clip for clip in parts if rng.random() < 0.85] or list(parts[:1])
            pieces = [Piece(c.path, start, 0, n, float(rng.normal(0, 2.5))) for c in chosen]
            buses = []
            if own or not self._loose:
                pieces += [Piece(c.path, start, 0, n, float(rng.normal(1, 3))) for c in singing]
                return (replace(common, pieces=tuple(pieces)),)
            # The singer over another piece, at another pitch: more voices than the one act has.
            if singing:
                buses.append(
                    replace(
                        common,
                        pieces=tuple(Piece(c.path, start, 0, n) for c in singing),
                        speed=_speed(rng, 0.22),
                        level_db=float(rng.normal(0, 4)),
                    )
                )
            return (*buses, replace(common, pieces=self._stretch(rng, n, speed)))
        vocal = [c for part in self._loose.values() for c in part if "/vocal/" in c.path]
        if sung and vocal and rng.random() < 0.5:
            clip = vocal[rng.integers(len(vocal))]
            start = int(rng.integers(0, max(1, clip.n_samples - source_n)))
            return (replace(common, pieces=(Piece(clip.path, start, 0, n),)),)
        return (replace(common, pieces=self._stretch(rng, n, speed)),)

    def _stretch(self, rng: np.random.Generator, n: int, speed: float) -> tuple[Piece, ...]:
        """Return one piece of music, or one that ends and another that begins, without a gap."""
        source_n = int(n * speed * 1.1)

        def one() -> tuple[Clip, int]:
            return _pick(rng, self._of(rng, self.made, "music", self._loose), source_n)

        pieces = []
        at = 0
        while at < n:
            longest = n - at
            if rng.random() < 0.15:
                longest = int(longest * rng.uniform(0.3, 0.9))
            clip, start = one()
            # Short loops are repeated until the stretch is full.
            length = min(longest, max(1, int((clip.n_samples - start) / speed)))
            repeats = max(1, -(-longest // length)) if clip.n_samples < source_n else 1
            for k in range(repeats):
                part = min(length, longest - k * length)
                if part > 0:
                    pieces.append(Piece(clip.path, start, at + k * length, part))
            at += min(longest, repeats * length)
        return tuple(pieces)

    def _effects(self, rng: np.random.Generator, n: int) -> tuple[Bus, ...]:
        buses = []
        if self._beds and rng.random() < 0.5:
            found = not self._made_beds or not self.made or rng.random() >= self.made
            beds = self._beds if found else self._made_beds
            clip = beds[rng.integers(len(beds))]
            start = int(rng.integers(0, max(1, clip.n_samples - n)))
            speed = _speed(rng, 0.2)
            n_bed = min(n, int((clip.n_samples - start) / speed))
            pieces = tuple(
                Piece(clip.path, start, at, min(n_bed, n - at)) for at in range(0, n, n_bed)
            )
            buses.append(
                Bus(
                    pieces,
                    speed,
                    None if clip.channels == 2 else (float(rng.uniform(-0.5, 0.5)),) * 2,
                    width=float(rng.uniform(0.3, 1.5)),
                    swap=bool(rng.random() < 0.5),
                    tilt_db=_tilt(rng, 4),
                    level_db=float(rng.uniform(-16, 0)),
                )
            )
        n_events = int(rng.poisson(rng.choice([0.35, 0.8, 1.6]) * n / SAMPLE_RATE))
        pieces_by_room: dict[bool, list[Piece]] = {False: [], True: []}
        for _ in range(max(n_events, 0 if buses else 1)):
            families = self._of(rng, self.made, "effects", self._by_kind["effects"])
            names = sorted(families)
            weights = np.array([np.sqrt(len(families[name])) for name in names])
            name = names[rng.choice(len(names), p=weights / weights.sum())]
            clip = families[name][int(rng.integers(len(families[name])))]
            at = int(rng.integers(0, n))
            pan = float(rng.uniform(-1, 1)) if rng.random() < 0.75 else 0.0
            times = (
                int(rng.integers(2, 7))
                if clip.n_samples < SAMPLE_RATE and rng.random() < 0.4
                else 1
            )
            step = clip.n_samples + int(rng.uniform(0.02, 0.6) * SAMPLE_RATE)
            gain_db = float(rng.normal(0, 4))
            wet = bool(rng.random() < 0.3)
            start = int(rng.integers(0, max(1, clip.n_samples - 6 * SAMPLE_RATE)))
            for k in range(times):
                length = min(clip.n_samples - start, n - at - k * step, 6 * SAMPLE_RATE)
                if length > 0:
                    keep = None if clip.channels == 2 and rng.random() < 0.5 else pan
                    pieces_by_room[wet].append(
                        Piece(clip.path, start, at + k * step, length, gain_db, keep)
                    )
        for wet, events in pieces_by_room.items():
            if events:
                buses.append(
                    Bus(
                        tuple(events),
                        _speed(rng, 0.2),
                        swap=bool(rng.random() < 0.5),
                        room=self._room(rng) if wet else "",
                        wet_db=float(rng.uniform(-18, -3)),
                        tilt_db=_tilt(rng, 3),
                    )
                )
        return tuple(buses)

    def _of(
        self,
        rng: np.random.Generator,
        made: float,
        kind: str,
        found: Mapping[str, Sequence[Clip]],
    ) -> Mapping[str, Sequence[Clip]]:
        """Return the families to draw from; without made ones no number is drawn."""
        return self._made[kind] if made and self._made[kind] and rng.random() < made else found

    def _room(self, rng: np.random.Generator) -> str:
        rooms = [c for part in self._by_kind["rir"].values() for c in part]
        return rooms[rng.integers(len(rooms))].path if rooms else ""


def _pick(
    rng: np.random.Generator, families: Mapping[str, Sequence[Clip]], n_samples: int
) -> tuple[Clip, int]:
    """Return a recording of any family, and where in it so many samples begin."""
    clips = families[sorted(families)[rng.integers(len(families))]]
    clip = clips[int(rng.integers(len(clips)))]
    return clip, int(rng.integers(0, max(1, clip.n_samples - n_samples)))


def _automation(rng: np.random.Generator, full: bool) -> tuple[float, ...]:
    """Return gains over the scene: level, moving, or coming in or going out on the way."""
    if rng.random() < 0.3:
        moving: list[float] = rng.normal(0, 2.5, 5).round(2).tolist()
        return tuple(moving)
    if full or rng.random() > 0.2:
        return (0.0,)
    at = int(rng.integers(1, 4))
    gone, there = (-60.0,) * at, (0.0,) * (5 - at)
    return gone + there if rng.random() < 0.5 else there[::-1] + gone


def _speed(rng: np.random.Generator, spread: float) -> float:
    return 1.0 if rng.random() < 0.3 else float(np.exp(rng.normal(0, spread)))


def _tilt(rng: np.random.Generator, spread_db: float) -> tuple[float, float, float, float]:
    if rng.random() < 0.4:
        return (0.0, 0.0, 0.0, 0.0)
    a, b, c, d = rng.normal(0, spread_db, 4).round(2).tolist()
    return (a, b, c, d)
