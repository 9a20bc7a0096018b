"""Descriptions of sounds, from word lists and templates, to teach the text encoder with.

Sentences are drawn with a seed: the same lists give the same sentences.
"""

import functools
import random
import re
from collections.abc import Iterator, Sequence

from text_lists import (
    COUNTS,
    GENRES,
    INSTRUMENTS,
    LANGUAGES,
    MATERIALS,
    MOODS,
    PLACES,
    QUALITIES,
    SINGERS,
    SOURCES,
    SPEAKERS,
    SPEAKING,
    UNSEEN,
)

# {s} a source, {v} what it does, {t} another, {w} what that does, {p} a place, {q} a quality; the
# other slots are in `drawn`.
TEMPLATES = """{s}
{s}
{s} {v}
{s} {v}
{v} {s}
a {s} {v}
a {s} {v}
a {s} is {v}
the {s} {v}
the {s}
a {s}
{s} sound
{s} noise
{s} sounds
sound of {s}
the sound of a {s}
the sound of a {s} {v}
the sound of {s} {v}
the noise of the {s}
recording of a {s}
a recording of {s} {v}
{s} in the background
a {s} {v} in the background
{s} {p}
a {s} {v} {p}
the {s} {p}
{q} {s}
a {q} {s}
{q} {s} {v}
the {q} {s} {p}
a {q} {s} {v} {p}
{v}
{q} {v}
{v} sound
{s} and {t}
a {s} and a {t}
{s} {v} and {t} {w}
{s} with {t}
{s} without {t}
a {s} {v} while a {t} is {w}
{s} over {t}
{s}, {t}
{s} then {t}
not the {s}
not {s}
no {s}
everything but the {s}
everything except {s}
all but the {s} {v}
{s} but not {t}
only the {s}
just the {s} {v}
extract the {s}
remove the {s}
isolate the {s} {v}
I want to hear the {s}
please give me the {s}
where the {s} is {v}
when a {s} starts {v}
{c} {s}
{c} {s} {v}
a single {s} {v}
someone with a {s}
somebody {v} a {s}
a man with a {s}
{s} effect
{s} sound effect
{s} ambience
{v} of a {s}
the {v} of the {s}
hear a {s} {v}
there is a {s} {v}
{s} getting closer
{s} stops
annoying {s}
my {s} {v}
{s} hit
{s} loop
{s} 1
{s} close""".splitlines()

MUSIC_TEMPLATES = """{g} music
{g}
{g} song
{m} {g} music
{m} music
a {g} band
{g} with {i}
{i}
{i} playing
{i} music
a {i}
the {i}
{i} solo
someone playing the {i}
a person plays {i}
a {m} {i} melody
{i} and {j}
{m} {i}
the sound of a {i}
{i} in the background
{g} music in the background
{i} {p}
{g} {i}
not the {i}
not the music
everything but the {i}
background music with {i}
a {m} {g} tune
{i} playing a {g} piece
{i} loop
a {g} track with {i} and {j}
{i} riff
{i} chords
{i} notes
music without {i}
only the {i}
the {g} music {p}
{g} beat
{m} melody
{i} accompaniment""".splitlines()

VOICE_TEMPLATES = """{k} {a}
a {k} {a}
the {k}
{k}
a {k} {a} in {l}
{l} speech
a {l} {k} {a}
a {k} {a} {p}
{q} {k} {a}
speech in {l}
someone {a} {l}
someone {a}
a {k} {a} with music in the background
{n} singing
a {n} singing
the {n}
{n} singing {g} music
{n} singing in {l}
a {n} singing {p}
a {m} {n}
not the {k}
everything but the {k}
a {k} and a {n}
the voice of a {k}
{k} {a} while {s} {v}
{k} over {g} music
{q} {a}
a {k} sounds {m}
{l} song
{a} in {l}""".splitlines()

STEP_TEMPLATES = """footsteps on {x}
walking on {x}
someone walking on {x}
running on {x}
steps on {x}
rain on {x}
a person running on {x} {p}
{q} footsteps on {x}
{s} on {x}
{s} {v} on {x}
something falling on {x}
hitting {x}
knocking on {x}
{x} breaking
scratching {x}""".splitlines()

# For any English word, so that words outside the lists land near the teacher too.
WORD_TEMPLATES = """the sound of {u}
a {u}
the {u}
{u} sound
{u} in the background
{u} and {s}
{u} {v}
a {u} {v}
{q} {u}
{u} {p}
{u} with {y}
{u} {y}
{s} {u}
not the {u}
{u} noise
someone {u}
a {q} {u} {p}
{u} of the {y}
{u} music
the {u} {v} {p}""".splitlines()

# As people write, and any word anywhere: what a sentence makes of its words is learned here.
PROSE_TEMPLATES = """{u} {y}
{u} {y} {z}
the {u} {y} {z}
a {u} {y}
the {u} of a {y}
{u} and {y}
someone who is {u} the {y}
somebody {u} the {y} with a {z}
the {u} is {y}
it is {u} and {y}
that {u} {y} thing
my {u} {y} the {z}
he {u} at the {y}
she {u} her {y}
they {u} in the {y}
a {y} that {u}
what the {u} {y}
a {u} full of {y}
the {u} from the {y}
{u} down the {y}
{y} on the {u}
a {u} going through the {y}
{s} {u} the {y}
the {s} of my {u}
a {u} {s} near the {y}
{v} on a {u} {y}
{v} the {u}
{v} with {u} and {y}
an {u} man {v}
please remove the {u} {y}
like a {u} {y}
{u} being {y}
{v} after a {u}
a {u} for the {y}
{u}, {y}, {z}""".splitlines()


@functools.cache
def pairs() -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the lines of `SOURCES` as names and what they do."""
    return [
        (_items(names), _items(verbs))
        for names, verbs in (line.split(":") for line in re.sub(r"\n +", " ", SOURCES).splitlines())
    ]


def class_names() -> list[str]:
    """Return every name of a sound source, an instrument or a genre of music, once."""
    names = [name for names, _ in pairs() for name in names]
    names += [*_items(INSTRUMENTS), *(f"{genre} music" for genre in _items(GENRES))]
    return [name for name in dict.fromkeys(names) if is_seen(name)]


@functools.cache
def unseen() -> frozenset[str]:
    """Return the words that no sentence of the training set holds."""
    return frozenset(_items(UNSEEN))


def is_seen(sentence: str) -> bool:
    """Return whether no word of `UNSEEN` is in the sentence, nor its plural."""
    words = re.findall("[a-z]+", sentence.lower())
    return not any(word in unseen() or word.removesuffix("s") in unseen() for word in words)


def drawn(rng: random.Random, template: str, **given: str) -> str:
    """Return the template with each slot filled by a draw, or by what is given for it."""
    lines = pairs()
    (names, verbs), (others, other_verbs) = rng.choice(lines), rng.choice(lines)
    lists = {
        "s": names, "v": verbs, "t": others, "w": other_verbs, "c": COUNTS,
        "p": PLACES, "q": QUALITIES, "g": GENRES, "m": MOODS, "i": INSTRUMENTS, "j": INSTRUMENTS,
        "k": SPEAKERS, "a": SPEAKING, "l": LANGUAGES, "n": SINGERS, "x": MATERIALS,
    }  # fmt: skip
    slots = set(re.findall(r"{(\w)}", template)) - given.keys()
    fills = {slot: rng.choice(_items(lists[slot])) for slot in sorted(slots)}
    return template.format(**fills, **given)


def descriptions(seed: int, n_drawn: int) -> Iterator[str]:
    """Yield every pair of the lists in plain forms, then draws from all templates."""
    rng = random.Random(seed)
    yield from class_names()
    for names, verbs in pairs():
        for name in names:
            for verb in verbs:
                yield from (f"{name} {verb}", f"a {name} {verb}", f"{verb} {name}")
    kinds = (TEMPLATES, MUSIC_TEMPLATES, VOICE_TEMPLATES, STEP_TEMPLATES)
    weights = (0.66, 0.14, 0.14, 0.06)
    for _ in range(n_drawn):
        (templates,) = rng.choices(kinds, weights)
        yield drawn(rng, rng.choice(templates))


def word_descriptions(
    seed: int, words: Sequence[str], n_drawn: int, templates: Sequence[str]
) -> Iterator[str]:
    """Yield draws around each of the words, first words first, round after round."""
    rng = random.Random(seed)
    for index in range(n_drawn):
        given = {"u": words[index % len(words)], "y": rng.choice(words)}
        template = rng.choice(templates)
        if "{z}" in template:
            given["z"] = rng.choice(words)
        yield drawn(rng, template, **given)


def _items(listed: str | tuple[str, ...]) -> tuple[str, ...]:
    return _split(listed) if isinstance(listed, str) else listed


@functools.cache
def _split(listed: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\s+", " ", item.strip()) for item in listed.split(","))
