"""``unstir session``: stems as projects of editors' programs, or as post-production wants them."""

import argparse
from fractions import Fraction
from pathlib import Path

from unstir.errors import SettingsError

NAMES = "rpp, ardour, mlt, otio, fcp7, fcpx, dawproject, aaf, wav"
EXAMPLES = """\
examples:
  unstir session stems/film --to rpp
      stems/film/film.rpp: stems in a folder, the original muted below
  unstir session stems/film --to rpp --fx speech=dialogue-clarity music=de-mud
      the same, with equalizers on two tracks, live
  unstir session stems/film --to mlt,otio,fcp7,fcpx --video film.mov -o cut
      for Kdenlive and Shotcut, Resolve, Premiere, Final Cut, with the picture
  unstir session stems/film --to aaf --fps 23.976
      for Pro Tools and Media Composer, mono clips with time code
  unstir session stems/film --to wav --split mono --order film --two-pop
      film_DX_5.1.L.wav, film_DX_5.1.C.wav ... with a 2-pop
"""


def add_session(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir session``."""
    parser = commands.add_parser(
        "session",
        help="project files of editors' programs from a folder of stems",
        description="Lay stems on named, colored tracks of a project, the original muted below, "
        "markers where speech\nstarts. FOLDER is what 'unstir separate' made, or any folder of "
        "stems. Nothing in it is changed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=Path, help="a folder of stems")
    add(
        "--to",
        metavar="FORMAT,FORMAT",
        required=True,
        type=lambda text: [name for name in text.split(",") if name],
        help=f"one or more of {NAMES}",
    )
    add(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        help="folder for the projects (default: FOLDER, so that all can be moved together)",
    )
    add(
        "--original",
        metavar="FILE",
        type=Path,
        help="what the stems were made from (default: "
        "looked for by name and content in the two folders above and here)",
    )
    add("--video", metavar="FILE", type=Path, help="this picture on the timeline, at its rate")
    add(
        "--fps",
        metavar="N",
        dest="fps",
        help="frames a second: 25, 23.976, 30000/1001 (default: the video's, or 25)",
    )
    add(
        "--fx",
        metavar="STEM=CHAIN",
        nargs="+",
        action="extend",
        default=[],
        help="in rpp: an equalizer on a stem, live: a name from 'unstir chains' or a .json",
    )
    add("--no-markers", action="store_true", help="do not look where speech starts")
    add("--overwrite", action="store_true", help="replace older projects")
    post = parser.add_argument_group("of wav")
    post.add_argument(
        "--naming",
        choices=("post", "stems"),
        default="post",
        help="DX, MX, FX and M&E, or the stems' names (default: %(default)s)",
    )
    post.add_argument(
        "--split",
        choices=("poly", "mono"),
        default="poly",
        help="a file for each stem, or for each channel (default: %(default)s)",
    )
    post.add_argument(
        "--order",
        choices=("smpte", "film"),
        default="smpte",
        help="L R C LFE Ls Rs, or L C R Ls Rs LFE (default: %(default)s)",
    )
    post.add_argument(
        "--two-pop",
        action="store_true",
        help="a frame of 1 kHz at -20 dBFS two seconds before the sound",
    )
    parser.set_defaults(run=_session)


def rate(text: str) -> Fraction:
    """Return a frame rate from ``25``, ``23.976`` or ``24000/1001``.

    Raises
    ------
    SettingsError
        If it is no number from 1 to 240.

    Examples
    --------
    >>> rate("29.97")
    Fraction(30000, 1001)
    """
    from unstir.framerate import nearest

    try:
        found = nearest(Fraction(text))
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if not 1 <= found <= 240:
        raise SettingsError(f"--fps {text} came; 1 to 240 frames a second are allowed")
    return found


def _equalizers(options: argparse.Namespace) -> dict[str, tuple[float, ...]]:
    """Return what ``--fx`` asks for, by stem."""
    from unstir.plugins.chains import find_chain
    from unstir.worker_chain import sliders

    others = [name for name in options.to if name != "rpp"]
    if options.fx and others:
        raise SettingsError(
            f"--fx came with --to {', '.join(others)}, and live effects go into rpp only; "
            "render them with 'unstir remix'"
        )
    found: dict[str, tuple[float, ...]] = {}
    for text in options.fx:
        stem, _, name = text.partition("=")
        if not (stem and name) or stem in found:
            raise SettingsError(f"--fx {text} came; STEM=CHAIN is wanted, once for a stem")
        chain = find_chain(name, allow_plugins=True)  # nothing of it is run
        try:
            found[stem] = sliders(chain)
        except SettingsError as error:
            raise SettingsError(
                f"--fx {text} cannot be live, since {error}; render it with 'unstir remix'"
            ) from None
    return found


def _session(options: argparse.Namespace) -> int:
    from unstir.sessions.formats import check_formats, write_sessions
    from unstir.sessions.post import Delivery
    from unstir.sessions.session import equalized, read_session

    check_formats(options.to)
    equalizers = _equalizers(options)
    session = read_session(
        options.folder,
        original=options.original,
        video=options.video,
        fps=None if options.fps is None else rate(options.fps),
        markers=not options.no_markers,
    )
    written = write_sessions(
        equalized(session, equalizers),
        options.to,
        options.out or options.folder,
        delivery=Delivery(
            naming=options.naming,
            split=options.split,
            order=options.order,
            two_pop=options.two_pop,
        ),
        overwrite=options.overwrite,
    )
    if session.original is None:
        print("the original was not found, so it is in none of them; name it with --original")
    for path in written.values():
        print(path)
    if equalizers:
        print("Reaper finds the equalizers once 'unstir reaper install' was run")
    return 0
