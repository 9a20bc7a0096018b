r"""MRX, the multi-resolution CrossNet: music, speech and effects from a soundtrack.

The published net of Petermann et al. [1]_ to the last parameter, so that its released checkpoints
load. The mixture is analyzed with several windows that share one hop; each resolution is encoded,
the encodings are averaged and run through one BLSTM per source, whose outputs are averaged in turn;
for every source and resolution a decoder gives a real mask for that resolution's spectrogram, and
the signals of the resolutions add up. Each channel goes through alone.

References
----------
.. [1] D. Petermann, G. Wichern, Z.-Q. Wang and J. Le Roux, "The Cocktail Fork Problem:
   Three-Stem Audio Separation for Real-World Soundtracks", ICASSP 2022: the net and its training.
   The released code, which this follows, standardizes each bin by batch normalization instead.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unstir.errors import AudioError, SettingsError
from unstir.neural.released import load_released

SAMPLE_RATE = 44100  # Hz
SOURCES = ("music", "speech", "effects")  # the paper's name of the third is sfx


@dataclass(frozen=True, slots=True)
class MRXConfig:
    """The size of an `MRX`; the defaults are the published one.

    Parameters
    ----------
    window_lengths : tuple of int, each even and at least twice ``hop_length``
        Lengths of the Hann windows in samples, one per resolution.
    hop_length : int > 0
        Samples from one frame to the next, for every resolution.
    n_hidden : int > 0, even
        Width of the encodings and of the BLSTMs, both directions together.
    n_layers : int > 0
        Layers of each BLSTM.
    dropout : float in [0, 1)
        Share of values dropped between those layers in training.

    Raises
    ------
    SettingsError
        If a value is outside its range.

    Examples
    --------
    >>> MRXConfig().window_lengths
    (1024, 2048, 8192)
    """

    window_lengths: tuple[int, ...] = (1024, 2048, 8192)
    hop_length: int = 256
    n_hidden: int = 512
    n_layers: int = 3
    dropout: float = 0.4

    def __post_init__(self) -> None:
        """Refuse sizes that no net can have."""
        if self.hop_length < 1:
            raise SettingsError(f"hop_length is {self.hop_length}; it must be at least 1")
        for length in self.window_lengths or (0,):
            if length % 2 or length < 2 * self.hop_length:
                raise SettingsError(
                    f"window_lengths is {self.window_lengths}; it must hold even numbers, each at "
                    f"least twice hop_length, {self.hop_length}"
                )
        if self.n_hidden < 2 or self.n_hidden % 2:
            raise SettingsError(f"n_hidden is {self.n_hidden}; it must be even and at least 2")
        if self.n_layers < 1:
            raise SettingsError(f"n_layers is {self.n_layers}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout is {self.dropout}; it must be in [0, 1)")


class MRX(nn.Module):
    """Music, speech and effects from a mixture of any level and any number of channels.

    Weights are random until loaded. Trained ones expect about -27 LUFS. Bounded memory is the
    caller's matter: the net takes the whole of what it is given at once.

    Parameters
    ----------
    config : MRXConfig, optional
        The size; the published one by default, of 30,509,080 parameters.

    Examples
    --------
    >>> net = MRX(MRXConfig(window_lengths=(128, 512), hop_length=64, n_hidden=8, n_layers=1))
    >>> net(torch.randn(1, 2, 1000)).shape
    torch.Size([1, 3, 2, 1000])
    """

    def __init__(self, config: MRXConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MRXConfig()
        bins = [length // 2 + 1 for length in config.window_lengths]
        # The names that begin with an underscore are those of the released checkpoints.
        self._encoders = nn.ModuleList(Encoder(n, config.n_hidden) for n in bins)
        self._cross_net = CrossNet(config)
        self._decoders = nn.ModuleList(
            nn.ModuleList(Decoder(config.n_hidden, n) for n in bins) for _ in SOURCES
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """Return one estimate per source; their sum need not be the mixture.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, channels, samples)
            At 44.1 kHz, any level, at least one sample. Left as it is.

        Returns
        -------
        Tensor of float32, shape (batch, sources, channels, samples)
            The sources in the order of `SOURCES`, at the mixture's level.

        Raises
        ------
        AudioError
            If ``mixture`` has other than three axes, or no sample.
        """
        if mixture.ndim != 3 or mixture.numel() == 0:
            raise AudioError(
                f"MRX was given a mixture of shape {tuple(mixture.shape)}; it takes "
                "(batch, channels, samples) with at least one of each"
            )
        waveforms = mixture.flatten(0, 1)  # (B, N), B = batch x channels
        # Reflection at the ends needs more samples than half the longest window.
        missing = max(self.config.window_lengths) // 2 + 1 - waveforms.shape[-1]
        if min(self.config.window_lengths) < 4 * self.config.hop_length:
            # Behind its center the last frame would stand alone, with next to no weight at its end.
            missing = max(missing, -waveforms.shape[-1] % self.config.hop_length)
        waveforms = F.pad(waveforms, (0, max(missing, 0)))
        spectrograms = [self._analyze(waveforms, n) for n in self.config.window_lengths]
        encodings = [
            encoder(spectrogram.abs().mT)
            for encoder, spectrogram in zip(self._encoders, spectrograms, strict=True)
        ]
        features = self._cross_net(torch.stack(encodings).mean(0))  # (B, T, 2H)
        estimates = []
        for source in range(len(SOURCES)):
            estimate = torch.zeros_like(waveforms)
            # One resolution at a time: nine masked spectrograms at once would take the most memory.
            for resolution, spectrogram in enumerate(spectrograms):
                decoder = self.get_submodule(f"_decoders.{source}.{resolution}")
                mask = decoder(features).mT.to(waveforms.dtype)  # (B, F, T)
                estimate = estimate + self._synthesize(mask * spectrogram, waveforms.shape[-1])
            estimates.append(estimate[:, : mixture.shape[-1]].reshape(mixture.shape))
        return torch.stack(estimates, 1)  # (batch, sources, channels, samples)

    def _analyze(self, waveforms: Tensor, window_length: int) -> Tensor:
        """Return the complex spectrograms (B, F, T) of waveforms (B, N)."""
        return torch.stft(
            waveforms,
            window_length,
            self.config.hop_length,
            window=torch.hann_window(window_length, device=waveforms.device),
            normalized=True,  # by 1 / sqrt(window_length)
            return_complex=True,
        )

    def _synthesize(self, spectrograms: Tensor, samples: int) -> Tensor:
        """Return the waveforms (B, N) of complex spectrograms (B, F, T)."""
        window_length = 2 * (spectrograms.shape[1] - 1)
        return torch.istft(
            spectrograms,
            window_length,
            self.config.hop_length,
            window=torch.hann_window(window_length, device=spectrograms.device),
            normalized=True,
            length=samples,
        )


class Encoder(nn.Module):
    """Magnitudes of one resolution to values in [-1, 1]."""

    def __init__(self, n_bins: int, n_hidden: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            nn.BatchNorm1d(n_bins),
            nn.Linear(n_bins, n_hidden, bias=False),
            nn.BatchNorm1d(n_hidden),
            nn.Tanh(),
        )

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Return the encodings (B, T, H) of magnitudes (B, T, F)."""
        return over_frames(self.layer, magnitudes)


class CrossNet(nn.Module):
    """One BLSTM per source over the shared encoding; they meet in their mean."""

    def __init__(self, config: MRXConfig) -> None:
        super().__init__()
        self.lstm = nn.ModuleList(
            nn.LSTM(
                config.n_hidden,
                config.n_hidden // 2,
                config.n_layers,
                batch_first=True,
                bidirectional=True,
                dropout=config.dropout if config.n_layers > 1 else 0.0,
            )
            for _ in SOURCES
        )

    def forward(self, encoding: Tensor) -> Tensor:
        """Return the encoding (B, T, H) beside the BLSTMs' mean: (B, T, 2H)."""
        outputs = [lstm(encoding)[0] for lstm in self.lstm]  # (B, T, H) each
        return torch.cat([encoding, torch.stack(outputs).mean(0)], -1)


class Decoder(nn.Module):
    """Features to the mask of one source at one resolution; a mask may exceed 1."""

    def __init__(self, n_hidden: int, n_bins: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Linear(2 * n_hidden, n_hidden, bias=False),
            nn.BatchNorm1d(n_hidden),
            nn.ReLU(),
            nn.Linear(n_hidden, n_bins, bias=False),
            nn.BatchNorm1d(n_bins),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the masks (B, T, F), non-negative, from features (B, T, 2H)."""
        return over_frames(self.block, features)


def over_frames(layer: nn.Module, x: Tensor) -> Tensor:
    """Return ``layer`` of every frame of ``x`` (B, T, F); batch and time count as one axis."""
    flat: Tensor = layer(x.flatten(0, 1))  # (B T, H)
    return flat.reshape(*x.shape[:2], -1)


def load_published(path: str | Path) -> dict[str, Tensor]:
    """Return the weights of a released MRX checkpoint, for ``MRX().load_state_dict``.

    Parameters, result and errors as in `unstir.neural.released.load_released`.
    """
    return load_released(path, MRX)
