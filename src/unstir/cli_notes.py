"""``unstir notes``: what a voice sings, as a MIDI file."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unstir.plugins.transcribe import Melody


def add_notes(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir notes``."""
    notes = commands.add_parser(
        "notes",
        help="write what a voice sings as MIDI notes with pitch bend",
        description="Follow the pitch of one voice and write it as MIDI: notes, bends, velocities "
        "and a tempo map.\n\n"
        "IN is the recording of one voice, or a folder of stems, of which --stem is taken "
        "(default:\nvocals). With --stem, a recording is taken apart first. The beats come from "
        "the whole mix\nwhere there is one.",
        epilog="examples:\n"
        "  unstir notes voice.wav -o voice.mid\n"
        "  unstir notes stems/song -o melody.mid\n"
        "  unstir notes song.flac --stem vocals -o melody.mid\n"
        "  unstir notes film.mov --stem speech --method harmonic --tempo 96 -o melody.mid\n\n"
        "exit codes: 0 done, 2 refused (see stderr), also where no note is found",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = notes.add_argument
    add("input", metavar="IN", type=Path, help="sound, video with sound, or a folder of stems")
    add("-o", "--out", metavar="OUT.mid", type=Path, required=True, help="the MIDI file")
    add("--stem", metavar="STEM", help="the voice to follow")
    add("--method", metavar="NAME", help="how a recording is taken apart; see 'unstir methods'")
    add("--tempo", metavar="BPM", type=float, help="one tempo (default: the beats are followed)")
    add("--json", action="store_true", help="say what was written as one JSON object")
    add("--overwrite", action="store_true", help="replace an older OUT.mid")
    add("--quiet", action="store_true", help="say nothing but errors")
    notes.set_defaults(run=_notes)


def _notes(options: argparse.Namespace) -> int:
    from unstir.console import reporter
    from unstir.plugins.transcribe import transcribe

    with (
        reporter(quiet=options.quiet or options.json, as_json=False) as report,
        report.file(options.input) as listener,
    ):
        melody = transcribe(
            options.input,
            options.out,
            stem=options.stem,
            method=options.method,
            bpm=options.tempo,
            overwrite=options.overwrite,
            listener=listener,
        )
    if options.json:
        print(json.dumps(_described(options.out, melody)))
    elif not options.quiet:
        print(
            f"{options.out}: {len(melody.notes)} notes at {melody.tempo.bpm:.1f} beats per minute; "
            f"they cover {100 * melody.fit.coverage:.0f} % of what has a pitch and stay within "
            f"{melody.fit.deviation_cents:.1f} cents of it on average"
        )
    return 0


def _described(out: Path, melody: "Melody") -> dict[str, object]:
    keys = [note.key for note in melody.notes]
    return {
        "out": str(out),
        "notes": len(keys),
        "lowest_key": min(keys),
        "highest_key": max(keys),
        "tempo_bpm": round(melody.tempo.bpm, 2),
        "tempo_changes": len(melody.tempo.changes) - 1,
        "coverage": round(melody.fit.coverage, 4),
        "deviation_cents": round(melody.fit.deviation_cents, 2),
    }
