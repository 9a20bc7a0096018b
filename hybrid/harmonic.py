r"""Voice by its pitch: a comb along the harmonics, and the consonants beside them.

pYIN [1]_ follows the voice; where REAPER [2]_ is installed and finds the same pitch,
confidence rises, and where it does not, it falls. Channel pairs are tracked on their center,
since that is where voices are mixed.

The mask of a voiced frame is a product. The comb has a lobe per harmonic, as wide as the
window's main lobe plus what the pitch's own resolution and its glide within the window
add in proportion to frequency. The harmonicity compares the peaks at five neighboring
harmonics with the valleys between them, :math:`\max(0, 1 - \bar V / \bar P)`, and so says how
much of that region is this voice at all. Neither goes to zero, for a hard comb loses more of
the voice than it removes of the rest.

Unvoiced consonants are found by rule, as in segregation by onset [3]_: energy that rises
above its own background, band by band, belongs to the voice if a voiced stretch is near, and
to what is left if not. A voice does not hold a pitch as an instrument does: where it stays
within a few cents for a fifth of a second, confidence falls. Masks are the mean of what is
right if the pitch is and what is right if it is not, weighted by the confidence.

Stem sets: the voice is the first stem (speech, vocals). What is left is the accompaniment, or
is shared evenly between music and effects, about which pitch says nothing.

References
----------
.. [1] M. Mauch and S. Dixon, "pYIN: a fundamental frequency estimator using probabilistic
   threshold distributions", ICASSP 2014.
.. [2] D. Talkin, "REAPER: Robust Epoch And Pitch EstimatoR", 2015.
.. [3] G. Hu and D. Wang, "Segregation of unvoiced speech from nonspeech interference",
   J. Acoust. Soc. Am. 124(2), 2008.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.hybrid.pyin import Pitch, pyin, spread_cents
from unstir.spectral import Spectrum, StftConfig, analyze, cut, istft
from unstir.types import FILM, SONG, Evidence, Mixture, Plane, State, Stems

TRACKING_RATE_HZ = 16000
FRAME_LENGTH = 1024  # 64 ms: four periods of the lowest voice
HOP_LENGTH = 160  # 10 ms
HELD_S = 0.2

# Tuned on 12 scenes and 7 songs, where the result is flat within a factor of about 1.5.
LOBE_BINS = 1.0  # half-width of a lobe at half height
LOBE_CENTS = 10.0  # resolution of the pitch track
LEAK_HZ = 600.0  # above, the voice fills the gaps between its harmonics
VOICED_FLOOR = 0.1
TOP_HZ = 6000.0  # above, harmonics are too weak to be told from noise
ABOVE_TOP = 0.4
UNVOICED = 0.1
UNVOICED_VALIDITY = 0.3
BANDS_HZ = (0.0, 300.0, 800.0, 2000.0, 8000.0)
BACKGROUND_S = 0.8
BACKGROUND_PERCENTILE = 20
NEAR_S = 0.06  # a burst this close to a voiced stretch is its consonant
FAR_S = 0.2


@dataclass(frozen=True, slots=True)
class Voice:
    """What kind of voice to follow.

    Parameters
    ----------
    f0_min_hz, f0_max_hz : float
        Range of its pitch, in hertz.
    highpass_hz : float
        Corner of the filter that keeps rumble, and in songs the bass, from being followed.
    held_cents : float
        A pitch that moves less than this within a fifth of a second is an instrument's.
    consonant : float
        Share of a burst beside a voiced stretch that is the voice's; little in songs, whose
        drums fall on the beats that are sung.
    """

    f0_min_hz: float
    f0_max_hz: float
    highpass_hz: float
    held_cents: float
    consonant: float

    def __post_init__(self) -> None:
        if not 20 <= self.f0_min_hz < self.f0_max_hz <= TRACKING_RATE_HZ / 4:
            raise SettingsError(
                f"f0_min_hz={self.f0_min_hz:g} and f0_max_hz={self.f0_max_hz:g} came; "
                f"20 <= f0_min_hz < f0_max_hz <= {TRACKING_RATE_HZ // 4} is wanted"
            )


SPEAKING = Voice(f0_min_hz=65, f0_max_hz=600, highpass_hz=100, held_cents=40, consonant=0.9)
SINGING = Voice(f0_min_hz=80, f0_max_hz=1000, highpass_hz=300, held_cents=20, consonant=0.3)


@dataclass(frozen=True, slots=True)
class Harmonic:
    """Separate a voice by the harmonics of its pitch and the consonants beside them.

    Parameters
    ----------
    stems : tuple of str
        The stem set; its first stem is the voice, in a song `SINGING`, else `SPEAKING`.
    epochs : bool, optional
        Whether to ask REAPER too; if it is installed, when not given. See `tracker`.
    f0_min_hz, f0_max_hz : float, optional
        Range of the pitch, in hertz; by default that of the kind of voice.

    Raises
    ------
    SettingsError
        If the range is empty, or REAPER is asked for and not installed.

    Examples
    --------
    >>> phase = 2 * np.pi * 150 * 2 ** (np.arange(22050) / 22050) / np.log(2)
    >>> rising = sum(np.cos(k * phase) for k in range(1, 20))
    >>> stems = Harmonic().separate(Mixture(rising[None].astype(np.float32), 22050))
    >>> bool(np.square(stems["speech"]).sum() > 9 * np.square(stems["music"]).sum())
    True
    """

    stems: tuple[str, ...] = FILM
    epochs: bool | None = None
    f0_min_hz: float | None = None
    f0_max_hz: float | None = None

    def __post_init__(self) -> None:
        _ = self.voice
        if self.epochs and self.tracker == "pyin":
            raise SettingsError("epochs=True came without pyreaper; install unstir[epochs]")

    @property
    def voice(self) -> Voice:
        """The kind of voice that is followed."""
        usual = SINGING if self.stems == SONG else SPEAKING
        given = {"f0_min_hz": self.f0_min_hz, "f0_max_hz": self.f0_max_hz}
        return replace(usual, **{name: hz for name, hz in given.items() if hz is not None})

    @property
    def tracker(self) -> str:
        """Which trackers run: ``"pyin+reaper"`` or ``"pyin"``."""
        if self.epochs is False:
            return "pyin"
        from unstir.hybrid.epochs import available

        return "pyin+reaper" if available() else "pyin"

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Return None: every window is tracked on its own."""
        return None

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return masks of shape (1, bins, frames) and the validity, of shape (1, frames)."""
        config, rate = spectrum.config, spectrum.mix.sample_rate
        pitch = track(spectrum, self.voice, epochs=self.tracker == "pyin+reaper")
        mask, validity = voice_evidence(spectrum.magnitude, pitch, config, rate, self.voice)
        rest = (1 - mask[None]) / np.float32(len(self.stems) - 1)
        return Evidence(dict.fromkeys(self.stems, rest) | {self.stems[0]: mask[None]}, validity)

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return `evidence` on the mixture's own grid."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return one waveform per stem; they add up to the mix."""
        return cut(mix, self.evidence, state)


def track(spectrum: Spectrum, voice: Voice = SPEAKING, *, epochs: bool = False) -> Pitch:
    """Return the pitch of the voice in a mixture, on the spectrum's frames.

    Parameters
    ----------
    spectrum : Spectrum
        The mixture, or an estimate of its voice; of two channels, the center is tracked.
    voice : Voice
        What kind of voice to follow.
    epochs : bool
        Whether to ask REAPER as well.

    Returns
    -------
    Pitch
        ``voiced_probability`` is the confidence that a voice is there and has this pitch, 0
        in unvoiced frames. It starts halfway from pYIN's to 1; `epochs.second_opinion` and a
        pitch that is held change it.
    """
    signal = _center(spectrum, voice.highpass_hz)
    peak = np.abs(signal).max()
    if peak == 0:
        n = spectrum.n_frames
        return Pitch(np.full(n, voice.f0_min_hz), np.zeros(n, np.bool_), np.zeros(n))
    signal = signal / peak
    span = {"f0_min_hz": voice.f0_min_hz, "f0_max_hz": voice.f0_max_hz}
    found = pyin(
        signal,
        TRACKING_RATE_HZ,
        **span,
        frame_length=FRAME_LENGTH,
        hop_length=HOP_LENGTH,
        threshold_prior=(2.0, 8.0),
    )
    found = replace(found, voiced_probability=(1 + found.voiced_probability) / 2)
    if epochs:
        from unstir.hybrid.epochs import second_opinion

        found = second_opinion(found, signal, **span)
    spread = spread_cents(found, round(HELD_S * TRACKING_RATE_HZ / HOP_LENGTH) | 1)
    moving = np.clip((spread / voice.held_cents - 0.25) / 0.75, 0.05, 1)
    confidence = found.voiced_probability * found.voiced * moving
    # The tracker's frames are centered on multiples of 10 ms, the grid's on multiples of its hop.
    at = np.arange(spectrum.n_frames) * spectrum.config.hop_length / spectrum.mix.sample_rate
    at = at * TRACKING_RATE_HZ / HOP_LENGTH
    nearest = np.minimum(np.rint(at).astype(np.int64), len(found.f0_hz) - 1)
    f0 = found.f0_hz[nearest]
    between = np.exp(np.interp(at, np.arange(len(found.f0_hz)), np.log(found.f0_hz)))
    glides = np.abs(between / f0 - 1) < 0.06  # more is a jump, between whose ends nothing sounds
    return Pitch(np.where(glides, between, f0), found.voiced[nearest], confidence[nearest])


def _center(spectrum: Spectrum, highpass_hz: float) -> NDArray[np.float32]:
    """Return what lies in the middle, high-passed, at 16 kHz, shape (samples,)."""
    import soxr

    n_fft, hop, rate = spectrum.config.n_fft, spectrum.config.hop_length, spectrum.mix.sample_rate
    # Keeping the lowest bins decimates by a power of two, so that every rate costs about the same.
    fold = 1
    while rate >= 2 * fold * TRACKING_RATE_HZ and hop % (2 * fold) == 0 and n_fft >= 8 * fold:
        fold *= 2
    config = StftConfig(n_fft // fold, hop // fold)
    cells = spectrum.cells[:, : config.n_bins].transpose(0, 2, 1)
    center = cells.mean(axis=0)
    if len(cells) == 2:
        # 1 where both channels agree in level and phase, 0 where they oppose or one is silent.
        both = np.abs(cells[0]) + np.abs(cells[1])
        apart = np.abs(cells[0] - cells[1])
        center *= np.square(1 - np.divide(apart, both, out=np.ones_like(both), where=both > 0))
    tone = np.square(config.frequencies_hz(1) * rate / fold / highpass_hz)
    center *= (tone / np.sqrt(1 + tone * tone)).astype(np.float32)
    n_samples = -(-spectrum.mix.n_samples // fold)
    signal = istft(center.T[None], config, n_samples)[0]
    resampled = soxr.resample(signal, rate / fold, TRACKING_RATE_HZ)
    return resampled if resampled.size else np.zeros(1, np.float32)


def comb_mask(pitch: Pitch, config: StftConfig, sample_rate: int) -> NDArray[np.float32]:
    r"""Return 1 at the harmonics of every voiced frame, falling to 0 between them.

    Parameters
    ----------
    pitch : Pitch
        One value per frame of the grid, as `track` gives it.
    config, sample_rate : StftConfig, int
        The grid and its rate in hertz.

    Returns
    -------
    ndarray of float32, shape (bins, frames), in [0, 1]
        Raised cosines. At harmonic h they fall to one half at a distance of one bin, plus
        ten cents, plus :math:`h |df_0/dt|` times half a frame. 0 in unvoiced frames.

    Examples
    --------
    >>> pitch = Pitch(np.array([2000.0]), np.array([True]), np.array([1.0]))
    >>> np.flatnonzero(comb_mask(pitch, StftConfig(64, 16), 16000)[:, 0] == 1).tolist()
    [8, 16, 24, 32]
    """
    rows = np.flatnonzero(pitch.voiced)
    comb = np.zeros((len(pitch.f0_hz), config.n_bins), np.float32)
    comb[rows] = _lobes(pitch, rows, config, sample_rate, config.n_bins)
    return comb.T


def voice_evidence(
    magnitude: NDArray[np.float32],
    pitch: Pitch,
    config: StftConfig,
    sample_rate: int,
    voice: Voice = SPEAKING,
) -> tuple[NDArray[np.float32], Plane]:
    """Return the share of every cell that belongs to the voice of that pitch, and its validity.

    Parameters
    ----------
    magnitude : ndarray of float32, shape (bins, frames)
        Of the mixture, or of what is to be divided.
    pitch : Pitch
        One value per frame of the grid, as `track` gives it.
    config, sample_rate : StftConfig, int
        The grid and its rate in hertz.
    voice : Voice
        What kind of voice it is.

    Returns
    -------
    mask : ndarray of float32, shape (bins, frames), in [0, 1]
        The module's description says what it is made of.
    validity : ndarray of float32, shape (1, frames), in [0, 1]
        0.3 where there is neither pitch nor consonant; the confidence of the pitch and that
        of the surest consonant take their shares of what is missing to 1.
    """
    frequencies = config.frequencies_hz(sample_rate).astype(np.float32)
    n_top = int(np.searchsorted(frequencies, TOP_HZ))
    rows = np.flatnonzero(pitch.voiced)
    heard = _consonants(magnitude, pitch, config, sample_rate).T
    mask = UNVOICED + np.float32(voice.consonant - UNVOICED) * heard
    leak = frequencies[:n_top] / (frequencies[:n_top] + np.float32(LEAK_HZ))
    comb = _lobes(pitch, rows, config, sample_rate, n_top)
    spacing = (pitch.f0_hz[rows, None] * config.n_fft / sample_rate).astype(np.float32)
    own = _harmonicity(magnitude.T[rows], spacing, n_top)
    voiced = np.full((len(rows), config.n_bins), ABOVE_TOP, np.float32)
    voiced[:, :n_top] = VOICED_FLOOR + (1 - VOICED_FLOOR) * own * (leak + (1 - leak) * comb)
    trust = pitch.voiced_probability.astype(np.float32)
    mask[rows] += trust[rows, None] * (voiced - mask[rows])
    doubt = (1 - UNVOICED_VALIDITY) * (1 - trust) * (1 - heard.max(axis=1))
    return mask.T, (1 - doubt)[None]


def _consonants(
    magnitude: NDArray[np.float32], pitch: Pitch, config: StftConfig, sample_rate: int
) -> NDArray[np.float32]:
    """Return how surely a cell holds a consonant of the voice, shape (bins, frames)."""
    hop_s = config.hop_length / sample_rate
    edges = np.searchsorted(config.frequencies_hz(sample_rate), BANDS_HZ)
    edges = np.unique(edges[edges < config.n_bins])
    power = np.add.reduceat(np.square(magnitude.T), edges, axis=1)
    size = round(BACKGROUND_S / hop_s) | 1
    burst = np.empty_like(power)
    for band, level in enumerate(np.sqrt(power.T)):
        background = scipy.ndimage.percentile_filter(
            level, BACKGROUND_PERCENTILE, size, mode="nearest"
        )
        share = np.divide(background, level, out=np.ones_like(level), where=level > 0)
        # From 0 at 1.4 times the background to 1 at five times.
        burst[:, band] = np.clip((0.7 - share) / 0.5, 0, 1)
    burst *= _nearness(pitch, hop_s)[:, None]
    widths = np.diff(np.append(edges, config.n_bins))
    return np.repeat(burst, widths, axis=1).T


def _nearness(pitch: Pitch, hop_s: float) -> NDArray[np.float32]:
    """Return the confidence of the nearest voiced stretch, faded with the distance to it."""
    if not pitch.voiced.any():
        return np.zeros(len(pitch.voiced), np.float32)
    frames, nearest = scipy.ndimage.distance_transform_edt(~pitch.voiced, return_indices=True)
    fade = np.clip((FAR_S - frames * hop_s) / (FAR_S - NEAR_S), 0, 1)
    # The edge of a stretch is less sure than its inside, and belongs to the same voice.
    sure = scipy.ndimage.maximum_filter1d(pitch.voiced_probability, round(FAR_S / hop_s) | 1)
    return np.asarray(sure[nearest[0]] * fade, np.float32)


def _lobes(
    pitch: Pitch, rows: NDArray[np.int64], config: StftConfig, sample_rate: int, n_bins: int
) -> NDArray[np.float32]:
    """Return the comb of the frames ``rows``, shape (rows, bins)."""
    f0 = pitch.f0_hz[rows, None].astype(np.float32)
    step = np.abs(np.diff(pitch.f0_hz))
    smooth = pitch.voiced[1:] & pitch.voiced[:-1] & (step < 0.1 * pitch.f0_hz[1:])
    step = np.pad(np.where(smooth, step, 0), 1)
    glide = np.maximum(step[1:], step[:-1])[rows, None] * (config.n_fft / config.hop_length / 2)
    bins = np.arange(n_bins, dtype=np.float32) * np.float32(sample_rate / config.n_fft)
    # All in units of f0.
    place = bins / f0
    harmonic = np.maximum(np.rint(place), 1)
    width = place * np.float32(2 ** (LOBE_CENTS / 1200) - 1)
    width += np.float32(LOBE_BINS * sample_rate / config.n_fft) / f0
    width += harmonic * (glide / f0).astype(np.float32)
    distance = np.minimum(np.abs(place - harmonic) / width, 2)
    return np.asarray(0.5 + 0.5 * np.cos(np.float32(np.pi / 2) * distance), np.float32)


def _harmonicity(
    frames: NDArray[np.float32], spacing: NDArray[np.float32], n_bins: int
) -> NDArray[np.float32]:
    """Return how far peaks, ``spacing`` (rows, 1) bins apart, stand above the valleys."""
    if spacing.size == 0 or n_bins == 0:
        return np.zeros((len(frames), n_bins), np.float32)
    n_harmonics = max(1, int(n_bins / spacing.min()))
    at = np.arange(1, n_harmonics + 1, dtype=np.float32) * spacing
    inside = at < n_bins

    def level(place: NDArray[Any]) -> NDArray[Any]:
        nearest = np.clip(np.rint(place), 0, frames.shape[1] - 1).astype(np.int64)
        return np.take_along_axis(frames, nearest, axis=1) * inside

    half = spacing / 2
    peak = np.maximum.reduce([level(at - 1), level(at), level(at + 1)])
    valley = (level(at - half) + level(at + half)) / 2
    peak = scipy.ndimage.uniform_filter1d(peak, 5, axis=1, mode="constant")
    valley = scipy.ndimage.uniform_filter1d(valley, 5, axis=1, mode="constant")
    own = 1 - np.divide(valley, peak, out=np.ones_like(peak), where=peak > valley)
    nearest = np.clip(np.rint(np.arange(n_bins) / spacing), 1, n_harmonics).astype(np.int64)
    return np.asarray(np.take_along_axis(own, nearest - 1, axis=1), np.float32)
