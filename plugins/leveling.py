"""One gain that brings a whole sound to its loudness, with what a limiter takes made up for."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from unstir.loudness import Meter
from unstir.plugins.effects import Effect
from unstir.types import Waveform

if TYPE_CHECKING:
    from unstir.plugins.chains import Chain

T = TypeVar("T")
NEAR_LU = 0.1  # from the target: near enough
MOST_PASSES = 5  # over the sound as it leaves the chain
MOST_MADE_UP_DB = 12.0  # of what a limiter takes; with more, little but the limiter would be heard
LEAST_SLOPE = 0.1  # LU per dB: below it the limiter takes nearly all that is given


@dataclass(frozen=True, slots=True)
class Again(Generic[T]):
    """Something that can be gone through several times.

    Parameters
    ----------
    begin : callable
        Gives it from its beginning.

    Examples
    --------
    >>> squares = Again(lambda: (n * n for n in range(3)))
    >>> list(squares), list(squares)
    ([0, 1, 4], [0, 1, 4])
    """

    begin: Callable[[], Iterable[T]]

    def __iter__(self) -> Iterator[T]:
        return iter(self.begin())


def leveled(
    chain: "Chain",
    blocks: Iterable[Waveform],
    sample_rate: int,
    *,
    layout: tuple[str, ...] | None = None,
    keys: Iterable[Mapping[str, Waveform]] | None = None,
) -> "Chain":
    """Return a chain with a gain where its leveler stood; see `Chain.survey`.

    The first pass measures the sound as it comes to the leveler. If effects follow, further passes
    measure it as it leaves them, and the gain is moved along the line through the last two: what
    a limiter gives is concave in the gain, so that it comes near from below. The best is kept.
    """
    at = [effect.name for effect in chain.effects].index("loudness")
    settings = chain.effects[at].settings
    target_lufs, most_db = float(settings["target_lufs"]), float(settings["most_gain_db"])
    ahead = replace(chain, effects=chain.effects[:at])

    def with_gain(gain_db: float) -> "Chain":
        gain = Effect("gain", {"gain_db": round(gain_db, 6)})
        return replace(chain, effects=(*ahead.effects, gain, *chain.effects[at + 1 :]))

    found_lufs = _loudness_lufs(ahead, blocks, sample_rate, layout, keys)
    if found_lufs is None:
        return with_gain(0.0)
    first_db = gain_db = min(target_lufs - found_lufs, most_db)
    if at + 1 == len(chain.effects) or iter(blocks) is blocks:
        return with_gain(gain_db)
    highest_db = min(first_db + MOST_MADE_UP_DB, most_db)
    best_db, least_lu, before = first_db, math.inf, (0.0, 0.0)
    for n_done in range(MOST_PASSES):
        found_lufs = _loudness_lufs(with_gain(gain_db), blocks, sample_rate, layout, keys)
        if found_lufs is None:
            break
        lack_lu, slope = target_lufs - found_lufs, 1.0
        if n_done:
            slope = max((found_lufs - before[1]) / (gain_db - before[0]), LEAST_SLOPE)
        before = gain_db, found_lufs
        if abs(lack_lu) < least_lu:
            best_db, least_lu = gain_db, abs(lack_lu)
            gain_db = min(gain_db + lack_lu / slope, highest_db)
        else:  # where bangs get softer the meter may begin to count what lies between them
            gain_db = (gain_db + best_db) / 2
        if least_lu <= NEAR_LU or gain_db == before[0]:
            break
    return with_gain(best_db)


def _loudness_lufs(
    chain: "Chain",
    blocks: Iterable[Waveform],
    sample_rate: int,
    layout: tuple[str, ...] | None,
    keys: Iterable[Mapping[str, Waveform]] | None,
) -> float | None:
    """Return the loudness of a sound as it leaves a chain; None for silence."""
    side = None if keys is None else iter(keys)
    meter = stream = None
    for block in blocks:
        if meter is None or stream is None:
            meter = Meter(sample_rate, len(block), layout)
            stream = chain.open(sample_rate, len(block))
        meter.push(stream.process(block, {} if side is None else next(side)))
    if meter is None or stream is None:
        return None
    meter.push(stream.finish(0))
    return meter.integrated_lufs()
