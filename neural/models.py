"""The user's model folder: adding, listing and removing weights that do not come with Unstir.

A checkpoint of any origin is read without running code in it, checked against the net, and kept as
safetensors with a description and a checksum. Nothing is fetched unless its address is given, and
what came is used only if its checksum is the one given with it.
"""

import dataclasses
import hashlib
import http.client
import re
import shutil
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from unstir.errors import SettingsError, UnknownNameError
from unstir.neural.checkpoint import Description, Model, classes, describe, load, random_model, save
from unstir.neural.clap import clap_folder, keep, released_text
from unstir.neural.released import read_checkpoint
from unstir.registry import methods
from unstir.weights import locate, models_folder

CHUNK_BYTES = 1 << 20
STALLED_S = 60.0  # without a single byte; a slow transfer may last as long as it likes
READS_WORDS = "audiosep"  # the method that a CLAP model belongs to
# Nets that ship and separate nothing: what reads words, and what tells where there is speech.
HELPERS = {name: f"unstir.neural/{name}.safetensors" for name in ("text", "vad")}


@dataclass(frozen=True, slots=True)
class Entry:
    """A net's weights, and where they are.

    Parameters
    ----------
    name : str
        Of the method that uses them, or of `HELPERS`.
    state : {"shipped", "added", "not here", "damaged"}
        Whether they come with Unstir, were added by the user, are wanted, or cannot be read.
    path : Path
        The safetensors file, whether it is there or not.
    description : Description or None
        What is known of them, if they are there.
    """

    name: str
    state: str
    path: Path
    description: Description | None


def entries() -> list[Entry]:
    """Return the weights of every method that has a net, in the registry's order, and of helpers.

    Examples
    --------
    >>> [entry.name for entry in entries() if entry.name == "mrx"]
    ['mrx']
    """
    return [_entry(name, weights) for name, weights in _weights().items()]


def find_model(name: str) -> Entry:
    """Return the weights of one method, or of a helper.

    Raises
    ------
    UnknownNameError
        If there is no such model.
    """
    known = _weights()
    if name not in known:
        raise UnknownNameError(f"there is no model {name!r}; choose from {', '.join(known)}")
    return _entry(name, known[name])


def show(name: str) -> dict[str, Any]:
    """Return the description of a model, its card among it.

    Raises
    ------
    UnknownNameError
        If there is no such model.
    SettingsError
        If its weights are not there, or its description cannot be read.
    """
    entry = find_model(name)
    if entry.state == "not here":
        raise SettingsError(
            f"the weights of {name} are not here; add them with 'unstir models add {name} "
            f"--file CHECKPOINT{' --clap FOLDER' if name == READS_WORDS else ''}'"
        )
    return {"name": name, "file": str(entry.path), **dataclasses.asdict(describe(entry.path))}


def add_file(
    name: str, file: str | Path, *, clap: str | Path | None = None, origin: str | None = None
) -> Path:
    """Keep a checkpoint in the model folder, for the method of that name.

    Parameters
    ----------
    name : str
        A method whose weights the user adds.
    file : str or Path
        A released checkpoint, or a model of ours: ``.safetensors``, with its JSON beside it.
        Left as it is.
    clap : str or Path, optional
        Of ``audiosep``, the folder of a CLAP model in the format of ``transformers``; a model of
        ours has it beside it. Its text half is kept, with the weights that the checkpoint has for
        it, if it has any: those are what the separator was trained with.
    origin : str, optional
        Where it came from, for the card; by default the file's name.

    Returns
    -------
    Path
        The safetensors file in the model folder. An older one of that name is replaced.

    Raises
    ------
    UnknownNameError
        If no method takes added weights under that name.
    SettingsError
        If the file is missing, damaged, holds code, or belongs to another net; or if there is no
        CLAP model where one is wanted, a damaged one, or one where none is wanted.
    """
    target = _target(name)
    file = Path(file)
    folder = _clap(name, file, clap)
    if _is_ours(name, file):
        net_name = describe(file).net
        if net_name != name:
            raise SettingsError(
                f"{file} holds a {net_name!r}, and the method {name!r} takes a {name!r}; "
                "give a checkpoint of that net"
            )
        model = load(file)
    else:
        model = _published(name, file, origin or file.name)
    if folder is not None:
        released = {} if _is_ours(name, file) else released_text(read_checkpoint(file))
        digest = keep(folder, clap_folder(target), model.config.condition_size, released)
        model = dataclasses.replace(model, card={**model.card, "clap_sha256": digest})
    save(
        target,
        name,
        model.net,
        model.config,
        model.sources,
        model.card,
        half=False,  # exactly the weights that were given
        sample_rate=model.sample_rate,
    )
    return target


def add_url(name: str, url: str, sha256: str, *, clap: str | Path | None = None) -> Path:
    """Fetch a released checkpoint over https, check it, and keep it as `add_file` does.

    Parameters
    ----------
    name : str
        A method whose weights the user adds.
    url : str
        Begins with ``https://``; so does every address that it leads on to.
    sha256 : str
        Of the file, 64 hexadecimal digits.
    clap : str or Path, optional
        As in `add_file`.

    Returns
    -------
    Path
        The safetensors file in the model folder.

    Raises
    ------
    UnknownNameError
        If no method takes added weights under that name.
    SettingsError
        If the address or the checksum is not of that form, the file cannot be fetched, is another
        than the checksum says, or is no checkpoint of the net.
    """
    _target(name)
    _clap(name, Path("checkpoint"), clap)
    suffix = PurePosixPath(urlsplit(url).path).suffix
    if not url.startswith("https://") or suffix == ".safetensors":
        raise SettingsError(
            f"the address {url} came; an https:// address of one released checkpoint is wanted "
            "(fetch the two files of a model of ours yourself, and add them with --file)"
        )
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise SettingsError(f"--sha256 {sha256} came; 64 hexadecimal digits are wanted")
    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temporary:
        file = Path(temporary) / f"checkpoint{suffix}"
        found = _fetch(url, file)
        if found != sha256.lower():
            raise SettingsError(
                f"what {url} gave has the SHA-256 {found}, not {sha256.lower()}; it was thrown away"
            )
        return add_file(name, file, clap=clap, origin=url)


def remove(name: str) -> None:
    """Remove a model that was added.

    Raises
    ------
    UnknownNameError
        If no method takes added weights under that name, or none are there.
    """
    target = _target(name)
    there = [file for file in (target, target.with_suffix(".json")) if file.exists()]
    if not there:
        raise UnknownNameError(f"no weights of {name} were added; there is nothing to remove")
    for file in there:
        file.unlink()
    shutil.rmtree(clap_folder(target), ignore_errors=True)


def _weights() -> dict[str, str]:
    nets = ("store:", "unstir.neural/")
    firsts = {name: method.weights[0] for name, method in methods().items() if method.weights}
    return {name: first for name, first in firsts.items() if first.startswith(nets)} | HELPERS


def _entry(name: str, weights: str) -> Entry:
    path = locate(weights)
    if not path.exists():
        return Entry(name, "not here", path, None)
    try:
        description = describe(path)
    except SettingsError:
        return Entry(name, "damaged", path, None)
    return Entry(name, "added" if weights.startswith("store:") else "shipped", path, description)


def _target(name: str) -> Path:
    takers = [n for n, method in methods().items() if method.weights[:1] == (f"store:{n}",)]
    if name not in takers:
        raise UnknownNameError(
            f"no method takes added weights named {name!r}; those that do: {', '.join(takers)}"
        )
    return locate(f"store:{name}")


def _clap(name: str, file: Path, given: str | Path | None) -> Path | None:
    """Return the CLAP model that goes with a checkpoint, None where none is wanted."""
    if name != READS_WORDS:
        if given is not None:
            raise SettingsError(
                f"--clap came with {name}, and only {READS_WORDS} takes it; leave it out"
            )
        return None
    beside = clap_folder(file)
    if given is None and not (_is_ours(name, file) and beside.is_dir()):
        raise SettingsError(
            f"{name} reads words by a CLAP model, and none came; give the folder of one in the "
            "format of transformers, too: --clap FOLDER"
        )
    return beside if given is None else Path(given)


def _is_ours(name: str, file: Path) -> bool:
    # Releases of demucs are safetensors, too, but without a JSON beside them.
    has_json = file.with_suffix(".json").is_file()
    return file.suffix == ".safetensors" and (has_json or name != "demucs")


def _published(name: str, file: Path, origin: str) -> Model:
    """Return a net with the weights of a released checkpoint, in the size that this has."""
    module, _, _ = classes(name)
    read = getattr(module, "load_published", None)
    if read is None:
        raise SettingsError(
            f"{file} came; {name} has no released checkpoints, and a .safetensors file with its "
            "JSON beside it is wanted"
        )
    weights = read(file)
    settle = getattr(module, "published_config", None)  # of a net released in several sizes
    model = random_model(name, settle(file) if settle else None)
    model.net.load_state_dict(weights)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    card = {"origin": origin, "origin_sha256": digest, "license": "as its publisher says"}
    return dataclasses.replace(model, card=card)


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to https alone: plain http could be overheard and replaced."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise SettingsError(
                f"{req.full_url} leads on to {newurl}; only https is followed: give another address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(url: str, file: Path) -> str:
    """Write what an address gives, and return its SHA-256."""
    digest = hashlib.sha256()
    try:
        opener = urllib.request.build_opener(_HttpsOnly)
        with opener.open(url, timeout=STALLED_S) as response, file.open("wb") as out:
            while chunk := response.read(CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, SettingsError):  # a ValueError, too, and its own sentence
            raise
        raise SettingsError(f"{url} cannot be fetched: {error}") from error
    return digest.hexdigest()
