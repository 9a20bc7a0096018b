"""The scenes that report: from one split alone, drawn from fixed seeds, held by hashes.

Three sets of stems. ``report`` is our own film recipe; ``foreign`` is the published dnr3 recipe in
stereo, by other code, at other levels and densities; ``song`` is a song that nothing trained on, by
an act that was: there is no other. Nothing trains on their sources.

And two lists of mixes of two sounds that are asked for one of them: of classes that training asked
for, and of those that it never did.
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from unstir.errors import AudioError
from unstir.neural.captions import HELD_OUT
from unstir.neural.dnr import RECIPES
from unstir.neural.dnr_render import Scene as DnrScene
from unstir.neural.dnr_render import dnr_sources, mix_scene
from unstir.neural.folders import Sound
from unstir.neural.pack import SAMPLE_RATE, Pack
from unstir.neural.query_scenes import Asked, QueryRecipe
from unstir.neural.render import render
from unstir.neural.scenes import FULL_BAND_HZ, Recipe, Scene, digest
from unstir.neural.songs import SongRecipe
from unstir.neural.split import assign, family
from unstir.types import FILM, SONG, Stems

SEED = 2000
DURATION_S = 20.0
N_REPORT, N_FOREIGN, N_SONG = 60, 40, 12
FOREIGN_DIALOGUE = ("centered", "dry")  # of all its scenes: that recipe pans effects alone

QUERY_SEED = 3000
QUERY_S = 5.0
N_QUERY = {"seen": 150, "held out": 60}

# Of the scene lists that the figures in docs/neural.md and docs/query.md were made on. The first
# three were fixed before the net that ships was trained.
FROZEN = {
    "report": "8ed937b23a27980a1c19b6aab96d3911166b04dd882dc87b7f1fee3cb3876837",
    "foreign": "b8c2c7e10357269680c48e9f846d19ff4d463bb63fd5ae61e49313249df968fa",
    "song": "6473f4e7d4e5a36510f561a0c276ceeea269bc8d62902ced64752754a640682f",
    "seen": "d0e806e33c8a46d987e96c5e7d735d9efeb86a3bd14df1205dcfec0e69e6c6bb",
    "held out": "689b14914b68ae37c9945411810b962954a1ea30582ac7ce3c2db1c1ff4d712b",
}


def report_plans(pack: Pack) -> list[Scene]:
    """Return the plans of the 60 scenes of our own recipe."""
    recipe = Recipe(pack, "report")
    n = int(DURATION_S * SAMPLE_RATE)
    return [recipe.draw(np.random.default_rng([SEED, i]), n, full=True) for i in range(N_REPORT)]


def dialogue_of(plan: Scene) -> tuple[str, str]:
    """Return how the dialogue of a plan stands: its place and its room, for tables by kind.

    Place is ``"moving"`` if a voice ends elsewhere than it began, else ``"wide"`` if one stands
    off the middle, else ``"centered"``. Room is ``"reverberant"`` if the recipe put the voices
    into one, at whatever level, else ``"dry"``; what a recording brings along is not known.

    Examples
    --------
    >>> from unstir.neural.plans import Bus
    >>> dialogue_of(Scene(9, speech=(Bus((), pan=(0.0, 0.0)), Bus((), pan=(0.0, 0.5)))))
    ('moving', 'dry')
    """
    places = [bus.pan or (0.0, 0.0) for bus in plan.speech]
    if any(begin != end for begin, end in places):
        place = "moving"
    else:
        place = "wide" if any(begin for begin, _ in places) else "centered"
    return place, "reverberant" if any(bus.room for bus in plan.speech) else "dry"


def report_scenes(pack: Pack, n: int = N_REPORT) -> Iterator[tuple[str, str, Stems]]:
    """Yield names, sources and stems of the scenes of our own recipe.

    Parameters
    ----------
    pack : Pack
        The packed corpus.
    n : int
        How many of them, from the first on.

    Yields
    ------
    tuple of str, str and dict
        A name, which says ``full-band`` where the speech has treble; the music's family, which
        intervals are drawn over; and the stems, float32 of shape (2, samples), at 44.1 kHz.

    Raises
    ------
    AudioError
        If the recordings are others than those of the frozen list.
    """
    plans = report_plans(pack)
    _check("report", digest(plans))
    clips = {clip.path: clip for clip in pack.clips}
    for index, plan in enumerate(plans[:n]):
        source = clips[plan.music[-1].pieces[0].clip].family
        bands_hz = [clips[p.clip].bandwidth_hz for bus in plan.speech for p in bus.pieces]
        full = " full-band" if min(bands_hz) > FULL_BAND_HZ else ""
        yield (
            f"report {index}{full}",
            source,
            dict(zip(FILM, render(plan, pack, clips), strict=True)),
        )


def song_plans(pack: Pack) -> list[Scene]:
    """Return the plans of 12 stretches of the song that reports, mixed at several levels."""
    recipe = SongRecipe(pack, "report")
    n = int(DURATION_S * SAMPLE_RATE)
    return [recipe.draw(np.random.default_rng([SEED, i]), n, full=True) for i in range(N_SONG)]


def song_scenes(pack: Pack, n: int = N_SONG) -> Iterator[tuple[str, str, Stems]]:
    """Yield names, sources and stems of songs, as `report_scenes` does of film scenes."""
    plans = song_plans(pack)
    _check("song", digest(plans))
    clips = {clip.path: clip for clip in pack.clips}
    for index, plan in enumerate(plans[:n]):
        stems = render(plan, pack, clips)[: len(SONG)]
        source = clips[plan.speech[0].pieces[0].clip].family
        yield f"song {index}", source, dict(zip(SONG, stems, strict=True))


def foreign_scenes(corpus: Path, n: int = N_FOREIGN) -> Iterator[tuple[str, str, Stems]]:
    """Yield names, sources and stems of scenes by the dnr3 recipe, in stereo.

    Parameters
    ----------
    corpus : Path
        A folder with ``MANIFEST.csv``; only recordings of the report split are used.
    n : int
        How many scenes, from the first on.

    Yields
    ------
    tuple of str, str and dict
        A name, the music's family, and the stems: float32 of shape (2, samples), at 44.1 kHz.

    Raises
    ------
    AudioError
        If the recordings are others than those of the frozen list.
    """
    with (corpus / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    splits = assign(rows)

    def sounds(kind: str) -> list[Sound]:
        return [
            Sound(corpus / row["path"], row["path"], row["label"], float(row["seconds"]))
            for row in rows
            # A multitrack's single instruments are no music by themselves.
            if row["kind"] == kind
            and splits[family(row)] == "report"
            and not family(row).startswith("song:")
        ]

    used = {kind: sounds(kind) for kind in FILM}
    _check("foreign", _digest(used))
    sources = dnr_sources(**used)
    for index in range(n):
        scene: DnrScene = mix_scene(
            RECIPES["dnr3"],
            sources,
            seed=SEED,
            index=index,
            duration_s=DURATION_S,
            channels=2,
            sample_rate=SAMPLE_RATE,
        )
        music = [a.file for a in scene.annotations if a.kind == "music"]
        source = family_of(rows, music[0]) if music else "none"
        yield f"foreign {index}", source, dict(scene.stems)


def query_plans(pack: Pack, kind: str) -> list[tuple[Asked, str]]:
    """Return the plans of mixes of two sounds, each with a class of which it holds nothing.

    Parameters
    ----------
    pack : Pack
        The packed corpus.
    kind : str
        ``"seen"``, or ``"held out"``: asked for sounds of classes that nothing trained to answer
        to. Of these there are so few that recordings of all splits ask, but none was ever a target.
    """
    held_out = kind == "held out"
    recipe = QueryRecipe(pack, "report", film=0, targets=HELD_OUT if held_out else ())
    found = []
    for index in range(N_QUERY[kind]):
        rng = np.random.default_rng([QUERY_SEED, int(held_out), index])
        asked = recipe.draw(rng, int(QUERY_S * SAMPLE_RATE), full=True)
        absent = asked.absent
        found.append((asked, absent[int(rng.integers(len(absent)))]))
    return found


def frozen_queries(pack: Pack, kind: str) -> list[tuple[Asked, str]]:
    """Return `query_plans`, if they are those of the frozen list.

    Raises
    ------
    AudioError
        If the recordings are others than those of the frozen list.
    """
    plans = query_plans(pack, kind)
    found = hashlib.sha256()
    for asked, _ in plans:
        found.update(json.dumps(asdict(asked), sort_keys=True).encode())
    _check(kind, found.hexdigest())
    return plans


def family_of(rows: list[dict[str, str]], path: str) -> str:
    """Return the family of a recording by its path."""
    return next((family(row) for row in rows if row["path"] == path), "none")


def _digest(used: dict[str, list[Sound]]) -> str:
    """Return the hash of what a scene list follows from: sources, recipe, seed."""
    lists = {kind: [(s.name, round(s.duration_s, 3)) for s in part] for kind, part in used.items()}
    recipe = {k: str(v) for k, v in asdict(RECIPES["dnr3"]).items()}
    text = json.dumps([lists, recipe, SEED, DURATION_S, N_FOREIGN], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check(name: str, found: str) -> None:
    if FROZEN[name] != found:
        raise AudioError(
            f"the recordings give {name} scenes {found[:12]}, the frozen list is "
            f"{FROZEN[name][:12]}; figures on other recordings cannot be compared: use the "
            "corpus that the list was made of"
        )
