"""Where a sound occurs that words or recordings ask for: times and scores."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from unstir.audio import open_audio
from unstir.channels import Group, groups
from unstir.errors import SettingsError
from unstir.heap import give_back
from unstir.neural.query import QuerySeparator
from unstir.neural.query_net import FRAME
from unstir.neural.separator import gain_to_level_db
from unstir.neural.words import words
from unstir.queries import REST, TARGET, Question, plain
from unstir.registry import find, make
from unstir.run import check_any_read, stretch_of
from unstir.run_notes import method_options
from unstir.settings import QUERY_METHOD, Listener, Progress, Settings, question_of
from unstir.streaming import survey_sample
from unstir.types import Mixture, Waveform

RATE = 44100
BLOCK = 2**18
STEP, MARGIN = 430, 43  # frames: windows of 20 s, of which 2 s at either side only inform
SMOOTH = 11  # frames: half a second
# On scenes that chose the net, this calls what is there and what is not best on balance: 68 %.
HEARD = 0.5
GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch in which a sound is heard: seconds from the start of the file, and a score."""

    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one sound.

    Parameters
    ----------
    query : str
        What was asked for.
    score : float in [0, 1]
        Of its clearest half second.
    spans : tuple of Span
        Where it is heard; none if it is not.
    """

    query: str
    score: float
    spans: tuple[Span, ...]

    @property
    def is_heard(self) -> bool:
        """Whether it is there at all."""
        return bool(self.spans)


def asked_of(settings: Settings) -> Question:
    """Return what the settings ask for.

    Raises
    ------
    SettingsError
        If they ask for nothing, or as `unstir.settings.question_of`.
    """
    question = question_of(settings)
    if question is None:
        raise SettingsError("nothing was asked for; give words for a sound, or a recording of it")
    return question


def listen_for(
    path: str | Path, settings: Settings, *, listener: Listener = lambda event: None
) -> tuple[Found, ...]:
    """Return where the sounds that the settings ask for are heard.

    Words that another method reads and our encoder does not are left out: nothing can be said of
    them. Memory does not grow with the length of the file, but for 21 numbers a second.

    Parameters
    ----------
    path : str or Path
        Sound, or video with sound.
    settings : Settings
        ``query`` or ``like``, ``words``, ``device``, ``stream``, ``from_s`` and ``to_s`` count;
        of ``method``, whether it is ours.
    listener : callable
        Told of progress.

    Raises
    ------
    AudioError
        If the sound cannot be read.
    SettingsError
        If nothing was asked for, or nothing lies in the stretch.
    """
    queries = asked_of(settings).queries
    if find(settings.method).name != QUERY_METHOD:
        queries = tuple(query for query in queries if _is_readable(query))
        if not (queries or settings.like):
            return ()
    options = method_options(find(QUERY_METHOD), settings, explain=False)
    options |= {"queries": queries, "is_negated": False}  # it is heard whether wanted or not
    stems = (*(queries or (TARGET,)), REST)
    separator = make(QUERY_METHOD, stems, device=settings.device, **options)
    assert isinstance(separator, QuerySeparator)
    separator.asked()
    path = Path(path)
    with open_audio(
        path, stream=settings.stream, allow_truncated=settings.allow_truncated
    ) as reader:
        info = reader.info
    rate = info.sample_rate
    start, stop, n_expected = stretch_of(info, settings)
    done = 0

    def blocks(stage: str) -> Iterator[Waveform]:
        nonlocal done
        done = 0
        with open_audio(
            path, stream=settings.stream, allow_truncated=settings.allow_truncated
        ) as reader:
            for block in reader.blocks(BLOCK, start, stop):
                yield block
                done += block.shape[1]
                listener(Progress(stage, done, n_expected))

    sample = list(survey_sample(blocks("reading"), sample_rate=rate))
    check_any_read(done, info, settings)
    parts = [g for g in groups(info.n_channels, info.layout) if g.role != "lfe"]
    gain_db = gain_to_level_db(sample)
    curves = np.concatenate(
        [
            _heard(separator, window, parts, gain_db)
            for window in _windows(_resampled(blocks("listening"), rate))
        ],
        axis=1,
    )
    names = queries or (" + ".join(plain(Path(like).name) for like in settings.like),)
    end_s = (start + done) / rate
    return tuple(
        found_in(query, curve, start / rate, end_s)
        for query, curve in zip(names, curves, strict=True)
    )


def found_in(
    query: str, curve: NDArray[np.float32], start_s: float = 0.0, end_s: float = np.inf
) -> Found:
    """Return the stretches in which a curve of presence says that a sound is heard.

    Parameters
    ----------
    query : str
        What was asked for.
    curve : ndarray of float32 in [0, 1], shape (frames,)
        A frame every `unstir.neural.query_net.FRAME` samples at 44.1 kHz.
    start_s, end_s : float
        Where the first frame lies, and where the sound ends: no stretch goes beyond.

    Examples
    --------
    >>> curve = np.zeros(100, np.float32)
    >>> curve[40:70] = 0.9
    >>> [(round(s.start_s, 1), round(s.end_s, 1)) for s in found_in("dog", curve).spans]
    [(1.9, 3.2)]
    """
    frame_s = FRAME / RATE
    kernel = np.ones(SMOOTH) / SMOOTH
    smooth = np.convolve(np.pad(curve, SMOOTH // 2, mode="edge"), kernel, "valid")
    loud = np.flatnonzero(smooth > HEARD)
    spans = []
    if len(loud):
        breaks = np.flatnonzero(np.diff(loud) * frame_s > GAP_S)
        for part in np.split(loud, breaks + 1):
            first, last = int(part[0]), int(part[-1]) + 1
            score = round(float(smooth[first:last].max()), 3)
            # A frame is centered on its time.
            begin = start_s + max(0.0, (first - 0.5) * frame_s)
            end = min(end_s, start_s + (last - 0.5) * frame_s)
            spans.append(Span(round(begin, 6), round(end, 6), score))
    return Found(query, round(float(smooth.max()), 3), tuple(spans))


def _is_readable(query: str) -> bool:
    try:
        return bool(words(query))
    except SettingsError:
        return False


def _resampled(blocks: Iterable[Waveform], rate: int) -> Iterator[Waveform]:
    stream: soxr.ResampleStream | None = None
    n_channels = n_samples = 0
    for block in blocks:
        if rate == RATE:
            yield block
            continue
        n_channels = block.shape[0]
        stream = stream or soxr.ResampleStream(rate, RATE, n_channels, dtype="float32")
        low = stream.resample_chunk(np.ascontiguousarray(block.T)).T
        n_samples += low.shape[1]
        yield low
    if stream is not None:  # what it still holds
        held = stream.resample_chunk(np.zeros((0, n_channels), np.float32), last=True).T
        # Of a sample or two at a high rate nothing may be left.
        yield held if n_samples + held.shape[1] else np.zeros((n_channels, 1), np.float32)


def _windows(blocks: Iterable[Waveform]) -> Iterator[tuple[Waveform, slice]]:
    """Yield windows, and which of their frames count: the others only inform."""
    step, margin = STEP * FRAME, MARGIN * FRAME
    kept: Waveform | None = None
    before = 0
    for block in blocks:
        kept = block if kept is None else np.concatenate([kept, block], axis=1)
        while kept.shape[1] >= before + step + margin:
            yield kept[:, : before + step + margin], slice(before // FRAME, before // FRAME + STEP)
            cut = before + step - margin
            kept, before = kept[:, cut:], margin
    if kept is not None and kept.shape[1] > before:
        yield kept, slice(before // FRAME, None)


def _heard(
    separator: QuerySeparator,
    window: tuple[Waveform, slice],
    parts: Sequence[Group],
    gain_db: float,
) -> NDArray[np.float32]:
    waveform, counting = window
    curves = [
        separator.when(Mixture(np.ascontiguousarray(waveform[list(part.channels)]), RATE), gain_db)
        for part in parts
    ]
    give_back()
    curve: NDArray[np.float32] = np.max(curves, axis=0)
    return curve[:, counting]
