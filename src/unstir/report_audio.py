"""Sound for a page: small enough to embed, and at levels that can be compared."""

import io
from collections.abc import Mapping

import numpy as np
import soxr

from unstir.types import Waveform

RATE_HZ = 48000  # the one at which every browser decodes Opus without another conversion
COMPRESSION = 0.8  # libsndfile's scale from 0 to 1; about 110 kbit/s in stereo
MOST_GAIN_DB = 24.0  # a stem that is all but silent is not blown up further


def opus(waveform: Waveform, *, sample_rate: int, gain: float = 1.0) -> bytes:
    """Return sound as Opus in Ogg, mono or stereo, at 48 kHz.

    Parameters
    ----------
    waveform : ndarray of float32, shape (channels, samples)
        Full scale is 1, which times ``gain`` should not be passed. Of more than two
        channels, those with even numbers are summed to the left, the others to the right.
    sample_rate : int
        In hertz.
    gain : float
        Linear.

    Examples
    --------
    >>> opus(np.zeros((1, 8000), np.float32), sample_rate=8000)[:4]
    b'OggS'
    """
    import soundfile

    if len(waveform) > 2:
        waveform = np.stack([waveform[::2].sum(0), waveform[1::2].sum(0)])
    sound = soxr.resample(np.float32(gain) * waveform.T, sample_rate, RATE_HZ)
    file = io.BytesIO()
    soundfile.write(
        file, sound, RATE_HZ, format="OGG", subtype="OPUS", compression_level=COMPRESSION
    )
    return file.getvalue()


def matching_gains_db(
    loudness_lufs: Mapping[str, float | None], peaks: Mapping[str, float]
) -> dict[str, float]:
    """Return by how much to raise each sound so that all are as loud, and none clips.

    Parameters
    ----------
    loudness_lufs : mapping of str to float or None
        Integrated loudness; None is left as it is.
    peaks : mapping of str to float
        Largest absolute sample of the same sounds; full scale is 1.

    Returns
    -------
    dict of str to float
        In dB, at most 24 either way before all are lowered together to fit below full
        scale. The level in common is the median.

    Examples
    --------
    >>> matching_gains_db({"a": -20.0, "b": -26.0, "c": -23.0}, dict.fromkeys("abc", 0.1))
    {'a': -3.0, 'b': 3.0, 'c': 0.0}
    """
    known = [value for value in loudness_lufs.values() if value is not None]
    target = float(np.median(known)) if known else 0.0
    gains = {
        name: 0.0 if value is None else float(np.clip(target - value, -MOST_GAIN_DB, MOST_GAIN_DB))
        for name, value in loudness_lufs.items()
    }
    over_db = max(
        (20 * np.log10(max(peaks[k], 1e-9)) + gain for k, gain in gains.items()), default=0
    )
    return {name: gain - max(0.0, float(over_db)) for name, gain in gains.items()}
