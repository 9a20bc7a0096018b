"""Which channels are taken apart together: loudspeaker roles, pairs, and the LFE.

A surround mix is cut into groups: front pair, center, surround pair, LFE. Masks are
linked within a group, so that the image stays where it was, and never across groups.
Separators see one group at a time, one or two channels wide, and its role.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unstir.errors import SettingsError
from unstir.types import (
    FILM,
    SONG,
    Mixture,
    Role,
    Separator,
    State,
    Stems,
    nested,
    part_of,
)

Linking = Literal["linked", "each"]

PAIRS: tuple[tuple[str, str, Role], ...] = (
    ("FL", "FR", "front"),
    ("FLC", "FRC", "front"),
    ("SL", "SR", "surround"),
    ("BL", "BR", "surround"),
    ("TFL", "TFR", "surround"),
    ("TBL", "TBR", "surround"),
)
SINGLES: dict[str, Role] = {"FC": "center", "LFE": "lfe", "BC": "surround", "TC": "surround"}


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that share one mask.

    Parameters
    ----------
    name : str
        For the report: ``"FL+FR"``, ``"FC"``, ``"3+4"``.
    channels : tuple of int
        Their indices in the file, counted from 0.
    role : {"front", "center", "surround", "lfe"}
        Where they sound.
    """

    name: str
    channels: tuple[int, ...]
    role: Role


def groups(
    n_channels: int, layout: Sequence[str] | None = None, *, linking: Linking = "linked"
) -> tuple[Group, ...]:
    """Return the groups that cover every channel exactly once.

    Parameters
    ----------
    n_channels : int
        Channels in the file.
    layout : sequence of str, optional
        Loudspeaker of every channel (``"FL"``, ``"FC"``, ``"LFE"`` ...). Above two
        channels without one, neighbors are taken as front pairs.
    linking : {"linked", "each"}
        Whether pairs share a mask, or every channel is taken apart on its own.

    Examples
    --------
    >>> [g.name for g in groups(6, ["FL", "FR", "FC", "LFE", "SL", "SR"])]
    ['FL+FR', 'FC', 'LFE', 'SL+SR']
    >>> [g.name for g in groups(3)]
    ['1+2', '3']
    """
    if linking not in ("linked", "each"):
        raise SettingsError(f"channels={linking!r} came; 'linked' or 'each' is allowed")
    if n_channels == 1:
        return (Group("mono", (0,), "front"),)
    if n_channels == 2:
        layout = layout or ("FL", "FR")
    if layout is None or len(layout) != n_channels:
        width = 2 if linking == "linked" else 1
        cuts = [range(n_channels)[i : i + width] for i in range(0, n_channels, width)]
        return tuple(Group("+".join(str(c + 1) for c in cut), tuple(cut), "front") for cut in cuts)
    partner = {a: (b, role) for a, b, role in PAIRS}
    partner |= {b: (a, role) for a, b, role in PAIRS}
    found = []
    for channel, label in enumerate(layout):
        other, role = partner.get(label, ("", SINGLES.get(label, "front")))
        if linking == "linked" and other in layout:
            mate = layout.index(other)
            if mate > channel:
                found.append(Group(f"{label}+{other}", (channel, mate), role))
        else:
            found.append(Group(label, (channel,), role))
    return tuple(found)


def lfe_stem(stems: Sequence[str], to: str) -> str | None:
    """Return the stem that takes the LFE whole, or None if it is taken apart like the rest.

    Parameters
    ----------
    stems : sequence of str
        The stems of the method.
    to : {"effects", "music", "each"}
        The user's wish. A song's LFE goes to the accompaniment either way; other
        stem sets without that name give it to their last stem.
    """
    if to not in ("effects", "music", "each"):
        raise SettingsError(f"lfe={to!r} came; 'effects', 'music' or 'each' is allowed")
    if to == "each":
        return None
    if to in stems:
        return to
    return SONG[1] if SONG[1] in stems else stems[-1]


@dataclass(frozen=True)
class Routed:
    """Any separator over any number of channels, group by group.

    Parameters
    ----------
    separator : Separator
        Takes one group, one or two channels, at a time.
    groups : tuple of Group
        They cover every channel once.
    lfe_to : str, optional
        The stem that takes the LFE whole; None to take it apart too.
    """

    separator: Separator
    groups: tuple[Group, ...]
    lfe_to: str | None = FILM[2]

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        return self.separator.stems

    def _passed_on(self, group: Group) -> bool:
        return group.role == "lfe" and self.lfe_to is not None

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return what the separator learns of every group, keys prefixed by the group's index."""
        kept = list(blocks)
        return nested(
            {
                str(i): self.separator.survey([_part(block, group) for block in kept])
                for i, group in enumerate(self.groups)
                if not self._passed_on(group)
            }
        )

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the stems of all groups, channels in the file's order."""
        if len(self.groups) == 1:
            return self.separator.separate(_part(mix, self.groups[0]), part_of(state, "0"))
        stems = {name: np.zeros_like(mix.waveform) for name in self.stems}
        for i, group in enumerate(self.groups):
            channels = list(group.channels)
            if self._passed_on(group):
                assert self.lfe_to is not None
                stems[self.lfe_to][channels] = mix.waveform[channels]
                continue
            part = self.separator.separate(_part(mix, group), part_of(state, str(i)))
            for name, value in part.items():
                stems[name][channels] = value
        return stems


def _part(mix: Mixture, group: Group) -> Mixture:
    if len(group.channels) == mix.n_channels:
        waveform = mix.waveform
    else:
        waveform = np.ascontiguousarray(mix.waveform[list(group.channels)])
    return Mixture(waveform, mix.sample_rate, mix.start, group.role)
