"""Which recordings train, which choose a model, and which report: by source family.

A family is what must not stand on two sides: a voice, a song project, an author, a
repository without named authors. Nothing here looks at the sound; that two families are
one after all (the same recording under two names) is found by `unstir.neural.leakage`.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

Row = Mapping[str, str]  # of MANIFEST.csv

SPLITS = ("train", "choose", "report")
SHARES = {"report": 0.12, "choose": 0.08}  # of the minutes of a stratum; the rest trains
FULL_BAND_HZ = 32000  # speech at this rate or more has treble to learn from

MADE = "made: "  # how families of recordings made by program begin
GATHERED = "gathered: "  # and of those out of Debian's packages

_NAMELESS = ("see ", "freesound contributors", "unknown horizons", "mycroft", "?")

# One author or one collection under two names, as credits and `unstir.neural.leakage` show.
_SAME = {
    "voxelibre": "minetest",
    "minetest_game": "minetest",
    "tobiasz 'unfa' karoń": "unfa",
    "sophia caldwell": "sophia_c",
    "jonathan shaw": "inspectorj",
    "soundhelix": "jordach",
}


def family(row: Row) -> str:
    """Return the name of the family a recording belongs to.

    Examples
    --------
    >>> voice = {"kind": "speech", "path": "speech/de/x.flac", "label": "de/thorsten_angry"}
    >>> family(voice)
    'speech: thorsten'
    >>> family({"kind": "singing", "path": "singing/eir_caesium__vocals.ogg", "label": ""})
    'song: eir_caesium'
    """
    kind, path = row["kind"], row["path"]
    if _is_made(row):
        return f"{MADE}{kind} {row['author_if_known']}"
    if _is_gathered(row):
        return f"{GATHERED}{kind} {row['author_if_known']}"
    song = re.search(r"/(eir_[a-z]+)__", path)
    if song:
        return f"song: {song.group(1)}"
    if kind == "rir":
        return "rir: " + re.sub(r"\d+$", "", row["label"])
    if kind == "speech":
        language, _, voice = row["label"].partition("/")
        if "mycroft" in path:  # community recordings; one person may have given several words
            return f"speech: mycroft_{language}"
        if "fleurs_" in voice:  # speakers are not named
            return f"speech: fleurs_{language}"
        return "speech: " + re.sub(r"^(thorsten)_.*", r"\1", voice)
    author = (row.get("author_if_known") or "?").strip()
    repository = row["source_repo"].rpartition("/")[2]
    if kind == "music" and "MacLeod" in author:
        return "music: Kevin MacLeod"
    nameless = author.lower().startswith(_NAMELESS) or (kind == "effects" and "team" in author)
    name = repository if nameless else re.sub(r" \(.*", "", author).lower()
    return f"{kind}: {_SAME.get(name.lower(), name)}"


def _is_made(row: Row) -> bool:
    # With an author, who is its style: a folder of somebody's recordings may be called "made".
    return row.get("source_repo") == "made" and bool(row.get("author_if_known"))


def _is_gathered(row: Row) -> bool:
    return row.get("source_repo", "").startswith("debian/")


def _only_trains(row: Row) -> bool:
    return _is_made(row) or _is_gathered(row)


def stratum(row: Row) -> str:
    """Return within what group the shares are kept."""
    if row["kind"] == "speech":
        return f"speech {int(row['samplerate']) >= FULL_BAND_HZ}"
    return family(row).partition(":")[0]


def assign(rows: Iterable[Row]) -> dict[str, str]:
    """Return the split of every family.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of ``MANIFEST.csv``: kind, path, label, source_repo, author_if_known, seconds
        and samplerate are looked at.

    Returns
    -------
    dict of str to str
        Family to ``"train"``, ``"choose"`` or ``"report"``. Families come in the order of
        a hash; one larger than half a split's share trains, so that every split holds
        several where there are several to hold. What was made by program (source_repo
        ``"made"``) or gathered from packages (``"debian/PACKAGE"``) always trains, and
        changes nothing for the others.
    """
    rows = list(rows)
    training = {family(row) for row in rows if _only_trains(row)}
    rows = [row for row in rows if not _only_trains(row)]
    home: dict[str, str] = {}  # a voice recorded at two rates stays in one stratum
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in rows:
        name = family(row)
        seconds[home.setdefault(name, stratum(row))][name] += float(row["seconds"])
    found = dict.fromkeys(training, "train")
    for families in seconds.values():
        order = sorted(families, key=lambda name: hashlib.sha256(name.encode()).digest())
        total = sum(families.values())
        smallest = min(families.values())
        for split, share in SHARES.items():
            taken = 0.0
            for name in order:
                limit = max(share * total / 2, smallest * 1.01)
                # A split is full when one more would overshoot further than it falls short.
                fits = taken + families[name] / 2 <= share * total or not taken
                if name not in found and families[name] <= limit and fits:
                    found[name] = split
                    taken += families[name]
            if not taken:  # families are few and large; one is better than none
                free = [name for name in order if name not in found]
                if len(free) > 1:
                    found[min(free, key=lambda name: families[name])] = split
        for name in order:
            found.setdefault(name, "train")
    return found


def halves(seconds: Mapping[tuple[str, str], float]) -> dict[str, int]:
    """Return which half of the training families each belongs to.

    A net that was trained on one half makes the mistakes on the other that it would make on
    recordings of its users: what corrects a net can learn from these alone.

    Parameters
    ----------
    seconds : mapping of (str, str) to float
        Kind and family to how much there is of it.

    Returns
    -------
    dict of str to int
        Family to 0 or 1, about as much of every kind in both.

    Examples
    --------
    >>> halves({("music", "a"): 60.0, ("music", "b"): 50.0, ("music", "c"): 20.0})
    {'a': 0, 'b': 1, 'c': 1}
    """
    found: dict[str, int] = {}
    totals: dict[tuple[str, int], float] = defaultdict(float)
    for (kind, name), length in sorted(seconds.items(), key=lambda item: (-item[1], item[0])):
        # A family of several kinds (a song's singer and band) goes whole where its longest went.
        half = found.setdefault(name, int(totals[kind, 1] < totals[kind, 0]))
        totals[kind, half] += length
    return found
