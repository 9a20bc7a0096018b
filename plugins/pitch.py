"""Pitch shift, window by window.

Pedalboard's ``PitchShift`` gives nothing but silence as a stream (its issue 415), and in one piece
it makes a steady tone warble. Its ``time_stretch``, with nothing to stretch, does neither, but has
no stream. So it is given windows with context on both sides, which are joined where they fit.
"""

from collections.abc import Mapping

from unstir.plugins.processors import Processor
from unstir.plugins.windows import windowed
from unstir.types import Waveform

Settings = Mapping[str, float | str]
WINDOW_S, CONTEXT_S = 2.0, 0.25
FADE_S, SEARCH_S = 0.04, 0.005  # of a join: a few periods of a voice, and half a low one


def open_pitch_shift(settings: Settings, sample_rate: int, n_channels: int) -> Processor:
    """Return Pedalboard's pitch shifter, as a stream as long as the sound.

    A phase vocoder smears in time: where a sound is, is known to some 10 ms only.
    """
    import pedalboard

    semitones = float(settings["semitones"])

    def change(window: Waveform) -> Waveform:
        return pedalboard.time_stretch(
            window, sample_rate, stretch_factor=1.0, pitch_shift_in_semitones=semitones
        )

    length, context, fade, search = (
        round(s * sample_rate) for s in (WINDOW_S, CONTEXT_S, FADE_S, SEARCH_S)
    )
    return windowed(change, n_channels, length=length, context=context, fade=fade, search=search)
