"""Stems under faders while they sound: gains that move, and a player.

Three threads pass sound on. One reads the stems ahead from the disk. One sends them through the
rack and the faders, a little ahead of what is heard. The audio server's callback only copies out
of a ring: it computes nothing, waits for nothing, and where the ring is empty it plays silence
and counts, so that sound comes late rather than never. All of it runs without an audio device
too, in one thread, one call after the other.

The gain of a fader is read once for every block of `ramp_length` samples, 10 ms or a little
more, and runs in a straight line (of the factor, not of decibels) from where it stood to there.
So no move clicks, and a fader that stands still multiplies by exactly its factor: what is heard
is the offline rack of those gains, bit for bit.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unstir.plugins.levels import amplitude, pairs
from unstir.plugins.rack import StemRack
from unstir.plugins.rings import Outlet, Ring
from unstir.plugins.strips import Lane, Queue, Strip
from unstir.stem_folder import BLOCK
from unstir.types import Stems, Waveform

RAMP_S = 0.01
MASTER = "master"


def ramp_length(sample_rate: int) -> int:
    """Return in how many samples a gain gets to where its fader is: a power of 2.

    Examples
    --------
    >>> [ramp_length(rate) for rate in (8000, 44100, 48000, 96000)]
    [128, 512, 512, 1024]
    """
    return int(2 ** math.ceil(math.log2(RAMP_S * sample_rate)))


class LiveMixer:
    """A rack at work whose gains are faders.

    Parameters
    ----------
    rack : StemRack
        What happens to the stems; its loudness surveyed. The gains of its strips are where the
        faders begin, and its mutes and solos where the buttons begin; they count no more after
        that.
    gains_db : dict of str to float
        The faders, by stem: all stems that will come, see `faders`. Whoever moves one sets it
        here, from any thread; up to 24, minus infinity is silence.
    sample_rate, n_channels : int
        Of all stems.

    Attributes
    ----------
    muted, soloed : set of str
        Stems; whoever presses a button changes them here, from any thread.
    tail : int
        Samples of silence after which no stem sounds any more.
    held_back : int
        Samples by which what comes out is behind what went in, at most.

    Raises
    ------
    UnknownNameError, SettingsError
        If the rack does not fit the stems, or an effect does not open.

    Examples
    --------
    >>> gains_db = {"speech": 0.0}
    >>> mixer = LiveMixer(StemRack(), gains_db, 8000, 1)
    >>> gains_db["speech"] = -6.0206
    >>> out = mixer.process({"speech": np.ones((1, 256), np.float32)})
    >>> out[0, [0, 63, 127, 255]].round(3).tolist()
    [0.9959999918937683, 0.75, 0.5, 0.5]
    """

    def __init__(
        self, rack: StemRack, gains_db: dict[str, float], sample_rate: int, n_channels: int
    ) -> None:
        rack.check(gains_db, n_channels)
        strips = {name: rack.strips.get(name, Strip()) for name in gains_db}
        self.gains_db, self.sample_rate, self.n_channels = gains_db, sample_rate, n_channels
        self.block_size = ramp_length(sample_rate)
        self.muted = {name for name, strip in strips.items() if strip.mute}
        self.soloed = {name for name, strip in strips.items() if strip.solo}
        self._lanes = {
            name: Lane(replace(strip, gain_db=0, pan=0), True, sample_rate, n_channels)
            for name, strip in strips.items()
        }
        self._places = {name: _place(strip.pan, n_channels) for name, strip in strips.items()}
        self._factors = {name: self._factor(name) for name in gains_db}
        self._master = rack.master.open(sample_rate, n_channels)
        self._keys = {key: Queue(n_channels) for key in rack.master.keys}
        self.tail = round(sample_rate * max(s.chain.tail_s for s in strips.values()))
        self._master_tail = round(sample_rate * rack.master.tail_s)
        latencies = (s.chain.open(sample_rate, n_channels).latency for s in strips.values())
        self.held_back = self.block_size - 1 + max(latencies) + self._master.latency
        self._peaks = dict.fromkeys((*gains_db, MASTER), 0.0)

    def process(self, stems: Mapping[str, Waveform]) -> Waveform:
        """Take the next samples of every stem and return those of the sum that are ready.

        Parameters
        ----------
        stems : mapping of str to ndarray of float32, shape (channels, samples)
            All of one shape.

        Returns
        -------
        ndarray of float32, shape (channels, samples that are ready)

        Raises
        ------
        AudioError
            If a shape, type or sample is wrong.
        """
        for name, lane in self._lanes.items():
            lane.push(stems[name], stems)
        for key, queue in self._keys.items():
            queue.push(stems[key])
        n_ready = min(lane.n_ready for lane in self._lanes.values())
        return self._mixed(n_ready - n_ready % self.block_size)

    def finish(self) -> Waveform:
        """Return what was held back, and the tail of the master.

        Returns
        -------
        ndarray of float32, shape (channels, samples)
            For the tails of the stems, give `tail` samples of silence to `process` before.
        """
        for lane in self._lanes.values():
            lane.finish(0)
        rest = self._mixed(min(lane.n_ready for lane in self._lanes.values()))
        end = self._master.finish(self._master_tail)
        self._note(MASTER, end)
        return np.concatenate([rest, end], axis=1)

    def take_peaks(self) -> dict[str, float]:
        """Return the highest sample of every stem, after its fader, and of the master.

        Returns
        -------
        dict of str to float
            Since it was asked last; 1 is full scale.
        """
        found = dict(self._peaks)
        self._peaks.update(dict.fromkeys(found, 0.0))
        return found

    def _mixed(self, n_samples: int) -> Waveform:
        parts = [np.zeros((self.n_channels, 0), np.float32)]
        for at in range(0, n_samples, self.block_size):
            n = min(self.block_size, n_samples - at)
            total = np.zeros((self.n_channels, n))
            for name, lane in self._lanes.items():
                wet, _ = lane.pop(n)
                heard = wet * (self._ramp(name, n) * self._places[name])
                self._note(name, heard)
                total += heard
            keys = {key: queue.pop(n) for key, queue in self._keys.items()}
            parts.append(self._master.process(total.astype(np.float32), keys))
            self._note(MASTER, parts[-1])
        return np.concatenate(parts, axis=1)

    def _factor(self, name: str) -> float:
        silent = name in self.muted or (self.soloed and name not in self.soloed)
        return 0.0 if silent else amplitude(self.gains_db[name])

    def _ramp(self, name: str, n_samples: int) -> NDArray[np.float64]:
        before, after = self._factors[name], self._factor(name)
        if before == after:
            return np.full(n_samples, after)
        self._factors[name] = after
        ramp = before + (after - before) * np.arange(1, n_samples + 1) / n_samples
        ramp[-1] = after
        return ramp

    def _note(self, name: str, sound: NDArray[np.floating]) -> None:
        self._peaks[name] = max(self._peaks[name], float(np.abs(sound).max(initial=0)))


def faders(rack: StemRack, stems: Sequence[str]) -> dict[str, float]:
    """Return where the faders stand at first: the gains of the rack, in decibels, by stem.

    Examples
    --------
    >>> faders(StemRack({"music": Strip(gain_db=-12.0)}), ("speech", "music"))
    {'speech': 0.0, 'music': -12.0}
    """
    return {name: rack.strips.get(name, Strip()).gain_db for name in stems}


def _place(pan: float, n_channels: int) -> NDArray[np.float64]:
    """Return the factor of each channel, as `unstir.plugins.strips.Lane` has it."""
    factors = np.ones((n_channels, 1))
    for left, right in pairs(n_channels) if pan else ():
        factors[left if pan > 0 else right] *= math.cos(abs(pan) * math.pi / 2)
    return factors


class Player:
    """Stems from the disk through a mixer, heard by a callback.

    `read` and `render` are for a thread each, see `rings.running`; `cycle` is for the callback.

    Parameters
    ----------
    blocks : iterator of dict of str to ndarray of float32, shape (channels, samples)
        The stems, at most `stem_folder.BLOCK` samples at a time.
    mixer : LiveMixer
        What they go through.
    ahead : int
        Samples that are rendered before they are heard: how long a fader takes to be heard, and
        how long the computer may be busy with something else.

    Attributes
    ----------
    outlet : Outlet
        What is heard.

    Examples
    --------
    >>> sound = {"speech": np.ones((1, 1000), np.float32)}
    >>> player = Player(iter([sound]), LiveMixer(StemRack(), {"speech": 0.0}, 8000, 1), 256)
    >>> while player.read() or player.render():
    ...     pass
    >>> out = np.zeros((1, 300), np.float32)
    >>> player.cycle(np.zeros((0, 300), np.float32), out)
    >>> int(out.sum())
    256
    """

    def __init__(self, blocks: Iterator[Stems], mixer: LiveMixer, ahead: int) -> None:
        self.mixer, self.ahead = mixer, ahead
        self.outlet = Outlet(mixer.n_channels, ahead + mixer.block_size)
        self._blocks = blocks
        self._ring = Ring(len(mixer.gains_db) * mixer.n_channels, 2 * BLOCK)
        self._read_all, self._tail, self._rendered = False, mixer.tail, False

    def read(self) -> bool:
        """Read a block if there is room for it; return whether one was read."""
        if self._read_all or self._ring.n_free < BLOCK:
            return False
        stems = next(self._blocks, None)
        if stems is None:
            self._read_all = True
            return False
        self._ring.write(np.concatenate([stems[name] for name in self.mixer.gains_db]))
        return True

    def render(self) -> bool:
        """Render a block if one is wanted and there; return whether one was rendered."""
        if not self.outlet.flush() or self._rendered or self.outlet.n_held >= self.ahead:
            return False
        read_all = self._read_all  # first: once it is set, nothing more comes
        n_held = self._ring.n_held
        n = min(self.mixer.block_size, n_held or (self._tail if read_all else 0))
        if n < self.mixer.block_size and not read_all:
            return False
        if not n:
            self.outlet.push(self.mixer.finish())
            self._rendered = True
            self.outlet.end()
            return True
        block = np.zeros((len(self.mixer.gains_db) * self.mixer.n_channels, n), np.float32)
        if not n_held:
            self._tail -= n
        self._ring.read(block)
        parts = np.split(block, len(self.mixer.gains_db))
        self.outlet.push(self.mixer.process(dict(zip(self.mixer.gains_db, parts, strict=True))))
        return True

    @property
    def ready(self) -> bool:
        """Whether enough is rendered to begin."""
        return self._rendered or self.outlet.n_held >= self.ahead

    def cycle(self, sound_in: Waveform, sound_out: Waveform) -> None:
        """Fill ``sound_out``; what an audio callback calls."""
        self.outlet.pull(sound_out)
