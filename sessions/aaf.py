"""AAF, which Pro Tools and Media Composer import: a mono clip for every channel of every stem.

The sound is in the file, as 24-bit PCM; stems that add up to PCM still do, bit for bit. The
original is not in it, since AAF has no muted tracks, nor are colors. Markers are events on a track
of their own.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.pcm import quantize_together, to_integers
from unstir.riff import WavWriter
from unstir.sessions.session import Session
from unstir.sessions.speakers import short_names
from unstir.sessions.whole import whole

BITS = 24
MARKER_SLOT = 1000


def write_aaf(session: Session, path: Path) -> None:
    """Write an AAF with the sound in it.

    Raises
    ------
    AudioError
        If the file cannot be written.
    SettingsError
        If the sound is louder than 24-bit PCM can hold.
    """
    with TemporaryDirectory(dir=path.parent, prefix=".unstir-aaf-") as folder:
        files = _mono_files(session, Path(folder))
        with whole(path) as temporary:
            _write(session, files, temporary)


def _mono_files(session: Session, folder: Path) -> dict[str, Path]:
    """Write every channel of every stem to a file of its own; return them by track name."""
    labels = short_names(session.layout, session.n_channels)
    names = [f"{clip.name}.{s}" if s else clip.name for clip in session.stems for s in labels]
    files = {name: folder / f"{i}.wav" for i, name in enumerate(names)}
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                WavWriter(
                    file,
                    sample_rate=session.sample_rate,
                    n_channels=1,
                    n_samples=session.n_samples,
                    subtype="PCM_24",
                )
            )
            for file in files.values()
        ]
        for block in _integers(session):
            for writer, channel in zip(writers, block, strict=True):
                writer.write(channel[None])
    return files


def _integers(session: Session) -> Iterator[Any]:
    """Yield (stems * channels, samples) of int32 that add up."""
    for stems in session.blocks():
        total: NDArray[np.float64] = np.sum(list(stems.values()), axis=0, dtype=np.float64)
        mix = np.asarray(total, np.float32)
        if np.abs(mix).max(initial=0) > 1:
            raise SettingsError(
                "the stems add up to more than full scale, which the PCM of an AAF cannot hold; "
                "lower the sound and separate again"
            )
        found, _ = quantize_together(to_integers(mix, BITS), stems, BITS)
        yield np.concatenate([found[name] for name in stems])


def _write(session: Session, files: dict[str, Path], path: Path) -> None:
    import aaf2

    with aaf2.open(str(path), "w") as file:
        composition = file.create.CompositionMob(session.name)
        composition.usage = "Usage_TopLevel"
        file.content.mobs.append(composition)
        rate = f"{session.fps.numerator}/{session.fps.denominator}"
        slot = composition.create_timeline_slot(rate)
        slot.segment = file.create.Timecode(session.nominal_fps, length=session.n_frames)
        slot.segment.start = session.start_frame
        slot.name = "Timecode"
        for number, (name, sound) in enumerate(files.items(), 1):
            master = file.create.MasterMob(name)
            file.content.mobs.append(master)
            essence = master.import_audio_essence(str(sound), session.sample_rate)
            essence.name = name
            track = composition.create_sound_slot(session.sample_rate)
            track.name = name
            track["PhysicalTrackNumber"].value = number
            track.segment.components.append(
                master.create_source_clip(essence.slot_id, length=session.n_samples)
            )
            track.segment.length = session.n_samples
        if session.markers:
            first_track = list(composition.slots)[1].slot_id
            _add_markers(file, composition, session, rate, first_track)


def _add_markers(
    file: Any, composition: Any, session: Session, rate: str, first_track: int
) -> None:
    slot = file.create.EventMobSlot()
    slot["EditRate"].value = rate
    slot["SlotID"].value = MARKER_SLOT
    slot["SlotName"].value = "Markers"
    slot["PhysicalTrackNumber"].value = 1
    sequence = file.create.Sequence("DescriptiveMetadata")
    for marker in session.markers:
        event = file.create.DescriptiveMarker()
        event["Position"].value = session.frame(marker.sample)
        event["Length"].value = 1
        event["Comment"].value = marker.name
        event["DescribedSlots"].value = {first_track}  # programs show it on that track
        sequence.components.append(event)
    slot.segment = sequence
    composition.slots.append(slot)
