"""Chorus, saturation and bit reduction."""

from collections.abc import Mapping

import numpy as np

from unstir.plugins.processors import PerChannel, Processor
from unstir.types import Waveform

Settings = Mapping[str, float | str]


def open_chorus(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return Pedalboard's chorus: the sound, and a copy whose delay sways."""
    import pedalboard

    rate_hz, depth, mix = (float(settings[k]) for k in ("rate_hz", "depth", "mix"))
    delay_ms = float(settings["delay_ms"])
    return PerChannel(
        lambda channel: pedalboard.Chorus(rate_hz, depth, delay_ms, 0.0, mix),
        sample_rate,
        n_channels,
    )


class Saturation:
    """Rounds off peaks; what is soft keeps its level."""

    def __init__(self, drive_db: float, sample_rate: int, n_channels: int) -> None:
        import pedalboard

        self._plugin = PerChannel(
            lambda channel: pedalboard.Distortion(drive_db), sample_rate, n_channels
        )
        self.latency = self._plugin.latency
        self._gain = np.float32(10 ** (-drive_db / 20))

    def process(self, block: Waveform, keys: Mapping[str, Waveform], /) -> Waveform:
        """Return as many samples as came."""
        return self._plugin.process(block, keys) * self._gain


def open_saturation(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return Pedalboard's distortion, a hyperbolic tangent, without its gain for soft sound."""
    return Saturation(float(settings["drive_db"]), sample_rate, n_channels)


def open_bitcrush(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return a quantizer to ``bits``, without dither."""
    import pedalboard

    bits = float(settings["bits"])
    return PerChannel(lambda channel: pedalboard.Bitcrush(bits), sample_rate, n_channels)
