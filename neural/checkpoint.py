"""Models on disk: weights as safetensors, and a JSON beside them that says what they are.

``NAME.safetensors`` holds every tensor of the net's ``state_dict``; ``NAME.json`` holds the number
of the format, the net's name, the fields of its frozen config, sources, sample rate, the SHA-256 of
the weights, and a card: recipe, data and licences, figures. Neither can hold code.
"""

import dataclasses
import hashlib
import importlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from unstir.errors import SettingsError, UnknownNameError

FORMAT = 1
LARGEST_HALF = 65504.0

# name -> module, class, config class; a net joins by one line.
NETS: Mapping[str, tuple[str, str, str]] = {
    "compact": ("unstir.neural.compact", "Compact", "CompactConfig"),
    "mrx": ("unstir.neural.mrx", "MRX", "MRXConfig"),
    "audiosep": ("unstir.neural.audiosep", "ResUNet30", "ResUNet30Config"),
    "demucs": ("unstir.neural.demucs_adapter", "Demucs", "DemucsConfig"),
    "unet": ("unstir.neural.unet", "Unet", "UnetConfig"),
    "chimera": ("unstir.neural.chimera", "Chimera", "ChimeraConfig"),
    "vocalnet": ("unstir.neural.vocalnet", "Vocalnet", "VocalnetConfig"),
    "vad": ("unstir.neural.vocalnet", "Vad", "VadConfig"),
    "refiner": ("unstir.neural.refiner", "Refiner", "RefinerConfig"),
    "trust": ("unstir.neural.trust", "Trust", "TrustConfig"),
    "query": ("unstir.neural.query_net", "QueryNet", "QueryConfig"),
    "blstm": ("unstir.neural.families", "BandBlstm", "BandBlstmConfig"),
    "bandsplit": ("unstir.neural.families", "BandSplit", "BandSplitConfig"),
    "text": ("unstir.neural.text", "TextNet", "TextConfig"),
}


@dataclass(frozen=True, slots=True)
class Description:
    """What the JSON of a model says.

    Parameters
    ----------
    net : str
        A name of `NETS`.
    config : dict
        Fields of the net's config.
    sources : tuple of str
        What the net gives, in order.
    sample_rate : int
        What it takes, in hertz.
    sha256 : str
        Of the safetensors file, in hexadecimal.
    card : dict
        Recipe, data and licences, figures, and whatever else its maker says.
    """

    net: str
    config: dict[str, Any]
    sources: tuple[str, ...]
    sample_rate: int
    sha256: str
    card: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """A net with its weights, and what it is.

    Parameters
    ----------
    net : nn.Module
        In evaluation mode, on the CPU, in float32.
    config : object
        The frozen dataclass that built it.
    sources : tuple of str
        What it gives, in order.
    sample_rate : int
        What it takes, in hertz.
    card : dict
        As in `Description`.
    """

    net: nn.Module
    config: Any
    sources: tuple[str, ...]
    sample_rate: int
    card: dict[str, Any]


def classes(net_name: str) -> tuple[ModuleType, type[nn.Module], type[Any]]:
    """Return the module, the net's class and its config's class.

    Raises
    ------
    UnknownNameError
        If there is no net of that name.

    Examples
    --------
    >>> classes("mrx")[1].__name__
    'MRX'
    """
    if net_name not in NETS:
        raise UnknownNameError(f"there is no net {net_name!r}; there are {', '.join(NETS)}")
    module_name, net_class, config_class = NETS[net_name]
    module = importlib.import_module(module_name)
    return module, getattr(module, net_class), getattr(module, config_class)


def random_model(net_name: str, config: Any = None, *, seed: int = 0) -> Model:
    """Return a net whose weights were drawn, not learned: for tests and for timing.

    Parameters
    ----------
    net_name : str
        A name of `NETS`.
    config : object, optional
        Its config; the net's own default if None.
    seed : int
        Same seed, same weights; torch's global generator is left as it was.

    Examples
    --------
    >>> from unstir.neural.mrx import MRXConfig
    >>> random_model("mrx", MRXConfig((64,), hop_length=16, n_hidden=4)).sources
    ('music', 'speech', 'effects')
    """
    module, net_class, config_class = classes(net_name)
    config = config_class() if config is None else config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = net_class(config)
    return Model(net.eval(), config, tuple(module.SOURCES), int(module.SAMPLE_RATE), {})


def save(
    path: str | Path,
    net_name: str,
    net: nn.Module,
    config: Any,
    sources: Sequence[str],
    card: Mapping[str, Any],
    *,
    half: bool = True,
    sample_rate: int | None = None,
) -> None:
    """Write ``path`` and the JSON beside it; an older model there stays whole until the new one is.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``. Its folder is made if it is not there.
    net_name : str
        A name of `NETS`.
    net : nn.Module
        Left as it is.
    config : dataclass
        What built the net; its fields must be what JSON holds, or tuples of that.
    sources : sequence of str
        What the net gives, in order.
    card : mapping
        Recipe, data and licences, figures, as JSON takes them.
    half : bool
        Whether matrices and kernels are kept in 16 bits. Vectors (biases, normalizations), which
        are few and whose range is wide, stay float32.
    sample_rate : int, optional
        In hertz; by default ``SAMPLE_RATE`` of the net's module.

    Raises
    ------
    SettingsError
        If the path has another ending, or there is no net of that name.
    """
    from safetensors.torch import save as to_bytes

    path = _checked(path)
    module, _, _ = classes(net_name)
    tensors = {name: _stored(value, half) for name, value in net.state_dict().items()}
    content = to_bytes(tensors)
    description = {
        "format": FORMAT,
        "net": net_name,
        "config": dataclasses.asdict(config),
        "sources": list(sources),
        "sample_rate": int(module.SAMPLE_RATE if sample_rate is None else sample_rate),
        "sha256": hashlib.sha256(content).hexdigest(),
        "card": dict(card),
    }
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {path.name: content, path.with_suffix(".json").name: text.encode()}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unstir-") as folder:
        for name, data in files.items():
            _write(Path(folder) / name, data)
        # Both are on the disk before either has its name, so that only a crash between the two
        # renames leaves a pair that does not belong together, which the checksum then tells.
        for name in files:
            (Path(folder) / name).replace(path.with_name(name))


def _stored(tensor: Tensor, half: bool) -> Tensor:
    # A clone: safetensors refuses tensors that share memory, as tied weights do.
    tensor = tensor.detach().cpu().contiguous().clone()
    if half and tensor.is_floating_point() and tensor.ndim > 1:
        return tensor.half() if tensor.abs().max() <= LARGEST_HALF else tensor
    return tensor


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise SettingsError(f"a model at {path} came; a name that ends in .safetensors is wanted")
    return path


def describe(path: str | Path) -> Description:
    """Return what the JSON beside the weights says, without reading the weights.

    Parameters
    ----------
    path : str or Path
        The safetensors file.

    Raises
    ------
    SettingsError
        If a file is missing, or the JSON is damaged or of a newer format.
    """
    path = _checked(path)
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            raise SettingsError(
                f"there is no {file}; a model is two files, {path.name} and {beside.name}"
            )
    try:
        kept = json.loads(beside.read_text(encoding="utf-8"))
        number = int(kept["format"])
    except (OSError, ValueError, TypeError, KeyError):
        raise _damaged(beside) from None
    if number > FORMAT:
        raise SettingsError(
            f"{beside} was written by a newer version (format {number}; this version reads up to "
            f"{FORMAT}); update unstir"
        )
    try:
        description = Description(
            str(kept["net"]),
            {name: tuples(value) for name, value in kept["config"].items()},
            tuple(str(name) for name in kept["sources"]),
            int(kept["sample_rate"]),
            str(kept["sha256"]),
            dict(kept["card"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _damaged(beside) from None
    if description.sample_rate < 1 or not description.sources:
        raise _damaged(beside)
    return description


def _damaged(path: Path) -> SettingsError:
    return SettingsError(f"{path} describes no model or is damaged; get both its files anew")


def tuples(value: Any) -> Any:
    """Return lists as the tuples that they were before JSON."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def load(path: str | Path) -> Model:
    """Return the model that `save` wrote.

    Parameters
    ----------
    path : str or Path
        The safetensors file; the JSON lies beside it.

    Returns
    -------
    Model
        On the CPU, in float32, in evaluation mode.

    Raises
    ------
    SettingsError
        If a file is missing, damaged, tampered with or of a newer format, or the weights do
        not fit the net.
    UnknownNameError
        If there is no such net.

    Examples
    --------
    >>> from unstir.neural.mrx import MRXConfig
    >>> small = random_model("mrx", MRXConfig((64,), hop_length=16, n_hidden=4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "small.safetensors"
    ...     save(path, "mrx", small.net, small.config, small.sources, {"license": "CC0-1.0"})
    ...     load(path).card
    {'license': 'CC0-1.0'}
    """
    from safetensors.torch import load as from_bytes

    path = Path(path)
    description = describe(path)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != description.sha256:
        raise SettingsError(
            f"{path} is truncated or was changed: its SHA-256 is not the one in "
            f"{path.with_suffix('.json').name}; get both files anew"
        )
    _, net_class, config_class = classes(description.net)
    config = _config(path, config_class, description.config)
    try:
        with torch.random.fork_rng(devices=[]):  # drawing weights must not move the caller's dice
            net = net_class(config)
        net.load_state_dict(from_bytes(content))
    except Exception as error:  # whatever torch and the net make of sizes from outside
        reason = " ".join(str(error).split())
        raise SettingsError(
            f"the weights in {path} do not fit the net {description.net!r} of "
            f"{path.with_suffix('.json').name}: {reason[:300]}"
        ) from error
    return Model(net.eval(), config, description.sources, description.sample_rate, description.card)


def _config(path: Path, config_class: type[Any], fields: Mapping[str, Any]) -> Any:
    beside = path.with_suffix(".json")
    unknown = sorted(fields.keys() - {field.name for field in dataclasses.fields(config_class)})
    if unknown:
        raise SettingsError(
            f"{beside} has settings that {config_class.__name__} does not know: "
            f"{', '.join(unknown)}; update unstir, or get the model anew"
        )
    try:
        return config_class(**fields)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{beside} has settings that cannot be: {error}") from error
