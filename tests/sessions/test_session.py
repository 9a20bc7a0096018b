"""What is read from a folder of stems, and what is refused."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.sessions.made import HOUR_S, make
from tests.small_films import film, sound
from unstir.errors import AudioError, SettingsError
from unstir.framerate import frame_rate
from unstir.markers import _voiced, speech_starts
from unstir.sessions.session import clean, media_path, read_session

RATE = 8000


def test_a_result_folder_says_everything(tmp_path: Path) -> None:
    made = make(tmp_path, start=HOUR_S * RATE, rate=RATE, lead=100)
    session = read_session(made.folder)
    assert [clip.name for clip in session.stems] == ["speech", "music", "effects"]
    assert [clip.name for clip in session.sums] == ["ME"]
    assert (session.start, session.is_stamped) == (HOUR_S * RATE, True)
    assert session.n_samples == made.mix.shape[1]
    assert session.start_frame == HOUR_S * 25
    assert session.original is not None
    assert (session.original.file, session.original.first_sample) == (made.original, 100)
    assert len({clip.color for clip in session.clips}) == 4


def test_another_file_of_the_same_name_is_not_taken_for_the_original(tmp_path: Path) -> None:
    made = make(tmp_path, rate=RATE)
    shutil.copy(made.folder / "music.wav", made.original)
    assert read_session(made.folder).original is None
    with pytest.raises(SettingsError, match="is not the sound"):
        read_session(made.folder, original=made.original)


def test_a_folder_of_plain_stems_will_do(tmp_path: Path) -> None:
    made = make(tmp_path, rate=RATE)
    (made.folder / "report.json").unlink()
    (made.folder / "ME.wav").unlink()
    session = read_session(made.folder, original=made.original)
    assert [clip.name for clip in session.stems] == ["speech", "music", "effects"]
    assert session.original is not None


@pytest.mark.parametrize("harm", ["missing", "outside", "shorter", "no json", "empty"])
def test_what_is_no_folder_of_stems_is_refused(harm: str, tmp_path: Path) -> None:
    made = make(tmp_path, rate=RATE)
    report = made.folder / "report.json"
    if harm == "missing":
        (made.folder / "music.wav").unlink()
    elif harm == "outside":
        report.write_text(report.read_text().replace('"music.wav"', '"../film one.wav"'))
    elif harm == "shorter":
        other = make(tmp_path / "other", rate=RATE, seconds=1.0)
        shutil.copy(other.folder / "music.wav", made.folder)
    elif harm == "no json":
        report.write_text("{")
    else:
        shutil.rmtree(made.folder)
        made.folder.mkdir()
    with pytest.raises(AudioError):
        read_session(made.folder)


def test_the_frame_rate_is_the_videos(tmp_path: Path) -> None:
    made = make(tmp_path, rate=RATE)
    video = tmp_path / "film.mkv"
    film(video, [sound(2, 4800)], "pcm_s24le")
    assert frame_rate(video) == Fraction(25)
    assert read_session(made.folder, video=video, markers=False).fps == 25
    with pytest.raises(SettingsError, match="no moving pictures"):
        read_session(made.folder, video=made.original)
    with pytest.raises(SettingsError, match="frames a second"):
        read_session(made.folder, fps=Fraction(1000))


@pytest.mark.parametrize(
    ("n_samples", "begun", "whole"), [(48000, 25, 25), (47999, 25, 24), (1921, 2, 1), (1, 1, 1)]
)
def test_frames_are_counted_up_to_the_last_and_up_to_the_last_whole_one(
    n_samples: int, begun: int, whole: int, tmp_path: Path
) -> None:
    session = replace(read_session(make(tmp_path).folder, markers=False), n_samples=n_samples)
    assert (session.n_frames, session.n_whole_frames) == (begun, whole)


def test_markers_do_not_depend_on_blocks_and_stand_where_speech_begins(
    rng: np.random.Generator,
) -> None:
    speech = np.zeros((1, 8 * RATE), np.float32)
    for begin, end in ((1.0, 2.0), (2.5, 3.0), (5.0, 6.0), (7.4, 7.5)):
        n = slice(round(begin * RATE), round(end * RATE))
        speech[:, n] = 0.1 * rng.standard_normal(n.stop - n.start)
    music = 0.05 * rng.standard_normal(speech.shape).astype(np.float32)
    found = {
        speech_starts(
            (
                {"speech": speech[:, at : at + size], "music": music[:, at : at + size]}
                for at in range(0, speech.shape[1], size)
            ),
            sample_rate=RATE,
            mix_lufs=-23.0,
        )
        for size in (speech.shape[1], 1000, 77)
    }
    assert found == {(RATE, 5 * RATE)}  # a short pause ends nothing, a tenth of a second is none


def test_what_is_faint_counts_where_something_near_is_clear() -> None:
    rng = np.random.default_rng(0)
    faint, clear = rng.random(400) < 0.7, rng.random(400) < 0.03
    levels_db = [
        (-30.0 if c else -60.0 if f else -90.0, -35.0) for f, c in zip(faint, clear, strict=True)
    ]
    near = np.convolve(clear, np.ones(11), mode="same") > 0
    assert 50 < near.sum() < 350
    assert list(_voiced(levels_db, 5)) == list((faint | clear) & near)


def test_silence_has_no_markers() -> None:
    blocks = [{"speech": np.zeros((2, RATE), np.float32)}]
    assert speech_starts(blocks, sample_rate=RATE, mix_lufs=None) == ()
    assert speech_starts(blocks, sample_rate=RATE, mix_lufs=-23.0) == ()


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x85b", "a\u2028b", "a\udcffb"])
def test_names_are_cleaned_and_paths_refused(text: str, tmp_path: Path) -> None:
    assert clean(text) in ("a b", "a?b")
    with pytest.raises(SettingsError, match="cannot hold"):
        media_path(tmp_path / text / "speech.wav", tmp_path)
