"""A small mixer: what a simulated project sounds like, written apart from the code it judges."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from tests.daw.eel import Effect
from tests.daw.model import Fx, Item, Project, Source, Take, Track, value

EQUALIZER = Path(__file__).parents[2] / "daw_scripts/reaper/unstir/equalizer.jsfx"
Sound = NDArray[np.float64]


@lru_cache(maxsize=64)
def _file(path: str) -> Sound:
    return sf.read(path, dtype="float64", always_2d=True)[0].T


def samples(source: Source, k: NDArray[np.int64]) -> Sound:
    """Return the samples of a source at whole places; silence outside."""
    if source.parent is not None and source.section is not None:
        offset, length, backward = source.section
        n = round(length * source.rate)
        inside = (k >= 0) & (k < n)
        first = round(offset * source.rate)
        below = round((offset + length) * source.rate) - 1 - k if backward else first + k
        return np.where(inside, samples(source.parent, below), 0.0)
    data = _file(source.path)
    inside = (k >= 0) & (k < data.shape[1])
    return np.where(inside, data[:, np.clip(k, 0, data.shape[1] - 1)], 0.0)


def _channels(wave: Sound, mode: int) -> Sound:
    if len(wave) == 1 or mode == 0:
        return wave
    if mode == 1:
        return np.concatenate([wave[1::-1], wave[2:]])
    if mode == 2:
        return wave.mean(axis=0, keepdims=True)
    return wave[mode - 3 : mode - 2]


def take_sound(item: Item, take: Take, t: Sound) -> Sound:
    """Return what a take gives at seconds from its item's start, before gain and fades."""
    source = take.source
    at = (value(take, "D_STARTOFFS") + t * value(take, "D_PLAYRATE")) * source.rate
    near = np.round(at)
    at = np.where(np.abs(at - near) < 1e-4, near, at)
    k = np.floor(at).astype(np.int64)
    part = at - k
    after = k + 1
    if value(item, "B_LOOPSRC"):
        period = round(source.length_s * source.rate)
        k, after = k % period, after % period
    wave = samples(source, k) * (1 - part)
    if part.any():
        wave = wave + samples(source, after) * part
    return _channels(wave, int(value(take, "I_CHANMODE")))


def colored(wave: Sound, fx: list[Fx], rate: int) -> Sound:
    """Return sound after our equalizers; other effects are passed over."""
    for one in fx:
        if "unstir equalizer" in one.name:
            effect = Effect(EQUALIZER, rate, len(wave))
            effect.set({number + 1: value for number, value in one.values.items()})
            wave = effect.process(wave)
    return wave


def item_sound(item: Item, t: Sound) -> Sound:
    """Return what an item adds at project times, in stereo or its own channels."""
    start, length = value(item, "D_POSITION"), value(item, "D_LENGTH")
    inside = t - start
    wave = take_sound(item, item.take, inside)
    if item.take.fx:
        sounds = (inside >= -1e-9) & (inside < length - 1e-9)
        wave[:, sounds] = colored(wave[:, sounds], item.take.fx, round(1 / (t[1] - t[0])))
    gain = value(item, "D_VOL") * value(item.take, "D_VOL") * np.ones_like(t)
    for key, to_edge in (("D_FADEINLEN", inside), ("D_FADEOUTLEN", length - inside)):
        if value(item, key) > 0:
            gain *= np.clip(to_edge / value(item, key), 0, 1)
    gain[(inside < -1e-9) | (inside >= length - 1e-9)] = 0.0
    wave = wave * gain
    wave = np.repeat(wave, 2, axis=0) if len(wave) == 1 else wave
    pan = value(item.take, "D_PAN")  # as a balance: the side it turns away from gets softer
    wave[0] *= min(1.0, 1.0 - pan)
    wave[1] *= min(1.0, 1.0 + pan)
    return wave


def mix(project: Project, rate: int, seconds: float) -> Sound:
    """Return the master: every unmuted item, through the gains of its track and its folders."""
    t = np.arange(round(seconds * rate)) / rate
    out = np.zeros((8, len(t)))
    folders: list[Track] = []
    for track, level in zip(project.tracks, project.levels(), strict=True):
        folders = folders[:level]
        chain = [*folders, track]
        gain = np.prod([value(one, "D_VOL") for one in chain])
        if any(value(one, "B_MUTE") for one in chain):
            gain = 0.0
        width = int(min(value(one, "I_NCHAN") for one in chain))
        own = np.zeros((width, len(t)))
        for item in track.items:
            if not value(item, "B_MUTE") and item.takes and item.take.source.kind != "MIDI":
                wave = item_sound(item, t)[:width]
                own[: len(wave)] += gain * wave
        out[:width] += colored(own, [fx for one in reversed(chain) for fx in one.fx], rate)
        folders.append(track)
    return out
