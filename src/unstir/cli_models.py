"""``unstir models``: the weights of nets, those that ship and those that the user adds."""

import argparse
import json
from pathlib import Path

from unstir.errors import SettingsError


def add_models(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir models`` with its four commands."""
    parser = commands.add_parser(
        "models",
        help="list, add and remove the weights of nets",
        description="The weights of nets: those that come with unstir, and those that you add. "
        "Nothing is fetched unless you give its address. Added weights lie in the folder "
        "UNSTIR_MODELS, or where the system keeps your data.",
        epilog="examples:\n"
        "  unstir models list\n"
        "  unstir models add mrx --file default_mrx_pre_trained_weights.pth\n"
        "  unstir models add audiosep --file audiosep_base_4M_steps.ckpt --clap clap-folder\n"
        "  unstir models show mrx",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = what.add_parser("list", help="say which weights there are")
    listing.add_argument("--json", action="store_true", help="one JSON object per line")
    listing.set_defaults(run=_list)

    add = what.add_parser("add", help="keep a checkpoint in the model folder")
    add.add_argument("name", metavar="NAME", help="the method that uses it")
    where = add.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--file", metavar="FILE", type=Path, help="a checkpoint; no code in it is ever run"
    )
    where.add_argument("--url", metavar="ADDRESS", help="fetch it, over https alone")
    add.add_argument("--sha256", metavar="HEX", help="what the file behind the address must have")
    clap = "audiosep: a CLAP model as transformers keeps it, which reads the words"
    add.add_argument("--clap", metavar="FOLDER", type=Path, help=clap)
    add.set_defaults(run=_add)

    for name, run, text in (
        ("remove", _remove, "remove weights that were added"),
        ("show", _show, "print a model's card: recipe, data and licences, figures"),
    ):
        command = what.add_parser(name, help=text)
        command.add_argument("name", metavar="NAME")
        command.set_defaults(run=run)


def _list(options: argparse.Namespace) -> int:
    from unstir.console import show_models

    show_models(as_json=options.json)
    return 0


def _add(options: argparse.Namespace) -> int:
    from unstir.neural.models import add_file, add_url

    if (options.url is None) != (options.sha256 is None):
        raise SettingsError("--url and --sha256 belong together; give both, or --file alone")
    if options.url is None:
        path = add_file(options.name, options.file, clap=options.clap)
    else:
        path = add_url(options.name, options.url, options.sha256, clap=options.clap)
    print(f"{options.name} is in {path}; use it with --method {options.name}")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from unstir.neural.models import remove

    remove(options.name)
    return 0


def _show(options: argparse.Namespace) -> int:
    from unstir.neural.models import show

    print(json.dumps(show(options.name), indent=2, ensure_ascii=False))
    return 0
