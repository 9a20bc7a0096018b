"""Sound through a codec or a lower sample rate and back, aligned to the sample.

What Pedalboard gets wrong here: its resampler gives now a sample more, now one less than it takes;
its GSM codec drops sound wherever a stream is cut, and makes all channels one; its MP3 encoder
slips by 16 samples after a while unless blocks are of certain lengths, and takes two channels at
most. What is held back and how late it is, is measured when the effect is opened.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.signal

from unstir.errors import SettingsError
from unstir.plugins.processors import Blocked, Processor
from unstir.plugins.windows import windowed
from unstir.types import Waveform

Settings = Mapping[str, float | str]
RESAMPLERS = {
    "sinc": "WindowedSinc32",
    "lagrange": "Lagrange",
    "cubic": "CatmullRom",
    "linear": "Linear",
    "hold": "ZeroOrderHold",
}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
BLOCK = 1024  # a length at which the MP3 encoder keeps time
SPARE = 32  # samples; a resampler's output wavers by less than five
GSM_WINDOW_S, GSM_CONTEXT_S, GSM_FADE_S = 1.0, 0.1, 0.01  # a frame of GSM has 0.02 s
_PROBE_S = 1.0


class _Steady:
    """Gives as many samples as it takes, of a plug-in whose blocks differ in length.

    Parameters
    ----------
    name, arguments : str, tuple
        Of Pedalboard's class.
    sample_rate : int
        In hertz.
    channels : slice
        What it is given of the sound.

    Attributes
    ----------
    late : int
        Samples that it holds back, found by giving it noise.
    """

    def __init__(
        self, name: str, arguments: tuple[Any, ...], sample_rate: int, channels: slice
    ) -> None:
        self._plugin = _made(name, arguments)
        self._sample_rate, self._channels = sample_rate, channels
        held_back, lag = _measured(name, arguments, sample_rate)
        self.late = held_back + SPARE + lag
        n_channels = channels.stop - channels.start
        self._ready: Waveform = np.zeros((n_channels, held_back + SPARE), np.float32)

    def run(self, block: Waveform) -> Waveform:
        """Take a block of `BLOCK` samples of all channels and return as many of its own."""
        given = np.ascontiguousarray(block[self._channels])
        done = self._plugin.process(given, self._sample_rate, reset=False)
        ready = np.concatenate([self._ready, np.asarray(done, np.float32)], axis=1)
        self._ready = ready[:, BLOCK:]
        return ready[:, :BLOCK]


def _made(name: str, arguments: tuple[Any, ...]) -> Any:
    import pedalboard

    return getattr(pedalboard, name)(*arguments)


@functools.lru_cache(maxsize=32)
def _measured(name: str, arguments: tuple[Any, ...], sample_rate: int) -> tuple[int, int]:
    """Return how many samples a plug-in holds back at most, and how late they then are."""
    n_blocks = round(_PROBE_S * sample_rate / BLOCK) + 8
    noise = np.random.default_rng(0).standard_normal(n_blocks * BLOCK)
    # Low enough to pass any of them; loud enough to be kept by a codec.
    low = scipy.signal.sosfilt(
        scipy.signal.butter(4, min(1500.0, sample_rate / 8), fs=sample_rate, output="sos"), noise
    )
    sound = (0.3 * low / np.abs(low).max()).astype(np.float32)
    plugin, parts, held_back, n_given = _made(name, arguments), [], 0, 0
    for at in range(0, len(sound), BLOCK):
        parts.append(plugin.process(sound[None, at : at + BLOCK], sample_rate, reset=False)[0])
        n_given += len(parts[-1])
        held_back = max(held_back, at + BLOCK - n_given)
    found = np.concatenate(parts)
    fit = scipy.signal.correlate(found, sound[: len(found)], "full", method="fft")
    return held_back, max(0, int(np.argmax(fit)) - (len(found) - 1))


def _streamed(
    name: str,
    arguments: tuple[Any, ...],
    sample_rate: int,
    n_channels: int,
    *,
    n_together: int = 1,
) -> Processor:
    """Return plug-ins for so many channels each, with blocks of one length."""
    parts = [
        _Steady(name, arguments, sample_rate, slice(first, min(first + n_together, n_channels)))
        for first in range(0, n_channels, n_together)
    ]
    return Blocked(
        lambda block: np.concatenate([part.run(block) for part in parts]),
        n_channels,
        BLOCK,
        late=parts[0].late,
    )


def open_resample(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return what brings the sound to ``target_hz`` and back, with aliases if ``quality`` is low.

    Which sound falls between two samples of the lower rate depends on where the file begins.
    """
    import pedalboard

    quality = getattr(pedalboard.Resample.Quality, RESAMPLERS[str(settings["quality"])])
    arguments = (float(settings["target_hz"]), quality)
    return _streamed("Resample", arguments, sample_rate, n_channels)


def open_mp3(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return what sends the sound through an MP3 encoder: ``vbr_quality`` 0 is best.

    Stereo is encoded together; of more channels each for itself.

    Raises
    ------
    SettingsError
        If MP3 has not that sample rate.
    """
    if sample_rate not in MP3_RATES:
        raise SettingsError(
            f"mp3: the sound has {sample_rate} Hz, and MP3 has {', '.join(map(str, MP3_RATES))} "
            "only; resample the file or leave the effect out"
        )
    arguments = (float(settings["vbr_quality"]),)
    n_together = 2 if n_channels == 2 else 1
    return _streamed("MP3Compressor", arguments, sample_rate, n_channels, n_together=n_together)


def open_gsm(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return the codec of mobile phones of the nineties, at 8 kHz, for each channel."""
    import pedalboard

    plugin = pedalboard.GSMFullRateCompressor()

    def change(window: Waveform) -> Waveform:
        return np.stack([plugin.process(row, sample_rate) for row in window])

    length, context, fade = (
        round(s * sample_rate) for s in (GSM_WINDOW_S, GSM_CONTEXT_S, GSM_FADE_S)
    )
    return windowed(change, n_channels, length=length, context=context, fade=fade)
