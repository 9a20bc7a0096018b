"""``unstir evaluate``: methods side by side on the frozen scenes."""

import argparse
from pathlib import Path

from unstir.errors import SettingsError


def add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir evaluate``."""
    evaluate = commands.add_parser(
        "evaluate",
        help="SI-SDR of every method where the true stems are known",
        description="Separate mixes whose true stems are known, and print SI-SDR, its improvement "
        "over the mix,\nand SDR, with intervals over sources.\n\n"
        "FOLDER is laid out as Divide and Remaster or MUSDB18-HQ. Without one, the frozen scenes:\n"
        "report, 60 of our own film recipe; foreign, 40 by the published dnr3 recipe, in stereo;\n"
        "song, 12 stretches of one song.\n"
        "No net of ours was trained or chosen on their recordings.",
        epilog="examples:\n"
        "  unstir evaluate dnr_v2/tt --scenes 20\n"
        "  unstir data pack CORPUS -o pack\n"
        "  unstir evaluate --pack pack --corpus CORPUS --out evaluation.json\n"
        "  unstir evaluate --pack pack --set report --method compact-film --method oracle\n"
        "  unstir evaluate --pack pack --set report --model runs/mine/compact-film-2.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.add_argument(
        "folders", metavar="FOLDER", nargs="*", help="mixes and stems; a set of its own each"
    )
    evaluate.add_argument(
        "--pack", metavar="DIR", type=Path, help="from 'unstir data pack' (for report and song)"
    )
    evaluate.add_argument(
        "--corpus", metavar="DIR", type=Path, help="folder of recordings (for foreign)"
    )
    evaluate.add_argument(
        "--set",
        dest="sets",
        choices=("report", "foreign", "song"),
        action="append",
        default=[],
        help="a frozen set; may be repeated (default: all, if no folder is given)",
    )
    evaluate.add_argument(
        "--method", metavar="NAME", action="append", help="only this method; may be repeated"
    )
    evaluate.add_argument(
        "--model",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a net that 'unstir train' left; may be repeated; then only the methods asked for",
    )
    evaluate.add_argument(
        "--scenes", metavar="N", type=int, help="only the first N mixes of each set"
    )
    evaluate.add_argument(
        "--out", metavar="FILE", type=Path, help="also write the figures as JSON, tables beside it"
    )
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from unstir.evaluation import FROZEN_SETS, evaluate

    if options.scenes is not None and options.scenes < 1:
        raise SettingsError(f"--scenes {options.scenes} came; 1 or more is wanted")
    evaluate(
        [*options.folders, *options.sets] or FROZEN_SETS,
        options.method,
        models=options.model,
        pack=options.pack,
        corpus=options.corpus,
        n_scenes=options.scenes,
        out=options.out,
    )
    return 0
