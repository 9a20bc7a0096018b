"""The split goes by source family, and keeps its proportions."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from unstir.neural.split import SPLITS, assign, family, halves


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def row(**fields: str) -> dict[str, str]:
    blank = {"kind": "music", "path": "x", "label": "", "source_repo": "a/b", "seconds": "60"}
    return blank | {"samplerate": "44100", "author_if_known": "Ann"} | fields


def families(n: int, **fields: str) -> list[dict[str, str]]:
    return [row(author_if_known=f"author {i}", **fields) for i in range(n)]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"kind": "speech", "label": "en/ljspeech"}, "speech: ljspeech"),
        ({"kind": "speech", "label": "de/fleurs_de"}, "speech: fleurs_de"),
        ({"kind": "speech", "label": "en/a", "path": "mycroft/a.wav"}, "speech: mycroft_en"),
        ({"path": "music/eir_oak__bass.ogg"}, "song: eir_oak"),
        ({"kind": "singing", "path": "singing/eir_oak__vocals.ogg"}, "song: eir_oak"),
        ({"kind": "rir", "label": "hall12"}, "rir: hall"),
        ({"author_if_known": "Kevin MacLeod (incompetech)"}, "music: Kevin MacLeod"),
        ({"author_if_known": "Ann (CC0)"}, "music: ann"),
        ({"author_if_known": "?", "source_repo": "a/game"}, "music: game"),
        ({"author_if_known": "", "source_repo": "a/game"}, "music: game"),
        ({"kind": "effects", "author_if_known": "the team", "source_repo": "a/g"}, "effects: g"),
    ],
)
def test_a_recording_has_a_family(fields: dict[str, str], name: str) -> None:
    assert family(row(**fields)) == name


def test_a_singer_and_the_instruments_of_a_song_stay_together() -> None:
    songs = [
        row(kind=kind, path=f"{kind}/eir_{name}__x.ogg")
        for kind in ("music", "singing")
        for name in ("a", "b", "c", "d")
    ]
    assert len(assign(songs)) == 4


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = families(30)
    assert assign(rows) == assign(rows[::-1])


def test_shares_are_met_when_families_are_many() -> None:
    splits = list(assign(families(100)).values())
    assert splits.count("report") == pytest.approx(12, abs=1)
    assert splits.count("choose") == pytest.approx(8, abs=1)


def test_full_band_speech_is_shared_out_by_itself() -> None:
    rows = [
        row(kind="speech", label=f"en/{band}{i}", samplerate=rate)
        for band, rate in (("wide", "44100"), ("narrow", "16000"))
        for i in range(20)
    ]
    found = assign(rows)
    for band in ("wide", "narrow"):
        assert {split for name, split in found.items() if band in name} == set(SPLITS)


def test_a_family_that_is_most_of_its_kind_trains() -> None:
    rows = [*families(10), row(author_if_known="giant", seconds="100000")]
    assert assign(rows)["music: giant"] == "train"


def test_a_voice_recorded_at_two_rates_stands_on_one_side() -> None:
    rows = [row(kind="speech", label="en/ann", samplerate=rate) for rate in ("16000", "44100")]
    assert len(assign(rows)) == 1


def made(kind: str, style: str) -> dict[str, str]:
    fields = {"source_repo": "made", "author_if_known": style, "seconds": "5000"}
    return row(kind=kind, path=f"{kind}/{style}.flac", label=f"x/{style}", **fields)


def test_what_is_made_by_program_trains_and_moves_no_other_family() -> None:
    rows = [*families(40), *families(40, kind="effects"), row(kind="speech", label="en/ann")]
    by_program = [made("music", "waltz"), made("effects", "rain"), made("speech", "espeak_de+f1")]
    names = ("made: music waltz", "made: effects rain", "made: speech espeak_de+f1")
    assert assign([*by_program, *rows]) == assign(rows) | dict.fromkeys(names, "train")
    assert assign(by_program) == dict.fromkeys(names, "train")


def test_what_was_gathered_from_packages_trains_and_moves_no_other_family() -> None:
    rows = [*families(40), *families(40, kind="effects"), row(kind="speech", label="en/ann")]
    fields = {"source_repo": "debian/game", "author_if_known": "game 0", "seconds": "5000"}
    gathered = [row(kind=kind, path=f"{kind}/x.flac", **fields) for kind in ("music", "effects")]
    names = ("gathered: music game 0", "gathered: effects game 0")
    assert assign([*gathered, *rows]) == assign(rows) | dict.fromkeys(names, "train")


def test_a_folder_of_recordings_may_be_called_made() -> None:
    assert family(row(source_repo="made", author_if_known="")) == "music: made"


def test_the_tiny_corpus_has_every_kind_on_every_side(tiny_corpus: Path) -> None:
    rows = rows_of(tiny_corpus)
    found = assign(rows)
    for kind in ("speech", "music", "singing", "effects", "rir"):
        assert {found[family(r)] for r in rows if r["kind"] == kind} == set(SPLITS), kind


@pytest.mark.corpus
def test_the_real_corpus_is_split_80_8_12_with_several_families_everywhere(corpus: Path) -> None:
    rows = rows_of(corpus)
    found = assign(rows)
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for r in rows:
        seconds[r["kind"]][found[family(r)]] += float(r["seconds"])
        names[r["kind"], found[family(r)]].add(family(r))
    for kind in ("speech", "music", "effects"):
        total = sum(seconds[kind].values())
        shares = {split: seconds[kind][split] / total for split in SPLITS}
        assert shares == pytest.approx({"train": 0.8, "choose": 0.08, "report": 0.12}, abs=0.03)
        assert all(len(names[kind, split]) >= 5 for split in SPLITS), kind


@pytest.mark.corpus
def test_made_recordings_leave_the_split_of_the_real_corpus_as_it_is(corpus: Path) -> None:
    rows = rows_of(corpus)
    found = assign([*rows, made("music", "waltz"), made("effects", "rain"), made("speech", "a")])
    assert {name: found[name] for name in found if not name.startswith("made: ")} == assign(rows)


@pytest.mark.corpus
def test_no_voice_song_or_author_of_the_real_corpus_stands_on_two_sides(corpus: Path) -> None:
    rows = rows_of(corpus)
    found = assign(rows)
    sides: dict[tuple[str, str], set[str]] = defaultdict(set)
    for r in rows:
        if r["kind"] == "speech":
            # Told by the label alone, so that a mistake in `family` would show.
            sides["voice", r["label"]].add(found[family(r)])
        elif "/eir_" in r["path"]:
            song = r["path"].rpartition("/")[2].partition("__")[0]
            sides["song", song].add(found[family(r)])
    assert sides
    assert not {key: value for key, value in sides.items() if len(value) > 1}


def test_halves_hold_about_as_much_of_every_kind() -> None:
    rng = np.random.default_rng(0)
    seconds = {
        (kind, f"{kind}: {k}"): float(rng.uniform(5, 200))
        for kind in ("speech", "music", "effects")
        for k in range(30)
    }
    found = halves(seconds)
    for kind in ("speech", "music", "effects"):
        parts = [
            sum(v for (k, name), v in seconds.items() if k == kind and found[name] == half)
            for half in (0, 1)
        ]
        assert max(parts) < 1.1 * min(parts)
    shuffled = dict(sorted(seconds.items(), reverse=True))
    assert halves(shuffled) == found


def test_a_song_goes_whole_into_one_half() -> None:
    found = halves({("music", "song: a"): 90.0, ("singing", "song: a"): 30.0, ("music", "b"): 80.0})
    assert set(found) == {"song: a", "b"} and found["song: a"] != found["b"]
