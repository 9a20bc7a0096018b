"""Say how well `unstir find` tells when a sound occurs, on scenes whose pieces are known.

    python scripts/report_find.py --pack PACK --out benchmarks/find.json

The recordings are those that report. In every scene one sound is there for a part of the time,
beside one to three others. It is asked for by its name, together with a name of which the scene
holds nothing. Beside the answer stands the trivial one: heard from start to end. The table goes
beside the JSON, as Markdown.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import torch
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.progress import track

from unstir.evaluate import bootstrap_interval
from unstir.finding import GAP_S, Span, listen_for
from unstir.journal import write_whole
from unstir.neural.captions import HELD_OUT, classes_of
from unstir.neural.pack import SAMPLE_RATE, Clip, Pack
from unstir.neural.plans import Piece, digest
from unstir.neural.query_net import FRAME
from unstir.neural.query_scenes import Asked, QueryRecipe
from unstir.neural.render import render
from unstir.registry import find, weights_digest
from unstir.settings import QUERY_METHOD, Settings

SEED = 3100
SCENE_S = 24.0
N_SCENES = {"seen": 120, "held out": 60}
DEPTH_DB = 60.0  # below the loudest frame of its piece, a sound is over
OVERLAP = 0.3  # of a span and a stretch, by intersection over union
FRAME_S = FRAME / SAMPLE_RATE
FIND, ALWAYS = "find", "heard all along"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--scenes", type=int, help="of each kind; by default all")
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pack = Pack(options.pack)
    drawn = {kind: scenes(pack, kind, options.scenes or n) for kind, n in N_SCENES.items()}
    console = Console(stderr=True)
    rows = {
        kind: list(track(answers(pack, part), kind, total=len(part), console=console))
        for kind, part in drawn.items()
    }
    report = {
        "sha256": weights_digest(find(QUERY_METHOD)),
        "scenes": {kind: digest([one.scene for one, _ in part]) for kind, part in drawn.items()},
        "summary": {
            kind: {who: summary(part, who) for who in (FIND, ALWAYS)} for kind, part in rows.items()
        },
        "rows": rows,
    }
    text = table(report["summary"])
    print(text)
    if options.out:
        write_whole(options.out, (json.dumps(report, indent=1) + "\n").encode())
        write_whole(options.out.with_suffix(".md"), (text + "\n").encode())


def scenes(pack: Pack, kind: str, n: int) -> list[tuple[Asked, str]]:
    """Return plans, always the same of a pack, each with a class of which it holds nothing."""
    held_out = kind == "held out"
    recipe = QueryRecipe(pack, "report", film=0, absent=0, targets=HELD_OUT if held_out else ())
    clips = {clip.path: clip for clip in pack.clips}
    found = []
    for index in range(n):
        rng = np.random.default_rng([SEED, int(held_out), index])
        asked = recipe.draw(rng, int(SCENE_S * SAMPLE_RATE))
        while asked.name != asked.sounds[0]:  # asked for by its narrowest name
            asked = recipe.draw(rng, int(SCENE_S * SAMPLE_RATE))
        [bus] = asked.scene.speech
        clip = clips[bus.pieces[0].clip]
        bus = replace(bus, pieces=placed(rng, pack, clip))
        # A class that is held out plays only where it is asked for.
        others = asked.absent
        if held_out:
            others = tuple(name for name in HELD_OUT if name not in classes_of(clip.path))
        absent = others[int(rng.integers(len(others)))]
        found.append((replace(asked, scene=replace(asked.scene, speech=(bus,))), absent))
    return found


def placed(rng: np.random.Generator, pack: Pack, clip: Clip) -> tuple[Piece, ...]:
    """Return where a recording plays: in one to three stretches of one to six seconds at most."""
    n_stretches = int(rng.integers(1, 4))
    part = int(SCENE_S * SAMPLE_RATE) // n_stretches
    pieces = []
    for k in range(n_stretches):
        longest = int(rng.uniform(1, 6) * SAMPLE_RATE)
        free = part - longest - int(GAP_S * SAMPLE_RATE)
        at = k * part + int(rng.integers(free))
        end = at + longest
        over_and_over = rng.random() < 0.5
        while True:
            length = min(clip.n_samples, end - at)
            starts = rng.integers(0, clip.n_samples - length + 1, 3)
            start = max(map(int, starts), key=lambda s: np.sum(pack.read(clip, s, length) ** 2))
            pieces.append(Piece(clip.path, start, at, length))
            at += length + int(rng.uniform(0.05, 0.4) * SAMPLE_RATE)
            if not over_and_over or at + min(clip.n_samples, longest // 4) > end:
                break
    return tuple(pieces)


def answers(pack: Pack, drawn: Sequence[tuple[Asked, str]]) -> Iterator[dict[str, Any]]:
    """Yield what `find` makes of every scene, and how far it is right."""
    clips = {clip.path: clip for clip in pack.clips}
    always = (Span(0.0, SCENE_S, 1.0),)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.wav"
        for asked, absent in drawn:
            stems = render(asked.scene, pack, clips)
            sf.write(path, stems.sum(axis=0).T, SAMPLE_RATE, subtype="FLOAT")
            there, other = listen_for(path, Settings(query=f"{asked.name}; {absent}"))
            pieces = asked.scene.speech[0].pieces
            truth = sounding(stems[0], [piece.at for piece in pieces])
            yield {
                "name": asked.name,
                "absent": absent,
                "family": clips[pieces[0].clip].family,
                FIND: score(truth, there.spans) | wrong(other.spans),
                ALWAYS: score(truth, always) | wrong(always),
            }


def sounding(target: NDArray[np.float32], starts: Sequence[int]) -> NDArray[np.bool_]:
    """Return in which frames a sound is there, each centered on its time.

    Every piece, which lasts until the next one starts, counts down to `DEPTH_DB` below its own
    loudest frame.
    """
    n_frames = -(-target.shape[1] // FRAME)
    padded = np.pad(target, ((0, 0), (FRAME // 2, FRAME)))[:, : n_frames * FRAME]
    power = np.square(padded).reshape(len(target), n_frames, FRAME).mean(axis=(0, 2))
    found = np.zeros(n_frames, bool)
    for begin, end in pairwise([*(round(start / FRAME) for start in starts), n_frames]):
        part = power[begin:end]
        found[begin:end] = part > 10 ** (-DEPTH_DB / 10) * part.max(initial=1e-12)
    return found


def stretches(truth: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return begin and end of what sounds, in seconds, across pauses that `find` ignores, too."""
    there = np.flatnonzero(truth)
    if not len(there):
        return []
    parts = np.split(there, np.flatnonzero(np.diff(there) * FRAME_S > GAP_S) + 1)
    return [(max(0.0, (p[0] - 0.5) * FRAME_S), (p[-1] + 0.5) * FRAME_S) for p in parts]


def score(truth: NDArray[np.bool_], spans: Sequence[Span]) -> dict[str, Any]:
    """Return how spans agree with the frames in which a sound is there.

    Returns
    -------
    dict
        ``"hits"``, ``"false"`` and ``"missed"``, of frames; ``"onset_errors_s"``, of every stretch
        how far its best span begins from it, None where none overlaps it by more than `OVERLAP`.
    """
    times_s = np.arange(len(truth)) * FRAME_S
    called = np.zeros(len(truth), bool)
    for span in spans:
        called |= (times_s >= span.start_s) & (times_s < span.end_s)
    errors_s: list[float | None] = []
    for begin_s, end_s in stretches(truth):
        best, error_s = OVERLAP, None
        for span in spans:
            common_s = min(end_s, span.end_s) - max(begin_s, span.start_s)
            whole_s = max(end_s, span.end_s) - min(begin_s, span.start_s)
            if common_s / whole_s > best:
                best, error_s = common_s / whole_s, round(abs(span.start_s - begin_s), 3)
        errors_s.append(error_s)
    return {
        "hits": int(np.sum(called & truth)),
        "false": int(np.sum(called & ~truth)),
        "missed": int(np.sum(~called & truth)),
        "onset_errors_s": errors_s,
    }


def wrong(spans: Sequence[Span]) -> dict[str, float]:
    """Return how often, and for how long, a sound is heard that is not there."""
    heard_s = sum(span.end_s - span.start_s for span in spans)
    return {"false_spans": len(spans), "false_s": round(heard_s, 3)}


def summary(rows: Sequence[Mapping[str, Any]], who: str) -> dict[str, Any]:
    """Return the figures of all scenes, each with a 95 % interval over families of sources."""
    families = [row["family"] for row in rows]

    def of(key: str) -> NDArray[np.float64]:
        return np.array([row[who][key] for row in rows], np.float64)

    hits, false, missed = of("hits"), of("false"), of("missed")
    onsets = [row[who]["onset_errors_s"] for row in rows]
    near = [[error for error in part if error is not None] for part in onsets]
    n_near, n_onsets = list(map(len, near)), list(map(len, onsets))
    return {
        "scenes": len(rows),
        "families": len(set(families)),
        "stretches": sum(n_onsets),
        "precision": share(hits, hits + false, families),
        "recall": share(hits, hits + missed, families),
        "f1": share(2 * hits, 2 * hits + false + missed, families),
        "stretches_found": share(n_near, n_onsets, families),
        "onset_error_s": median(near, families),
        "false_spans_per_minute": mean(of("false_spans") * 60 / SCENE_S, families),
        "false_share_of_time": mean(of("false_s") / SCENE_S, families),
        "heard_where_it_is": mean(hits + false > 0, families),
        "heard_where_it_is_not": mean(of("false_spans") > 0, families),
    }


def mean(values: ArrayLike, families: Sequence[str]) -> dict[str, Any]:
    """Return the mean and its interval; None for either where there is nothing."""
    data = np.asarray(values, np.float64)
    if not len(data):
        return {"value": None, "interval": None}
    ends = bootstrap_interval(data, groups=families, seed=0)
    return {"value": round(float(data.mean()), 3), "interval": [round(end, 3) for end in ends]}


def share(some: ArrayLike, every: ArrayLike, families: Sequence[str]) -> dict[str, Any]:
    """Return which share some frames or stretches are of all those of all scenes."""
    counts = np.stack([some, np.subtract(every, some)], axis=1).astype(int)
    values = np.tile([1.0, 0.0], len(counts)).repeat(counts.ravel())
    return mean(values, np.repeat(families, counts.sum(axis=1)).tolist())


def median(values: Sequence[Sequence[float]], families: Sequence[str]) -> dict[str, Any]:
    """Return the median of the values of all scenes; its interval draws whole families anew."""
    of_family: dict[str, list[float]] = {}
    for part, family in zip(values, families, strict=True):
        if part:
            of_family.setdefault(family, []).extend(part)
    if not of_family:
        return {"value": None, "interval": None}
    parts = list(of_family.values())
    rng = np.random.default_rng(0)
    drawn = [
        np.median(np.concatenate([parts[k] for k in rng.integers(len(parts), size=len(parts))]))
        for _ in range(2000)
    ]
    return {
        "value": round(float(np.median(np.concatenate(parts))), 3),
        "interval": np.quantile(drawn, [0.025, 0.975]).round(3).tolist(),
    }


def table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures as Markdown."""
    columns = ("precision", "recall", "f1", "stretches_found")
    lines = [
        "| classes | answer | precision % | recall % | F1 % | stretches found % | onset off by s "
        "| where it is not: spans a minute | % of the time |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, part in summaries.items():
        for who, found in part.items():
            cells = [
                *(cell(found[key], 100, 0) for key in columns),
                cell(found["onset_error_s"], 1, 2),
                cell(found["false_spans_per_minute"], 1, 1),
                cell(found["false_share_of_time"], 100, 0),
            ]
            lines.append(f"| {kind} | {who} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(figure: Mapping[str, Any], scale: float, digits: int) -> str:
    if figure["value"] is None:
        return ""
    value, low, high = (f"{scale * x:.{digits}f}" for x in (figure["value"], *figure["interval"]))
    return f"{value} ({low} to {high})"


if __name__ == "__main__":
    main()
