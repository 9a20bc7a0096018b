"""Hybrid Transformer Demucs, from the package ``demucs``, as a net like ours.

The package is optional (``pip install 'unstir[demucs]'``) and brings no weights. A released
checkpoint, ``.safetensors`` or ``.th``, is added with ``unstir models add demucs --file FILE``. The
latter is a pickle of classes: it is read with their names standing for nothing, so no code in it,
and none of the package's own unpickling, ever runs.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unstir.errors import SettingsError
from unstir.neural.released import fit_to

SAMPLE_RATE = 44100
SOURCES = ("drums", "bass", "other", "vocals")
CLASS = "demucs.htdemucs.HTDemucs"
OVERLAP = 0.25  # of neighboring segments, as in the package


@dataclass(frozen=True, slots=True)
class DemucsConfig:
    """Settings of the package's ``HTDemucs``, by default those of the released ``htdemucs``.

    Parameters
    ----------
    settings : mapping of str to object
        Its keyword arguments besides the sources, as JSON takes them: ``segment``, which is a
        fraction of seconds, as ``"39/5"``.
    """

    settings: Mapping[str, Any] = field(
        default_factory=lambda: {"bottom_channels": 512, "dconv_mode": 3, "segment": "39/5"}
    )


class Demucs(nn.Module):
    """HTDemucs on sound of any length, in segments of the length that it was trained on.

    Parameters
    ----------
    config : DemucsConfig, optional
        Its settings.

    Raises
    ------
    SettingsError
        If the package is not installed, or has no such settings.

    References
    ----------
    S. Rouard, F. Massa, A. Défossez, "Hybrid Transformers for Music Source Separation", ICASSP
    2023.
    """

    def __init__(self, config: DemucsConfig | None = None) -> None:
        super().__init__()
        try:
            from demucs.htdemucs import HTDemucs
        except ImportError as error:
            raise SettingsError(
                "demucs needs the package demucs; install it with pip install 'unstir[demucs]'"
            ) from error
        self.config = config or DemucsConfig()
        settings = dict(self.config.settings)
        try:
            settings["segment"] = Fraction(settings["segment"])
            self.net = HTDemucs(list(SOURCES), **settings)
        except Exception as error:  # what it makes of settings from outside is without limit
            raise SettingsError(f"HTDemucs does not take its settings: {error}") from error

    def forward(self, mixture: Tensor) -> Tensor:
        """Return drums, bass, other and vocals.

        Parameters
        ----------
        mixture : Tensor
            float32, shape (batch, channels, samples) at 44.1 kHz; one or two channels.

        Returns
        -------
        Tensor
            float32, shape (batch, 4, channels, samples).
        """
        from demucs.apply import apply_model

        n_channels = mixture.shape[1]
        stereo = mixture.expand(-1, 2, -1)
        # Its transformer throws Python's dice in every forward: here always the same, and the
        # caller's stay as they are.
        dice = random.getstate()
        random.seed(0)
        try:
            # Without the random shifts of the package, for the same reason.
            sources: Tensor = apply_model(self.net, stereo, shifts=0, overlap=OVERLAP)
        finally:
            random.setstate(dice)
        return sources if n_channels == 2 else sources.mean(dim=2, keepdim=True)


def published_config(path: str | Path) -> DemucsConfig:
    """Return the settings that a released checkpoint was trained with.

    Raises
    ------
    SettingsError
        If the file cannot be read, holds code or another net, or has other sources.
    """
    settings, _ = _read(Path(path))
    return DemucsConfig(settings)


def load_published(path: str | Path) -> dict[str, Tensor]:
    """Return the weights of a released HTDemucs, for ``Demucs(published_config(path))``.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file of the demucs 4.1 releases, or a ``.th`` file of the older ones,
        of which ``state`` alone is used. No code in it is run.

    Returns
    -------
    dict of str to Tensor of float32
        Every parameter and buffer of the net, under its name there.

    Raises
    ------
    SettingsError
        If the package is not installed, or the file cannot be read, holds code or another net.

    Examples
    --------
    >>> load_published("absent.th")
    Traceback (most recent call last):
    unstir.errors.SettingsError: no checkpoint at absent.th; give the path of a released one
    """
    settings, weights = _read(Path(path))
    with torch.random.fork_rng(devices=[]):  # drawing weights must not move the caller's dice
        net = Demucs(DemucsConfig(settings))
    return fit_to(net, {f"net.{name}": value for name, value in weights.items()}, path)


def _read(path: Path) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the settings and the weights in a file."""
    if not path.is_file():
        raise SettingsError(f"no checkpoint at {path}; give the path of a released one")
    try:
        read = _read_safetensors if path.suffix == ".safetensors" else _read_pickle
        class_name, arguments, settings, weights = read(path)
        names = {str(name): value for name, value in weights.items()}
        settings = {name: _plain(value) for name, value in settings.items()}
        sources = settings.pop("sources", None) or arguments[0]
    except Exception as error:  # what a parser raises on a file from anywhere is without limit
        raise SettingsError(
            f"{path} is damaged, no checkpoint of demucs, or holds Python objects, which are never "
            "loaded since they can run code; give a released htdemucs, .safetensors or .th"
        ) from error
    if class_name != CLASS or tuple(sources) != SOURCES:
        raise SettingsError(
            f"{path} holds a {class_name} that gives {', '.join(map(str, sources))}; "
            f"a {CLASS} that gives {', '.join(SOURCES)} is wanted"
        )
    return settings, names


def _read_safetensors(path: Path) -> tuple[str, list[Any], dict[str, Any], dict[str, Tensor]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        notes = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return notes["klass"], json.loads(notes["args"]), json.loads(notes["kwargs"]), weights


class _NoClass:
    """Stands for ``HTDemucs`` in a pickle, where nothing but its name is wanted."""


def _read_pickle(path: Path) -> tuple[str, list[Any], dict[str, Any], dict[str, Tensor]]:
    with torch.serialization.safe_globals([(_NoClass, CLASS), Fraction]):
        content = torch.load(path, map_location="cpu", weights_only=True)
    name = CLASS if content["klass"] is _NoClass else str(content["klass"])
    return name, list(content["args"]), dict(content["kwargs"]), content["state"]


def _plain(value: Any) -> Any:
    """Return a setting as JSON takes it; a fraction as ``"39/5"``."""
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, dict) and value.get("_type") == "fraction":
        return f"{int(value['numerator'])}/{int(value['denominator'])}"
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} is no setting")
