"""The other side of the DAW scripts: does what a job file says and tells how far it is."""

import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unstir.errors import AudioError, SettingsError, UnstirError
from unstir.types import Waveform
from unstir.worker_chain import chain_clip, live_chain
from unstir.worker_job import Cancelled, Clip, Job, Segment, Status, Tell, read_job, remove_old
from unstir.worker_tasks import extract_clip, notes_of_clip, separate_clip

BLOCK = 2**18
ACTIONS = {
    "separate": separate_clip,
    "extract": extract_clip,
    "notes": notes_of_clip,
    "chain": chain_clip,
}
STAGES = {  # where each stage begins and ends, as a share of the work on a clip
    "assembling": (0.0, 0.04),
    "reading": (0.04, 0.08),
    "listening": (0.04, 0.08),
    "learning": (0.08, 0.1),
    "separating": (0.1, 0.92),
    "writing": (0.92, 1.0),
}


def work(job_path: str | Path) -> int:
    """Do a job; return 0 if it was done, 2 if it failed and 130 if it was cancelled.

    What came of it is in ``status.txt`` beside the job: ``state`` is ``running``, ``done``,
    ``failed`` or ``cancelled``; ``error`` says why it failed; ``output_N_file``, ``_clip``,
    ``_method``, ``_stem`` and so on list the results. To call it again after it was cancelled or
    killed goes on where it stopped.

    Parameters
    ----------
    job_path : str or Path
        The job file; its folder takes the status file and what is needed in between.

    Raises
    ------
    SettingsError
        If there is no folder for the status file.
    """
    job_path = Path(job_path)
    if not job_path.parent.is_dir():
        raise SettingsError(f"there is no folder {job_path.parent}; write the job file first")
    remove_old(job_path.parent)
    status = Status(job_path.parent)
    with status.beating():
        try:
            outputs = _do(read_job(job_path), job_path.parent, status)
        except Cancelled:
            status.end("cancelled")
            return 130
        except UnstirError as error:
            status.end("failed", error=error)
            print(f"unstir: {error}", file=sys.stderr)
            return 2
        except Exception as error:
            # The script shows the sentence, log.txt keeps the rest.
            traceback.print_exc()
            status.end("failed", error=f"{type(error).__name__}: {error}")
            return 2
        numbered = {
            f"output_{i + 1}_{key}": value
            for i, output in enumerate(outputs)
            for key, value in output.items()
        }
        status.end("done", progress=1.0, stage="done", outputs=len(outputs), **numbered)
    return 0


def _do(job: Job, folder: Path, status: Status) -> list[dict[str, object]]:
    if job.action == "chain" and job.live and (live := live_chain(job)):
        return [{"clip": i + 1, **live} for i in range(len(job.clips))]
    job.out.mkdir(parents=True, exist_ok=True)
    outputs: list[dict[str, object]] = []
    n_parts = len(job.clips) * len(job.methods)
    for i, clip in enumerate(job.clips):
        heard = folder / f"heard_{i + 1}.wav"
        try:
            for j, method in enumerate(job.methods):
                tell = _teller(status, i * len(job.methods) + j, n_parts)
                if j == 0:
                    assemble(clip, heard, tell)
                found = ACTIONS[job.action](job, clip, heard, method, tell)
                outputs += [{"clip": i + 1, **one} for one in found]
        finally:
            heard.unlink(missing_ok=True)
    return outputs


def _teller(status: Status, part: int, n_parts: int) -> Tell:
    def tell(stage: str, done: int, total: int) -> None:
        begin, end = STAGES.get(stage, (0.1, 0.92))
        share = begin + (end - begin) * (done / total if total else 0)
        status.update(stage=stage, progress=round((part + share) / n_parts, 4))

    return tell


def assemble(clip: Clip, path: Path, tell: Tell = lambda stage, done, total: None) -> None:
    """Write the sound of a clip as a wave file of 32-bit floats; it appears only when whole.

    Parameters
    ----------
    clip : Clip
        What is heard.
    path : Path
        Where to write.
    tell : callable
        Told the stage, the samples done and all samples.

    Raises
    ------
    AudioError
        If the file cannot be read or has another sample rate than the clip says.
    """
    from unstir.audio import open_audio
    from unstir.riff import WavWriter

    total = sum(segment.count for segment in clip.segments)
    with open_audio(clip.file) as reader:
        info = reader.info
        if info.sample_rate != clip.sample_rate:
            raise AudioError(
                f"{str(clip.file)!r} has {info.sample_rate} samples a second and the DAW says "
                f"{clip.sample_rate}; let the DAW render the item instead"
            )
        n_samples = info.n_samples
        if n_samples is None:
            raise AudioError(
                f"{str(clip.file)!r} does not know its length; let the DAW render the item instead"
            )

        def read(start: int, stop: int) -> Waveform:
            """Return the file from ``start`` to ``stop``, silent where there is none."""
            inside = slice(min(max(start, 0), n_samples), min(max(stop, 0), n_samples))
            out = np.zeros((info.n_channels, stop - start), np.float32)
            at = inside.start - start
            for block in reader.blocks(BLOCK, inside.start, inside.stop):
                out[:, at : at + block.shape[1]] = block
                at += block.shape[1]
            return out

        temporary = path.with_name(path.name + ".part")
        if isinstance(clip.channels, tuple):
            n_out = len(clip.channels)
        else:
            n_out = 1 if clip.channels == "mean" else info.n_channels
        done = 0
        with WavWriter(
            temporary,
            sample_rate=info.sample_rate,
            n_channels=n_out,
            n_samples=total,
            subtype="FLOAT",
            layout=info.layout if n_out == info.n_channels else None,
        ) as writer:
            for segment in clip.segments:
                for start, stop in _pieces(segment):
                    wave = read(start, stop)[:, :: segment.step]
                    writer.write(_routed(wave, clip.channels))
                    done += wave.shape[1]
                    tell("assembling", done, total)
    os.replace(temporary, path)


def _pieces(segment: Segment) -> Iterator[tuple[int, int]]:
    """Yield the bounds of pieces of a stretch in the order in which they sound.

    Examples
    --------
    >>> list(_pieces(Segment(9, 4, -1)))
    [(6, 10)]
    """
    for at in range(0, segment.count, BLOCK):
        n = min(BLOCK, segment.count - at)
        if segment.step > 0:
            yield segment.first + at, segment.first + at + n
        else:
            yield segment.first - at - n + 1, segment.first - at + 1


def _routed(wave: Waveform, channels: tuple[int, ...] | str) -> Waveform:
    if channels == "mean":
        mean: Waveform = wave.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        return mean
    if isinstance(channels, str):
        return np.ascontiguousarray(wave)
    out = np.zeros((len(channels), wave.shape[1]), np.float32)
    for i, channel in enumerate(channels):
        if 1 <= channel <= len(wave):
            out[i] = wave[channel - 1]
    return out
