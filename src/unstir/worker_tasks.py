"""What a job does with one clip, but for effects: stems, sounds asked for, notes."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unstir.worker_job import Clip, Job, Outputs, Tell, folder_name

if TYPE_CHECKING:
    from unstir.separate import Result
    from unstir.settings import Listener, Note, Progress


def separate_clip(job: Job, clip: Clip, heard: Path, method: str, tell: Tell) -> Outputs:
    """Separate the clip into the job's stems."""
    from unstir.separate import separate_file
    from unstir.settings import Settings

    settings = Settings(method=method, stems=job.stems, format="float32", device=job.device)
    name = folder_name(clip, heard, settings.method, settings.stems, settings.device)
    result = separate_file(
        heard,
        job.out,
        settings,
        name=name,
        overwrite=not _is_whole(job.out / name),
        listener=_listener(tell),
    )
    return _stems(result, settings.method)


def extract_clip(job: Job, clip: Clip, heard: Path, method: str, tell: Tell) -> Outputs:
    """Take out of the clip what words ask for; what is not heard is told in a note beside."""
    from unstir.extracting import extract
    from unstir.queries import shorten
    from unstir.settings import Settings

    settings = Settings(query=job.words, format="float32", device=job.device)
    name = folder_name(clip, heard, settings.method, job.words, settings.device)
    done = extract(
        heard,
        job.out,
        settings,
        name=name,
        overwrite=not _is_whole(job.out / name),
        listener=_listener(tell),
    )
    assert done.result is not None  # which only a strict extraction goes without
    outputs = _stems(done.result, settings.method)
    missing = [f"{shorten(one.query)} ({one.score:.2f})" for one in done.found if not one.is_heard]
    if missing:
        outputs[0]["note"] = f"not heard: {', '.join(missing)}"
    return outputs


def _stems(result: "Result", method: str) -> Outputs:
    null = result.report["null"]
    depth = "exact" if null["exact"] else f"{null['depth_db']} dB"
    return [
        {
            "method": method,
            "stem": stem,
            "file": result.files[stem].absolute(),
            "null": depth,
            "loudness": figures["loudness_lufs"] if figures["loudness_lufs"] is not None else "",
        }
        for stem, figures in result.report["stems"].items()
    ]


def _listener(tell: Tell) -> "Listener":
    from unstir.settings import Progress

    def listen(event: "Progress | Note") -> None:
        if isinstance(event, Progress):
            tell(event.stage, event.done, event.total)
        else:
            print(event.text, file=sys.stderr)

    return listen


def _is_whole(folder: Path) -> bool:
    """Return whether a result is there and none of its files was taken away."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return all((folder / stem["file"]).is_file() for stem in report["stems"].values())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def notes_of_clip(job: Job, clip: Clip, heard: Path, method: str, tell: Tell) -> Outputs:
    """Write what is sung or played in the clip as MIDI."""
    from unstir.plugins.transcribe import transcribe

    # With a stem set the voice is taken out of a mix first; without, the item is one voice.
    stem = {"song": "vocals", "film": "speech"}.get(job.stems)
    path = job.out / f"{folder_name(clip, heard, 'notes', job.stems, method)}.mid"
    melody = transcribe(
        heard, path, stem=stem, method=method or None, overwrite=True, listener=_listener(tell)
    )
    bends = [f"{n.onset_s:.6f} {n.offset_s:.6f} {n.key} {n.velocity}" for n in melody.notes]
    return [
        {
            "file": path.absolute(),
            "notes": len(bends),
            **{f"note_{i + 1}": line for i, line in enumerate(bends)},
        }
    ]
