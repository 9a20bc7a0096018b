"""Every method on one file, side by side: what ``unstir compare`` measures and shows.

A method takes apart an excerpt in a process of its own, by the same command that a user
would type, so that its time and its peak memory are those of a real run and a method that
dies does not take the others with it.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstir import __version__
from unstir.audio import AudioInfo, open_writer, probe
from unstir.bench import MEASURED
from unstir.channels import Routed, groups
from unstir.compare import candidates
from unstir.errors import SettingsError, UnknownNameError, UnstirError
from unstir.metrics import Scores, absent, loudness_lufs, null_depth_db, scores
from unstir.registry import find, make, stem_set
from unstir.report_sources import (
    References,
    read_excerpt,
    read_reference,
    read_whole,
    reference_files,
    shown,
)
from unstir.settings import Listener, Note, Progress
from unstir.types import Mixture, Stems, Waveform

if TYPE_CHECKING:
    from unstir.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one method made of the excerpt.

    Parameters
    ----------
    method, kind : str
        Its name, and what it is: ``"control"``, ``"classical"``, ``"neural"`` or ``"hybrid"``.
    device : str
        What it really ran on.
    stems : dict of str to ndarray of float32, each of shape (channels, samples)
        What came out.
    loudness_lufs : dict of str to float or None
        Integrated loudness of each stem; None for silence.
    scores : dict of str to Scores
        Per stem; empty without references.
    null_depth_db : float or None
        Error of the stems' sum against the mix; None if there is none, to the last bit.
    seconds : float
        Time of the run: reading, separating and writing.
    peak_mb : float or None
        Peak resident memory of its process; None where the system does not tell, and for
        the oracle, which has no process of its own.
    """

    method: str
    kind: str
    device: str
    stems: Stems
    loudness_lufs: dict[str, float | None]
    scores: dict[str, Scores]
    null_depth_db: float | None
    seconds: float
    peak_mb: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every method on one excerpt of one file.

    Parameters
    ----------
    name : str
        The file's name.
    stem_set : str
        ``"film"`` or ``"song"``.
    sample_rate : int
        In hertz.
    file_samples : int
        Length of the whole file.
    start : int
        Where in the file the excerpt begins, in samples.
    mix : ndarray of float32, shape (channels, samples)
        The excerpt.
    references : dict of str to ndarray of float32, each of the mix's shape
        The true stems; empty if they are not known.
    outcomes : tuple of Outcome
        In the registry's order.
    seed : int
        Of methods that draw random numbers.
    layout : tuple of str, optional
        Loudspeaker of every channel.
    notes : tuple of str
        What was left out, and why.
    provenance : mapping of str to Provenance
        Per hybrid, which evidence moved the stems where.
    """

    name: str
    stem_set: str
    sample_rate: int
    file_samples: int
    start: int
    mix: Waveform
    references: Stems
    outcomes: tuple[Outcome, ...]
    seed: int = 0
    layout: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    provenance: "Mapping[str, Provenance]" = field(default_factory=dict)

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        return stem_set(self.stem_set)

    @property
    def duration_s(self) -> float:
        """Length of the excerpt in seconds."""
        return float(self.mix.shape[1] / self.sample_rate)

    @property
    def devices(self) -> tuple[str, ...]:
        """What the methods ran on."""
        return tuple(dict.fromkeys(outcome.device for outcome in self.outcomes))

    def records(self) -> list[dict[str, Any]]:
        """Return one flat dict per method and stem; None where a figure is not known.

        The null depth is None where ``null_exact`` is true. Figures have four decimals.
        """
        none = Scores(None, None, None)
        rows = [
            {
                "file": self.name,
                "method": outcome.method,
                "kind": outcome.kind,
                "stem": stem,
                **asdict(outcome.scores.get(stem, none)),
                "loudness_lufs": outcome.loudness_lufs[stem],
                "null_depth_db": outcome.null_depth_db,
                "null_exact": outcome.null_depth_db is None,
                "seconds": outcome.seconds,
                "real_time_factor": self.duration_s / outcome.seconds,
                "peak_mb": outcome.peak_mb,
                "device": outcome.device,
            }
            for outcome in self.outcomes
            for stem in self.stems
        ]
        return [
            {key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()}
            for row in rows
        ]

    def header(self) -> dict[str, Any]:
        """Return what was compared, and how, as JSON takes it."""
        return {
            "unstir": __version__,
            "file": self.name,
            "file_s": round(self.file_samples / self.sample_rate, 6),
            "sample_rate_hz": self.sample_rate,
            "channels": len(self.mix),
            "layout": self.layout,
            "start_s": round(self.start / self.sample_rate, 6),
            "duration_s": round(self.duration_s, 6),
            "stem_set": self.stem_set,
            "references": bool(self.references),
            "devices": self.devices,
            "seed": self.seed,
            "notes": self.notes,
        }

    def to_frame(self) -> Any:
        """Return `records` as a pandas DataFrame, indexed by method and stem.

        Raises
        ------
        SettingsError
            If pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise SettingsError("a frame needs pandas, which is not installed; pip install pandas")
        import pandas

        return pandas.DataFrame(self.records()).set_index(["method", "stem"])


def compare_file(
    path: str | Path,
    /,
    *,
    stems: str = "film",
    methods: Sequence[str] | None = None,
    reference: str | Path | References | None = None,
    seconds: float = 30.0,
    start_s: float | None = None,
    device: str = "auto",
    seed: int = 0,
    listener: Listener = lambda event: None,
) -> Comparison:
    """Return what every method makes of an excerpt of a file.

    Parameters
    ----------
    path : str or Path
        Sound, or video with sound.
    stems : str
        The stem set.
    methods : sequence of str, optional
        By default all that are ready. ``mixture`` is always among them, and with
        references ``oracle``.
    reference : str, Path or mapping of str to tuple of Path, optional
        A folder of true stems as `reference_files` reads it, or what that returns.
    seconds : float
        Length of the excerpt; the whole file if that is shorter.
    start_s : float, optional
        Where the excerpt begins; by default where the loudest, busiest one does.
    device : str
        For nets: ``"auto"``, ``"cpu"``, ``"cuda"``.
    seed : int
        For methods that draw random numbers.
    listener : callable
        Told of progress and of methods that are left out.

    Raises
    ------
    AudioError
        If the sound cannot be read, or the references do not fit it.
    SettingsError
        If an option is out of range, or a method that was asked for cannot do this.
    """
    path = Path(path)
    names = stem_set(stems)
    if not 0 < seconds < math.inf or not 0 <= (start_s or 0) < math.inf:
        raise SettingsError(
            f"an excerpt of {seconds:g} s from {start_s or 0:g} s came; a length above 0 and a "
            "start of 0 or later are wanted"
        )
    info = probe(path)
    chosen, notes = _chosen(stems, methods, info.n_channels, known=reference is not None)
    files = reference_files(reference, names) if isinstance(reference, str | Path) else reference
    listener(Progress("reading", 0, 1))
    start, file_samples, mix = read_excerpt(path, info, seconds, start_s)
    references = {
        name: read_reference(parts, info, file_samples, start, mix.shape)
        for name, parts in (files or {}).items()
    }
    outcomes: list[Outcome] = []
    provenance = {}
    for i, name in enumerate(chosen):
        listener(Progress(f"comparing {len(chosen)} methods", i, len(chosen)))
        try:
            made = _run(name, stems, mix, info, references, device, seed)
            if find(name).kind == "hybrid":
                from unstir.provenance import explain_all  # only a hybrid waits for torch

                hybrid = make(name, stems, seed=seed, device=device)
                routed = Routed(hybrid, groups(info.n_channels, info.layout))
                provenance[name] = explain_all(routed, Mixture(mix, info.sample_rate))
        except UnstirError as error:
            if methods and name in methods:
                raise
            notes.append(f"left out: {name}, which failed: {error}")
            continue
        outcomes.append(_measured(name, made, mix, info, references))
    if references:
        notes += absent().values()
    for note in notes:
        listener(Note(note))
    return Comparison(
        shown(path.name),
        stems,
        info.sample_rate,
        file_samples,
        start,
        mix,
        references,
        tuple(outcomes),
        seed,
        info.layout,
        tuple(notes),
        provenance,
    )


def _chosen(
    stems: str, wanted: Sequence[str] | None, n_channels: int, *, known: bool
) -> tuple[list[str], list[str]]:
    """Return the methods to run and notes on those left out; refuse what was asked for in vain."""
    for name in wanted or ():
        method = find(name)
        if stems not in method.stem_sets:
            raise UnknownNameError(
                f"{name} cannot give the stem set {stems!r}; it gives {', '.join(method.stem_sets)}"
            )
        if method.needs == "weights":
            make(name, stems)  # refuses, and says where to get them
        if method.needs == "references" and not known:
            raise SettingsError(f"{name} needs the true stems; give them with --reference")
        if method.min_channels > n_channels:
            raise SettingsError(f"{name} needs two channels or more and the file has one")
    controls = ["mixture", "oracle"] if known else ["mixture"]
    names = candidates(stems, list(dict.fromkeys([*controls, *wanted])) if wanted else None)
    names = [name for name in names if known or find(name).needs != "references"]
    alone = [name for name in names if find(name).min_channels > n_channels]
    notes = [f"left out: {', '.join(alone)}, which need two channels"] if alone else []
    return [name for name in names if name not in alone], notes


@dataclass(frozen=True, eq=False)
class _Made:
    stems: Stems
    device: str
    seconds: float
    peak_mb: float | None


def _run(
    name: str,
    stems: str,
    mix: Waveform,
    info: AudioInfo,
    references: Stems,
    device: str,
    seed: int,
) -> _Made:
    """Take the excerpt apart: the oracle here, any other method as the command line would."""
    if find(name).needs == "references":
        oracle = make(name, stems, seed=seed, references=references)
        began = time.perf_counter()
        made = oracle.separate(Mixture(mix, info.sample_rate))
        return _Made(made, "cpu", time.perf_counter() - began, None)
    # A classical method is refused a GPU, which is meant for the nets beside it.
    own_device = device if find(name).kind in ("neural", "hybrid") else "auto"
    with tempfile.TemporaryDirectory(prefix="unstir-compare-") as folder:
        excerpt = Path(folder) / "excerpt.wav"
        with open_writer(
            excerpt,
            "wav",
            sample_rate=info.sample_rate,
            n_channels=len(mix),
            n_samples=mix.shape[1],
            subtype="FLOAT",
            layout=info.layout,
        ) as writer:
            samples: Any = mix  # the writers of PCM take whole numbers, this one does not
            writer.write(samples)
        words = ["separate", str(excerpt), "-o", folder, "--method", name, "--stems", stems]
        words += ["--format", "float32", "--device", own_device, "--seed", str(seed), "--json"]
        measured = find_spec("resource") is not None  # not on Windows
        run = ["-c", MEASURED] if measured else ["-m", "unstir"]
        done = subprocess.run(
            [sys.executable, *run, *words], capture_output=True, text=True, check=False
        )
        said = done.stderr.strip().splitlines()
        if done.returncode:
            reasons = [line.removeprefix("unstir: ") for line in said if line[:8] == "unstir: "]
            died = f"its process ended with code {done.returncode}"
            raise SettingsError(reasons[0] if reasons else died)
        result = json.loads(done.stdout.splitlines()[-1])
        return _Made(
            {stem: read_whole(Path(result["files"][stem])) for stem in stem_set(stems)},
            result["device"],
            result["seconds"],
            float(said[-1]) if measured else None,
        )


def _measured(name: str, made: _Made, mix: Waveform, info: AudioInfo, references: Stems) -> Outcome:
    rate, layout = info.sample_rate, info.layout
    return Outcome(
        name,
        find(name).kind,
        made.device,
        made.stems,
        {
            stem: loudness_lufs(sound, sample_rate=rate, layout=layout)
            for stem, sound in made.stems.items()
        },
        scores(references, made.stems, mix, sample_rate=rate) if references else {},
        null_depth_db(mix, made.stems),
        made.seconds,
        made.peak_mb,
    )
