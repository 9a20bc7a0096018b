"""New sound for a video: its picture copied packet by packet, one audio track written anew.

No picture is encoded: packets go from the old file to the new one as they are. Subtitles,
chapters, tags and the other audio tracks go with them. The new track begins where the old
one did on the container's clock.

=========  ==========================  ==============================================
container  sound that was lossless     sound that was lossy
=========  ==========================  ==============================================
mp4, m4v   ALAC, 24 bits               AAC
mov        PCM, 24 bits (float: PCM,   PCM, 24 bits
           32-bit float)
mkv        FLAC, 24 bits (float: PCM,  FLAC, 24 bits
           32-bit float)
=========  ==========================  ==============================================

Files are read as `unstir.containers` reads them: without a name, with no protocol
allowed, and only by its demuxers; of video codecs, MPEG-4 part 2 alone is looked into,
for the size of its pictures. Matroska keeps no decoding times; where pictures are
stored out of order they are reckoned from the presentation times.

Not done here: data tracks (GPS, camera motion, time code as a track of its own) stay
behind, but the start time code that QuickTime keeps as a tag of the picture is kept.
"""

import io
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.containers import DECODERS, DEMUXERS, AudioInfo, Nameless
from unstir.errors import AudioError, SettingsError
from unstir.packets import ordered_packets
from unstir.pcm import to_integers
from unstir.types import Waveform

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_MEASURED = ("mpeg4",)  # QuickTime leaves the size of its pictures to the decoder
_COPIED = ("video", "audio", "subtitle", "attachment")
_OWN_TAGS = ("encoder", "major_brand", "minor_version", "compatible_brands")
_SOUND_TAGS = ("language", "title", "handler_name", "comment")
_AAC_BITS_PER_S = 160_000  # for one channel; its own encoder is transparent for most from here on
_FRAME = 1024  # samples in a packet of PCM
# ALAC knows the side speakers of 5.1 only as back speakers; the order is the same.
_ALAC_LAYOUTS = {"5.1(side)": "5.1", "5.0(side)": "5.0"}
# QuickTime has a list of languages, and these under their older codes.
_MAC_LANGUAGES = {
    **{"deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice", "zho": "chi"},
    **{"ron": "rum", "slk": "slo", "fas": "per", "ces": "cze"},
}


@dataclass(frozen=True, slots=True)
class Track:
    """How the new sound is written.

    Parameters
    ----------
    container : {"mp4", "mov", "matroska"}
        FFmpeg's name of the container.
    codec : {"alac", "aac", "flac", "pcm_s24le", "pcm_f32le"}
        FFmpeg's name of the encoder.
    bits : int or None
        24 where samples are written as whole numbers, else None.
    """

    container: str
    codec: str
    bits: int | None

    @property
    def lossless(self) -> bool:
        """Whether the samples come back as they were given, to so many bits."""
        return self.codec != "aac"


def choose_track(info: AudioInfo, out: Path) -> Track:
    """Return the codec that keeps the most of a source's sound in the container of ``out``.

    Parameters
    ----------
    info : AudioInfo
        The sound that is replaced.
    out : Path
        The file to be written; its ending names the container.

    Raises
    ------
    SettingsError
        If the ending is none of `CONTAINERS`.
    """
    container = CONTAINERS.get(out.suffix.lower())
    if container is None:
        raise SettingsError(
            f"{out.name!r} came for a video; an ending out of {', '.join(CONTAINERS)} is wanted"
        )
    if container == "mp4":
        return Track("mp4", "alac", 24) if info.lossless else Track("mp4", "aac", None)
    if info.lossless and info.pcm_bits is None:
        return Track(container, "pcm_f32le", None)
    return Track(container, "pcm_s24le" if container == "mov" else "flac", 24)


def has_picture(path: Path) -> bool:
    """Return whether a file holds moving pictures; cover art is none.

    Raises
    ------
    AudioError
        If the file is of no kind that is read.
    """
    import av

    try:
        with ExitStack() as stack:
            source = _open_source(stack, path)
            return any(
                not stream.disposition & av.stream.Disposition.attached_pic
                for stream in source.streams.video
            )
    except av.error.FFmpegError:
        return False


def rehearse(source: Path, info: AudioInfo, track: Track, *, add: bool = False) -> tuple[str, ...]:
    """Refuse what cannot be written before anything is; return what stays behind.

    The head of the new file is written to memory: what the container or the encoder
    refuses shows there.

    Returns
    -------
    tuple of str
        Sentences on what is not carried over.

    Raises
    ------
    SettingsError
        If a track, or the new sound, cannot go into the container.
    """
    import av

    with ExitStack() as stack:
        try:
            opened = _open_source(stack, source)
            n_data = sum(stream.type not in _COPIED for stream in opened.streams)
            out = stack.enter_context(av.open(io.BytesIO(), "w", format=track.container))
            _add_streams(opened, out, info, track, add)
            out.start_encoding()
            layout = opened.streams.audio[info.stream].codec_context.layout.name
            relabeled = track.codec == "alac" and layout in _ALAC_LAYOUTS
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, SettingsError):
                raise
            raise SettingsError(
                f"the new sound, {info.n_channels} channels at {info.sample_rate} Hz as "
                f"{track.codec}, cannot go into {track.container} beside the other tracks "
                f"({_reason(error)}); {_way_out(track)}"
            ) from None
        finally:
            with suppress(Exception):  # a file that was only rehearsed is not finished
                stack.close()
    notes = [f"{n_data} data tracks stay behind"] if n_data else []
    if relabeled:
        notes.append("ALAC has no side speakers, so they are labeled as back speakers")
    return tuple(notes)


class VideoWriter:
    """A copy of a video with new sound, written as the sound comes in.

    Memory does not grow with the length: pictures are copied as far as the sound has come.
    The caller chooses a temporary name and renames.

    Parameters
    ----------
    source : Path
        The video.
    path : Path
        Where to write; what stood there is replaced.
    info : AudioInfo
        The sound of ``source`` that is replaced; rate, channels and start are kept.
    track : Track
        From `choose_track`.
    add : bool
        Whether the old sound stays and the new one comes as a further track.

    Raises
    ------
    AudioError
        While writing, if the disk is full or the source damaged.
    """

    def __init__(
        self, source: Path, path: Path, info: AudioInfo, track: Track, *, add: bool = False
    ) -> None:
        import av

        self._source_path, self._path, self._info, self._track = source, path, info, track
        self._stack = ExitStack()
        try:
            opened = _open_source(self._stack, source)
            self._out = av.open(str(path), "w", format=track.container)
            self._stack.callback(self._out.close)
            self._targets, self._sound = _add_streams(opened, self._out, info, track, add)
            self._out.start_encoding()
        except BaseException:
            with suppress(Exception):
                self._stack.close()
            raise
        self._packets = ordered_packets(opened, tuple(self._targets))
        self._waiting: Any = next(self._packets, None)
        self._pending: Waveform = np.zeros((info.n_channels, 0), np.float32)
        self._pts = round(info.start_s * info.sample_rate)
        self._frame = self._sound.codec_context.frame_size or _FRAME

    @property
    def n_pending(self) -> int:
        """Samples that wait for a whole frame of the codec."""
        return int(self._pending.shape[1])

    def write(self, block: Waveform) -> None:
        """Append (channels, samples) of float32; whole numbers of 24 bits come back exactly."""
        self._pending = np.concatenate([self._pending, block], axis=1)
        n_whole = self._pending.shape[1] // self._frame * self._frame
        self._guarded(n_whole)

    def close(self) -> None:
        """Write what is left of the sound and the picture, and end the file."""
        self._guarded(self._pending.shape[1], last=True)
        import av

        try:
            self._stack.close()
        except av.error.FFmpegError as error:
            raise self._failed(error) from None

    def _guarded(self, n_samples: int, last: bool = False) -> None:
        import av

        try:
            for at in range(0, n_samples, self._frame):
                self._encode(self._pending[:, at : min(at + self._frame, n_samples)])
                self._copy_up_to(self._pts / self._info.sample_rate)
            self._pending = self._pending[:, n_samples:]
            if last:
                self._out.mux(self._sound.encode(None))
                self._copy_up_to(None)
        except av.error.FFmpegError as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> AudioError:
        return AudioError(
            f"{str(self._path)!r} cannot be written ({_reason(error)}); is the disk full, or "
            f"{self._source_path.name!r} damaged?"
        )

    def _encode(self, block: Waveform) -> None:
        import av

        layout, kind = self._sound.codec_context.layout.name, self._sound.codec_context.format.name
        values: NDArray[Any] = np.ascontiguousarray(block)
        if self._track.bits:  # the upper 24 bits of 32
            values = to_integers(values, 24) << 8
        if not kind.endswith("p"):
            values = np.ascontiguousarray(values.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(values, kind, layout)
        frame.sample_rate = self._info.sample_rate
        frame.time_base = Fraction(1, self._info.sample_rate)
        frame.pts = self._pts
        self._pts += block.shape[1]
        self._out.mux(self._sound.encode(frame))

    def _copy_up_to(self, time_s: float | None) -> None:
        """Copy the packets that are decoded before a time; None for all."""
        while self._waiting is not None:
            packet = self._waiting
            if time_s is not None and float(packet.dts * packet.time_base) > time_s:
                return
            packet.stream = self._targets[packet.stream_index]
            self._out.mux(packet)
            self._waiting = next(self._packets, None)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(Exception):  # what went wrong first is already on its way
                self._stack.close()


def _open_source(stack: ExitStack, path: Path) -> Any:
    import av

    options = {
        "format_whitelist": ",".join(DEMUXERS),
        "codec_whitelist": ",".join((*DECODERS, *_MEASURED)),
        "protocol_whitelist": "none",
    }
    file = stack.enter_context(path.open("rb"))
    return stack.enter_context(av.open(Nameless(file), options=options, metadata_errors="replace"))


def _add_streams(
    source: Any, out: Any, info: AudioInfo, track: Track, add: bool
) -> tuple[dict[int, Any], Any]:
    """Give ``out`` its streams; return the copied ones by their index, and the new sound."""
    old = source.streams.audio[info.stream]
    targets: dict[int, Any] = {}
    sound = None
    for stream in source.streams:
        if stream.index == old.index and not add:
            sound = _add_sound(out, old, info, track)
            sound.disposition = old.disposition
        elif stream.type in _COPIED:
            try:
                copy = out.add_stream_from_template(stream, opaque=True)
            except ValueError:
                raise SettingsError(
                    f"track {stream.index} of {info.path.name!r} is {stream.type} of a kind that "
                    f"{track.container} does not take; {_way_out(track)}"
                ) from None
            copy.metadata.update(_tags(stream.metadata, track))
            copy.disposition = stream.disposition
            targets[stream.index] = copy
    if sound is None:
        sound = _add_sound(out, old, info, track)
        sound.metadata["title"] = "remix"
    out.metadata.update(_tags(source.metadata, track))
    chapters = source.chapters()
    if chapters:
        out.set_chapters(chapters)
    return targets, sound


def _add_sound(out: Any, old: Any, info: AudioInfo, track: Track) -> Any:
    import av

    layout = old.codec_context.layout.name
    if track.codec == "alac":
        layout = _ALAC_LAYOUTS.get(layout, layout)
    sound = out.add_stream(track.codec, rate=info.sample_rate, layout=layout)
    context = sound.codec_context
    context.time_base = Fraction(1, info.sample_rate)
    if track.codec == "alac":
        context.format = av.AudioFormat("s32p")
    elif track.codec == "flac":
        context.format = av.AudioFormat("s32")
    elif track.codec == "aac":
        context.bit_rate = max(old.codec_context.bit_rate or 0, _AAC_BITS_PER_S * info.n_channels)
    tags = _tags(old.metadata, track)
    sound.metadata.update({key: tags[key] for key in _SOUND_TAGS if key in tags})
    return sound


def _tags(tags: dict[str, str], track: Track) -> dict[str, str]:
    """Return tags but for those that say how the old file was made."""
    kept = {key: value for key, value in tags.items() if key.lower() not in _OWN_TAGS}
    language = kept.get("language")
    if language and track.container == "mov":
        kept["language"] = _MAC_LANGUAGES.get(language, language)
    return kept


def _way_out(track: Track) -> str:
    other = ".wav, for the sound alone" if track.container == "matroska" else ".mkv"
    return f"use an output that ends in {other}"


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return text if isinstance(text, str) and text else os.strerror(getattr(error, "errno", 0) or 0)
