"""The commands. Everything they do can be done from Python with the same functions.

Exit codes: 0 done; 1 a check failed; 2 refused, with one sentence on stderr that says what
came, what is allowed and what to do; 130 interrupted, the work kept for the next run.
"""

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from unstir import __version__
from unstir.cli_bench import add_bench
from unstir.cli_chains import add_chains
from unstir.cli_compare import add_compare
from unstir.cli_data import add_data
from unstir.cli_evaluate import add_evaluate
from unstir.cli_live import add_live
from unstir.cli_models import add_models
from unstir.cli_notes import add_notes
from unstir.cli_remix import add_remix
from unstir.cli_train import add_train
from unstir.errors import SettingsError, UnstirError
from unstir.settings import DEFAULT_BASES, DEFAULT_METHODS, FORMATS, Settings
from unstir.types import STEM_SETS

SEPARATE_EXAMPLES = """\
examples:
  unstir separate film.wav
      speech, music and effects into stems/film/
  unstir separate song.flac --stems song -o out
      vocals and accompaniment into out/song/
  unstir separate *.mov --sum ME=music+effects --format pcm24
      also a music-and-effects file for every input
  unstir separate film.mp4 --preview 15s --picture
      the busiest 15 seconds only, with a picture
  unstir separate song.wav --stems song --method nmf --score song.mid
      with the notes of a MIDI file
  unstir separate film.wav --from 1:02:30 --to 1:03:00 --json
      half a minute, progress and result as JSON lines
  unstir separate film.wav --method hybrid --base classical --leakage -0.5 --explain
      the classical fusion, corrected; less bleed; with a picture of what moved it

An interrupted run goes on where it stopped when the same command is given again.
exit codes: 0 done, 2 refused (see stderr), 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after ``unstir``; by default those of the command line.

    Examples
    --------
    >>> main(["separate", "no-such-file.wav"])
    2
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character of a file name must not end the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except UnstirError as error:
        _complain(error)
        return 2
    except KeyboardInterrupt:
        print("unstir: interrupted; give the same command again", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unstir",
        description="Take a finished mix apart: speech, music and effects from a soundtrack, "
        "voice and accompaniment from a song. The stems add up to the mix.",
        epilog="'unstir COMMAND --help' has examples.",
    )
    parser.add_argument("--version", action="version", version=f"unstir {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_separate(commands)

    methods = commands.add_parser(
        "methods",
        help="list the methods",
        description="List the methods: name, kind, stem sets, needs, licence of the weights.",
        epilog="example:\n  unstir methods --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    methods.add_argument("--json", action="store_true", help="one JSON object per line")
    methods.set_defaults(run=_methods)

    info = commands.add_parser(
        "info",
        help="say what a file is and how it would be taken apart",
        description="Say what a file is and how it would be taken apart.",
        epilog="examples:\n  unstir info film.mov\n  unstir info film.mov --stream 1 --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    info.add_argument("file", metavar="FILE", type=Path)
    _add_reading(info)
    info.add_argument("--json", action="store_true", help="as one JSON object")
    info.set_defaults(run=_info)

    demo = commands.add_parser(
        "demo",
        help="take a built-in 20 s scene apart with every method and compare",
        description="Take a built-in 20 s scene apart with every method, compare the stems "
        "with the true ones, and write the default method's stems.",
        epilog="example:\n  unstir demo -o demo-stems",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("demo-stems"),
        help="default: %(default)s",
    )
    demo.set_defaults(run=_demo)

    add_remix(commands)
    add_chains(commands)
    add_notes(commands)
    add_live(commands)
    add_models(commands)
    add_data(commands)
    add_train(commands)
    add_compare(commands)
    add_evaluate(commands)
    add_bench(commands)
    return parser


def _add_separate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "separate",
        help="take files apart into stems that add up to them",
        description="Take files apart. Every input gives a folder with a file per stem and "
        "report.json. Inputs are never written to.",
        epilog=SEPARATE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("inputs", metavar="IN", nargs="+", type=Path, help="sound, or video with sound")
    add(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("stems"),
        help="folder for the result folders (default: %(default)s)",
    )
    add(
        "--method",
        metavar="NAME",
        default="",
        help="see 'unstir methods' (default: "
        + ", ".join(f"{method} for {name}" for name, method in DEFAULT_METHODS.items())
        + ")",
    )
    add(
        "--stems",
        metavar="SET",
        default="film",
        help="; ".join(f"{name}: {', '.join(stems)}" for name, stems in STEM_SETS.items())
        + " (default: %(default)s)",
    )
    add(
        "--sum",
        metavar="NAME=A+B",
        dest="sums",
        type=_sum,
        action="append",
        default=[],
        help="also write the sum of some stems, e.g. ME=music+effects; may be repeated",
    )
    add(
        "--format",
        metavar="FORMAT",
        default="source",
        help=f"{', '.join(FORMATS)} (default: %(default)s, 32-bit float where it was lossy)",
    )
    add(
        "--channels",
        metavar="HOW",
        default="linked",
        help="linked: pairs share a mask; each: every channel on its own (default: %(default)s)",
    )
    add(
        "--lfe",
        metavar="WHERE",
        default="effects",
        help="effects, music, or each (taken apart too); a song's goes to the accompaniment "
        "(default: %(default)s)",
    )
    add("--from", metavar="T", dest="from_s", type=_time, help="start, as 90, 1:30 or 0:01:30.5")
    add("--to", metavar="T", dest="to_s", type=_time, help="end, likewise")
    add(
        "--preview",
        metavar="T",
        dest="preview_s",
        type=_time,
        help="only the loudest, busiest passage of that length, e.g. 15s",
    )
    add("--device", default="auto", help="auto, cpu; for nets also cuda (default: %(default)s)")
    add(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="for methods that draw random numbers (default: %(default)s)",
    )
    _add_reading(parser)
    add("--picture", action="store_true", help="draw the mix and its stems as stems.png")
    add(
        "--base",
        metavar="NAME",
        default="",
        help="for the hybrid: whose stems it corrects, any other method of the stem set that is "
        "ready (default: "
        + ", ".join(f"{base} for {name}" for name, base in DEFAULT_BASES.items())
        + ")",
    )
    add(
        "--leakage",
        metavar="X",
        type=float,
        default=0.0,
        help="for the hybrid: from -1, least of the other stems, to 1, fewest artifacts "
        "(default: %(default)g)",
    )
    add(
        "--score",
        metavar="FILE",
        help="for nmf: a MIDI file with the notes of the music; where its timing differs, it is "
        "laid on the recording",
    )
    add(
        "--explain",
        action="store_true",
        help="for the hybrid: draw which evidence moved the stems where as provenance.png, of the "
        "busiest minute at most",
    )
    add(
        "--resume",
        dest="fresh",
        action="store_false",
        default=False,
        help="go on with an interrupted run (the default)",
    )
    add("--fresh", dest="fresh", action="store_true", help="throw an interrupted run away")
    add("--overwrite", action="store_true", help="replace an older result")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="say nothing but errors")
    how.add_argument(
        "--json",
        action="store_true",
        help="one JSON object per line on stdout: progress, notes, results",
    )
    parser.set_defaults(run=_separate)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stream",
        metavar="N",
        type=int,
        default=0,
        help="which audio stream of a container, from 0 (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-truncated", action="store_true", help="take a file that was cut as far as it goes"
    )


def _separate(options: argparse.Namespace) -> int:
    from unstir.console import reporter
    from unstir.separate import separate_file

    for name in ("from_s", "to_s", "preview_s"):
        value = getattr(options, name)
        if value is not None and name != "from_s" and value <= 0:
            raise SettingsError(f"--{name[:-2]} {value:g} came; a time above 0 is wanted")
    if options.to_s is not None and options.to_s <= (options.from_s or 0):
        raise SettingsError("--to lies before --from; give an end after the start")
    settings = Settings(
        **{
            field.name: getattr(options, field.name)
            for field in dataclasses.fields(Settings)
            if field.name != "sums"
        },
        sums=tuple(options.sums),
    )
    failed = False
    with reporter(quiet=options.quiet, as_json=options.json) as report:
        for path, name in zip(options.inputs, result_names(options.inputs), strict=True):
            try:
                with report.file(path) as listener:
                    result = separate_file(
                        path,
                        options.out,
                        settings,
                        name=name,
                        fresh=options.fresh,
                        overwrite=options.overwrite,
                        picture=options.picture,
                        explain=options.explain,
                        listener=listener,
                    )
                report.result(path, result)
            except UnstirError as error:
                # One bad file of a batch must not cost the others.
                report.error(path, error)
                _complain(error)
                failed = True
    return 2 if failed else 0


def result_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for every input's result folder, all different.

    The file's name without its ending; where two inputs would share it, with the
    ending; where they still would, with the parent folder; then with a number.

    Examples
    --------
    >>> result_names([Path("a/film.wav"), Path("b/film.wav"), Path("song.mp3")])
    ['a film.wav', 'b film.wav', 'song']
    """
    names = [path.stem or path.name for path in paths]
    with_ending = [path.name for path in paths]
    with_parent = [f"{path.absolute().parent.name} {path.name}" for path in paths]
    for longer in (with_ending, with_parent):
        folded = [name.casefold() for name in names]
        for i, key in enumerate(folded):
            if folded.count(key) > 1:
                names[i] = longer[i]
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        count = seen[name.casefold()] = seen.get(name.casefold(), 0) + 1
        if count > 1:
            names[i] = f"{name} {count}"
    return names


def _methods(options: argparse.Namespace) -> int:
    from unstir.console import show_methods

    show_methods(as_json=options.json)
    return 0


def _info(options: argparse.Namespace) -> int:
    from unstir.console import show_info

    show_info(
        options.file,
        stream=options.stream,
        allow_truncated=options.allow_truncated,
        as_json=options.json,
    )
    return 0


def _demo(options: argparse.Namespace) -> int:
    from unstir.demonstrate import demonstrate

    demonstrate(options.out)
    return 0


def _time(text: str) -> float:
    """Return seconds from ``90``, ``15s``, ``1:30`` or ``0:01:30.5``."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)s?", text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 90, 15s, 1:30 or 0:01:30.5")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _sum(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, stems = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no sum; write NAME=stem+stem")
    return name, tuple(stems.split("+"))


def _complain(error: UnstirError) -> None:
    """Print one line: control characters of file names are escaped."""
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(error)
    )
    print(f"unstir: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
