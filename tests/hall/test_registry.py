from dataclasses import replace
from pathlib import Path

import pytest

from unstir import registry
from unstir.errors import SettingsError, UnknownNameError
from unstir.registry import (
    Method,
    _as_it_stands,
    _registered,
    find,
    make,
    methods,
    weights_digest,
)
from unstir.types import STEM_SETS, Separator

READY = [name for name, method in methods().items() if not method.needs]


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("stems", list(STEM_SETS))
def test_every_method_can_be_made_and_gives_the_set_it_promises(name: str, stems: str) -> None:
    if stems in find(name).stem_sets:
        separator = make(name, stems)
        assert isinstance(separator, Separator)
        assert separator.stems == STEM_SETS[stems]


def test_an_unknown_method_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match="no method 'nope'; choose from mixture"):
        find("nope")


def test_an_unknown_stem_set_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match="no stem set 'opera'; choose from film, song"):
        make("midside", "opera")


@pytest.mark.parametrize("name", list(methods()))
def test_weights_are_named_licensed_and_there(name: str) -> None:
    method = find(name)
    assert bool(method.weights) == bool(method.weights_license)
    for stems in method.stem_sets:
        there = bool(method.weights) and method.needs != "weights"
        assert bool(weights_digest(method, stems)) == there


def test_a_method_gives_the_stem_sets_whose_weights_are_there(tmp_path: Path) -> None:
    files = [tmp_path / f"net-{stems}.safetensors" for stems in STEM_SETS]
    shared = tmp_path / "shared.safetensors"
    method = replace(
        find("hybrid"), needs="", weights=tuple(f"file:{file}" for file in (*files, shared))
    )
    files[0].write_bytes(b"film")
    assert _as_it_stands(method).needs == "weights"
    shared.write_bytes(b"both")
    assert (_as_it_stands(method).needs, _as_it_stands(method).stem_sets) == ("", ("film",))
    before = weights_digest(method, "film")
    files[1].write_bytes(b"song")
    assert _as_it_stands(method).stem_sets == ("film", "song")
    assert weights_digest(method, "film") == before != weights_digest(method, "song")


def test_weights_that_should_have_come_along_are_named_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"hybrid-{stems}.safetensors" for stems in STEM_SETS]
    hybrid = replace(find("hybrid"), weights=tuple(f"file:{file}" for file in files))
    monkeypatch.setattr(registry, "_registered", lambda: {"hybrid": hybrid})
    with pytest.raises(SettingsError, match=r"hybrid-film\.safetensors is not there"):
        make("hybrid")


def test_another_package_can_bring_a_method(tmp_path, monkeypatch) -> None:
    (tmp_path / "their_room.py").write_text(
        "from unstir.registry import Method\n"
        "ours = Method('theirs', 'unstir.hybrid.midside:MidSide', 'classical', 'theirs')\n"
    )
    info = tmp_path / "their_room-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-room\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[unstir.methods]\ntheirs = their_room:ours\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _registered.cache_clear()
    try:
        assert isinstance(find("theirs"), Method)
        (info / "entry_points.txt").write_text("[unstir.methods]\nx = their_room:Method\n")
        _registered.cache_clear()
        with pytest.raises(SettingsError, match="Method is wanted"):
            methods()
    finally:
        _registered.cache_clear()


def test_words_behind_a_method_say_what_the_stems_hold() -> None:
    song = make('query:"not the singing"', "song", model="random:query")
    assert (song.queries, song.is_negated) == (("the singing",), True)  # type: ignore[attr-defined]
    film = make('query:"talking; a song; noises"', "film", model="random:query")
    assert film.queries == ("talking", "a song", "noises")  # type: ignore[attr-defined]


def test_everything_but_a_sound_gives_two_stems() -> None:
    with pytest.raises(SettingsError, match="gives two stems"):
        make('query:"not the music"', "film", model="random:query")


@pytest.mark.parametrize("name", ["query:", 'query:""', "query: ''", "audiosep:"])
def test_a_colon_without_words_does_not_mean_the_stems_of_a_film(name: str) -> None:
    for ask in (find, make):
        with pytest.raises(SettingsError, match="no words behind the colon; say what is wanted"):
            ask(name)


@pytest.mark.parametrize("asked", [{"queries": ("speech",)}, {"likes": ("bark.wav",)}])
def test_what_is_asked_for_in_two_places_is_refused(asked: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(SettingsError, match="say in one place alone what is wanted"):
        make('query:"dog"', ("target", "residual"), model="random:query", **asked)
