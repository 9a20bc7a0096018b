"""RIFF, RF64 and BW64 wave files, byte by byte: what their chunks say, and a writer.

The hall reads plain PCM and float wave files itself rather than through
libsndfile, for three reasons that were measured: libsndfile 1.2.2 sees no
sample in a file whose streaming writer left its sizes at zero, it does not
know the form ``BW64``, and it shortens a cut file without a word.

Not done here: ``cue``, ``smpl``, ``LIST``, ``axml``, ``chna`` and other chunks
are stepped over and not carried into the stems; of two chunks of a kind the
first counts; iXML is copied as it stands, so a start time that it repeats is
the source's; what a streaming writer put after its sound cannot be told from
sound. Other formats than PCM and float are left to `unstir.containers`.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from unstir.errors import AudioError

# Speaker labels in the order of the bits of dwChannelMask in WAVEFORMATEXTENSIBLE.
SPEAKERS = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC"),
    *("SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)

PCM, IEEE_FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_AMBISONIC_TAIL = bytes.fromhex("00002107d3118644c8c1ca000000")
_UNKNOWN_32, _UNKNOWN_64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
_MAX_CHUNKS = 10_000
_MAX_METADATA_BYTES = 16 * 2**20  # real bext and iXML chunks stay far below one
_KEPT = (b"fmt ", b"ds64", b"bext", b"iXML")

Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]
_WIDTHS: dict[str, int] = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_SUBTYPES = {
    **{(PCM, 1): "PCM_U8", (PCM, 2): "PCM_16", (PCM, 3): "PCM_24", (PCM, 4): "PCM_32"},
    **{(IEEE_FLOAT, 4): "FLOAT", (IEEE_FLOAT, 8): "DOUBLE"},
}


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What the chunks of a wave file say.

    Parameters
    ----------
    form, format_tag : str, int
        First four bytes; 1 for PCM, 3 for float, others for what is not decoded
        here (the subformat's tag where the ``fmt`` chunk is of the extensible kind).
    n_channels, sample_rate, block_align : int
        Channels; samples per second, in hertz; bytes of one sample of all channels.
    bits, valid_bits : int
        Bits that one value takes, and how many of them carry sound.
    channel_mask : int
        The speakers, bit by bit as in `SPEAKERS`; 0 where the file does not say.
    data_offset, data_size : int
        Where the sound begins, and how many bytes of it are there.
    is_cut : bool
        Whether the ``data`` chunk claims more bytes than the file has.
    bext, ixml : bytes or None
        Payloads of those chunks, as they stand; a ``bext`` below 602 bytes is none.
    """

    form: str
    format_tag: int
    n_channels: int
    sample_rate: int
    block_align: int
    bits: int
    valid_bits: int
    channel_mask: int
    data_offset: int
    data_size: int
    is_cut: bool
    bext: bytes | None
    ixml: bytes | None

    @property
    def n_samples(self) -> int:
        """Whole samples per channel that are there."""
        return self.data_size // self.block_align if self.block_align else 0

    @property
    def subtype(self) -> str | None:
        """Name of the sample format, as soundfile says it; None if it is not decoded here."""
        width, rest = divmod(self.block_align, max(self.n_channels, 1))
        if rest or not 8 * width - 7 <= self.bits <= 8 * width:
            # 24 bits in four bytes without an extensible header: which bytes is anyone's guess.
            return None
        return _SUBTYPES.get((self.format_tag, width))

    @property
    def layout(self) -> tuple[str, ...] | None:
        """Speaker labels in channel order; None if the mask does not name every channel."""
        labels = tuple(s for bit, s in enumerate(SPEAKERS) if self.channel_mask >> bit & 1)
        return labels if len(labels) == self.n_channels == self.channel_mask.bit_count() else None


def read_chunks(path: str | os.PathLike[str]) -> WavHeader:
    """Return what the chunks of a wave file say, without reading its sound.

    Sizes of 0 or 0xFFFFFFFF (and SoX's 0x7FFFF000), which writers leave when
    they cannot seek back, mean "up to the end of the file".

    Raises
    ------
    AudioError
        If the file is not RIFF, RF64 or BW64, or lacks a ``fmt`` or ``data`` chunk.
    """
    with _disk(path, "read"), open(path, "rb") as file:
        return _parse(file, os.fspath(path))


def _parse(file: BinaryIO, name: str) -> WavHeader:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    form = head[:4].decode("latin-1")
    if len(head) < 12 or form not in ("RIFF", "RF64", "BW64") or head[8:] != b"WAVE":
        raise AudioError(f"{name!r} is not a wave file: it does not begin with RIFF and WAVE")
    riff_size = int.from_bytes(head[4:8], "little")
    payloads: dict[bytes, bytes] = {}
    data: tuple[int, int, bool] | None = None  # offset, size, is_cut
    at = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            break
        key, declared = header[:4], int.from_bytes(header[4:], "little")
        at += 8
        if key == b"data" and data is None:
            declared = _data_size(form, declared, riff_size, at, size, payloads.get(b"ds64"))
            data = at, min(declared, size - at), declared > size - at
            if form == "RIFF" and size - at > 2**32 and declared < size - at - 2**26:
                raise AudioError(
                    f"{name!r} is larger than the 4 GiB that its RIFF header can count; convert "
                    "it with `ffmpeg -ignore_length 1 -i in.wav -c copy -rf64 auto out.wav`"
                )
        elif key in _KEPT and key not in payloads and at + declared <= size:
            if declared > _MAX_METADATA_BYTES:
                what = f"{name!r} has a {key.decode().strip()} chunk of {declared} bytes"
                raise AudioError(f"{what}; up to {_MAX_METADATA_BYTES} are read, so remove it")
            payloads[key] = file.read(declared)
        at += declared + declared % 2
        if at >= size:
            break
    fmt = payloads.get(b"fmt ", b"")
    if data is None or len(fmt) < 16:
        raise AudioError(f"{name!r} is a damaged wave file: it has no whole fmt and data chunks")
    tag, n_channels, rate, _, block_align, bits = struct.unpack_from("<HHIIHH", fmt)
    valid_bits, mask = bits, 0
    if tag == EXTENSIBLE and len(fmt) >= 40:
        valid, mask = struct.unpack_from("<HI", fmt, 18)
        valid_bits = valid or bits
        if fmt[26:40] in (_GUID_TAIL, _AMBISONIC_TAIL):
            tag = int.from_bytes(fmt[24:26], "little")
            bits = 8 * block_align // n_channels if n_channels else bits
    return WavHeader(
        *(form, tag, n_channels, rate, block_align, bits, valid_bits, mask),
        *data,
        bext=payloads[b"bext"] if len(payloads.get(b"bext", b"")) >= 602 else None,
        ixml=payloads.get(b"iXML"),
    )


def _data_size(
    form: str, declared: int, riff_size: int, at: int, size: int, ds64: bytes | None
) -> int:
    """Return how many bytes of sound the header claims, the unknown being "up to the end"."""
    here = size - at
    if form != "RIFF" and declared == _UNKNOWN_32:
        if ds64 is None or len(ds64) < 16:
            return here
        declared = int.from_bytes(ds64[8:16], "little")
        return here if declared in (0, _UNKNOWN_64) else declared
    if declared == 0:
        # An empty file with chunks after it says so by a RIFF size that counts them.
        return here if riff_size in (0, _UNKNOWN_32) or riff_size + 8 <= at else 0
    streamed = declared >= 0xFFFFFF00 or 0x7FFFEF00 <= declared <= 0x80000000
    return here if streamed and declared > here else declared


def bext_with_start(payload: bytes, offset_samples: int) -> bytes:
    """Return a ``bext`` payload whose time reference lies ``offset_samples`` later.

    The time reference (EBU Tech 3285) counts samples since midnight and stands
    in bytes 338 to 346. All other bytes stay as they are.

    Raises
    ------
    AudioError
        If the payload ends before the time reference, or the sum leaves 64 bits.

    Examples
    --------
    >>> bext_with_start(bytes(602), 48000)[338:346].hex()
    '80bb000000000000'
    """
    start = time_reference(payload)
    if start is None:
        raise AudioError(f"a bext chunk of {len(payload)} bytes came; a whole one has at least 602")
    moved = start + offset_samples
    if not 0 <= moved <= _UNKNOWN_64:
        raise AudioError(f"a start of {moved} samples came; bext holds 0 (midnight) to 2^64 - 1")
    return payload[:338] + moved.to_bytes(8, "little") + payload[346:]


def time_reference(payload: bytes) -> int | None:
    """Return the start of a ``bext`` payload in samples since midnight; None if it is cut."""
    return int.from_bytes(payload[338:346], "little") if len(payload) >= 346 else None


class WavWriter:
    """A wave file of known length, its header written once and right from the start.

    Up to two channels are plain PCM or float; more take the extensible header
    with the speakers of ``layout`` (mask 0 where it is None or not in the order
    of `SPEAKERS`, which the format asks for). Beyond ``rf64_above`` bytes the
    form is RF64. The same calls give the same bytes. The caller chooses a
    temporary name and renames.

    Parameters
    ----------
    path : str or path
        Where to write; what stood there is replaced.
    sample_rate, n_channels, n_samples : int
        Samples per second in hertz, channels, samples per channel to come.
    subtype, layout : str; tuple of str, optional
        Sample format; speaker labels in channel order.
    bext, ixml : bytes, optional
        Payloads of those chunks, written before the sound as they stand.
    rf64_above : int
        Largest RIFF size, in bytes, for which the form is still RIFF.

    Raises
    ------
    AudioError
        If an argument is out of range, or the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sample_rate: int,
        n_channels: int,
        n_samples: int,
        subtype: Subtype,
        layout: tuple[str, ...] | None = None,
        bext: bytes | None = None,
        ixml: bytes | None = None,
        rf64_above: int = _UNKNOWN_32 - 1,
    ) -> None:
        check_output(sample_rate, n_channels, n_samples, layout)
        if subtype not in _WIDTHS:
            raise AudioError(f"the format {subtype!r} came; {', '.join(_WIDTHS)} are written")
        self._path, self._subtype = Path(path), subtype
        self._n_channels, self._left = n_channels, n_samples
        width = _WIDTHS[subtype]
        data_size = n_samples * n_channels * width
        chunks = _fmt(subtype, sample_rate, n_channels, width, layout)
        tail = b"".join(
            _chunk(key, payload) for key, payload in ((b"bext", bext), (b"iXML", ixml)) if payload
        )
        fact = 12 if subtype == "FLOAT" else 0
        pad = data_size % 2
        riff_size = 4 + len(chunks) + fact + len(tail) + 8 + data_size + pad
        is_rf64 = riff_size > min(rf64_above, _UNKNOWN_32 - 1)
        if fact:
            count = _UNKNOWN_32 if is_rf64 else n_samples
            chunks += _chunk(b"fact", struct.pack("<I", count))
        small = _UNKNOWN_32 if is_rf64 else riff_size
        head = struct.pack("<4sI4s", b"RF64" if is_rf64 else b"RIFF", small, b"WAVE")
        if is_rf64:  # EBU Tech 3306: the true sizes stand in ds64, which adds 36 bytes itself
            head += _chunk(b"ds64", struct.pack("<QQQI", riff_size + 36, data_size, n_samples, 0))
        data_head = struct.pack("<4sI", b"data", _UNKNOWN_32 if is_rf64 else data_size)
        self._pad = bytes(pad)
        with _disk(path, "written"):
            self._file = open(path, "wb")  # noqa: SIM115 - closed by close() and __exit__
            self._file.write(head + chunks + tail + data_head)

    def write(self, block: NDArray[np.float32] | NDArray[np.int32]) -> None:
        """Append (channels, samples): float32, or int32 in the range of the format for PCM.

        Raises
        ------
        AudioError
            If the block does not fit the file, or the disk is full.
        """
        check_block(self._path, block, self._n_channels, self._left, self._subtype)
        values = np.ascontiguousarray(block.T)
        if self._subtype == "PCM_16":
            raw = values.astype("<i2")
        elif self._subtype == "PCM_24":
            raw = values.astype("<i4", copy=False).reshape(-1).view(np.uint8).reshape(-1, 4)[:, :3]
        else:
            raw = values.astype("<f4", copy=False)
        with _disk(self._path, "written"):
            self._file.write(np.ascontiguousarray(raw).data)
        self._left -= block.shape[1]

    def close(self) -> None:
        """End the file; raise AudioError if samples are missing or the disk is full."""
        if self._file.closed:
            return
        with _disk(self._path, "written"), self._file:
            self._file.write(self._pad)
        if self._left:
            raise AudioError(f"{str(self._path)!r} lacks {self._left} of the announced samples")

    def __enter__(self) -> "WavWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(OSError):  # what went wrong first is already on its way
                self._file.close()


@contextmanager
def _disk(path: str | os.PathLike[str], verb: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as err:  # ValueError: a name with a zero byte in it
        if isinstance(err, AudioError):
            raise
        reason = getattr(err, "strerror", None) or err
        raise AudioError(f"{os.fspath(path)!r} cannot be {verb}: {reason}") from err


def _chunk(key: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sI", key, len(payload)) + payload + bytes(len(payload) % 2)


def _fmt(
    subtype: str, sample_rate: int, n_channels: int, width: int, layout: tuple[str, ...] | None
) -> bytes:
    tag = IEEE_FLOAT if subtype == "FLOAT" else PCM
    align = n_channels * width
    plain = (n_channels, sample_rate, sample_rate * align & _UNKNOWN_32, align, 8 * width)
    if n_channels > 2:
        bits = [SPEAKERS.index(label) for label in layout or ()]
        mask = sum(1 << bit for bit in bits) if bits == sorted(set(bits)) else 0
        extra = struct.pack("<HHIH", 22, 8 * width, mask, tag) + _GUID_TAIL
        return _chunk(b"fmt ", struct.pack("<HHIIHH", EXTENSIBLE, *plain) + extra)
    # Anything but PCM carries the size of its extension, even of none.
    extra = b"" if tag == PCM else bytes(2)
    return _chunk(b"fmt ", struct.pack("<HHIIHH", tag, *plain) + extra)


def check_output(
    sample_rate: int, n_channels: int, n_samples: int, layout: tuple[str, ...] | None
) -> None:
    """Raise AudioError if no file of this shape can be written."""
    if not 1 <= sample_rate < 2**31 or not 1 <= n_channels <= 64 or n_samples < 1:
        raise AudioError(
            f"{n_samples} samples of {n_channels} channels at {sample_rate} Hz came to be written; "
            "at least one sample, 1 to 64 channels and a positive rate are wanted"
        )
    if layout is not None and (len(layout) != n_channels or not set(layout) <= set(SPEAKERS)):
        raise AudioError(
            f"the speakers {layout} came for {n_channels} channels; "
            f"one of {', '.join(SPEAKERS)} is wanted for each"
        )


def check_block(
    path: Path, block: NDArray[Any], n_channels: int, n_left: int, subtype: str
) -> None:
    """Raise AudioError if a block does not fit what is still to be written."""
    name, is_float = str(path), subtype == "FLOAT"
    dtype = np.dtype(np.float32 if is_float else np.int32)
    if block.ndim != 2 or block.shape[0] != n_channels or block.dtype != dtype:
        raise AudioError(
            f"{name!r}: a block of shape {block.shape} and type {block.dtype} came; "
            f"({n_channels}, samples) of {dtype} is wanted"
        )
    if block.shape[1] > n_left:
        raise AudioError(f"{name!r}: {block.shape[1]} samples came; {n_left} are left to write")
    if not is_float and block.size:
        limit = 1 << (8 * _WIDTHS[subtype] - 1)
        low, high = int(block.min()), int(block.max())
        if low < -limit or high >= limit:
            what = f"{name!r}: values from {low} to {high} came"
            raise AudioError(f"{what}; {subtype} holds {-limit} to {limit - 1}")
