import numpy as np
import pytest
from rich.console import Console

from tests.sounds import scene
from unstir.compare import candidates, compare, markdown, summary, table
from unstir.errors import UnknownNameError
from unstir.mixes import SAMPLE_RATE, film_mixes, song_mixes


def test_the_mixture_gains_nothing_and_the_oracle_the_most() -> None:
    truth = scene(4, 8000)
    rows = [compare(name, "film", truth, 8000) for name in ("mixture", "midside", "oracle")]
    gains = [entry["mean_gain_db"] for entry in summary(rows)]
    assert abs(gains[0]) < 1e-3
    assert gains[0] < gains[1] < gains[2]


def test_tables_name_every_method_and_stem_once() -> None:
    truth = scene(2, 8000)
    rows = [
        compare(name, "film", truth, 8000, source=str(i))
        for name in ("mixture", "oracle")
        for i in range(3)
    ]
    text = markdown(summary(rows))
    assert text.splitlines()[0] == "| method | speech | music | effects | mean |"
    assert text.count("`mixture`") == text.count("`oracle`") == 1
    console = Console(width=100, record=True)
    console.print(table(summary(rows), "title"))
    assert "oracle" in console.export_text()


def test_an_interval_needs_three_sources() -> None:
    truth = scene(2, 8000)
    rows = [compare("mixture", "film", truth, 8000, source=s) for s in "aab"]
    assert summary(rows)[0]["mean_interval_db"] is None


def test_a_stem_that_is_silent_counts_for_no_method() -> None:
    truth = scene(2, 8000)
    truth["effects"] = np.zeros_like(truth["effects"])
    (entry,) = summary([compare("midside", "film", truth, 8000)])
    assert np.isnan(entry["stems"]["effects"]["gain_db"])
    assert np.isfinite(entry["mean_gain_db"])


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        candidates("film", ["nope"])


def test_real_mixes_are_the_same_every_time_and_their_stems_add_up(corpus) -> None:
    first, again = film_mixes(corpus, n=2), film_mixes(corpus, n=2)
    for a, b in zip(first, again, strict=True):
        for stem, value in a.stems.items():
            np.testing.assert_array_equal(value, b.stems[stem])
            assert value.shape == (2, 20 * SAMPLE_RATE) and value.dtype == np.float32
            assert 0.005 < np.sqrt(np.mean(value.astype(float) ** 2)) < 0.5
    songs = song_mixes(corpus)
    assert len(songs) >= 4
    assert all(set(song.stems) == {"vocals", "accompaniment"} for song in songs)


def test_the_center_method_gains_on_real_scenes(corpus) -> None:
    rows = [compare("midside", "film", mix.stems, SAMPLE_RATE) for mix in film_mixes(corpus, n=3)]
    assert summary(rows)[0]["stems"]["speech"]["gain_db"] > 2
