"""Chains as Pedalboard's own boards, for programs that work with those."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from unstir.errors import SettingsError
from unstir.plugins.codecs import RESAMPLERS
from unstir.plugins.colors import LADDER_MODES
from unstir.plugins.effects import Effect, Settings
from unstir.plugins.equalizer import butterworth_qs
from unstir.plugins.levels import amplitude

if TYPE_CHECKING:
    import pedalboard
    from pedalboard._pedalboard import Pedalboard  # where its types say it is

    from unstir.plugins.chains import Chain

# Effects that are one of Pedalboard's: its class, and our parameters in the order of its own.
_ALIKE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "gain": ("Gain", ("gain_db",)),
    "invert": ("Invert", ()),
    "peak": ("PeakFilter", ("cutoff_hz", "gain_db", "q")),
    "low-shelf": ("LowShelfFilter", ("cutoff_hz", "gain_db", "q")),
    "high-shelf": ("HighShelfFilter", ("cutoff_hz", "gain_db", "q")),
    "phaser": ("Phaser", ("rate_hz", "depth", "center_hz", "feedback", "mix")),
    "bitcrush": ("Bitcrush", ("bits",)),
    "clipping": ("Clipping", ("threshold_db",)),
    "maximizer": ("Limiter", ("threshold_db", "release_ms")),
    "mp3": ("MP3Compressor", ("vbr_quality",)),
}


def board_of(chain: "Chain") -> "Pedalboard":
    """Return a chain as a `pedalboard.Pedalboard`; see `Chain.board`.

    Raises
    ------
    SettingsError
        If no effect of Pedalboard's own gives what one of the chain does.
    """
    import pedalboard

    plugins = [plugin for effect in chain.effects for plugin in _plugins(effect, chain)]
    return pedalboard.Pedalboard(plugins)  # type: ignore[attr-defined]


def _plugins(effect: Effect, chain: "Chain") -> list["pedalboard.Plugin"]:
    import pedalboard

    settings = effect.settings
    if effect.name in _OTHERS:
        return _OTHERS[effect.name](settings)
    if effect.name not in _ALIKE:
        raise SettingsError(
            f"{chain.name}: no effect of Pedalboard's own gives what {effect.name} does; "
            "use Chain.open"
        )
    name, parameters = _ALIKE[effect.name]
    return [getattr(pedalboard, name)(*(settings[key] for key in parameters))]


def _passes(first: str, settings: Settings) -> list["pedalboard.Plugin"]:
    """Return a Butterworth filter out of Pedalboard's passes, which are of first order.

    Two of them have the poles (s + 1)^2, and a pair of poles of a Butterworth filter is
    s^2 + s / q + 1: what leads from one to the other is a bell.
    """
    import pedalboard

    cutoff_hz, order = float(settings["cutoff_hz"]), round(float(settings["order"]))
    passes = [getattr(pedalboard, first)(cutoff_hz) for _ in range(order)]
    bells = [
        pedalboard.PeakFilter(cutoff_hz, 20 * math.log10(2 * q), math.sqrt(q / 2))
        for q in butterworth_qs(order)
    ]
    return [*passes, *bells]


def _chorus(settings: Settings) -> list["pedalboard.Plugin"]:
    import pedalboard

    rate_hz, depth, delay_ms, mix = (
        float(settings[key]) for key in ("rate_hz", "depth", "delay_ms", "mix")
    )
    return [pedalboard.Chorus(rate_hz, depth, delay_ms, 0.0, mix)]


def _delay(settings: Settings) -> list["pedalboard.Plugin"]:
    import pedalboard

    delay_s, wet = float(settings["delay_ms"]) / 1000, amplitude(float(settings["wet_db"]))
    feedback = amplitude(float(settings["feedback_db"]))
    # Pedalboard turns down the direct sound by as much as it adds; the gain undoes that.
    gain_db = 20 * math.log10(1 + wet)
    return [pedalboard.Delay(delay_s, feedback, wet / (1 + wet)), pedalboard.Gain(gain_db)]


def _saturation(settings: Settings) -> list["pedalboard.Plugin"]:
    import pedalboard

    drive_db = float(settings["drive_db"])
    return [pedalboard.Distortion(drive_db), pedalboard.Gain(-drive_db)]


def _ladder(settings: Settings) -> list["pedalboard.Plugin"]:
    import pedalboard

    mode = getattr(pedalboard.LadderFilter.Mode, LADDER_MODES[str(settings["mode"])])
    cutoff_hz, resonance = float(settings["cutoff_hz"]), float(settings["resonance"])
    drive = amplitude(float(settings["drive_db"]))
    return [pedalboard.LadderFilter(mode, cutoff_hz, resonance, drive)]


def _resample(settings: Settings) -> list["pedalboard.Plugin"]:
    import pedalboard

    quality = getattr(pedalboard.Resample.Quality, RESAMPLERS[str(settings["quality"])])
    return [pedalboard.Resample(float(settings["target_hz"]), quality)]


_OTHERS: Mapping[str, Callable[[Settings], list["pedalboard.Plugin"]]] = {
    "high-pass": lambda settings: _passes("HighpassFilter", settings),
    "low-pass": lambda settings: _passes("LowpassFilter", settings),
    "chorus": _chorus,
    "delay": _delay,
    "saturation": _saturation,
    "ladder": _ladder,
    "resample": _resample,
}
