"""Voice detector and voice mask from contexts of 25 frames.

The design of 513 bins by 25 frames [1]_: two 3 x 3 convolutions, pooling by 3 x 3, two more
convolutions, pooling again, and a dense layer, which together see 25 frames and leave one. The
detector (`Vad`), after [2]_, ends in one number, whether there is a voice in the frame at the
center; frame accuracy of 97 % is published for it. The mask net (`Vocalnet`) is *grown* from a
trained detector: the same trunk with its weights, and for the center frame a mask in place of
the number.

Frames of 1024 samples every 256 at 22050 Hz make 25 frames span 290 ms, as published.

The published form slides: every frame has a context of its own, and the first layers are computed
more than 20 times over. Here convolutions are valid in time, and the pooling that thins time out
threefold is replaced by pooling that keeps every frame, with all that follows dilated threefold.
That gives the same numbers for a whole file at once, for about a tenth of the multiplications.

Ours: levels in decibels as input, several sources, batch normalization (fixed after training, so
that both forms still agree), dropout before the last layer only.

References
----------
.. [1] A. Koretzky, "Audio AI: isolating vocals from stereo music using convolutional neural
   networks", Towards Data Science, 2019.
.. [2] J. Schlüter and T. Grill, "Exploring data augmentation for improved singing voice
   detection with neural networks", ISMIR 2015.
"""

from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstir.errors import SettingsError
from unstir.neural.frames import levels, linked_magnitude, render, shares, stft

SAMPLE_RATE = 22050
SOURCES = ("vocals",)
CONTEXT = 25  # frames: 1 + 2 + 2 for convolutions, + 2 for pooling, + 3 * (2 + 2 + 2) behind it


@dataclass(frozen=True, slots=True)
class VadConfig:
    """The detector of 513 bins by 25 frames, unless told otherwise.

    Parameters
    ----------
    sample_rate : int
        Of the sound, in hertz.
    n_fft, hop_length : int
        Frame length and hop, in samples; ``n_fft`` is 48 or more.
    channels : tuple of four int
        Features after each convolution.
    hidden : int
        Units of the dense layer.
    dropout : float in [0, 1)
        Share of these units that is silenced in training.

    Raises
    ------
    SettingsError
        If the frame is too short for two poolings.
    """

    sample_rate: int = SAMPLE_RATE
    n_fft: int = 1024
    hop_length: int = 256
    channels: tuple[int, int, int, int] = (32, 16, 64, 16)
    hidden: int = 128
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.n_fft < 48:
            raise SettingsError(f"n_fft={self.n_fft} came; 48 or more is wanted")

    @property
    def n_bins(self) -> int:
        """Bins from 0 Hz to Nyquist."""
        return self.n_fft // 2 + 1


@dataclass(frozen=True, slots=True)
class VocalnetConfig(VadConfig):
    """The detector's trunk, and how many masks grow on it.

    Parameters
    ----------
    n_sources : int
        1 for a sigmoid mask, 2 or more for masks that add up to one.
    """

    n_sources: int = 1


class Trunk(nn.Module):
    """What detector and mask net share: 25 frames of levels to one vector.

    Parameters
    ----------
    config : VadConfig
        Shape of the net.
    """

    def __init__(self, config: VadConfig) -> None:
        super().__init__()
        a, b, c, d = config.channels
        pairs = ((1, a), (a, b), (b, c), (c, d))
        self.convolutions = nn.ModuleList(nn.Conv2d(n_in, n_out, 3) for n_in, n_out in pairs)
        # Without these, training hardly gets away from the share of voiced frames.
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for _, n_out in pairs)
        n_bins = ((config.n_bins - 4) // 3 - 4) // 3
        self.dense = nn.Linear(d * n_bins, config.hidden)
        self.dense_norm = nn.BatchNorm1d(config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors of all frames with a whole context, in one pass.

        Parameters
        ----------
        x : Tensor of float32, shape (batch, bins, frames)
            Levels; 25 frames or more.

        Returns
        -------
        Tensor of float32, shape (batch, frames - 24, hidden)
        """
        return self._run(x, stride=1, dilation=3)

    def slide(self, x: Tensor) -> Tensor:
        """Return the same as `forward`, in the published form: context by context."""
        contexts = x.unfold(2, CONTEXT, 1).transpose(1, 2)  # (B, T - 24, F, 25)
        hidden = self._run(contexts.flatten(0, 1), stride=3, dilation=1)  # (B * (T - 24), 1, H)
        return hidden.reshape(*contexts.shape[:2], -1)

    def _run(self, x: Tensor, *, stride: int, dilation: int) -> Tensor:
        """Return vectors; ``stride`` thins time at each pooling, ``dilation`` stands in for it."""
        x = x[:, None]  # (B, 1, F, T)
        for i, layer in enumerate(self.convolutions):
            spread = dilation if i >= 2 else 1  # behind the first pooling
            weight, bias = layer.parameters()
            x = functional.conv2d(x, weight, bias, dilation=(1, spread))
            x = functional.leaky_relu(self.norms[i](x), 0.01)
            if i % 2:
                x = functional.max_pool2d(x, 3, stride=(3, stride), dilation=(1, spread))
        x = x.flatten(1, 2).mT  # (B, T', channels * F')
        return functional.leaky_relu(self.dense_norm(self.dense(x).mT).mT, 0.01)


def _contexts(magnitude: Tensor, n_fft: int) -> Tensor:
    """Return levels with half a context of silence at both ends, (B, F, T + 24)."""
    return levels(functional.pad(magnitude, (CONTEXT // 2, CONTEXT // 2)), n_fft)


class Vad(nn.Module):
    """Voice detector: one logit per frame.

    Parameters
    ----------
    config : VadConfig, optional
        Shape of the net; 513 bins by 25 frames if not given.

    Examples
    --------
    >>> net = Vad(VadConfig(n_fft=64, hop_length=16, channels=(4, 4, 4, 4), hidden=8)).eval()
    >>> net(torch.zeros(1, 2, 1000)).shape
    torch.Size([1, 64])
    """

    def __init__(self, config: VadConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VadConfig()
        self.trunk = Trunk(config)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, 1)

    def forward(self, mixture: Tensor) -> Tensor:
        """Return how sure the net is of a voice in each frame.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, channels, samples)
            Any number of channels and samples, at ``config.sample_rate``; left as it is.
            At -27 LUFS: the net looks at absolute levels.

        Returns
        -------
        Tensor of float32, shape (batch, frames)
            Logits, above zero for a voice. Frame ``t`` has its center at sample
            ``t * hop_length``; there are ``1 + ceil(samples / hop_length)``. Around the sound
            the net sees silence.

        Raises
        ------
        AudioError
            If the shape is another.
        """
        n_fft, hop_length = self.config.n_fft, self.config.hop_length
        magnitude = linked_magnitude(stft(mixture, n_fft, hop_length))  # (B, F, T)
        hidden = self.trunk(_contexts(magnitude, n_fft))  # (B, T, H)
        logits: Tensor = self.output(self.dropout(hidden))[..., 0]
        return logits


class Vocalnet(nn.Module):
    """Masks for the center frame of each context, on the trunk of the voice detector.

    Parameters
    ----------
    config : VocalnetConfig, optional
        Shape of the net; 513 bins by 25 frames and one source if not given.

    Examples
    --------
    >>> small = VocalnetConfig(n_fft=64, hop_length=16, channels=(4, 4, 4, 4), n_sources=3)
    >>> Vocalnet(small).eval()(torch.zeros(1, 2, 1000)).shape
    torch.Size([1, 3, 2, 1000])
    """

    def __init__(self, config: VocalnetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VocalnetConfig()
        self.trunk = Trunk(config)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, config.n_sources * config.n_bins)

    def logits(self, magnitude: Tensor) -> Tensor:
        """Return the masks before their sigmoid or softmax, as the losses want them.

        Parameters
        ----------
        magnitude : Tensor of float32, shape (batch, bins, frames), at least 0
            Any number of frames; around them the net sees silence.

        Returns
        -------
        Tensor of float32, shape (batch, sources, bins, frames)
        """
        hidden = self.trunk(_contexts(magnitude, self.config.n_fft))  # (B, T, H)
        flat = self.output(self.dropout(hidden))  # (B, T, S * F)
        logits: Tensor = flat.unflatten(2, (self.config.n_sources, -1)).permute(0, 2, 3, 1)
        return logits

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the estimates of all sources, with the phase of the mix.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, channels, samples)
            Any number of channels and samples, at ``config.sample_rate``; left as it is.
            At -27 LUFS: the net looks at absolute levels.

        Returns
        -------
        Tensor of float32, shape (batch, sources, channels, samples)
            Two sources or more add up to the mix.

        Raises
        ------
        AudioError
            If the shape is another.
        """
        n_fft, hop_length = self.config.n_fft, self.config.hop_length
        cells = stft(mixture, n_fft, hop_length)  # (B, C, F, T)
        masks = shares(self.logits(linked_magnitude(cells)))  # (B, S, F, T)
        return render(cells, masks, n_fft, hop_length, mixture.shape[2])


def grow(vad: Vad, config: VocalnetConfig | None = None) -> Vocalnet:
    """Return a mask net with a copy of the detector's trunk and a new last layer.

    Parameters
    ----------
    vad : Vad
        A trained detector; left as it is.
    config : VocalnetConfig, optional
        May differ from the detector's in ``n_sources`` and ``dropout``; one source if not given.

    Returns
    -------
    Vocalnet

    Raises
    ------
    SettingsError
        If the trunks differ.

    Examples
    --------
    >>> vad = Vad(VadConfig(n_fft=64, channels=(4, 4, 4, 4)))
    >>> grow(vad).output.out_features
    33
    """
    config = config or VocalnetConfig(**asdict(vad.config))
    for name in (field.name for field in fields(VadConfig) if field.name != "dropout"):
        had, wanted = getattr(vad.config, name), getattr(config, name)
        if had != wanted:
            raise SettingsError(
                f"{name}={wanted} came for a detector with {name}={had}; the two must agree"
            )
    net = Vocalnet(config)
    net.trunk.load_state_dict(vad.trunk.state_dict())
    return net


def binary_targets(magnitudes: Tensor) -> Tensor:
    """Give every cell whole to its loudest source; ties, silence included, are split evenly.

    Parameters
    ----------
    magnitudes : Tensor of float32, shape (batch, sources, bins, frames), at least 0
        All sources of the mix, also where the net has a mask for the first only.

    Returns
    -------
    Tensor of float32, the same shape, in [0, 1]
        Adding up to one over the sources.

    Examples
    --------
    >>> binary_targets(torch.tensor([3.0, 1.0]).reshape(1, 2, 1, 1)).flatten()
    tensor([1., 0.])
    """
    wins = (magnitudes >= magnitudes.amax(1, keepdim=True)).to(magnitudes)
    return wins / wins.sum(1, keepdim=True)


def ratio_targets(magnitudes: Tensor) -> Tensor:
    """Share every cell out by magnitude; silence is split evenly.

    Parameters
    ----------
    magnitudes : Tensor of float32, shape (batch, sources, bins, frames), at least 0
        All sources of the mix, also where the net has a mask for the first only.

    Returns
    -------
    Tensor of float32, the same shape, in [0, 1]
        Adding up to one over the sources.

    Examples
    --------
    >>> ratio_targets(torch.tensor([3.0, 1.0]).reshape(1, 2, 1, 1)).flatten()
    tensor([0.7500, 0.2500])
    """
    # Dividing by the loudest source first keeps every level inside float32.
    loudest = magnitudes.amax(1, keepdim=True)
    relative = torch.where(loudest > 0, magnitudes / loudest, 1)
    return relative / relative.sum(1, keepdim=True)


def cross_entropy_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of the masks: for binary targets, or for ratios.

    Parameters
    ----------
    logits : Tensor of float32, shape (batch, sources, bins, frames)
        Of `Vocalnet.logits`.
    targets : Tensor of float32, the same shape, in [0, 1]
        Of `binary_targets` or `ratio_targets`; for one mask, the targets of the first source.

    Returns
    -------
    Tensor of float32, shape ()
        Over all cells, in nats.

    Examples
    --------
    >>> zero = torch.zeros(1, 1, 1, 1)
    >>> cross_entropy_loss(zero, zero)
    tensor(0.6931)
    """
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits, targets)
    return functional.cross_entropy(logits, targets)


def squared_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared distance of the masks from ratio targets.

    Parameters
    ----------
    logits : Tensor of float32, shape (batch, sources, bins, frames)
        Of `Vocalnet.logits`.
    targets : Tensor of float32, the same shape, in [0, 1]
        Of `ratio_targets`; for one mask, the targets of the first source.

    Returns
    -------
    Tensor of float32, shape ()
        Over all cells and sources.

    Examples
    --------
    >>> zero = torch.zeros(1, 1, 1, 1)
    >>> squared_loss(zero, zero)
    tensor(0.2500)
    """
    return functional.mse_loss(shares(logits), targets)
