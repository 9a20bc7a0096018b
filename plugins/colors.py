"""Chorus, phaser and ladder filter; saturation, clipping, bit reduction and polarity."""

from collections.abc import Mapping

import numpy as np

from unstir.plugins.equalizer import HIGHEST
from unstir.plugins.processors import Memoryless, PerChannel, Processor
from unstir.types import Waveform

Settings = Mapping[str, float | str]
LADDER_MODES = {
    f"{name}-{slope}": f"{short}{slope}"
    for name, short in (("low-pass", "LPF"), ("high-pass", "HPF"), ("band-pass", "BPF"))
    for slope in (12, 24)
}


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


def open_clipping(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return what cuts off every sample beyond ``threshold_db``, as Pedalboard's clipping does."""
    import pedalboard

    threshold_db = float(settings["threshold_db"])
    return PerChannel(lambda channel: pedalboard.Clipping(threshold_db), sample_rate, n_channels)


def open_maximizer(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return Pedalboard's limiter: two compressors, their gain made up, and cut off at 0 dB.

    Each channel is turned down alone, and what is below ``threshold_db`` gets louder; to keep
    peaks under a ceiling, use the ``limiter`` of `unstir.plugins.dynamics`.
    """
    import pedalboard

    threshold_db, release_ms = float(settings["threshold_db"]), float(settings["release_ms"])
    return PerChannel(
        lambda channel: pedalboard.Limiter(threshold_db, release_ms), sample_rate, n_channels
    )


def open_invert(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return what turns the polarity round."""
    return Memoryless(np.negative)


def open_phaser(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return Pedalboard's phaser: six all-pass filters that sway about ``center_hz``.

    With ``feedback`` beyond 0.95 it would ring on and on.
    """
    import pedalboard

    rate_hz, depth, feedback, mix = (
        float(settings[k]) for k in ("rate_hz", "depth", "feedback", "mix")
    )
    center_hz = min(float(settings["center_hz"]), HIGHEST * sample_rate)
    return PerChannel(
        lambda channel: pedalboard.Phaser(rate_hz, depth, center_hz, feedback, mix),
        sample_rate,
        n_channels,
    )


def open_ladder(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return Pedalboard's ladder filter, which rounds off peaks even without ``drive_db``."""
    import pedalboard

    mode = getattr(pedalboard.LadderFilter.Mode, LADDER_MODES[str(settings["mode"])])
    cutoff_hz = min(float(settings["cutoff_hz"]), HIGHEST * sample_rate)
    resonance, drive = float(settings["resonance"]), 10 ** (float(settings["drive_db"]) / 20)
    return PerChannel(
        lambda channel: pedalboard.LadderFilter(mode, cutoff_hz, resonance, drive),
        sample_rate,
        n_channels,
    )
