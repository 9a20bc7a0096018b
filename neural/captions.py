"""What recordings are called: classes of sounds, other names for them, and how people ask.

A row of ``captions.csv`` is a name, what the paths of its recordings look like, further names that
training uses, and paraphrases that it never sees. A recording may belong to several classes, wide
and narrow: a crow is a bird, a bird is an animal, an animal is an effect.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class SoundClass:
    """A kind of sound.

    Parameters
    ----------
    name : str
        What people call it.
    pattern : str
        Regular expression that the paths of its recordings hold, whatever the case.
    names : tuple of str
        Other names, for training.
    paraphrases : tuple of str
        How people might ask for it; never trained on.
    """

    name: str
    pattern: str
    names: tuple[str, ...]
    paraphrases: tuple[str, ...]


# Nothing of these trains: what a net makes of a word that it never heard.
HELD_OUT = (
    "horse", "helicopter", "frog", "fireworks", "church bells", "clock", "woodpecker", "chalk",
    "machine gun", "elephant",
)  # fmt: skip

_PLAIN = ("{}", "{}", "{}", "the sound of {}", "the {}", "sound of {}")
_WORDY = (
    "{} in the background", "{} in the distance", "a recording of {}", "{} can be heard", "only {}",
    "isolate {}", "extract {}", "i want to hear {}", "{} outside", "loud {}", "the noise of {}",
    "{} nearby",
)  # fmt: skip
_PARAPHRASED = ("{}", "please give me {}", "{} alone", "what sounds like {}")


@cache
def classes() -> dict[str, SoundClass]:
    """Return every class by name, wide ones before narrow ones.

    Examples
    --------
    >>> classes()["dog barking"].names[0]
    'a dog barking'
    """
    with Path(__file__).with_name("captions.csv").open(newline="", encoding="utf-8") as file:
        return {
            row["name"]: SoundClass(
                row["name"],
                row["pattern"],
                tuple(row["names"].split("; ")),
                tuple(row["paraphrases"].split("; ")),
            )
            for row in csv.DictReader(file)
        }


@cache
def classes_of(path: str) -> tuple[str, ...]:
    """Return the names of the classes that a recording belongs to, wide ones first.

    Parameters
    ----------
    path : str
        Relative to its corpus: kind, folder and file name.

    Examples
    --------
    >>> classes_of("effects/bird/bird__mod-sounds__sounds_crow_caw.ogg")
    ('sound effects', 'animal', 'bird', 'crow')
    """
    # Behind the name of another corpus, where there is one.
    found = re.search(r"(speech|singing|music|effects)/.*", path)
    if not found:
        return ()
    # An effect's file is called folder__collection__name, of which the name says what it is.
    plain = re.sub(r"^(effects/[^/]*/).*__", r"\1", found.group())
    return tuple(
        one.name for one in classes().values() if re.search(one.pattern, plain, re.IGNORECASE)
    )


def train_captions(name: str) -> tuple[str, ...]:
    """Return how training asks for a class: its names, in plain and in wordy templates.

    Examples
    --------
    >>> captions = train_captions("rain")
    >>> captions[0], "a rain shower in the background" in captions
    ('rain', True)
    """
    one = classes()[name]
    return tuple(dict.fromkeys(_filled((one.name, *one.names), (*_PLAIN, *_WORDY))))


def is_plainly(query: str, name: str) -> bool:
    """Return whether a query is a class's name, or another name of it, and nothing more.

    Examples
    --------
    >>> is_plainly("the dialogue", "speech"), is_plainly("a man talking", "speech")
    (True, False)
    """
    one = classes()[name]
    return query.casefold() in (
        plain.casefold() for plain in _filled((one.name, *one.names), _PLAIN)
    )


def other_captions(name: str) -> tuple[str, ...]:
    """Return paraphrases of a class that training never sees.

    Examples
    --------
    >>> other_captions("rain")[0]
    'a downpour'
    """
    return tuple(dict.fromkeys(_filled(classes()[name].paraphrases, _PARAPHRASED)))


def draw_caption(rng: np.random.Generator, name: str) -> str:
    """Return one of a class's captions for training; plain ones come most often.

    Examples
    --------
    >>> draw_caption(np.random.default_rng(0), "rain") in train_captions("rain")
    True
    """
    one = classes()[name]
    names = (one.name, *one.names)
    chosen = one.name if rng.random() < 0.3 else names[int(rng.integers(len(names)))]
    templates = _PLAIN if rng.random() < 0.7 else _WORDY
    return next(_filled((chosen,), (templates[int(rng.integers(len(templates)))],)))


def _filled(names: Sequence[str], templates: Sequence[str]) -> Iterator[str]:
    for template in templates:
        for name in names:
            # "the a dog" is nobody's English.
            bare = re.sub(r"^(a|an|the) ", "", name) if template.startswith("the {}") else name
            yield template.format(bare)
