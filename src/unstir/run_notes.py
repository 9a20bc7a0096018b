"""What a run says of itself: of what it is made, where it runs, and what the user should know."""

import dataclasses
import json
from typing import Any

from unstir.channels import Group
from unstir.containers import AudioInfo
from unstir.deliver import Format
from unstir.errors import SettingsError
from unstir.journal import file_digest
from unstir.registry import Method, find, weights_of
from unstir.settings import Settings, question_of
from unstir.types import Separator
from unstir.weights import locate


def method_options(method: Method, settings: Settings, explain: bool) -> dict[str, Any]:
    """Return the options of the method that only it has.

    Raises
    ------
    SettingsError
        If they were given with another method.
    """
    fields = {"base": settings.base, "leakage": settings.leakage, "score": settings.score}
    given = {name: value for name, value in fields.items() if value}
    for name in [*given, *(["explain"] if explain else [])]:
        only = "nmf" if name == "score" else "hybrid"
        if only != (method.name if only == "nmf" else method.kind):
            raise SettingsError(
                f"--{name} came with the method {method.name}, and only the {only} takes it; "
                f"leave it out or use --method {only}"
            )
    question = question_of(settings)
    if question:
        if not method.asks:
            raise SettingsError(
                f"{method.name} takes no words; leave --method out, or use --method query"
            )
        given |= {
            "queries": question.queries,
            "likes": settings.like,
            "is_negated": question.is_negated,
            "words": settings.words,
        }
    return given


def used_methods(method: Method, separator: Separator) -> tuple[Method, ...]:
    """Return the method and, of a hybrid, its base."""
    if method.kind != "hybrid":
        return (method,)
    return method, find(config_of(separator)["config"]["base"])


def method_notes(method: Method, separator: Separator, settings: Settings) -> tuple[str, ...]:
    """Return what a hybrid is made of, and which device a net took where that was left to it."""
    notes = []
    fields = config_of(separator)["config"]
    if method.kind == "hybrid":
        path = locate(fields["model"])
        notes.append(
            f"the hybrid corrects the stems of {fields['base']}, at a leakage of "
            f"{fields['leakage']:g}, by the weights {path.stem} (SHA-256 {file_digest(path)[:12]})"
        )
    if "device" in fields and settings.device == "auto":
        notes.append(f"the net runs on {fields['device']} in {fields.get('precision', 'fp32')}")
    return tuple(notes)


def method_report(method: Method, separator: Separator, stems: str) -> dict[str, Any]:
    """Return which method ran, of what it is made, and by which weights."""
    config = config_of(separator)
    return {
        "name": method.name,
        "kind": method.kind,
        "pitch_tracker": getattr(separator, "tracker", None),
        "base": config["config"].get("base"),
        "leakage": config["config"].get("leakage"),
        "weights_license": method.weights_license or None,
        "weights_sha256": {
            path.name: file_digest(path)
            for used in used_methods(method, separator)
            for path in map(locate, weights_of(used, stems))
        },
        **config,
    }


def config_of(separator: Separator) -> dict[str, Any]:
    """Return the method's class and fields, as JSON takes them."""
    fields: dict[str, Any] = {}
    if dataclasses.is_dataclass(separator) and not isinstance(separator, type):
        fields = dataclasses.asdict(separator)
    return {
        "class": type(separator).__name__,
        "config": json.loads(json.dumps(fields, default=str)),
    }


def input_notes(
    info: AudioInfo, channel_groups: tuple[Group, ...], min_channels: int, format: Format
) -> tuple[str, ...]:
    """Return what the user should know before it starts."""
    notes = []
    if info.n_channels > 2 and info.layout is None:
        names = ", ".join(group.name for group in channel_groups)
        notes.append(
            f"{info.n_channels} channels without a known layout are taken apart as {names}"
        )
    for group in channel_groups:
        if len(group.channels) < min_channels and group.role == "front":
            notes.append(
                f"channel {group.name} stands alone, where this method has nothing to say: "
                "its stems share it evenly"
            )
    if not info.lossless and format.bits is None:
        notes.append(f"{info.subtype} is lossy: stems are 32-bit float of what it decodes to")
    if format.container == "flac" and (info.bext or info.ixml):
        notes.append(
            "FLAC cannot carry the source's bext and iXML; use --format pcm24 to keep them"
        )
    if info.truncated:
        notes.append("the file is cut; what there is of it is taken apart")
    return tuple(notes)
