"""``unstir evaluate``: methods side by side on the frozen scenes."""

import argparse
from pathlib import Path

from unstir.cli_compare import comma_separated
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
        "  unstir evaluate dnr_v2/tt --methods midside,hybrid\n"
        "  unstir evaluate dnr_v2/tt --methods all --controls --out figures.json\n"
        "  unstir evaluate --pack pack --set report --model runs/mine/compact-film-2.safetensors\n"
        "  unstir evaluate --controls --pack pack --corpus CORPUS --out controls.json\n"
        "  unstir evaluate --controls --refiner mine.safetensors --base classical dnr_v2/tt\n"
        "  unstir evaluate --queries --pack pack --out query.json",
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
        "--methods",
        metavar="NAME,NAME",
        type=comma_separated,
        action="extend",
        help="only these; 'all' for every one that is ready (default: all, but none with --model "
        "or --controls)",
    )
    evaluate.add_argument(
        "--method",
        metavar="NAME",
        dest="methods",
        action="append",
        help="one more of them; may be repeated",
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
        "--out",
        metavar="FILE",
        type=Path,
        help="also write the figures as JSON, tables beside it; of methods and --controls at "
        "once, the controls' go to FILE with .controls.json for its ending",
    )
    evaluate.add_argument(
        "--queries",
        action="store_true",
        help="measure the net that is asked in words, on mixes of two sounds, and nothing else",
    )
    controls = evaluate.add_argument_group(
        "the hybrid against its controls",
        "base, hybrid, hybrid with less or wrong evidence, and oracle; in stereo and mono",
    )
    controls.add_argument(
        "--controls",
        action="store_true",
        help="measure these, after the methods if any are named (default sets: those of the "
        "refiner's stems)",
    )
    controls.add_argument(
        "--base",
        dest="bases",
        metavar="NAME",
        action="append",
        default=[],
        help="what is refined: a method, or a net's file; may be repeated (default: the best net)",
    )
    controls.add_argument(
        "--refiner", metavar="FILE", type=Path, help="default: the one that ships"
    )
    controls.add_argument(
        "--blind",
        metavar="FILE",
        type=Path,
        help="a refiner of equal size that was trained without priors; with --queries, a net that "
        "was trained without words",
    )
    controls.add_argument(
        "--trained-on",
        metavar="FILE",
        type=Path,
        help="a net: the first base, trained on for as long as the refiner",
    )
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from unstir.evaluation import FROZEN_SETS, evaluate

    if options.scenes is not None and options.scenes < 1:
        raise SettingsError(f"--scenes {options.scenes} came; 1 or more is wanted")
    if options.methods == []:
        raise SettingsError("--methods came without a name; give names apart by commas, or 'all'")
    if options.queries:
        return _queries(options)
    if options.controls:
        return _controls(options)
    for name in ("bases", "refiner", "blind", "trained_on"):
        if getattr(options, name):
            word = name.removesuffix("s").replace("_", "-")
            raise SettingsError(f"--{word} came without --controls, which alone it is for; add it")
    evaluate(
        [*options.folders, *options.sets] or FROZEN_SETS,
        options.methods,
        models=options.model,
        pack=options.pack,
        corpus=options.corpus,
        n_scenes=options.scenes,
        out=options.out,
    )
    return 0


def _queries(options: argparse.Namespace) -> int:
    from unstir.neural.pack import Pack
    from unstir.query_proof import prove_queries
    from unstir.registry import find

    if options.controls or options.methods or options.sets or options.folders:
        raise SettingsError(
            "--queries came with methods, scenes or --controls; measure those by a command of "
            "their own"
        )
    if options.pack is None or len(options.model) > 1:
        raise SettingsError("--queries needs one --pack, and takes one --model at most")
    if options.out is not None and options.out.suffix != ".json":
        raise SettingsError(f"--out {options.out} came; a name that ends in .json is wanted")
    if options.out is not None and not options.out.absolute().parent.is_dir():
        raise SettingsError(f"there is no folder {options.out.parent}; make it, or give another")
    model = f"file:{options.model[0]}" if options.model else find("query").weights[0]
    blind = f"file:{options.blind}" if options.blind else ""
    pack = Pack(options.pack)
    prove_queries(model, pack, blind=blind, n_scenes=options.scenes, out=options.out)
    return 0


def _controls(options: argparse.Namespace) -> int:
    from unstir.proof import prove

    prove(
        [*options.folders, *options.sets],
        options.refiner,
        methods=options.methods,
        models=options.model,
        bases=options.bases,
        blind=options.blind,
        trained_on=options.trained_on,
        pack=options.pack,
        corpus=options.corpus,
        n_scenes=options.scenes,
        out=options.out,
    )
    return 0
