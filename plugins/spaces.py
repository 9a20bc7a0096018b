"""Rooms and echoes: reverb, convolution with synthesized impulse responses, delay.

The direct sound always keeps its level, and ``wet_db`` says how loud the reverberation is against
it: 0 dB is as much energy as the direct sound has.
"""

import functools
import math
from collections.abc import Mapping

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from unstir.plugins.equalizer import HIGHEST, Sections
from unstir.plugins.processors import Blocked, DelayLine, PerChannel, Processor, joint
from unstir.types import Waveform

Settings = Mapping[str, float | str]
# The longest of the eight comb filters of JUCE's reverb, and how its size sets their feedback.
COMB_S, FEEDBACK_LOW, FEEDBACK_SPAN = 1640 / 44100, 0.7, 0.28
CONVOLUTION_BLOCK = 512
# JUCE's convolution scales an impulse response to this root of its energy.
JUCE_NORM = 0.125
SPACES = ("room", "hall", "plate")


class Wet:
    """Adds to a sound what a processor makes of it.

    Parameters
    ----------
    processor : Processor
        Gives the reverberation alone.
    gain : float
        Factor of the reverberation.
    send : Sections or None
        Filters what is sent to the processor.
    predelay : int
        Samples by which the reverberation comes later.
    """

    def __init__(
        self,
        processor: Processor,
        gain: float,
        *,
        send: Sections | None = None,
        predelay: int = 0,
    ) -> None:
        self._processor, self._gain, self._send = processor, np.float32(gain), send
        # What the processor holds back is taken out of the predelay, as far as that goes.
        self.latency = max(0, processor.latency - predelay)
        self._dry = DelayLine(self.latency)
        self._late = DelayLine(max(0, predelay - processor.latency))

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        sent = self._send.process(block, {}) if self._send else block
        wet = self._late.process(self._processor.process(sent, {}))
        return self._dry.process(block) + self._gain * wet


def _send(settings: Settings, sample_rate: int, n_channels: int) -> Sections:
    cutoff_hz = min(float(settings["low_cut_hz"]), HIGHEST * sample_rate)
    sections = scipy.signal.butter(2, cutoff_hz, "highpass", fs=sample_rate, output="sos")
    return Sections(sections, n_channels)


def _wet(
    processor: Processor, norm: float, settings: Settings, sample_rate: int, n_channels: int
) -> Processor:
    return Wet(
        processor,
        10 ** (float(settings["wet_db"]) / 20) / norm,
        send=_send(settings, sample_rate, n_channels),
        predelay=round(float(settings["predelay_ms"]) * sample_rate / 1000),
    )


def open_reverb(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return an artificial room (JUCE's Freeverb) that rings for ``decay_s`` down to -60 dB.

    ``damping`` makes high frequencies fade sooner. Stereo has one room for both channels; of more
    channels each has its own, since Pedalboard's reverb leaves more than two as they are.
    """
    decay_s, damping = float(settings["decay_s"]), float(settings["damping"])
    processor = _juce_reverb(decay_s, damping, sample_rate, n_channels)
    norm = _reverb_norm(decay_s, damping, sample_rate, n_channels == 2)
    return _wet(processor, norm, settings, sample_rate, n_channels)


def _juce_reverb(decay_s: float, damping: float, sample_rate: int, n_channels: int) -> Processor:
    import pedalboard

    feedback = 10 ** (-3 * COMB_S / decay_s)
    size = min(max((feedback - FEEDBACK_LOW) / FEEDBACK_SPAN, 0.0), 1.0)

    def make(channel: int) -> pedalboard.Reverb:
        return pedalboard.Reverb(size, damping, wet_level=1 / 3, dry_level=0.0, width=1.0)

    if n_channels == 2:
        return joint(make(0), sample_rate, 2)
    return PerChannel(make, sample_rate, n_channels)


@functools.lru_cache(maxsize=32)
def _reverb_norm(decay_s: float, damping: float, sample_rate: int, stereo: bool) -> float:
    """Return the root of the energy that an impulse, the same in all channels, leaves in one."""
    n_channels = 2 if stereo else 1
    impulse = np.zeros((n_channels, round((decay_s + 0.2) * sample_rate)), np.float32)
    impulse[:, 0] = 1
    ringing = _juce_reverb(decay_s, damping, sample_rate, n_channels).process(impulse, {})
    return float(np.sqrt(np.square(ringing, dtype=np.float64).sum() / n_channels))


def reverb_tail_s(settings: Settings) -> float:
    """Return how long the reverb sounds after its input."""
    return float(settings["predelay_ms"]) / 1000 + float(settings["decay_s"])


@functools.lru_cache(maxsize=16)
def impulse_response(space: str, sample_rate: int, channel: int) -> NDArray[np.float32]:
    """Return a synthesized impulse response, with unit energy and without the direct sound.

    Noise in six bands, each with a decay of its own, as air and walls take the highs first. The
    room adds a few early reflections, the hall swells before it fades, the plate is bright and
    dense from the start. Every channel has its own noise, so that a voice in the middle is
    surrounded.

    Parameters
    ----------
    space : {"room", "hall", "plate"}
        Which one.
    sample_rate : int
        In hertz.
    channel : int
        Seeds the noise.

    Returns
    -------
    ndarray of float32, shape (samples,)
        The same at every call.

    References
    ----------
    .. [1] J. A. Moorer, "About this reverberation business", Computer Music Journal 3(2), 1979:
       decaying noise is like the impulse response of a good hall.

    Examples
    --------
    >>> response = impulse_response("room", 48000, 0)
    >>> len(response) / 48000, round(float(np.square(response).sum()), 4)
    (0.5, 1.0)
    """
    # Seconds to -60 dB in octaves about 125 Hz to 4 kHz and above, rise time, first arrival.
    length_s, decays_s, rise_s, first_s = {
        "room": (0.5, (0.45, 0.42, 0.4, 0.36, 0.3, 0.24), 0.002, 0.004),
        "hall": (2.6, (2.6, 2.5, 2.3, 2.0, 1.6, 1.1), 0.04, 0.018),
        "plate": (1.9, (1.6, 1.9, 1.9, 1.8, 1.6, 1.4), 0.001, 0.0),
    }[space]
    n = round(length_s * sample_rate)
    time_s = np.arange(n) / sample_rate
    noise = np.random.default_rng([SPACES.index(space), channel]).standard_normal(n)
    spectrum = np.fft.rfft(noise)
    octave = np.log2(np.maximum(np.fft.rfftfreq(n, 1 / sample_rate), 1.0) / 125)
    response = np.zeros(n)
    for band, decay_s in enumerate(decays_s):
        # Neighboring bands are cross-faded over an octave, so that they add up to all of it.
        share = np.clip(1 - np.abs(np.clip(octave, 0, len(decays_s) - 1) - band), 0, 1)
        response += np.fft.irfft(spectrum * share, n) * np.exp(-math.log(1000) * time_s / decay_s)
    response *= 1 - np.exp(-time_s / rise_s)
    first = round(first_s * sample_rate)
    response = np.concatenate([np.zeros(first), response[: n - first]])
    if space == "room":
        level = np.abs(response).max()
        for k, (at_ms, gain) in enumerate(((5.3, 1.6), (8.9, -1.2), (13.1, 1.0), (19.7, -0.7))):
            # A little apart in each channel, as if the walls were not quite alike.
            at = round(at_ms * (1 + 0.07 * ((channel + k) % 3 - 1)) * sample_rate / 1000)
            response[at] += gain * level
    return np.asarray(response / np.linalg.norm(response), np.float32)


def open_convolution(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a room made by convolution with `impulse_response`, each channel with its own."""
    import pedalboard

    space = str(settings["space"])
    plugins = [
        pedalboard.Convolution(impulse_response(space, sample_rate, k), 1.0, sample_rate)
        for k in range(n_channels)
    ]

    def run(block: Waveform) -> Waveform:
        return np.stack(
            [
                plugin.process(np.ascontiguousarray(row), sample_rate, reset=False)
                for plugin, row in zip(plugins, block, strict=True)
            ]
        )

    # The last bit depends on how the sound is cut, hence blocks of one length.
    processor = Blocked(run, n_channels, CONVOLUTION_BLOCK)
    return _wet(processor, JUCE_NORM, settings, sample_rate, n_channels)


def convolution_tail_s(settings: Settings) -> float:
    """Return how long the room sounds after its input."""
    length_s = {"room": 0.5, "hall": 2.6, "plate": 1.9}[str(settings["space"])]
    return float(settings["predelay_ms"]) / 1000 + length_s


def open_delay(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return an echo after ``delay_ms``, and each next one weaker by ``feedback_db``."""
    import pedalboard

    delay_s = float(settings["delay_ms"]) / 1000
    feedback = 10 ** (float(settings["feedback_db"]) / 20)
    processor = PerChannel(
        lambda channel: pedalboard.Delay(delay_s, feedback, mix=1.0), sample_rate, n_channels
    )
    return Wet(processor, 10 ** (float(settings["wet_db"]) / 20))


def delay_tail_s(settings: Settings) -> float:
    """Return how long echoes come after the input, down to -60 dB."""
    n_echoes = 1 + 60 / -float(settings["feedback_db"])
    return float(settings["delay_ms"]) / 1000 * n_echoes
