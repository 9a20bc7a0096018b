r"""The smallest refiner: how far each prior is to be trusted, one number each.

A net that sees the mix learns recordings; it then trusts a base on those it knows, and a prior on
none. This one sees what the base and the priors say and nothing else. With the base's shares
:math:`m_j` and those of prior k, :math:`p^k_j`, valid to :math:`v^k`, the logits of the base are
moved toward the prior's,

.. math:: D_j = \mathrm{softmax}\Big(\log m_j + \sum_k t_k u v^k (\log p^k_j - \log m_j)\Big) - m_j,
          \qquad y_j = b_j + \mathrm{iSTFT}(D_j X)

which is a product of experts [1]_ with exponents. Priors are asked where the base is not sure:
:math:`u` is one where it shares a cell evenly among its J stems, and zero where one has it all,

.. math:: u = \frac{J}{J - 1} \big(1 - \max_j m_j\big),

else a base that hears every syllable is corrected by how syllables usually sound. The corrections
add up to zero over the stems, and are zero where no prior is valid, or before the trust
:math:`t_k` is learned.

References
----------
.. [1] G. E. Hinton, "Training products of experts by minimizing contrastive divergence", Neural
   Computation 14(8), 2002.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unstir.neural.planes import EPS, Bands
from unstir.neural.refiner import SAMPLE_RATE, SHARE_FLOOR, Seen

SOURCES = ("speech", "music", "effects")


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """What `Trust` looks at.

    Parameters
    ----------
    priors : tuple of str
        Priors of `unstir.hybrid.bank.Bank` that tell of every stem but the last.
    n_sources : int
        Stems.
    """

    priors: tuple[str, ...] = ("alike",)
    n_sources: int = 3

    @property
    def bands(self) -> Bands:
        """The grid, at 44.1 kHz."""
        return Bands()

    @property
    def sample_rate(self) -> int:
        """In hertz."""
        return SAMPLE_RATE

    @property
    def n_priors(self) -> int:
        """Planes of priors: of each, the masks of all stems but the last, and the validity."""
        return len(self.priors) * self.n_sources


class Trust(nn.Module):
    """Corrections that add up to zero, as `unstir.neural.refiner.Refiner` makes them.

    Parameters
    ----------
    config : TrustConfig, optional
        What it looks at.

    Examples
    --------
    >>> net = Trust().eval()
    >>> seen = Seen(*(torch.rand(1, n, 9, 256) for n in (5, 3, 3)))
    >>> net(seen).shape, float(net(seen).detach().abs().max()) < 1e-6
    (torch.Size([1, 3, 9, 256]), True)
    """

    def __init__(self, config: TrustConfig | None = None) -> None:
        super().__init__()
        self.config = config or TrustConfig()
        self.trust = nn.Parameter(torch.zeros(len(self.config.priors)))

    def forward(self, seen: Seen, sharpness: float = 1.0) -> Tensor:
        """Return the corrections D, as `unstir.neural.refiner.Refiner` does.

        Parameters
        ----------
        seen : Seen
            Its mix is not looked at.
        sharpness : float > 0
            As there.

        Returns
        -------
        Tensor
            float32, shape (batch, sources, frames, bands), in [-1, 1].
        """
        n = self.config.n_sources
        base = torch.log_softmax(torch.log(seen.shares.clamp(min=SHARE_FLOOR)), dim=1)
        planes = seen.priors.reshape(len(base), -1, n, *base.shape[2:])  # (B, priors, J, T, K)
        valid = planes[:, :, n - 1 :]
        # Planes of masks are told less an even share and times the validity.
        known = planes[:, :, : n - 1] / valid.clamp(min=EPS) + 1 / n
        shares = torch.cat([known, 1 - known.sum(dim=2, keepdim=True)], dim=2)
        apart = torch.log(shares.clamp(SHARE_FLOOR, 1)) - base[:, None]  # (B, priors, J, T, K)
        unsure = (1 - base.exp().amax(dim=1, keepdim=True)) * n / (n - 1)  # (B, 1, T, K)
        found = base + unsure * torch.einsum("p,bpjtk->bjtk", self.trust, valid * apart)
        return torch.softmax(found * sharpness, dim=1) - base.exp()
