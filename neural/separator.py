"""Any separating net as a separator of the hall: level, rate, device, and stems that add up.

A net sees sound at -27 LUFS, the level of its training, at its own rate, one window at a time. The
gain is learned once per recording, so that windows agree with each other, and undone. What the
estimates miss of the mix is shared out evenly among them.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unstir.errors import AudioError, SettingsError
from unstir.loudness import Meter
from unstir.neural.checkpoint import Model, load, random_model
from unstir.neural.device import choose_precision, finite, holding, inference, resolve
from unstir.spectral import consistent
from unstir.streaming import AtRate
from unstir.types import SONG, Mixture, State, Stems, Waveform
from unstir.weights import locate

LEVEL_LUFS = -27.0


@dataclass(frozen=True)
class NetSeparator:
    """A net with its weights, as a separator of mixes of any rate, length and level.

    Parameters
    ----------
    stems : tuple of str
        Names of the stems, in order: sources of the net, or vocals and accompaniment, where
        everything but the vocals is accompaniment.
    model : str
        Where its weights lie, as `unstir.weights.locate` takes it, or ``"random:NET"`` for a net
        of default size with seeded random weights.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. Read back, it is the device taken.
    precision : {"auto", "bf16", "fp32"}
        Arithmetic of the net's products. Read back, it is the one taken.

    Raises
    ------
    UnknownNameError
        If there is no such device.

    Examples
    --------
    >>> NetSeparator(("speech", "music", "effects"), "random:mrx", "cpu", "fp32").device
    'cpu'
    """

    stems: tuple[str, ...]
    model: str
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        # What was taken stands in the fields, so that the report and the journal's key name it.
        device = resolve(self.device)
        object.__setattr__(self, "device", str(device))
        object.__setattr__(self, "precision", choose_precision(device, self.precision))

    def survey(self, blocks: Iterable[Mixture], /) -> State:
        """Return the one gain that brings the recording to the net's level.

        Parameters
        ----------
        blocks : iterable of Mixture
            A sample of the recording.

        Returns
        -------
        dict
            ``"gain_db"``: ndarray of float64, shape (); 0 for silence.

        Raises
        ------
        SettingsError
            If the model cannot be loaded or does not give these stems: before anything is written.
        """
        self._opened()
        return {"gain_db": np.asarray(gain_to_level_db(list(blocks)), np.float64)}

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return one waveform per stem, each of the mix's shape; they add up to the mix.

        Parameters
        ----------
        mix : Mixture
            One window, which the net takes whole.
        state : mapping, optional
            What `survey` learned; without it, the gain is the mix's own.

        Returns
        -------
        dict of str to ndarray of float32, each of shape (channels, samples)
            Silence if the mix is silent.

        Raises
        ------
        AudioError
            If the net gives NaN or infinity, or the GPU's memory does not hold the window.
        SettingsError
            If the model cannot be loaded or does not give these stems.
        """
        model = self._opened()
        if not mix.waveform.any():
            return {name: np.zeros_like(mix.waveform) for name in self.stems}
        gain_db = float((self.survey([mix]) if state is None else state)["gain_db"])
        leveled = Leveled(self.stems, model, gain_db, self.model, self.device, self.precision)
        return AtRate(leveled, model.sample_rate).separate(mix)

    def _opened(self) -> Model:
        model = open_model(self.model, self.device)
        if not set(self.stems) <= set(model.sources) and not (
            self.stems == SONG and SONG[0] in model.sources
        ):
            raise SettingsError(
                f"the model {self.model} gives {', '.join(model.sources)}; it cannot give "
                f"{', '.join(self.stems)}"
            )
        return model


@dataclass(frozen=True)
class Leveled:
    """A net at its own rate and level; only windows are its matter.

    Parameters
    ----------
    stems : tuple of str
        What it gives, in order.
    model : Model
        Of which `as_stems` makes them.
    gain_db : float
        Before the net, and undone behind it.
    name, device, precision : str
        What is said when something fails, and where and how it computes.
    """

    stems: tuple[str, ...]
    model: Model
    gain_db: float
    name: str
    device: str
    precision: str

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Learn nothing."""
        return None

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return the stems of one window at the net's rate, as `NetSeparator.separate`."""
        # In float64: the gain of what is barely there exceeds float32's range.
        gain = np.float64(10 ** (self.gain_db / 20))
        leveled = (mix.waveform * gain).astype(np.float32)
        with placed(self.name, mix):
            estimates = run(self.model.net, leveled, self.device, self.precision)
        found = dict(zip(self.model.sources, (estimates / gain).astype(np.float32), strict=True))
        return consistent(mix, as_stems(mix, found, self.stems))


def run(net: nn.Module, waveform: Waveform, device: str, precision: str) -> NDArray[np.float32]:
    """Return what a net makes of one waveform.

    Parameters
    ----------
    net : nn.Module
        On that device; takes (batch, channels, samples), gives (batch, sources, channels, samples).
    waveform : ndarray of float32, shape (channels, samples)
        At the net's rate and level.
    device : str
        ``"cpu"`` or ``"cuda:N"``.
    precision : {"bf16", "fp32"}
        Arithmetic of the products.

    Returns
    -------
    ndarray of float32, shape (sources, channels, samples)
        Finite.

    Raises
    ------
    AudioError
        If the net gives NaN or infinity, or the GPU's memory does not hold it.
    """
    place = torch.device(device)
    with inference(place, precision):
        mixture = torch.from_numpy(waveform).to(place)
        output = net(mixture[None])[0].float().cpu()  # (sources, channels, samples)
    estimates: NDArray[np.float32] = finite(output).numpy()
    return estimates


@contextlib.contextmanager
def placed(name: str, mix: Mixture) -> Iterator[None]:
    """Give a context in which an `AudioError` says of which model and of which window it is.

    Parameters
    ----------
    name : str
        Of the model.
    mix : Mixture
        The window.

    Examples
    --------
    >>> with placed("mrx", Mixture(np.zeros((1, 9), np.float32), 3, start=6)):
    ...     raise AudioError("the net gave NaN")
    Traceback (most recent call last):
    unstir.errors.AudioError: mrx at 2 s: the net gave NaN
    """
    try:
        yield
    except AudioError as error:
        at_s = mix.start / mix.sample_rate
        raise AudioError(f"{name} at {at_s:.0f} s: {error}") from None


def as_stems(mix: Mixture, estimates: Mapping[str, Waveform], stems: tuple[str, ...]) -> Stems:
    """Return a net's sources under the names of a stem set.

    Parameters
    ----------
    mix : Mixture
        Whose rest is the accompaniment, if the net gives nothing but vocals.
    estimates : mapping of str to ndarray of float32, each of shape (channels, samples)
        The net's sources: all of ``stems``, or ``"vocals"`` where ``stems`` are a song's.
    stems : tuple of str
        The names wanted, in order.

    Examples
    --------
    >>> drums, vocals = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)
    >>> mix = Mixture(drums + vocals, 44100)
    >>> as_stems(mix, {"drums": drums, "vocals": vocals}, SONG)["accompaniment"]
    array([[1., 1.]], dtype=float32)
    """
    if set(stems) <= set(estimates):
        return {name: estimates[name] for name in stems}
    vocals, accompaniment = SONG
    others = [value for name, value in estimates.items() if name != vocals]
    rest = np.sum(others, axis=0) if others else mix.waveform - estimates[vocals]
    return {vocals: estimates[vocals], accompaniment: rest}


def gain_to_level_db(blocks: list[Mixture]) -> float:
    """Return the gain that brings sound to the level of the nets' training, -27 LUFS.

    The loudness is that of the sound scaled to a peak of 1, so that sound of any level, however
    quiet, is above the absolute gate of BS.1770, and twice the level takes half the gain. Where
    that still gives none (less than 0.4 s, or hardly more than a click) the mean power decides.

    Parameters
    ----------
    blocks : list of Mixture
        Of one rate and number of channels, at least one.

    Returns
    -------
    float
        In dB; 0 for silence.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 997 * np.arange(96000) / 48000).astype(np.float32)
    >>> round(gain_to_level_db([Mixture(tone[None], 48000)]), 1)
    -24.0
    """
    peak = max((float(np.abs(block.waveform).max()) for block in blocks), default=0.0)
    if peak == 0:
        return 0.0
    scaled = [(block.waveform / np.float64(peak)).astype(np.float32) for block in blocks]
    meter = Meter(blocks[0].sample_rate, blocks[0].n_channels)
    for waveform in scaled:
        meter.push(waveform)
    loudness_lufs = meter.integrated_lufs()
    if loudness_lufs is None:
        energy = sum(float(np.sum(np.square(w, dtype=np.float64))) for w in scaled)
        mean_power = energy / sum(w.shape[1] for w in scaled)
        loudness_lufs = 10 * np.log10(mean_power)
    return float(LEVEL_LUFS - loudness_lufs - 20 * np.log10(peak))


def open_model(model: str, device: str) -> Model:
    """Return a model on its device, loaded once for as long as its files stay the same.

    Parameters
    ----------
    model : str
        As in `NetSeparator`.
    device : str
        ``"cpu"`` or ``"cuda:N"``.

    Raises
    ------
    SettingsError
        If the model cannot be loaded.
    AudioError
        If the GPU's memory does not hold it.
    """
    scheme, _, net_name = model.partition(":")
    if scheme == "random":
        return _drawn(net_name, device)
    path = locate(model)
    stamp: tuple[Any, ...] = ()
    for file in (path, path.with_suffix(".json")):
        if file.exists():
            stamp += (file.stat().st_mtime_ns, file.stat().st_size)
    return _loaded(path, device, stamp)


@lru_cache(maxsize=4)  # a hybrid holds two, a comparison of two hybrids four
def _loaded(path: Path, device: str, stamp: tuple[Any, ...]) -> Model:
    model = load(path)
    with holding("the net", device):
        model.net.to(device)
    return model


@lru_cache(maxsize=1)
def _drawn(net_name: str, device: str) -> Model:
    model = random_model(net_name)
    with holding("the net", device):
        model.net.to(device)
    return model
