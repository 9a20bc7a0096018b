"""``unstir compare``: every method on a file, side by side on one page."""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from unstir.errors import UnstirError
from unstir.types import STEM_SETS

if TYPE_CHECKING:
    from unstir.console import Reporter
    from unstir.report import Comparison
    from unstir.report_sources import Source


def comma_separated(text: str) -> list[str]:
    """Return names apart by commas; those between quotation marks part nothing.

    Examples
    --------
    >>> comma_separated('midside,query:"talking, loud; a song",,oracle')
    ['midside', 'query:"talking, loud; a song"', 'oracle']
    """
    return re.findall(r'(?:[^,"]|"[^"]*"?)+', text)


def add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir compare``."""
    compare = commands.add_parser(
        "compare",
        help="hear, see and measure every method side by side",
        description="Take an excerpt of a file apart with every method and write one page that "
        "needs no network:\nfigures, spectrograms, players that switch between methods at the "
        "same instant, and a\nblind A/B/X test. The figures also come as CSV and JSON.\n\n"
        "IN is a file or a folder of them. In the layout of Divide and Remaster or MUSDB18-HQ "
        "the true\nstems are known; a single file's may be given with --reference.",
        epilog="examples:\n"
        "  unstir compare film.wav\n"
        "  unstir compare film.wav --methods midside,classical,compact-film --seconds 20\n"
        "  unstir compare mix.wav --reference stems -o report\n"
        "  unstir compare musdb18hq/test --stems song -o report",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = compare.add_argument
    add("input", metavar="IN", type=Path, help="sound, video with sound, or a folder")
    add(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("report"),
        help="folder for the page and the figures (default: %(default)s)",
    )
    add(
        "--methods",
        metavar="NAME,NAME",
        type=comma_separated,
        help="see 'unstir methods'; query:\"talking; a song; noises\" asks in words (default: all "
        "that are ready)",
    )
    add(
        "--reference",
        metavar="DIR",
        type=Path,
        help="folder of the file's true stems, named by stem: speech.wav ...",
    )
    add(
        "--stems",
        metavar="SET",
        default="film",
        help="; ".join(f"{name}: {', '.join(stems)}" for name, stems in STEM_SETS.items())
        + " (default: %(default)s)",
    )
    add(
        "--seconds",
        metavar="S",
        type=float,
        default=30.0,
        help="length of the excerpt (default: %(default)g)",
    )
    add(
        "--start-s",
        metavar="S",
        type=float,
        help="where it begins (default: where it is loudest and busiest)",
    )
    add("--device", default="auto", help="for nets: auto, cpu, cuda (default: %(default)s)")
    add(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="for methods that draw random numbers (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace an older report")
    add("--quiet", action="store_true", help="say nothing but errors")
    compare.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    from unstir.console import reporter
    from unstir.report_files import write_report
    from unstir.report_sources import find_sources

    sources, skipped = find_sources(options.input, stems=options.stems, reference=options.reference)
    single = not options.input.is_dir()
    with reporter(quiet=options.quiet, as_json=False) as report:
        for text in skipped:
            report.console.print(f"skipped: {text}", markup=False)
        write_report(
            options.out,
            _comparisons(options, sources, report, single),
            single=single,
            overwrite=options.overwrite,
        )
    if not options.quiet:
        print(options.out / "index.html")
    return 0


def _comparisons(
    options: argparse.Namespace,
    sources: "tuple[Source, ...]",
    report: "Reporter",
    single: bool,
) -> "Iterator[tuple[str, Comparison]]":
    """Yield the comparison of each file; one bad file of a folder must not cost the others."""
    from unstir.report import compare_file
    from unstir.settings import Progress

    for source in sources:
        with report.file(source.path) as listener:
            try:
                found = compare_file(
                    source.path,
                    stems=options.stems,
                    methods=options.methods,
                    reference=source.references,
                    seconds=options.seconds,
                    start_s=options.start_s,
                    device=options.device,
                    seed=options.seed,
                    listener=listener,
                )
            except UnstirError as error:
                if single:
                    raise
                print(f"unstir: skipped: {ascii(str(error))[1:-1]}", file=sys.stderr)
                continue
            listener(Progress("writing the page", 0, 0))
            yield source.name, found
