"""Scenes for the song net: a singer over an accompaniment.

The plan is a film scene's, with the vocals in the place of the speech, the accompaniment
in that of the music, and no effects, so that it renders the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from unstir.neural.pack import SAMPLE_RATE, Clip, Pack, of_labels
from unstir.neural.scenes import Bus, Piece, Scene, _speed, _tilt
from unstir.neural.split import GATHERED, MADE


@dataclass(frozen=True)
class SongRecipe:
    """Draws songs of one split of a pack: whole projects remixed, and singers over other music.

    Parameters
    ----------
    pack : Pack
        The recordings.
    split : str
        ``"train"``, ``"choose"`` or ``"report"``.
    made : float
        How likely a backing that is not the song's own is drawn from what was made or gathered,
        if the split holds any.
    spoken : float
        How likely another voice stands in for the singer, of whom there are few: speech that was
        made to sing (``scripts/make_singing.py``) where the pack holds it, else talkers, since
        what a voice has that instruments lack is learned from them, too.
    """

    pack: Pack
    split: str
    made: float = 0.0
    spoken: float = 0.0
    _singing: dict[str, Sequence[Clip]] = field(init=False, repr=False, compare=False)
    _stand_ins: dict[str, Sequence[Clip]] = field(init=False, repr=False, compare=False)
    _music: dict[str, Sequence[Clip]] = field(init=False, repr=False, compare=False)
    _made: dict[str, Sequence[Clip]] = field(init=False, repr=False, compare=False)
    _rooms: list[Clip] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        every_singer = of_labels(self.pack.select(self.split, "singing"))
        singing = {name: part for name, part in every_singer.items() if not name.startswith(MADE)}
        sung = {name: part for name, part in every_singer.items() if name.startswith(MADE)}
        every = of_labels(
            clip for clip in self.pack.select(self.split, "music") if "/vocal/" not in clip.path
        )
        made = {name: part for name, part in every.items() if name.startswith((MADE, GATHERED))}
        music = {name: part for name, part in every.items() if name not in made}
        stand_ins = sung or of_labels(self.pack.select(self.split, "speech"))
        object.__setattr__(self, "_singing", singing)
        object.__setattr__(self, "_stand_ins", stand_ins)
        object.__setattr__(self, "_music", music)
        object.__setattr__(self, "_made", made)
        object.__setattr__(self, "_rooms", self.pack.select(self.split, "rir"))

    def draw(self, rng: np.random.Generator, n_samples: int, *, full: bool = False) -> Scene:
        """Return one scene's plan, as `unstir.neural.scenes.Recipe.draw` does."""
        n = n_samples
        # Without stand-ins no number is drawn.
        spoken = bool(self.spoken and self._stand_ins) and rng.random() < self.spoken
        names = sorted(self._singing)
        name = names[int(rng.integers(len(names)))]
        vocals = self._singing[name]
        own = not spoken and (full or rng.random() < 0.6)
        speed = 1.0 if full else _speed(rng, 0.12)
        start = self._start(rng, vocals, int(1.2 * n * max(1, speed)))
        sung = full or rng.random() < 0.92
        pieces = tuple(Piece(clip.path, start, 0, n) for clip in vocals)
        voice = Bus(
            (self._stand_in(rng, n) if spoken else pieces) if sung else (),
            speed if own else _speed(rng, 0.22),
            width=1.0 if full or rng.random() < 0.5 else float(rng.uniform(0, 1.3)),
            swap=not full and bool(rng.random() < 0.5),
            room=self._room(rng) if not full and rng.random() < 0.3 else "",
            wet_db=float(rng.uniform(-22, -6)),
            tilt_db=(0.0,) * 4 if full else _tilt(rng, 3),
        )
        if own and name in self._music:
            parts = [c for c in self._music[name] if full or rng.random() < 0.85]
            parts = parts or list(self._music[name][:1])
            gains = rng.normal(0, 0 if full else 3, len(parts))
            pieces = tuple(
                Piece(clip.path, start, 0, n, float(gain))
                for clip, gain in zip(parts, gains, strict=True)
            )
        else:
            # Without made music no number is drawn.
            made = self.made and self._made and rng.random() < self.made
            music = self._made if made else self._music
            loose = sorted(music.keys() - {name}) or sorted(music)
            others = music[loose[int(rng.integers(len(loose)))]]
            clip = others[int(rng.integers(len(others)))]
            at = int(rng.integers(0, max(1, clip.n_samples - int(1.2 * n))))
            length = min(n, clip.n_samples - at)
            pieces = tuple(
                Piece(clip.path, at, k, min(length, n - k))
                for k in range(0, n, max(length, n // 8))
            )
        backing = Bus(
            pieces,
            speed,
            width=1.0 if full or rng.random() < 0.6 else float(rng.uniform(0.2, 1.5)),
            swap=not full and bool(rng.random() < 0.5),
            tilt_db=(0.0,) * 4 if full else _tilt(rng, 3),
        )
        return Scene(
            n,
            (voice,) if voice.pieces else (),
            (backing,) if backing.pieces else (),
            (),
            (
                float(rng.normal(-22, 1 if full else 4)),
                float(rng.normal(-20, 1 if full else 3)),
                -60.0,
            ),
            mono=not full and bool(rng.random() < 0.1),
            high_hz=float(rng.uniform(5000, 16000)) if not full and rng.random() < 0.15 else 0.0,
            mix_db=-29.0 if full else float(rng.normal(-29, 3)),
        )

    def _stand_in(self, rng: np.random.Generator, n: int) -> tuple[Piece, ...]:
        """Return what one other voice says or sings, one recording after the other."""
        names = sorted(self._stand_ins)
        clips = self._stand_ins[names[int(rng.integers(len(names)))]]
        pieces = []
        at = 0
        while at < n:
            clip = clips[int(rng.integers(len(clips)))]
            start = int(rng.integers(0, max(1, clip.n_samples - n)))
            length = min(clip.n_samples - start, n - at)
            pieces.append(Piece(clip.path, start, at, length))
            at += length + int(rng.uniform(0.05, 0.5) * SAMPLE_RATE)
        return tuple(pieces)

    def _start(self, rng: np.random.Generator, vocals: Sequence[Clip], n: int) -> int:
        """Return where to begin: of three places the one with the most singing in ``n`` samples."""
        last = max(1, vocals[0].n_samples - n)
        places = [int(place) for place in rng.integers(0, last, 3)]

        def power(start: int) -> float:
            parts = [self.pack.read(clip, start, n) for clip in vocals]
            return sum(float(np.sum(part**2)) for part in parts)

        return max(places, key=power)

    def _room(self, rng: np.random.Generator) -> str:
        return self._rooms[int(rng.integers(len(self._rooms)))].path if self._rooms else ""
