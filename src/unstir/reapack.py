"""The Reaper scripts as a ReaPack repository: their headers read, its index written and checked.

The rules are those of reapack-index: a header in the leading comment, ``@version`` mandatory and
beginning with a digit, no segment above 65535, every file that is provided exists.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from unstir.errors import SettingsError

TAGS = {
    *("about", "author", "changelog", "description", "donation", "link", "metapackage"),
    *("noindex", "provides", "screenshot", "version", "website"),
}
NAME, CATEGORY = "unstir", "reaper"


@dataclass(frozen=True, slots=True)
class Header:
    """What the leading comment of a script says.

    Parameters
    ----------
    tags : dict of str to str
        By name; continuation lines are joined by line breaks.
    """

    tags: dict[str, str] = field(default_factory=dict)

    @property
    def is_package(self) -> bool:
        """Whether it is listed by itself."""
        return "version" in self.tags and "noindex" not in self.tags


def read_header(text: str) -> Header:
    r"""Return the header of a Lua script.

    Raises
    ------
    SettingsError
        If a tag is unknown, or the version is none that ReaPack takes.

    Examples
    --------
    >>> read_header("-- @version 1.0\n-- @about\n--   Two\n--   lines\nprint(1)\n").tags
    {'version': '1.0', 'about': 'Two\nlines'}
    """
    tags: dict[str, str] = {}
    current = ""
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        body = line[2:]
        match = re.match(r"\s?@(\w+)(?:\s+(.*))?$", body)
        if match:
            current = match[1]
            if current not in TAGS:
                raise SettingsError(
                    f"@{current} came in a script's header; ReaPack does not know it"
                )
            tags[current] = (match[2] or "").strip()
        elif current and re.match(r"\s{2,}\S", body):
            tags[current] = f"{tags[current]}\n{body.strip()}".strip()
        else:
            current = ""
    if "version" in tags:
        check_version(tags["version"])
    return Header(tags)


def check_version(version: str) -> tuple[int, ...]:
    """Return the numbers of a version.

    Raises
    ------
    SettingsError
        If ReaPack would refuse it.

    Examples
    --------
    >>> check_version("0.10.2")
    (0, 10, 2)
    """
    numbers = tuple(int(n) for n in re.findall(r"\d+", version))
    if not version[:1].isdigit() or max(numbers) > 65535:
        raise SettingsError(
            f"the version {version!r} came; it must begin with a digit, and no number in it may "
            "be above 65535"
        )
    return numbers


def provided(folder: Path, script: Path, header: Header) -> list[tuple[Path, str]]:
    """Return the files that a package installs, each with what it is there for.

    That is ``main`` for an action, ``nomain`` for what actions need, and ``effect`` for an effect.

    Raises
    ------
    SettingsError
        If a pattern of ``@provides`` matches nothing.
    """
    found = {script: "main"}
    for line in filter(None, header.tags.get("provides", "").split("\n")):
        match = re.match(r"(?:\[(\w+)\]\s+)?(.+)$", line)
        if match is None:
            raise SettingsError(f"{line!r} in @provides of {script.name} cannot be understood")
        paths = sorted(path for path in folder.glob(match[2]) if path.is_file())
        if not paths:
            raise SettingsError(f"{match[2]!r} in @provides of {script.name} matches no file")
        for path in paths:
            found.setdefault(path, match[1] or "nomain")
    return list(found.items())


def build_index(folder: Path, url: str, time: str) -> bytes:
    """Return ``index.xml`` for the scripts of a folder.

    Parameters
    ----------
    folder : Path
        Of the scripts.
    url : str
        Where the same folder can be downloaded from.
    time : str
        When this version was made, as ``2026-01-31T12:00:00Z``.

    Raises
    ------
    SettingsError
        If a header breaks a rule, or there is no package.
    """
    index = ElementTree.Element("index", version="1", name=NAME)
    category = ElementTree.SubElement(index, "category", name=CATEGORY)
    for script in sorted(folder.glob("*.lua")):
        header = read_header(script.read_text(encoding="utf-8"))
        if not header.is_package:
            continue
        package = ElementTree.SubElement(
            category,
            "reapack",
            name=script.name,
            type="script",
            desc=header.tags.get("description", script.stem),
        )
        version = ElementTree.SubElement(
            package,
            "version",
            name=header.tags["version"],
            author=header.tags.get("author", ""),
            time=time,
        )
        for path, use in provided(folder, script, header):
            name = path.relative_to(folder).as_posix()
            source = ElementTree.SubElement(version, "source")
            if use == "main":
                source.set("main", "main")
            elif use == "effect":
                source.set("type", "effect")  # so that it goes into the folder of effects
            if path != script:
                source.set("file", name)
            source.text = f"{url.rstrip('/')}/{quote(name)}"
    if not len(category):
        raise SettingsError(f"{folder} holds no script with an @version of its own")
    ElementTree.indent(index)
    content = ElementTree.tostring(index, encoding="utf-8", xml_declaration=True)
    return bytes(content) + b"\n"


def check_index(content: bytes, folder: Path) -> int:
    """Return how many files an index lists, all of which are there.

    Raises
    ------
    SettingsError
        If it is no index, breaks a rule, or lists what is not in the folder.
    """
    try:
        index = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise SettingsError(f"the index is no XML: {error}; write it again") from None
    if index.tag != "index" or index.get("version") != "1" or not index.get("name"):
        raise SettingsError("the index lacks its version or its name; write it again")
    n_files = 0
    for package in index.iterfind("category/reapack"):
        versions = [check_version(v.get("name", "")) for v in package.iterfind("version")]
        if not versions or versions != sorted(set(versions)):
            raise SettingsError(f"the versions of {package.get('name')} do not rise")
        for source in package.iterfind("version/source"):
            name = source.get("file") or package.get("name") or ""
            if (source.get("type") == "effect") != name.endswith(".jsfx"):
                raise SettingsError(f"the index does not say rightly whether {name} is an effect")
            _check_source(name, source.text or "", folder)
            n_files += 1
    if not n_files:
        raise SettingsError("the index lists no file; write it again")
    return n_files


def _check_source(name: str, url: str, folder: Path) -> None:
    if not (folder / name).is_file() or ".." in name:
        raise SettingsError(f"the index lists {name!r}, which is not in {folder}")
    if not url.startswith("https://") or not url.endswith(quote(name)):
        raise SettingsError(f"the index gives {url!r} for {name!r}; an https address is wanted")


def action_lines(names: Sequence[str]) -> list[str]:
    """Return the lines of ``reaper-kb.ini`` that put scripts into the action list.

    Examples
    --------
    >>> action_lines(["a b.lua"])[0].endswith('"Custom: a b.lua" "unstir/a b.lua"')
    True
    """
    import hashlib

    return [
        f"SCR 4 0 RS{hashlib.sha1(f'unstir/{name}'.encode()).hexdigest()} "
        f'"Custom: {name}" "unstir/{name}"'
        for name in names
    ]
