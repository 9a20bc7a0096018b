"""The two published Divide and Remaster recipes as event schedules: what sounds when, how loud.

No sound is touched here; `unstir.neural.dnr_render` turns a schedule into stems. `DNR2` is
the recipe of Petermann et al. [1]_ with the constants of the authors' second release,
`DNR3` that of Watcharasupat et al. [2]_ with the constants of the authors' dense variant.

Three things differ from the published programs. No event begins before its predecessor
leaves room (there, a start held back to the last two seconds, or the lower tail of the
skew-normal, could make two pieces of music overlap). Counts, given for 60 s, scale with the
length of the scene, so that short scenes are as dense as long ones. And every scene is drawn
by itself, while the published test sets use up a list of utterances from scene to scene.

References
----------
.. [1] D. Petermann, G. Wichern, Z.-Q. Wang and J. Le Roux, "The cocktail fork problem:
   three-stem audio separation for real-world soundtracks", ICASSP 2022.
.. [2] K. N. Watcharasupat, C.-W. Wu and I. Orife, "Remastering Divide and Remaster: a
   cinematic audio source separation dataset with multilingual support", 2024,
   arXiv:2407.07275.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unstir.errors import SettingsError

Kind = Literal["speech", "music", "foreground", "background"]
KINDS: tuple[Kind, ...] = ("speech", "music", "foreground", "background")
STEM_OF: Mapping[Kind, str] = {
    "speech": "speech",
    "music": "music",
    "foreground": "effects",
    "background": "effects",
}


@dataclass(frozen=True, slots=True)
class KindConfig:
    """How often, how long and how loud one kind of sound is.

    Parameters
    ----------
    mean_count : float
        Mean of the Poisson distribution of events in 60 s, before zero is excluded.
    level_lufs, level_spread_lu : float
        Loudness of the whole kind in a scene: center and spread of its distribution.
    clip_spread_lu : float
        Spread of single events around what was drawn for the kind.
    overlap : float
        Largest part of an event, 0 to 1, that the next of its kind may lie over.
    min_share : float
        Part of the source that must fit before the scene ends; 1 takes the whole source.
    min_duration_s : float
        Shortest event, in seconds, unless the source itself is shorter.
    enters_anywhere : bool
        Whether an event begins at a random place of its source, else at the beginning.
    """

    mean_count: float
    level_lufs: float
    level_spread_lu: float
    clip_spread_lu: float
    overlap: float = 0.0
    min_share: float = 0.3
    min_duration_s: float = 0.1
    enters_anywhere: bool = False


@dataclass(frozen=True, slots=True)
class DnrConfig:
    """A recipe; see `DNR2` and `DNR3`.

    Parameters
    ----------
    name : str
        For commands and reports.
    sample_rate : int
        Of the published data, in hertz.
    speech, music, foreground, background : KindConfig
        The four kinds; the last two make up the effects.
    distribution : {"uniform", "normal"}
        Of all loudness draws; a spread is half the width or the standard deviation.
    master_lufs, master_spread_lu : float
        Loudness of the mix.
    start_offset_s, start_scale_s, start_skew : float
        Location, from the earliest place allowed, scale and shape of the skew-normal starts.
    starts_after_full_seconds : bool
        Whether the earliest place is the next full second after the predecessor's end.
    mean_share, sd_share : float
        Mean and standard deviation of an event's length, as parts of what is possible.
    keeps_min_share : bool
        Whether that length, too, is held to ``min_share``, as well as the place.
    last_start_s : float
        No part of a source begins later than this before the end, in seconds.
    longest_source_s : float
        Of a longer source only this much counts, in seconds, unless it is taken whole:
        the published sources of music and effects are clips of up to 30 s.
    n_tries : int
        How many sources are tried for an event before it is left out.
    levels_kinds : bool
        Whether the sum of a kind's events is brought to the loudness drawn for the kind.
    peak_dbfs : float
        Largest peak.
    limits : bool
        Whether true peaks are limited; else all stems are scaled down together.
    duration_s : float
        Length of the published scenes, in seconds.
    """

    name: str
    sample_rate: int
    speech: KindConfig
    music: KindConfig
    foreground: KindConfig
    background: KindConfig
    distribution: Literal["uniform", "normal"]
    master_spread_lu: float
    start_offset_s: float
    starts_after_full_seconds: bool
    keeps_min_share: bool
    n_tries: int
    levels_kinds: bool
    peak_dbfs: float
    limits: bool
    master_lufs: float = -27.0
    start_scale_s: float = 2.0
    start_skew: float = 5.0
    mean_share: float = 0.5
    sd_share: float = 0.1
    last_start_s: float = 2.0
    longest_source_s: float = 30.0
    duration_s: float = 60.0

    def of(self, kind: Kind) -> KindConfig:
        """Return what holds for one kind."""
        return {
            "speech": self.speech,
            "music": self.music,
            "foreground": self.foreground,
            "background": self.background,
        }[kind]


DNR2 = DnrConfig(
    name="dnr2",
    sample_rate=44100,
    speech=KindConfig(8, -17, 2, 1, min_share=1.0),
    music=KindConfig(7, -24, 2, 1, enters_anywhere=True),
    foreground=KindConfig(12, -21, 2, 1),
    background=KindConfig(6, -29, 2, 1),
    distribution="uniform",
    master_spread_lu=2.0,
    start_offset_s=1.0,
    starts_after_full_seconds=True,
    keeps_min_share=False,
    n_tries=1,
    levels_kinds=False,
    peak_dbfs=-0.5,
    limits=False,
)
DNR3 = DnrConfig(
    name="dnr3",
    sample_rate=48000,
    speech=KindConfig(12, -27, 4, 6, overlap=0.25, min_share=1.0),
    music=KindConfig(7, -32, 6, 10, enters_anywhere=True),
    foreground=KindConfig(12, -32, 6, 10, overlap=0.5, min_duration_s=0.5),
    background=KindConfig(24, -40, 6, 10, overlap=1.0, min_duration_s=1.0),
    distribution="normal",
    master_spread_lu=1.0,
    start_offset_s=0.0,
    starts_after_full_seconds=False,
    keeps_min_share=True,
    n_tries=10,
    levels_kinds=True,
    peak_dbfs=-2.0,
    limits=True,
)
RECIPES: Mapping[str, DnrConfig] = {recipe.name: recipe for recipe in (DNR2, DNR3)}


@dataclass(frozen=True, slots=True)
class Event:
    """One stretch of one source, put at one place of a scene.

    Parameters
    ----------
    kind : {"speech", "music", "foreground", "background"}
        What it is.
    source : int
        Index into the kind's pool of sources.
    source_start_s, start_s, duration_s : float
        Where it begins in the source and in the scene; how long it lasts; in seconds.
    level_lufs : float
        Its integrated loudness.
    pan : float
        From -1 (left) to 1 (right), for stereo scenes; 0 but for effects.
    """

    kind: Kind
    source: int
    source_start_s: float
    start_s: float
    duration_s: float
    level_lufs: float
    pan: float

    @property
    def end_s(self) -> float:
        """Where it ends in the scene, in seconds."""
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that is drawn for a scene.

    Parameters
    ----------
    events : tuple of Event
        In the order of their starts.
    levels_lufs : mapping of kind to float
        What was drawn for each kind; the events' levels lie around it.
    master_lufs : float
        Loudness of the mix.
    duration_s : float
        Length of the scene, in seconds.
    """

    events: tuple[Event, ...]
    levels_lufs: Mapping[Kind, float]
    master_lufs: float
    duration_s: float


def schedule(
    recipe: DnrConfig,
    durations_s: Mapping[Kind, Sequence[float]],
    rng: np.random.Generator,
    *,
    duration_s: float | None = None,
) -> Schedule:
    """Return the events of one scene.

    Parameters
    ----------
    recipe : DnrConfig
        `DNR2` or `DNR3`.
    durations_s : mapping of kind to sequence of float
        How long each source of each kind's pool is, in seconds.
    rng : numpy.random.Generator
        What draws.
    duration_s : float, optional
        Length of the scene, above 2 s; as published (60 s) if not given.

    Returns
    -------
    Schedule
        Every kind has at least one event drawn, but some find no room: speech longer than
        what is left is never cut.

    Raises
    ------
    SettingsError
        If a pool is empty or holds a length that is not above 0, or the scene is too short,
        for example for every utterance there is.

    References
    ----------
    .. [1] Petermann et al. 2022 and Watcharasupat et al. 2024, see the module.

    Examples
    --------
    >>> pools = {kind: [2.0, 3.0] for kind in KINDS}
    >>> scene = schedule(DNR2, pools, np.random.default_rng(0), duration_s=20.0)
    >>> sorted({event.kind for event in scene.events})
    ['background', 'foreground', 'music', 'speech']
    >>> all(event.end_s <= 20 for event in scene.events)
    True
    """
    duration_s = recipe.duration_s if duration_s is None else duration_s
    if not recipe.last_start_s < duration_s < math.inf:
        raise SettingsError(
            f"a scene of {duration_s} s came; a length above {recipe.last_start_s} s is wanted"
        )
    for kind in KINDS:
        if not durations_s.get(kind) or not all(0 < x < math.inf for x in durations_s[kind]):
            raise SettingsError(
                f"the pool of {kind} is empty or holds a length that is not above 0; "
                f"the recipe {recipe.name} wants sources of every kind"
            )
    shortest_s = min(durations_s["speech"])
    if shortest_s > duration_s:
        raise SettingsError(
            f"a scene of {duration_s} s came and speech of at least {shortest_s:.1f} s, which is "
            "never cut; make longer scenes or cut the speech into utterances"
        )
    levels = {
        kind: _level(recipe, recipe.of(kind).level_lufs, recipe.of(kind).level_spread_lu, rng)
        for kind in KINDS
    }
    events = [
        event
        for kind in KINDS
        for event in _events(recipe, kind, durations_s[kind], levels[kind], duration_s, rng)
    ]
    events.sort(key=lambda event: event.start_s)
    master_lufs = _level(recipe, recipe.master_lufs, recipe.master_spread_lu, rng)
    return Schedule(tuple(events), levels, master_lufs, duration_s)


def _events(
    recipe: DnrConfig,
    kind: Kind,
    sources_s: Sequence[float],
    level_lufs: float,
    duration_s: float,
    rng: np.random.Generator,
) -> list[Event]:
    config = recipe.of(kind)
    events: list[Event] = []
    earliest_s = 0.0
    for _ in range(_zero_truncated_poisson(config.mean_count * duration_s / 60, rng)):
        for _ in range(recipe.n_tries):
            source = int(rng.integers(len(sources_s)))
            place = _place(recipe, config, sources_s[source], earliest_s, duration_s, rng)
            if place is not None:
                break
        else:
            continue
        start_s, length_s = place
        entry_s = rng.uniform(0, sources_s[source] - length_s) if config.enters_anywhere else 0.0
        clip_lufs = _level(recipe, level_lufs, config.clip_spread_lu, rng)
        pan = rng.uniform(-1, 1) if STEM_OF[kind] == "effects" else 0.0
        events.append(Event(kind, source, entry_s, start_s, length_s, clip_lufs, pan))
        end_s = start_s + length_s
        earliest_s = rng.uniform(end_s - config.overlap * length_s, end_s)
        if recipe.starts_after_full_seconds:
            earliest_s = math.ceil(end_s)
    return events


def _place(
    recipe: DnrConfig,
    config: KindConfig,
    source_s: float,
    earliest_s: float,
    duration_s: float,
    rng: np.random.Generator,
) -> tuple[float, float] | None:
    """Return start and length of an event in seconds, or None if there is no room for it."""
    is_whole = config.min_share == 1.0
    if not is_whole:
        source_s = min(source_s, recipe.longest_source_s)
    needed_s = config.min_share * source_s
    if recipe.keeps_min_share:
        needed_s = max(needed_s, config.min_duration_s)
    latest_s = duration_s - (source_s if is_whole else recipe.last_start_s)
    if duration_s - earliest_s < needed_s or latest_s < earliest_s:
        return None
    location_s = earliest_s + recipe.start_offset_s
    draw_s = location_s + recipe.start_scale_s * _skew_normal(recipe.start_skew, rng)
    start_s = max(earliest_s, min(draw_s, latest_s))
    if is_whole:
        return start_s, source_s
    room_s = min(source_s, duration_s - start_s)
    low_s = max(config.min_duration_s, needed_s if recipe.keeps_min_share else 0.0)
    mean_s, sd_s = recipe.mean_share * room_s, recipe.sd_share * room_s
    return start_s, _truncated_normal(mean_s, sd_s, low_s, room_s, rng)


def _level(recipe: DnrConfig, center: float, spread: float, rng: np.random.Generator) -> float:
    if recipe.distribution == "uniform":
        return float(rng.uniform(center - spread, center + spread))
    return float(rng.normal(center, spread))


def _zero_truncated_poisson(mean: float, rng: np.random.Generator) -> int:
    # The first arrival of a Poisson process, given that there is one, has an exponential
    # distribution cut at the end of the interval; what follows it is again Poisson.
    first = -math.log1p(rng.uniform() * math.expm1(-mean))
    return 1 + int(rng.poisson(max(0.0, mean - first)))


def _skew_normal(skew: float, rng: np.random.Generator) -> float:
    """Return a draw of Azzalini's standard skew-normal: half a normal and a whole one, added."""
    delta = skew / math.hypot(1, skew)
    return float(delta * abs(rng.normal()) + math.sqrt(1 - delta**2) * rng.normal())


def _truncated_normal(
    mean: float, sd: float, low: float, high: float, rng: np.random.Generator
) -> float:
    """Return a draw of the normal distribution between two bounds; ``high`` if they cross."""
    from scipy.special import ndtr, ndtri  # here, so that this module needs numpy alone

    if high <= low:
        return high
    share = rng.uniform(ndtr((low - mean) / sd), ndtr((high - mean) / sd))
    return float(np.clip(mean + sd * ndtri(share), low, high))
