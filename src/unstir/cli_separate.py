"""``unstir separate``: files into stems that add up to them."""

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path

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
  unstir separate film.wav --method compact-film
      the net alone: twice as fast
  unstir separate film.wav --base classical --leakage -0.5 --explain
      the classical fusion, corrected; less bleed; with a picture of what moved it

An interrupted run goes on where it stopped when the same command is given again.
exit codes: 0 done, 2 refused (see stderr), 130 interrupted
"""


def add_separate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir separate``."""
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
    add_stretch(parser)
    add(
        "--preview",
        metavar="T",
        dest="preview_s",
        type=time_of,
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
    add_reading(parser)
    add("--picture", action="store_true", help="draw the mix and its stems as stems.png")
    session = "also write project files, e.g. rpp,otio; 'unstir session --help' lists the formats"
    add("--session", metavar="FORMATS", default="", help=session)
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


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add how a file is read."""
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


def add_stretch(parser: argparse.ArgumentParser) -> None:
    """Add between which times a file is read; `check_stretch` checks them."""
    add = parser.add_argument
    add("--from", metavar="T", dest="from_s", type=time_of, help="start, as 90, 1:30 or 0:01:30.5")
    add("--to", metavar="T", dest="to_s", type=time_of, help="end, likewise")


def check_stretch(options: argparse.Namespace) -> None:
    """Refuse an end that does not lie after the start.

    Raises
    ------
    SettingsError
        With what to do.
    """
    if options.to_s is None:
        return
    if options.to_s <= 0:
        raise SettingsError(f"--to {options.to_s:g} came; a time above 0 is wanted")
    if options.to_s <= (options.from_s or 0):
        raise SettingsError("--to lies before --from; give an end after the start")


def _separate(options: argparse.Namespace) -> int:
    from unstir.console import reporter
    from unstir.separate import separate_file
    from unstir.sessions.formats import check_formats, write_sessions
    from unstir.sessions.session import read_session

    formats = options.session.split(",") if options.session else []
    if formats:
        check_formats(formats)
    check_stretch(options)
    if options.preview_s is not None and options.preview_s <= 0:
        raise SettingsError(f"--preview {options.preview_s:g} came; a time above 0 is wanted")
    settings = Settings(
        **{
            field.name: getattr(options, field.name)
            for field in dataclasses.fields(Settings)
            if field.name not in ("sums", "query", "like", "words")
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
                    if formats:
                        session = read_session(result.folder, original=path)
                        write_sessions(session, formats, result.folder, overwrite=True)
                report.result(path, result)
            except UnstirError as error:
                # One bad file of a batch must not cost the others.
                report.error(path, error)
                complain(error)
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


def time_of(text: str) -> float:
    """Return the seconds that a time on the command line means.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is no time.

    Examples
    --------
    >>> [time_of(text) for text in ("90", "15s", "1:30", "0:01:30.5")]
    [90.0, 15.0, 90.0, 90.5]
    """
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


def complain(error: UnstirError) -> None:
    """Print one line: control characters of file names are escaped."""
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(error)
    )
    print(f"unstir: {text}", file=sys.stderr)
