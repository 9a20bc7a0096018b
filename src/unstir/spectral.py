"""The one STFT, and the ways from magnitudes to masks to stems."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.types import Evidence, Masks, Mixture, Plane, Spectrogram, State, Stems, Waveform

FRAME_S = 2048 / 44100  # about 46 ms resolves the harmonics of a low voice


@dataclass(frozen=True, slots=True)
class StftConfig:
    """Frame length and hop of the short-time Fourier transform.

    Parameters
    ----------
    n_fft : int
        Frame length in samples; even, at least 4.
    hop_length : int
        Samples from frame to frame; ``n_fft`` must be at least twice, and a
        multiple of it, so that the squared Hann windows cover every sample.
    """

    n_fft: int = 2048
    hop_length: int = 512

    def __post_init__(self) -> None:
        if self.n_fft < 4 or self.n_fft % 2 or self.hop_length < 1:
            raise SettingsError(f"n_fft={self.n_fft} came; an even number of at least 4 is wanted")
        if self.n_fft % self.hop_length or self.n_fft < 2 * self.hop_length:
            raise SettingsError(
                f"hop_length={self.hop_length} came; a divisor of n_fft={self.n_fft}, "
                "at most half of it, is wanted"
            )

    @classmethod
    def for_rate(cls, sample_rate: int, *, frame_s: float = FRAME_S) -> "StftConfig":
        """Return the grid with frames of about ``frame_s`` seconds and a quarter as hop.

        The frame is the nearest power of two, so that a cell spans about the
        same time and frequency at every sample rate.

        Examples
        --------
        >>> StftConfig.for_rate(48000)
        StftConfig(n_fft=2048, hop_length=512)
        >>> StftConfig.for_rate(8000).n_fft
        512
        """
        n_fft = max(16, 2 ** round(np.log2(frame_s * sample_rate)))
        return cls(n_fft, n_fft // 4)

    @property
    def n_bins(self) -> int:
        """Number of frequency bins."""
        return self.n_fft // 2 + 1

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames that cover ``n_samples``."""
        return 1 + -(-n_samples // self.hop_length)

    def frequencies_hz(self, sample_rate: int) -> NDArray[np.float64]:
        """Return the center of every bin in hertz, shape (bins,)."""
        return np.asarray(np.fft.rfftfreq(self.n_fft, 1 / sample_rate), np.float64)


def _window(n_fft: int) -> NDArray[np.float32]:
    """Return the periodic Hann window, whose shifted squares add up to a constant."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft), np.float32)


def stft(waveform: Waveform, config: StftConfig) -> Spectrogram:
    """Return the centered, zero-padded short-time Fourier transform.

    Parameters
    ----------
    waveform : ndarray of float32, shape (channels, samples)
        Any number of samples from one up.
    config : StftConfig
        Frame length and hop.

    Returns
    -------
    ndarray of complex64, shape (channels, bins, frames)
        A view whose memory runs along the bins; periodic Hann window, no scaling.

    Examples
    --------
    >>> stft(np.ones((1, 1000), np.float32), StftConfig(256, 64)).shape
    (1, 129, 17)
    """
    n_fft, hop = config.n_fft, config.hop_length
    n_frames = config.n_frames(waveform.shape[1])
    padded = np.zeros((waveform.shape[0], (n_frames - 1) * hop + n_fft), np.float32)
    padded[:, n_fft // 2 : n_fft // 2 + waveform.shape[1]] = waveform
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=1)[:, ::hop]
    spectrum = scipy.fft.rfft(frames * _window(n_fft), axis=2, overwrite_x=True, workers=-1)
    return np.asarray(spectrum, np.complex64).transpose(0, 2, 1)


def istft(spectrogram: Spectrogram, config: StftConfig, n_samples: int) -> Waveform:
    """Return the waveform whose transform is nearest to ``spectrogram`` [1]_, eq. 6.

    Parameters
    ----------
    spectrogram : ndarray of complex64, shape (channels, bins, frames)
        As `stft` gives it, or masked.
    config : StftConfig
        The grid it was made on.
    n_samples : int
        Length of the waveform it was made from.

    Returns
    -------
    ndarray of float32, shape (channels, n_samples)
        Overlap-added frames, divided by the sum of the squared windows.

    References
    ----------
    .. [1] D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier
       transform", IEEE Trans. ASSP 32(2), 1984.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((2, 999)).astype(np.float32)
    >>> grid = StftConfig(256, 64)
    >>> bool(np.abs(istft(stft(noise, grid), grid, 999) - noise).max() < 1e-5)
    True
    """
    n_fft, hop = config.n_fft, config.hop_length
    window = _window(n_fft)
    frames = scipy.fft.irfft(spectrogram.transpose(0, 2, 1), n_fft, axis=2, workers=-1)
    frames *= window
    n_channels, n_frames = frames.shape[:2]
    overlap = n_fft // hop
    # Frame t covers the hop-sized slots t to t + overlap - 1: part k of all frames adds at once.
    slots = np.zeros((n_channels, n_frames + overlap - 1, hop), np.float32)
    norm = np.zeros((n_frames + overlap - 1, hop), np.float32)
    parts = frames.reshape(n_channels, n_frames, overlap, hop)
    squares = (window * window).reshape(overlap, hop)
    for k in range(overlap):
        slots[:, k : k + n_frames] += parts[:, :, k]
        norm[k : k + n_frames] += squares[k]
    flat = slots.reshape(n_channels, -1)[:, n_fft // 2 : n_fft // 2 + n_samples]
    return np.ascontiguousarray(flat / norm.reshape(-1)[n_fft // 2 : n_fft // 2 + n_samples])


@dataclass(frozen=True)
class Spectrum:
    """A mixture and its transform on one grid, computed once and shared by several priors.

    Parameters
    ----------
    mix : Mixture
        The sound.
    cells : ndarray of complex64, shape (channels, bins, frames)
        Its transform.
    config : StftConfig
        The grid.
    """

    mix: Mixture
    cells: Spectrogram
    config: StftConfig

    @cached_property
    def magnitude(self) -> NDArray[np.float32]:
        """Root mean square over the channels, shape (bins, frames): what linked masks look at."""
        power = np.mean(self.cells.real**2 + self.cells.imag**2, axis=0)
        return np.asarray(np.sqrt(power), np.float32)

    @cached_property
    def frequencies_hz(self) -> NDArray[np.float64]:
        """Center of every bin, shape (bins,)."""
        return self.config.frequencies_hz(self.mix.sample_rate)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.cells.shape[2])


EvidenceOf = Callable[[Spectrum, State | None], Evidence]


def analyze(mix: Mixture, config: StftConfig | None = None) -> Spectrum:
    """Return the mixture's transform on the grid for its sample rate (or the one given)."""
    config = config or StftConfig.for_rate(mix.sample_rate)
    return Spectrum(mix, stft(mix.waveform, config), config)


def ratio_masks(magnitudes: Mapping[str, NDArray[np.float32]], *, power: float = 1.0) -> Masks:
    r"""Turn one magnitude per stem into masks that share every cell out.

    .. math:: M_j = |V_j|^p / \sum_k |V_k|^p

    Parameters
    ----------
    magnitudes : mapping of str to ndarray, each of the same shape
        Non-negative estimates. Left as they are.
    power : float > 0
        1 gives the magnitude ratio mask, 2 the Wiener filter [1]_.

    Returns
    -------
    dict of str to ndarray of float32
        Masks in [0, 1] that add up to one; a cell silent in every stem is split evenly.

    References
    ----------
    .. [1] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power
       spectrograms", ICASSP 2015.

    Examples
    --------
    >>> one = np.ones((1, 1, 1), np.float32)
    >>> float(ratio_masks({"vocals": 3 * one, "accompaniment": one})["vocals"].item())
    0.75
    """
    # Dividing by the loudest stem first keeps every scale, from 1e-30 to 1e30, inside float32.
    loudest = np.maximum.reduce(list(magnitudes.values()))
    silent = loudest <= 0
    loudest = np.where(silent, np.float32(1), loudest)
    shares = {
        name: np.where(silent, np.float32(1), value / loudest) ** np.float32(power)
        for name, value in magnitudes.items()
    }
    total = sum(shares.values())
    return {name: np.asarray(value / total, np.float32) for name, value in shares.items()}


def binary_masks(magnitudes: Mapping[str, NDArray[np.float32]]) -> Masks:
    """Give every cell whole to its loudest stem; ties, silence included, are split evenly.

    Examples
    --------
    >>> one = np.ones((1, 1, 1), np.float32)
    >>> float(binary_masks({"vocals": 3 * one, "accompaniment": one})["vocals"].item())
    1.0
    """
    loudest = np.maximum.reduce(list(magnitudes.values()))
    wins = {name: (value >= loudest).astype(np.float32) for name, value in magnitudes.items()}
    total = sum(wins.values())
    return {name: np.asarray(value / total, np.float32) for name, value in wins.items()}


def settle(evidence: Evidence) -> Masks:
    """Return the masks with an even share wherever the evidence has nothing to say.

    .. math:: M'_j = v M_j + (1 - v) / J
    """
    share = np.float32(1 / len(evidence.masks))
    v = evidence.validity[None]
    return {
        name: np.asarray(share + v * (mask - share), mask.dtype)
        for name, mask in evidence.masks.items()
    }


def render(spectrum: Spectrum, masks: Masks) -> Stems:
    """Return the waveforms that the masks cut out of the mix.

    Parameters
    ----------
    spectrum : Spectrum
        The mix.
    masks : dict of str to ndarray, each of shape (channels or 1, bins, frames)
        Real or complex; the masks of a cell add up to one.

    Returns
    -------
    dict of str to ndarray of float32, each of shape (channels, samples)
        They add up to the mix: the last stem is what the others leave, which is
        the same as its own mask would give, one inverse transform cheaper.
    """
    *names, last = masks
    mix = spectrum.mix
    stems = {
        name: istft(spectrum.cells * masks[name], spectrum.config, mix.n_samples) for name in names
    }
    stems[last] = mix.waveform - sum(stems.values(), start=np.zeros_like(mix.waveform))
    return stems


def consistent(mix: Mixture, estimates: Stems) -> Stems:
    """Return estimates that add up to the mix: each takes an equal part of what was missing.

    The orthogonal projection onto the set of consistent estimates [1]_, eq. 6.

    References
    ----------
    .. [1] S. Wisdom et al., "Differentiable consistency constraints for improved deep
       speech enhancement", ICASSP 2019.
    """
    missing = mix.waveform - sum(estimates.values(), start=np.zeros_like(mix.waveform))
    missing /= np.float32(len(estimates))
    return {name: value + missing for name, value in estimates.items()}


def cut(mix: Mixture, evidence_of: EvidenceOf, state: State | None) -> Stems:
    """Return the stems that a prior's masks cut out of the mix."""
    spectrum = analyze(mix)
    return render(spectrum, settle(evidence_of(spectrum, state)))


def no_evidence(spectrum: Spectrum, stems: tuple[str, ...]) -> Evidence:
    """Return evidence that says nothing: an even share everywhere, validity 0."""
    share = np.full((1, spectrum.config.n_bins, spectrum.n_frames), 1 / len(stems), np.float32)
    return Evidence(dict.fromkeys(stems, share), np.zeros((1, spectrum.n_frames), np.float32))


def everywhere(spectrum: Spectrum) -> Plane:
    """Return a validity plane of ones, shape (1, frames)."""
    return np.ones((1, spectrum.n_frames), np.float32)
