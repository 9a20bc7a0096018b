"""Folders of recordings, scenes and songs: what is found, what is refused, what is written."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.sounds import mixture_of, scene
from unstir.audio import open_writer, probe
from unstir.errors import AudioError
from unstir.neural.folders import (
    Annotation,
    find_sounds,
    find_tracks,
    read_stems,
    read_stretch,
    stem_blocks,
    write_scene,
)

RATE = 8000


def write(path: Path, waveform: np.ndarray, rate: int = RATE, format: str = "wav") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    n_channels, n = waveform.shape
    subtype = "FLOAT" if format == "wav" else "PCM_16"
    with open_writer(
        path, format, sample_rate=rate, n_channels=n_channels, n_samples=n, subtype=subtype
    ) as writer:
        writer.write(waveform if format == "wav" else (waveform * 2**15).astype(np.int32))


@pytest.fixture
def ramp() -> np.ndarray:
    """Return two seconds in which every sample tells its place."""
    return (np.arange(2 * RATE, dtype=np.float32) / 2**15)[None]


@pytest.fixture
def song(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, dict[str, np.ndarray]]:
    """Return a folder in the layout of MUSDB18-HQ and what is in it."""
    names = ("vocals", "drums", "bass", "other")
    stems = {name: 0.1 * rng.standard_normal((2, RATE)).astype(np.float32) for name in names}
    for name, stem in {"mixture": mixture_of(stems), **stems}.items():
        write(tmp_path / f"musdb/test/A - B/{name}.wav", stem)
    return tmp_path / "musdb", stems


def test_sounds_are_found_at_any_depth_in_the_order_of_their_names(
    tmp_path: Path, ramp: np.ndarray
) -> None:
    write(tmp_path / "fx/dog/small/yap.WAV", ramp)
    write(tmp_path / "fx/bell.flac", ramp[:, :RATE], format="flac")
    (tmp_path / "fx/licence.txt").write_text("CC0")
    write(tmp_path / "fx/.hidden.wav", ramp)
    found = find_sounds(tmp_path / "fx")
    assert [(s.name, s.label, s.duration_s) for s in found.sounds] == [
        ("fx/bell.flac", "bell", 1.0),
        ("fx/dog/small/yap.WAV", "dog/small", 2.0),
    ]
    assert found.skipped == ()


def test_unreadable_files_are_skipped_and_named(tmp_path: Path, ramp: np.ndarray) -> None:
    write(tmp_path / "good.wav", ramp)
    whole = (tmp_path / "good.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "text.ogg").write_text("no sound")
    found = find_sounds(tmp_path)
    assert [sound.path.name for sound in found.sounds] == ["good.wav"]
    assert len(found.skipped) == 3
    for name, sentence in zip(["cut.wav", "empty.mp3", "text.ogg"], found.skipped, strict=True):
        assert name in sentence


def test_a_folder_without_a_readable_sound_is_refused_with_the_count(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none here")
    with pytest.raises(AudioError, match="0 sound files could not be"):
        find_sounds(tmp_path)
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioError, match=r"1 sound files could not be: .*a\.wav"):
        find_sounds(tmp_path)
    with pytest.raises(AudioError, match="not a folder"):
        find_sounds(tmp_path / "a.wav")


def test_a_stretch_is_where_it_was_asked_for_and_ends_with_the_file(
    tmp_path: Path, ramp: np.ndarray
) -> None:
    write(tmp_path / "ramp.wav", ramp)
    middle, rate = read_stretch(tmp_path / "ramp.wav", 0.5, 0.25)
    assert rate == RATE
    np.testing.assert_array_equal(middle, ramp[:, RATE // 2 : 3 * RATE // 4])
    assert read_stretch(tmp_path / "ramp.wav", 1.75, 1.0)[0].shape == (1, RATE // 4)
    assert read_stretch(tmp_path / "ramp.wav", 5.0, 1.0)[0].shape == (1, 0)


def test_a_scene_comes_back_as_it_was_written(tmp_path: Path) -> None:
    stems = scene(1.0, RATE)
    write_scene(tmp_path / "set/00000", stems, sample_rate=RATE)
    files = sorted(path.name for path in (tmp_path / "set/00000").iterdir())
    assert files == ["annots.csv", "mix.wav", "music.wav", "sfx.wav", "speech.wav"]
    (track,), skipped = find_tracks(tmp_path / "set")
    assert skipped == ()
    assert (track.name, track.sample_rate, track.n_channels, track.n_samples) == (
        *("00000", RATE, 2, RATE),
    )
    for name, stem in read_stems(track).items():
        np.testing.assert_array_equal(stem, stems[name])
    np.testing.assert_array_equal(read_stretch(track.mix, 0, 1)[0], mixture_of(stems))
    assert probe(track.mix).subtype == "FLOAT"


def test_annotations_have_the_columns_of_the_published_sets(tmp_path: Path) -> None:
    row = Annotation("fx/dog/yap.wav", "sfx", 1.5, 2.0, 0.0, 0.5, 0.25, 'dog, "small"')
    write_scene(tmp_path / "0", scene(0.1, RATE), sample_rate=RATE, annotations=[row])
    with (tmp_path / "0/annots.csv").open(newline="", encoding="utf-8") as file:
        (read,) = csv.DictReader(file)
    assert read == {
        "": "0",
        "file": "fx/dog/yap.wav",
        "class": "sfx",
        "mix start time": "1.500000",
        "mix end time": "2.000000",
        "clip start time": "0.000000",
        "clip end time": "0.500000",
        "clip gain": "0.25",
        "annotation": 'dog, "small"',
    }


def test_a_scene_is_hidden_until_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "00000"

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("os.rename", killed)
        write_scene(place, scene(0.1, RATE), sample_rate=RATE)
    assert not place.exists()
    with pytest.raises(AudioError, match="no whole scene"):
        find_tracks(tmp_path)
    write_scene(place, scene(0.1, RATE), sample_rate=RATE)
    assert [path.name for path in tmp_path.iterdir()] == ["00000"]


def test_an_existing_scene_is_never_written_over(tmp_path: Path) -> None:
    write_scene(tmp_path / "0", scene(0.1, RATE), sample_rate=RATE)
    before = (tmp_path / "0/mix.wav").read_bytes()
    with pytest.raises(AudioError, match="there already"):
        write_scene(tmp_path / "0", scene(0.2, RATE), sample_rate=RATE)
    assert (tmp_path / "0/mix.wav").read_bytes() == before


def test_stems_that_are_not_a_film_s_are_refused(tmp_path: Path) -> None:
    stems = scene(0.1, RATE)
    for wrong in ({"speech": stems["speech"]}, {**stems, "music": stems["music"][:1]}):
        with pytest.raises(AudioError, match="of one shape are wanted"):
            write_scene(tmp_path / "0", wrong, sample_rate=RATE)
    assert not list(tmp_path.iterdir())


def test_a_song_folder_is_read_as_four_stems(song: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, stems = song
    (track,), _ = find_tracks(folder)
    assert track.name == "A - B"
    for name, stem in read_stems(track).items():
        np.testing.assert_array_equal(stem, stems[name])


def test_stems_are_the_same_in_blocks_and_from_the_middle(
    song: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, stems = song
    (track,), _ = find_tracks(folder)
    blocks = list(stem_blocks(track, 999, start=100, stop=5000))
    assert [block["bass"].shape[1] for block in blocks] == [999, 999, 999, 999, 904]
    joined = np.concatenate([block["bass"] for block in blocks], axis=1)
    np.testing.assert_array_equal(joined, stems["bass"][:, 100:5000])
    np.testing.assert_array_equal(read_stems(track, start=100, stop=5000)["bass"], joined)
    assert read_stems(track, start=RATE)["bass"].shape == (2, 0)


def test_tracks_that_are_not_whole_are_skipped_and_named(
    song: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, stems = song
    for name in ("no bass", "short bass"):
        for stem in ("mixture", "vocals", "drums", "other"):
            write(folder / f"test/{name}/{stem}.wav", stems["drums"])
    write(folder / "test/short bass/bass.wav", stems["bass"][:, :-1])
    tracks, skipped = find_tracks(folder)
    assert [track.name for track in tracks] == ["A - B"]
    assert len(skipped) == 2
    assert "no bass" in skipped[0]
    assert "must be equal" in skipped[1]
