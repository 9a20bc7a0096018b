"""Scenes that ask: a few sounds at once, and a caption of one of them, or of one that is absent.

The plan is a film scene's, with what is asked for in the place of the speech and everything else
in those of music and effects, so that it renders the same way. A part are film scenes as they are,
asked for one of their three stems.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from unstir.neural.captions import HELD_OUT, classes, classes_of, draw_caption
from unstir.neural.pack import SAMPLE_RATE, Clip, Pack
from unstir.neural.scenes import Bus, Piece, Recipe, Scene, _speed, _tilt
from unstir.neural.split import MADE

KINDS = {"speech": 0.14, "singing": 0.04, "music": 0.16, "effects": 0.66}
# What holds so many kinds of sounds that two of them may be told apart by narrower words.
WIDE = ("sound effects", "animal", "music", "speech", "bird", "dog", "footsteps", "water")
FILM_CLASSES = ("speech", "music", "sound effects")
FILM_KINDS = ("speech", "music", "effects")


@dataclass(frozen=True, slots=True)
class Asked:
    """A scene and what it is asked for.

    Parameters
    ----------
    scene : Scene
        Its plan.
    target : int
        Which of its three stems is asked for; a silent one if the sound is absent.
    name : str
        The class that is asked for.
    caption : str
        The words.
    example : str
        Path of another recording of the class.
    sounds : tuple of str
        The narrowest class of everything that plays, what is asked for first.
    """

    scene: Scene
    target: int
    name: str
    caption: str
    example: str
    sounds: tuple[str, ...]

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes that nothing in the scene belongs to, but for those of `HELD_OUT`."""
        buses = (*self.scene.speech, *self.scene.music, *self.scene.effects)
        heard = {name for bus in buses for piece in bus.pieces for name in classes_of(piece.clip)}
        return tuple(name for name in classes() if name not in heard and name not in HELD_OUT)


@dataclass(frozen=True)
class QueryRecipe:
    """Draws scenes that ask, from one split of a pack.

    Parameters
    ----------
    pack : Pack
        The recordings.
    split : str
        ``"train"``, ``"choose"`` or ``"report"``.
    film : float
        Share of film scenes.
    absent : float
        Share, among the others, that are asked for what they do not hold.
    pairs : float
        Share, among the others, of two sounds all along, the first at -5 to +5 dB of the other.
    targets : tuple of str
        Classes to ask for, or none for all that `unstir.neural.captions.HELD_OUT` leaves. A sound
        that is held out plays only where it is asked for.
    """

    pack: Pack
    split: str
    film: float = 0.25
    absent: float = 0.1
    pairs: float = 0.35
    targets: tuple[str, ...] = ()
    _clips: dict[str, list[Clip]] = field(init=False, repr=False, compare=False)
    _of_kind: dict[str, list[str]] = field(init=False, repr=False, compare=False)
    _wanted: dict[str, list[Clip]] = field(init=False, repr=False, compare=False)
    _rooms: list[Clip] = field(init=False, repr=False, compare=False)
    _scenes: Recipe | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        of_class: dict[str, list[Clip]] = defaultdict(list)
        wanted: dict[str, list[Clip]] = defaultdict(list)
        of_kind: dict[str, dict[str, None]] = defaultdict(dict)
        # Of what nobody trained on there is too little to leave some of it to another split.
        splits = ("train", "choose", "report") if self.targets else (self.split,)
        for split in splits:
            for clip in self.pack.select(split, *KINDS):
                names = classes_of(clip.path)
                if clip.family.startswith(MADE) or not names:
                    continue
                if self.targets and set(names) & set(self.targets):
                    wanted[next(name for name in self.targets if name in names)].append(clip)
                if split != self.split or set(names) & set(HELD_OUT):
                    continue
                of_class[names[-1]].append(clip)
                of_kind[clip.kind][names[-1]] = None
        object.__setattr__(self, "_clips", dict(of_class))
        object.__setattr__(self, "_of_kind", {kind: list(names) for kind, names in of_kind.items()})
        object.__setattr__(self, "_wanted", dict(wanted))
        object.__setattr__(self, "_rooms", self.pack.select(self.split, "rir"))
        object.__setattr__(self, "_scenes", Recipe(self.pack, self.split) if self.film else None)

    def draw(self, rng: np.random.Generator, n_samples: int, *, full: bool = False) -> Asked:
        """Return one scene and what it is asked for.

        Parameters
        ----------
        rng : numpy Generator
            Where chance comes from.
        n_samples : int
            Length of the scene at 44.1 kHz.
        full : bool
            Whether it is drawn as figures want it: two sounds all along, short ones over and over,
            the first at -5 to +5 dB of the other, asked for by its narrowest name.
        """
        if self._scenes is not None and not full and rng.random() < self.film:
            return self._film(rng, n_samples)
        clip, names = self._target(rng)
        narrow = names[-1]
        name = narrow if full or rng.random() < 0.6 else names[int(rng.integers(len(names)))]
        pair = full or bool(rng.random() < self.pairs)
        n_others = 1 if pair else int(rng.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
        others = [self._other(rng, name, names) for _ in range(n_others)]
        target = self._bus(rng, clip, n_samples, full, pair)
        rest = tuple(self._bus(rng, one, n_samples, full, pair) for one in others)
        caption = name if full else draw_caption(rng, name)
        level_db = -25.0 + float(rng.uniform(-5, 5) if pair else rng.normal(0, 5))
        # The first of the others stands in one stem, the rest in the other, at levels of their own.
        scene = Scene(
            n_samples,
            (target,),
            rest[:1],
            rest[1:],
            (level_db, -25.0, -25.0 + float(rng.normal(0, 3))),
            mono=not full and bool(rng.random() < 0.12),
            high_hz=float(rng.uniform(4000, 15000)) if not full and rng.random() < 0.15 else 0.0,
            mix_db=-29.0 if full else float(rng.normal(-29, 3)),
        )
        if not full and rng.random() < self.absent:
            scene = replace(scene, speech=())
        same = [one for one in self._clips.get(narrow, []) if one.path != clip.path]
        example = same[int(rng.integers(len(same)))].path if same else clip.path
        sounds = (narrow, *(classes_of(one.path)[-1] for one in others))
        return Asked(scene, 0, name, caption, example, sounds)

    def _film(self, rng: np.random.Generator, n_samples: int) -> Asked:
        assert self._scenes is not None  # for the types
        scene = self._scenes.draw(rng, n_samples)
        target = int(rng.integers(3))
        name = FILM_CLASSES[target]
        narrow = self._any_name(rng, FILM_KINDS[target])
        clips = self._clips[narrow]
        example = clips[int(rng.integers(len(clips)))].path
        return Asked(scene, target, name, draw_caption(rng, name), example, (narrow,))

    def _target(self, rng: np.random.Generator) -> tuple[Clip, tuple[str, ...]]:
        if self._wanted:
            name = sorted(self._wanted)[int(rng.integers(len(self._wanted)))]
            clips = self._wanted[name]
            # Its narrowest class may be another one; what is asked for goes last.
            clip = clips[int(rng.integers(len(clips)))]
            return clip, (*(n for n in classes_of(clip.path) if n != name), name)
        clip = self._any(rng)
        return clip, classes_of(clip.path)

    def _any(self, rng: np.random.Generator) -> Clip:
        kinds = [kind for kind in KINDS if self._of_kind.get(kind)]
        shares = np.array([KINDS[kind] for kind in kinds])
        kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
        clips = self._clips[self._any_name(rng, kind)]
        return clips[int(rng.integers(len(clips)))]

    def _any_name(self, rng: np.random.Generator, kind: str) -> str:
        names = self._of_kind[kind]
        weights = np.array([len(self._clips[name]) ** 0.5 for name in names])
        return names[int(rng.choice(len(names), p=weights / weights.sum()))]

    def _other(self, rng: np.random.Generator, name: str, names: Sequence[str]) -> Clip:
        """Return a recording that no fair reader would take for what is asked for."""
        narrow = set(names) - set(WIDE)
        while True:
            clip = self._any(rng)
            found = set(classes_of(clip.path))
            if name not in found and not narrow & found:
                return clip

    def _bus(self, rng: np.random.Generator, clip: Clip, n: int, full: bool, pair: bool) -> Bus:
        """Return a recording as it plays in a scene: once, over and over, or all along."""
        again = 1
        all_along = pair or rng.random() < 0.4
        if all_along:
            again = n // clip.n_samples + 1
        elif clip.kind in ("speech", "effects") and clip.n_samples < 0.6 * n:
            again = int(rng.integers(2, 8)) if rng.random() < 0.6 else 1
        at = 0 if all_along else int(rng.integers(0, max(1, n - clip.n_samples)))
        pieces = []
        for _ in range(again):
            start = self._start(rng, clip, n)
            length = min(clip.n_samples - start, n - at)
            if length > 1024:
                pieces.append(Piece(clip.path, start, at, length))
            at += length + int(rng.uniform(0.03, 0.2 if all_along else 0.7) * SAMPLE_RATE)
            if at >= n:
                break
        if not pieces:
            pieces = [Piece(clip.path, 0, max(0, n - clip.n_samples), min(n, clip.n_samples))]
        pan = float(rng.uniform(-0.9, 0.9)) if rng.random() < 0.7 else 0.0
        return Bus(
            tuple(pieces),
            1.0 if full else _speed(rng, 0.12),
            (pan, pan) if clip.channels == 1 else None,
            width=1.0 if full else float(rng.uniform(0.0, 1.4)),
            swap=bool(rng.random() < 0.5),
            room=self._rooms[int(rng.integers(len(self._rooms)))].path
            if self._rooms and not full and rng.random() < 0.25
            else "",
            wet_db=float(rng.uniform(-20, -5)),
            tilt_db=(0.0,) * 4 if full else _tilt(rng, 3),
        )

    def _start(self, rng: np.random.Generator, clip: Clip, n: int) -> int:
        """Return where to begin: of three places in a long recording the loudest."""
        if clip.n_samples <= n:
            return 0
        places = [int(place) for place in rng.integers(0, clip.n_samples - n, 3)]
        return max(places, key=lambda place: float(np.sum(self.pack.read(clip, place, n) ** 2)))
