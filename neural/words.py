"""Words of a description in pieces that a vocabulary knows.

A description is folded to the letters a to z and digits: compatibility forms are resolved, accents
fall off, capitals become small (NFKD of Unicode, then casefold); whatever is neither letter nor
digit parts words. A word is cut from the left into the longest pieces there are; since every
single character is a piece, every word can be cut.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence

from unstir.errors import SettingsError

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
# A piece that starts with this goes on within a word.
INSIDE = "##"
MOST_CHARACTERS = 2000

# Letters that Unicode does not take apart into one of ours and an accent.
_SPELLED = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})


def words(text: str) -> list[str]:
    """Return the words of a description, folded.

    Parameters
    ----------
    text : str
        Of 1 to `MOST_CHARACTERS` characters.

    Returns
    -------
    list of str
        At least one, each of the characters a to z and 0 to 9.

    Raises
    ------
    SettingsError
        If the text is empty or too long, has no letter or digit, or has letters outside the Latin
        alphabet, which would otherwise be left out in silence.

    Examples
    --------
    >>> words("A door-bell, Café №1")
    ['a', 'door', 'bell', 'cafe', 'no1']
    """
    if not text.strip():
        raise SettingsError("the description of a sound is empty; say it in words: 'a dog barking'")
    if len(text) > MOST_CHARACTERS:
        raise SettingsError(
            f"the description of a sound has {len(text)} characters; at most {MOST_CHARACTERS} "
            "are allowed, and a few words are best"
        )
    marked = unicodedata.normalize("NFKD", text)
    folded = "".join(c for c in marked if not unicodedata.combining(c)).casefold()
    folded = folded.translate(_SPELLED)
    foreign = sorted({c for c in folded if c.isalnum() and c not in CHARACTERS})
    if foreign:
        raise SettingsError(
            f"the description {_shown(text)} has {_shown(''.join(foreign))}, which the encoder "
            "cannot read; describe the sound in English, with the letters a to z and digits"
        )
    found = re.findall(f"[{CHARACTERS}]+", folded)
    if not found:
        raise SettingsError(
            f"the description {_shown(text)} has no letter or digit; say the sound in words"
        )
    return found


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def single_characters() -> list[str]:
    """Return the pieces without which some word could not be cut.

    Examples
    --------
    >>> len(single_characters()), single_characters()[-1]
    (72, '##9')
    """
    return [*CHARACTERS, *(INSIDE + c for c in CHARACTERS)]


def cut(word: str, pieces: frozenset[str] | dict[str, int]) -> list[str]:
    """Return the word in the longest pieces from the left.

    Parameters
    ----------
    word : str
        As `words` gives it.
    pieces : frozenset or dict of str
        With all of `single_characters`. Those inside a word start with `INSIDE`.

    Examples
    --------
    >>> cut("barking", frozenset([*single_characters(), "bark", "##in", "##ing"]))
    ['bark', '##ing']
    """
    found, start = [], 0
    while start < len(word):
        mark = INSIDE if start else ""
        end = len(word)
        while end > start + 1 and mark + word[start:end] not in pieces:
            end -= 1
        found.append(mark + word[start:end])
        start = end
    return found


@functools.lru_cache(maxsize=4)
def numbered(vocabulary: str) -> dict[str, int]:
    """Return the number of each piece of a vocabulary; 0 is left for padding.

    Parameters
    ----------
    vocabulary : str
        Pieces with a space between.

    Raises
    ------
    ValueError
        If a piece comes twice, or a single character is missing.

    Examples
    --------
    >>> numbered(" ".join(single_characters()))["c"]
    3
    """
    pieces = vocabulary.split(" ")
    numbers = {piece: number for number, piece in enumerate(pieces, start=1)}
    if len(numbers) < len(pieces) or not numbers.keys() >= set(single_characters()):
        raise ValueError("a piece of the vocabulary comes twice, or a single character is missing")
    return numbers


def token_ids(text: str, numbers: dict[str, int]) -> list[int]:
    """Return the numbers of a description's pieces.

    Raises
    ------
    SettingsError
        As `words`.

    Examples
    --------
    >>> token_ids("A cab!", numbered(" ".join(single_characters())))
    [1, 3, 37, 38]
    """
    return [numbers[piece] for word in words(text) for piece in cut(word, numbers)]


def padded(rows: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """Return rows of one length, the longest's or ``most``, with 0 behind the shorter ones.

    Examples
    --------
    >>> padded([[1, 2, 3, 4], [5]], most=3)
    [[1, 2, 3], [5, 0, 0]]
    """
    length = min(most, max(len(row) for row in rows))
    return [[*row[:length], *[0] * (length - len(row))] for row in rows]
