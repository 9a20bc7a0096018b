"""Sound in, sound out: the only module through which the hall touches media files.

========================================  ==========================================
wave files (RIFF, RF64, BW64), PCM/float  `unstir.riff`; entered at any sample
FLAC, AIFF, W64, CAF, Ogg Vorbis          libsndfile; entered at any sample if PCM or FLAC
MP3, Opus, other waves and Oggs, video    `unstir.containers`; decoded from the start
========================================  ==========================================

Which library reads a file is decided by its first bytes, never by its name.
What libsndfile refuses is offered to FFmpeg's libraries.

Promises: the samples do not depend on how they were asked for; 8-, 16- and
24-bit PCM is exact; a reader delivers `AudioInfo.n_samples` finite samples or
raises; it never holds the whole file; no library's exception leaves this
module, only `unstir.errors`; no file besides the one given is opened.

Not done here: `cue`, `smpl` and `LIST` chunks and tags are not carried into
the stems, nor is ``bext`` or iXML into FLAC, which has no place for them; the
MD5 sum within FLAC files is not checked (their frames carry check sums of
their own); RAW files, which say nothing of themselves, are not read.
"""

import os
import re
import stat
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unstir.containers import AudioInfo, probe_container, read_container
from unstir.errors import AudioError, SettingsError
from unstir.riff import Subtype, WavHeader, WavWriter, read_chunks, time_reference
from unstir.soundfiles import (
    FlacWriter,
    Source,
    border,
    cut_message,
    is_cut,
    open_sndfile,
    open_wave,
)
from unstir.types import Waveform

__all__ = ["AudioInfo", "AudioReader", "ixml_with_start", "open_audio", "open_writer", "probe"]

MIN_RATE_HZ, MAX_RATE_HZ, MAX_CHANNELS = 4_000, 768_000, 64  # loudness needs 4 kHz


def probe(
    path: str | os.PathLike[str], *, stream: int = 0, allow_truncated: bool = False
) -> AudioInfo:
    """Return what a file says of its ``stream``-th audio stream.

    Parameters
    ----------
    path : str or path
        A sound file or a video.
    stream : int
        Which audio stream of a container, from 0.
    allow_truncated : bool
        Whether a file that ends early is taken for what there is of it.

    Raises
    ------
    AudioError
        If the file cannot be read as sound, is cut, holds no sample, has another rate
        than 4 kHz to 768 kHz or more than 64 channels, or has no such stream.
    """
    return _open(path, stream, allow_truncated, {})[0]


@contextmanager
def open_audio(
    path: str | os.PathLike[str], *, stream: int = 0, allow_truncated: bool = False
) -> Iterator["AudioReader"]:
    """Give a reader of a file's ``stream``-th audio stream; parameters as in `probe`.

    Raises
    ------
    AudioError
        As `probe`; while reading, if the sound ends early or is not finite.
    """
    repairs: dict[float, str] = {}
    info, source = _open(path, stream, allow_truncated, repairs)
    reader = AudioReader(info, source, repairs)
    try:
        yield reader
    finally:
        reader.close()


class AudioReader:
    """The sound of one stream, block by block; made by `open_audio`.

    Parameters
    ----------
    info : AudioInfo
        What the file says of itself.
    source : callable
        Gives an iterator over pieces of the sound from a first sample on.
    repairs : dict of float to str
        Filled while reading; see `repairs`.
    """

    def __init__(self, info: AudioInfo, source: Source, repairs: dict[float, str]) -> None:
        self.info = info
        self._source, self._repairs = source, repairs
        self._is_open = True
        self._running: weakref.WeakSet[Generator[Waveform, None, None]] = weakref.WeakSet()

    @property
    def repairs(self) -> tuple[str, ...]:
        """Sentences on what was met so far and mended, for the report: holes, early ends."""
        return tuple(self._repairs[at] for at in sorted(self._repairs))

    def blocks(
        self, block_size: int, start: int = 0, stop: int | None = None
    ) -> Generator[Waveform, None, None]:
        """Yield the samples from ``start`` to ``stop``; the same for any partition.

        PCM and FLAC go to ``start`` at once; other formats are decoded from the
        beginning, because a compressed stream entered in the middle gives other
        samples than one read through.

        Yields
        ------
        ndarray of float32, shape (channels, block_size; fewer in the last), C-contiguous
            Full scale is 1. Each is the caller's own.

        Raises
        ------
        AudioError
            If the sound ends before `AudioInfo.n_samples`, is damaged or not finite.
        SettingsError
            If ``block_size`` is below 1 or ``start`` below 0.
        """
        if block_size < 1 or start < 0:
            raise SettingsError(
                f"block_size={block_size} and start={start} came; at least 1 and 0 are wanted"
            )
        self._check_open()
        return self._blocks(block_size, start, stop)

    def read(self, start: int = 0, stop: int | None = None) -> Waveform:
        """Return a stretch at once, all by default; parameters and errors as of `blocks`.

        Returns
        -------
        ndarray of float32, shape (channels, samples)
            Shorter than asked for where the sound ends before ``stop``.
        """
        none = np.zeros((self.info.n_channels, 0), np.float32)
        return np.concatenate([none, *self.blocks(2**18, start, stop)], axis=1)

    def close(self) -> None:
        """Close the file; to read on raises."""
        self._is_open = False
        for pieces in list(self._running):
            pieces.close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise AudioError(f"{str(self.info.path)!r} was closed before it was read to the end")

    def _blocks(
        self, block_size: int, start: int, stop: int | None
    ) -> Generator[Waveform, None, None]:
        self._check_open()
        parts: list[Waveform] = []
        n_held = 0
        pieces = self._pieces(start, stop)
        self._running.add(pieces)
        for piece in pieces:
            at = 0
            while at < piece.shape[1]:
                part = piece[:, at : at + block_size - n_held]
                parts.append(part)
                at, n_held = at + part.shape[1], n_held + part.shape[1]
                if n_held == block_size:
                    yield np.concatenate(parts, axis=1)
                    self._check_open()
                    parts, n_held = [], 0
        if parts:
            yield np.concatenate(parts, axis=1)

    def _pieces(self, start: int, stop: int | None) -> Generator[Waveform, None, None]:
        """Yield finite sound between two samples, in whatever pieces it comes."""
        info, at = self.info, start
        end = min((n for n in (stop, info.n_samples) if n is not None), default=None)
        if end is not None and end <= start:
            return
        with border(info.path):
            for piece in self._source(start):
                wave = piece if end is None else piece[:, : end - at]
                finite = np.isfinite(wave)
                if not finite.all():
                    n = int(np.argmin(finite.all(axis=0)))
                    channel = int(np.argmin(finite[:, n]))
                    raise AudioError(
                        f"{str(info.path)!r} holds {wave[channel, n]} at "
                        f"{(at + n) / info.sample_rate:.6f} s in channel {channel + 1}; "
                        "only finite 32-bit float values can be taken apart, so mend it there"
                    )
                yield wave
                at += wave.shape[1]
                if at == end:
                    return
            if info.n_samples is not None:
                raise AudioError(
                    cut_message(info.path, f"{at} of {info.n_samples} samples are there")
                )


def _open(
    path: str | os.PathLike[str], stream: int, allow_truncated: bool, repairs: dict[float, str]
) -> tuple[AudioInfo, Source]:
    path = Path(path)
    with border(path):
        stamp = _stamp(path)
        with open(path, "rb") as file:
            magic = file.read(12)
        found: tuple[AudioInfo, Source] | None = None
        header, truncated = None, False
        if magic[:4] in (b"RIFF", b"RF64", b"BW64") and magic[8:] == b"WAVE":
            header = read_chunks(path)
            truncated = header.is_cut
            if truncated and not allow_truncated:
                raise AudioError(cut_message(path, "its header claims more sound than there is"))
            if header.subtype is not None:
                found = open_wave(path, header)
        elif magic[:4] in (b"fLaC", b"FORM", b"caff", b"riff", b"OggS"):
            truncated = is_cut(path)
            if truncated and not allow_truncated:
                raise AudioError(cut_message(path, "its header claims more sound than there is"))
            found = open_sndfile(path, truncated)
        if found is None:
            found = _open_container(path, stream, header, truncated, allow_truncated, repairs)
        info, source = found
        if not 0 <= stream < info.audio_streams:
            raise AudioError(
                f"{str(path)!r} has {info.audio_streams} audio stream, numbered 0; {stream} came"
            )
        if info.n_samples == 0:
            raise AudioError(f"{str(path)!r} holds no sample; at least one is wanted")
        if not MIN_RATE_HZ <= info.sample_rate <= MAX_RATE_HZ:
            raise AudioError(
                f"{str(path)!r} says {info.sample_rate} samples a second; "
                f"{MIN_RATE_HZ} to {MAX_RATE_HZ} are read"
            )
        if not 1 <= info.n_channels <= MAX_CHANNELS:
            raise AudioError(
                f"{str(path)!r} says {info.n_channels} channels; 1 to {MAX_CHANNELS} are read"
            )

    def guarded(start: int) -> Iterator[Waveform]:
        if _stamp(path) != stamp:
            raise AudioError(f"{str(path)!r} changed while it was read; start again")
        return source(start)

    return info, guarded


def _open_container(
    path: Path,
    stream: int,
    header: WavHeader | None,
    truncated: bool,
    allow_truncated: bool,
    repairs: dict[float, str],
) -> tuple[AudioInfo, Source]:
    info = replace(probe_container(path, stream), truncated=truncated)
    if header is not None:
        start = time_reference(header.bext or b"")
        info = replace(info, bext=header.bext, ixml=header.ixml, time_reference=start)

    def source(start: int) -> Iterator[Waveform]:
        n_skipped = 0
        for wave in read_container(info, allow_truncated, repairs):
            n = min(start - n_skipped, wave.shape[1])
            n_skipped += n
            if n < wave.shape[1]:
                yield wave[:, n:]

    return info, source


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what tells a file from what may stand in its place later."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{str(path)!r} is a folder; name one of the files in it")
    if not stat.S_ISREG(found.st_mode):
        raise AudioError(f"{str(path)!r} is not an ordinary file; copy its sound into one")
    if found.st_size == 0:
        raise AudioError(f"{str(path)!r} is empty; get a whole copy")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def open_writer(
    path: str | os.PathLike[str],
    format: Literal["wav", "flac"],
    *,
    sample_rate: int,
    n_channels: int,
    n_samples: int,
    subtype: Subtype,
    layout: tuple[str, ...] | None = None,
    bext: bytes | None = None,
    ixml: bytes | None = None,
) -> WavWriter | FlacWriter:
    """Return a writer of a sound file of known length; see `WavWriter` and `FlacWriter`.

    Raises
    ------
    AudioError
        If the format cannot hold what is asked, ``bext`` and iXML in FLAC included,
        or the file cannot be written.
    """
    shape: dict[str, Any] = {
        **{"sample_rate": sample_rate, "n_channels": n_channels, "n_samples": n_samples},
        **{"subtype": subtype, "layout": layout},
    }
    if format == "wav":
        return WavWriter(path, bext=bext, ixml=ixml, **shape)
    if format != "flac":
        raise AudioError(f"the format {format!r} came; 'wav' and 'flac' are written")
    if bext is not None or ixml is not None:
        raise AudioError("a bext or iXML chunk came; FLAC has no place for them, so write WAV")
    return FlacWriter(path, **shape)


def ixml_with_start(payload: bytes, offset_samples: int) -> bytes:
    """Return an iXML payload whose start times lie ``offset_samples`` later.

    iXML repeats the start of ``bext`` as two decimal halves of a 64-bit number,
    in one or both of two places; all else stays as it is.

    Examples
    --------
    >>> ixml_with_start(b"<BWF_TIME_REFERENCE_LOW>2</BWF_TIME_REFERENCE_LOW>", 5)
    b'<BWF_TIME_REFERENCE_LOW>7</BWF_TIME_REFERENCE_LOW>'
    """
    for high, low in (
        (b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI", b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO"),
        (b"BWF_TIME_REFERENCE_HIGH", b"BWF_TIME_REFERENCE_LOW"),
    ):
        patterns = [
            re.compile(rb"(<%b>\s*)(\d{1,10})(\s*</%b>)" % (key, key)) for key in (high, low)
        ]
        halves = [pattern.search(payload) for pattern in patterns]
        if halves[1] is None:
            continue
        start = (int(halves[0][2]) << 32 if halves[0] else 0) + int(halves[1][2]) + offset_samples
        values = [b"%d" % (start >> 32 & 0xFFFFFFFF), b"%d" % (start & 0xFFFFFFFF)]
        for pattern, value in zip(patterns, values, strict=True):
            payload = pattern.sub(rb"\g<1>%b\g<3>" % value, payload, count=1)
    return payload
