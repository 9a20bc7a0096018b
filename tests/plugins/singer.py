"""A singer who sings what is written, so that what was heard can be held against it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unstir.plugins.notes import MelodyNote

RATE = 22050


def sing(
    notes: Sequence[MelodyNote],
    *,
    seconds: float | None = None,
    vibrato_cents: float = 40.0,
    vibrato_hz: float = 5.5,
    glide_s: float = 0.05,
    formants_hz: tuple[float, ...] = (700.0, 1200.0, 2700.0),
) -> NDArray[np.float32]:
    """Return sound of shape (1, samples): harmonics under formants, glides between slurred notes.

    Vibrato begins 150 ms into a note. Amplitude goes with the square of the velocity.
    """
    n = round((seconds or notes[-1].offset_s + 0.3) * RATE)
    time_s = np.arange(n) / RATE
    key, gain = np.zeros(n), np.zeros(n)
    for i, note in enumerate(notes):
        slurred = i > 0 and note.onset_s - notes[i - 1].offset_s < 1e-6
        first, stop = round(note.onset_s * RATE), round(note.offset_s * RATE)
        t = time_s[first:stop] - note.onset_s
        depth = vibrato_cents / 100 * np.clip((t - 0.15) / 0.1, 0, 1)
        key[first:stop] = note.pitch_at(time_s[first:stop])
        key[first:stop] += depth * np.sin(2 * np.pi * vibrato_hz * t)
        if slurred:
            key[first:stop] -= (note.key - notes[i - 1].key) * np.exp(-t / glide_s * 3)
        attack = np.ones(len(t)) if slurred else np.clip(t / 0.015, 0, 1)
        slurs = i + 1 < len(notes) and notes[i + 1].onset_s - note.offset_s < 1e-6
        release = np.ones(len(t)) if slurs else np.clip((t[-1] - t) / 0.02, 0, 1)
        gain[first:stop] = (note.velocity / 127) ** 2 * attack * release
    f0_hz = 440 * 2 ** ((key - 69) / 12)
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE
    wave = np.zeros(n)
    for h in range(1, 25):
        f_hz = h * f0_hz
        shape = sum(1 / (1 + np.square((f_hz - formant) / 150)) for formant in formants_hz)
        wave += np.where(f_hz < RATE / 2, (shape + 0.1) / h, 0) * np.sin(h * phase)
    return (0.15 * gain * wave)[None].astype(np.float32)
