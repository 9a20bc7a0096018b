"""The demo scene that comes with the package: 20 seconds of a film, taken apart already."""

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np

from unstir.types import FILM, Stems, Waveform


@dataclass(frozen=True, eq=False)
class Scene:
    """True stems, their mix, and the score of the music.

    Parameters
    ----------
    stems : dict of str to ndarray of float32, each of shape (channels, samples)
        Speech, music and effects, in this order.
    sample_rate : int
        In hertz.
    score : Path
        A MIDI file of the music whose time 0 is the start of the scene.
    """

    stems: Stems
    sample_rate: int
    score: Path

    @cached_property
    def mix(self) -> Waveform:
        """The sum of the stems, to the last bit: all are whole multiples of 1/32768."""
        first, *others = self.stems.values()
        return sum(others, start=first)


def load_scene() -> Scene:
    """Return the demo scene: stereo, 44.1 kHz, 20 s, with passages of each stem alone.

    Two people talk in the middle, a small band plays around them, and somebody comes
    in from the rain, a car goes by and a siren wails. ``demo/README.md`` says how it was
    made.

    Examples
    --------
    >>> scene = load_scene()
    >>> tuple(scene.stems), scene.mix.shape
    (('speech', 'music', 'effects'), (2, 882000))
    """
    import soundfile

    folder = Path(str(files("unstir"))) / "demo"
    stems, rates = {}, set()
    for name in FILM:
        samples, rate = soundfile.read(folder / f"{name}.flac", dtype="float32", always_2d=True)
        stems[name] = np.ascontiguousarray(samples.T)
        rates.add(int(rate))
    (sample_rate,) = rates
    return Scene(stems, sample_rate, folder / "music.mid")
