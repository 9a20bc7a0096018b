"""What our nets over (frames, bands) are built of."""

from torch import nn


def conv(
    n_in: int,
    n_out: int,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    *,
    causal: bool = False,
) -> nn.Sequential:
    """Return a convolution over (frames, bands) that keeps or divides their number.

    Normalization and a rectifier follow. A causal one sees its frame and those before.

    Examples
    --------
    >>> import torch
    >>> conv(5, 8, (2, 2), (2, 2))(torch.zeros(1, 5, 6, 32)).shape
    torch.Size([1, 8, 3, 16])
    """
    t, k = kernel[0] - stride[0], kernel[1] - stride[1]
    early = t if causal else t // 2
    return nn.Sequential(
        nn.ZeroPad2d((k // 2, k - k // 2, early, t - early)),
        nn.Conv2d(n_in, n_out, kernel, stride, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


def up(n_in: int, n_out: int) -> nn.Sequential:
    """Return a transposed convolution that doubles frames and bands."""
    return nn.Sequential(
        nn.ConvTranspose2d(n_in, n_out, (2, 2), stride=(2, 2), bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )
