"""All kinds of project files by name, and writing several at once."""

from collections.abc import Callable, Sequence
from pathlib import Path

from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.sessions.aaf import write_aaf
from unstir.sessions.ardour import write_ardour
from unstir.sessions.dawproject import write_dawproject
from unstir.sessions.fcp7 import write_fcp7
from unstir.sessions.fcpx import write_fcpx
from unstir.sessions.mlt import write_mlt
from unstir.sessions.otio import write_otio
from unstir.sessions.post import Delivery, write_wav
from unstir.sessions.reaper import write_rpp
from unstir.sessions.session import Session

Writer = Callable[[Session, Path], None]
FORMATS: dict[str, Writer] = {
    "rpp": write_rpp,
    "ardour": write_ardour,
    "mlt": write_mlt,
    "otio": write_otio,
    "fcp7": write_fcp7,
    "fcpx": write_fcpx,
    "dawproject": write_dawproject,
    "aaf": write_aaf,
    "wav": write_wav,
}
ENDINGS = {"fcp7": "xml", "fcpx": "fcpxml"}


def path_of(format: str, folder: Path, name: str) -> Path:
    """Return what a session of some name is called as a project file, or as a folder.

    Examples
    --------
    >>> path_of("fcp7", Path("out"), "film").as_posix()
    'out/film.xml'
    >>> path_of("ardour", Path("out"), "film").as_posix()
    'out/film-ardour/film.ardour'
    """
    if format == "ardour":
        return folder / f"{name}-ardour" / f"{name}.ardour"
    if format == "wav":
        return folder / f"{name}-wav"
    return folder / f"{name}.{ENDINGS.get(format, format)}"


def check_formats(formats: Sequence[str]) -> None:
    """Refuse kinds of project files that there are not.

    Raises
    ------
    UnknownNameError
        With the name that came.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UnknownNameError(
            f"there is no project file of the kind {', '.join(unknown) or 'of no name'!r}; "
            f"choose from {', '.join(FORMATS)}"
        )


def write_sessions(
    session: Session,
    formats: Sequence[str],
    folder: str | Path,
    *,
    delivery: Delivery | None = None,
    overwrite: bool = False,
) -> dict[str, Path]:
    """Write a session as files of several programs.

    Parameters
    ----------
    session : Session
        From `unstir.sessions.session.read_session`.
    formats : sequence of str
        Names out of `FORMATS`.
    folder : str or Path
        Made if it is not there. Beside the stems, all can be moved together.
    delivery : Delivery, optional
        Of ``"wav"``.
    overwrite : bool
        Whether to replace older files.

    Returns
    -------
    dict of str to Path
        What was written, by format.

    Raises
    ------
    AudioError
        If a file cannot be read or written.
    SettingsError
        If a file is there already, or a path holds what a format cannot.
    UnknownNameError
        If there is no such format.
    """
    check_formats(formats)
    folder = Path(folder)
    name = session.name.replace("/", "-").replace("\\", "-")
    paths = {format: path_of(format, folder.absolute(), name) for format in formats}
    there = [str(path) for path in paths.values() if path.exists()]
    if there and not overwrite:
        raise SettingsError(f"{there[0]} exists; use --overwrite or another -o")
    inputs = {clip.file for clip in (*session.clips, *session.sums)}
    for path in paths.values():
        if path in inputs:
            raise SettingsError(f"{path} is a sound of the session; choose another folder with -o")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for format, path in paths.items():
            if format == "wav":
                write_wav(session, path, delivery)
            else:
                FORMATS[format](session, path)
    except OSError as error:
        raise AudioError(
            f"the folder {folder} cannot be written ({error.strerror}); choose another with -o"
        ) from None
    return paths
