r"""What every stem has in common with itself elsewhere in the window.

Music repeats, a voice returns to its vowels, an engine goes on. Whoever judges cell by cell judges
the same sound now better, now worse; who compares the frames of one recording knows that it is the
same sound. As in kernel backfitting [1]_, that is done with the stems of a first separation, not
with the mix: of the magnitudes :math:`A_j` of stem j, taken over the frames k that are most like
frame t, the medians

.. math:: M_j(t) = \operatorname*{median}_{k \in \text{like } t} A_j(k), \qquad
          p_j = M_j / \sum_i M_i

are what the stem usually has there, and their shares :math:`p_j` what its share should be. Like
frames are found as in REPET-SIM [2]_, but in the stem itself, and among all frames of the window
that share no sample with this one.

Low-rank models of the stems (NMF with 16 parts), and medians over frames that are alike in the mix,
were tried as well; beside this they brought nothing.

References
----------
.. [1] A. Liutkus, D. Fitzgerald, Z. Rafii, B. Pardo, L. Daudet, "Kernel additive models for source
   separation", IEEE Trans. Signal Processing 62(16), 2014: medians over like frames of each
   source's own estimate.
.. [2] Z. Rafii and B. Pardo, "Music/voice separation using the similarity matrix", ISMIR 2012.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from unstir.hybrid.dictionaries import band_starts, pool
from unstir.hybrid.repet import median_of, unit
from unstir.spectral import Spectrum, ratio_masks
from unstir.types import Evidence

RELATIVE_WIDTH = 0.009  # one bin up to 3.6 kHz at 44.1 kHz: harmonics are told apart
N_SIMILAR = 7  # frames that a median is taken over, odd; the frame itself is among them
AT_ONCE = 128

Levels = NDArray[np.float32]


def alike(stems: Mapping[str, Spectrum]) -> Evidence:
    """Return the shares of medians over frames that are alike in the stem itself.

    Parameters
    ----------
    stems : mapping of str to Spectrum
        A first separation, all on one grid.

    Returns
    -------
    Evidence
        Masks of shape (1, bins, frames); validity of shape (bins, frames), 0 where all medians
        are silent.

    Examples
    --------
    A hum and a whistle, of whose sound a little went to the wrong stem here and there:

    >>> from unstir.spectral import analyze
    >>> from unstir.types import Mixture
    >>> t = np.arange(32000, dtype=np.float32)
    >>> astray = np.random.default_rng(0).random(125).repeat(256)[:32000] < 0.2
    >>> hum, whistle = np.sin(0.05 * t)[None], np.sin(0.5 * t)[None]
    >>> waves = {"speech": hum * ~astray, "music": whistle + hum * astray}
    >>> stems = {k: analyze(Mixture(w.astype(np.float32), 16000)) for k, w in waves.items()}
    >>> given = stems["speech"].magnitude / sum(s.magnitude for s in stems.values())
    >>> found = alike(stems).masks["speech"][0]
    >>> bool(found[8, 10:-10].std() < given[8, 10:-10].std())  # in the bin of the hum
    True
    """
    some = next(iter(stems.values()))
    starts = band_starts(some.frequencies_hz, RELATIVE_WIDTH)
    widths = np.diff(starts)
    apart = some.config.n_fft // some.config.hop_length
    models = {}
    for name, spectrum in stems.items():
        energy = pool(np.square(spectrum.magnitude), starts).T
        levels = np.sqrt(energy / widths.astype(np.float32))  # (frames, bands)
        models[name] = median_of(levels, _nearest(levels, apart)).T
        models[name][:, ~levels.any(axis=1)] = 0  # silence is like no other frame
    above = ((0, len(some.frequencies_hz) - int(starts[-1])), (0, 0))  # bins in no band

    def on_bins(values: Levels) -> Levels:
        return np.pad(np.repeat(values, widths, axis=0), above)

    sounds = np.any([model > 0 for model in models.values()], axis=0)
    masks = {name: on_bins(mask)[None] for name, mask in ratio_masks(models).items()}
    return Evidence(masks, on_bins(sounds.astype(np.float32)))


def _nearest(levels: Levels, apart: int) -> NDArray[np.intp]:
    """Return the frames most alike to each, shape (frames, at most 7), an odd number of them.

    Of those fewer than so many frames apart, the frame itself alone, unless there are no others.
    """
    rows = unit(np.sqrt(levels))  # else the loud low end alone decides what is alike
    times = np.arange(len(rows))
    n = min(N_SIMILAR, len(rows) - 1 + len(rows) % 2)
    found = np.empty((len(rows), n), np.intp)
    for first in range(0, len(rows), AT_ONCE):  # some at a time, to keep memory low
        part = slice(first, first + AT_ONCE)
        likeness = rows[part] @ rows.T
        later = times - times[part, None]
        # What overlaps is alike and tells nothing new. In order, so that none are tied.
        overlaps = (later != 0) & (np.abs(later) < apart)
        likeness[overlaps] = -1 - np.abs(later[overlaps] - np.float32(0.25))
        found[part] = np.argpartition(likeness, -n, axis=1)[:, -n:]
    return found
