"""Files of one stream: waves read here; FLAC, AIFF, W64, CAF and Ogg Vorbis by libsndfile.

PCM and FLAC are entered at any sample. Ogg Vorbis of one or two channels comes
by libsndfile because FFmpeg loses 128 samples of one short file in five, or
adds up to a thousand; measured on 300 files. What libsndfile refuses or does
worse is left to `unstir.containers`: FLAC of 20 or 32 bits or of unknown
length, Ogg files that are chained, damaged or hold more than one stream, Opus
(which it decodes at the rate its header remembers instead of 48 kHz), odd
codecs in AIFF and CAF.

Not done here: see `unstir.audio`.
"""

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.containers import AudioInfo, Nameless, known_layout, probe_container
from unstir.errors import AudioError, UnstirError
from unstir.riff import Subtype, WavHeader, check_block, check_output, time_reference
from unstir.types import Waveform

Source = Callable[[int], Iterator[Waveform]]  # from a first sample to pieces of sound

# RFC 9639, section 9.1.3; "back" stands for "back or surround" below seven channels.
FLAC_LAYOUTS = (
    ("FC",),
    ("FL", "FR"),
    ("FL", "FR", "FC"),
    ("FL", "FR", "BL", "BR"),
    ("FL", "FR", "FC", "BL", "BR"),
    ("FL", "FR", "FC", "LFE", "BL", "BR"),
    ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
)
_PCM_BITS = {
    **{"PCM_S8": 16, "PCM_U8": 16, "PCM_16": 16, "PCM_24": 24},
    **{"ALAC_16": 16, "ALAC_20": 24, "ALAC_24": 24},
}
_LOSSLESS = (*_PCM_BITS, "PCM_32", "ALAC_32", "FLOAT", "DOUBLE")
_PIECE_VALUES = 2**16  # values decoded at once, over all channels
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_UNKNOWN = 2**62  # lengths from here on stand for "up to the end"
_NOT_SOUND = (
    "it is damaged or of no kind that is known here; "
    "WAV, FLAC, MP3, MP4, MOV and MKV are among what is read"
)


def open_wave(path: Path, header: WavHeader) -> tuple[AudioInfo, Source]:
    """Return what a wave file of PCM or float holds, and its sound from any sample on."""
    subtype = str(header.subtype)
    info = AudioInfo(
        path=path,
        format="WAV" if header.form == "RIFF" else header.form,
        subtype=subtype,
        sample_rate=header.sample_rate,
        n_channels=header.n_channels,
        n_samples=header.n_samples,
        duration_s=header.n_samples / max(header.sample_rate, 1),
        layout=known_layout(header.n_channels, header.layout),
        lossless=True,
        truncated=header.is_cut,
        pcm_bits=_PCM_BITS.get(subtype),
        bext=header.bext,
        ixml=header.ixml,
        time_reference=time_reference(header.bext or b""),
    )
    return info, lambda start: _read_wave(path, header, start)


def _read_wave(path: Path, header: WavHeader, start: int) -> Iterator[Waveform]:
    n_left = header.n_samples - start
    with open(path, "rb") as file:
        file.seek(header.data_offset + start * header.block_align)
        while n_left > 0:
            n = min(n_left, max(1, _PIECE_VALUES // header.n_channels))
            raw = file.read(n * header.block_align)
            if len(raw) < n * header.block_align:
                return
            values = _decode(raw, str(header.subtype))
            yield np.ascontiguousarray(values.reshape(-1, header.n_channels).T)
            n_left -= n


def _decode(raw: bytes, subtype: str) -> NDArray[np.float32]:
    if subtype == "PCM_U8":
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) * np.float32(2**-7)
    if subtype == "PCM_16":
        return np.frombuffer(raw, "<i2").astype(np.float32) * np.float32(2**-15)
    if subtype == "PCM_24":
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return wide.view("<i4").ravel().astype(np.float32) * np.float32(2**-31)
    if subtype == "PCM_32":
        return np.frombuffer(raw, "<i4").astype(np.float32) * np.float32(2**-31)
    with np.errstate(over="ignore", invalid="ignore"):  # the reader refuses what overflows
        return np.frombuffer(raw, "<f4" if subtype == "FLOAT" else "<f8").astype(np.float32)


@contextmanager
def _sndfile(path: Path) -> Iterator[Any]:
    import soundfile

    with open(path, "rb") as file, soundfile.SoundFile(Nameless(file)) as sound:
        yield sound


def open_sndfile(path: Path, truncated: bool) -> tuple[AudioInfo, Source] | None:
    """Return what libsndfile makes of a file, or None if it is not one for it.

    That includes a FLAC file that is cut, of which it drops the last piece, and
    one that does not know its length.
    """
    import soundfile

    try:
        with _sndfile(path) as sound:
            n_samples, subtype, format_name = sound.frames, sound.subtype, sound.format
            if n_samples >= _UNKNOWN or (truncated and format_name == "FLAC"):
                return None
            if format_name == "OGG" and not (
                subtype == "VORBIS" and sound.channels <= 2 and _is_whole_ogg(path)
            ):
                return None
            info = AudioInfo(
                path=path,
                format=format_name,
                subtype=subtype,
                sample_rate=sound.samplerate,
                n_channels=sound.channels,
                n_samples=n_samples,
                duration_s=n_samples / max(sound.samplerate, 1),
                layout=known_layout(sound.channels, None),
                lossless=subtype in _LOSSLESS,
                pcm_bits=_PCM_BITS.get(subtype),
                truncated=truncated,
            )
    except soundfile.SoundFileError:
        return None
    if info.n_channels > 2 and not subtype.startswith("ALAC"):  # whose order it leaves as it is
        labels: tuple[str, ...] | None = None
        if format_name == "FLAC" and info.n_channels <= len(FLAC_LAYOUTS):
            labels = FLAC_LAYOUTS[info.n_channels - 1]
        with suppress(Exception):  # a codec that only libsndfile knows leaves the speakers unnamed
            # The channel descriptions of AIFF, CAF, W64 and FLAC, which soundfile does not show.
            labels = probe_container(path, 0).layout or labels
        info = replace(info, layout=known_layout(info.n_channels, labels))
    return info, lambda start: _read_sndfile(info, start)


def _read_sndfile(info: AudioInfo, start: int) -> Iterator[Waveform]:
    import soundfile

    can_seek = info.subtype.startswith("PCM") or info.subtype in ("FLOAT", "DOUBLE")
    n_piece = max(1, _PIECE_VALUES // info.n_channels)
    at = start if can_seek else 0
    with _sndfile(info.path) as sound:
        try:
            if can_seek:
                sound.seek(start)
            while len(block := sound.read(n_piece, "float32", always_2d=True)):
                if at + len(block) > start:
                    yield np.ascontiguousarray(block[max(0, start - at) :].T)
                at += len(block)
        except soundfile.LibsndfileError as err:
            raise AudioError(
                f"{str(info.path)!r} is damaged at {at / info.sample_rate:.3f} s or up to "
                f"{n_piece / info.sample_rate:.3f} s later; get a whole copy"
            ) from err


def is_cut(path: Path) -> bool:
    """Return whether an AIFF, CAF, W64 or FLAC file claims more sound than it has."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        kind = file.read(4)
        if kind == b"fLaC":
            return _lacks_last_sample(path)
        if kind == b"OggS":  # does not announce its length
            return False
        at, sound = {b"FORM": (12, b"SSND"), b"caff": (8, b"data"), b"riff": (40, b"data")}[kind]
        for _ in range(10_000):
            file.seek(at)
            head = file.read(24)
            if kind == b"FORM":
                n_head, n_body, step = 8, int.from_bytes(head[4:8], "big"), 2
            elif kind == b"caff":  # -1 stands for "up to the end"
                n_head, n_body, step = 12, int.from_bytes(head[4:12], "big", signed=True), 1
            else:
                n_head, n_body, step = 24, int.from_bytes(head[16:24], "little") - 24, 8
            if len(head) < n_head or n_body < 0:
                return False
            if head[:4] == sound:  # the largest sizes stand for "up to the end", too
                return at + n_head + n_body > size and n_body < _UNKNOWN
            at += n_head + -(-n_body // step) * step
    return False


def _lacks_last_sample(path: Path) -> bool:
    import soundfile

    try:
        with _sndfile(path) as sound:
            if not 0 < sound.frames < _UNKNOWN:
                return False
            try:
                sound.seek(sound.frames - 1)
                return len(sound.read(1, "float32")) != 1
            except soundfile.LibsndfileError:
                return True
    except soundfile.SoundFileError:
        return False


def _is_whole_ogg(path: Path) -> bool:
    """Return whether every page is there and sound, and only the first begins a stream.

    Libsndfile puts silence, or nothing, in the place of a page whose check sum
    is wrong. That sum (RFC 3533, section 6) is zlib's with all bits mirrored,
    begun at zero.
    """
    size, at, n_begun = path.stat().st_size, 0, 0
    with open(path, "rb") as file:
        while at < size:
            head = file.read(27)
            if len(head) < 27 or head[:4] != b"OggS":
                return False
            lacing = file.read(head[26])
            page = head[:22] + bytes(4) + head[26:] + lacing + file.read(sum(lacing))
            check = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
            if check.to_bytes(4, "big").translate(_MIRRORED) != head[22:26]:
                return False
            n_begun += head[5] >> 1 & 1
            at += len(page)
    return n_begun == 1


def cut_message(path: Path, what: str) -> str:
    """Return the refusal of a file that ends early."""
    return (
        f"{str(path)!r} is cut or damaged: {what}; get a whole copy, or use --allow-truncated "
        "to use what there is"
    )


@contextmanager
def border(path: Path, verb: str = "read") -> Iterator[None]:
    """Turn whatever a library or the system raises into AudioError."""
    try:
        yield
    except UnstirError:
        raise
    except MemoryError as err:
        raise AudioError(
            f"{str(path)!r} asks for more memory than there is; its header is likely damaged"
        ) from err
    except Exception as err:
        reason: object = getattr(err, "error_string", None) or getattr(err, "strerror", None) or err
        if type(err).__module__ == "av.error":
            reason = _NOT_SOUND
        elif isinstance(err, FileNotFoundError):
            reason = "it is not there; check its name"
        raise AudioError(f"{str(path)!r} cannot be {verb}: {reason}") from err


def check_flac(n_channels: int, layout: tuple[str, ...] | None) -> None:
    """Refuse channels that FLAC cannot hold or would name otherwise.

    Raises
    ------
    AudioError
        Above 8 channels, or for a layout that is not FLAC's for that many.
    """
    if n_channels > 8:
        raise AudioError(f"{n_channels} channels came; FLAC holds 1 to 8, so write WAV")
    own = FLAC_LAYOUTS[n_channels - 1]
    meant = layout or own
    if n_channels < 7:
        meant = tuple({"SL": "BL", "SR": "BR"}.get(label, label) for label in meant)
    if n_channels > 2 and meant != own:
        raise AudioError(
            f"the speakers {' '.join(meant)} came; FLAC means {' '.join(own)} by {n_channels} "
            "channels, so write WAV"
        )


class FlacWriter:
    """A FLAC file of known length, with the interface of `unstir.riff.WavWriter`.

    Parameters
    ----------
    path : str or path
        Where to write; what stood there is replaced.
    sample_rate, n_channels, n_samples : int
        Samples per second in hertz, 1 to 8 channels, samples per channel to come.
    subtype : {"PCM_16", "PCM_24"}
        Sample format.
    layout : tuple of str, optional
        Speaker labels; FLAC gives them by the number of channels alone.

    Raises
    ------
    AudioError
        If an argument is out of range or the layout is not FLAC's.
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
    ) -> None:
        import soundfile

        check_output(sample_rate, n_channels, n_samples, layout)
        if subtype not in ("PCM_16", "PCM_24"):
            raise AudioError(f"the format {subtype!r} came; FLAC is written as PCM_16 or PCM_24")
        check_flac(n_channels, layout)
        self._path, self._subtype = Path(path), subtype
        self._n_channels, self._n_samples, self._left = n_channels, n_samples, n_samples
        with border(self._path, "written"):
            # As bytes, since soundfile cannot encode every name that there may be.
            name = os.fspath(path) if os.name == "nt" else os.fsencode(path)
            self._sound = soundfile.SoundFile(
                name, "w", sample_rate, n_channels, subtype, format="FLAC"
            )

    def write(self, block: NDArray[np.int32]) -> None:
        """Append samples: int32 of shape (channels, samples), in the range of the format."""
        check_block(self._path, block, self._n_channels, self._left, self._subtype)
        shift = 16 if self._subtype == "PCM_16" else 8  # libsndfile takes the high bits of 32
        with border(self._path, "written"):
            self._sound.write(np.ascontiguousarray(block.T) << shift)
        self._left -= block.shape[1]

    def close(self) -> None:
        """End the file; raise AudioError if samples are missing in it."""
        if self._sound.closed:
            return
        with border(self._path, "written"):
            self._sound.close()
            with _sndfile(self._path) as sound:  # a full disk shows only here
                n_written = sound.frames
        if n_written != self._n_samples:
            n_lacking = self._n_samples - n_written
            raise AudioError(f"{str(self._path)!r} lacks {n_lacking} of the announced samples")

    def __enter__(self) -> "FlacWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(Exception):  # what went wrong first is already on its way
                self._sound.close()
