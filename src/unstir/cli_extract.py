"""``unstir extract`` and ``unstir find``: a sound asked for in words, taken out or looked for."""

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from unstir.cli_separate import add_reading, add_stretch, check_stretch
from unstir.errors import SettingsError, UnstirError
from unstir.queries import hints, shorten
from unstir.settings import FORMATS, Note, Settings

if TYPE_CHECKING:
    from unstir.console import Reporter
    from unstir.finding import Found

EXTRACT_EXAMPLES = """\
examples:
  unstir extract street.wav "a dog barking"
      target.wav and residual.wav in extracted/street/a dog barking/, which add up to street.wav
  unstir extract film.mov "dog; siren; rain" -o out --picture
      three targets and one residual, with a picture
  unstir extract film.wav "not the music" --format pcm24
      everything but the music as target, the music as residual
  unstir extract street.wav --like bark.wav
      what sounds like a recording
  unstir extract street.wav "a siren" --strict
      writes nothing, and ends with 3, if there is none

exit codes: 0 done, 2 refused (see stderr), 3 not heard (--strict), 130 interrupted
"""
FIND_EXAMPLES = """\
examples:
  unstir find street.wav "siren"
  unstir find street.wav "dog; siren" -o markers.txt
      labels for Audacity; .csv gives regions for Reaper, .json everything
  unstir find film.mov --like bark.wav --from 10:00 --to 20:00 --json

exit codes: 0 done, 2 refused (see stderr), 3 not heard (--strict; the file of -o is written all
the same, with what was heard, be it nothing), 130 interrupted
"""


def add_extract(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir extract``."""
    parser = commands.add_parser(
        "extract",
        help="take out a sound described in words",
        description="Take out what words describe: a target and a residual that add up to the "
        "input. Several\ndescriptions apart by semicolons give a target each.",
        epilog=EXTRACT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    _add_asking(parser)
    out = "folder for the results, each in IN/WORDS/ (default: %(default)s)"
    add("-o", "--out", metavar="DIR", type=Path, default=Path("extracted"), help=out)
    add("--format", metavar="FORMAT", default="source", help=", ".join(FORMATS))
    method = "query, or audiosep with weights that you add (default: query)"
    add("--method", metavar="NAME", default="", help=method)
    add("--channels", metavar="HOW", default="linked", help="linked or each (default: linked)")
    add("--picture", action="store_true", help="draw the mix and what came out as stems.png")
    add("--fresh", action="store_true", help="throw an interrupted run away")
    add("--overwrite", action="store_true", help="replace an older result")
    parser.set_defaults(run=_extract)


def add_find(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir find``."""
    parser = commands.add_parser(
        "find",
        help="find where a sound described in words occurs",
        description="Say where a sound occurs that words describe: times and scores from 0 to 1.",
        epilog=FIND_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_asking(parser)
    parser.add_argument(
        "-o", "--out", metavar="FILE", type=Path, help="markers as .txt, .csv or .json"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an older FILE")
    parser.set_defaults(run=_find)


def _add_asking(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", metavar="IN", type=Path, help="sound, or video with sound")
    add("query", metavar="WORDS", nargs="?", default="", help='e.g. "a dog barking", "dog; rain"')
    like = "a recording of what is wanted, instead of words; more of them count together"
    add("--like", metavar="FILE", action="append", default=[], help=like)
    words = "small: the encoder that is always there; large: all-MiniLM-L6-v2, an optional package"
    add("--words", metavar="ENCODER", default="small", help=words)
    add("--strict", action="store_true", help="end with 3 if a sound that is wanted is not heard")
    add_stretch(parser)
    add("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    add_reading(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="say nothing but errors")
    how.add_argument("--json", action="store_true", help="one JSON object per line on stdout")


def _settings(options: argparse.Namespace) -> Settings:
    check_stretch(options)
    fields = {field.name for field in dataclasses.fields(Settings)} & vars(options).keys()
    given = {name: getattr(options, name) for name in fields}
    given["like"] = tuple(options.like)
    if not (options.query or options.like):
        raise SettingsError(
            "nothing was asked for; give words in quotation marks, as in: unstir extract in.wav "
            '"a dog barking", or a recording by --like'
        )
    return Settings(**given)


def _extract(options: argparse.Namespace) -> int:
    from unstir.extracting import extract

    with _reporting(options) as report:
        settings = _settings(options)
        with report.file(options.input) as listener:
            done = extract(
                options.input,
                options.out,
                settings,
                strict=options.strict,
                fresh=options.fresh,
                overwrite=options.overwrite,
                picture=options.picture,
                listener=listener,
            )
        _tell(done.found, options)
        if done.result is not None:
            report.result(options.input, done.result)
    return 3 if done.result is None else 0


def _find(options: argparse.Namespace) -> int:
    from unstir.finding import asked_of, listen_for
    from unstir.sighting import check_markers, write_markers

    with _reporting(options) as report:
        if options.out is not None:
            check_markers(options.out, overwrite=options.overwrite)
        settings = _settings(options)
        question = asked_of(settings)
        if question.is_negated:
            wanted = shorten("; ".join(question.queries))
            raise SettingsError(
                f"{shorten(settings.query)!r} came, and find says where sounds are, not where they "
                f"are not; ask for {wanted!r}"
            )
        with report.file(options.input) as listener:
            for text in hints(question.queries):
                listener(Note(text))
            found = listen_for(options.input, settings, listener=listener)
        _tell(found, options)
        if options.out is not None:
            write_markers(found, options.out)
    return 3 if options.strict and not all(one.is_heard for one in found) else 0


@contextlib.contextmanager
def _reporting(options: argparse.Namespace) -> Iterator["Reporter"]:
    """Give a reporter, which tells scripts of a refusal before people read it on stderr."""
    from unstir.console import reporter

    with reporter(quiet=options.quiet, as_json=options.json) as report:
        try:
            yield report
        except UnstirError as error:
            report.error(options.input, error)
            raise


def _tell(found: "tuple[Found, ...]", options: argparse.Namespace) -> None:
    from unstir.sighting import clock

    for one in found:
        query = shorten(one.query)
        if options.json:
            heard = {"event": "heard", "input": str(options.input), **dataclasses.asdict(one)}
            print(json.dumps(heard), flush=True)
        elif not options.quiet:
            if not one.is_heard:
                print(f"{query}: not heard (score {one.score:.2f})")
            for span in one.spans:
                print(
                    f"{query}: {clock(span.start_s)} to {clock(span.end_s)} "
                    f"(score {span.score:.2f})"
                )
