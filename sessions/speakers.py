"""What post-production calls loudspeakers, and the orders in which it delivers them."""

from unstir.errors import SettingsError

_FIVE = {"FL": "L", "FR": "R", "FC": "C", "LFE": "LFE", "BC": "Cs"}
_SURROUND = ({"SL": "Ls", "SR": "Rs"}, {"BL": "Ls", "BR": "Rs"})
_SEVEN = {"SL": "Lss", "SR": "Rss", "BL": "Lsr", "BR": "Rsr"}
ORDERS: dict[str, tuple[str, ...]] = {
    "smpte": ("L", "R", "C", "LFE", "Lsr", "Rsr", "Cs", "Ls", "Rs", "Lss", "Rss"),
    "film": ("L", "C", "R", "Ls", "Rs", "Lss", "Rss", "Cs", "Lsr", "Rsr", "LFE"),
}


def short_names(layout: tuple[str, ...] | None, n_channels: int) -> tuple[str, ...]:
    """Return the names of channels; numbers if the speakers are not known, none for mono.

    Examples
    --------
    >>> short_names(("FL", "FR", "FC", "LFE", "SL", "SR"), 6)
    ('L', 'R', 'C', 'LFE', 'Ls', 'Rs')
    >>> short_names(None, 3)
    ('1', '2', '3')
    """
    if n_channels == 1:
        return ("",)
    if n_channels == 2:
        return ("L", "R")
    labels = set(layout or ())
    known = dict(_FIVE)
    if labels >= set(_SEVEN):
        known |= _SEVEN
    else:
        for pair in _SURROUND:
            known |= pair if labels >= set(pair) else {}
    names = tuple(known.get(label, "") for label in layout or ())
    if len(names) == n_channels and all(names) and len(set(names)) == n_channels:
        return names
    return tuple(str(c) for c in range(1, n_channels + 1))


def ordered(names: tuple[str, ...], order: str) -> tuple[int, ...]:
    """Return the channels in the order wanted, as indices into the names.

    Parameters
    ----------
    names : tuple of str
        From `short_names`.
    order : {"smpte", "film"}
        L R C LFE Ls Rs, as in wave files; or L C R Ls Rs LFE, as on film stages.

    Raises
    ------
    SettingsError
        If ``order`` is neither, or film order is wanted of speakers that are not known.

    Examples
    --------
    >>> ordered(("L", "R", "C", "LFE", "Ls", "Rs"), "film")
    (0, 2, 1, 4, 5, 3)
    """
    if order not in ORDERS:
        raise SettingsError(f"order={order!r} came; {' or '.join(ORDERS)} is allowed")
    if not set(names) <= set(ORDERS[order]):
        if order == "smpte" or len(names) == 1:
            return tuple(range(len(names)))
        raise SettingsError(
            f"film order was asked for {len(names)} channels whose speakers are not known; "
            "use --order smpte, which leaves them as they are"
        )
    return tuple(sorted(range(len(names)), key=lambda c: ORDERS[order].index(names[c])))


def width(names: tuple[str, ...]) -> str:
    """Return what a layout is called in file names.

    Examples
    --------
    >>> width(("L", "R", "C", "LFE", "Ls", "Rs")), width(("",))
    ('5.1', '1.0')
    """
    n_low = names.count("LFE")
    return f"{len(names) - n_low}.{n_low}"
