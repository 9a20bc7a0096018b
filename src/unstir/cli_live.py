"""``unstir live``: stems under faders while they sound, and sound taken apart as it comes."""

import argparse
import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstir.errors import AudioError, SettingsError, UnstirError

if TYPE_CHECKING:
    from rich.table import Table

    from unstir.plugins.jack_audio import JackAudio
    from unstir.plugins.live import LiveMixer
    from unstir.plugins.rack import StemRack

EXAMPLES = """\
examples:
  unstir live stems/film
      play the stems that 'unstir separate film.wav' made
  unstir live stems/film --rack mine.json --midi x-touch
      through a rack, faders on a control surface (part of its name is enough)
  unstir live stems/film --midi nano --cc 0,1,2
      controllers 0, 1 and 2 move the first, second and third stem
  unstir live --input jack --method compact-film-causal --record take
      take apart what comes in, and keep input and stems in the folder take

Sound goes through a JACK server (jackd, or PipeWire in its place) at the rate of the stems.
Faders: controller 7 or pitch bend (Mackie Control) on channel k moves the k-th stem,
and the mute and solo buttons of Mackie Control do what they say. Ctrl-C, SIGTERM or closing the
terminal ends, and keeps what was recorded.
exit codes: 0 done, 2 refused (see stderr)
"""
LOOK_S = 0.1  # how often a terminal is drawn
TELL_S = 1.0  # how often a line is written where there is no terminal
PAUSE_S = 0.002  # how long a thread rests that has nothing to do
SWITCH_S = 0.001  # the server's callback waits for other threads of Python no longer than this
PATIENCE_S = 2.0  # of sound may wait to be taken apart
CHANNELS = 2
FLOOR_DB = -60.0
Show = Callable[["LiveMixer", Mapping[str, float], Mapping[str, Any]], None]


def add_live(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir live``."""
    parser = commands.add_parser(
        "live",
        help="play stems through a rack with faders, or take apart what comes in",
        description="Play the stems of a folder through a rack, with a fader for each on a MIDI "
        "control surface,\nor take apart what comes in while it does.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", help="a folder of stems")
    what.add_argument("--input", choices=["jack"], help="take apart what comes in")
    add("--rack", metavar="RACK", help="strips for stems: a name from 'unstir chains' or a .json")
    add(
        "--allow-plugins",
        action="store_true",
        help="run the VST3 plug-ins that the rack names: programs that could do anything",
    )
    add("--midi", metavar="PORT", help="control surface: part of its name, or 'virtual'")
    add(
        "--cc",
        metavar="N,N",
        type=_numbers,
        default=(),
        help="controllers of the stems in order, on any channel (default: 7 on channel k)",
    )
    add("--output", choices=["jack"], default="jack", help="where to play (default: %(default)s)")
    add(
        "--buffer-ms",
        metavar="MS",
        type=float,
        default=50.0,
        help="what the computer may be late by; a fader is heard so much later "
        "(default: %(default)g)",
    )
    add(
        "--method",
        metavar="NAME",
        default="compact-film-causal",
        help="with --input: what takes it apart (default: %(default)s)",
    )
    add(
        "--loudness",
        metavar="LUFS",
        dest="loudness_lufs",
        type=float,
        default=-23.0,
        help="with --input: of what will come in (default: %(default)g)",
    )
    add("--record", metavar="DIR", type=Path, help="with --input: keep input and stems there")
    add("--device", default="auto", help="with --input: auto, cpu, cuda (default: %(default)s)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="say nothing but errors")
    how.add_argument("--json", action="store_true", help="one JSON object per second on stdout")
    parser.set_defaults(run=_live)


def _live(options: argparse.Namespace) -> int:
    if not 1 <= options.buffer_ms <= 5000:
        raise SettingsError(f"a buffer of {options.buffer_ms:g} ms came; 1 to 5000 is wanted")
    if options.cc and not options.midi:
        raise SettingsError("--cc came without --midi; say which surface has those controllers")
    if options.record and not options.input:
        raise SettingsError("--record came without --input; stems in a folder are there already")
    sys.setswitchinterval(SWITCH_S)
    return _separate(options) if options.input else _play(options)


def _play(options: argparse.Namespace) -> int:
    """Play a folder."""
    from unstir.plugins.endings import told_to_end
    from unstir.plugins.jack_audio import open_jack
    from unstir.plugins.live import LiveMixer, Player, faders
    from unstir.plugins.rings import running
    from unstir.stem_folder import find_stems

    if not options.folder.is_dir():
        raise SettingsError(
            f"{options.folder} is no folder of stems; make one with 'unstir separate'"
        )
    stems = find_stems(options.folder)
    rate, n_channels = stems.info.sample_rate, stems.info.n_channels
    rack = _rack(options)
    rack.check(stems.files, n_channels)
    with ExitStack() as stack:
        audio = stack.enter_context(open_jack(n_in=0, n_out=n_channels, sample_rate=rate))
        rack = rack.survey(
            lambda: ((block, None) for block in stems.blocks()), rate, layout=stems.info.layout
        )
        mixer = LiveMixer(rack, faders(rack, tuple(stems.files)), rate, n_channels)
        ahead = audio.period + round(options.buffer_ms * rate / 1000)
        player = Player(stems.blocks(), mixer, ahead)
        _connect(options, mixer, stack)
        faults = stack.enter_context(running((player.read, player.render), PAUSE_S))
        while not player.ready and not faults:
            time.sleep(PAUSE_S)
        ended = stack.enter_context(told_to_end())
        audio.start(player.cycle)

        def status() -> dict[str, Any]:
            played = min(player.outlet.n_pulled, stems.n_samples)
            return {
                "at_s": round(played / rate, 1),
                "of_s": round(stems.n_samples / rate, 1),
                "fader_ms": round(1000 * ahead / rate, 1),
                "underruns": player.outlet.underruns,
                "xruns": audio.xruns,
            }

        _watch(
            options, mixer, status, lambda: player.outlet.done or audio.fault or faults or ended()
        )
        _raise_first(faults, audio)
        _tell_result(options, status())
    return 0


def _separate(options: argparse.Namespace) -> int:
    """Take apart what comes in."""
    from unstir.live import LiveSeparation, open_stream
    from unstir.plugins.endings import told_to_end
    from unstir.plugins.jack_audio import open_jack
    from unstir.plugins.live import LiveMixer, faders
    from unstir.plugins.rings import running
    from unstir.recording import recording

    stream, rate = open_stream(
        options.method, loudness_lufs=options.loudness_lufs, device=options.device
    )
    rack = _rack(options)
    rack.check(stream.stems, CHANNELS)
    with ExitStack() as stack:
        audio = stack.enter_context(open_jack(n_in=CHANNELS, n_out=CHANNELS, sample_rate=rate))
        mixer = LiveMixer(rack, faders(rack, stream.stems), rate, CHANNELS)
        recorded = None
        if options.record:
            recorded = stack.enter_context(
                recording(options.record, stream.stems, rate, CHANNELS, stream.latency)
            )
        live = LiveSeparation(
            stream,
            mixer,
            ahead=audio.period + mixer.held_back + round(options.buffer_ms * rate / 1000),
            capacity=round(PATIENCE_S * rate),
            recorded=recorded,
        )
        _connect(options, mixer, stack)

        def status() -> dict[str, Any]:
            found = live.report()
            return {
                "at_s": round(live.n_separated / rate, 1),
                "latency_ms": found["latency"]["ms"],
                "load": found["load"],
                "overruns": found["overruns"],
                "underruns": found["underruns"],
                "xruns": audio.xruns,
            }

        live.warm_up()
        steps = (live.separate, *([recorded.write] if recorded else []))
        ended = stack.enter_context(told_to_end())  # until the recording is in its place
        with running(steps, PAUSE_S) as faults:
            audio.start(live.cycle)
            _watch(options, mixer, status, lambda: audio.fault or faults or ended())
            audio.stop()
        if faults:
            _raise_first(faults, audio)
        folder = None
        if recorded is not None:  # what came is kept, even if the server went away
            live.finish()
            method = {"name": options.method, "loudness_lufs": options.loudness_lufs}
            about = {"method": method, "device": options.device}
            folder = recorded.finish({**about, "live": {**live.report(), "xruns": audio.xruns}})
        _raise_first(faults, audio)
        _tell_result(options, status(), folder)
    return 0


def _rack(options: argparse.Namespace) -> "StemRack":
    from unstir.plugins.rack import StemRack, find_rack

    if not options.rack:
        return StemRack()
    return find_rack(options.rack, allow_plugins=options.allow_plugins)


def _connect(options: argparse.Namespace, mixer: "LiveMixer", stack: ExitStack) -> None:
    """Connect the control surface, if one is wanted."""
    from unstir.plugins.surface import Surface, connected

    if options.midi:
        surface = Surface(mixer.gains_db, options.cc, mixer.muted, mixer.soloed)
        if not stack.enter_context(connected(surface, options.midi)) and not options.quiet:
            print(f"note: {options.midi} takes nothing, so its faders stay", file=sys.stderr)


def _raise_first(faults: Sequence[Exception], audio: "JackAudio") -> None:
    """Raise what ended the sound, as a sentence."""
    error = faults[0] if faults else audio.fault
    if isinstance(error, UnstirError):
        raise error
    if isinstance(error, OSError):
        raise AudioError(f"the sound was stopped: {error.strerror or error}") from error
    if error is not None:
        raise AudioError(
            f"the sound was stopped by a fault of unstir ({type(error).__name__}: {error}); "
            "please report it"
        ) from error


def _watch(
    options: argparse.Namespace,
    mixer: "LiveMixer",
    status: Callable[[], Mapping[str, Any]],
    over: Callable[[], object],
) -> None:
    """Show faders, levels and status until it is over, Ctrl-C, or nobody is there to see it."""
    # A terminal that was closed, or a pipe that is broken, can be written to no more.
    with contextlib.suppress(KeyboardInterrupt, OSError), _display(options) as (show, pause_s):
        while not over():
            show(mixer, mixer.take_peaks(), status())
            until = time.monotonic() + pause_s
            while not over() and time.monotonic() < until:
                time.sleep(min(LOOK_S, pause_s))


@contextmanager
def _display(options: argparse.Namespace) -> Iterator[tuple[Show, float]]:
    """Give what shows the state, and how long to wait in between."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    if options.quiet:
        yield lambda mixer, peaks, status: None, LOOK_S
    elif options.json:
        yield _print_json, TELL_S
    elif not console.is_terminal:
        yield _print_line, TELL_S
    else:
        with Live(console=console, auto_refresh=False, transient=True) as live:

            def draw(
                mixer: "LiveMixer", peaks: Mapping[str, float], status: Mapping[str, Any]
            ) -> None:
                live.update(table(mixer, peaks, status), refresh=True)

            yield draw, LOOK_S


def table(mixer: "LiveMixer", peaks: Mapping[str, float], status: Mapping[str, Any]) -> "Table":
    """Return a row for each stem and one for their sum, and the status below.

    Parameters
    ----------
    mixer : LiveMixer
        Whose faders, mutes (M) and solos (S) are shown.
    peaks : dict of str to float
        As `LiveMixer.take_peaks` returns them.
    status : dict of str to float
        By name.
    """
    from rich.markup import escape
    from rich.table import Table

    made = Table(box=None, pad_edge=False, caption=_status_text(status), caption_justify="left")
    for title in ("stem", "M S", "fader dB", "level", "peak dBFS"):
        made.add_column(title, justify="right" if "dB" in title else "left", no_wrap=True)
    for name, peak in peaks.items():
        level_db = decibels(peak)
        color = "red" if peak > 1 else "yellow" if level_db > -6 else "green"
        gain = f"{mixer.gains_db[name]:+.1f}" if name in mixer.gains_db else ""
        pressed = f"{'M' if name in mixer.muted else ' '} {'S' if name in mixer.soloed else ' '}"
        level = f"[{color}]{bar(level_db)}[/]"
        made.add_row(escape(name), pressed, gain, level, f"{level_db:.1f}")
    return made


def bar(level_db: float, width: int = 30) -> str:
    """Return a level as a bar, empty at -60 dB and full at 0.

    Examples
    --------
    >>> bar(-30.0, 10)
    '━━━━━     '
    """
    n = round(width * (1 - max(FLOOR_DB, min(level_db, 0.0)) / FLOOR_DB))
    return "━" * n + " " * (width - n)


def decibels(peak: float) -> float:
    """Return a level in decibels.

    Examples
    --------
    >>> decibels(0.0), decibels(1.0)
    (-inf, 0.0)
    """
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def _status_text(status: Mapping[str, Any]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in status.items())


def _print_line(mixer: "LiveMixer", peaks: Mapping[str, float], status: Mapping[str, Any]) -> None:
    levels = "  ".join(f"{name} {decibels(peak):.1f}" for name, peak in peaks.items())
    print(f"{_status_text(status)}  dBFS: {levels}", file=sys.stderr, flush=True)


def _print_json(mixer: "LiveMixer", peaks: Mapping[str, float], status: Mapping[str, Any]) -> None:
    def finite(values: Mapping[str, float]) -> dict[str, float | None]:
        return {n: round(v, 1) if math.isfinite(v) else None for n, v in values.items()}

    peaks_dbfs = finite({name: decibels(peak) for name, peak in peaks.items()})
    row = {"event": "levels", **status, "faders_db": finite(mixer.gains_db)}
    for key, pressed in (("muted", mixer.muted), ("soloed", mixer.soloed)):
        row[key] = [name for name in mixer.gains_db if name in pressed]
    print(json.dumps({**row, "peaks_dbfs": peaks_dbfs}), flush=True)


def _tell_result(
    options: argparse.Namespace, status: Mapping[str, Any], folder: Path | None = None
) -> None:
    where = None if folder is None else str(folder)
    text = _status_text(status) if where is None else f"{where}: {_status_text(status)}"
    if options.json:
        text = json.dumps({"event": "result", **status, "folder": where})
    with contextlib.suppress(OSError):  # as above
        if options.json or not options.quiet:
            print(text, flush=True)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} came; write N,N, e.g. 0,1,2") from None
