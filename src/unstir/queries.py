"""What people ask for: words apart by semicolons, what they do not want, names for the files."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from unstir.errors import SettingsError

MAX_CHARACTERS = 2000
MAX_QUERIES = 8  # memory grows with each
SHOWN = 60  # characters of a query in a sentence
TARGET, REST = "target", "residual"

# Encoders of sentences put "not the music" beside "the music": what is negated is read off the
# words instead, and the two outputs change places.
_NEGATED = re.compile(
    r"(?:not(?! (?:only|just)\b)|no one|no-one|nobody|no(?! one\b)|without"
    r"|except(?: for)?|minus|remove|leave out|(?:i )?(?:do not|don['\u2019]?t)"
    r"(?: want)?(?: to hear)?|(?:everything|anything|all)(?: else)? "
    r"(?:but|except(?: for)?|besides|other than|without|minus))[\s:,]+(?P<rest>\S.*)",
    re.IGNORECASE,
)
# "Not the rain, but the dog" wants the dog.
_BUT = re.compile(r"\bbut\s+(.+)", re.IGNORECASE)
# Behind other words nothing is read off: "a man without shoes" is a sound like any other.
_INSIDE = re.compile(
    r"\S(?:\s*,\s*(?:but |and )?|\s+(?:but|and)[\s,]+)(?:not(?! (?:only|just)\b)|no)\s\S"
    r"|\S[\s,]+(?:without|except(?: for)?)\s+\S",
    re.IGNORECASE,
)
# "Nothing but rain" is rain.
_ALONE = re.compile(r"nothing (?:else )?(?:but|except(?: for)?)\s+", re.IGNORECASE)
# Names that the report or Windows keeps for itself.
_TAKEN = re.compile(r"mixture|con|prn|aux|nul|(?:com|lpt)\d")


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for.

    Parameters
    ----------
    queries : tuple of str
        What the net is asked for, negations taken off.
    is_negated : bool
        Whether everything else is wanted.
    stems : tuple of str
        Names of what comes out, the residual last.
    """

    queries: tuple[str, ...]
    is_negated: bool
    stems: tuple[str, ...]

    @property
    def unasked(self) -> str:
        """The stem that keeps what no query names."""
        return self.stems[0] if self.is_negated else self.stems[-1]


def parse(words: str) -> Question:
    """Return what a user's words ask for.

    Parameters
    ----------
    words : str
        One description, or several apart by semicolons; "not …", "without …", "everything but …"
        and their like ask for what is left. Characters that cannot be printed are left out.

    Raises
    ------
    SettingsError
        If there are no words or too many, if too many sounds or the same twice are asked for, or
        if some are negated and some are not.

    Examples
    --------
    >>> parse("a dog barking; rain").stems
    ('a dog barking', 'rain', 'residual')
    >>> parse("everything but the music")
    Question(queries=('the music',), is_negated=True, stems=('target', 'residual'))
    """
    if len(words) > MAX_CHARACTERS:
        raise SettingsError(
            f"a query of {len(words)} characters came; at most {MAX_CHARACTERS} are allowed"
        )
    parts = [_ALONE.sub("", plain(part)) for part in words.split(";")]
    if not all(re.search(r"\w", part) for part in parts):
        raise SettingsError(
            f"{shorten(words)!r} came as a query; words for a sound are wanted, or several apart "
            "by semicolons: 'a dog barking; rain'"
        )
    if len(parts) > MAX_QUERIES:
        raise SettingsError(
            f"{len(parts)} sounds were asked for at once; at most {MAX_QUERIES} are allowed, so "
            "ask for the others in a run of their own"
        )
    matches = [_NEGATED.fullmatch(part) for part in parts]
    wanted = [
        found
        for part, match in zip(parts, matches, strict=True)
        for found in (_BUT.findall(match["rest"]) if match else [part])
    ]
    if any(matches) and wanted:
        raise SettingsError(
            f"{shorten(words)!r} asks for sounds and for everything but others at once; ask for "
            f"{shorten(wanted[0])!r} alone, or only for what is not wanted"
        )
    queries = tuple(match["rest"] if match else p for p, match in zip(parts, matches, strict=True))
    if len({query.casefold() for query in queries}) < len(queries):
        raise SettingsError(f"{shorten(words)!r} asks for the same sound twice; name each once")
    is_negated = all(matches)
    if is_negated or len(queries) == 1:
        return Question(queries, is_negated, (TARGET, REST))
    return Question(queries, False, (*stem_names(queries), REST))


def hints(queries: Sequence[str]) -> tuple[str, ...]:
    """Return what to tell people whose queries negate something behind other words.

    Examples
    --------
    >>> hints(["a dog", "music without singing"])[0][:46]
    "'music without singing' is asked for as one ph"
    """
    return tuple(
        f"{shorten(query)!r} is asked for as one phrase; 'not ...' is read at the front alone, so "
        "put it there, or ask for each sound, apart by semicolons"
        for query in queries
        if _INSIDE.search(query)
    )


def plain(text: str) -> str:
    r"""Return text on one line, composed (NFC), without what cannot be printed.

    Examples
    --------
    >>> plain("a\tdog\x1b")
    'a dog'
    """
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(c if c.isprintable() else " " for c in composed).split())


def shorten(query: str) -> str:
    """Return a query as a sentence shows it: whole, or its beginning if it is long.

    Examples
    --------
    >>> shorten("a dog barking"), len(shorten(2000 * "a"))
    ('a dog barking', 60)
    """
    return query if len(query) <= SHOWN else f"{query[: SHOWN - 3].rstrip()}..."


def stem_names(queries: Sequence[str]) -> tuple[str, ...]:
    """Return a name for a file for every query, all different, and none that is taken.

    Examples
    --------
    >>> stem_names(["a dog: barking", "A dog? Barking"])
    ('a dog barking', 'a dog barking 2')
    """
    found: list[str] = []
    for query in queries:
        words = " ".join(re.sub(r"[^\w -]+", " ", query.casefold()).split())
        short = words[:40].strip(" -") or "sound"
        name, number = short, 1
        while name in (*found, REST) or _TAKEN.fullmatch(name):
            number += 1
            name = f"{short} {number}"
        found.append(name)
    return tuple(found)
