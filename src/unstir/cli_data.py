"""``unstir data``: recordings packed for training, scenes mixed from them, the split checked."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from unstir.errors import SettingsError
from unstir.types import STEM_SETS

T = TypeVar("T")
SOUND_KINDS = ("speech", "music", "singing", "effects")  # rooms alone do not tell a source


def add_data(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir data`` with its three commands."""
    parser = commands.add_parser(
        "data",
        help="pack recordings for training, mix scenes, check the split",
        description="What nets are trained and tested on: recordings packed into a folder that "
        "needs nothing but NumPy to be read, and scenes with known stems.",
        epilog="examples:\n"
        "  unstir data pack corpus -o packed\n"
        "  unstir data check packed\n"
        "  unstir data mix --recipe dnr3 --speech voices --music songs --effects noises "
        "-o scenes --n 40",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    pack = what.add_parser("pack", help="pack folders of recordings with MANIFEST.csv")
    pack.add_argument("corpora", metavar="CORPUS", type=Path, nargs="+")
    pack.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="a new folder")
    pack.add_argument(
        "--shard-mb",
        metavar="MB",
        type=float,
        default=48,
        help="largest size of a file, in megabytes (default: %(default)s)",
    )
    pack.add_argument(
        "--encoding",
        choices=["pcm16", "mulaw8"],
        default="pcm16",
        help="16 bits, or 8 bits companded: half the size, noise 38 dB down (default: %(default)s)",
    )
    pack.set_defaults(run=_pack)

    mix = what.add_parser("mix", help="write scenes with their true stems")
    mix.add_argument(
        "--recipe",
        choices=["dnr2", "dnr3", "unstir"],
        required=True,
        help="Divide and Remaster as published, version 2 or 3, or our own",
    )
    for name in ("speech", "music", "effects"):
        mix.add_argument(f"--{name}", metavar="DIR", type=Path, required=True)
    mix.add_argument("--rir", metavar="DIR", type=Path, help="room responses, for recipe unstir")
    mix.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="a new folder")
    mix.add_argument("--n", metavar="N", type=int, default=20, help="scenes (default: %(default)s)")
    mix.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        help="length of a scene (default: 60 as published; 20 for recipe unstir)",
    )
    mix.add_argument("--seed", metavar="K", type=int, default=0, help="default: %(default)s")
    mix.add_argument(
        "--channels",
        choices=[1, 2, 6],
        type=int,
        help="default: 1 as published; 2 for recipe unstir, which also does 5.1 (6)",
    )
    mix.set_defaults(run=_mix)

    check = what.add_parser(
        "check", help="show the split of a pack and look for recordings on two sides of it"
    )
    check.add_argument("pack", metavar="PACK", type=Path)
    check.set_defaults(run=_check)

    observe = what.add_parser(
        "observe", help="separate scenes and compute their priors, for refiners to train on"
    )
    observe.add_argument("--pack", metavar="DIR", type=Path, required=True)
    observe.add_argument(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="about 8 MB a scene go there; the same command goes on where it stopped",
    )
    observe.add_argument("--stems", choices=list(STEM_SETS), default="film")
    observe.add_argument(
        "--base",
        metavar="NAME=SHARE",
        action="append",
        default=[],
        help="a base and how often it is drawn, may be repeated: a method; model:FILE for a net; "
        "half:K:FILE for a net trained with --half K, on scenes of the other half (default: "
        "the net that ships, always)",
    )
    observe.add_argument("--scenes", metavar="N", type=int, default=1500, help="to train on")
    observe.add_argument("--choose", metavar="N", type=int, default=48, help="to choose weights by")
    observe.add_argument("--damaged", metavar="SHARE", type=float, default=0.3)
    observe.add_argument("--made", metavar="SHARE", type=float, default=0.0)
    observe.add_argument("--seed", metavar="K", type=int, default=0)
    observe.set_defaults(run=_observe)


def _pack(options: argparse.Namespace) -> int:
    from unstir.neural.pack import Pack, pack

    clips = pack(options.corpora, options.out, shard_mb=options.shard_mb, encoding=options.encoding)
    n_clips = sum(1 for _ in _shown(clips, "packing", None))
    done = Pack(options.out)
    _name_skipped(done.skipped)
    sizes = [path.stat().st_size for path in options.out.glob("shard-*.npy")]
    print(
        f"{n_clips} recordings in {len(sizes)} shards, {sum(sizes) / 2**20:.1f} MB, in "
        f"{options.out}; {len(done.skipped)} skipped"
    )
    return 0


def _mix(options: argparse.Namespace) -> int:
    from unstir.neural.dnr import RECIPES
    from unstir.neural.dnr_render import dnr_sources, write_scenes
    from unstir.neural.film import write_film_scenes
    from unstir.neural.folders import find_sounds

    if options.rir and options.recipe != "unstir":
        raise SettingsError(
            f"--rir came with --recipe {options.recipe}, which has no rooms; leave it out, or use "
            "--recipe unstir"
        )
    kinds = {"speech": options.speech, "music": options.music, "effects": options.effects}
    found = {kind: find_sounds(folder) for kind, folder in kinds.items()}
    skipped = [text for folder in found.values() for text in folder.skipped]
    pools = {kind: folder.sounds for kind, folder in found.items()}
    if options.recipe == "unstir":
        rooms = find_sounds(options.rir) if options.rir else None
        skipped += rooms.skipped if rooms else ()
        scenes = write_film_scenes(
            options.out,
            **pools,
            rirs=rooms.sounds if rooms else (),
            n=options.n,
            duration_s=20.0 if options.seconds is None else options.seconds,
            seed=options.seed,
            channels=options.channels or 2,
        )
        for _ in _shown(scenes, "mixing", options.n):
            pass
    else:
        progress = write_scenes(
            options.out,
            RECIPES[options.recipe],
            dnr_sources(**pools),
            n=options.n,
            seed=options.seed,
            duration_s=options.seconds,
            channels=options.channels or 1,
        )
        for scene in _shown(progress, "mixing", options.n):
            skipped += scene.skipped
    _name_skipped(skipped)
    print(f"{options.n} scenes in {options.out}; {len(skipped)} recordings skipped")
    return 0


def _check(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from unstir.neural.leakage import leaks
    from unstir.neural.pack import SAMPLE_RATE, Pack
    from unstir.neural.split import SPLITS

    pack = Pack(options.pack)
    table = Table(box=None, pad_edge=False)
    for title in ("kind", *SPLITS):
        table.add_column(title, justify="left" if title == "kind" else "right")
    for kind in dict.fromkeys(clip.kind for clip in pack.clips):
        total = sum(clip.n_samples for clip in pack.clips if clip.kind == kind)
        cells = []
        for split in SPLITS:
            clips = pack.select(split, kind)
            n = sum(clip.n_samples for clip in clips)
            families = len({clip.family for clip in clips})
            minutes = n / SAMPLE_RATE / 60
            cells.append(f"{minutes:.1f} min, {100 * n / total:.0f} %, {families} families")
        table.add_row(kind, *cells)
    Console(highlight=False, soft_wrap=True).print(table)
    found = leaks(pack, *SOUND_KINDS)
    for leak in found:
        print(
            f"{leak.first.path} ({leak.first.split}) is in {leak.second.path} "
            f"({leak.second.split}): correlation {leak.correlation:.2f}"
        )
    print(f"{len(found)} recordings stand on two sides of the split")
    return 1 if found else 0


def _observe(options: argparse.Namespace) -> int:
    from unstir.joined import BASES
    from unstir.neural.pack import Pack
    from unstir.refining import ObserveConfig, observe

    pack = Pack(options.pack)
    bases = dict(_base(text) for text in options.base) or {BASES[options.stems]: 1.0}
    train = ObserveConfig(options.stems, bases, options.damaged, options.made, options.seed)
    # What ships is what weights are chosen for.
    choose = replace(train, bases={BASES[options.stems]: 1.0})
    for config, split, n in ((choose, "choose", options.choose), (train, "train", options.scenes)):
        for _ in _shown(observe(config, pack, split, n, options.out / split), split, n):
            pass
    print(f"{options.scenes} scenes to train on and {options.choose} to choose by in {options.out}")
    return 0


def _base(text: str) -> tuple[str, float]:
    name, _, share = text.rpartition("=")
    try:
        found = float(share)
    except ValueError:
        found = 0.0
    if not name or not found > 0:
        raise SettingsError(f"--base {text} came; NAME=SHARE with a share above 0 is wanted")
    return name, found


def _shown(items: Iterable[T], text: str, total: int | None) -> Iterator[T]:
    """Yield items under a bar that goes away."""
    from rich.console import Console
    from rich.progress import track

    yield from track(
        items, text, total=total, console=Console(stderr=True), transient=True, show_speed=False
    )


def _name_skipped(sentences: Iterable[str]) -> None:
    for sentence in dict.fromkeys(sentences):
        print(f"skipped: {sentence}", file=sys.stderr)
