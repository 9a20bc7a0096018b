"""``unstir bench``: speed, memory and quality on this machine."""

import argparse
from pathlib import Path

from unstir.errors import SettingsError


def add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir bench``."""
    bench = commands.add_parser(
        "bench",
        help="measure speed, memory and quality on this machine",
        description="Measure on this machine and print a table; --out keeps it as JSON.",
        epilog="examples:\n"
        "  unstir bench classical\n"
        "  unstir bench memory --minutes 2 10 --out memory.json\n"
        "  unstir bench separation --corpus FOLDER\n"
        "  unstir bench neural --seconds 30\n"
        "  unstir bench remix --seconds 120",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument(
        "what",
        choices=["classical", "memory", "separation", "neural", "remix"],
        help="speed beside librosa and scikit-learn; peak memory over file "
        "length; SI-SDR on mixes of real recordings; speed and memory of nets beside HTDemucs; "
        "a rack of effects beside ffmpeg's filters",
    )
    bench.add_argument(
        "--corpus",
        metavar="DIR",
        type=Path,
        help="folder of recordings with MANIFEST.csv (for separation)",
    )
    bench.add_argument(
        "--minutes",
        metavar="N",
        type=float,
        nargs="+",
        default=[2, 10, 40],
        help="file lengths (for memory; default: 2 10 40)",
    )
    bench.add_argument(
        "--method",
        metavar="NAME",
        action="append",
        help="only this method (for memory and separation) or net; may be repeated",
    )
    bench.add_argument(
        "--seconds",
        metavar="N",
        type=float,
        default=30.0,
        help="how much sound (for neural and remix; default: 30)",
    )
    bench.add_argument("--out", metavar="FILE", type=Path, help="also write the figures as JSON")
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    from unstir.bench import classical, memory, separation
    from unstir.bench_neural import neural
    from unstir.bench_remix import bench_remix

    if options.what == "classical":
        classical(options.out)
    elif options.what == "memory":
        memory(options.minutes, options.method, options.out)
    elif options.what == "neural":
        neural(options.seconds, options.method, options.out)
    elif options.what == "remix":
        bench_remix(options.seconds, options.out)
    elif options.corpus is None:
        raise SettingsError("bench separation needs --corpus, a folder of recordings")
    else:
        separation(options.corpus, options.method, options.out)
    return 0
