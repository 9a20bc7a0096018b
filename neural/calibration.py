"""Masks no surer than they have a right to be.

A net knows the recordings that it learned from better than any other, so its masks are surer than
they are right: what goes to the wrong stem whole costs more than what is shared. One number mends
most of that [1]_: logits are divided by a temperature, the one that gains most on scenes that
choose.

References
----------
.. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural
   networks", ICML 2017, section 4.2.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from unstir.neural.compact import Compact
from unstir.neural.validation import validate

TEMPERATURES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0)


def calibrate(net: Compact, scenes: Tensor) -> list[tuple[float, float]]:
    """Divide a net's logits by the temperature that separates best.

    Parameters
    ----------
    net : Compact
        Its last layer is changed; it is left in evaluation mode.
    scenes : Tensor
        From `unstir.neural.validation.validation_scenes`, on the net's device.

    Returns
    -------
    list of tuple of float and float
        Temperatures, and the mean SI-SDR improvement with each in dB. The net has the best now.

    Examples
    --------
    >>> import torch
    >>> from unstir.neural.compact import CompactConfig
    >>> net = Compact(CompactConfig(channels=(4, 4, 4), hidden=8))
    >>> sources = torch.randn(1, 3, 2, 20000, generator=torch.manual_seed(0))
    >>> [temperature for temperature, _ in calibrate(net, sources)][:3]
    [1.0, 1.1, 1.2]
    """
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    gains_db = [float(np.mean(validate(net, softened(weights, by), scenes))) for by in TEMPERATURES]
    net.load_state_dict(softened(weights, TEMPERATURES[int(np.argmax(gains_db))]))
    return [(by, round(gain_db, 3)) for by, gain_db in zip(TEMPERATURES, gains_db, strict=True)]


def softened(weights: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
    """Return the weights of a `Compact` whose logits are divided by a temperature.

    Parameters
    ----------
    weights : mapping of str to Tensor
        A state of the net; left as it is.
    temperature : float > 0
        Above 1, the masks are shared more evenly.
    """
    return {
        name: value / temperature if name.startswith("last.") else value
        for name, value in weights.items()
    }
