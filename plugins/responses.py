"""How a chain answers to an impulse, as levels over frequency."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unstir.plugins.chains import Chain
from unstir.plugins.effects import kind_of

LENGTH = 2**17  # a line every 0.37 Hz at 48 kHz: narrower than any notch
SMOOTHING_OCTAVES = 1 / 6  # for rooms, whose response is ragged from line to line
ROOMS = ("reverb", "convolution", "delay")


def linear_part(chain: Chain) -> Chain:
    """Return a chain without what follows the sound: compressors, limiters, leveling.

    Examples
    --------
    >>> from unstir.plugins.chains import find_chain
    >>> [effect.name for effect in linear_part(find_chain("podcast-voice")).effects]
    ['high-pass', 'peak', 'high-shelf']
    """
    kept = (e for e in chain.effects if kind_of(e.name).linear and e.name != "loudness")
    return replace(chain, effects=tuple(kept))


def frequencies_hz(sample_rate: int, n_points: int = 4000) -> NDArray[np.float64]:
    """Return where responses are looked at: from 20 Hz up, evenly spaced by ear."""
    return np.geomspace(20, min(20000, 0.49 * sample_rate), n_points)


def response_db(chain: Chain, sample_rate: int = 48000) -> NDArray[np.float64]:
    """Return the level of the first channel for a sound that is the same in both of two.

    Parameters
    ----------
    chain : Chain
        Its linear part counts; what it listens to is silent.
    sample_rate : int
        In hertz.

    Returns
    -------
    ndarray of float64, shape (4000,)
        In decibels, at `frequencies_hz`; at least -120.

    Examples
    --------
    >>> from unstir.plugins.chains import Effect
    >>> chain = Chain("softer", (Effect("gain", {"gain_db": -6.0}),))
    >>> response_db(chain)[[0, -1]].round(3).tolist()
    [-6.0, -6.0]
    """
    chain = linear_part(chain)
    stream = chain.open(sample_rate, 2)
    impulse = np.zeros((2, 1), np.float32)
    impulse[:] = 1
    first = stream.process(impulse, dict.fromkeys(chain.keys, np.zeros((1, 1), np.float32)))
    length = max(LENGTH, 2 ** int(np.ceil(np.log2(chain.tail_s * sample_rate + 1))))
    answer = np.concatenate([first, stream.finish(length - 1)], axis=1)[0]
    power = np.abs(np.fft.rfft(answer.astype(np.float64))) ** 2
    at = frequencies_hz(sample_rate) * length / sample_rate
    if any(effect.name in ROOMS for effect in chain.effects):
        total = np.concatenate([[0.0], np.cumsum(power)])
        low = np.floor(at * 2 ** (-SMOOTHING_OCTAVES / 2)).astype(int)
        high = np.minimum(np.ceil(at * 2 ** (SMOOTHING_OCTAVES / 2)).astype(int) + 1, len(power))
        seen = (total[high] - total[low]) / (high - low)
    else:
        seen = np.interp(at, np.arange(len(power)), power)
    return np.asarray(10 * np.log10(np.maximum(seen, 1e-12)), np.float64)
