"""Videos of a second or two, made for tests, and what tells whether their pictures are the same."""

import hashlib
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48000
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}


def sound(n_channels: int, n_samples: int, seed: int = 0) -> NDArray[np.float32]:
    """Return tones and hiss whose values PCM of 24 bits holds exactly."""
    t = np.arange(n_samples) / RATE
    rng = np.random.default_rng(seed)
    tones = [0.2 * np.sin(2 * np.pi * (220 + 110 * c) * t) for c in range(n_channels)]
    x = 0.1 * np.sin(2 * np.pi * 330 * t) + tones + rng.normal(0, 0.02, (n_channels, n_samples))
    return (np.round(x * 2**23) / 2**23).astype(np.float32)


def film(
    path: Path,
    tracks: list[NDArray[np.float32]],
    codec: str,
    *,
    layout: str = "stereo",
    start: int = 0,
    languages: tuple[str, ...] = ("eng",),
    n_pictures: int = 30,
    n_between: int = 2,
    video_codec: str = "mpeg4",
) -> None:
    """Write a video; its sound begins at sample ``start``, ``n_between`` pictures are reordered."""
    with av.open(str(path), "w", format=CONTAINERS[path.suffix]) as out:
        streams = [out.add_stream(codec, rate=RATE, layout=layout) for _ in tracks]
        for stream, language in zip(streams, languages, strict=True):
            stream.metadata["language"] = language
            kind = {"alac": "s32p", "flac": "s32"}.get(codec)
            if kind:
                stream.codec_context.format = av.AudioFormat(kind)
        video = out.add_stream(video_codec, rate=25) if n_pictures else None
        if video is not None:
            video.width = video.height = 32
            video.codec_context.max_b_frames = n_between
            if video_codec == "libx264":
                video.options = {"x264-params": "b-adapt=0:scenecut=0"}
            for number in range(n_pictures):
                picture = np.full((32, 32, 3), 7 * number % 256, np.uint8)
                picture[number % 32] = 255
                frame = av.VideoFrame.from_ndarray(picture)
                frame.pts = number
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        for x, stream in zip(tracks, streams, strict=True):
            kind = stream.codec_context.format.name
            size = stream.codec_context.frame_size or 1024
            for at in range(0, x.shape[1], size):
                block: NDArray[np.generic] = np.ascontiguousarray(x[:, at : at + size])
                if kind.startswith("s32"):
                    block = np.round(block.astype(np.float64) * 2**31).astype(np.int32)
                if not kind.endswith("p"):
                    block = np.ascontiguousarray(block.T).reshape(1, -1)
                piece = av.AudioFrame.from_ndarray(block, kind, layout)
                piece.sample_rate = RATE
                piece.pts = start + at
                out.mux(stream.encode(piece))
            out.mux(stream.encode(None))


def pictures(path: Path) -> list[tuple[float, str]]:
    """Return when each packet of the picture is shown, from the first, and its hash."""
    with av.open(str(path)) as file:
        found = [
            (float(packet.pts * packet.time_base), hashlib.sha256(bytes(packet)).hexdigest())
            for packet in file.demux(video=0)
            if packet.size
        ]
    return [(round(at, 3), digest) for at, digest in found]


def languages(path: Path) -> list[str | None]:
    """Return the language of each track of sound."""
    with av.open(str(path)) as file:
        return [stream.language for stream in file.streams.audio]
