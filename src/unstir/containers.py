"""What FFmpeg's libraries read for the hall: video containers and compressed sound.

PyAV decodes from the first packet and never seeks: a compressed stream only
gives the same samples again if it is decoded from the same place, and sound
that is exact is worth more than sound that is early.

MP3, Opus and chained Ogg come this way too, not through libsndfile: version
1.2.2 loses more than half of an MP3 with variable bit rate and no Xing header,
stops after the first part of a chained Ogg file, and gives more than two
channels in the codec's order instead of the wave order. All of this was
measured.

Untrusted files are read through an object without a name, with no protocol
allowed and only the demuxers of `DEMUXERS` and audio decoders of `DECODERS`:
a playlist, a list of parts or a reference to another file is refused, and
video packets are never decoded.

Time: a stream's sound begins at `AudioInfo.start_s` on the container's clock.
Where the clock jumps forward within a stream (a phone or a screen recorder
dropped packets), silence fills the hole so that all that follows stays in
place with the picture; packets of a lossy codec that cannot be decoded are
passed over and their place is filled likewise. The reader's ``repairs`` name
every such place, and where a truncated stream ends. A drift of the clock
against the sample count is left alone.

Not done here: the start time code of MXF and QuickTime files is not read; an
edit list in the middle of a QuickTime file is followed as FFmpeg does it; a
cut Matroska, MPEG, MP3 or Ogg file is read as far as it goes, since these need
not announce their length; gain tags are not applied.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from unstir.errors import AudioError
from unstir.riff import SPEAKERS
from unstir.types import Waveform

DEMUXERS = (
    *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dts", "dv", "eac3"),
    *("flac", "flv", "matroska", "mov", "mp3", "mpeg", "mpegts", "mxf", "ogg", "truehd"),
    *("tta", "w64", "wav", "wv"),
)
_LOSSLESS = (
    *("alac", "ape", "flac", "mlp", "pcm_bluray", "pcm_dvd", "s302m", "truehd", "tta"),
    *("wavpack", "wmalossless"),
    *(f"pcm_{kind}" for kind in ("s8", "s8_planar", "u8", "f32be", "f32le", "f64be", "f64le")),
    *(f"pcm_{sign}{bits}{end}" for sign in "su" for bits in (16, 24, 32) for end in ("be", "le")),
    *(f"pcm_s{kind}" for kind in ("64be", "64le", "16be_planar", "16le_planar")),
    *("pcm_s24le_planar", "pcm_s32le_planar"),
)
DECODERS = (
    *_LOSSLESS,
    *("aac", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "amrnb", "amrwb"),
    *("dca", "eac3", "gsm", "gsm_ms", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float"),
    *("opus", "pcm_alaw", "pcm_mulaw", "speex", "vorbis", "wmapro", "wmav1", "wmav2"),
)
_FORMATS = {"mp3": "MP3", "ogg": "OGG", "flac": "FLAC", "wav": "WAV", "aiff": "AIFF", "caf": "CAF"}
_SUBTYPES = {"mp3float": "MPEG_LAYER_III", "vorbis": "VORBIS", "opus": "OPUS"}
# These keep a clock that sound and picture share; the others only count samples.
_CLOCKED = ("mov", "matroska", "avi", "mpegts", "mpeg", "asf", "flv", "mxf", "dv")
# These know how many samples they hold; the others guess from the bit rate or say milliseconds.
_COUNTED = ("mov", "mxf", "wav", "w64", "aiff", "caf", "flac", "tta", "wv", "ape")
# Joints between recordings make these clocks jump by any amount.
_JOINTED = ("mpegts", "mpeg", "ogg", "flv")
_HOLE_S, _HOLE_AFTER_DAMAGE_S, _MAX_HOLE_S = 0.1, 0.002, 10.0
_SCALES = {"u8": 2**-7, "s16": 2**-15, "s32": 2**-31, "s64": 2**-63, "flt": 1.0, "dbl": 1.0}


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What is known of one audio stream before it is read.

    Parameters
    ----------
    path : Path
        The file.
    format : str
        Kind of file: ``"WAV"``, ``"RF64"``, ``"FLAC"``, ``"MP3"``, or FFmpeg's name
        (``"mov,mp4,m4a,3gp,3g2,mj2"``).
    subtype : str
        Sample format as soundfile says it (``"PCM_24"``, ``"FLOAT"``,
        ``"MPEG_LAYER_III"``), or the codec's name in containers.
    sample_rate, n_channels : int
        Samples per second, in hertz; channels.
    n_samples : int or None
        Samples per channel, exact; None where only decoding tells.
    duration_s : float or None
        About how long the sound is, in seconds, for progress bars.
    layout : tuple of str or None
        Speaker labels in channel order; None above two channels if not known.
    lossless : bool
        Whether the samples are those that were put in.
    pcm_bits : int or None
        Bits of the PCM that holds every sample exactly, 16 or 24; None for
        float, 32-bit integers and lossy sound, whose stems are 32-bit float.
    truncated : bool
        Whether the file is known to end early, and was let through all the same.
    audio_streams, stream : int
        How many audio streams the file has, and which one this is.
    start_s : float
        Where the first sample stands on the container's clock, in seconds.
    bext, ixml : bytes or None
        Payloads of those chunks of a wave file.
    time_reference : int or None
        Start in samples since midnight, from ``bext``.
    """

    path: Path
    format: str
    subtype: str
    sample_rate: int
    n_channels: int
    n_samples: int | None
    duration_s: float | None
    layout: tuple[str, ...] | None
    lossless: bool
    pcm_bits: int | None
    truncated: bool = False
    audio_streams: int = 1
    stream: int = 0
    start_s: float = 0.0
    bext: bytes | None = None
    ixml: bytes | None = None
    time_reference: int | None = None


class Nameless:
    """A file without its name, for libraries that guess from names and print what is raised."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to ``offset`` and return the place; stay where that lies outside any file."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, OverflowError, ValueError):
            return self._file.tell()

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()


def known_layout(n_channels: int, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the speakers in channel order, or None if they are not known."""
    if n_channels <= 2:
        return ("FC",) if n_channels == 1 else ("FL", "FR")
    known = labels is not None and len(labels) == n_channels and len(set(labels)) == n_channels
    return labels if known and set(labels or ()) <= set(SPEAKERS) else None


def probe_container(path: Path, stream: int) -> AudioInfo:
    """Return what FFmpeg's libraries say of the ``stream``-th audio stream.

    One frame is decoded, since headers lie about rates, channels and formats.

    Raises
    ------
    AudioError
        If there is no such stream, no allowed decoder for it, or nothing to decode.
    Exception
        Whatever the library raises for a damaged file; `unstir.audio` turns it
        into AudioError.
    """
    with _opened(path, stream) as (container, track):
        codec = track.codec_context.name
        frame = next(_frames(container, track, []), None)
        if frame is None:
            raise AudioError(f"{str(path)!r}: its audio stream {stream} holds no sample")
        n_channels, family = frame.layout.nb_channels, container.format.name.split(",")[0]
        labels = tuple(channel.name for channel in frame.layout.channels)
        duration_s = None
        if track.duration:
            duration_s = float(track.duration * track.time_base)
        elif container.duration:
            duration_s = container.duration / 1_000_000
        return AudioInfo(
            path=path,
            format=_FORMATS.get(family, container.format.name),
            subtype=_SUBTYPES.get(codec, codec),
            sample_rate=frame.sample_rate,
            n_channels=n_channels,
            n_samples=None,
            duration_s=duration_s,
            layout=known_layout(n_channels, labels),
            lossless=codec in _LOSSLESS,
            pcm_bits=_pcm_bits(codec, track.codec_context.extradata, frame.format.name),
            audio_streams=len(container.streams.audio),
            stream=stream,
            start_s=float((track.start_time or 0) * track.time_base) if family in _CLOCKED else 0.0,
        )


def read_container(
    info: AudioInfo, allow_truncated: bool, repairs: dict[float, str]
) -> Iterator[Waveform]:
    """Yield the sound of ``info.stream`` from its start, frame by frame.

    A last frame of a lossy codec that reaches beyond the length the container
    gives is shortened to it.

    Parameters
    ----------
    info : AudioInfo
        From `probe_container`.
    allow_truncated : bool
        Whether to end at the first damage instead of refusing the file.
    repairs : dict of float to str
        Takes a sentence for every place, in seconds, that silence had to fill.
    """
    name, rate = repr(str(info.path)), info.sample_rate
    with _opened(info.path, info.stream) as (container, track):
        family = container.format.name.split(",")[0]
        exact = family in _COUNTED and track.time_base == Fraction(1, rate)
        expected = track.duration if exact and track.duration else None
        damaged: list[Exception] = []
        n_damaged, n_done, longest = 0, 0, 1
        end_s: float | None = None
        held: Waveform | None = None
        convert = _Converter()
        cut_to: int | None = None
        for frame in _frames(container, track, damaged):
            if damaged and info.lossless:
                break
            if frame.sample_rate != rate or frame.layout.nb_channels != info.n_channels:
                raise AudioError(
                    f"{name} changes to {frame.layout.nb_channels} channels at "
                    f"{frame.sample_rate} Hz after {n_done / rate:.3f} s; convert it to one format"
                )
            if held is not None:
                yield held
            at_s = None if frame.pts is None else float(frame.pts * frame.time_base)
            hole_s = 0.0 if at_s is None or end_s is None else at_s - end_s
            if hole_s > _MAX_HOLE_S and family not in _JOINTED:
                raise AudioError(
                    f"{name} has no sound for {hole_s:.1f} s after {n_done / rate:.3f} s; "
                    f"up to {_MAX_HOLE_S:g} s are filled, so convert it to WAV"
                )
            least_s = _HOLE_AFTER_DAMAGE_S if len(damaged) > n_damaged else _HOLE_S
            if least_s < hole_s <= _MAX_HOLE_S:
                repairs[n_done / rate] = (
                    f"{hole_s:.3f} s of sound are missing at {n_done / rate:.3f} s; "
                    "silence stands in for them"
                )
                for n in _pieces(round(hole_s * rate), info.n_channels):
                    yield np.zeros((info.n_channels, n), np.float32)
                    n_done += n
            n_damaged = len(damaged)
            held = convert(frame)
            n_done += held.shape[1]
            longest = max(longest, frame.samples)
            end_s = None if at_s is None else at_s + frame.samples / rate
            cut_to = frame.duration if 0 < (frame.duration or 0) < frame.samples else None
        if held is None or (damaged and info.lossless and not allow_truncated):
            raise AudioError(
                f"{name} is damaged after {n_done / rate:.3f} s; get a whole copy, or use "
                "--allow-truncated to use what comes before"
            )
        if damaged and info.lossless:
            repairs[n_done / rate] = f"the sound ends at {n_done / rate:.3f} s, where it is damaged"
        if expected and not info.lossless and not damaged:
            # QuickTime edit lists count in ticks of the movie, often milliseconds; the length of
            # the last packet, where it is short, is exact.
            surplus = n_done - expected if cut_to is None else held.shape[1] - cut_to
            if 0 < surplus < min(longest, held.shape[1]):
                held = np.ascontiguousarray(held[:, :-surplus])
        yield held
        if expected and n_done < expected - max(2 * longest, rate // 10):
            if not allow_truncated:
                raise AudioError(
                    f"{name} is cut or damaged: {n_done} of {expected} samples are there; get a "
                    "whole copy, or use --allow-truncated to use what there is"
                )
            repairs[n_done / rate] = f"the sound ends at {n_done / rate:.3f} s, where it is cut"


@contextmanager
def _opened(path: Path, stream: int) -> Iterator[tuple[Any, Any]]:
    """Open a container and its ``stream``-th audio stream."""
    import av

    options = {
        "format_whitelist": ",".join(DEMUXERS),
        "codec_whitelist": ",".join(DECODERS),
        "protocol_whitelist": "none",
    }
    with (
        open(path, "rb") as file,
        av.open(Nameless(file), options=options, metadata_errors="replace") as container,
    ):
        tracks = container.streams.audio
        if not tracks:
            raise AudioError(f"{str(path)!r} holds no sound: it has no audio stream")
        if not 0 <= stream < len(tracks):
            raise AudioError(
                f"{str(path)!r} has {len(tracks)} audio streams, numbered from 0; {stream} came"
            )
        context = tracks[stream].codec_context
        if context is None or context.name not in DECODERS:
            codec = "unknown" if context is None else context.name
            raise AudioError(f"{str(path)!r}: sound of the kind {codec!r} is not read; use WAV")
        context.thread_count = 1
        if context.name == "flac":  # else FFmpeg lets a frame whose check sum is wrong pass
            context.options = {"err_detect": "crccheck+explode"}
        yield container, tracks[stream]


def _frames(container: Any, track: Any, damaged: list[Exception]) -> Iterator[Any]:
    """Yield decoded frames that hold samples; note in ``damaged`` what cannot be decoded."""
    import av

    try:
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as err:
                damaged.append(err)
                continue
            yield from (frame for frame in frames if frame.samples)
    except av.error.FFmpegError as err:  # the container itself ends in the middle of something
        damaged.append(err)


class _Converter:
    """From frames of one stream to (channels, samples), exact up to 24 bits."""

    def __init__(self) -> None:
        self._packer: Any = None

    def __call__(self, frame: Any) -> Waveform:
        """Return one frame."""
        import av

        kind, n_channels = frame.format.name.removesuffix("p"), frame.layout.nb_channels
        if kind not in _SCALES:
            raise AudioError(f"samples of the kind {kind!r} came; {tuple(_SCALES)} are read")
        if frame.format.is_planar and n_channels < 8:
            values = frame.to_ndarray()
        else:
            frames = [frame]
            if frame.format.is_planar:
                # PyAV 18 looks for planes until it meets a null pointer, and from eight planes on
                # there is none: it reads foreign memory. Packed frames have one plane.
                if self._packer is None:
                    self._packer = av.AudioResampler(kind, frame.layout, frame.sample_rate)
                frames = self._packer.resample(frame)
            values = np.concatenate([f.to_ndarray().reshape(-1, n_channels).T for f in frames], 1)
        with np.errstate(over="ignore", invalid="ignore"):  # the reader refuses what overflows
            wave = np.ascontiguousarray(values, np.float32)
        if kind == "u8":
            wave = wave - np.float32(128)
        return wave if _SCALES[kind] == 1 else wave * np.float32(_SCALES[kind])


def _pcm_bits(codec: str, extradata: bytes | None, sample_format: str) -> int | None:
    """Return 16 or 24 if PCM of so many bits holds every sample, else None."""
    if codec not in _LOSSLESS:
        return None
    extra, bits = extradata or b"", 0
    if codec == "flac" and len(extra) >= 34:
        stream_info = extra[8:] if extra[:4] == b"fLaC" else extra
        bits = ((stream_info[12] & 1) << 4 | stream_info[13] >> 4) + 1
    elif codec == "alac" and len(extra) >= 18:
        bits = extra[17]
    elif "24" in codec:
        bits = 24
    elif sample_format.startswith(("u8", "s16")):
        bits = 16
    return None if not 0 < bits <= 24 else 16 if bits <= 16 else 24


def _pieces(n_samples: int, n_channels: int) -> Iterator[int]:
    size = max(1, 2**16 // n_channels)
    while n_samples > 0:
        yield min(size, n_samples)
        n_samples -= size
