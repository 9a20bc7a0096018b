"""Scenes by the published Divide and Remaster recipes, from schedule to folder.

A scene depends on its recipe, its sources, the seed and its own index alone: any scene can
be made without the others. In mono it is what the recipes publish. Stereo is ours: music as
it is, speech in the center, effects at the place that was drawn for them, by constant power.

The events of `unstir.neural.dnr` are hard cuts, as in the published data. Loudness is that
of BS.1770-4; what is shorter than its block of 400 ms is measured as if it went on and on,
and what is too quiet to be measured is left out.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal
import soxr

from unstir.audio import MIN_RATE_HZ
from unstir.errors import AudioError, JournalError, SettingsError
from unstir.loudness import SEGMENTS_PER_BLOCK, Meter
from unstir.neural.dnr import KINDS, STEM_OF, DnrConfig, Event, Kind, Schedule, schedule
from unstir.neural.folders import Annotation, Sound, read_stretch, write_scene
from unstir.types import FILM, Stems, Waveform

Sources = Mapping[Kind, Sequence[Sound]]

BACKGROUND_FROM_S = 5.0  # effects that last are ambience, shorter ones happen in front of it
OVERSAMPLING = 4  # of true peaks: Recommendation ITU-R BS.1770-4, annex 2
LOOKAHEAD_S = 0.02  # of the limiter, to either side
SETTINGS_FILE = "scenes.json"


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene whose true stems are known.

    Parameters
    ----------
    stems : dict of str to ndarray of float32, each of shape (channels, samples)
        Speech, music and effects; the mix is their sum.
    sample_rate : int
        In hertz.
    annotations : tuple of Annotation
        What is in it, in the order of time.
    skipped : tuple of str
        A sentence for every event that is missing: its source is silent there or cannot be
        read.
    """

    stems: Stems
    sample_rate: int
    annotations: tuple[Annotation, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """What `write_scenes` tells of each scene.

    Parameters
    ----------
    folder : Path
        Where the scene stands now.
    done, total : int
        Scenes there so far, and in the end.
    is_new : bool
        False if an earlier run had made it.
    skipped : tuple of str
        See `Scene`; empty if it is not new.
    """

    folder: Path
    done: int
    total: int
    is_new: bool
    skipped: tuple[str, ...]


def dnr_sources(
    *, speech: Sequence[Sound], music: Sequence[Sound], effects: Sequence[Sound]
) -> dict[Kind, tuple[Sound, ...]]:
    """Return the pools of the four kinds.

    The published recipes divide effects by a table of the classes of FSD50K. Here an effect
    in a folder named ``foreground`` or ``background`` is what that says, as in the published
    sources; any other is background if it lasts 5 s or more. If all effects fall on one
    side, both kinds draw from all of them.

    Examples
    --------
    >>> voice = Sound(Path("v.wav"), "v.wav", "", 3.0)
    >>> rain, knock = Sound(Path("r"), "r", "", 30.0), Sound(Path("k"), "k", "", 0.5)
    >>> pools = dnr_sources(speech=[voice], music=[voice], effects=[rain, knock])
    >>> pools["background"] == (rain,), pools["foreground"] == (knock,)
    (True, True)
    """
    background = tuple(sound for sound in effects if _is_background(sound))
    foreground = tuple(sound for sound in effects if not _is_background(sound))
    return {
        "speech": tuple(speech),
        "music": tuple(music),
        "foreground": foreground or background,
        "background": background or foreground,
    }


def _is_background(sound: Sound) -> bool:
    folders = sound.name.lower().split("/")[:-1]
    for folder in reversed(folders):
        if folder in ("foreground", "background"):
            return folder == "background"
    return sound.duration_s >= BACKGROUND_FROM_S


def mix_scene(
    recipe: DnrConfig,
    sources: Sources,
    *,
    seed: int,
    index: int,
    duration_s: float | None = None,
    channels: int = 1,
    sample_rate: int | None = None,
) -> Scene:
    """Return the ``index``-th scene of a seed; the same whatever else was made before.

    Parameters
    ----------
    recipe : DnrConfig
        `unstir.neural.dnr.DNR2` or `DNR3`.
    sources : mapping of kind to sequence of Sound
        From `dnr_sources`.
    seed, index : int
        At least 0.
    duration_s : float, optional
        Length of the scene in seconds; as published (60 s) if not given.
    channels : {1, 2}
        Mono, as published, or stereo.
    sample_rate : int, optional
        In hertz; as published (44.1 or 48 kHz) if not given.

    Raises
    ------
    AudioError
        If none of the sources drawn can be heard.
    SettingsError
        If an option is out of range or a pool is empty.
    """
    plan = _plan(recipe, sources, seed, index, duration_s)
    return render(recipe, plan, sources, channels=channels, sample_rate=sample_rate)


def _plan(
    recipe: DnrConfig, sources: Sources, seed: int, index: int, duration_s: float | None
) -> Schedule:
    if seed < 0 or index < 0:
        raise SettingsError(f"seed={seed} and index={index} came; at least 0 is wanted")
    durations_s = {kind: [sound.duration_s for sound in sources[kind]] for kind in sources}
    rng = np.random.default_rng([seed, index])
    return schedule(recipe, durations_s, rng, duration_s=duration_s)


def render(
    recipe: DnrConfig,
    plan: Schedule,
    sources: Sources,
    *,
    channels: int = 1,
    sample_rate: int | None = None,
) -> Scene:
    """Return the scene that a schedule describes; options and errors as in `mix_scene`."""
    rate = recipe.sample_rate if sample_rate is None else sample_rate
    _check_form(channels, rate)
    n_samples = round(plan.duration_s * rate)
    sums = {kind: np.zeros((channels, n_samples), np.float32) for kind in KINDS}
    placed: list[tuple[Event, float]] = []
    skipped: list[str] = []
    for event in plan.events:
        sound = sources[event.kind][event.source]
        try:
            clip = _clip(sound, event, rate, channels)
        except AudioError as error:
            skipped.append(str(error))
            continue
        gain = _gain_to(event.level_lufs, clip, rate)
        if gain is None:
            skipped.append(f"{sound.name!r} is silent at {event.source_start_s:.3f} s")
            continue
        start = int(event.start_s * rate)
        room = sums[event.kind][:, start : start + clip.shape[1]]
        room += np.float32(gain) * clip[:, : room.shape[1]]
        placed.append((event, gain))
    gains = dict.fromkeys(KINDS, 1.0)
    for kind in {event.kind for event, _ in placed} if recipe.levels_kinds else ():
        gains[kind] = _gain_to(plan.levels_lufs[kind], sums[kind], rate) or 1.0
    mix = np.zeros((channels, n_samples), np.float32)
    for kind in KINDS:
        mix += np.float32(gains[kind]) * sums[kind]
    master = _gain_to(plan.master_lufs, mix, rate)
    if master is None:
        raise AudioError(
            f"none of the {len(plan.events)} sources drawn for a scene can be heard "
            f"({'; '.join(skipped[:3])}); look at the folders given"
        )
    stems = {name: np.zeros_like(mix) for name in FILM}
    for kind in KINDS:
        stems[STEM_OF[kind]] += np.float32(gains[kind] * master) * sums[kind]
    if recipe.limits:
        peak_gain = 1.0
        curve = _limiter(stems, 10 ** (recipe.peak_dbfs / 20), rate)
        stems = {name: stem * curve for name, stem in stems.items()}
    else:
        highest = max(float(np.abs(x).max()) for x in (*stems.values(), sum(stems.values())))
        peak_gain = min(1.0, 10 ** (recipe.peak_dbfs / 20) / highest)
        stems = {name: stem * np.float32(peak_gain) for name, stem in stems.items()}
    annotations = tuple(
        _annotation(sources[e.kind][e.source], e, gain * gains[e.kind] * master * peak_gain)
        for e, gain in placed
    )
    return Scene(stems, rate, annotations, tuple(skipped))


def _check_form(channels: int, rate: int) -> None:
    if channels not in (1, 2) or rate < MIN_RATE_HZ:
        raise SettingsError(
            f"{channels} channels at {rate} Hz came; 1 or 2 at {MIN_RATE_HZ} Hz or more are made"
        )


def _clip(sound: Sound, event: Event, rate: int, channels: int) -> Waveform:
    """Return an event's stretch of its source, on the scene's rate and channels."""
    clip, source_rate = read_stretch(sound.path, event.source_start_s, event.duration_s)
    if event.kind != "music" or channels == 1 or clip.shape[0] == 1:
        mono = clip.mean(axis=0)
        angle = (event.pan + 1) * np.pi / 4  # constant power keeps the loudness
        places = (1.0,) if channels == 1 else (np.cos(angle), np.sin(angle))
        clip = np.stack([np.float32(place) * mono for place in places])
    clip = clip[:2]
    if source_rate != rate and clip.size:
        clip = soxr.resample(clip.T, source_rate, rate, quality="HQ").T
    return np.ascontiguousarray(clip[:, : int(event.duration_s * rate)], np.float32)


def _gain_to(level_lufs: float, waveform: Waveform, rate: int) -> float | None:
    """Return the factor that brings a sound to a loudness; None if it cannot be heard."""
    n_block = SEGMENTS_PER_BLOCK * rate // 10
    if 0 < waveform.shape[1] < n_block:
        waveform = np.take(waveform, np.arange(n_block), axis=1, mode="wrap")
    meter = Meter(rate, waveform.shape[0])
    meter.push(waveform)
    measured_lufs = meter.integrated_lufs()
    return None if measured_lufs is None else 10 ** ((level_lufs - measured_lufs) / 20)


def _limiter(
    stems: Stems, threshold: float, rate: int
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return one gain per sample, for all stems alike, that holds their true peaks and the mix's.

    The gain that each sample needs is spread over its surroundings, so that it is down
    before the peak comes, then smoothed; never above what any sample needs.
    """
    mix = np.sum(list(stems.values()), axis=0, dtype=np.float32)
    peaks = np.zeros(mix.shape[1], np.float32)
    for row in np.concatenate([mix, *stems.values()]):
        # The interpolator's weights add up to less than 4 in magnitude, so nothing far
        # below the threshold can come near it between the samples.
        if np.abs(row).max() > threshold / 4:
            fine = scipy.signal.resample_poly(row, OVERSAMPLING, 1)
            np.maximum(peaks, np.abs(fine).reshape(-1, OVERSAMPLING).max(axis=1), out=peaks)
    needed = np.minimum(1.0, threshold / np.maximum(peaks, threshold)).astype(np.float64)
    half = int(LOOKAHEAD_S * rate)
    held = scipy.ndimage.minimum_filter1d(needed, 2 * half + 1)
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(held, half, mode="edge")
    smooth = scipy.signal.fftconvolve(padded, window / window.sum(), mode="valid")
    return np.minimum(smooth, 1.0).astype(np.float32)


def _annotation(sound: Sound, event: Event, gain: float) -> Annotation:
    return Annotation(
        file=sound.name,
        kind="sfx" if event.kind == "foreground" else event.kind,
        mix_start_s=event.start_s,
        mix_end_s=event.end_s,
        clip_start_s=event.source_start_s,
        clip_end_s=event.source_start_s + event.duration_s,
        gain=gain,
        label=sound.label,
    )


def write_scenes(
    folder: str | os.PathLike[str],
    recipe: DnrConfig,
    sources: Sources,
    *,
    n: int,
    seed: int = 0,
    duration_s: float | None = None,
    channels: int = 1,
    sample_rate: int | None = None,
) -> Iterator[Progress]:
    """Write scenes ``00000`` to ``n - 1`` into a folder, telling of each as soon as it is whole.

    Scenes that are there already are left as they are, so an interrupted run goes on where
    it was, and a larger ``n`` adds to a set. The settings are kept in ``scenes.json``.

    Parameters
    ----------
    folder : str or path
        New, empty, or from a run with the same settings.
    recipe, sources, seed, duration_s, channels, sample_rate
        As in `mix_scene`.
    n : int
        Number of scenes, at least 1.

    Yields
    ------
    Progress
        After each scene.

    Raises
    ------
    AudioError
        If a scene cannot be made or written.
    JournalError
        If the folder holds anything else, or scenes made with other settings or sources.
    SettingsError
        If an option is out of range or a pool is empty.
    """
    if n < 1:
        raise SettingsError(f"{n} scenes came; at least 1 is wanted")
    folder = Path(folder)
    form: dict[str, Any] = {
        "duration_s": recipe.duration_s if duration_s is None else duration_s,
        "channels": channels,
        "sample_rate": recipe.sample_rate if sample_rate is None else sample_rate,
    }
    _check_form(channels, form["sample_rate"])
    _plan(recipe, sources, seed, 0, duration_s)  # refuses what cannot be before the folder is made
    digests = {kind: _digest(sources[kind]) for kind in KINDS}
    _claim(folder, {"recipe": recipe.name, "seed": seed, **form, "sources": digests})
    for index in range(n):
        place = folder / f"{index:05d}"
        is_new = not place.exists()
        skipped: tuple[str, ...] = ()
        if is_new:
            scene = mix_scene(recipe, sources, seed=seed, index=index, **form)
            skipped = scene.skipped
            write_scene(
                place, scene.stems, sample_rate=scene.sample_rate, annotations=scene.annotations
            )
        yield Progress(place, index + 1, n, is_new, skipped)


def _digest(sounds: Sequence[Sound]) -> str:
    text = json.dumps([(sound.name, sound.duration_s) for sound in sounds])
    return hashlib.sha256(text.encode()).hexdigest()


def _claim(folder: Path, settings: Mapping[str, object]) -> None:
    """Write the settings into a new folder, or check them against those in an old one."""
    path = folder / SETTINGS_FILE
    partial = folder / f".{SETTINGS_FILE}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            there = dict(json.loads(path.read_text(encoding="utf-8")))
            differing = [key for key in settings if there.get(key) != settings[key]]
            if differing:
                raise JournalError(
                    f"{str(folder)!r} holds scenes made with other settings "
                    f"({', '.join(differing)} differ); repeat those or name a new folder"
                )
        elif set(folder.iterdir()) - {partial}:
            raise JournalError(
                f"{str(folder)!r} holds files and no {SETTINGS_FILE}; name a new or empty folder"
            )
        else:
            partial.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
            os.replace(partial, path)
    except OSError as error:
        raise AudioError(
            f"{str(folder)!r} cannot be written ({error.strerror}); name another folder"
        ) from None
    except (TypeError, ValueError):
        raise JournalError(f"{str(path)!r} is damaged; name a new folder") from None
