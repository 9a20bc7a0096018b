"""``unstir reaper``: puts the Reaper scripts in place, and writes the index for ReaPack."""

import argparse
import datetime
import os
import sys
from pathlib import Path

from unstir.errors import SettingsError

SCRIPTS = Path(__file__).parent / "daw_scripts" / "reaper"


def add_reaper(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``unstir reaper``."""
    reaper = commands.add_parser(
        "reaper",
        help="install the Reaper actions",
        description="Install the actions that separate items within Reaper.",
        epilog="examples:\n"
        "  unstir reaper install\n"
        "  unstir reaper install --path ~/REAPER-portable\n"
        "  unstir reaper index --url https://example.org/scripts -o index.xml\n"
        "  unstir reaper index --check index.xml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = reaper.add_subparsers(title="commands", metavar="COMMAND", required=True)
    install = parts.add_parser(
        "install",
        help="copy the scripts and put them into the action list",
        description="Copy the scripts into Reaper's Scripts folder and their equalizer into its "
        "Effects folder,\nnote this Python for them, and put them into the action list. Close "
        "Reaper first: it writes\nits own list when it ends.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    install.add_argument(
        "--path",
        metavar="DIR",
        type=Path,
        help="Reaper's resource folder (default: where Reaper keeps its settings)",
    )
    install.set_defaults(run=_install)
    index = parts.add_parser(
        "index",
        help="write or check the index for ReaPack",
        description="Write index.xml, by which ReaPack finds the scripts, or check one.",
    )
    index.add_argument("--url", metavar="URL", help="where the folder of scripts can be downloaded")
    index.add_argument(
        "-o", "--out", metavar="FILE", type=Path, default=Path("index.xml"), help="%(default)s"
    )
    index.add_argument("--check", metavar="FILE", type=Path, help="check this one, write nothing")
    index.set_defaults(run=_index)


def resource_folder() -> Path:
    """Return where Reaper keeps its settings on this system."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", str(Path.home()))) / "REAPER"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/REAPER"
    return Path.home() / ".config/REAPER"


def install(folder: Path, python: str) -> tuple[Path, bool]:
    """Put the scripts into Reaper's resource folder; return where, and whether they are listed.

    Only files of ours are replaced. ``reaper-kb.ini``, where it exists, gets a line for every
    action that it lacks, and a copy of it as it was stays beside it.

    Parameters
    ----------
    folder : Path
        Reaper's resource folder.
    python : str
        The interpreter that has unstir.

    Raises
    ------
    SettingsError
        If there is no such folder, or it cannot be written.
    """
    from unstir.journal import write_whole
    from unstir.reapack import action_lines

    if not folder.is_dir():
        raise SettingsError(
            f"there is no folder {folder}; start Reaper once, or give its resource folder "
            "(Options > Show REAPER resource path) with --path"
        )
    target = folder / "Scripts" / "unstir"
    scripts = sorted(SCRIPTS.rglob("*.lua"))
    try:
        for script in scripts:
            copy = target / script.relative_to(SCRIPTS)
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_whole(copy, script.read_bytes())
        for effect in sorted(SCRIPTS.rglob("*.jsfx")):
            copy = folder / "Effects" / "unstir" / effect.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_whole(copy, effect.read_bytes())
        noted = os.fsencode(python) if os.name != "nt" else python.encode()
        write_whole(target / "unstir" / "interpreter.txt", noted + b"\n")
        listing = folder / "reaper-kb.ini"
        if not listing.is_file():
            return target, False
        before = listing.read_bytes()
        lines = action_lines([script.name for script in scripts if script.parent == SCRIPTS])
        missing = [line for line in lines if line.encode() not in before]
        if missing:
            backup = folder / "reaper-kb.ini.before-unstir"
            if not backup.exists():
                write_whole(backup, before)
            gap = b"" if before[-1:] in (b"\n", b"") else b"\n"
            write_whole(listing, before + gap + "".join(f"{m}\n" for m in missing).encode())
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be written ({error.strerror}); choose another with --path"
        ) from None
    return target, True


def _install(options: argparse.Namespace) -> int:
    target, listed = install(options.path or resource_folder(), sys.executable)
    print(f"The scripts are in {target}, and use {sys.executable}.")
    if listed:
        print("Start Reaper; the action list (?) has them under 'unstir'.")
    else:
        print(
            "In Reaper: Actions > Show action list > New action > Load ReaScript, and choose "
            f"'{target / 'unstir_Register all actions.lua'}'. Run it once."
        )
    print("Run the action 'unstir_Check the set-up' first.")
    return 0


def _index(options: argparse.Namespace) -> int:
    from unstir.journal import write_whole
    from unstir.reapack import build_index, check_index

    if options.check:
        try:
            content = options.check.read_bytes()
        except OSError as error:
            raise SettingsError(f"{options.check} cannot be read: {error.strerror}") from None
        print(f"{options.check}: {check_index(content, SCRIPTS)} files")
        return 0
    if not (options.url or "").startswith("https://"):
        raise SettingsError(
            f"--url {options.url or ''} came; the https address of the folder of scripts is wanted"
        )
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = build_index(SCRIPTS, options.url, now)
    check_index(content, SCRIPTS)
    write_whole(options.out, content)
    print(options.out)
    return 0
