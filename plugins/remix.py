"""Another mix of a sound, a video or a folder of stems, written as it is computed.

Sound is taken apart into a folder beside the result, every stem goes through its strip, the sum
through the master, and the result is written to a temporary name and renamed when it is whole.
Memory does not grow with the length. The folder stays if the run is interrupted, so that the same
call goes on where it stopped, and goes when the result is there.

Stems that add up to the source bit for bit (16- and 24-bit PCM) are summed and nothing else, so
that a rack that does nothing gives the source back. Other stems, of 32-bit float, miss the source
by their rounding; they come with it, see `unstir.plugins.rack`.

Not done here: whole numbers are rounded without dither, since dither would change what is not
to change; sound that a rack pushes above full scale is clipped where the format has no room
for it, and the report counts the samples.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unstir import __version__
from unstir.audio import AudioInfo, ixml_with_start, open_audio, open_writer, probe
from unstir.deliver import Format, choose_format
from unstir.errors import AudioError, SettingsError, UnstirError
from unstir.journal import Workspace, is_disk_full, write_whole
from unstir.loudness import Meter
from unstir.pcm import to_integers
from unstir.plugins.rack import Blocks, StemRack
from unstir.plugins.vst3 import latency_warnings
from unstir.registry import stem_set
from unstir.remux import CONTAINERS, Track, VideoWriter, choose_track, has_picture, rehearse
from unstir.riff import bext_with_start
from unstir.separate import separate_file
from unstir.settings import Listener, Note, Progress, Settings
from unstir.stem_folder import BLOCK, StemFolder, find_stems
from unstir.types import Waveform

SOUNDS = (".wav", ".flac")
TOLERANCE_LU = 0.5  # of a master's loudness, as EBU R 128 has it for live programs
_WHOLE = ("sums", "format", "from_s", "to_s", "preview_s")  # settings that a remix has no use for


@dataclass(frozen=True, slots=True)
class Remix:
    """A finished remix.

    Parameters
    ----------
    file : Path
        Where it is.
    report : dict
        What the JSON file beside it holds.
    """

    file: Path
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Target:
    """How the result is written: as sound alone, or into a copy of a video."""

    kind: Format | Track
    add_track: bool
    notes: tuple[str, ...]


def stems_of(source: Path, stems: str = "film") -> tuple[str, ...]:
    """Return the stems that a remix of ``source`` has: a folder's own, or those of a stem set."""
    return tuple(find_stems(source).files) if source.is_dir() else stem_set(stems)


def remix(
    source: str | Path,
    out: str | Path,
    rack: StemRack,
    *,
    settings: Settings | None = None,
    add_track: bool = False,
    overwrite: bool = False,
    listener: Listener = lambda event: None,
) -> Remix:
    """Write another mix of ``source`` to ``out``, and what was done to ``out`` + ``.json``.

    Parameters
    ----------
    source : str or Path
        Sound, video with sound, or a folder of stems. Never written to.
    out : str or Path
        Ends in .wav or .flac; for video also in .mp4, .m4v, .mov or .mkv.
    rack : StemRack
        What happens to the stems.
    settings : Settings, optional
        How sound is taken apart; a stretch, a format or sums cannot be chosen.
    add_track : bool
        Whether the video keeps its old sound and the new one comes as a further track.
    overwrite : bool
        Whether an older ``out`` is replaced.
    listener : callable
        Told of progress, and of what the user should know.

    Raises
    ------
    AudioError
        If the sound cannot be read, or the result not written.
    SettingsError
        If the rack or the output does not fit the sound.
    """
    began = time.monotonic()
    source, out, settings = Path(source), Path(out), settings or Settings()
    for name in _WHOLE:
        if getattr(settings, name) != getattr(Settings(), name):
            raise SettingsError(f"{name} came; a remix is of the whole sound, so leave it out")
    stems = find_stems(source) if source.is_dir() else None
    info = (
        stems.info
        if stems
        else probe(source, stream=settings.stream, allow_truncated=settings.allow_truncated)
    )
    names = tuple(stems.files) if stems else stem_set(settings.stems)
    _check_out(source, out, overwrite)
    target = _choose_target(source, out, info, add_track)
    rack.check(names, info.n_channels)
    if not rack.needs_survey:  # an effect that will not open is better known before the work
        rack.open(info.sample_rate, info.n_channels, names)
    workspace = Workspace.beside(out)
    with workspace.locked():
        whole = workspace.folder / f"whole{out.suffix}"
        try:
            if stems is None:
                stems = _separated(source, workspace, settings, listener)
            report = _Job(source, out, info, stems, target, settings).run(rack, whole, listener)
            report["seconds"] = round(time.monotonic() - began, 3)
            os.replace(whole, out)
            text = json.dumps(report, indent=2, allow_nan=False)
            write_whole(out.with_name(out.name + ".json"), text.encode() + b"\n")
        except (OSError, UnstirError) as error:
            workspace.clear()
            if not is_disk_full(error):
                raise
            raise AudioError(
                f"the disk of {out.parent} is full, and nothing was kept; free some or choose "
                "another output"
            ) from None
        workspace.clear()
    return Remix(out, report)


def _check_out(source: Path, out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise SettingsError(f"{out} is a folder; name the file to write")
    if not out.exists():
        return
    if source.exists() and out.samefile(source):
        raise SettingsError(f"{out} is the input, which is never written to; choose another -o")
    if not overwrite:
        raise SettingsError(f"{out} exists; use --overwrite or another -o")


def _choose_target(source: Path, out: Path, info: AudioInfo, add_track: bool) -> _Target:
    """Return how to write; refuse what cannot be written before anything is."""
    suffix = out.suffix.lower()
    if suffix in CONTAINERS:
        if source.is_dir() or not has_picture(source):
            raise SettingsError(
                f"{source.name!r} has no picture, so {out.name!r} cannot be a video; "
                f"an output that ends in {' or '.join(SOUNDS)} is wanted"
            )
        track = choose_track(info, out)
        notes = rehearse(source, info, track, add=add_track)
        if not track.lossless:
            notes += (f"the sound is {info.subtype}, and is encoded again as AAC",)
        elif track.bits and (info.pcm_bits is None):
            notes += (f"the sound is {info.subtype}, and is rounded to 24 bits",)
        return _Target(track, add_track, notes)
    if suffix not in SOUNDS:
        raise SettingsError(
            f"{out.name!r} came; an output that ends in {', '.join((*SOUNDS, *CONTAINERS))} "
            "is wanted"
        )
    if add_track:
        raise SettingsError(f"{out.name!r} is no video, so no track can be added; leave it out")
    own = choose_format(info, "source")
    if suffix == ".wav":
        return _Target(Format("wav", own.bits), False, ())
    rounded = f"the sound is {info.subtype}, and is rounded to 24 bits"
    return _Target(choose_format(info, "flac"), False, () if own.bits else (rounded,))


def _separated(
    source: Path, workspace: Workspace, settings: Settings, listener: Listener
) -> StemFolder:
    """Return the stems of a sound, made in the workspace, or there from an interrupted run."""
    stat = source.stat()
    wanted = [str(source.resolve()), stat.st_size, stat.st_mtime_ns, asdict(settings), __version__]
    name = "stems-" + hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:12]
    keep = (name, Workspace.beside(workspace.folder / name).folder.name, "lock")
    for item in workspace.folder.iterdir():  # left by a run with other settings
        if item.name not in keep:
            shutil.rmtree(item) if item.is_dir() else item.unlink()
    separate_file(source, workspace.folder, settings, name=name, listener=listener)
    return find_stems(workspace.folder / name)


@dataclass(frozen=True, slots=True)
class _Job:
    """Stems, where they came from, and where they go."""

    source: Path
    out: Path
    info: AudioInfo
    stems: StemFolder
    target: _Target
    settings: Settings

    def blocks(self) -> Iterator[tuple[Mapping[str, Waveform], Waveform | None]]:
        """Yield the stems, and the source too where they do not add up to it exactly."""
        with ExitStack() as stack:
            mixes: Iterator[Waveform] | None = None
            if not (self.source.is_dir() or self.stems.report["null"]["exact"]):
                reader = stack.enter_context(
                    open_audio(
                        self.source,
                        stream=self.settings.stream,
                        allow_truncated=self.settings.allow_truncated,
                    )
                )
                mixes = reader.blocks(BLOCK)
            for block in self.stems.blocks():
                yield block, None if mixes is None else next(mixes)

    def _listened(self, listener: Listener) -> Blocks:
        """Return `blocks` with its progress told."""

        def blocks() -> Iterator[tuple[Mapping[str, Waveform], Waveform | None]]:
            done = 0
            for stems, mix in self.blocks():
                yield stems, mix
                done += next(iter(stems.values())).shape[1]
                listener(Progress("leveling", done, self.stems.n_samples))

        return blocks

    def run(self, rack: StemRack, path: Path, listener: Listener) -> dict[str, Any]:
        """Write the result to ``path`` and return the report."""
        info, rate, n_samples = self.info, self.info.sample_rate, self.stems.n_samples
        notes = [*self.target.notes, *rack.warnings()]
        for chain in (*(strip.chain for strip in rack.strips.values()), rack.master):
            notes += latency_warnings(chain, rate)
        rack_used = rack.survey(self._listened(listener), rate, layout=info.layout)
        stream = rack_used.open(rate, info.n_channels, tuple(self.stems.files))
        video = isinstance(self.target.kind, Track)
        length = n_samples if video else n_samples + stream.tail
        if video and stream.tail:
            notes.append(
                f"the sound ends with the picture: {stream.tail / rate:.2f} s of tail are cut off"
            )
        figures = _Figures(info)
        left = length
        with self._writer(path, length) as writer:
            done = 0
            for stems, mix in self.blocks():
                left -= figures.write(writer, stream.process(stems, mix)[:, :left])
                done += next(iter(stems.values())).shape[1]
                listener(Progress("remixing", done, n_samples))
            left -= figures.write(writer, stream.finish()[:, :left])
        if left:
            raise AudioError(f"{left} samples are missing at the end of {self.out.name!r}")
        if figures.n_over and not figures.holds_louder(self.target.kind):
            notes.append(
                f"{figures.n_over} samples are above full scale and were clipped, by up to "
                f"{20 * math.log10(figures.peak):.1f} dB; lower the gains or add a limiter "
                "with --master"
            )
        notes += _missed_target(rack, figures.meter.integrated_lufs())
        for text in notes:
            listener(Note(text))
        return {
            "unstir": __version__,
            "input": self.source.name,
            "stems": {
                "names": list(self.stems.files),
                **{key: self.stems.report.get(key) for key in ("method", "device", "null")},
            },
            "rack": rack.to_json(),
            "rack_as_leveled": rack_used.to_json() if rack.needs_survey else None,
            "automation": {
                stem: {"points": len(curve.times_s), "until_s": curve.times_s[-1]}
                for stem, strip in rack.strips.items()
                if (curve := strip.automation) is not None
            },
            "output": {
                "file": self.out.name,
                **asdict(self.target.kind),
                "sample_rate_hz": rate,
                "channels": info.n_channels,
                "samples": length,
                "tail_samples": length - n_samples,
                "start_s": info.start_s if video else 0.0,
                "added_track": self.target.add_track,
            },
            "loudness_lufs": _rounded(figures.meter.integrated_lufs()),
            "peak_dbfs": _rounded(20 * math.log10(figures.peak) if figures.peak else None),
            "samples_above_full_scale": figures.n_over,
            "sha256_before_encoding": figures.digest.hexdigest(),
            "notes": notes,
        }

    def _writer(self, path: Path, n_samples: int) -> Any:
        info, kind = self.info, self.target.kind
        if isinstance(kind, Track):
            return VideoWriter(self.source, path, info, kind, add=self.target.add_track)
        tags: dict[str, Any] = {}
        if kind.container == "wav":
            tags["bext"] = None if info.bext is None else bext_with_start(info.bext, 0)
            tags["ixml"] = None if info.ixml is None else ixml_with_start(info.ixml, 0)
        return _Rounding(
            open_writer(
                path,
                kind.container,
                sample_rate=info.sample_rate,
                n_channels=info.n_channels,
                n_samples=n_samples,
                subtype=kind.subtype,
                layout=info.layout,
                **tags,
            ),
            kind.bits,
        )


def _missed_target(rack: StemRack, found_lufs: float | None) -> list[str]:
    """Return a sentence if the master levels loudness and did not get there."""
    targets = [e.settings["target_lufs"] for e in rack.master.effects if e.name == "loudness"]
    if found_lufs is None or not targets or abs(found_lufs - float(targets[0])) <= TOLERANCE_LU:
        return []
    return [
        f"master: the sound has {found_lufs:.1f} LUFS instead of {float(targets[0]):g}: it has "
        "peaks that the ceiling holds back, or more gain was wanted than most_gain_db allows"
    ]


class _Rounding:
    """A writer of sound files that takes float for any format."""

    def __init__(self, writer: Any, bits: int | None) -> None:
        self._writer, self._bits = writer, bits

    def write(self, block: Waveform) -> None:
        self._writer.write(to_integers(block, self._bits) if self._bits else block)

    def __enter__(self) -> "_Rounding":
        self._writer.__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        self._writer.__exit__(*how)


class _Figures:
    """What is measured of the result on its way out."""

    def __init__(self, info: AudioInfo) -> None:
        self.meter = Meter(info.sample_rate, info.n_channels, info.layout)
        self.peak, self.n_over = 0.0, 0
        self.digest = hashlib.sha256()  # of the samples, interleaved, as 32-bit float

    def write(self, writer: Any, block: Waveform) -> int:
        """Write a block and return its length."""
        if block.shape[1]:
            writer.write(block)
            self.meter.push(block)
            magnitude = np.abs(block)
            self.peak = max(self.peak, float(magnitude.max()))
            self.n_over += int(np.count_nonzero(magnitude > 1))
            self.digest.update(np.ascontiguousarray(block.T, "<f4").tobytes())
        return int(block.shape[1])

    @staticmethod
    def holds_louder(kind: Format | Track) -> bool:
        """Return whether a format holds sound above full scale."""
        return kind.bits is None and (isinstance(kind, Format) or kind.lossless)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
