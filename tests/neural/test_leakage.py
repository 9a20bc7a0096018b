"""The same recording on two sides is found, whatever its name, level and cut; others are not."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from tests.tiny_corpus import write_corpus
from unstir.neural.leakage import correlation, fingerprint, leaks
from unstir.neural.pack import Pack, pack

KINDS = ("speech", "music", "singing", "effects")


def test_made_recordings_do_not_leak(tiny_pack: Pack) -> None:
    assert leaks(tiny_pack, *KINDS) == []


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Return a pack where a training tune stands under another author, quieter and cut."""
    corpus = write_corpus(tmp_path_factory.mktemp("leaking"))
    with (corpus / "MANIFEST.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(9)
    tune, rate = np.cumsum(rng.standard_normal((2, 6 * 44100)), axis=1), 44100
    tune = 0.1 * (tune - np.convolve(tune[0], np.ones(999) / 999, "same")) / 30
    tune *= np.interp(np.arange(tune.shape[1]), np.arange(0, tune.shape[1], 9000), rng.random(30))
    like = next(row for row in rows if row["path"] == "music/tunea.wav")
    for name, wave in (("original", tune), ("renamed", 0.3 * tune[:, 40000:])):
        sf.write(corpus / f"music/{name}.wav", wave.T, rate)
        rows.append(like | {"path": f"music/{name}.wav", "author_if_known": name})
    with (corpus / "MANIFEST.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    folder = corpus / "packed"
    clips = list(pack(corpus, folder))
    found = Pack(folder)
    sides = {"music/original.wav": "train", "music/renamed.wav": "report"}
    moved = tuple(replace(clip, split=sides.get(clip.path, clip.split)) for clip in clips)
    found.__dict__["clips"] = moved  # where `cached_property` keeps it
    return found


def test_a_renamed_quieter_and_cut_copy_is_found(leaking: Pack) -> None:
    found = leaks(leaking, "music")
    assert {found[0].first.path, found[0].second.path} == {
        "music/original.wav",
        "music/renamed.wav",
    }
    assert found[0].correlation > 0.95
    assert len(found) == 1


def test_only_the_kinds_that_were_asked_for_are_looked_at(leaking: Pack) -> None:
    assert leaks(leaking, "speech", "effects") == []
    assert leaks(leaking, "no such kind") == []


def test_a_fingerprint_does_not_know_the_level(rng: np.random.Generator) -> None:
    x = rng.standard_normal(44100).astype(np.float32) * np.linspace(0, 1, 44100, dtype=np.float32)
    a, b = fingerprint(x), fingerprint(x / 50)
    np.testing.assert_allclose(a, b, atol=1e-3)
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("start", [-30, 0, 500, 970])
def test_a_probe_is_found_wherever_it_lies(rng: np.random.Generator, start: int) -> None:
    whole = rng.standard_normal(1000).astype(np.float32)
    probe = np.pad(whole, 100)[100 + start : 200 + start]
    assert correlation(0.5 * probe[30:], whole) == pytest.approx(1, abs=1e-3 if start < 900 else 1)
    assert correlation(rng.standard_normal(300).astype(np.float32), whole) < 0.5


@pytest.mark.parametrize("n", [1, 100, 2048, 2049])
def test_the_shortest_sounds_have_fingerprints(n: int) -> None:
    assert np.all(np.isfinite(fingerprint(np.ones(n, np.float32))))
    assert np.all(np.isfinite(fingerprint(np.zeros(n, np.float32))))
