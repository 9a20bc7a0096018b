"""VST3 plug-ins as effects, each in a process of its own (`vst3_host`).

In a chain file::

    {"effect": "vst3", "path": "/usr/lib/vst3/ZamCompX2.vst3", "threshold_db": -30, "state": "..."}

``path`` is the bundle, ``plugin`` one of several in it, ``state`` what the plug-in itself saves
(base64), ``tail_s`` how long it sounds on, which it cannot be asked; all others are its own
parameters, by the names that `describe` gives, and they come after the state.

Nothing of the plug-in runs in this process, so that it can crash or hang without loss. That does
not make it harmless: it is native code that may do what the user may do. A file that names one is
therefore refused unless the user allows it, see `chains.parse_effects`.
"""

import base64
import binascii
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unstir.channels import groups
from unstir.errors import PluginError, SettingsError, UnknownNameError
from unstir.plugins.chains import Chain, Effect
from unstir.plugins.effects import Parameter, Settings, Value, did_you_mean
from unstir.plugins.processors import Blocked
from unstir.plugins.vst3_link import BLOCK, PATIENT, Child, Limits
from unstir.soundfiles import FLAC_LAYOUTS
from unstir.types import Waveform

OWN = ("path", "plugin", "state", "tail_s")  # of the effect; all others are the plug-in's
MOST_STATE = 2**26  # bytes
MOST_LATENCY = 2**24  # samples
# What a plug-in that merely filters has given by then stands 100 dB below its peak.
LATE_SAMPLES = 32
LATE_LEVEL = 1e-5


@dataclass(frozen=True, slots=True)
class Description:
    """What a plug-in says of itself.

    Parameters
    ----------
    path : Path
        Its bundle, absolute.
    name : str
        Of the plug-in in it.
    parameters : tuple of Parameter
        With their ranges or choices; the default is the present value.
    state : str
        All that it saves, as base64.
    """

    path: Path
    name: str
    parameters: tuple[Parameter, ...]
    state: str


class Vst3:
    """A plug-in at work on one sound, in a process of its own.

    It always gets blocks of 512 samples, so that what comes out does not depend on how the sound
    is cut. Channels that it does not play at once go in pairs, as they stand to left and right,
    or, where it is mono, one by one, each through an instance of its own; the center and the LFE
    go alone.

    Parameters
    ----------
    settings : mapping
        Checked by the catalog; the plug-in's own parameters are checked here.
    sample_rate, n_channels : int
        Of the sound. Three channels and more stand in the order of WAV and FLAC files.
    limits : Limits
        When it is taken to hang.

    Attributes
    ----------
    latency : int
        What the plug-in declares, and the samples that wait for a block to be full.
    declared : int
        The plug-in's part of it.
    child : Child
        Its process.

    Raises
    ------
    SettingsError, UnknownNameError
        If the path, the plug-in, its state or a parameter is not there or not allowed.
    PluginError
        If it will not load, crashes or hangs.
    """

    def __init__(
        self, settings: Settings, sample_rate: int, n_channels: int, limits: Limits = PATIENT
    ) -> None:
        loaded = _load(settings, limits)
        self.child = loaded.child
        layout = FLAC_LAYOUTS[n_channels - 1] if n_channels <= len(FLAC_LAYOUTS) else None
        request = {
            "do": "open",
            "sample_rate": sample_rate,
            "n_channels": n_channels,
            "groups": [group.channels for group in groups(n_channels, layout)],
        }
        answer, _ = self.child.ask("while it was opened", request)
        latency = answer.get("latency")
        if not isinstance(latency, int) or not 0 <= latency <= MOST_LATENCY:
            raise _nonsense(self.child, f"{latency!r} as its latency")
        self.declared = latency
        play = functools.partial(_play, self.child)  # and not a method, which would keep it alive
        self._blocked = Blocked(play, n_channels, BLOCK, late=self.declared, multiples=True)
        self.latency = self._blocked.latency

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came, those of ``latency`` samples ago.

        Raises
        ------
        PluginError
            If the plug-in crashes, hangs, or gives what is no sound.
        """
        return self._blocked.process(block, keys)

    def close(self) -> None:
        """End the process; it also ends when the object goes away."""
        self.child.close()


def describe(path: Path | str, /, **parameters: Value) -> Description:
    """Return the parameters of a plug-in, with ranges, and its state.

    Loads the plug-in, in a process of its own: only for paths that the user gave.

    Parameters
    ----------
    path : Path or str
        A ``.vst3`` bundle.
    **parameters : float or str
        What to set: its own parameters by name, ``plugin`` and ``state``.

    Raises
    ------
    SettingsError, UnknownNameError, PluginError
        As `Vst3`.
    """
    loaded = _load({**parameters, "path": str(path)}, PATIENT)
    try:
        answer, state = loaded.child.ask(
            "while its state was read", {"do": "state"}, most=MOST_STATE
        )
        found = _parameters(loaded.child.name, answer)
    finally:
        loaded.child.close()
    text = base64.b64encode(state).decode()
    return Description(Path(path).resolve(), loaded.name, found, text)


def chain_with(path: Path | str, parameters: Mapping[str, Value]) -> Chain:
    """Return a chain of one plug-in, with its whole state kept in it.

    Parameters
    ----------
    path : Path or str
        A ``.vst3`` bundle.
    parameters : mapping of str to float or str
        Its own by name, and any of ``plugin``, ``state`` and ``tail_s``. They stand in the chain
        to be read and changed; the state holds all others too.

    Returns
    -------
    Chain
        `Chain.to_json` gives what a file holds.

    Raises
    ------
    SettingsError, UnknownNameError, PluginError
        As `Vst3`.
    """
    found = describe(path, **parameters)
    first = {"path": str(found.path), "plugin": found.name, "state": found.state}
    return Chain(found.path.stem, (Effect("vst3", {**first, **parameters, **first}),))


def latency_warnings(chain: Chain, sample_rate: int) -> tuple[str, ...]:
    """Return a sentence for each plug-in that is later than it declares, measured with an impulse.

    An echo without the sound itself looks the same, hence a warning and no correction. Gates that
    keep an impulse back, and plug-ins that make a noise of their own, pass unnoticed.

    Parameters
    ----------
    chain : Chain
        Without plug-ins, nothing is done.
    sample_rate : int
        In hertz.

    Raises
    ------
    SettingsError, UnknownNameError, PluginError
        As `Vst3`.

    Examples
    --------
    >>> latency_warnings(Chain("softer", (Effect("gain", {"gain_db": -6.0}),)), 48000)
    ()
    """
    found = []
    for effect in chain.effects:
        if effect.name == "vst3":
            declared, late = _lateness(effect.settings, sample_rate)
            if late >= LATE_SAMPLES:
                found.append(
                    f"{chain.name}: {Path(str(effect.settings['path'])).name} declares {declared} "
                    f"samples of latency and answers {late} samples later than that; unless this "
                    "is an echo, its stem lags behind the others"
                )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Loaded:
    child: Child
    name: str
    parameters: tuple[Parameter, ...]


def _play(child: Child, sound: Waveform) -> Waveform:
    """Return what a plug-in makes of whole blocks."""
    _, body = child.ask("while it played", {"do": "run"}, sound.tobytes(), most=sound.nbytes)
    if len(body) != sound.nbytes:
        raise _nonsense(child, "less sound than it took")
    out = np.frombuffer(body, np.float32).reshape(sound.shape)
    if not np.isfinite(out).all():
        raise _nonsense(child, "NaN or infinity")
    return out


def _nonsense(child: Child, what: str) -> PluginError:
    child.close()
    return PluginError(f"{child.name} gave {what}; leave it out of the chain")


def _lateness(settings: Settings, sample_rate: int) -> tuple[int, int]:
    """Return the declared latency and how much later an impulse begins to come out."""
    processor = Vst3(settings, sample_rate, 1)
    try:
        impulse = np.zeros((1, sample_rate + processor.latency), np.float32)
        impulse[0, BLOCK] = 0.5
        out = np.abs(processor.process(impulse, {})[0, processor.latency :])
    finally:
        processor.close()
    heard = np.flatnonzero(out > LATE_LEVEL * max(out.max(), 1e-3))
    return processor.declared, int(heard[0]) - BLOCK if heard.size else 0


def _load(settings: Settings, limits: Limits) -> _Loaded:
    """Return a plug-in in its process, with its state and parameters set."""
    path, plugin = Path(str(settings["path"])), str(settings.get("plugin", ""))
    if path.suffix != ".vst3" or not path.exists():
        why = "which is not there" if path.suffix == ".vst3" else "which does not end in .vst3"
        raise SettingsError(f"vst3: path is {str(path)!r}, {why}; give the bundle of a plug-in")
    state = _state(path.name, str(settings.get("state", "")))
    child = Child(path.name, "unstir.plugins.vst3_host", limits)
    try:
        request = {"do": "load", "path": str(path.resolve()), "plugin": plugin}
        answer, _ = child.ask("while it was loaded", request, state)
        if "parameters" not in answer:
            given = answer.get("names")
            names = [str(name) for name in given] if isinstance(given, list) else []
            raise UnknownNameError(
                f"{path.name} holds {', '.join(names) or 'no plug-in'}"
                + (f" and no {plugin!r}{did_you_mean(plugin, names)}" if plugin else "")
                + "; say with plugin which one is wanted"
            )
        name, parameters = str(answer.get("name")), _parameters(path.name, answer)
        values = _own_values(name, parameters, settings)
        child.ask("while it was set", {"do": "set", "values": values})
    except BaseException:
        child.close()
        raise
    return _Loaded(child, name, parameters)


def _own_values(name: str, parameters: Iterable[Parameter], settings: Settings) -> dict[str, Value]:
    """Return what is set of a plug-in's own parameters, checked."""
    by_name = {parameter.name: parameter for parameter in parameters}
    values = {}
    for given, value in settings.items():
        if given in OWN:
            continue
        if given not in by_name:
            raise UnknownNameError(
                f"{name} has no parameter {given!r}{did_you_mean(given, by_name)}; "
                f"there are: {', '.join(by_name) or 'none'}"
            )
        values[given] = by_name[given].check(name, value)
    return values


def _parameters(name: str, answer: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the parameters in an answer, which nobody has checked yet."""
    found = []
    try:
        for entry in answer["parameters"]:
            if "choices" in entry:
                choices = tuple(str(choice) for choice in entry["choices"])
                found.append(Parameter(str(entry["name"]), str(entry["value"]), choices=choices))
                continue
            value, low, high = (float(entry[key]) for key in ("value", "low", "high"))
            if not all(map(math.isfinite, (value, low, high))):
                raise ValueError
            found.append(Parameter(str(entry["name"]), value, low, high))
    except (KeyError, TypeError, ValueError):
        raise PluginError(f"{name} has parameters that cannot be read; leave it out") from None
    return tuple(found)


def _state(name: str, text: str) -> bytes:
    """Return a state as bytes; Pedalboard would pass over a damaged one without a word."""
    try:
        state = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        state = b"?"
    # "VC2!", the length of the text, the text, and a zero: JUCE's wrapping of XML.
    if state and (state[:4] != b"VC2!" or int.from_bytes(state[4:8], "little") != len(state) - 9):
        raise SettingsError(
            f"vst3: the state of {name} is damaged; take it out, or write the chain again"
        )
    return state
