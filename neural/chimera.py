"""Chimera: one recurrent body with a deep-clustering head and a mask head [1]_.

The body, bidirectional LSTM layers over log-mel levels, feeds two heads. One gives every cell of
the mel spectrogram a vector of unit length, trained so that cells of one source lie together and
those of different sources at right angles [2]_. The other gives masks. Trained together each
helps the other; at test time either separates: the masks as they are (`Chimera.forward`), or
k-means on the vectors (`Chimera.forward_clustered`), whose centers are learned once for a file
(`Chimera.survey`) and frozen for all its windows.

Ours: mel bands are triangles that add up to one at every frequency, from 0 Hz to Nyquist, so
that one matrix leads from bins to bands and masks of bands back to bins, and masks that add up
to one still do.

References
----------
.. [1] Y. Luo, Z. Chen, J. R. Hershey, J. Le Roux and N. Mesgarani, "Deep clustering and
   conventional networks for music separation: stronger together", ICASSP 2017.
.. [2] J. R. Hershey, Z. Chen, J. Le Roux and S. Watanabe, "Deep clustering: discriminative
   embeddings for segmentation and separation", ICASSP 2016.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstir.neural.clustering import cluster_centers, match_centers, nearest
from unstir.neural.frames import levels, linked_magnitude, render, shares, stft

SAMPLE_RATE = 16000
SOURCES = ("vocals", "accompaniment")


@dataclass(frozen=True, slots=True)
class ChimeraConfig:
    """The published net, unless told otherwise.

    Parameters
    ----------
    n_sources : int
        Masks, and clusters; 2 or more.
    sample_rate : int
        Of the sound, in hertz.
    n_fft, hop_length : int
        Frame length and hop, in samples.
    n_bands : int
        Mel bands.
    hidden : int
        Units of each layer, in each direction.
    n_layers : int
        LSTM layers.
    n_dims : int
        Length of the embedding of a cell.
    """

    n_sources: int = 2
    sample_rate: int = SAMPLE_RATE
    n_fft: int = 1024
    hop_length: int = 256
    n_bands: int = 150
    hidden: int = 500
    n_layers: int = 4
    n_dims: int = 20


def mel_triangles(n_bands: int, n_bins: int, sample_rate: int) -> Tensor:
    """Return mel bands that add up to one at every bin.

    Parameters
    ----------
    n_bands : int
        Triangles, evenly spaced in mel from 0 Hz to Nyquist, each reaching to its neighbors'
        centers; at least 2.
    n_bins : int
        Bins from 0 Hz to Nyquist.
    sample_rate : int
        In hertz.

    Returns
    -------
    Tensor of float32, shape (bands, bins), in [0, 1]

    Examples
    --------
    >>> mel_triangles(3, 5, 8000).sum(0)
    tensor([1., 1., 1., 1., 1.])
    """
    frequencies_hz = torch.linspace(0, sample_rate / 2, n_bins, dtype=torch.float64)
    mel = torch.log1p(frequencies_hz / 700)  # up to a factor, which the spacing takes up
    place = (n_bands - 1) * mel / mel[-1]
    distance = (place - torch.arange(n_bands, dtype=torch.float64)[:, None]).abs()
    return (1 - distance).clamp_min(0).float()


class Chimera(nn.Module):
    """Masks and embeddings of mel cells from one bidirectional LSTM.

    Parameters
    ----------
    config : ChimeraConfig, optional
        Shape of the net; the published one if not given.

    Examples
    --------
    >>> config = ChimeraConfig(n_fft=64, hop_length=16, n_bands=8, hidden=4, n_layers=1)
    >>> net = Chimera(config).eval()
    >>> mixture = torch.randn(1, 2, 1000)
    >>> net(mixture).shape
    torch.Size([1, 2, 2, 1000])
    >>> net.forward_clustered(mixture, net.survey(mixture)).shape
    torch.Size([1, 2, 2, 1000])
    """

    triangles: Tensor

    def __init__(self, config: ChimeraConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or ChimeraConfig()
        triangles = mel_triangles(c.n_bands, c.n_fft // 2 + 1, c.sample_rate)
        self.register_buffer("triangles", triangles, persistent=False)
        self.body = nn.LSTM(c.n_bands, c.hidden, c.n_layers, batch_first=True, bidirectional=True)
        self.embedding_head = nn.Linear(2 * c.hidden, c.n_bands * c.n_dims)
        self.mask_head = nn.Linear(2 * c.hidden, c.n_bands * c.n_sources)

    def _stft(self, sound: Tensor) -> Tensor:
        return stft(sound, self.config.n_fft, self.config.hop_length)

    def _bands(self, cells: Tensor) -> Tensor:
        area = self.triangles.sum(1, keepdim=True)
        means = self.triangles / torch.where(area > 0, area, 1)  # (K, F)
        return means @ linked_magnitude(cells)  # (B, K, T)

    def bands(self, sound: Tensor) -> Tensor:
        """Return the mean magnitude in each mel band, over all channels.

        Parameters
        ----------
        sound : Tensor of float32, shape (batch, channels, samples)
            A mix, or a source.

        Returns
        -------
        Tensor of float32, shape (batch, bands, frames), at least 0
        """
        return self._bands(self._stft(sound))

    def heads(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        """Return what both heads say.

        Parameters
        ----------
        bands : Tensor of float32, shape (batch, bands, frames), at least 0
            Of `bands`.

        Returns
        -------
        embeddings : Tensor of float32, shape (batch, bands, frames, dims)
            Of length one.
        masks : Tensor of float32, shape (batch, sources, bands, frames), in (0, 1)
            Adding up to one over the sources.
        """
        n_bands = self.config.n_bands
        hidden, _ = self.body(levels(bands, self.config.n_fft).mT)  # (B, T, 2 H)
        vectors = self.embedding_head(hidden).tanh().unflatten(2, (n_bands, -1))  # (B, T, K, D)
        logits = self.mask_head(hidden).unflatten(2, (-1, n_bands))  # (B, T, S, K)
        embeddings = functional.normalize(vectors, dim=3).transpose(1, 2)  # (B, K, T, D)
        return embeddings, shares(logits.permute(0, 2, 3, 1))

    def _render(self, cells: Tensor, masks: Tensor, n_samples: int) -> Tensor:
        spread = torch.einsum("bskt,kf->bsft", masks, self.triangles.to(masks))
        return render(cells, spread, self.config.n_fft, self.config.hop_length, n_samples)

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the estimates of the mask head, with the phase of the mix.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, channels, samples)
            Any number of channels and samples, at ``config.sample_rate``; left as it is.

        Returns
        -------
        Tensor of float32, shape (batch, sources, channels, samples)
            They add up to the mix.

        Raises
        ------
        AudioError
            If the shape is another.
        """
        cells = self._stft(mixture)  # (B, C, F, T)
        _, masks = self.heads(self._bands(cells))
        return self._render(cells, masks, mixture.shape[2])

    @torch.no_grad()
    def survey(self, mixture: Tensor, seed: int = 0) -> Tensor:
        """Return the centers to give `forward_clustered`, in the order of the sources.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, channels, samples)
            One file, or parts of it, as a batch; left as it is.
        seed : int
            Of k-means.

        Returns
        -------
        Tensor of float32, shape (sources, dims)

        Raises
        ------
        AudioError
            If the shape is another.
        """
        bands = self.bands(mixture)
        embeddings, masks = self.heads(bands)
        flat, weights = embeddings.flatten(0, 2), bands.flatten()
        centers = cluster_centers(flat, weights, self.config.n_sources, seed)
        return match_centers(centers, flat, masks.permute(0, 2, 3, 1).flatten(0, 2), weights)

    def forward_clustered(self, mixture: Tensor, centers: Tensor) -> Tensor:
        """Return the estimates of the clustering head: every cell goes to one source whole.

        Parameters
        ----------
        mixture : Tensor of float32, shape (batch, channels, samples)
            Any number of channels and samples, at ``config.sample_rate``; left as it is.
        centers : Tensor of float32, shape (sources, dims)
            Of `survey`, the same for all windows of a file.

        Returns
        -------
        Tensor of float32, shape (batch, sources, channels, samples)
            They add up to the mix.

        Raises
        ------
        AudioError
            If the shape is another.
        """
        cells = self._stft(mixture)  # (B, C, F, T)
        embeddings, _ = self.heads(self._bands(cells))
        masks = nearest(embeddings, centers).permute(0, 3, 1, 2)  # (B, S, K, T)
        return self._render(cells, masks, mixture.shape[2])
