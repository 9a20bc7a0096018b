"""Scenes of our own recipe written to a folder, from folders of anybody's recordings."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unstir.errors import AudioError, SettingsError
from unstir.neural.folders import Sound, write_scene
from unstir.neural.pack import SAMPLE_RATE, Pack, pack_rows
from unstir.neural.render import render
from unstir.neural.scenes import STEMS, Recipe
from unstir.neural.split import family

FIVE_ONE = ("FL", "FR", "FC", "LFE", "SL", "SR")
SURROUND_DELAY_S = 0.012
SURROUND_DB = -9.0
LFE_HZ = 100.0


def write_film_scenes(
    folder: str | os.PathLike[str],
    *,
    speech: Sequence[Sound],
    music: Sequence[Sound],
    effects: Sequence[Sound],
    rirs: Sequence[Sound] = (),
    n: int,
    duration_s: float,
    seed: int = 0,
    channels: int = 2,
) -> Iterator[Path]:
    """Write scenes ``00000`` to ``n - 1`` at 44.1 kHz; yield each folder when it is whole.

    A scene depends on the recordings, the seed and its own index alone. All three stems are
    in every scene, and its treble stays. ``annots.csv`` has no rows: the recipe levels
    stems, not single sounds, so there is no gain to tell of each. While it runs, a copy of all
    recordings at 16 bits lies in the system's folder for temporary files.

    Parameters
    ----------
    folder : str or path
        New or empty.
    speech, music, effects, rirs : sequence of Sound
        From `unstir.neural.folders.find_sounds`; the last are room responses.
    n : int
        Number of scenes, at least 1.
    duration_s : float
        Length of a scene, at least 1 s.
    seed : int
        At least 0.
    channels : {1, 2, 6}
        Mono is the mean of the two channels of the stereo scene; 6 is 5.1, see `surround`.

    Raises
    ------
    AudioError
        If the folder holds files or cannot be written, or no recording of a kind can be read.
    SettingsError
        If an option is out of range.
    """
    if n < 1 or not 1 <= duration_s < np.inf or seed < 0 or channels not in (1, 2, 6):
        raise SettingsError(
            f"{n} scenes of {duration_s} s with seed {seed} and {channels} channels came; at least "
            "1 scene of 1 s, a seed from 0 and 1, 2 or 6 channels are wanted"
        )
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AudioError(f"{str(folder)!r} is there already; name a new or empty folder")
    pools = {"speech": speech, "music": music, "effects": effects, "rir": rirs}
    rows = [
        {
            "path": str(sound.path.resolve()),
            "kind": kind,
            "label": f"{kind}/{sound.label}",
            "source_repo": sound.label,
            "licence": "",
        }
        for kind, pool in pools.items()
        for sound in pool
    ]
    with tempfile.TemporaryDirectory(prefix="unstir-pack-") as packed:
        for _ in pack_rows(rows, Path(), Path(packed), {family(row): "train" for row in rows}):
            pass
        pack = Pack(Path(packed))
        for kind in STEMS:
            if not pack.select("train", kind):
                raise AudioError(f"no recording of {kind} can be read; name another folder")
        recipe = Recipe(pack, "train")
        clips = {clip.path: clip for clip in pack.clips}
        for index in range(n):
            rng = np.random.default_rng([seed, index])
            plan = recipe.draw(rng, round(duration_s * SAMPLE_RATE), full=True)
            stems = render(plan, pack, clips)
            if channels == 1:
                stems = stems.mean(axis=1, keepdims=True)
            if channels == 6:
                stems = surround(stems)
            place = folder / f"{index:05d}"
            write_scene(
                place,
                dict(zip(STEMS, stems, strict=True)),
                sample_rate=SAMPLE_RATE,
                layout=FIVE_ONE if channels == 6 else None,
            )
            yield place


def surround(stems: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return stereo stems as a dubbing stage would lay them out in 5.1.

    Dialogue stands in the center, and keeps in left and right what is not in the middle. Music
    fills the front and, later and softer, the surrounds. Effects reach around: what is at
    one side is shared with the surround of that side; their lowest octaves go to the LFE too.

    Parameters
    ----------
    stems : ndarray of float32, shape (3, 2, samples)
        Speech, music and effects at 44.1 kHz.

    Returns
    -------
    ndarray of float32, shape (3, 6, samples)
        In the order L, R, C, LFE, Ls, Rs: `FIVE_ONE`.

    Examples
    --------
    >>> centered = np.ones((3, 2, 8), np.float32)
    >>> (surround(centered)[0, :, 0] ** 2).round().astype(int).tolist()  # all in the center
    [0, 0, 2, 0, 0, 0]
    """
    out = np.zeros((3, 6, stems.shape[2]), np.float32)
    speech, music, effects = stems
    middle = speech.mean(axis=0)
    out[0, :2] = speech - middle
    out[0, 2] = np.sqrt(np.float32(2)) * middle  # the power of a phantom center
    out[1, :2] = music
    delay = int(SURROUND_DELAY_S * SAMPLE_RATE)
    out[1, 4:, delay:] = np.float32(10 ** (SURROUND_DB / 20)) * music[:, : -delay or None]
    aside = (effects - effects.mean(axis=0)) / 2
    out[2, :2] = effects - aside
    out[2, 4:] = aside
    spectrum = np.fft.rfft(effects.mean(axis=0))
    spectrum[int(LFE_HZ / SAMPLE_RATE * effects.shape[1]) + 1 :] = 0
    out[2, 3] = np.fft.irfft(spectrum, effects.shape[1]) / 2
    return out
