"""``unstir chains``: the presets, what is in them, and how they color the sound."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unstir.errors import SettingsError

if TYPE_CHECKING:
    from unstir.plugins.chains import Chain


def add_chains(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir chains``."""
    chains = commands.add_parser(
        "chains",
        help="list and show effect presets",
        description="List the presets; with a name, show what is in one. NAME may also be a "
        ".json file of your own;\nsave a preset with --json, change it and use it in its place.",
        epilog="examples:\n"
        "  unstir chains\n"
        "  unstir chains dialogue-clarity --json > mine.json\n"
        "  unstir chains mine.json --picture mine.png\n"
        "  unstir chains --effects\n"
        "  unstir chains --vst3 /usr/lib/vst3/ZamCompX2.vst3\n"
        "  unstir chains --vst3 /usr/lib/vst3/ZamCompX2.vst3 --set ratio=8 --json > mine.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = chains.add_argument
    add("name", metavar="NAME", nargs="?", help="a preset, or a .json file")
    add("--effects", action="store_true", help="list the effects and the range of each parameter")
    add("--json", action="store_true", help="print JSON")
    add(
        "--picture",
        metavar="FILE",
        type=Path,
        help="draw the frequency response as a PNG; without NAME, those of all linear presets",
    )
    add(
        "--vst3",
        metavar="BUNDLE",
        type=Path,
        help="load a plug-in and list its parameters; with --json, print a chain file of it",
    )
    add(
        "--set",
        metavar="NAME=VALUE",
        nargs="+",
        default=[],
        help="with --vst3: its parameters, and plugin=NAME if there are several in the bundle",
    )
    chains.set_defaults(run=_chains)


def _chains(options: argparse.Namespace) -> int:
    if options.effects and (options.name or options.picture):
        raise SettingsError("--effects goes with neither NAME nor --picture; leave one out")
    if options.vst3 and (options.name or options.picture or options.effects):
        raise SettingsError("--vst3 goes with --set and --json only; leave the others out")
    if options.set and not options.vst3:
        raise SettingsError("--set sets parameters of a plug-in; give it with --vst3")
    if options.vst3:
        _describe_plugin(options.vst3, options.set, as_json=options.json)
    elif options.picture:
        _draw(options.picture, options.name)
    elif options.effects:
        _list_effects(as_json=options.json)
    elif options.name:
        _show(options.name, as_json=options.json)
    else:
        _list(as_json=options.json)
    return 0


def _list(*, as_json: bool) -> None:
    from unstir.plugins.chains import presets

    width = max(len(name) for name in presets())
    for name in presets():
        chains, content = _open(name)
        linear = all(chain.linear for chain in chains.values())
        if as_json:
            line = {"name": name, "summary": content["summary"]}
            print(json.dumps({**line, "rack": "stems" in content, "linear": linear}))
        else:
            print(f"{name:{width}}  {content['summary']}{'' if linear else ' (not linear)'}")


def _list_effects(*, as_json: bool) -> None:
    from unstir.plugins.effects import KINDS

    for kind in KINDS:
        if as_json:
            ranges = {p.name: p.wanted for p in kind.parameters}
            line = {"effect": kind.name, "summary": kind.summary, "parameters": ranges}
            print(json.dumps({**line, "linear": kind.linear}))
            continue
        print(f"{kind.name}: {kind.summary}{'' if kind.linear else ' (not linear)'}")
        for p in kind.parameters:
            default = "" if p.default is None else f" (default: {p.default})"
            print(f"    {p.name:14} {p.wanted}{default}")


def _describe_plugin(path: Path, assignments: list[str], *, as_json: bool) -> None:
    from unstir.plugins.vst3 import chain_with, describe

    parameters: dict[str, float | str] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise SettingsError(f"--set {text!r} came; write NAME=VALUE")
        try:
            parameters[name] = float(value)
        except ValueError:
            parameters[name] = value
    if as_json:
        print(json.dumps(chain_with(path, parameters).to_json(), indent=2, ensure_ascii=False))
        return
    found = describe(path, **parameters)
    print(f"{found.name} in {found.path}")
    width = max((len(p.name) for p in found.parameters), default=0)
    for p in found.parameters:
        print(f"    {p.name:{width}} {p.wanted} (now: {p.default})")


def _show(name: str, *, as_json: bool) -> None:
    chains, content = _open(name)
    if as_json:
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    print(content.get("summary", ""))
    for stem, chain in chains.items():
        if "stems" in content:
            print(f"{stem}:")
        for effect in chain.effects:
            shown = {**effect.parameters, **({"state": "kept"} if effect.name == "vst3" else {})}
            settings = ", ".join(f"{key} {value}" for key, value in shown.items())
            print(f"  {effect.name:12} {settings}")
    for text in dict.fromkeys(text for chain in chains.values() for text in chain.warnings()):
        print(f"note: {text}")


def _open(name: str) -> "tuple[dict[str, Chain], dict[str, object]]":
    """Return the chains of a preset or file, a rack's by stem, and what the file holds."""
    from unstir.plugins.chains import Effect, parse_chain, preset_path, read_json
    from unstir.plugins.rack import parse_rack

    path = preset_path(name)
    content = read_json(path)
    if isinstance(content, dict) and "stems" in content:
        rack = parse_rack(content, path.stem, allow_plugins=True)  # shown, not opened
        chains = {}
        for stem, strip in rack.strips.items():
            gain = (Effect("gain", {"gain_db": strip.gain_db}),) if strip.gain_db else ()
            chains[stem] = replace(strip.chain, effects=(*strip.chain.effects, *gain))
        return {**chains, "master": rack.master}, content
    chain = parse_chain(content, path.stem, allow_plugins=True)
    assert isinstance(content, dict)
    return {path.stem: chain}, content


def _draw(path: Path, name: str | None) -> None:
    from unstir.chain_picture import draw_responses
    from unstir.plugins.chains import presets
    from unstir.plugins.responses import frequencies_hz, response_db

    chains: dict[str, Chain] = {}
    for one in presets() if name is None else (name,):
        found, _ = _open(one)
        if name is not None or all(chain.linear for chain in found.values()):
            chains |= found
    if path.suffix.lower() != ".png":
        raise SettingsError(f"the picture {path} would be a PNG; end its name in .png")
    curves = {name: response_db(chain) for name, chain in chains.items()}
    temporary = path.with_name(path.name + ".part")
    try:
        draw_responses(temporary, frequencies_hz(48000), curves)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SettingsError(
            f"the picture {path} cannot be written ({error.strerror}); choose another place"
        ) from None
