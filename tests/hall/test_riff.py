"""Wave files, byte by byte."""

import io
import json
import shutil
import struct
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import wavfile

from unstir.errors import AudioError
from unstir.riff import SPEAKERS, WavWriter, bext_with_start, read_chunks

FIVE_ONE = ("FL", "FR", "FC", "LFE", "BL", "BR")
BITS = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 32}


def sound(subtype: str, n_channels: int, n_samples: int, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if subtype == "FLOAT":
        return rng.normal(0, 3, (n_channels, n_samples)).astype(np.float32)
    limit = 1 << BITS[subtype] - 1
    values = rng.integers(-limit, limit, (n_channels, n_samples), np.int32)
    values[0, 0], values[-1, -1] = -limit, limit - 1
    return values


def write(path: Path, x: NDArray[Any], subtype: str, rate: int = 48000, **more: Any) -> bytes:
    n_channels, n_samples = x.shape
    with WavWriter(
        path,
        sample_rate=rate,
        n_channels=n_channels,
        n_samples=n_samples,
        subtype=subtype,  # type: ignore[arg-type]
        **more,
    ) as out:
        for at in range(0, n_samples, 1000):
            out.write(x[:, at : at + 1000])
    return path.read_bytes()


def test_a_stereo_16_bit_header_is_the_44_bytes_of_the_book(tmp_path: Path) -> None:
    data = write(tmp_path / "x.wav", sound("PCM_16", 2, 3), "PCM_16")
    assert data[:44] == (
        b"RIFF" + struct.pack("<I", 48) + b"WAVEfmt " + struct.pack("<I", 16)
        + struct.pack("<HHIIHH", 1, 2, 48000, 192000, 4, 16) + b"data" + struct.pack("<I", 12)
    )  # fmt: skip
    assert len(data) == 56


def test_a_float_header_has_an_extension_size_and_a_fact_chunk(tmp_path: Path) -> None:
    data = write(tmp_path / "x.wav", sound("FLOAT", 1, 5), "FLOAT", 44100)
    assert data[12:58] == (
        b"fmt " + struct.pack("<IHHIIHHH", 18, 3, 1, 44100, 176400, 4, 32, 0)
        + b"fact" + struct.pack("<II", 4, 5) + b"data" + struct.pack("<I", 20)
    )  # fmt: skip


def test_a_surround_header_names_its_speakers(tmp_path: Path) -> None:
    data = write(tmp_path / "x.wav", sound("PCM_24", 6, 4), "PCM_24", layout=FIVE_ONE)
    assert data[12:68] == (
        b"fmt " + struct.pack("<IHHIIHH", 40, 0xFFFE, 6, 48000, 864000, 18, 24)
        + struct.pack("<HHI", 22, 24, 0x3F)
        + bytes.fromhex("0100000000001000800000aa00389b71")
        + b"data" + struct.pack("<I", 72)
    )  # fmt: skip


@pytest.mark.parametrize("subtype", list(BITS))
@pytest.mark.parametrize("n_channels", range(1, 9))
def test_every_sample_comes_back_exactly(subtype: str, n_channels: int, tmp_path: Path) -> None:
    x = sound(subtype, n_channels, 2345, n_channels)
    write(tmp_path / "x.wav", x, subtype)
    dtype = "float32" if subtype == "FLOAT" else "int32"
    y, rate = sf.read(tmp_path / "x.wav", dtype=dtype, always_2d=True)
    if subtype != "FLOAT":
        y = y >> 32 - BITS[subtype]
    assert rate == 48000
    np.testing.assert_array_equal(y.T, x)


def test_the_standard_library_and_scipy_read_it_too(tmp_path: Path) -> None:
    x = sound("PCM_16", 2, 777)
    write(tmp_path / "x.wav", x, "PCM_16")
    with wave.open(str(tmp_path / "x.wav")) as file:
        raw = file.readframes(777)
    np.testing.assert_array_equal(np.frombuffer(raw, "<i2").reshape(-1, 2).T, x)
    np.testing.assert_array_equal(wavfile.read(tmp_path / "x.wav")[1].T, x)
    y = sound("FLOAT", 3, 777)
    write(tmp_path / "y.wav", y, "FLOAT", layout=("FL", "FR", "FC"))
    np.testing.assert_array_equal(wavfile.read(tmp_path / "y.wav")[1].T, y)


def test_odd_data_is_padded_and_every_size_is_even(tmp_path: Path) -> None:
    data = write(tmp_path / "x.wav", sound("PCM_24", 1, 7), "PCM_24", ixml=b"<a/>x")
    assert len(data) % 2 == 0
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    assert data[-22 - 8 : -22] == b"data" + struct.pack("<I", 21)
    assert data[-1] == 0
    assert read_chunks(tmp_path / "x.wav").n_samples == 7


def test_beyond_its_limit_the_form_is_rf64_and_the_samples_stay(tmp_path: Path) -> None:
    for subtype in BITS:
        x = sound(subtype, 2, 1001)
        plain = write(tmp_path / "a.wav", x, subtype)
        limit = len(plain) - 8
        assert write(tmp_path / "b.wav", x, subtype, rf64_above=limit) == plain
        large = write(tmp_path / "c.wav", x, subtype, rf64_above=limit - 1)
        assert large[:4] == b"RF64" and large[4:8] == b"\xff" * 4
        size, data_size, n_samples = struct.unpack_from("<QQQ", large, 20)
        assert (large[12:16], size) == (b"ds64", len(large) - 8)
        assert (data_size, n_samples) == (2 * 1001 * BITS[subtype] // 8, 1001)
        np.testing.assert_array_equal(
            sf.read(tmp_path / "c.wav")[0], sf.read(tmp_path / "a.wav")[0]
        )
        header = read_chunks(tmp_path / "c.wav")
        assert (header.form, header.n_samples, header.is_cut) == ("RF64", 1001, False)


def test_four_gibibytes_are_rf64_without_asking(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    for n_samples, form in ((2**30 - 20, b"RIFF"), (2**30, b"RF64")):
        with (
            pytest.raises(Stop),
            WavWriter(
                tmp_path / "x.wav",
                sample_rate=48000,
                n_channels=2,
                n_samples=n_samples,
                subtype="PCM_16",
            ),
        ):
            raise Stop
        assert (tmp_path / "x.wav").read_bytes()[:4] == form


@given(
    st.binary(min_size=602, max_size=700),
    st.binary(min_size=1, max_size=99),
    st.integers(0, 2**64 - 1),
    st.integers(-(2**40), 2**40),
)
def test_metadata_comes_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, bext: bytes, ixml: bytes, start: int, offset: int
) -> None:
    path = tmp_path_factory.mktemp("riff") / "x.wav"
    write(path, sound("PCM_24", 1, 5), "PCM_24", bext=bext, ixml=ixml)
    header = read_chunks(path)
    assert (header.bext, header.ixml) == (bext, ixml)
    stamped = bext[:338] + start.to_bytes(8, "little") + bext[346:]
    if 0 <= start + offset < 2**64:
        moved = bext_with_start(stamped, offset)
        assert int.from_bytes(moved[338:346], "little") == start + offset
        assert bext_with_start(moved, -offset) == stamped
    else:
        with pytest.raises(AudioError, match="midnight"):
            bext_with_start(stamped, offset)


def test_metadata_behind_the_sound_is_found_and_cut_metadata_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    data = write(path, sound("PCM_16", 1, 4), "PCM_16")
    bext = bytes(range(256)) * 3
    path.write_bytes(data + b"LIST\4\0\0\0abcd" + b"bext" + struct.pack("<I", 768) + bext)
    assert read_chunks(path).bext == bext
    path.write_bytes(data + b"bext" + struct.pack("<I", 769) + bext)
    assert read_chunks(path).bext is None
    assert read_chunks(path).n_samples == 4
    with pytest.raises(AudioError, match="602"):
        bext_with_start(bytes(100), 0)


def test_the_same_calls_give_the_same_bytes(tmp_path: Path) -> None:
    x = sound("PCM_24", 6, 500)
    files = [write(tmp_path / name, x, "PCM_24", layout=FIVE_ONE, bext=bytes(602)) for name in "ab"]
    assert files[0] == files[1]


@given(st.lists(st.sampled_from(SPEAKERS), min_size=3, max_size=18, unique=True))
def test_speakers_in_the_order_of_the_mask_come_back_and_others_are_unknown(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str]
) -> None:
    path = tmp_path_factory.mktemp("riff") / "x.wav"
    ordered = tuple(s for s in SPEAKERS if s in labels)
    write(path, sound("PCM_16", len(labels), 2), "PCM_16", layout=ordered)
    assert read_chunks(path).layout == ordered
    write(path, sound("PCM_16", len(labels), 2), "PCM_16", layout=tuple(labels))
    assert read_chunks(path).layout == (ordered if tuple(labels) == ordered else None)
    write(path, sound("PCM_16", len(labels), 2), "PCM_16")
    assert read_chunks(path).layout is None
    assert read_chunks(path).channel_mask == 0


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe is not here")
@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (FIVE_ONE, "5.1"),
        ((*FIVE_ONE[:4], "SL", "SR"), "5.1(side)"),
        ((*FIVE_ONE, "SL", "SR"), "7.1"),
        (("FL", "FR", "FC"), "3.0"),
    ],
)
def test_ffprobe_sees_the_layout(layout: tuple[str, ...], name: str, tmp_path: Path) -> None:
    for limit in (2**32 - 2, 0):
        x = sound("PCM_24", len(layout), 480)
        write(tmp_path / "x.wav", x, "PCM_24", layout=layout, rf64_above=limit)
        told = subprocess.run(
            ["ffprobe", "-v", "error", "-show_streams", "-of", "json", tmp_path / "x.wav"],
            capture_output=True,
            check=True,
        )
        stream = json.loads(told.stdout)["streams"][0]
        assert (stream["channel_layout"], stream["bits_per_sample"]) == (name, 24)
        assert stream["duration_ts"] == 480


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path, x = tmp_path / "x.wav", sound("PCM_16", 2, 10)
    fine = {"sample_rate": 48000, "n_channels": 2, "n_samples": 10, "subtype": "PCM_16"}
    for wrong in (
        {"n_samples": 0},
        {"n_channels": 0},
        {"n_channels": 65},
        {"sample_rate": 0},
        {"subtype": "PCM_U8"},
        {"layout": ("FL",)},
        {"layout": ("FL", "XX")},
    ):
        with pytest.raises(AudioError):
            WavWriter(path, **{**fine, **wrong})  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="cannot be written"):
        WavWriter(tmp_path / "no" / "x.wav", **fine)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="cannot be written"):
        WavWriter("a\0b", **fine)  # type: ignore[arg-type]
    blocks = {
        "float32": x.astype(np.float32),
        "shape": x[:1],
        r"\(10,\)": x[0],
        "12 samples came; 10 are left": np.repeat(x, 2, axis=1)[:, :12],
        "32768": x * 0 + 2**15,
        "-32769": x * 0 - 2**15 - 1,
    }
    for match, block in blocks.items():
        with WavWriter(path, **fine) as out, pytest.raises(AudioError, match=match):  # type: ignore[arg-type]
            try:
                out.write(block)
            finally:
                out.write(x)
    with pytest.raises(AudioError, match="lacks 1 "), WavWriter(path, **fine) as out:  # type: ignore[arg-type]
        out.write(x[:, :9])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    x = sound("PCM_16", 2, 20000)
    with pytest.raises(AudioError, match="cannot be written: No space left"):
        write(Path("/dev/full"), x, "PCM_16")
    with pytest.raises(AudioError, match="cannot be written: No space left"):
        write(Path("/dev/full"), x[:, :2], "PCM_16")


@pytest.mark.parametrize(
    ("riff_size", "data_size", "n_samples", "is_cut"),
    [
        (36 + 400, 400, 100, False),
        (0, 0, 100, False),
        (0xFFFFFFFF, 0xFFFFFFFF, 100, False),
        (36, 0, 100, False),  # a writer that died before it came back to its header
        (36 + 400, 0, 0, False),  # no sound, and other chunks
        (0x7FFFF024, 0x7FFFF000, 100, False),  # SoX
        (0xFFFFFFDC, 0xFFFFFFB8, 100, False),
        (36 + 404, 404, 100, True),
        (36 + 400, 200, 50, False),
        (36 + 400, 399, 99, False),
    ],
)
def test_sizes_are_believed_only_where_they_can_be_true(
    riff_size: int, data_size: int, n_samples: int, is_cut: bool, tmp_path: Path
) -> None:
    data = bytearray(write(tmp_path / "x.wav", sound("PCM_16", 2, 100), "PCM_16"))
    data[4:8], data[40:44] = struct.pack("<I", riff_size), struct.pack("<I", data_size)
    (tmp_path / "x.wav").write_bytes(data)
    header = read_chunks(tmp_path / "x.wav")
    assert (header.n_samples, header.is_cut, header.data_offset) == (n_samples, is_cut, 44)


def test_rf64_whose_ds64_is_missing_or_unfinished_goes_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    data = bytearray(write(path, sound("PCM_16", 2, 100), "PCM_16", rf64_above=0))
    for key, size in ((b"ds64", 0), (b"ds64", 2**64 - 1), (b"JUNK", 400), (b"ds64", 400)):
        data[12:16], data[28:36] = key, struct.pack("<Q", size)
        path.write_bytes(data)
        assert (read_chunks(path).n_samples, read_chunks(path).is_cut) == (100, False)
    data[28:36] = struct.pack("<Q", 2**60)
    path.write_bytes(data)
    assert (read_chunks(path).n_samples, read_chunks(path).is_cut) == (100, True)


def test_a_riff_file_beyond_what_its_header_can_count_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    write(path, sound("PCM_16", 2, 100), "PCM_16")
    with path.open("r+b") as file:
        file.truncate(2**32 + 2**27)  # a hole, which takes no space
    with pytest.raises(AudioError, match="4 GiB"):
        read_chunks(path)


def test_valid_bits_and_the_ambisonic_kind_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    data = bytearray(write(path, sound("PCM_24", 4, 9), "PCM_24", layout=("FL", "FR", "BL", "BR")))
    data[38:40] = struct.pack("<H", 20)
    data[46:60] = bytes.fromhex("00002107d3118644c8c1ca000000")
    path.write_bytes(data)
    header = read_chunks(path)
    assert (header.format_tag, header.bits, header.valid_bits) == (1, 24, 20)
    assert (header.subtype, header.layout) == ("PCM_24", ("FL", "FR", "BL", "BR"))
    data[46:60] = bytes(14)
    path.write_bytes(data)
    assert read_chunks(path).subtype is None


def test_absurd_metadata_is_refused_and_not_held(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    write(path, sound("PCM_16", 1, 4), "PCM_16")
    with path.open("ab") as file:
        file.write(b"iXML" + struct.pack("<I", 2**28))
        file.truncate(2**28 + 2**10)
    with pytest.raises(AudioError, match="iXML chunk of 268435456 bytes"):
        read_chunks(path)


def _small_wave() -> bytes:
    file = io.BytesIO()
    sf.write(file, np.zeros((20, 3)), 8000, format="WAVEX", subtype="PCM_16")
    return file.getvalue()


@given(st.data())
def test_any_bytes_give_a_header_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    seed = bytearray(_small_wave())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(seed) - 1))
        seed[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    path = tmp_path_factory.mktemp("riff") / "x.wav"
    path.write_bytes(bytes(seed[: data.draw(st.integers(0, len(seed)))]))
    try:
        header = read_chunks(path)
    except AudioError as err:
        assert len(str(err).splitlines()) == 1
    else:
        assert 0 <= header.data_offset + header.data_size <= path.stat().st_size
        assert header.subtype is None or header.block_align > 0
