"""``unstir evaluate``: methods side by side on the frozen scenes."""

import argparse
from pathlib import Path

SETS = ("report", "foreign")


def add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir evaluate``."""
    evaluate = commands.add_parser(
        "evaluate",
        help="SI-SDR of every method on frozen scenes of real recordings",
        description="Separate frozen scenes whose true stems are known, and print SI-SDR, its "
        "improvement over the mix, and SDR, with intervals over sources.\n\n"
        "report: 60 scenes of our own film recipe. foreign: 40 scenes by the published dnr3\n"
        "recipe, in stereo. Both use recordings that no net of ours was trained or chosen on.",
        epilog="examples:\n"
        "  unstir data pack CORPUS -o pack\n"
        "  unstir evaluate --pack pack --corpus CORPUS --out evaluation.json\n"
        "  unstir evaluate --pack pack --set report --method compact-film --method oracle",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.add_argument(
        "--pack", metavar="DIR", type=Path, required=True, help="what 'unstir data pack' wrote"
    )
    evaluate.add_argument(
        "--corpus", metavar="DIR", type=Path, help="folder of recordings (for the foreign set)"
    )
    evaluate.add_argument(
        "--set",
        dest="sets",
        choices=SETS,
        action="append",
        help="only this set; may be repeated (default: both)",
    )
    evaluate.add_argument(
        "--method", metavar="NAME", action="append", help="only this method; may be repeated"
    )
    evaluate.add_argument(
        "--scenes", metavar="N", type=int, help="only the first N scenes of each set"
    )
    evaluate.add_argument(
        "--out", metavar="FILE", type=Path, help="also write the figures as JSON, tables beside it"
    )
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from unstir.evaluation import evaluate

    evaluate(
        options.pack,
        options.corpus,
        options.sets or SETS,
        options.method,
        n_scenes=options.scenes,
        out=options.out,
    )
    return 0
