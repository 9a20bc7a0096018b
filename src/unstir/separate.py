"""The one function behind every front end: a file goes in, a folder of stems comes out."""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unstir import __version__
from unstir.audio import probe
from unstir.channels import Routed, groups
from unstir.errors import AudioError, SettingsError
from unstir.journal import Workspace, is_disk_full
from unstir.registry import make
from unstir.run import Run
from unstir.settings import Listener, Note, Settings, default_method
from unstir.streaming import Grid, one_blas_thread, separate_stream, survey_sample
from unstir.types import Mixture, Separator, State, Stems


@dataclass(frozen=True, slots=True)
class Result:
    """A finished separation.

    Parameters
    ----------
    folder : Path
        Where the stems and ``report.json`` lie.
    files : dict of str to Path
        The file of every stem and sum.
    report : dict
        What ``report.json`` holds.
    reused : bool
        Whether the result was there already, from the same sound and settings.
    """

    folder: Path
    files: dict[str, Path]
    report: dict[str, Any]
    reused: bool = False


def separate_mixture(
    mix: Mixture, *, method: str = "", stems: str = "film", seed: int = 0
) -> Stems:
    """Return the stems of sound in memory, as the same method would give them for a file.

    Parameters
    ----------
    mix : Mixture
        One or two channels; more are taken as neighboring pairs.
    method, stems : str
        As in `Settings`.
    seed : int
        For methods that draw random numbers.

    Returns
    -------
    dict of str to ndarray of float32, each of the mix's shape
        They add up to the mix.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)
    >>> stems = separate_mixture(Mixture(noise, 8000), method="midside")
    >>> bool(np.allclose(sum(stems.values()), noise, atol=1e-5))
    True
    """
    return separate_with(make(method or default_method(stems), stems, seed=seed), mix)


def separate_with(separator: Separator, mix: Mixture) -> Stems:
    """Return the stems of sound in memory by a separator made beforehand.

    Parameters
    ----------
    separator : Separator
        Any, from `unstir.registry.make` or of your own.
    mix : Mixture
        One or two channels; more are taken as neighboring pairs.

    Returns
    -------
    dict of str to ndarray of float32, each of the mix's shape
        They add up to the mix.
    """
    routed = Routed(separator, groups(mix.n_channels))
    with one_blas_thread():
        state = routed.survey(survey_sample([mix.waveform], sample_rate=mix.sample_rate))
    parts = list(
        separate_stream(
            routed,
            [mix.waveform],
            sample_rate=mix.sample_rate,
            grid=Grid.for_rate(mix.sample_rate),
            state=state,
            start=mix.start,
        )
    )
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


def separate_file(
    path: str | Path,
    out_dir: str | Path,
    settings: Settings | None = None,
    *,
    name: str | None = None,
    fresh: bool = False,
    overwrite: bool = False,
    picture: bool = False,
    explain: bool = False,
    more: dict[str, Any] | None = None,
    listener: Listener = lambda event: None,
) -> Result:
    """Take a file apart into ``out_dir/name``: a file per stem and ``report.json``.

    The input is never written to. Stems appear under their names only when all of them
    are whole. A run that was interrupted goes on where it stopped when it is called
    again with the same sound and settings, and ends with the same bytes.

    Parameters
    ----------
    path : str or Path
        Sound, or video with sound.
    out_dir : str or Path
        Made if it is not there.
    settings : Settings, optional
        Method, stems, format and so on.
    name : str, optional
        Name of the result folder; by default the file's name without its ending.
    fresh : bool
        Whether to throw an unfinished run away.
    overwrite : bool
        Whether to replace a result of other sound or settings.
    picture : bool
        Whether to draw ``stems.png``.
    explain : bool
        Whether to draw ``provenance.png``, which evidence moved a hybrid's stems where: of the
        busiest minute at most.
    more : dict, optional
        Further entries of ``report.json``.
    listener : callable
        Told of progress, and of what the user should know.

    Returns
    -------
    Result
        Where everything is.

    Raises
    ------
    AudioError
        If the sound cannot be read, or the result not written.
    SettingsError
        If the settings are wrong, contradict each other, or do not fit the sound.
    JournalError
        If an unfinished run of another version or of other settings is in the way.
    """
    began = time.monotonic()
    path = Path(path)
    settings = settings or Settings()
    info = probe(path, stream=settings.stream, allow_truncated=settings.allow_truncated)
    run = Run.plan(path, info, settings, picture=picture, explain=explain, more=more)
    folder = Path(out_dir) / (name or path.stem or path.name)
    workspace = Workspace.beside(folder)
    reused = older_result(folder, run.key, fresh=fresh, overwrite=overwrite)
    if reused is not None:
        if workspace.folder.exists():
            with workspace.locked():
                workspace.clear()
        return reused
    journal = None if fresh else workspace.load(run.key)
    state: State | None = None
    if journal is None:
        # Everything that can be refused is refused before anything is written.
        journal, state = run.prepare(listener)
        run.check_room(folder, journal.n_samples)
    for text in run.notes:
        listener(Note(text))
    with workspace.locked():
        # Another run may have ended since: its result is not replaced unasked either.
        reused = older_result(folder, run.key, fresh=fresh, overwrite=overwrite)
        if reused is not None:
            return reused
        kept = None if fresh else workspace.load(run.key)
        if kept is None:
            workspace.clear()
        else:
            journal = kept
            listener(Note(f"going on from window {kept.windows_done} of an interrupted run"))
        try:
            if kept is None:
                workspace.save_state(state)
                workspace.save(journal)
            else:
                state = workspace.load_state()
            if not journal.finished:
                journal = run.work(workspace, journal, state, listener, began)
            workspace.publish(folder)
        except (OSError, AudioError) as error:
            if not is_disk_full(error):
                raise
            workspace.clear()
            raise AudioError(
                f"the disk of {folder.parent} is full, and nothing was kept; free about "
                f"{run.bytes_needed(journal.n_samples) / 1e9:.1f} GB or choose another "
                "folder with -o"
            ) from None
    return _result(folder)


def older_result(
    folder: Path, key: dict[str, Any], *, fresh: bool, overwrite: bool
) -> Result | None:
    """Return the result that lies in a folder if it is the one wanted, else None.

    Parameters
    ----------
    folder : Path
        Of results.
    key : dict
        What a result depends on, as of `unstir.run.Run.plan`.
    fresh, overwrite : bool
        As in `separate_file`.

    Raises
    ------
    SettingsError
        If another one lies there, which is not replaced unasked.
    """
    if overwrite or not folder.exists():
        return None
    reused = None if fresh else _reuse(folder, key)
    if reused is None:
        raise SettingsError(
            f"{folder} exists and holds something else; use --overwrite or another -o"
        )
    return reused


def _reuse(folder: Path, key: dict[str, Any]) -> Result | None:
    try:
        result = _result(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = result.report.get("unstir") == __version__ and result.report.get("key") == key
    whole = all(file.is_file() for file in result.files.values())
    return dataclasses.replace(result, reused=True) if same and whole else None


def _result(folder: Path) -> Result:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    outputs = {**report["stems"], **report["sums"]}
    return Result(folder, {n: folder / v["file"] for n, v in outputs.items()}, report)
