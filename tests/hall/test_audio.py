"""Sound in, sound out."""

import functools
import io
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unstir.audio import ixml_with_start, open_audio, open_writer, probe
from unstir.errors import AudioError, SettingsError
from unstir.riff import WavWriter

FIVE_ONE = ("FL", "FR", "FC", "LFE", "BL", "BR")
RATE = 48000


def noise(n_channels: int, n_samples: int, bits: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """Return noise whose values PCM of so many bits holds exactly."""
    rng = np.random.default_rng(seed)
    scale = 2 ** (bits - 1)
    values = rng.integers(-scale, scale, (n_channels, n_samples))
    return (values / scale).astype(np.float32)


def tones(n_channels: int, n_samples: int) -> NDArray[np.float32]:
    """Return a swept tone in every channel, each in its own band, under a common envelope."""
    t = np.arange(n_samples) / RATE
    envelope = 0.1 + 0.3 * np.sin(2 * np.pi * 3.1 * t) ** 2
    phase = [2 * np.pi * (40 + 250 * c + 10 * t) * t for c in range(n_channels)]
    hiss = np.random.default_rng(0).normal(0, 0.01, (n_channels, n_samples))
    return (envelope * np.sin(phase) + hiss).astype(np.float32)


def read(path: Path, block_size: int = 5000, *args: Any, **more: Any) -> NDArray[np.float32]:
    with open_audio(path, **more) as reader:
        parts = list(reader.blocks(block_size, *args))
        for part in parts:
            assert part.dtype == np.float32 and part.flags.c_contiguous
            assert part.shape[0] == reader.info.n_channels
        assert all(part.shape[1] == block_size for part in parts[:-1])
        return np.concatenate(parts, axis=1) if parts else np.zeros((0, 0), np.float32)


def encode(
    path: Path | io.BytesIO,
    tracks: list[NDArray[np.float32]],
    codec: str,
    container: str,
    *,
    layout: str = "stereo",
    sample_format: str | None = None,
    shift: Callable[[int], int] = lambda at: at,
    n_pictures: int = 0,
    options: dict[str, str] | None = None,
) -> None:
    """Write tracks of sound, and pictures if wanted; ``shift`` moves time stamps."""
    with av.open(
        str(path) if isinstance(path, Path) else path, "w", format=container, options=options or {}
    ) as out:
        if n_pictures:
            video = out.add_stream("mpeg4", rate=25)
            video.width = video.height = 32
        streams = [out.add_stream(codec, rate=RATE, layout=layout) for _ in tracks]
        for stream in streams:
            if sample_format:
                stream.codec_context.format = av.AudioFormat(sample_format)
        for number in range(n_pictures):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number % 256, np.uint8))
            picture.pts = number
            out.mux(video.encode(picture))
        for x, stream in zip(tracks, streams, strict=True):
            kind = stream.codec_context.format.name
            resampler = av.AudioResampler(kind, layout, RATE)
            size = stream.codec_context.frame_size or 1024
            for at in range(0, x.shape[1], size):
                block = np.ascontiguousarray(x[:, at : at + size])
                if kind.startswith("s32"):  # exact, where libswresample would dither or round
                    whole = np.round(block.astype(np.float64) * 2**31).astype(np.int64)
                    values = np.clip(whole, -(2**31), 2**31 - 1).astype(np.int32)
                    values = values if kind == "s32p" else values.T.reshape(1, -1)
                    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), kind, layout)
                    frame.sample_rate = RATE
                else:
                    flat = av.AudioFrame.from_ndarray(block, "fltp", layout)
                    flat.sample_rate = RATE
                    (frame,) = resampler.resample(flat)
                frame.pts = shift(at)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        if n_pictures:
            out.mux(video.encode(None))


def lag(y: NDArray[np.float32], x: NDArray[np.float32]) -> int:
    """Return by how many samples ``y`` comes after ``x``, whatever the color of their sound."""
    n = min(y.shape[-1], x.shape[-1], 2**15)
    spectrum = np.fft.rfft(y[0, :n], 2 * n) * np.fft.rfft(x[0, :n], 2 * n).conj()
    spectrum /= np.abs(spectrum) + 1e-9
    at = int(np.argmax(np.fft.irfft(spectrum)))
    return at if at < n else at - 2 * n


# Exact samples.


@pytest.mark.parametrize("n_channels", [1, 2, 3, 8])
@pytest.mark.parametrize("rate", [8000, 44100, 384000])
@pytest.mark.parametrize(
    ("subtype", "bits", "pcm_bits"),
    [
        ("PCM_U8", 8, 16),
        ("PCM_16", 16, 16),
        ("PCM_24", 24, 24),
        ("PCM_32", 24, None),
        ("FLOAT", 24, None),
        ("DOUBLE", 24, None),
    ],
)
def test_waves_of_every_kind_are_read_exactly(
    subtype: str, bits: int, pcm_bits: int | None, rate: int, n_channels: int, tmp_path: Path
) -> None:
    x = noise(n_channels, 1234, bits)
    sf.write(tmp_path / "x.wav", x.T, rate, subtype=subtype)
    info = probe(tmp_path / "x.wav")
    assert (info.format, info.subtype, info.sample_rate) == ("WAV", subtype, rate)
    assert (info.n_channels, info.n_samples, info.pcm_bits) == (n_channels, 1234, pcm_bits)
    assert info.lossless and not info.truncated and (info.audio_streams, info.stream) == (1, 0)
    np.testing.assert_array_equal(read(tmp_path / "x.wav"), x)


@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("kind", "subtype", "bits"),
    [
        ("RF64", "PCM_24", 24),
        ("FLAC", "PCM_S8", 8),
        ("FLAC", "PCM_16", 16),
        ("FLAC", "PCM_24", 24),
        ("AIFF", "PCM_16", 16),
        ("AIFF", "PCM_24", 24),
        ("W64", "PCM_24", 24),
        ("CAF", "PCM_16", 16),
        ("AIFF", "FLOAT", None),
        ("W64", "DOUBLE", None),
    ],
)
def test_other_lossless_files_are_read_exactly(
    kind: str, subtype: str, bits: int | None, n_channels: int, tmp_path: Path
) -> None:
    x = noise(n_channels, 30_001, bits or 24)
    sf.write(tmp_path / "x", x.T, RATE, format=kind, subtype=subtype)
    info = probe(tmp_path / "x")
    assert (info.format, info.subtype, info.n_samples) == (kind, subtype, 30_001)
    assert info.lossless and info.pcm_bits == (None if bits is None else max(16, bits))
    np.testing.assert_array_equal(read(tmp_path / "x"), x)


def test_float_beyond_full_scale_and_integers_of_32_bits_come_as_the_nearest_float(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    loud = rng.normal(0, 20, (2, 500))
    sf.write(tmp_path / "d.wav", loud.T, RATE, subtype="DOUBLE")
    np.testing.assert_array_equal(read(tmp_path / "d.wav"), loud.astype(np.float32))
    whole = rng.integers(-(2**31), 2**31, (500, 2), np.int32)
    sf.write(tmp_path / "i.wav", whole, RATE, subtype="PCM_32")
    np.testing.assert_array_equal(read(tmp_path / "i.wav"), (whole.T / 2**31).astype(np.float32))


@pytest.mark.parametrize("form", [b"BW64", b"RIFF"])
def test_what_streaming_writers_leave_is_read_to_the_end(form: bytes, tmp_path: Path) -> None:
    x = noise(2, 999, 16)
    sf.write(tmp_path / "x.wav", x.T, RATE, subtype="PCM_16")
    data = bytearray((tmp_path / "x.wav").read_bytes())
    for size in (b"\0" * 4, b"\xff" * 4):
        data[:8], data[40:44] = form + size, size
        (tmp_path / "x.wav").write_bytes(data)
        assert probe(tmp_path / "x.wav").n_samples == 999
        np.testing.assert_array_equal(read(tmp_path / "x.wav"), x)


def test_a_flac_stream_that_does_not_know_its_length_is_read_to_the_end(tmp_path: Path) -> None:
    x = noise(2, 30_000, 16)
    sf.write(tmp_path / "x.flac", x.T, RATE, subtype="PCM_16")
    data = bytearray((tmp_path / "x.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "x.flac").write_bytes(data)
    info = probe(tmp_path / "x.flac")
    assert (info.format, info.n_samples, info.pcm_bits) == ("FLAC", None, 16)
    np.testing.assert_array_equal(read(tmp_path / "x.flac"), x)


def test_a_wave_of_adpcm_keeps_its_bext(tmp_path: Path) -> None:
    x = tones(1, 8000)
    sf.write(tmp_path / "x.wav", x.T, RATE, subtype="IMA_ADPCM")
    with (tmp_path / "x.wav").open("ab") as file:
        file.write(b"bext" + struct.pack("<I", 602) + bytes(338) + b"\7" + bytes(263))
    info = probe(tmp_path / "x.wav")
    assert (info.subtype, info.lossless, info.time_reference) == ("adpcm_ima_wav", False, 7)
    y = read(tmp_path / "x.wav")
    assert np.abs(y[:, :8000] - x).max() < 0.03


# The same samples however they are asked for.


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, NDArray[np.float32]]]:
    """Return files of several kinds, each read as one block."""
    folder, x = tmp_path_factory.mktemp("shelf"), tones(2, 20_011)
    for kind, subtype in (("wav", "PCM_24"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None)):
        sf.write(folder / f"x.{kind}", x.T, RATE, subtype=subtype)
    sf.write(folder / "x.caf", x.T, RATE, subtype="ALAC_16")
    encode(folder / "x.mp4", [x], "aac", "mp4")
    encode(folder / "x.mkv", [x], "flac", "matroska")
    files = {path.name: path for path in sorted(folder.iterdir())}
    return {name: (path, read(path, 10**9)) for name, path in files.items()}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["x.wav", "x.flac", "x.ogg", "x.mp3", "x.caf", "x.mp4", "x.mkv"]),
    st.integers(1, 30_000),
    st.integers(0, 25_000),
    st.none() | st.integers(0, 25_000),
)
def test_any_partition_gives_the_same_samples(
    shelf: dict[str, tuple[Path, NDArray[np.float32]]],
    name: str,
    block_size: int,
    start: int,
    stop: int | None,
) -> None:
    path, whole = shelf[name]
    wanted = whole[:, start:stop]
    got = read(path, block_size, start, stop)
    assert got.size == wanted.size
    if got.size:
        np.testing.assert_array_equal(got, wanted)


def test_two_readings_at_once_do_not_disturb_each_other(
    shelf: dict[str, tuple[Path, NDArray[np.float32]]],
) -> None:
    for path, whole in shelf.values():
        with open_audio(path) as reader:
            pairs = list(zip(reader.blocks(777), reader.blocks(777, 5000), strict=False))
        for i, (a, b) in enumerate(pairs):
            np.testing.assert_array_equal(a, whole[:, 777 * i : 777 * (i + 1)])
            np.testing.assert_array_equal(b, whole[:, 5000 + 777 * i :][:, :777])


def test_blocks_are_the_callers_own(shelf: dict[str, tuple[Path, NDArray[np.float32]]]) -> None:
    path, whole = shelf["x.wav"]
    with open_audio(path) as reader:
        for block in reader.blocks(4096):
            block *= 0
        np.testing.assert_array_equal(np.concatenate(list(reader.blocks(100)), axis=1), whole)


def test_a_stretch_is_read_at_once(shelf: dict[str, tuple[Path, NDArray[np.float32]]]) -> None:
    path, whole = shelf["x.flac"]
    n = whole.shape[1]
    with open_audio(path) as reader:
        np.testing.assert_array_equal(reader.read(), whole)
        np.testing.assert_array_equal(reader.read(500, 700), whole[:, 500:700])
        np.testing.assert_array_equal(reader.read(n - 5, n + 5), whole[:, -5:])
        assert reader.read(n, n + 5).shape == (len(whole), 0)


def test_a_reader_that_was_closed_says_so(
    shelf: dict[str, tuple[Path, NDArray[np.float32]]],
) -> None:
    for name in ("x.wav", "x.mp4"):
        with open_audio(shelf[name][0]) as reader:
            fresh, begun = reader.blocks(10), reader.blocks(10)
            next(begun)
        for reading in (fresh, begun):
            with pytest.raises(AudioError, match="closed"):
                list(reading)
        with pytest.raises(AudioError, match="closed"):
            reader.blocks(10)


def test_a_file_that_changed_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    sf.write(tmp_path / "x.wav", noise(1, 100).T, RATE)
    with open_audio(tmp_path / "x.wav") as reader:
        sf.write(tmp_path / "x.wav", noise(1, 101).T, RATE)
        with pytest.raises(AudioError, match="changed"):
            next(reader.blocks(10))


def test_nonsense_ranges_are_refused(shelf: dict[str, tuple[Path, NDArray[np.float32]]]) -> None:
    with open_audio(shelf["x.wav"][0]) as reader:
        with pytest.raises(SettingsError, match="block_size=0"):
            reader.blocks(0)
        with pytest.raises(SettingsError, match="start=-1"):
            reader.blocks(1, -1)
        assert list(reader.blocks(1, 50, 50)) == list(reader.blocks(1, 50, 20)) == []


# Compressed sound and containers.


@pytest.mark.parametrize(
    ("codec", "container", "kind", "pcm_bits"),
    [
        ("pcm_s16le", "mov", None, 16),
        ("pcm_s24le", "mov", "s32", 24),
        ("pcm_f32le", "mov", None, None),
        ("pcm_s24le", "matroska", "s32", 24),
        ("flac", "matroska", "s16", 16),
        ("flac", "mp4", "s32", 24),
        ("alac", "mp4", "s16p", 16),
        ("alac", "mov", "s32p", 24),
    ],
)
def test_lossless_surround_in_a_video_is_exact(
    codec: str, container: str, kind: str | None, pcm_bits: int | None, tmp_path: Path
) -> None:
    x = noise(6, 10_007, 16 if pcm_bits == 16 else 24)
    encode(
        tmp_path / "x", [x], codec, container, layout="5.1", sample_format=kind, n_pictures=6,
    )  # fmt: skip
    info = probe(tmp_path / "x")
    assert (info.lossless, info.pcm_bits) == (True, pcm_bits)
    assert (info.sample_rate, info.n_channels, info.n_samples) == (RATE, 6, None)
    assert info.duration_s == pytest.approx(10_007 / RATE, abs=0.05)
    if (codec, container) == ("flac", "mp4"):
        assert info.layout == (*FIVE_ONE[:4], "SL", "SR")  # as FFmpeg names the FLAC order there
    elif codec.startswith("pcm") and container == "matroska":
        assert info.layout is None  # the container has no word for it
    else:
        assert info.layout == FIVE_ONE
    np.testing.assert_array_equal(read(tmp_path / "x"), x)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_aac_in_mp4_is_aligned_and_keeps_its_length(layout: str, tmp_path: Path) -> None:
    x = tones({"mono": 1, "stereo": 2, "5.1": 6}[layout], 100_003)
    encode(tmp_path / "x.mp4", [x], "aac", "mp4", layout=layout, n_pictures=50)
    info = probe(tmp_path / "x.mp4")
    assert (info.subtype, info.lossless, info.pcm_bits) == ("aac", False, None)
    assert info.layout == {"mono": ("FC",), "stereo": ("FL", "FR"), "5.1": FIVE_ONE}[layout]
    y = read(tmp_path / "x.mp4")
    assert y.shape == x.shape  # FFmpeg's own count is 19 less by the edit list, 349 more by frames
    assert lag(y, x) == 0


@pytest.mark.parametrize(
    ("codec", "container"), [("libopus", "webm"), ("libopus", "ogg"), ("ac3", "mp4")]
)
def test_channels_come_in_the_order_of_the_speakers(
    codec: str, container: str, tmp_path: Path
) -> None:
    x = tones(6, RATE)
    x[3] = tones(1, RATE)[0, ::-1]  # an LFE has no place for a higher tone: another low one
    encode(tmp_path / "x", [x], codec, container, layout="5.1")
    info, y = probe(tmp_path / "x"), read(tmp_path / "x")
    assert info.layout == (FIVE_ONE if codec == "libopus" else (*FIVE_ONE[:4], "SL", "SR"))
    n = min(RATE, y.shape[1])
    likeness = np.corrcoef(y[:, :n], x[:, :n])[:6, 6:]
    assert [int(i) for i in likeness.argmax(axis=1)] == [0, 1, 2, 3, 4, 5]
    assert likeness.max(axis=1).min() > 0.9


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not here")
@pytest.mark.parametrize("n_channels", [7, 8, 9, 16])
@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("tta", "x.tta"),
        ("wavpack", "x.wv"),
        ("aac", "x.mp4"),
        ("libopus -mapping_family 255", "x.opus"),
    ],
)
def test_many_channels_are_read(codec: str, name: str, n_channels: int, tmp_path: Path) -> None:
    # From eight planar channels on, PyAV 18 reads memory that is not the frame's.
    if n_channels > 8 and codec in ("wavpack", "aac"):
        pytest.skip("FFmpeg cannot write or read it")
    x = noise(n_channels, 9000, 16)
    sf.write(tmp_path / "x.wav", x.T, RATE, subtype="PCM_16")
    layout = {7: "6.1", 8: "7.1"}.get(n_channels)
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "x.wav", "-c:a", *codec.split()]
    if layout and "opus" not in codec:
        command += ["-channel_layout", layout]
    subprocess.run([*command, tmp_path / name], check=True)
    info, y = probe(tmp_path / name), read(tmp_path / name)
    assert info.n_channels == n_channels and y.shape[1] >= 9000
    if info.lossless:
        assert info.pcm_bits == 16
        np.testing.assert_array_equal(y, x)
    else:
        likeness = np.corrcoef(y[:, :9000], x)
        own = likeness[range(n_channels), range(n_channels, 2 * n_channels)]
        assert np.delete(own, 3).min() > 0.3  # an LFE does not hold noise


def test_an_mp3_of_variable_rate_without_a_table_is_whole(tmp_path: Path) -> None:
    # Libsndfile 1.2.2 loses more than half of such a file and says nothing.
    x = tones(2, 100_003)
    for table, late in (("1", 0), ("0", 1105)):
        options = {"write_xing": table, "q": "4", "flags": "+qscale"}
        encode(tmp_path / "x.mp3", [x], "libmp3lame", "mp3", options=options)
        info, y = probe(tmp_path / "x.mp3"), read(tmp_path / "x.mp3")
        assert (info.format, info.subtype, info.start_s) == ("MP3", "MPEG_LAYER_III", 0)
        assert lag(y, x) == late
        assert y.shape[1] == 100_003 if table == "1" else 100_003 <= y.shape[1] < 103_000


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_is_read_to_its_last_link(subtype: str, tmp_path: Path) -> None:
    x = tones(2, 30_000)
    sf.write(tmp_path / "x.ogg", x.T, RATE, format="OGG", subtype=subtype)
    one = read(tmp_path / "x.ogg")
    assert one.shape == x.shape and lag(one, x) == 0
    (tmp_path / "xx.ogg").write_bytes((tmp_path / "x.ogg").read_bytes() * 2)
    assert abs(read(tmp_path / "xx.ogg").shape[1] - 60_000) <= 256


def test_each_audio_stream_of_a_video_is_found_and_no_more(tmp_path: Path) -> None:
    tracks = [noise(2, 3000, 16, seed) for seed in range(3)]
    encode(tmp_path / "x.mov", tracks, "pcm_s16le", "mov", n_pictures=3)
    for stream, x in enumerate(tracks):
        info = probe(tmp_path / "x.mov", stream=stream)
        assert (info.audio_streams, info.stream) == (3, stream)
        np.testing.assert_array_equal(read(tmp_path / "x.mov", stream=stream), x)
    for stream in (3, -1):
        with pytest.raises(AudioError, match="has 3 audio streams"):
            probe(tmp_path / "x.mov", stream=stream)
    sf.write(tmp_path / "x.wav", tracks[0].T, RATE)
    with pytest.raises(AudioError, match="has 1 audio stream"):
        probe(tmp_path / "x.wav", stream=1)


@pytest.mark.parametrize("container", ["mov", "matroska"])
def test_where_the_sound_begins_on_the_clock_is_told(container: str, tmp_path: Path) -> None:
    x = noise(2, 9000, 16)
    encode(tmp_path / "x", [x], "pcm_s16le", container, n_pictures=20, shift=lambda at: at + 12_000)
    assert probe(tmp_path / "x").start_s == pytest.approx(0.25, abs=0.001)
    np.testing.assert_array_equal(read(tmp_path / "x"), x)


def test_a_hole_in_the_sound_is_filled_and_named(tmp_path: Path) -> None:
    x = noise(2, 4096 * 6, 16)
    shift = {0.05: 2400, 0.5: 24_000, 11.0: 528_000}
    for hole_s, n in shift.items():
        encode(
            tmp_path / "x.mkv", [x], "pcm_s16le", "matroska",
            shift=lambda at, n=n: at + (n if at >= 10_240 else 0),
        )  # fmt: skip
        if hole_s > 10:
            with pytest.raises(AudioError, match=r"no sound for 11\.0 s after 0\.213 s"):
                read(tmp_path / "x.mkv")
            continue
        with open_audio(tmp_path / "x.mkv") as reader:
            y = np.concatenate(list(reader.blocks(1000)), axis=1)
            said = reader.repairs
        if hole_s < 0.1:  # clocks of containers are not that good
            np.testing.assert_array_equal(y, x)
            assert said == ()
        else:
            assert abs(y.shape[1] - x.shape[1] - n) <= RATE // 1000
            np.testing.assert_array_equal(y[:, :10_240], x[:, :10_240])
            np.testing.assert_array_equal(y[:, -14_336:], x[:, 10_240:])
            assert not y[:, 10_240:-14_336].any()
            assert len(said) == 1 and "0.500 s of sound are missing at 0.213 s" in said[0]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_damaged_page_of_ogg_moves_nothing(subtype: str, tmp_path: Path) -> None:
    x = tones(2, 4 * RATE)
    sf.write(tmp_path / "x.ogg", x.T, RATE, format="OGG", subtype=subtype)
    whole = read(tmp_path / "x.ogg")
    data = bytearray((tmp_path / "x.ogg").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "x.ogg").write_bytes(data)
    with open_audio(tmp_path / "x.ogg") as reader:
        y = np.concatenate(list(reader.blocks(5000)), axis=1)
        assert len(reader.repairs) == 1 and "missing" in reader.repairs[0]
    assert y.shape == whole.shape
    # A codec that predicts takes some frames to find back to the same samples.
    np.testing.assert_allclose(y[:, -RATE // 2 :], whole[:, -RATE // 2 :], atol=1e-3)


@pytest.mark.parametrize("n_samples", [1, 100, 3000, 8540, 29_521, 70_000])
def test_vorbis_of_any_length_keeps_it(n_samples: int, tmp_path: Path) -> None:
    # FFmpeg loses 128 samples of such files or adds some.
    sf.write(tmp_path / "x.ogg", tones(1, n_samples).T, RATE, format="OGG", subtype="VORBIS")
    info = probe(tmp_path / "x.ogg")
    assert (info.format, info.subtype, info.lossless) == ("OGG", "VORBIS", False)
    assert info.n_samples == n_samples == read(tmp_path / "x.ogg").shape[1]


@pytest.mark.parametrize(("subtype", "bits"), [("ALAC_16", 16), ("ALAC_24", 24)])
def test_alac_in_caf_is_exact(subtype: str, bits: int, tmp_path: Path) -> None:
    x = (np.round(tones(6, 20_000) * 2 ** (bits - 1)) / 2 ** (bits - 1)).astype(np.float32)
    sf.write(tmp_path / "x.caf", x.T, RATE, subtype=subtype)
    info = probe(tmp_path / "x.caf")
    assert (info.format, info.pcm_bits, info.layout) == ("CAF", bits, None)
    np.testing.assert_array_equal(read(tmp_path / "x.caf"), x)


# Speakers.


def test_layouts_come_from_the_file_and_are_never_guessed(tmp_path: Path) -> None:
    x = noise(6, 100).T
    sf.write(tmp_path / "plain.wav", x, RATE)
    sf.write(tmp_path / "x.wav", x, RATE, format="WAVEX")
    sf.write(tmp_path / "x.aiff", x, RATE)
    sf.write(tmp_path / "mono.wav", x[:, 0], RATE)
    sf.write(tmp_path / "x.flac", x[:, :2], RATE)
    assert probe(tmp_path / "plain.wav").layout is None
    assert probe(tmp_path / "x.wav").layout == FIVE_ONE
    assert probe(tmp_path / "x.aiff").layout is None
    assert probe(tmp_path / "mono.wav").layout == ("FC",)
    assert probe(tmp_path / "x.flac").layout == ("FL", "FR")


@pytest.mark.parametrize(
    ("n_channels", "layout"),
    [
        (3, ("FL", "FR", "FC")),
        (4, ("FL", "FR", "BL", "BR")),
        (5, ("FL", "FR", "FC", "SL", "SR")),
        (6, ("FL", "FR", "FC", "LFE", "SL", "SR")),
        (7, ("FL", "FR", "FC", "LFE", "BC", "SL", "SR")),
        (8, (*FIVE_ONE, "SL", "SR")),
    ],
)
def test_flac_has_its_own_layouts(n_channels: int, layout: tuple[str, ...], tmp_path: Path) -> None:
    x = noise(n_channels, 5000, 16)
    sf.write(tmp_path / "x.flac", x.T, RATE)
    info = probe(tmp_path / "x.flac")
    assert info.layout is not None
    sides = {"SL": "BL", "SR": "BR"} if n_channels < 7 else {}  # RFC 9639: "back/surround"
    assert [sides.get(s, s) for s in info.layout] == [sides.get(s, s) for s in layout]
    np.testing.assert_array_equal(read(tmp_path / "x.flac"), x)


# Refusals.


def _video_without_sound(path: Path) -> None:
    encode(path, [], "aac", "mp4", n_pictures=5)


def _silent_header(path: Path) -> None:
    sf.write(path, np.zeros((0, 2)), RATE, format="WAV")


def _rate(rate: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        WavWriter(path, sample_rate=rate, n_channels=1, n_samples=9, subtype="PCM_16").__exit__(
            ValueError, None, None
        )
        path.write_bytes(path.read_bytes() + bytes(18))

    return make


def _channels(path: Path) -> None:
    _rate(8000)(path)
    data = bytearray(path.read_bytes())
    data[22:24], data[32:34] = struct.pack("<H", 65), struct.pack("<H", 130)
    data[40:44] = struct.pack("<I", 260)
    path.write_bytes(data + bytes(300))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: None, "it is not there"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("Dear Sir or Madam,\n" * 300), "no kind that is known"),
        (lambda path: path.write_bytes(b"RIFF"), "no kind that is known"),
        (lambda path: path.write_bytes(b"RIFF\4\0\0\0WAVE"), "no whole fmt and data"),
        (lambda path: path.write_bytes(b"fLaC" + bytes(100)), "no kind that is known"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)), "no kind that is known"),
        (_silent_header, "holds no sample"),
        (_video_without_sound, "has no audio stream"),
        (_rate(3999), "3999 samples a second; 4000 to 768000"),
        (_rate(768_001), "768001 samples a second"),
        (_channels, "65 channels; 1 to 64"),
    ],
)
def test_what_is_no_sound_is_refused_in_one_sentence(
    make: Callable[[Path], None], match: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.wav"
    make(path)
    for allow in (False, True):
        with pytest.raises(AudioError, match=match) as caught:
            probe(path, allow_truncated=allow)
        assert "x.wav" in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.wav")
    with pytest.raises(AudioError, match="not an ordinary file"):
        probe(tmp_path / "x.wav")
    with pytest.raises(AudioError):
        probe("a\0b.wav")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    sf.write(tmp_path / "x.wav", noise(1, 10).T, RATE)
    (tmp_path / "x.wav").chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        probe(tmp_path / "x.wav")


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("RF64", "PCM_24"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("AIFF", "PCM_24"),
        ("W64", "PCM_16"),
        ("CAF", "PCM_16"),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.93])
def test_a_cut_file_is_refused_unless_allowed(
    kind: str, subtype: str, share: float, tmp_path: Path
) -> None:
    x = noise(2, 50_000, 16)
    sf.write(tmp_path / "x", x.T, RATE, format=kind, subtype=subtype)
    data = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(AudioError, match="is cut or damaged: its header claims"):
        probe(tmp_path / "x")
    info = probe(tmp_path / "x", allow_truncated=True)
    assert info.truncated
    y = read(tmp_path / "x", allow_truncated=True)
    assert info.n_samples in (None, y.shape[1])
    assert share * 50_000 - 10_000 < y.shape[1] < share * 50_000 + 200
    np.testing.assert_array_equal(y, x[:, : y.shape[1]])


def test_a_cut_video_is_refused_unless_allowed(tmp_path: Path) -> None:
    x = noise(2, 50_000, 16)
    for codec, kind in (("pcm_s16le", "mov"), ("aac", "mp4")):
        encode(tmp_path / "x", [x], codec, kind, options={"movflags": "faststart"})
        data = (tmp_path / "x").read_bytes()
        (tmp_path / "x").write_bytes(data[: len(data) // 2])
        with pytest.raises(AudioError, match="is cut or damaged: "):
            read(tmp_path / "x")
        with open_audio(tmp_path / "x", allow_truncated=True) as reader:
            y = np.concatenate(list(reader.blocks(5000)), axis=1)
            assert "the sound ends at" in reader.repairs[-1]
        assert 15_000 < y.shape[1] < 35_000
        if codec == "pcm_s16le":
            np.testing.assert_array_equal(y, x[:, : y.shape[1]])


@pytest.mark.parametrize("kind", ["flac", "matroska"])
def test_a_damaged_lossless_file_is_refused_at_the_damage(kind: str, tmp_path: Path) -> None:
    x = noise(2, 200_000, 16)
    if kind == "flac":
        sf.write(tmp_path / "x", x.T, RATE, format="FLAC", subtype="PCM_16")
    else:
        encode(tmp_path / "x", [x], "flac", kind)
    data = bytearray((tmp_path / "x").read_bytes())
    data[len(data) // 2] ^= 0x10
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(AudioError, match="is damaged"):
        read(tmp_path / "x")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
def test_what_is_not_finite_is_refused_with_its_place(
    bad: float, subtype: str, kind: str, tmp_path: Path
) -> None:
    x = noise(2, 100_000).astype(np.float64)
    x[1, 60_000] = bad
    x[0, 60_001] = bad
    sf.write(tmp_path / "x", x.T, RATE, format=kind, subtype=subtype)
    with pytest.raises(AudioError, match=r"holds -?(nan|inf) at 1\.250000 s in channel 2;"):
        read(tmp_path / "x")
    np.testing.assert_array_equal(read(tmp_path / "x", 999, 0, 60_000), x[:, :60_000])


def test_a_double_that_float_cannot_hold_is_refused(tmp_path: Path) -> None:
    sf.write(tmp_path / "x.wav", np.array([0, 1e300]), RATE, subtype="DOUBLE")
    with pytest.raises(AudioError, match="inf"):
        read(tmp_path / "x.wav")


# Untrusted names and files.

NAMES = [
    'it\'s "quoted" & $HOME.wav',
    "two\nlines.wav",
    "\N{SPEAKER WITH THREE SOUND WAVES} müsic 音.wav",
    "n" * 200,
    "concat:a|b",
    "frame%03d.wav",
    "-i.wav",
    "x.raw",
    "x.m3u8",
    "pipe:0",
    "https:~~example.org~x.wav",
]


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"caf\xe9.wav")])
def test_any_name_works(name: str, tmp_path: Path) -> None:
    x = noise(2, 3000, 16)
    makers: list[Callable[[Path], None]] = [
        lambda path: sf.write(path, x.T, RATE, format="WAV", subtype="PCM_16"),
        lambda path: sf.write(path, x.T, RATE, format="FLAC", subtype="PCM_16"),
        lambda path: encode(path, [x], "pcm_s16le", "mov"),
    ]
    for make in makers:
        make(tmp_path / "plain")
        os.replace(tmp_path / "plain", tmp_path / name)
        np.testing.assert_array_equal(read(tmp_path / name), x)
        assert probe(tmp_path / name).path == tmp_path / name
    whole = (x * 2**15).astype(np.int32)
    for kind in ("wav", "flac"):
        with open_writer(
            tmp_path / name, kind, sample_rate=RATE, n_channels=2, n_samples=3000, subtype="PCM_16"
        ) as out:
            out.write(whole)
        np.testing.assert_array_equal(read(tmp_path / name), x)
    (tmp_path / name).write_bytes(b"no sound")
    with pytest.raises(AudioError) as caught:
        probe(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1


def test_files_that_point_to_other_files_are_refused(tmp_path: Path) -> None:
    sf.write(tmp_path / "other.wav", noise(2, 30_000).T, RATE)
    encode(tmp_path / "other.ts", [noise(2, 30_000)], "aac", "mpegts")
    other = (tmp_path / "other.ts").resolve()
    texts = {
        "x.m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.6,\n"
        f"{other}\n#EXT-X-ENDLIST\n",
        "x.ffconcat": f"ffconcat version 1.0\nfile '{other}'\n",
        "x.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=audio 5004 RTP/AVP 96\na=rtpmap:96 L16/48000/2\n",
        "x.mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static">'
        f"<Period><AdaptationSet><Representation id='a'><BaseURL>{other}</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>\n",
        "x.pls": f"[playlist]\nFile1={other}\nNumberOfEntries=1\n",
        "x.cue": 'FILE "other.wav" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        "x.sfz": "<region> sample=other.wav\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AudioError):
            read(tmp_path / name)


@functools.cache
def seeds() -> dict[str, bytes]:
    """Return small valid files of many kinds."""
    x = noise(2, 600, 16)
    found = {}
    for kind, subtype in (
        ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("RF64", "PCM_24"),
        ("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("FLAC", "PCM_16"), ("W64", "PCM_24"),
        ("CAF", "ALAC_16"), ("OGG", "VORBIS"), ("MP3", None), ("WAV", "IMA_ADPCM"),
    ):  # fmt: skip
        file = io.BytesIO()
        sf.write(file, x.T, RATE, format=kind, subtype=subtype)
        found[f"{kind} {subtype}"] = file.getvalue()
    for codec, container in (
        ("aac", "mp4"), ("alac", "mp4"), ("pcm_s16le", "mov"), ("flac", "matroska"),
        ("ac3", "mpegts"), ("pcm_s16le", "avi"),
    ):  # fmt: skip
        file = io.BytesIO()
        encode(file, [np.tile(x, (1, 4))], codec, container)
        found[f"{codec} {container}"] = file.getvalue()
    return found


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a small valid file with bytes changed, cut out, put in, or its end cut off."""
    data = bytearray(seeds()[draw(st.sampled_from(sorted(seeds())))])
    for _ in range(draw(st.integers(0, 6))):
        near = min(len(data), 256)  # headers are where the harm is
        at = draw(st.integers(0, near) | st.integers(0, len(data)))
        data[at : at + draw(st.sampled_from([0, 1, 1, 4, 40]))] = draw(
            st.binary(max_size=8)
            | st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", bytes(300)])
        )
    return bytes(data[: draw(st.just(len(data)) | st.integers(0, len(data)))])


# Derandomized, since a crash within a library would end the whole run of tests; hundreds of
# thousands of other files of this kind were read without one.
@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(mutated(), st.booleans(), st.integers(1, 5000), st.integers(0, 3000))
def test_damaged_files_give_finite_sound_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    allow_truncated: bool,
    block_size: int,
    start: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    began_s = time.monotonic()
    try:
        with open_audio(path, allow_truncated=allow_truncated) as reader:
            n_done = 0
            for block in reader.blocks(block_size, start):
                assert block.dtype == np.float32 and block.flags.c_contiguous
                assert block.shape[0] == reader.info.n_channels
                assert 1 <= block.shape[1] <= block_size and np.isfinite(block).all()
                n_done += block.shape[1]
            if reader.info.n_samples is not None:
                assert n_done == max(0, reader.info.n_samples - start)
    except AudioError as err:
        assert len(str(err).splitlines()) == 1 and len(str(err)) < 500
    assert time.monotonic() - began_s < 5


PEAK = """
import resource, sys
from unstir.audio import open_audio
from unstir.errors import AudioError
first, *others = sys.argv[1:]
def read(path):
    try:
        with open_audio(path) as reader:
            return sum(block.shape[1] for block in reader.blocks(4096))
    except AudioError:
        return -1
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
read(first)
before = peak_mb()
print(*[read(path) for path in others])
print(peak_mb() - before)
"""  # noqa: E501


def growth_mb(small: Path, others: list[Path]) -> tuple[list[int], float]:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, small, *others], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    counts, growth = done.stdout.splitlines()
    return [int(n) for n in counts.split()], float(growth)


@pytest.mark.skipif(os.name == "nt", reason="peak memory is read by resource")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    n = 25 * 60 * RATE  # as float32, 288 MB
    for kind in ("wav", "flac"):
        with sf.SoundFile(tmp_path / f"x.{kind}", "w", RATE, 1, "PCM_16") as file:
            for _ in range(25):
                file.write(np.zeros(60 * RATE, np.int16))
    encode(
        tmp_path / "x.mkv", [np.zeros((1, n // 5), np.float32)], "libopus", "webm", layout="mono"
    )
    for kind in ("wav", "flac", "mkv"):
        sf.write(tmp_path / "a.wav", np.zeros(9), RATE)
        shutil.copy(tmp_path / "a.wav", tmp_path / "small")
        if kind == "mkv":
            encode(
                tmp_path / "small",
                [np.zeros((1, 960), np.float32)],
                "libopus",
                "webm",
                layout="mono",
            )
        elif kind == "flac":
            sf.write(tmp_path / "small", np.zeros(9), RATE, format="FLAC")
        counts, growth = growth_mb(tmp_path / "small", [tmp_path / f"x.{kind}"])
        assert counts == [n // 5 if kind == "mkv" else n]
        assert growth < 24, kind


@pytest.mark.skipif(os.name == "nt", reason="peak memory is read by resource")
def test_absurd_claims_take_no_memory(tmp_path: Path) -> None:
    def patched(name: str, *changes: tuple[int, bytes]) -> Path:
        data = bytearray(seeds()[name])
        for at, new in changes:
            data[at : at + len(new)] = new
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        path.write_bytes(data)
        return path

    mp4 = seeds()["aac mp4"]
    huge = [
        patched("FLAC PCM_16", (21, b"\xff" * 5)),  # 2^36 samples
        patched("RF64 PCM_24", (28, b"\xff" * 7)),
        patched("RF64 PCM_24", (4, b"\xff" * 4), (20, b"\xff" * 8), (28, b"\xff" * 8)),
        patched("WAV PCM_16", (40, b"\xff\xff\xff\x6f")),
        patched("AIFF PCM_16", (22, b"\xff" * 4)),
        patched("W64 PCM_24", (seeds()["W64 PCM_24"].index(b"data") + 16, b"\xff" * 7)),
        *(
            patched("aac mp4", (mp4.index(box) + at, b"\x7f\xff\xff\xff"))
            for box, at in ((b"stsz", 12), (b"stts", 12), (b"stts", 8), (b"stco", 8), (b"stsc", 8))
        ),
    ]
    small = tmp_path / "small"
    small.write_bytes(mp4)
    counts, growth = growth_mb(small, huge)
    assert len(counts) == len(huge) and max(counts) < 2**20
    assert growth < 64


def test_libraries_print_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, data in seeds().items():
        for share in (0.3, 0.6, 0.9):
            (tmp_path / "x").write_bytes(data[: int(len(data) * share)])
            for allow in (False, True):
                try:
                    read(tmp_path / "x", allow_truncated=allow)
                except AudioError as err:
                    assert str(err), name
    assert capfd.readouterr() == ("", "")


# Sound out.


@pytest.mark.parametrize("n_channels", [1, 2, 5, 8])
@pytest.mark.parametrize(
    ("kind", "subtype", "bits"),
    [("wav", "PCM_16", 16), ("wav", "PCM_24", 24), ("flac", "PCM_16", 16), ("flac", "PCM_24", 24)],
)
def test_what_is_written_is_read_back_exactly(
    kind: Any, subtype: Any, bits: int, n_channels: int, tmp_path: Path
) -> None:
    x = noise(n_channels, 12_345, bits)
    whole = np.round(x * 2.0 ** (bits - 1)).astype(np.int32)
    path = tmp_path / f"x.{kind}"
    bytes_written = []
    for size in (12_345, 1000):
        with open_writer(
            path, kind, sample_rate=44100, n_channels=n_channels, n_samples=12_345, subtype=subtype
        ) as out:
            for at in range(0, 12_345, size):
                out.write(whole[:, at : at + size])
        bytes_written.append(path.read_bytes())
    assert bytes_written[0] == bytes_written[1]
    info = probe(path)
    assert (info.format, info.subtype, info.pcm_bits) == (kind.upper(), subtype, bits)
    assert (info.n_samples, info.sample_rate) == (12_345, 44100)
    np.testing.assert_array_equal(read(path), x)


def test_a_stem_carries_the_sources_start_and_layout(tmp_path: Path) -> None:
    bext = bytes(338) + (2**33 + 5).to_bytes(8, "little") + bytes(700)
    ixml = b"<?xml version='1.0'?><BWFXML><TRACK_LIST/></BWFXML>"
    x = noise(6, 500)
    for path, source in ((tmp_path / "a.wav", None), (tmp_path / "b.wav", tmp_path / "a.wav")):
        info = probe(source) if source else None
        with open_writer(
            path,
            "wav",
            sample_rate=RATE,
            n_channels=6,
            n_samples=500,
            subtype="FLOAT",
            layout=info.layout if info else FIVE_ONE,
            bext=info.bext if info else bext,
            ixml=info.ixml if info else ixml,
        ) as out:
            out.write(x)
    info = probe(tmp_path / "b.wav")
    assert (info.bext, info.ixml, info.time_reference) == (bext, ixml, 2**33 + 5)
    assert (info.layout, info.subtype, info.pcm_bits) == (FIVE_ONE, "FLOAT", None)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_ixml_start_times_move_across_the_word_border() -> None:
    text = (
        b"<BWFXML><SPEED><TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>1"
        b"</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI><TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO> 4294967295 "
        b"</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED><BEXT><BWF_TIME_REFERENCE_LOW>7"
        b"</BWF_TIME_REFERENCE_LOW><BWF_TIME_REFERENCE_HIGH>0</BWF_TIME_REFERENCE_HIGH></BEXT>"
    )
    moved = ixml_with_start(text, 3)
    assert b"_HI>2</" in moved and b"_LO> 2 </" in moved
    assert b"_LOW>10</" in moved and b"_HIGH>0</" in moved
    assert ixml_with_start(text, 0) == text == ixml_with_start(moved, -3)
    assert ixml_with_start(b"\xff\xfe<\0", 5) == b"\xff\xfe<\0"


def test_flac_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    fine: dict[str, Any] = {"sample_rate": RATE, "n_samples": 10, "subtype": "PCM_16"}
    for more, match in (
        ({"n_channels": 9}, "FLAC holds 1 to 8"),
        ({"n_channels": 2, "subtype": "FLOAT"}, "PCM_16 or PCM_24"),
        ({"n_channels": 2, "bext": bytes(602)}, "no place"),
        ({"n_channels": 2, "ixml": b"<a/>"}, "no place"),
        ({"n_channels": 4, "layout": ("FL", "FR", "FC", "BC")}, "so write WAV"),
        ({"n_channels": 2, "sample_rate": 2_000_000}, "cannot be written"),
        ({"n_channels": 2, "n_samples": 0}, "at least one sample"),
    ):
        with pytest.raises(AudioError, match=match):
            open_writer(tmp_path / "x.flac", "flac", **{**fine, **more})
    for layout in (None, FIVE_ONE, (*FIVE_ONE[:4], "SL", "SR")):
        with open_writer(tmp_path / "x.flac", "flac", n_channels=6, layout=layout, **fine) as out:
            out.write(np.zeros((6, 10), np.int32))
    with (
        pytest.raises(AudioError, match="lacks 1 "),
        open_writer(tmp_path / "x.flac", "flac", n_channels=1, **fine) as out,
    ):
        out.write(np.zeros((1, 9), np.int32))
    with (
        pytest.raises(AudioError, match="11 samples came; 10 are left"),
        open_writer(tmp_path / "x.flac", "flac", n_channels=1, **fine) as out,
    ):
        out.write(np.zeros((1, 11), np.int32))
    with pytest.raises(AudioError, match="cannot be written"):
        open_writer(tmp_path / "no" / "x.flac", "flac", n_channels=1, **fine)
    with pytest.raises(AudioError, match="'mp3' came"):
        open_writer(tmp_path / "x.mp3", "mp3", n_channels=1, **fine)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_said_by_flac_too() -> None:
    with (
        pytest.raises(AudioError, match="/dev/full"),
        open_writer(
            "/dev/full", "flac", sample_rate=RATE, n_channels=2, n_samples=90_000, subtype="PCM_16"
        ) as out,
    ):
        out.write(np.round(noise(2, 90_000, 16) * 2**15).astype(np.int32))


@pytest.mark.corpus
def test_real_recordings_are_whole(corpus: Path) -> None:
    paths = [path for path in sorted(corpus.rglob("*")) if path.suffix in (".flac", ".ogg")]
    for path in paths[::150]:
        x, rate = sf.read(path, dtype="float32", always_2d=True)
        info, y = probe(path), read(path)
        if info.subtype == "OPUS":
            assert (info.sample_rate, y.shape[1]) == (48000, len(x) * 48000 // rate)
        else:
            assert (info.sample_rate, info.n_samples) == (rate, len(x))
            np.testing.assert_array_equal(y, x.T)
