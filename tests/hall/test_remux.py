"""New sound for a video, beside pictures that nobody touched."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.small_films import RATE, film, languages, pictures, sound
from unstir.audio import open_audio, probe
from unstir.errors import SettingsError
from unstir.remux import VideoWriter, choose_track, has_picture, rehearse

LOSSLESS = {".mp4": "alac", ".mov": "pcm_s24le", ".mkv": "flac"}


def replace_sound(source: Path, out: Path, x: NDArray[np.float32], *, add: bool = False) -> None:
    info = probe(source)
    track = choose_track(info, out)
    rehearse(source, info, track, add=add)
    with VideoWriter(source, out, info, track, add=add) as writer:
        for at in range(0, x.shape[1], 7000):
            writer.write(x[:, at : at + 7000])


def read(path: Path, stream: int = 0) -> NDArray[np.float32]:
    with open_audio(path, stream=stream) as reader:
        return np.concatenate(list(reader.blocks(10000)), axis=1)


@pytest.mark.parametrize("out", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("source", [".mp4", ".mov", ".mkv"])
def test_pictures_pass_as_they_are_and_the_new_sound_comes_back_exactly(
    source: str, out: str, tmp_path: Path
) -> None:
    old, new = tmp_path / f"a{source}", tmp_path / f"b{out}"
    film(old, [sound(2, RATE)], LOSSLESS[source])
    x = sound(2, RATE, seed=1)
    replace_sound(old, new, x)
    assert pictures(new) == pictures(old) and len(pictures(new)) == 30
    assert np.array_equal(read(new), x)
    assert probe(new).audio_streams == 1


@pytest.mark.parametrize("out", [".mp4", ".mov", ".mkv"])
def test_pictures_out_of_order_without_decoding_times_get_them(out: str, tmp_path: Path) -> None:
    old, new = tmp_path / "a.mkv", tmp_path / f"b{out}"
    film(old, [sound(2, 4 * RATE)], "flac", n_pictures=100, n_between=3, video_codec="libx264")
    replace_sound(old, new, sound(2, 4 * RATE))
    shown = [at for at, _ in pictures(old)]
    assert shown != sorted(shown)
    assert pictures(new) == pictures(old)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_that_starts_late_still_does(suffix: str, tmp_path: Path) -> None:
    old, new = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    film(old, [sound(2, RATE)], LOSSLESS[suffix], start=RATE // 4)
    x = sound(2, RATE, seed=1)
    replace_sound(old, new, x)
    assert probe(old).start_s == pytest.approx(0.25, abs=0.001)
    assert probe(new).start_s == pytest.approx(probe(old).start_s, abs=0.001)
    assert np.array_equal(read(new), x)
    assert pictures(new) == pictures(old)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_surround_keeps_its_channels(suffix: str, tmp_path: Path) -> None:
    old, new = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    film(old, [sound(6, RATE)], LOSSLESS[suffix], layout="5.1")
    x = sound(6, RATE, seed=1)
    replace_sound(old, new, x)
    assert np.array_equal(read(new), x)
    assert probe(new).layout == probe(old).layout == ("FL", "FR", "FC", "LFE", "BL", "BR")


@pytest.mark.parametrize(("suffix", "side"), [(".mp4", "B"), (".mov", "S"), (".mkv", "S")])
def test_surround_at_the_sides_stays_there_where_the_codec_can(
    suffix: str, side: str, tmp_path: Path
) -> None:
    old, new = tmp_path / "a.mov", tmp_path / f"b{suffix}"
    film(old, [sound(6, RATE // 2)], "pcm_s24le", layout="5.1(side)")
    x = sound(6, RATE // 2, seed=1)
    replace_sound(old, new, x)
    assert np.array_equal(read(new), x)
    assert probe(new).layout == ("FL", "FR", "FC", "LFE", f"{side}L", f"{side}R")
    notes = rehearse(old, probe(old), choose_track(probe(old), new))
    assert len(notes) == (side == "B")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_languages_stay_with_their_tracks(suffix: str, tmp_path: Path) -> None:
    old, new = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    x = sound(2, RATE // 2)
    film(old, [x, x], LOSSLESS[suffix], languages=("fra", "ita"))
    replace_sound(old, new, x)
    assert languages(new) == languages(old) == ["fra", "ita"]


def test_german_keeps_its_name_in_quicktime_too(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [sound(2, RATE // 2)], "pcm_s24le", languages=("deu",))
    replace_sound(tmp_path / "a.mkv", tmp_path / "b.mov", sound(2, RATE // 2))
    assert languages(tmp_path / "b.mov") == ["ger"]


def test_an_added_track_leaves_the_old_one(tmp_path: Path) -> None:
    old, new = tmp_path / "a.mov", tmp_path / "b.mov"
    before, x = sound(2, RATE), sound(2, RATE, seed=1)
    film(old, [before], "pcm_s24le")
    replace_sound(old, new, x, add=True)
    assert np.array_equal(read(new), before)
    assert np.array_equal(read(new, stream=1), x)
    assert languages(new) == ["eng", "eng"]


def test_lossy_sound_in_mp4_stays_in_its_place_and_length(tmp_path: Path) -> None:
    old, new = tmp_path / "a.mp4", tmp_path / "b.mp4"
    film(old, [sound(2, RATE)], "aac")
    x = sound(2, RATE, seed=1)
    replace_sound(old, new, x)
    y = read(new)
    assert y.shape == x.shape
    assert probe(new).subtype == "aac"
    quiet_db = 10 * np.log10(np.mean((y - x) ** 2) / np.mean(x**2))
    assert quiet_db < -20  # a shift by two samples leaves more


def test_float_sound_stays_float_where_the_container_can(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [sound(2, RATE // 2)], "pcm_f32le")
    x = sound(2, RATE // 2, seed=1) / np.float32(3)
    for suffix in (".mkv", ".mov"):
        replace_sound(tmp_path / "a.mkv", tmp_path / f"b{suffix}", x)
        assert np.array_equal(read(tmp_path / f"b{suffix}"), x)


def test_memory_holds_no_more_than_a_frame_of_sound(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [sound(2, RATE)], "flac")
    info = probe(tmp_path / "a.mkv")
    out = tmp_path / "b.mkv"
    with VideoWriter(tmp_path / "a.mkv", out, info, choose_track(info, out)) as writer:
        x = sound(2, RATE)
        for at in range(0, RATE, 1000):
            writer.write(x[:, at : at + 1000])
            assert writer.n_pending < 4608


def test_chapters_and_titles_come_along(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [sound(2, RATE)], "flac")
    with av.open(str(tmp_path / "a.mkv")) as old, av.open(str(tmp_path / "t.mkv"), "w") as new:
        copies = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        new.metadata["title"] = "Das Kabinett"
        new.set_chapters(
            [
                {
                    "id": 1,
                    "start": 0,
                    "end": 500,
                    "time_base": old.streams[0].time_base,
                    "metadata": {"title": "eins"},
                }
            ]
        )
        for packet in old.demux(audio=0):
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    replace_sound(tmp_path / "t.mkv", tmp_path / "b.mkv", sound(2, RATE))
    with av.open(str(tmp_path / "b.mkv")) as found:
        assert found.metadata["title"] == "Das Kabinett"
        assert [c["metadata"]["title"] for c in found.chapters()] == ["eins"]


def test_a_track_that_the_container_does_not_take_is_named(tmp_path: Path) -> None:
    x = sound(2, RATE // 2)
    film(tmp_path / "a.mkv", [x, x], "flac", languages=("eng", "eng"))
    info, out = probe(tmp_path / "a.mkv"), tmp_path / "b.mov"
    with pytest.raises(SettingsError, match=r"cannot go into mov.*\.mkv"):
        rehearse(tmp_path / "a.mkv", info, choose_track(info, out))
    assert not out.exists()


def test_an_encoder_that_refuses_is_known_before_anything_is_written(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [sound(12, RATE // 4)], "pcm_s24le", layout="7.1.4")
    info, out = probe(tmp_path / "a.mkv"), tmp_path / "b.mp4"
    with pytest.raises(SettingsError, match=r"12 channels at 48000 Hz as alac"):
        rehearse(tmp_path / "a.mkv", info, choose_track(info, out))


def test_an_ending_that_is_no_video_is_refused(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [sound(2, RATE // 4)], "flac")
    with pytest.raises(SettingsError, match=r"'b\.avi'.*\.mp4, \.m4v, \.mov, \.mkv is wanted"):
        choose_track(probe(tmp_path / "a.mkv"), tmp_path / "b.avi")


def test_sound_alone_has_no_picture(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", [sound(2, RATE // 4)], "flac", n_pictures=0)
    film(tmp_path / "b.mkv", [sound(2, RATE // 4)], "flac")
    assert not has_picture(tmp_path / "a.mkv") and has_picture(tmp_path / "b.mkv")
