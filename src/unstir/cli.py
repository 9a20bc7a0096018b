"""The commands. Everything they do can be done from Python with the same functions.

Exit codes: 0 done; 1 a check failed; 2 refused, with one sentence on stderr that says what
came, what is allowed and what to do; 130 interrupted, the work kept for the next run; 141 whoever
read the output has gone, as ``head`` does.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from unstir import __version__
from unstir.cli_bench import add_bench
from unstir.cli_chains import add_chains
from unstir.cli_compare import add_compare
from unstir.cli_data import add_data
from unstir.cli_evaluate import add_evaluate
from unstir.cli_extract import add_extract, add_find
from unstir.cli_live import add_live
from unstir.cli_models import add_models
from unstir.cli_notes import add_notes
from unstir.cli_reaper import add_reaper
from unstir.cli_remix import add_remix
from unstir.cli_separate import add_reading, add_separate, complain
from unstir.cli_session import add_session
from unstir.cli_train import add_train
from unstir.cli_worker import add_worker
from unstir.errors import UnstirError


def _finish_saying() -> None:
    """Write out what was said: here, and not at exit, where nobody catches anything."""
    try:
        print(end="", flush=True)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        _say_no_more()  # a terminal that was closed; what was to be done is done


def _say_no_more() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        code = int(options.run(options))
        _finish_saying()
        return code
    except BrokenPipeError:
        _say_no_more()
        return 141
    except UnstirError as error:
        complain(error)
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
    add_separate(commands)
    add_extract(commands)
    add_find(commands)

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
    add_reading(info)
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
    add_session(commands)
    add_reaper(commands)
    add_worker(commands)
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


if __name__ == "__main__":
    sys.exit(main())
