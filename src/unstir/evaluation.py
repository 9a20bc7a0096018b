"""Every method on the frozen scenes: what ``unstir evaluate`` does."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track

from unstir.bench import keep
from unstir.compare import Row, candidates, compare, levels_markdown, markdown, summary, table
from unstir.errors import SettingsError
from unstir.journal import write_whole
from unstir.types import Stems


def evaluate(
    pack: Path,
    corpus: Path | None,
    sets: Sequence[str],
    wanted: Sequence[str] | None = None,
    *,
    n_scenes: int | None = None,
    out: Path | None = None,
) -> None:
    """Print SI-SDR, its improvement and SDR of methods on the frozen scenes.

    Parameters
    ----------
    pack : Path
        The corpus as ``unstir data pack`` wrote it.
    corpus : Path or None
        The corpus itself, which the foreign set is mixed from.
    sets : sequence of str
        Out of ``"report"`` and ``"foreign"``.
    wanted : sequence of str, optional
        Methods; by default all that are ready.
    n_scenes : int, optional
        Only the first so many scenes of each set.
    out : Path, optional
        Where to keep the figures as JSON, with every row; tables for the documents go beside
        it, as .md. Methods and sets that are there already, and are not measured anew, stay.

    Raises
    ------
    AudioError
        If the recordings are not those of the frozen lists.
    """
    console = Console(highlight=False)
    kept = _known(out)
    names = candidates("film", wanted)
    for name in sets:
        rows: list[Row] = []
        scenes = list(_scenes(name, pack, corpus, n_scenes))
        for mix, source, stems in track(
            scenes, description=name, console=Console(stderr=True), transient=True
        ):
            rows += [
                compare(method, "film", stems, 44100, mix_name=mix, source=source)
                for method in names
            ]
        before = [row for row in kept.get(name, []) if row.method not in names]
        order = candidates("film", None)
        kept[name] = sorted(
            before + rows, key=lambda row: order.index(row.method) if row.method in order else -1
        )
        title = f"{name}: {len(scenes)} scenes, SI-SDR in dB (gain)"
        console.print(table(summary(kept[name]), title))
    if out is None:
        return
    keep(out, "evaluation", {name: [asdict(row) for row in rows] for name, rows in kept.items()})
    texts = []
    for name, rows in _parts(kept):
        entries = summary(rows)
        n = len({row.mix for row in rows})
        texts.append(f"{name}, {n} scenes\n\n{markdown(entries)}\n{levels_markdown(entries)}")
    write_whole(out.with_suffix(".md"), "\n".join(texts).encode())


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


def _scenes(
    name: str, pack: Path, corpus: Path | None, n_scenes: int | None
) -> Iterator[tuple[str, str, Stems]]:
    from unstir.neural import frozen
    from unstir.neural.pack import Pack

    if name == "report":
        yield from frozen.report_scenes(Pack(pack), n_scenes or frozen.N_REPORT)
    elif corpus is None:
        raise SettingsError("--set foreign is mixed from recordings; give their folder by --corpus")
    else:
        yield from frozen.foreign_scenes(corpus, n_scenes or frozen.N_FOREIGN)
