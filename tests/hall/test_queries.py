import pytest

from unstir.errors import SettingsError
from unstir.queries import MAX_CHARACTERS, MAX_QUERIES, hints, parse, stem_names
from unstir.settings import Settings, question_of


def test_one_query_gives_target_and_residual() -> None:
    found = parse("  a dog   barking ")
    assert (found.queries, found.is_negated) == (("a dog barking",), False)
    assert found.stems == ("target", "residual")


def test_several_queries_give_a_stem_each() -> None:
    assert parse("dog; siren ;rain").stems == ("dog", "siren", "rain", "residual")


@pytest.mark.parametrize(
    "words",
    [
        "not the music",
        "no music",
        "without the music",
        "everything but the music",
        "everything except for the music",
        "Everything else but the music",
        "all besides the music",
        "anything other than the music",
    ],
)
def test_negations_are_read_off_the_words(words: str) -> None:
    found = parse(words)
    assert found.is_negated
    assert found.queries[0] in ("the music", "music")
    assert found.stems == ("target", "residual")


@pytest.mark.parametrize("words", ["a notification", "nothing", "a knot", "noise", "everything"])
def test_words_that_only_look_like_negations_are_none(words: str) -> None:
    assert not parse(words).is_negated


def test_several_negations_leave_one_target() -> None:
    found = parse("not the music; not the speech")
    assert found.queries == ("the music", "the speech")
    assert found.stems == ("target", "residual")


@pytest.mark.parametrize("words", ["", "  ", "dog;", ";", "dog;;cat", "...", "dog; !"])
def test_a_query_without_words_is_refused(words: str) -> None:
    with pytest.raises(SettingsError, match="words for a sound are wanted"):
        parse(words)


def test_a_query_that_is_too_long_is_refused() -> None:
    parse("a" * MAX_CHARACTERS)
    with pytest.raises(SettingsError, match="2001 characters came; at most 2000"):
        parse("a" * (MAX_CHARACTERS + 1))


def test_long_words_are_refused_by_their_beginning() -> None:
    with pytest.raises(SettingsError, match=r"ask for 'd{57}[.]{3}' alone") as refusal:
        parse("d" * 1900 + "; not the music")
    assert len(str(refusal.value)) < 300


def test_negated_and_plain_queries_do_not_mix() -> None:
    with pytest.raises(SettingsError, match="ask for 'a dog' alone"):
        parse("a dog; not the music")


def test_the_same_sound_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="the same sound twice"):
        parse("Dog; dog")


def test_names_of_files_are_plain_and_different() -> None:
    names = stem_names(["a/b: c?", "a b c", "residual", "é" * 50, "..", "日本語"])
    assert names == ("a b c", "a b c 2", "residual 2", "é" * 40, "sound", "日本語")


def test_words_and_recordings_do_not_ask_together() -> None:
    with pytest.raises(SettingsError, match="ask by one of them"):
        question_of(Settings(query="a dog", like=("bark.wav",)))


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(SettingsError, match="small or large"):
        question_of(Settings(query="a dog", words="huge"))


def test_words_choose_the_method_that_takes_them() -> None:
    assert Settings(query="a dog").method == "query"
    assert question_of(Settings()) is None


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        ("don't want the dog", "the dog"),
        ("I don\u2019t want to hear the dog", "the dog"),
        ("remove the dog", "the dog"),
        ("leave out the dog", "the dog"),
        ("no one talking", "talking"),
        ("no-one talking", "talking"),
        ("everything except: the dog", "the dog"),
        ("not, the dog", "the dog"),
    ],
)
def test_people_negate_in_many_ways(words: str, rest: str) -> None:
    assert parse(words).queries == (rest,)
    assert parse(words).is_negated


def test_nothing_but_a_sound_is_that_sound() -> None:
    assert parse("nothing but rain") == parse("rain")


@pytest.mark.parametrize("words", ["not only music", "not just music", "mute swan", "noone"])
def test_what_is_wanted_too_is_not_negated(words: str) -> None:
    assert not parse(words).is_negated


def test_this_but_that_is_refused() -> None:
    with pytest.raises(SettingsError, match="ask for 'the dog' alone"):
        parse("not the music, but the dog")


def test_too_many_sounds_at_once_are_refused() -> None:
    names = [f"sound {i}" for i in range(MAX_QUERIES + 1)]
    assert len(parse(";".join(names[:-1])).queries) == MAX_QUERIES
    with pytest.raises(SettingsError, match="9 sounds were asked for at once; at most 8"):
        parse(";".join(names))


def test_what_cannot_be_printed_is_left_out() -> None:
    assert parse("a\x1b dog \udcff barking").queries == ("a dog barking",)


def test_the_same_word_composed_otherwise_is_the_same() -> None:
    with pytest.raises(SettingsError, match="the same sound twice"):
        parse("caf\u00e9; cafe\u0301")


def test_names_that_the_report_or_windows_keeps_are_not_given() -> None:
    assert stem_names(["mixture", "CON", "com1", "- a -"]) == ("mixture 2", "con 2", "com1 2", "a")


@pytest.mark.parametrize(
    "words",
    [
        "music without singing",
        "the dog but not the music",
        "The dog, But Not the music",
        "the dog, not the music",
        "a cat and no dog",
        "birds except for crows",
    ],
)
def test_a_negation_behind_other_words_gets_a_hint(words: str) -> None:
    (hint,) = hints(parse(f"{words}; rain").queries)
    assert hint.startswith(f"{words!r} is asked for as one phrase; 'not ...' is read at the front")
    if "but" not in words.casefold():  # which another refusal is about
        assert hints(parse(f"not {words}").queries) == (hint,)


@pytest.mark.parametrize(
    "words",
    [
        "a dog",
        "not the music",
        "without the music",
        "everything but the dog",
        "not only music",
        "knot and nod",
        "rain, not only on roofs",
        "noise and notes",
        "nothing but rain",
    ],
)
def test_other_words_get_no_hint(words: str) -> None:
    assert hints(parse(words).queries) == ()
