"""Where trained parameters lie: in the package, in the user's model folder, or in any file.

Nothing here reads them. A model is two files, ``NAME.safetensors`` and ``NAME.json`` beside it,
see `unstir.neural.checkpoint`.
"""

import os
import sys
from importlib.resources import files
from pathlib import Path

from unstir.errors import UnknownNameError


def models_folder() -> Path:
    r"""Return the folder of the models that the user added; it need not exist.

    ``UNSTIR_MODELS`` if that is set, else where the platform keeps a user's data:
    ``$XDG_DATA_HOME/unstir/models`` or ``~/.local/share/unstir/models``,
    ``~/Library/Application Support/unstir/models``, ``%LOCALAPPDATA%\unstir\models``.
    """
    chosen = os.environ.get("UNSTIR_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    # Through a variable: a type checker takes sys.platform for the one it runs on.
    platform: str = sys.platform
    if platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
    elif platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        shared = os.environ.get("XDG_DATA_HOME")
        base = Path(shared) if shared else Path.home() / ".local" / "share"
    return base / "unstir" / "models"


def locate(entry: str) -> Path:
    """Return the file that an entry of `unstir.registry.Method.weights` stands for.

    Parameters
    ----------
    entry : str
        ``"package/file"``; ``"store:NAME"``, a model in the user's folder; or ``"file:PATH"``.

    Returns
    -------
    Path
        It need not exist.

    Raises
    ------
    UnknownNameError
        If the entry is none of these.

    Examples
    --------
    >>> locate("unstir.hybrid/dictionaries.safetensors").name
    'dictionaries.safetensors'
    >>> locate("store:mrx") == models_folder() / "mrx.safetensors"
    True
    """
    scheme, colon, rest = entry.partition(":")
    if colon and scheme == "file":
        return Path(rest)
    if colon and scheme == "store":
        return models_folder() / f"{rest}.safetensors"
    package, slash, file = entry.rpartition("/")
    if colon or not slash:
        raise UnknownNameError(
            f"weights at {entry!r} came; package/file, store:NAME or file:PATH is wanted"
        )
    return Path(str(files(package).joinpath(file)))
