"""A sound asked for taken out of a file: first it is listened for, then it is separated."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from unstir.audio import probe
from unstir.finding import RATE, Found, Span, asked_of, listen_for
from unstir.journal import Workspace
from unstir.neural.captions import is_plainly
from unstir.neural.query import FILM_QUERIES
from unstir.queries import hints, shorten, stem_names
from unstir.registry import find, make
from unstir.run import Run
from unstir.run_notes import method_options
from unstir.separate import Result, older_result, separate_file
from unstir.settings import Listener, Note, Settings
from unstir.types import Mixture


@dataclass(frozen=True, slots=True)
class Extraction:
    """What came of it.

    Parameters
    ----------
    found : tuple of Found
        Where every sound that was asked for is heard, but for those whose words our encoder does
        not read: of them nothing is known.
    result : Result or None
        The files; None where something was not heard and nothing was to be written then.
    """

    found: tuple[Found, ...]
    result: Result | None

    @property
    def missing(self) -> tuple[str, ...]:
        """What was asked for and is not heard."""
        return tuple(one.query for one in self.found if not one.is_heard)


def extract(
    path: str | Path,
    out_dir: str | Path,
    settings: Settings,
    *,
    name: str | None = None,
    strict: bool = False,
    fresh: bool = False,
    overwrite: bool = False,
    picture: bool = False,
    listener: Listener = lambda event: None,
) -> Extraction:
    """Take what was asked for out of a file; it and what is left add up to the file.

    Whatever method takes it out, it is listened for by the net that ships, once the method has
    loaded what reads the words. A result that is there already, from the same sound and settings,
    is not listened for again.

    Parameters
    ----------
    path, out_dir, fresh, overwrite, picture, listener
        As in `unstir.separate.separate_file`.
    name : str, optional
        Name of the result folder; by default `result_name`, so that other words find another one.
    settings : Settings
        With ``query`` or ``like``.
    strict : bool
        Whether to write nothing where a sound that is wanted is not heard; one that is not wanted
        may be absent.

    Returns
    -------
    Extraction
        Where the sounds are heard, which stands in ``report.json`` too, and the files.

    Raises
    ------
    SettingsError
        If nothing was asked for; and as `unstir.separate.separate_file`, like the others.
    """
    question = asked_of(settings)
    options = method_options(find(settings.method), settings, explain=False)
    separator = make(
        settings.method, question.stems, seed=settings.seed, device=settings.device, **options
    )
    for text in hints(question.queries):
        listener(Note(text))
    for query in question.queries:
        if any(is_plainly(query, stem) for stem in FILM_QUERIES):
            told = f"{shorten(query)!r} is a stem of films; 'unstir separate' is better at those"
            listener(Note(told))
    path = Path(path)
    name = name or result_name(path, settings)
    older = _result_there(
        path, Path(out_dir) / name, settings, fresh=fresh, overwrite=overwrite, picture=picture
    )
    if older is not None and "heard" in older.report:
        found = tuple(
            Found(one["query"], one["score"], tuple(Span(**span) for span in one["spans"]))
            for one in older.report["heard"]
        )
    else:
        # Loads what it needs, or refuses.
        separator.survey([Mixture(np.zeros((1, RATE), np.float32), RATE)])
        found = listen_for(path, settings, listener=listener)
    extraction = Extraction(found, None)
    for one in found:
        if not one.is_heard:
            listener(
                Note(
                    f"{shorten(one.query)!r} is not heard in this sound (score {one.score:.2f}); "
                    "what is taken for it is most likely something else"
                )
            )
    judged = {one.query for one in found}
    for query in question.queries:
        if query not in judged:
            told = (
                f"whether {shorten(query)!r} is heard in this sound is not judged: the net that "
                f"listens reads Latin letters alone; {settings.method} takes it out all the same"
            )
            listener(Note(told))
    if strict and extraction.missing and not question.is_negated:
        return extraction
    result = separate_file(
        path,
        out_dir,
        settings,
        name=name,
        fresh=fresh,
        overwrite=overwrite,
        picture=picture,
        more={"heard": [asdict(one) for one in found]},
        listener=listener,
    )
    return Extraction(found, result)


def result_name(path: Path, settings: Settings) -> str:
    """Return where in the output folder a result lies: by the file's name and what was asked for.

    Examples
    --------
    >>> result_name(Path("street.wav"), Settings(query="Dog; siren"))
    'street/dog siren'
    >>> result_name(Path("street.wav"), Settings(like=("bark.wav",)))
    'street/like bark'
    """
    asked = settings.query or " ".join(["like", *(Path(like).stem for like in settings.like)])
    return f"{path.stem or path.name}/{stem_names([asked])[0]}"


def _result_there(
    path: Path, folder: Path, settings: Settings, *, fresh: bool, overwrite: bool, picture: bool
) -> Result | None:
    """Return the result that is there already; refuse another one before any listening."""
    workspace = Workspace.beside(folder)
    if not (folder.exists() or workspace.folder.exists()):
        return None
    info = probe(path, stream=settings.stream, allow_truncated=settings.allow_truncated)
    key = Run.plan(path, info, settings, picture=picture, explain=False).key
    older = older_result(folder, key, fresh=fresh, overwrite=overwrite)
    if older is None and not fresh:
        workspace.load(key)  # which refuses an interrupted run of other settings
    return older
