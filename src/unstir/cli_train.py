"""``unstir train``: a net trained over a packed corpus, in one go or in legs."""

import argparse
import contextlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstir.errors import SettingsError

if TYPE_CHECKING:
    from unstir.neural.batches import TrainConfig
    from unstir.neural.pack import Pack
    from unstir.neural.train import Observed

# Those of unstir.neural.recipes, here too since help must not wait for torch.
RECIPES = {
    "compact-film": "speech, music and effects",
    "compact-film-2, compact-film-3": "its further legs; --init with the model of the leg before",
    "compact-film-4": "likewise, with more recordings",
    "compact-film-5, compact-film-6": "likewise, with SI-SDR in the loss",
    "compact-film-7, compact-film-8": "likewise, with made singers",
    "compact-film-9, compact-film-10": "likewise, with more dropout",
    "compact-film-causal": "the same for streams: no look-ahead",
    "compact-film-causal-2": "its further leg",
    "compact-song": "vocals and accompaniment",
    "vad": "which frames hold speech",
    "query": "what words ask for; --init with compact-film begins with what that one hears",
    "query-2": "its further leg; --init with the query before",
    "query-blind": "the same, never told what is asked for, for comparison",
    "mrx-small, unet-small, chimera-small": "published nets at reduced size",
    "vocalnet-small, vocalnet-small-binary": "published, too; --init with a vad grows them from it",
    "family-blstm, family-bandsplit, family-compact": "families to compare it with at equal cost",
    "family-compact-spectral": "the third with a loss over spectra besides",
    "family-compact-si-sdr": "the third with SI-SDR as half of the loss",
    "refiner-film, refiner-film-blind, refiner-song": "refiners, over 'unstir data observe'; the "
    "blind one sees no priors, for comparison",
}


def add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir train``."""
    parser = commands.add_parser(
        "train",
        help="train a net on packed recordings",
        description="Train a net, or go on training: the same command after an interruption, or "
        "after --minutes, goes on from the last validation to the same result. Several GPUs: "
        "torchrun --nproc-per-node N -m unstir train ...",
        epilog="recipes:\n"
        + "".join(f"  {names}: {what}\n" for names, what in RECIPES.items())
        + "\nexamples:\n"
        "  unstir data pack corpus -o packed\n"
        "  unstir train compact-film --pack packed -o runs/film\n"
        "  unstir train compact-film --pack packed -o runs/film --minutes 10 --device cuda\n"
        "  unstir train compact-film-2 --pack packed -o runs/film-2 "
        "--init runs/film/compact-film.safetensors\n"
        "  unstir data observe --pack packed -o observed\n"
        "  unstir train refiner-film --pack packed --observed observed -o runs/refiner",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("recipe", metavar="RECIPE", help="one of those below, e.g. compact-film")
    add("--pack", metavar="DIR", type=Path, required=True, help="from 'unstir data pack'")
    add(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="log, checkpoints and the model; a folder with a run of the same recipe goes on",
    )
    add(
        "--observed",
        metavar="DIR",
        type=Path,
        help="from 'unstir data observe': what refiners train on",
    )
    add("--half", type=int, choices=(0, 1), help="train on one half of the families alone")
    add("--steps", metavar="N", type=int, help="how many steps in all, instead of the recipe's")
    add("--init", metavar="FILE", type=Path, help="begin a new run with this model's weights")
    add("--minutes", metavar="M", type=float, default=math.inf, help="stop after so long")
    add("--threads", metavar="T", type=int, default=1, help="of arithmetic (default: %(default)s)")
    add(
        "--workers",
        metavar="W",
        type=int,
        default=1,
        help="processes that mix scenes (default: %(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from unstir.neural.calibration import calibrate
    from unstir.neural.compact import Compact
    from unstir.neural.device import resolve
    from unstir.neural.pack import Pack
    from unstir.neural.recipes import export, recipe, start
    from unstir.neural.train import train
    from unstir.neural.validation import validation_scenes

    for name, lowest in (("steps", 1), ("threads", 1), ("workers", 0)):
        value = getattr(options, name)
        if value is not None and value < lowest:
            raise SettingsError(f"--{name} {value} came; at least {lowest} is wanted")
    if not options.minutes > 0:
        raise SettingsError(f"--minutes {options.minutes:g} came; a time above 0 is wanted")
    config = recipe(options.recipe)
    if options.steps is not None:
        config = replace(config, steps=options.steps)
    if options.half is not None:
        config = replace(config, half=options.half)
    refines = config.net == "refiner"
    if refines != (options.observed is not None):
        raise SettingsError(
            f"{options.recipe} trains on observed scenes; give them with --observed"
            if refines
            else f"--observed came; {options.recipe} trains on the pack alone; leave it out"
        )
    observed = None
    if refines:
        from unstir.refining import source

        observed = source(options.observed, config)
    pack = Pack(options.pack)
    if config.net == "query":
        observed = _asked(config, pack)
    n_clips = len(pack.clips)  # a folder that is no pack is refused before anything is made
    device = resolve(_local(options.device))
    try:
        init = start(config, options.init) if options.init else None
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--init {options.init} needs {_missing(error)}, which is not installed; install it"
        ) from None
    is_first = os.environ.get("RANK", "0") == "0"
    if is_first:
        print(f"{options.recipe} on {device}: {n_clips} recordings, {config.steps} steps")
    with _bar(config.steps) if is_first else contextlib.nullcontext((_ignore, _ignore)) as told:
        listener, on_step = told
        net = train(
            config,
            pack,
            options.out,
            device=device,
            threads=options.threads,
            workers=options.workers,
            minutes=options.minutes,
            init=init,
            observed=observed,
            listener=listener,
            on_step=on_step,
        )
    if is_first:
        more = {}
        if isinstance(net, Compact):
            print("calibrating the masks on scenes that choose")
            scenes = validation_scenes(pack, config.scenes)
            more["gain_db_by_temperature"] = calibrate(net.to(device), scenes.to(device))
        try:
            path = export(options.recipe, config, net.cpu(), pack, options.out, more)
        except ModuleNotFoundError as error:
            print(
                f"the run is in {options.out}, but no model yet, since {_missing(error)} is not "
                "installed here; install it and give the same command again",
                file=sys.stderr,
            )
            return 0
        print(f"{path} holds the weights so far; {options.out / 'log.jsonl'} the curve")
    return 0


def _asked(config: "TrainConfig", pack: "Pack") -> "Observed":
    """Return what the net that is asked trains on.

    Words go through our encoder and, if it is installed, the one that ours learned from.
    """
    from unstir.neural.query_train import observed
    from unstir.neural.text import TeacherEncoder, encode

    try:
        return observed(config, pack, (encode, TeacherEncoder()))
    except SettingsError:
        print("the large text encoder is not installed; words go through the small one alone")
        return observed(config, pack, (encode,))


def _said(entry: dict[str, Any]) -> tuple[str, str]:
    """Return an entry's validation in words, and a line with its loss besides."""
    loss = f"{entry['loss_db']:.2f} dB" if "loss_db" in entry else f"{entry['loss']:.4f}"
    found = (
        f"{entry['gain_db']:+.2f} dB"
        if "gain_db" in entry
        else f"balanced accuracy {100 * entry['balanced_accuracy']:.2f} %"
    )
    return found, f"step {entry['step']}: {found}, loss {loss}"


def _missing(error: ModuleNotFoundError) -> str:
    """Return what is to be installed."""
    return str(error.name).partition(".")[0]


def _ignore(_: object) -> None:
    pass


def _local(device: str) -> str:
    """Return the device of this process: under torchrun every one has a GPU of its own."""
    number = os.environ.get("LOCAL_RANK")
    if number is None or device not in ("auto", "cuda"):
        return device
    from unstir.neural.device import resolve

    return f"cuda:{number}" if resolve(device).type == "cuda" else device


@contextlib.contextmanager
def _bar(total: int) -> Iterator[tuple[Callable[[dict[str, Any]], None], Callable[[int], None]]]:
    """Give what is told of validations and what is told of steps, and show both.

    Without rich, as on a machine that only trains, validations are plain lines.
    """
    if importlib.util.find_spec("rich") is None:
        yield lambda entry: print(_said(entry)[1], file=sys.stderr, flush=True), _ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True, highlight=False)
    gain = TextColumn("validation {task.fields[gain]}")
    columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), gain, TimeLeft())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=total, gain="-")

        def listener(entry: dict[str, Any]) -> None:
            gain, line = _said(entry)
            bars.update(task, gain=gain)
            console.print(line)

        yield listener, lambda step: bars.update(task, completed=step)
