"""Names to methods: ours, and those that other packages bring through entry points.

A method joins by one row here, or by an entry point of the group ``unstir.methods`` that
loads to a `Method`. Everything else (commands, reports, the promises in the tests) takes
it from there.
"""

import dataclasses
import hashlib
import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Literal

from unstir.errors import SettingsError, UnknownNameError
from unstir.settings import check_device
from unstir.types import STEM_SETS, Separator
from unstir.weights import locate

ENTRY_POINT_GROUP = "unstir.methods"


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """What is known of a method before it is loaded.

    Parameters
    ----------
    name : str
        What the user types.
    target : str
        ``"module:Class"``; called with ``stems`` and, if it has such fields, ``seed``, ``device``
        and ``model``, the first of ``weights``.
    kind : {"control", "classical", "neural", "hybrid"}
        Where it belongs.
    summary : str
        What it is, in a few words.
    stem_sets : tuple of str
        Names of the stem sets it can give. `methods` leaves out those whose weights are not there,
        unless that is true of all.
    min_channels : int
        Channels that have to be looked at together.
    needs : str
        What it needs beyond a mix; empty if nothing. `methods` puts ``"weights"`` here for as
        long as a file of ``weights`` is not there.
    weights : tuple of str
        Files of trained parameters, each ``"package/file"``, or ``"store:NAME"`` for a model that
        the user adds (`unstir.weights.locate`). A file whose name ends in that of a stem set, as
        ``hybrid-film.safetensors``, belongs to that set alone.
    weights_license : str
        Licence of the weights; empty if there are none.
    package : str
        An optional package that it imports; without it, its weights count as absent.
    """

    name: str
    target: str
    kind: Literal["control", "classical", "neural", "hybrid"]
    summary: str
    stem_sets: tuple[str, ...] = ("film", "song")
    min_channels: int = 1
    needs: str = ""
    weights: tuple[str, ...] = ()
    weights_license: str = ""
    package: str = ""


_OURS = (
    Method(
        "mixture",
        "unstir.hybrid.controls:Unprocessed",
        "control",
        "do nothing: every stem is the mix, evenly shared",
    ),
    Method(
        "oracle",
        "unstir.hybrid.controls:Oracle",
        "control",
        "ideal ratio masks from the true stems",
        needs="references",
    ),
    Method(
        "invert",
        "unstir.hybrid.invert:Invert",
        "classical",
        "phase inversion: what differs between the channels, and the rest",
        min_channels=2,
    ),
    Method(
        "midside",
        "unstir.hybrid.midside:MidSide",
        "classical",
        "center extraction from inter-channel likeness",
        min_channels=2,
    ),
    Method(
        "panning",
        "unstir.hybrid.panning:Panning",
        "classical",
        "azimuth discrimination: one component per peak of the panning histogram",
        min_channels=2,
    ),
    Method(
        "bands",
        "unstir.hybrid.bands:Bands",
        "classical",
        "crossover filters and a gate, as an engineer does by hand",
    ),
    Method(
        "ica",
        "unstir.hybrid.ica:Ica",
        "classical",
        "FastICA on the channels, per band",
        min_channels=2,
    ),
    Method(
        "hpss",
        "unstir.hybrid.hpss:Hpss",
        "classical",
        "median-filter harmonic/percussive separation",
    ),
    Method(
        "repet",
        "unstir.hybrid.repet:Repet",
        "classical",
        "repeating background, by similarity of frames",
    ),
    Method(
        "nmf",
        "unstir.hybrid.nmf:Nmf",
        "classical",
        "KL-NMF with dictionaries of speech, singing, music and effects",
        weights=("unstir.hybrid/dictionaries.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "harmonic",
        "unstir.hybrid.harmonic:Harmonic",
        "classical",
        "comb along the voice's harmonics, pitch by pYIN and REAPER",
    ),
    Method(
        "classical",
        "unstir.hybrid.classical:Classical",
        "classical",
        "fixed fusion of the classical methods",
        weights=("unstir.hybrid/dictionaries.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "wiener",
        "unstir.hybrid.wiener:Wiener",
        "classical",
        "multichannel Wiener filter on the fusion's estimates",
        weights=("unstir.hybrid/dictionaries.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "compact-film",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "our own net: a convolutional U-Net with a recurrent core on band planes",
        stem_sets=("film",),
        weights=("unstir.neural/compact-film.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "compact-film-causal",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "its streaming sibling, which looks 35 ms ahead: for sound as it comes",
        stem_sets=("film",),
        weights=("unstir.neural/compact-film-causal.safetensors",),
        weights_license="CC-BY-SA-4.0",
    ),
    Method(
        "mrx",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "multi-resolution CrossNet of the Cocktail Fork Problem, with weights that you add",
        stem_sets=("film",),
        weights=("store:mrx",),
        weights_license="as published",
    ),
    Method(
        "demucs",
        "unstir.neural.separator:NetSeparator",
        "neural",
        "Hybrid Transformer Demucs, by its package, with weights that you add",
        stem_sets=("song",),
        weights=("store:demucs",),
        weights_license="as published",
        package="demucs",
    ),
    Method(
        "hybrid",
        "unstir.joined:Hybrid",
        "hybrid",
        "any method as a base, corrected by a net that weighs the classical methods' evidence",
        weights=(
            "unstir.neural/hybrid-film.safetensors",
            "unstir.neural/hybrid-song.safetensors",
            "unstir.hybrid/dictionaries.safetensors",
        ),
        weights_license="CC-BY-SA-4.0",
    ),
)


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
    found = {method.name: method for method in _OURS}
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
    """Return the method of that name, as `methods` gives it.

    Raises
    ------
    UnknownNameError
        If there is none; the message lists what there is.
    """
    known = _registered()
    if name not in known:
        raise UnknownNameError(f"there is no method {name!r}; choose from {', '.join(known)}")
    return _as_it_stands(known[name])


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


def make(
    name: str, stems: str = "film", *, seed: int = 0, device: str = "auto", **options: Any
) -> Separator:
    """Return a method, ready to separate.

    Parameters
    ----------
    name : str
        As `methods` lists it.
    stems : str
        A stem set.
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
        If its weights or the package that it imports are not there.

    Examples
    --------
    >>> make("midside", "song").stems
    ('vocals', 'accompaniment')
    """
    method = find(name)
    wanted = stem_set(stems)
    if stems not in method.stem_sets:
        raise UnknownNameError(
            f"{name} cannot give the stem set {stems!r}; it gives {', '.join(method.stem_sets)}"
        )
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
        options["model"] = weights_of(method, stems)[0]
    separator = build(stems=wanted, **options)
    assert isinstance(separator, Separator)
    return separator


def _missing(method: Method, stems: str) -> str:
    if method.weights[0].startswith("store:"):
        return (
            f"{method.name} needs weights, which do not come with unstir; get a checkpoint and add "
            f"it with 'unstir models add {method.name} --file CHECKPOINT'"
        )
    files = [locate(entry) for entry in weights_of(method, stems)]
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
