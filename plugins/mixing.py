"""From what is asked for in a few words (louder, softer, ducked) to a rack."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from unstir.errors import SettingsError, UnknownNameError
from unstir.plugins.automation import GainCurve
from unstir.plugins.chains import Chain, Effect
from unstir.plugins.effects import did_you_mean
from unstir.plugins.rack import StemRack
from unstir.plugins.strips import Strip


def rack_for(
    stems: Sequence[str],
    base: StemRack | None = None,
    *,
    gains_db: Mapping[str, float] | None = None,
    chains: Mapping[str, Chain] | None = None,
    ducking_db: Mapping[tuple[str, str], float] | None = None,
    master: Chain | None = None,
    bed_db: float | None = None,
    automation: Mapping[str, GainCurve] | None = None,
) -> StemRack:
    """Return a rack that does what is wanted, on top of another one.

    Parameters
    ----------
    stems : sequence of str
        The stems there are, the main one first.
    base : StemRack, optional
        What to begin with; nothing at all by default.
    gains_db : mapping of str to float, optional
        Replaces the gains of those stems.
    chains : mapping of str to Chain, optional
        Replaces the chains of those stems.
    ducking_db : mapping of (str, str) to float, optional
        By how much the first stem steps back while the second one sounds, below 0.
    master : Chain, optional
        Replaces the master chain.
    bed_db : float, optional
        How far down the unwanted stems stay, above 0, instead of being silent. Unwanted is what
        mute, solo or a gain of minus infinity silences; where nothing does, all but the first.
    automation : mapping of str to GainCurve, optional
        Gains that move, on top of the others.

    Raises
    ------
    UnknownNameError
        If a stem is not there; the nearest name is suggested.
    SettingsError
        If a value lies outside its range.

    Examples
    --------
    >>> rack = rack_for(("speech", "music"), gains_db={"music": -12.0})
    >>> rack.strips["music"].gain_db
    -12.0
    >>> rack_for(("speech", "music"), bed_db=17.5).strips["music"].gain_db
    -17.5
    """
    base = base or StemRack()
    ducking_db = ducking_db or {}
    named = [*base.strips, *(gains_db or {}), *(chains or {}), *(automation or {})]
    for stem in (*named, *(name for pair in ducking_db for name in pair)):
        if stem not in stems:
            raise UnknownNameError(
                f"there is no stem {stem!r}{did_you_mean(stem, stems)}; "
                f"there are: {', '.join(stems)}"
            )
    strips = {stem: base.strips.get(stem, Strip()) for stem in stems}
    for stem, gain_db in (gains_db or {}).items():
        strips[stem] = replace(strips[stem], gain_db=gain_db)
    for stem, chain in (chains or {}).items():
        strips[stem] = replace(strips[stem], chain=chain)
    for (stem, by), range_db in ducking_db.items():
        if stem == by:
            raise SettingsError(f"{stem} cannot step back before itself; name another stem")
        duck = Effect("ducking", {"by": by, "range_db": range_db})
        chain = strips[stem].chain
        strips[stem] = replace(
            strips[stem], chain=replace(chain, name=stem, effects=(*chain.effects, duck))
        )
    for stem, curve in (automation or {}).items():
        strips[stem] = replace(strips[stem], automation=curve)
    rack = replace(base, strips=strips, master=base.master if master is None else master)
    return rack if bed_db is None else _with_bed(rack, bed_db)


def _with_bed(rack: StemRack, bed_db: float) -> StemRack:
    if not 0 < bed_db <= 120:
        raise SettingsError(f"a bed of {bed_db:g} dB came; above 0 and up to 120 dB is wanted")
    first = next(iter(rack.strips))
    heard = {
        stem: rack.audible(stem) and strip.gain_db > -math.inf
        for stem, strip in rack.strips.items()
    }
    if all(heard.values()):
        heard = {stem: stem == first for stem in heard}
    strips = {
        stem: replace(strip, mute=False, solo=False)
        if heard[stem]
        else replace(strip, mute=False, solo=False, gain_db=-bed_db)
        for stem, strip in rack.strips.items()
    }
    return replace(rack, strips=strips)
