"""Stems as post-production asks for them: DX, MX and FX, stamped WAV, mono or poly, with a 2-pop.

The samples are those of the stems: PCM stays PCM of as many bits, float stays float.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element

import numpy as np

from unstir.audio import AudioInfo, open_audio, open_writer, probe
from unstir.pcm import to_integers
from unstir.riff import Subtype, bext_with_start
from unstir.sessions.session import BLOCK, Clip, Session
from unstir.sessions.speakers import ordered, short_names, width
from unstir.sessions.xmlfile import add, xml_bytes
from unstir.types import Waveform

POST_NAMES = {
    "speech": "DX",
    "music": "MX",
    "effects": "FX",
    "vocals": "VOX",
    "accompaniment": "INST",
}
POP_HZ, POP_DBFS, POP_S = 1000.0, -20.0, 2


@dataclass(frozen=True, slots=True)
class Delivery:
    """How stems are handed over.

    Parameters
    ----------
    naming : {"post", "stems"}
        DX, MX, FX and M&E, or the names of the stems.
    split : {"poly", "mono"}
        All channels in one file, or a file for each, its speaker in its name.
    order : {"smpte", "film"}
        L R C LFE Ls Rs, or L C R Ls Rs LFE.
    two_pop : bool
        Whether two seconds come before the sound, beginning with a frame of 1 kHz at -20 dBFS in
        every channel but the LFE.
    """

    naming: Literal["post", "stems"] = "post"
    split: Literal["poly", "mono"] = "poly"
    order: Literal["smpte", "film"] = "smpte"
    two_pop: bool = False


def write_wav(session: Session, path: Path, delivery: Delivery | None = None) -> None:
    """Write a folder of WAV files: every stem, and every sum that was made with them.

    Time of day is stamped if the stems have one, two seconds earlier with a 2-pop. Where that would
    lie before midnight, nothing is stamped.

    Parameters
    ----------
    session : Session
        Whose stems to hand over.
    path : Path
        The folder; one that is there is replaced.
    delivery : Delivery, optional
        How.

    Raises
    ------
    AudioError
        If a file cannot be read or written.
    SettingsError
        If film order is wanted of speakers that are not known.
    """
    delivery = delivery or Delivery()
    names = short_names(session.layout, session.n_channels)
    channels = ordered(names, delivery.order)
    temporary = path.with_name(path.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        sums = {clip: _sum_name(clip.name) for clip in session.sums}
        for clip in (*session.stems, *session.sums):
            name = clip.name
            if delivery.naming == "post":
                name = sums.get(clip) or POST_NAMES.get(clip.name, clip.name)
            _write_stem(session, clip, name, channels, names, delivery, temporary)
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sum_name(name: str) -> str:
    """Return M&E's usual name for what is called so, as file names cannot hold every form of it."""
    return "ME" if name.replace("&", "").replace("+", "").upper() == "ME" else name


def _write_stem(
    session: Session,
    clip: Clip,
    name: str,
    channels: tuple[int, ...],
    names: tuple[str, ...],
    delivery: Delivery,
    folder: Path,
) -> None:
    info = probe(clip.file)
    lead = pop_samples(session) if delivery.two_pop else np.zeros((0,), np.float32)
    stem = f"{session.name}_{name}_{width(names)}".replace("/", "-")
    groups = [channels] if delivery.split == "poly" else [(c,) for c in channels]
    with ExitStack() as stack:
        writers: list[Any] = []
        for group in groups:
            mono = len(group) == 1 and len(names) > 1
            suffix = f".{names[group[0]]}" if mono else ""
            tracks = [f"{name} {names[c]}".strip() for c in group]
            layout = None if info.layout is None else tuple(info.layout[c] for c in group)
            writers.append(
                stack.enter_context(
                    open_writer(
                        folder / f"{stem}{suffix}.wav",
                        "wav",
                        sample_rate=session.sample_rate,
                        n_channels=len(group),
                        n_samples=len(lead) + session.n_samples,
                        subtype=_subtype(info),
                        layout=None if mono else layout,
                        **_stamps(session, info, len(lead), tracks),
                    )
                )
            )
        for block in _blocks(clip, lead, names):
            values = to_integers(block, info.pcm_bits) if info.pcm_bits else block
            for writer, group in zip(writers, groups, strict=True):
                writer.write(np.ascontiguousarray(values[list(group)]))


def _subtype(info: AudioInfo) -> Subtype:
    return "FLOAT" if info.pcm_bits is None else "PCM_16" if info.pcm_bits == 16 else "PCM_24"


def _blocks(clip: Clip, lead: Waveform, names: tuple[str, ...]) -> Iterator[Waveform]:
    if len(lead):
        yield np.stack([lead * np.float32(name != "LFE") for name in names])
    with open_audio(clip.file) as reader:
        yield from reader.blocks(BLOCK)


def pop_samples(session: Session) -> Waveform:
    """Return a 2-pop: a frame of tone, then silence, two seconds of time code in all.

    Returns
    -------
    ndarray of float32, shape (samples,)
    """
    frame_s = 1 / session.fps
    n_lead = round(POP_S * session.nominal_fps * frame_s * session.sample_rate)
    n_tone = round(frame_s * session.sample_rate)
    lead = np.zeros(n_lead, np.float32)
    phase = 2 * np.pi * POP_HZ * np.arange(n_tone) / session.sample_rate
    lead[:n_tone] = 10 ** (POP_DBFS / 20) * np.sin(phase)
    return lead


def _stamps(session: Session, info: AudioInfo, n_lead: int, tracks: list[str]) -> dict[str, Any]:
    start = session.start - n_lead
    is_stamped = session.is_stamped and start >= 0
    bext = bext_with_start(info.bext, -n_lead) if info.bext and is_stamped else None
    return {"bext": bext, "ixml": ixml(session, start if is_stamped else None, tracks)}


def ixml(session: Session, start: int | None, tracks: list[str]) -> bytes:
    """Return an iXML chunk with the names of tracks, the frame rate and the time of day.

    Parameters
    ----------
    session : Session
        Whose rates are stated.
    start : int or None
        In samples since midnight.
    tracks : list of str
        In channel order.
    """
    root = Element("BWFXML")
    add(root, "IXML_VERSION", "1.61")
    add(root, "PROJECT", session.name)
    speed = add(root, "SPEED")
    rate: Fraction = session.fps
    add(speed, "TIMECODE_RATE", f"{rate.numerator}/{rate.denominator}")
    add(speed, "TIMECODE_FLAG", "NDF")
    add(speed, "FILE_SAMPLE_RATE", session.sample_rate)
    if start is not None:
        add(speed, "TIMESTAMP_SAMPLE_RATE", session.sample_rate)
        add(speed, "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI", start >> 32)
        add(speed, "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO", start & 0xFFFFFFFF)
    listed = add(root, "TRACK_LIST")
    add(listed, "TRACK_COUNT", len(tracks))
    for number, name in enumerate(tracks, 1):
        track = add(listed, "TRACK")
        add(track, "CHANNEL_INDEX", number)
        add(track, "INTERLEAVE_INDEX", number)
        add(track, "NAME", name)
    return xml_bytes(root)
