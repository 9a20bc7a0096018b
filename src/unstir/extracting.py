"""A sound asked for taken out of a file: first it is listened for, then it is separated."""

from dataclasses import asdict, dataclass
from pathlib import Path

from unstir.finding import Found, listen_for
from unstir.registry import find
from unstir.run_notes import method_options
from unstir.separate import Result, separate_file
from unstir.settings import Listener, Note, Settings


@dataclass(frozen=True, slots=True)
class Extraction:
    """What came of it.

    Parameters
    ----------
    found : tuple of Found
        Where every sound that was asked for is heard.
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

    Whatever method takes it out, it is listened for by the net that ships.

    Parameters
    ----------
    path, out_dir, name, fresh, overwrite, picture, listener
        As in `unstir.separate.separate_file`.
    settings : Settings
        With ``query`` or ``like``.
    strict : bool
        Whether to write nothing where a sound that was asked for is not heard.

    Returns
    -------
    Extraction
        Where the sounds are heard, which stands in ``report.json`` too, and the files.

    Raises
    ------
    SettingsError
        If nothing was asked for; and as `unstir.separate.separate_file`, like the others.
    """
    method_options(find(settings.method), settings, explain=False)  # refuses before it listens
    found = listen_for(path, settings, listener=listener)
    extraction = Extraction(found, None)
    for one in found:
        if not one.is_heard:
            listener(
                Note(
                    f"{one.query!r} is not heard in this sound (score {one.score:.2f}); what is "
                    "taken for it is most likely something else"
                )
            )
    if strict and extraction.missing:
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
