"""Methods side by side where the true stems are known: what ``unstir evaluate`` does."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from unstir.bench import keep
from unstir.compare import Row, candidates, compare, levels_markdown, markdown, summary, table
from unstir.errors import SettingsError
from unstir.joined import AnyRefiner
from unstir.journal import write_whole
from unstir.neural.checkpoint import load
from unstir.neural.separator import NetSeparator
from unstir.registry import methods
from unstir.types import SONG, STEM_SETS, Stems

FROZEN_SETS = ("report", "foreign", "song")


@dataclass(frozen=True, slots=True)
class Known:
    """A mix whose true stems are known.

    Parameters
    ----------
    name : str
        Of the mix.
    source : str
        What intervals are drawn over.
    stems : dict of str to ndarray of float32, each of shape (channels, samples)
        They add up to the mix.
    sample_rate : int
        In hertz.
    kinds : tuple of str
        What is known of its dialogue, as `unstir.neural.frozen.dialogue_of` has it.
    """

    name: str
    source: str
    stems: Stems
    sample_rate: int
    kinds: tuple[str, ...] = ()


def evaluate(
    sets: Sequence[str],
    wanted: Sequence[str] | None = None,
    *,
    models: Sequence[Path] = (),
    pack: Path | None = None,
    corpus: Path | None = None,
    n_scenes: int | None = None,
    out: Path | None = None,
) -> None:
    """Print SI-SDR, its improvement and SDR of methods on mixes whose stems are known.

    Parameters
    ----------
    sets : sequence of str
        ``"report"``, ``"foreign"``, ``"song"``, or folders in the layout of Divide and Remaster or
        MUSDB18-HQ.
    wanted : sequence of str, optional
        Methods, ``"all"`` for all that are ready; by default these, or none where there are models.
    models : sequence of Path
        Trained nets, as ``unstir train`` leaves them, to be measured as methods of their names.
    pack : Path, optional
        The corpus as ``unstir data pack`` wrote it, which report and song are mixed from.
    corpus : Path, optional
        The corpus itself, which the foreign set is mixed from.
    n_scenes : int, optional
        Only the first so many mixes of each set.
    out : Path, optional
        Where to keep the figures as JSON, with every row; tables for the documents go beside
        it, as .md. Methods and sets that are there already, and are not measured anew, stay.

    Raises
    ------
    SettingsError
        If a set needs a folder that was not given.
    AudioError
        If the recordings are not those of the frozen lists, or a folder holds no mix.
    """
    console = Console(highlight=False)
    kept = _known(out)
    nets = nets_of(models)
    ready = candidates("film") + candidates("song")
    if wanted is not None:
        each = (ready if name == "all" else [name] for name in wanted)
        wanted = list(dict.fromkeys(chain.from_iterable(each)))
    for name in sets:
        total, mixes = mixes_of(name, pack, corpus, n_scenes)
        measured: list[Row] = []
        names: list[str] = []
        for mix in track(mixes, name, total, console=Console(stderr=True), transient=True):
            stem_set = "song" if SONG[0] in mix.stems else "film"
            own = {k: net for k, net in nets.items() if set(STEM_SETS[stem_set]) <= set(net.stems)}
            names = [] if models and wanted is None else candidates(stem_set, wanted)
            names += own
            measured += [
                compare(
                    method,
                    stem_set,
                    mix.stems,
                    mix.sample_rate,
                    mix_name=mix.name,
                    source=mix.source,
                    separator=own.get(method),
                )
                for method in names
            ]
        rows = [row for row in kept.get(name, []) if row.method not in names] + measured
        # Methods in the registry's order, then models.
        kept[name] = sorted(
            rows, key=lambda row: ready.index(row.method) if row.method in ready else len(ready)
        )
        if not kept[name]:
            del kept[name]
            console.print(f"{name}: none of these methods gives its stems", soft_wrap=True)
            continue
        title = f"{name}: {total} mixes, SI-SDR in dB (gain)"
        console.print(table(summary(kept[name]), title))
    if out is None:
        return
    keep(out, "evaluation", {name: [_rounded(row) for row in rows] for name, rows in kept.items()})
    texts = []
    for name, rows in _parts(kept):
        entries = summary(rows)
        n = len({row.mix for row in rows})
        texts.append(f"{name}, {n} mixes\n\n{markdown(entries)}\n{levels_markdown(entries)}")
    write_whole(out.with_suffix(".md"), "\n".join(texts).encode())


def nets_of(models: Sequence[Path]) -> dict[str, NetSeparator]:
    """Return separators of models by name.

    Raises
    ------
    SettingsError
        If a file is no net that separates a stem set, or two have one name.
    """
    found: dict[str, NetSeparator] = {}
    for path in models:
        model = load(path)
        stems = next((s for s in STEM_SETS.values() if set(s) <= set(model.sources)), None)
        if stems is None or isinstance(model.net, AnyRefiner):
            what = "refines" if isinstance(model.net, AnyRefiner) else "gives"
            raise SettingsError(
                f"{path} {what} {', '.join(model.sources)}; a net that gives the stems of "
                f"{' or '.join(STEM_SETS)} is wanted"
            )
        if path.stem in found or path.stem in methods():
            raise SettingsError(f"there is a {path.stem} already; give {path} another name")
        found[path.stem] = NetSeparator(stems, f"file:{path}")
    return found


def _rounded(row: Row) -> dict[str, Any]:
    """Return a row for a file: a thousandth of a decibel is more than anybody needs."""
    return {
        name: {k: round(v, 3) for k, v in value.items()} if isinstance(value, dict) else value
        for name, value in asdict(row).items()
    }


def _parts(kept: dict[str, list[Row]]) -> Iterator[tuple[str, list[Row]]]:
    """Yield every set, and after the report set its scenes of speech with treble."""
    for name, rows in kept.items():
        yield name, rows
        full = [row for row in rows if row.mix.endswith("full-band")]
        if full:
            yield f"{name}, full-band speech", full


def _known(out: Path | None) -> dict[str, list[Row]]:
    if out is None or not out.exists():
        return {}
    try:
        figures = json.loads(out.read_text(encoding="utf-8"))["figures"]
        return {name: [Row(**row) for row in rows] for name, rows in figures.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SettingsError(
            f"{out} holds something else than figures of 'unstir evaluate'; give another --out"
        ) from None


def mixes_of(
    name: str, pack: Path | None, corpus: Path | None, n: int | None, *, quiet: bool = False
) -> tuple[int, Iterator[Known]]:
    """Return how many mixes a set has, and the mixes one at a time.

    Parameters
    ----------
    name, pack, corpus : str and Path
        As `evaluate` takes them.
    n : int, optional
        Only the first so many.
    quiet : bool
        Whether to say nothing of what a folder holds that is not whole.

    Raises
    ------
    SettingsError
        If a set needs a folder that was not given.
    AudioError
        If a folder holds no mix; while they are mixed, if the recordings are not those of the
        frozen lists.
    """
    from unstir.neural import frozen
    from unstir.neural.pack import SAMPLE_RATE, Pack

    if name not in FROZEN_SETS:
        return _of_folder(Path(name), n, quiet=quiet)
    kinds: list[tuple[str, ...]]
    if name == "foreign":
        if corpus is None:
            raise SettingsError("--set foreign needs --corpus, the folder of recordings")
        total = min(n or frozen.N_FOREIGN, frozen.N_FOREIGN)
        scenes = frozen.foreign_scenes(corpus, total)
        kinds = [frozen.FOREIGN_DIALOGUE] * total
    else:
        if pack is None:
            raise SettingsError(f"--set {name} needs --pack, what 'unstir data pack' wrote")
        opened = Pack(pack)
        if name == "report":
            total = min(n or frozen.N_REPORT, frozen.N_REPORT)
            scenes = frozen.report_scenes(opened, total)
            kinds = [frozen.dialogue_of(plan) for plan in frozen.report_plans(opened)[:total]]
        else:
            total = min(n or frozen.N_SONG, frozen.N_SONG)
            scenes = frozen.song_scenes(opened, total)
            kinds = [()] * total
    return total, (
        Known(*scene, SAMPLE_RATE, kind) for scene, kind in zip(scenes, kinds, strict=True)
    )


def _of_folder(folder: Path, n: int | None, *, quiet: bool) -> tuple[int, Iterator[Known]]:
    from unstir.neural.folders import find_tracks, read_stems

    tracks, skipped = find_tracks(folder)
    for text in () if quiet else skipped:
        Console(stderr=True, highlight=False).print(f"skipped: {text}", markup=False)
    tracks = tracks[:n]

    def mixes() -> Iterator[Known]:
        for one in tracks:
            stems = read_stems(one)
            if SONG[0] in stems:
                others = [value for name, value in stems.items() if name != SONG[0]]
                stems = {SONG[0]: stems[SONG[0]], SONG[1]: np.sum(others, axis=0)}
            yield Known(one.name, one.name, stems, one.sample_rate)

    return len(tracks), mixes()
