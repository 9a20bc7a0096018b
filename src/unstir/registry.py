"""Names to methods: ours, and those that other packages bring through entry points.

Ours are the rows of `unstir.catalog`.
"""

import dataclasses
import hashlib
import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from unstir.catalog import OURS
from unstir.catalog import Method as Method
from unstir.errors import SettingsError, UnknownNameError
from unstir.queries import parse
from unstir.settings import check_device
from unstir.types import STEM_SETS, Separator
from unstir.weights import locate

ENTRY_POINT_GROUP = "unstir.methods"


def methods() -> Mapping[str, Method]:
    """Return every method by name, ours first, as things stand: weights come and go.

    Raises
    ------
    SettingsError
        If another package brings a name that is taken, or something else than a `Method`.

    Examples
    --------
    >>> methods()["midside"].min_channels
    2
    """
    return {name: _as_it_stands(method) for name, method in _registered().items()}


def _as_it_stands(method: Method) -> Method:
    there = tuple(
        name
        for name in method.stem_sets
        if all(locate(entry).is_file() for entry in weights_of(method, name))
    )
    if not there or not _installed(method):
        return dataclasses.replace(method, needs="weights")
    return dataclasses.replace(method, stem_sets=there)


def _installed(method: Method) -> bool:
    return not method.package or find_spec(method.package) is not None


@cache
def _registered() -> Mapping[str, Method]:
    found = {method.name: method for method in OURS}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        method = point.load()
        if not isinstance(method, Method):
            raise SettingsError(
                f"the entry point {point.value!r} gives a {type(method).__name__}; "
                "an unstir.registry.Method is wanted"
            )
        if method.name in found:
            raise SettingsError(
                f"the entry point {point.value!r} brings a method named {method.name!r}, "
                "which is taken; uninstall one of the two packages"
            )
        found[method.name] = method
    return found


def find(name: str) -> Method:
    """Return the method of that name, as `methods` gives it; words behind it count for nothing.

    Raises
    ------
    UnknownNameError
        If there is none; the message lists what there is.
    SettingsError
        If words are announced by a colon and there are none.
    """
    known = _registered()
    head, words = _asked(name)
    if head != name and not words:
        raise SettingsError(
            f"{name!r} came with no words behind the colon; say what is wanted, as in "
            f'{head}:"a dog", or leave the colon out'
        )
    if head not in known:
        raise UnknownNameError(f"there is no method {name!r}; choose from {', '.join(known)}")
    return _as_it_stands(known[head])


def _asked(name: str) -> tuple[str, str]:
    """Return a method's name and the words behind it, as in ``query:"a dog; rain"``.

    Examples
    --------
    >>> _asked('query:"a dog"'), _asked("midside")
    (('query', 'a dog'), ('midside', ''))
    """
    head, _, words = name.partition(":")
    method = _registered().get(head)
    return (head, words.strip().strip("\"'")) if method and method.asks else (name, "")


def is_asked(name: str) -> bool:
    """Return whether a method comes with its words, which then name what any stems hold.

    Examples
    --------
    >>> is_asked('query:"singing"'), is_asked("query")
    (True, False)
    """
    return bool(_asked(name)[1])


def stem_set(name: str) -> tuple[str, ...]:
    """Return the stems of a set.

    Raises
    ------
    UnknownNameError
        If there is no set of that name.

    Examples
    --------
    >>> stem_set("song")
    ('vocals', 'accompaniment')
    """
    try:
        return STEM_SETS[name]
    except KeyError:
        raise UnknownNameError(
            f"there is no stem set {name!r}; choose from {', '.join(STEM_SETS)}"
        ) from None


def set_name(stems: tuple[str, ...]) -> str:
    """Return what a stem set is called.

    Examples
    --------
    >>> set_name(("vocals", "accompaniment"))
    'song'
    """
    return next(name for name, known in STEM_SETS.items() if known == stems)


def make(
    name: str,
    stems: str | tuple[str, ...] = "film",
    *,
    seed: int = 0,
    device: str = "auto",
    **options: Any,
) -> Separator:
    """Return a method, ready to separate.

    Parameters
    ----------
    name : str
        As `methods` lists it; one that asks may have its words behind it:
        ``query:"talking; a song; noises"``.
    stems : str or tuple of str
        A stem set; or, of a method that asks, any names.
    seed : int
        Passed on to methods that have one.
    device : str
        Likewise; a method that has none runs on the CPU and is refused another.
    **options
        Other fields of the method. ``model="random:NET"`` gives a net random weights.

    Raises
    ------
    UnknownNameError
        If there is no such method, stem set or device, or the method cannot give that set.
    SettingsError
        If its weights or the package that it imports are not there, or something is asked for both
        behind its name and in ``options``.

    Examples
    --------
    >>> make("midside", "song").stems
    ('vocals', 'accompaniment')
    """
    method = find(name)
    wanted = stem_set(stems) if isinstance(stems, str) else stems
    if not method.asks and stems not in method.stem_sets:
        raise UnknownNameError(
            f"{name} cannot give the stem set {stems!r}; it gives {', '.join(method.stem_sets)}"
        )
    if words := _asked(name)[1]:
        if options.get("queries") or options.get("likes"):
            raise SettingsError(
                f"{name} came, and words or --like too; say in one place alone what is wanted, as "
                f"in --method {method.name} with the words"
            )
        question = parse(words)
        if question.is_negated and len(wanted) != 2:
            raise SettingsError(
                f"{name} asks for everything but a sound, which gives two stems, and "
                f"{', '.join(wanted)} are wanted; ask for each of them"
            )
        options |= {"queries": question.queries, "is_negated": question.is_negated}
    if not _installed(method):
        raise SettingsError(
            f"{name} needs the package {method.package}, which is not installed; install it with "
            f"pip install 'unstir[{method.package}]'"
        )
    module, _, attribute = method.target.partition(":")
    build = getattr(importlib.import_module(module), attribute)
    fields = {field.name for field in dataclasses.fields(build)}
    if "seed" in fields:
        options["seed"] = seed
    if "device" in fields:
        options["device"] = device
    else:
        check_device(device)
    if "model" in fields and "model" not in options:
        if method.needs == "weights":
            raise SettingsError(_missing(method, stems))
        options["model"] = _weights_for(method, stems)[0]
    separator = build(stems=wanted, **options)
    assert isinstance(separator, Separator)
    return separator


def _weights_for(method: Method, stems: str | tuple[str, ...]) -> tuple[str, ...]:
    return weights_of(method, stems) if isinstance(stems, str) else method.weights


def _missing(method: Method, stems: str | tuple[str, ...]) -> str:
    if method.weights[0].startswith("store:"):
        clap = " --clap FOLDER" if method.asks else ""
        return (
            f"{method.name} needs weights, which do not come with unstir; get a checkpoint and add "
            f"it with 'unstir models add {method.name} --file CHECKPOINT{clap}'"
        )
    files = [locate(entry) for entry in _weights_for(method, stems)]
    absent = ", ".join(str(file) for file in files if not file.is_file())
    return f"{method.name} needs weights, and {absent} is not there; choose another --method"


def weights_of(method: Method, stems: str) -> tuple[str, ...]:
    """Return those of a method's weights that a stem set needs.

    Examples
    --------
    >>> weights_of(find("hybrid"), "song")[0]
    'unstir.neural/hybrid-song.safetensors'
    """
    others = tuple(f"-{name}.safetensors" for name in STEM_SETS if name != stems)
    return tuple(entry for entry in method.weights if not entry.endswith(others))


def weights_digest(method: Method, stems: str = "") -> str:
    """Return a SHA-256 over a method's weight files and the descriptions beside them.

    Parameters
    ----------
    method : Method
        From `find`.
    stems : str
        A stem set; by default the method's first.

    Returns
    -------
    str
        In hexadecimal; empty if it has none, or they are not there.
    """
    paths = [locate(entry) for entry in weights_of(method, stems or method.stem_sets[0])]
    if not paths or not all(path.is_file() for path in paths):
        return ""
    digest = hashlib.sha256()
    for path in paths:
        for file in dict.fromkeys([path, path.with_suffix(".json")]):
            if file.is_file():
                digest.update(file.read_bytes())
    return digest.hexdigest()
