"""Chains of effects: data that a file can hold, opened as a stream that nothing drifts in.

A chain is a list of effect names and parameters, as JSON::

    {"format": 1, "summary": "...", "chain": [{"effect": "high-pass", "cutoff_hz": 80}, ...]}

It never runs code: names are looked up in `unstir.plugins.effects.CATALOG`, and numbers are
checked against it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstir.errors import SettingsError, UnknownNameError
from unstir.plugins.boards import board_of
from unstir.plugins.chain_stream import ChainStream as ChainStream
from unstir.plugins.effects import Effect as Effect
from unstir.plugins.effects import did_you_mean, kind_of
from unstir.types import Waveform

if TYPE_CHECKING:
    from pedalboard._pedalboard import Pedalboard  # where its types say it is

FORMAT = 1
PRESETS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Chain:
    """Effects in the order in which the sound passes them.

    Parameters
    ----------
    name : str
        For messages and reports.
    effects : tuple of Effect
        None at all is the identity, bit for bit.
    summary : str
        One sentence on what it is for.

    Raises
    ------
    SettingsError
        If it levels loudness more than once.

    Examples
    --------
    >>> import numpy as np
    >>> chain = Chain("softer", (Effect("gain", {"gain_db": -6.0}),))
    >>> stream = chain.open(48000, 2)
    >>> ahead = stream.process(np.ones((2, 3), np.float32))
    >>> rest = stream.finish(1)
    >>> np.concatenate([ahead, rest], axis=1).round(3)[0].tolist()
    [0.5009999871253967, 0.5009999871253967, 0.5009999871253967, 0.0]
    """

    name: str
    effects: tuple[Effect, ...] = ()
    summary: str = ""

    def __post_init__(self) -> None:
        if sum(effect.name == "loudness" for effect in self.effects) > 1:
            raise SettingsError(f"{self.name} levels loudness twice; once is enough")

    @property
    def linear(self) -> bool:
        """Whether the chain of a sum is the sum of the chains, so that stems still add up.

        What listens to another stem (ducking) counts as linear: for the same key it distributes.
        """
        return all(kind_of(effect.name).linear for effect in self.effects)

    @property
    def tail_s(self) -> float:
        """Seconds after the end of the input until what still sounds has decayed by 60 dB."""
        return sum(kind_of(e.name).tail_s(e.settings) for e in self.effects)

    @property
    def keys(self) -> tuple[str, ...]:
        """Other stems that its effects listen to, each once, in order."""
        found = [key for e in self.effects for key in kind_of(e.name).keys(e.settings)]
        return tuple(dict.fromkeys(found))

    @property
    def needs_survey(self) -> bool:
        """Whether it levels loudness, which `survey` must measure before the chain is opened."""
        return any(effect.name == "loudness" for effect in self.effects)

    def warnings(self) -> tuple[str, ...]:
        """Return one sentence for each effect after which stems no longer add up.

        Examples
        --------
        >>> Chain("tight", (Effect("compressor"),)).warnings()
        ('tight: compressor is not linear, so stems no longer add up to the mix',)
        """
        found = []
        for effect in self.effects:
            kind = kind_of(effect.name)
            if not kind.linear:
                found.append(
                    f"{self.name}: {effect.name} is not linear, so stems no longer add up "
                    "to the mix"
                )
            found += [f"{self.name}: {text}" for text in kind.warnings(effect.settings)]
        return tuple(dict.fromkeys(found))

    def open(self, sample_rate: int, n_channels: int) -> ChainStream:
        """Return the chain as a stream, in which nothing has sounded yet.

        Parameters
        ----------
        sample_rate : int
            In hertz.
        n_channels : int
            At least 1; six work.

        Raises
        ------
        SettingsError
            If the chain levels loudness and was not surveyed.
        """
        return ChainStream(self, sample_rate, n_channels)

    def board(self) -> "Pedalboard":
        """Return the chain as a `pedalboard.Pedalboard`, for programs that work with those.

        It has Pedalboard's habits: it computes filters in single precision, makes up for no
        latency as a stream, keeps no tail, and wants frequencies below half the sample rate.

        Raises
        ------
        SettingsError
            If no effect of Pedalboard's own gives what one of the chain does.

        Examples
        --------
        >>> board = Chain("thin", (Effect("peak", {"cutoff_hz": 300, "gain_db": -4}),)).board()
        >>> [type(plugin).__name__ for plugin in board]
        ['PeakFilter']
        """
        return board_of(self)

    def survey(
        self,
        blocks: Iterable[Waveform],
        sample_rate: int,
        *,
        layout: tuple[str, ...] | None = None,
        keys: Iterable[Mapping[str, Waveform]] | None = None,
    ) -> "Chain":
        """Return the chain with its loudness leveled to a fixed gain, measured on the whole sound.

        A gain that is fixed for the file changes no dynamics and can stream. It brings the sound,
        as it leaves the chain, to the target: what a limiter after the leveler takes away is made
        up for, by 12 dB at most.

        Parameters
        ----------
        blocks : iterable of ndarray of float32, shape (channels, samples)
            All that will go through the chain. Not read if there is nothing to level, and read up
            to six times if effects follow the leveler: a list, or `leveling.Again`. What can be
            read only once is leveled as it comes to the leveler, and nothing is made up for.
        sample_rate : int
            In hertz.
        layout : tuple of str, optional
            The loudspeaker of each channel, see `unstir.loudness.channel_weights`.
        keys : iterable of dict, optional
            The stems that its effects listen to, block for block, as often as ``blocks``.

        Returns
        -------
        Chain
            With ``gain`` where ``loudness`` stood. Sound without any loudness (silence, less
            than 0.4 s) keeps its level.

        Examples
        --------
        >>> import numpy as np
        >>> chain = Chain("air", (Effect("loudness", {"target_lufs": -23.0}),))
        >>> tone = np.sin(2 * np.pi * 997 * np.arange(96000) / 48000).astype(np.float32)
        >>> effect = chain.survey([tone[None]], 48000).effects[0]
        >>> effect.name, round(effect.parameters["gain_db"], 1)
        ('gain', -20.0)
        """
        if not self.needs_survey:
            return self
        from unstir.plugins.leveling import leveled  # which opens chains

        return leveled(self, blocks, sample_rate, layout=layout, keys=keys)

    def to_json(self) -> dict[str, Any]:
        """Return what a chain file holds.

        Examples
        --------
        >>> Chain("x", (Effect("gain", {"gain_db": -3.0}),), "softer").to_json()
        {'format': 1, 'summary': 'softer', 'chain': [{'effect': 'gain', 'gain_db': -3.0}]}
        """
        return {
            "format": FORMAT,
            "summary": self.summary,
            "chain": [effect.to_json() for effect in self.effects],
        }


def parse_effects(
    content: object, where: str, *, allow_plugins: bool = False
) -> tuple[Effect, ...]:
    """Return the effects of a list as it stands in a chain or rack file.

    Parameters
    ----------
    content : object
        What JSON gave: a list of ``{"effect": NAME, PARAMETER: VALUE, ...}``.
    where : str
        For messages: the file, and the place in it.
    allow_plugins : bool
        Whether it may name VST3 plug-ins, which are programs that could do anything.

    Raises
    ------
    SettingsError, UnknownNameError
        If it is no such list, or an effect does not exist or is out of its range.

    Examples
    --------
    >>> parse_effects([{"effect": "gain", "gain_db": 3}], "mine.json")
    (Effect(name='gain', parameters={'gain_db': 3}),)
    """
    if not isinstance(content, list) or not all(isinstance(e, dict) for e in content):
        raise SettingsError(f'{where}: a list of effects is wanted: [{{"effect": "gain", ...}}]')
    found = []
    for i, given in enumerate(content, start=1):
        parameters = dict(given)
        name = parameters.pop("effect", None)
        if not isinstance(name, str):
            raise SettingsError(f'{where}, effect {i}: "effect" with a name is wanted')
        if name == "vst3" and not allow_plugins:
            raise SettingsError(
                f"{where}, effect {i} is a VST3 plug-in, a program that could do anything you "
                "can; if you trust the file and the plug-in, say --allow-plugins"
            )
        try:
            found.append(Effect(name, parameters))
        except SettingsError as error:
            raise type(error)(f"{where}, effect {i}: {error}") from None
    return tuple(found)


def parse_chain(content: object, name: str, *, allow_plugins: bool = False) -> Chain:
    """Return the chain that a file's content describes.

    Parameters
    ----------
    content : object
        What JSON gave: an object with ``format``, ``chain`` and, if it likes, ``summary``.
    name : str
        What to call it, in messages too.
    allow_plugins : bool
        As in `parse_effects`.

    Raises
    ------
    SettingsError, UnknownNameError
        If it is no chain, or one of a newer format.
    """
    check_format(content, name)
    assert isinstance(content, dict)
    if "stems" in content:
        raise SettingsError(
            f"{name} is a rack, which acts on several stems, and no chain; use it as a rack"
        )
    unknown = sorted(set(content) - {"format", "summary", "chain"})
    if unknown or "chain" not in content:
        raise SettingsError(
            f"{name}: format, summary and chain are wanted; "
            + (f"{', '.join(unknown)} came too" if unknown else "chain is missing")
        )
    effects = parse_effects(content["chain"], name, allow_plugins=allow_plugins)
    return Chain(name, effects, str(content.get("summary", "")))


def check_format(content: object, name: str) -> None:
    """Raise if a chain or rack file is no object, or of a format that is not ours.

    Raises
    ------
    SettingsError
        With what came and what to do.
    """
    if not isinstance(content, dict):
        raise SettingsError(f"{name}: an object with format and chain is wanted")
    version = content.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise SettingsError(
            f"{name} has format {version}, and this version of unstir reads {FORMAT}; update unstir"
        )
    if version != FORMAT or isinstance(version, bool):
        raise SettingsError(f'{name}: "format": {FORMAT} is wanted; {version!r} came')


def read_json(path: Path) -> object:
    """Return what a JSON file holds.

    Raises
    ------
    SettingsError
        If it cannot be read or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); give another") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no JSON ({error}); mend it or give another") from None


def load_chain(path: Path | str, *, allow_plugins: bool = False) -> Chain:
    """Return the chain in a file, named by the file; VST3 plug-ins in it only if allowed.

    Raises
    ------
    SettingsError, UnknownNameError
        If it cannot be read or is no chain.
    """
    path = Path(path)
    name = path.name.removesuffix(".json")
    return parse_chain(read_json(path), name, allow_plugins=allow_plugins)


def presets() -> tuple[str, ...]:
    """Return the names of what ships, chains and racks, in order.

    Examples
    --------
    >>> "telephone" in presets()
    True
    """
    return tuple(sorted(path.stem for path in PRESETS.glob("*.json")))


def preset_path(name_or_path: str) -> Path:
    """Return the file of a preset, or of a path that ends in ``.json``.

    Raises
    ------
    UnknownNameError
        If there is no such preset; the nearest one is suggested.
    """
    if name_or_path.endswith(".json"):
        return Path(name_or_path)
    if name_or_path not in presets():
        raise UnknownNameError(
            f"there is no preset {name_or_path!r}{did_you_mean(name_or_path, presets())}; "
            "see 'unstir chains', or give a .json file"
        )
    return PRESETS / f"{name_or_path}.json"


def find_chain(name_or_path: str, *, allow_plugins: bool = False) -> Chain:
    """Return a preset by its name, or the chain in a file whose name ends in ``.json``.

    A file may name VST3 plug-ins only if allowed.

    Raises
    ------
    UnknownNameError
        If there is no such preset; the nearest one is suggested.
    SettingsError
        If the file cannot be read, or holds a rack.

    Examples
    --------
    >>> find_chain("telephone").linear
    True
    >>> find_chain("telefone")
    Traceback (most recent call last):
        ...
    unstir.errors.UnknownNameError: there is no preset 'telefone' (did you mean telephone?); \
see 'unstir chains', or give a .json file
    """
    return load_chain(preset_path(name_or_path), allow_plugins=allow_plugins)
