"""A rack: for every stem a chain of effects, a gain, a place and a mute, and a master chain.

Its file is a chain file with one more level::

    {"format": 1,
     "summary": "...",
     "stems": {"speech": {"gain_db": 3, "pan": 0, "mute": false, "solo": false,
                          "chain": [{"effect": "high-pass", "cutoff_hz": 80}]}},
     "master": [{"effect": "limiter"}]}

Everything may be left out but ``format`` and ``stems``. Stems without a strip pass as they are.

Levels are applied and stems summed in 64-bit float and rounded once, at the end. So a rack that
does nothing gives back the sum of its stems: bit for bit where they are 16- or 24-bit PCM, since
those sums are exact. Stems of 32-bit float were each rounded when they were written and miss
their mix by that much; given the mix as well, a rack adds up what it *changes* on top of it, so
that this rounding, which no stem holds, passes as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from unstir.errors import AudioError, SettingsError, UnknownNameError
from unstir.plugins.chains import Chain, check_format, parse_effects, preset_path, read_json
from unstir.plugins.effects import did_you_mean
from unstir.plugins.leveling import Again
from unstir.plugins.strips import THROUGH, RackStream, Strip, stem_shape
from unstir.types import Waveform

Blocks = Callable[[], Iterable[tuple[Mapping[str, Waveform], Waveform | None]]]
_STRIP = ("gain_db", "pan", "mute", "solo", "chain")


@dataclass(frozen=True, slots=True)
class StemRack:
    """Strips for stems and a master chain, called like a `pedalboard.Pedalboard`.

    Parameters
    ----------
    strips : mapping of str to Strip
        By stem.
    master : Chain
        What the sum goes through.
    summary : str
        One sentence on what it is for.

    Examples
    --------
    >>> stems = {name: np.full((2, 4), 0.25, np.float32) for name in ("speech", "music")}
    >>> rack = StemRack({"music": Strip(gain_db=-6.0206)})
    >>> rack(stems, 48000).round(3)[0].tolist()
    [0.375, 0.375, 0.375, 0.375]
    """

    strips: Mapping[str, Strip] = field(default_factory=dict)
    master: Chain = THROUGH
    summary: str = ""
    # The stream of calls with reset=False; a list, since a frozen object cannot rebind.
    _running: list[RackStream] = field(default_factory=list, init=False, repr=False, compare=False)

    def __call__(
        self,
        stems: Mapping[str, Waveform],
        sample_rate: int,
        reset: bool = True,
        *,
        mix: Waveform | None = None,
    ) -> Waveform:
        """Return the stems, each through its strip, summed and through the master.

        Parameters
        ----------
        stems : mapping of str to ndarray of float32, shape (channels, samples)
            All of one shape; shorter ones are refused, not padded.
        sample_rate : int
            In hertz.
        reset : bool
            True: this is all of the sound; what comes out has its tail. False: this is the
            next block of a stream; what is ready comes out, and no tail. To end a stream with
            its tail, use `open`.
        mix : ndarray of float32, shape (channels, samples), optional
            What the stems were taken from, see the head of this module.

        Returns
        -------
        ndarray of float32, shape (channels, samples)

        Raises
        ------
        AudioError
            If the stems differ in shape, or hold what is not finite.
        SettingsError
            If a strip, or an effect that listens to a stem, names one that is not there.
        """
        if reset:
            self._running.clear()
            rack = self.survey(lambda: [(stems, mix)], sample_rate)
            stream = rack.open(sample_rate, stem_shape(stems)[0], tuple(stems))
            ahead = stream.process(stems, mix)
            return np.concatenate([ahead, stream.finish()], axis=1)
        if not self._running:
            self._running.append(self.open(sample_rate, stem_shape(stems)[0], tuple(stems)))
        stream = self._running[0]
        if stream.sample_rate != sample_rate:
            raise AudioError(
                f"a block at {sample_rate} Hz came in a stream at {stream.sample_rate} Hz; "
                "begin another with reset=True"
            )
        return stream.process(stems, mix)

    @property
    def tail_s(self) -> float:
        """Seconds that the sound goes on after its input: the longest strip's, and the master's."""
        return max((s.chain.tail_s for s in self.strips.values()), default=0) + self.master.tail_s

    @property
    def needs_survey(self) -> bool:
        """Whether a chain levels loudness, which `survey` must measure before `open`."""
        chains = (self.master, *(strip.chain for strip in self.strips.values()))
        return any(chain.needs_survey for chain in chains)

    def warnings(self) -> tuple[str, ...]:
        """Return one sentence for each chain after which stems no longer add up."""
        found = [
            f"{stem}: {text}"
            for stem, strip in self.strips.items()
            for text in strip.chain.warnings()
        ]
        return (*found, *(f"master: {text}" for text in self.master.warnings()))

    def audible(self, stem: str) -> bool:
        """Return whether a stem is heard, by mute and solo."""
        strip = self.strips.get(stem, Strip())
        soloed = any(other.solo for other in self.strips.values())
        return not strip.mute and (strip.solo or not soloed)

    def check(self, stems: Iterable[str], n_channels: int) -> None:
        """Refuse stems that the rack asks for and that are not there, and places in mono.

        Raises
        ------
        UnknownNameError, SettingsError
            With the name that came and those that are there.
        """
        there = tuple(stems)
        keys = [key for strip in self.strips.values() for key in strip.chain.keys]
        for name in (*self.strips, *keys, *self.master.keys):
            if name not in there:
                raise UnknownNameError(
                    f"there is no stem {name!r}{did_you_mean(name, there)}; "
                    f"there are: {', '.join(there)}"
                )
        if n_channels == 1 and any(strip.pan for strip in self.strips.values()):
            raise SettingsError("pan wants a left and a right; this sound has one channel")

    def open(self, sample_rate: int, n_channels: int, stems: tuple[str, ...]) -> RackStream:
        """Return the rack as a stream, in which nothing has sounded yet.

        Parameters
        ----------
        sample_rate : int
            In hertz.
        n_channels : int
            Of every stem, and of what comes out.
        stems : tuple of str
            The stems that will come.

        Raises
        ------
        UnknownNameError
            If the rack asks for a stem that will not come.
        SettingsError
            If a chain levels loudness and was not surveyed.
        """
        self.check(stems, n_channels)
        strips = {name: self.strips.get(name, Strip()) for name in stems}
        heard = [name for name in stems if self.audible(name)]
        return RackStream(strips, heard, self.master, sample_rate, n_channels)

    def survey(
        self, blocks: Blocks, sample_rate: int, *, layout: tuple[str, ...] | None = None
    ) -> "StemRack":
        """Return the rack with the loudness of its chains leveled, measured on the whole sound.

        Parameters
        ----------
        blocks : callable
            Gives the sound anew each time: pairs of stems and, or None, the mix.
        sample_rate : int
            In hertz.
        layout : tuple of str, optional
            The loudspeaker of each channel.

        Returns
        -------
        StemRack
            Itself if there is nothing to level, and then nothing is read.
        """
        strips = dict(self.strips)
        for name, strip in strips.items():
            if strip.chain.needs_survey:
                chain = strip.chain.survey(
                    Again(partial(_each, blocks, name)),
                    sample_rate,
                    layout=layout,
                    keys=Again(lambda: (stems for stems, _ in blocks())),
                )
                strips[name] = replace(strip, chain=chain)
        if not self.master.needs_survey:
            return self if strips == self.strips else replace(self, strips=strips)
        before = StemRack(strips)

        def sums() -> Iterator[Waveform]:
            stream: RackStream | None = None
            for stems, mix in blocks():
                if stream is None:
                    stream = before.open(sample_rate, stem_shape(stems)[0], tuple(stems))
                yield stream.process(stems, mix)
            if stream is not None:
                yield stream.finish()

        master = self.master.survey(Again(sums), sample_rate, layout=layout)
        return replace(self, strips=strips, master=master)

    def to_json(self) -> dict[str, Any]:
        """Return what a rack file holds.

        Examples
        --------
        >>> StemRack({"music": Strip(gain_db=-12.0)}).to_json()
        {'format': 1, 'summary': '', 'stems': {'music': {'gain_db': -12.0}}, 'master': []}
        """
        return {
            "format": 1,
            "summary": self.summary,
            "stems": {stem: strip.to_json() for stem, strip in self.strips.items()},
            "master": [effect.to_json() for effect in self.master.effects],
        }


def _each(blocks: Blocks, name: str) -> Iterator[Waveform]:
    return (stems[name] for stems, _ in blocks())


def parse_rack(content: object, name: str, *, allow_plugins: bool = False) -> StemRack:
    """Return the rack that a file's content describes.

    Parameters
    ----------
    content : object
        What JSON gave.
    name : str
        What to call it in messages.
    allow_plugins : bool
        Whether it may name VST3 plug-ins, see `parse_effects`.

    Raises
    ------
    SettingsError, UnknownNameError
        If it is no rack, one of a newer format, or a value is out of its range.

    Examples
    --------
    >>> parse_rack({"format": 1, "stems": {"music": {"gain_db": -12}}}, "mine").strips["music"]
    Strip(chain=Chain(name='music', effects=(), summary=''), gain_db=-12.0, pan=0.0, \
mute=False, solo=False, automation=None)
    """
    check_format(content, name)
    assert isinstance(content, dict)
    unknown = sorted(set(content) - {"format", "summary", "stems", "master"})
    if unknown or not isinstance(content.get("stems"), dict):
        raise SettingsError(
            f"{name}: format, stems, master and summary make a rack; "
            + (f"{', '.join(map(str, unknown))} came too" if unknown else "stems is missing")
        )
    strips = {
        stem: _parse_strip(given, stem, f"{name}, {stem}", allow_plugins=allow_plugins)
        for stem, given in content["stems"].items()
    }
    master = parse_effects(
        content.get("master", []), f"{name}, master", allow_plugins=allow_plugins
    )
    return StemRack(strips, Chain("master", master), str(content.get("summary", "")))


def _parse_strip(content: object, stem: str, where: str, *, allow_plugins: bool) -> Strip:
    if not isinstance(content, dict):
        raise SettingsError(f"{where}: an object with {', '.join(_STRIP)} is wanted")
    for given, value in content.items():
        if given not in _STRIP:
            raise UnknownNameError(
                f"{where}: a strip has no {given!r}{did_you_mean(given, _STRIP)}; "
                f"there are: {', '.join(_STRIP)}"
            )
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if given in ("gain_db", "pan") and not is_number:
            raise SettingsError(f"{where}: {given} is {value!r}; a number is wanted")
        if given in ("mute", "solo") and not isinstance(value, bool):
            raise SettingsError(f"{where}: {given} is {value!r}; true or false is wanted")
    try:
        return Strip(
            Chain(
                stem,
                parse_effects(content.get("chain", []), where, allow_plugins=allow_plugins),
            ),
            gain_db=float(content.get("gain_db", 0.0)),
            pan=float(content.get("pan", 0.0)),
            mute=content.get("mute", False),
            solo=content.get("solo", False),
        )
    except SettingsError as error:
        text = str(error)
        raise type(error)(text if text.startswith(where) else f"{where}: {text}") from None


def find_rack(name_or_path: str, *, allow_plugins: bool = False) -> StemRack:
    """Return a rack that ships, by its name, or the one in a file that ends in ``.json``.

    A file may name VST3 plug-ins only if allowed.

    Raises
    ------
    UnknownNameError
        If there is no such rack; the nearest name is suggested.
    SettingsError
        If the file cannot be read or holds no rack.
    """
    path = preset_path(name_or_path)
    name = path.name.removesuffix(".json")
    return parse_rack(read_json(path), name, allow_plugins=allow_plugins)
