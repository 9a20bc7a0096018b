"""Sound taken apart while it comes in: heard through a rack with faders, and recorded.

What is heard is late by the look-ahead of the net and a buffer, both known to the sample; what is
recorded is not: every stem begins with the sample with which the input begins. The recorded stems
are those that the same net gives for the recorded input in one piece, see `separate_whole`.

A net knows sound at -27 LUFS. A stream has no loudness before it ends, so the loudness that is to
be expected is given beforehand, and is undone behind the net.
"""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from unstir.errors import SettingsError, UnknownNameError
from unstir.plugins.live import LiveMixer
from unstir.plugins.rings import Outlet, Ring
from unstir.recording import Recording
from unstir.types import FILM, Stems, StreamSeparator, Waveform
from unstir.weights import locate

METHOD = "compact-film-causal"
_WEIGHTS = (f"unstir.neural/{METHOD}.safetensors", f"store:{METHOD}")


@dataclass(frozen=True, slots=True)
class Leveled:
    """A stream separator for sound that is louder or softer than the one it knows.

    Parameters
    ----------
    stream : StreamSeparator
        What takes the sound apart.
    gain_db : float
        What brings the sound to its level; undone behind it.
    """

    stream: StreamSeparator
    gain_db: float

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        return self.stream.stems

    @property
    def latency(self) -> int:
        """How many samples later everything comes out."""
        return self.stream.latency

    def process(self, block: Waveform, /) -> Stems:
        """Return the stems of as many samples, those that came `latency` samples ago."""
        gain = np.float32(10 ** (self.gain_db / 20))
        return {name: stem / gain for name, stem in self.stream.process(block * gain).items()}

    def reset(self) -> None:
        """Forget what came, as between two recordings."""
        self.stream.reset()


def open_stream(
    method: str = METHOD,
    *,
    model: str = "",
    loudness_lufs: float = -23.0,
    device: str = "auto",
) -> tuple[StreamSeparator, int]:
    """Return a method as a stream, and the sample rate that it wants, in hertz.

    Parameters
    ----------
    method : str
        The one that streams: ``"compact-film-causal"``.
    model : str
        Its weights, as `unstir.weights.locate` takes them; by default those that ship or were
        added. ``"random:compact"`` is a net whose weights were drawn.
    loudness_lufs : float
        Of the sound that will come, -70 to 0.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    UnknownNameError
        If the method does not stream.
    SettingsError
        If its weights are not there, or the loudness is out of range.

    Examples
    --------
    >>> stream, sample_rate = open_stream(model="random:compact", device="cpu")
    >>> stream.stems, stream.latency, sample_rate
    (('speech', 'music', 'effects'), 1535, 44100)
    """
    if method != METHOD:
        raise UnknownNameError(f"{method} cannot take sound apart as it comes; use {METHOD}")
    if not -70 <= loudness_lufs <= 0:
        raise SettingsError(f"{loudness_lufs:g} LUFS came; -70 to 0 is wanted")
    there = [entry for entry in _WEIGHTS if locate(entry).is_file()]
    if not model and not there:
        raise SettingsError(
            f"{METHOD} needs weights, and {locate(_WEIGHTS[0])} is not there; install unstir anew"
        )
    from unstir.neural.checkpoint import random_model
    from unstir.neural.compact import CAUSAL
    from unstir.neural.device import resolve
    from unstir.neural.separator import LEVEL_LUFS, open_model
    from unstir.neural.stream import CompactStream

    place = str(resolve(device))
    if model.startswith("random:"):
        opened = random_model(model.removeprefix("random:"), CAUSAL)
        opened.net.to(place)
    else:
        opened = open_model(model or there[0], place)
    if set(opened.sources) != set(FILM) or not getattr(opened.config, "causal", False):
        raise SettingsError(
            f"the model {model or there[0]} is no causal net for {', '.join(FILM)}; "
            f"weights of {METHOD} are wanted"
        )
    stream = CompactStream(opened.net, opened.sources)  # type: ignore[arg-type]
    return Leveled(stream, LEVEL_LUFS - loudness_lufs), opened.sample_rate


def separate_whole(stream: StreamSeparator, waveform: Waveform) -> Stems:
    """Return the stems of a whole sound, without latency: the offline run of a stream.

    Parameters
    ----------
    stream : StreamSeparator
        It is reset before.
    waveform : ndarray of float32, shape (channels, samples)
        All of it.

    Returns
    -------
    dict of str to ndarray of float32, each of the waveform's shape
    """
    stream.reset()
    silence = np.zeros((waveform.shape[0], stream.latency), np.float32)
    stems = stream.process(np.concatenate([waveform, silence], axis=1))
    return {name: stem[:, stream.latency :] for name, stem in stems.items()}


class LiveSeparation:
    """What comes in, taken apart, through a mixer, heard by a callback.

    `separate` is for a thread, see `unstir.plugins.rings.running`; `cycle` is for the callback.
    What the callback cannot hand over, because the thread is behind by ``capacity``, is replaced
    by silence, in the recording too, so that time goes on as it should.

    Parameters
    ----------
    stream : StreamSeparator
        At the rate of the sound.
    mixer : LiveMixer
        What the stems go through.
    ahead : int
        Samples of the buffer. More than the mixer holds back, and a period of the audio server.
    capacity : int
        Samples that may wait to be taken apart.
    recorded : Recording, optional
        Where input and stems are kept.

    Attributes
    ----------
    latency : int
        Samples from what comes in to what is heard of it.
    overruns : int
        Blocks that were replaced by silence.
    n_mended : int
        Samples that were NaN or infinite, which a net never forgets; replaced by silence.
    compute_s, longest_s : float
        Seconds of computing in all, and for one block.
    outlet : Outlet
        What is heard.

    Examples
    --------
    >>> from unstir.plugins.rack import StemRack
    >>> stream, rate = open_stream(model="random:compact", device="cpu")
    >>> mixer = LiveMixer(StemRack(), dict.fromkeys(stream.stems, 0.0), rate, 2)
    >>> live = LiveSeparation(stream, mixer, ahead=1000, capacity=rate)
    >>> out = np.zeros((2, 256), np.float32)
    >>> live.cycle(np.ones((2, 256), np.float32), out)
    >>> live.separate(), live.latency
    (True, 2535)
    """

    def __init__(
        self,
        stream: StreamSeparator,
        mixer: LiveMixer,
        *,
        ahead: int,
        capacity: int,
        recorded: Recording | None = None,
    ) -> None:
        self.mixer, self.ahead, self.look_ahead = mixer, ahead, stream.latency
        self.latency = stream.latency + ahead
        self.overruns = self.n_mended = self.n_separated = 0
        self.compute_s = self.longest_s = 0.0
        self._stream, self._recorded = stream, recorded
        self._intake = Ring(mixer.n_channels, capacity)
        self._gaps: deque[tuple[int, int]] = deque()  # before which sample how many are missing
        self.outlet = Outlet(mixer.n_channels, ahead + capacity)
        self.outlet.push(np.zeros((mixer.n_channels, ahead), np.float32))

    def cycle(self, sound_in: Waveform, sound_out: Waveform) -> None:
        """Take ``sound_in`` and fill ``sound_out``; what an audio callback calls."""
        n_samples = sound_in.shape[1]
        if self._intake.n_free < n_samples:
            self._gaps.append((self._intake.n_written, n_samples))
            self.overruns += 1
        else:
            self._intake.write(sound_in)
        self.outlet.pull(sound_out, catch_up=True)

    def separate(self) -> bool:
        """Take apart what came, a block at most; return whether anything had come."""
        self.outlet.flush()
        block = self._next()
        if block is None:
            return False
        finite = np.isfinite(block)
        if not finite.all():
            self.n_mended += int(np.count_nonzero(~finite))
            block[~finite] = 0
        began = time.perf_counter()
        stems = self._stream.process(block)
        self.outlet.push(self.mixer.process(stems))
        seconds = time.perf_counter() - began
        self.compute_s += seconds
        self.longest_s = max(self.longest_s, seconds)
        self.n_separated += block.shape[1]
        if self._recorded is not None:
            self._recorded.append(block, stems)
        return True

    def _next(self) -> Waveform | None:
        n = min(self._intake.n_held, self.mixer.block_size)  # before the look at the gaps
        if self._gaps:
            at, n_missing = self._gaps[0]
            if at == self._intake.n_read:
                self._gaps.popleft()
                return np.zeros((self.mixer.n_channels, n_missing), np.float32)
            n = min(n, at - self._intake.n_read)
        if not n:
            return None
        block = np.zeros((self.mixer.n_channels, n), np.float32)
        self._intake.read(block)
        return block

    def warm_up(self) -> None:
        """Take silence apart and forget it: the first blocks of a net take far longer."""
        silence = np.zeros((self.mixer.n_channels, self.mixer.block_size), np.float32)
        for _ in range(8):
            self._stream.process(silence)
        self._stream.reset()

    def finish(self) -> None:
        """Take apart what still waits, and what the net holds back, for the recording."""
        while self.separate():
            pass
        if self._recorded is not None:
            silence = np.zeros((self.mixer.n_channels, self.look_ahead), np.float32)
            self._recorded.append(silence[:, :0], self._stream.process(silence))

    def report(self) -> dict[str, Any]:
        """Return what was measured.

        Returns
        -------
        dict
            As ``report.json`` holds it.
        """
        rate = self.mixer.sample_rate
        return {
            "latency": {
                "samples": self.latency,
                "ms": round(1000 * self.latency / rate, 2),
                "look_ahead_samples": self.look_ahead,
                "buffer_samples": self.ahead,
                "longest_block_ms": round(1000 * self.longest_s, 2),
            },
            "load": round(self.compute_s * rate / self.n_separated, 3) if self.n_separated else 0,
            "overruns": self.overruns,
            "underruns": self.outlet.underruns,
            "samples_mended": self.n_mended,
        }
