"""``unstir remix``: louder speech, softer music, effects on single stems, for sound and video."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstir.errors import SettingsError
from unstir.settings import Settings
from unstir.types import STEM_SETS

if TYPE_CHECKING:
    from unstir.plugins.rack import StemRack
    from unstir.plugins.remix import Remix

EXAMPLES = """\
examples:
  unstir remix film.mp4 --gain speech=+6 music=-12 -o louder.mp4
      the same picture, speech up by 6 dB and music down by 12
  unstir remix film.mov --duck music:speech=-9 --master broadcast -o out.mov --add-track
      music steps back by 9 dB while somebody speaks; as a second audio track
  unstir remix song.flac --stems song --fx vocals=vocal-plate -o plate.flac
      reverb on the voice alone
  unstir remix stems/film --keep-bed 17.5 -o speech.wav
      from stems that are there already; all but speech 17.5 dB down
  unstir remix film.wav --automation moves.csv -o moved.wav
      gains from a table with the columns time_s,stem,gain_db

Stems are made beside the result and removed when it is there; to try several mixes, separate
once and give the folder. OUT.json says what was done.
exit codes: 0 done, 2 refused (see stderr), 130 interrupted
"""


def add_remix(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir remix``."""
    parser = commands.add_parser(
        "remix",
        help="mix the stems of a sound or a video anew: gains, effects, ducking",
        description="Take a sound or a video apart, change its stems, and put it together again. "
        "Pictures are\ncopied as they are. With nothing to change, the sound comes back bit for "
        "bit.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("input", metavar="IN", type=Path, help="sound, video with sound, or a folder of stems")
    add(
        "-o",
        "--out",
        metavar="OUT",
        type=Path,
        required=True,
        help="the file to write: .wav or .flac, for video also .mp4, .mov or .mkv",
    )

    def many(flag: str, metavar: str, kind: Callable[[str], Any], text: str) -> None:
        add(
            flag,
            metavar=metavar,
            type=kind,
            nargs="+",
            action="extend",
            default=[],
            help=text,
        )

    many("--gain", "STEM=DB", _gain, "gains in dB, e.g. speech=+6 music=-12; -inf is silence")
    many("--fx", "STEM=CHAIN", _named, "effects on a stem: a name from 'unstir chains' or a .json")
    many("--duck", "STEM:BY=DB", _duck, "step back while another stem sounds: music:speech=-9")
    add("--master", metavar="CHAIN", help="effects on the sum")
    add(
        "--keep-bed",
        metavar="DB",
        dest="bed_db",
        type=float,
        help="leave unwanted stems so many dB down instead of silent (all but the first, unless "
        "some are muted or soloed); 17.5 keeps speech recognition best",
    )
    add("--rack", metavar="RACK", help="strips for stems: a name from 'unstir chains' or a .json")
    add(
        "--automation",
        metavar="FILE",
        type=Path,
        help="gains over time: a .csv with time_s,stem,gain_db, or a .mid whose controller 7 on "
        "channel k moves the k-th stem (100 is 0 dB)",
    )
    add(
        "--allow-plugins",
        action="store_true",
        help="run the VST3 plug-ins that chains and racks name: programs that could do anything",
    )
    add("--add-track", action="store_true", help="keep the video's old sound, add the new one")
    add("--method", metavar="NAME", default="", help="see 'unstir methods'")
    add(
        "--stems",
        metavar="SET",
        default="film",
        help="; ".join(f"{name}: {', '.join(stems)}" for name, stems in STEM_SETS.items())
        + " (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace an older result")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="say nothing but errors")
    how.add_argument("--json", action="store_true", help="one JSON object per line on stdout")
    parser.set_defaults(run=_remix)


def _remix(options: argparse.Namespace) -> int:
    from unstir.console import reporter
    from unstir.plugins.remix import remix, stems_of

    rack = _rack(options, stems_of(options.input, options.stems))
    with (
        reporter(quiet=options.quiet, as_json=options.json) as report,
        report.file(options.input) as listener,
    ):
        result = remix(
            options.input,
            options.out,
            rack,
            settings=Settings(method=options.method, stems=options.stems),
            add_track=options.add_track,
            overwrite=options.overwrite,
            listener=listener,
        )
    if options.json:
        row = {"event": "result", "input": str(options.input), "file": str(result.file)}
        print(json.dumps({**row, **result.report}), flush=True)
    elif not options.quiet:
        print(_sentence(result))
    return 0


def _rack(options: argparse.Namespace, stems: Sequence[str]) -> "StemRack":
    """Return the rack that the options ask for."""
    from unstir.plugins.automation import load_automation
    from unstir.plugins.chains import find_chain
    from unstir.plugins.mixing import rack_for
    from unstir.plugins.rack import find_rack

    allow = options.allow_plugins
    return rack_for(
        stems,
        find_rack(options.rack, allow_plugins=allow) if options.rack else None,
        gains_db=_once("--gain", options.gain),
        chains={
            stem: find_chain(name, allow_plugins=allow)
            for stem, name in _once("--fx", options.fx).items()
        },
        ducking_db=_once("--duck", options.duck),
        master=find_chain(options.master, allow_plugins=allow) if options.master else None,
        bed_db=options.bed_db,
        automation=load_automation(options.automation, stems) if options.automation else None,
    )


def _once(flag: str, pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise SettingsError(f"{flag} names a stem twice; say once what is wanted")
    return found


def _sentence(result: "Remix") -> str:
    report = result.report
    output = report["output"]
    depth = f"{output['bits']} bits" if output["bits"] else "32-bit float"
    name = output.get("codec") or f"{output['container']}, {depth}"
    lufs, peak = report["loudness_lufs"], report["peak_dbfs"]
    level = "silent" if lufs is None else f"{lufs:.1f} LUFS"
    loudest = "" if peak is None else f", peak {peak:.1f} dBFS"
    return f"{result.file}: {name}, {level}{loudest}; {report['seconds']:.1f} s"


def _named(text: str) -> tuple[str, str]:
    stem, equals, name = text.partition("=")
    if not (stem and equals and name):
        raise argparse.ArgumentTypeError(f"{text!r} came; write STEM=CHAIN")
    return stem, name


def _gain(text: str) -> tuple[str, float]:
    stem, _, value = text.partition("=")
    try:
        return stem, float(value.lower().removesuffix("db"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} came; write STEM=DB, e.g. speech=+6") from None


def _duck(text: str) -> tuple[tuple[str, str], float]:
    (pair, value) = _gain(text) if "=" in text else ("", 0.0)
    stem, _, by = pair.partition(":")
    if not (stem and by):
        raise argparse.ArgumentTypeError(f"{text!r} came; write STEM:BY=DB, e.g. music:speech=-9")
    return (stem, by), value
