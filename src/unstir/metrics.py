"""Every figure that a comparison shows for a stem, by the libraries that define them.

BSS Eval comes from museval and STOI from pystoi, which the extra ``metrics`` installs.
museval wants the programs ffmpeg and ffprobe as well. Where a library cannot be used its
figures are None, and `absent` says so.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from unstir.evaluate import improvement, si_sdr_db, snr_db
from unstir.loudness import Meter
from unstir.types import Stems, Waveform

VOICES = ("speech", "vocals")  # the stems of which intelligibility is asked
BSS_WINDOW_S = 1.0  # museval's own window and hop
# A stem is silent in a second that is so far below its loudest one. Ambience beside a blow is some
# 40 dB down and counts; what a resampler or 16 bits leave of silence (-90 dBFS and less) does not.
SILENT_DB = -60.0
# What each library gives, and the programs that it does not start without.
LIBRARIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "museval": ("SDR, SIR and SAR", ("ffmpeg", "ffprobe")),
    "pystoi": ("STOI", ()),
}


@dataclass(frozen=True, slots=True)
class Scores:
    """How near one stem comes to the true one; None where a figure says nothing.

    Parameters
    ----------
    si_sdr_db : float or None
        Scale-invariant signal-to-distortion ratio.
    gain_db : float or None
        The same less that of the mix itself.
    snr_db : float or None
        Signal-to-noise ratio: a wrong level counts.
    sdr_db, sir_db, sar_db : float or None
        BSS Eval version 4: distortion, interference and artifacts, the median over seconds.
    bss_seconds : int or None
        Over how many seconds: those of `sounding_seconds`. None where BSS Eval was not computed.
    stoi : float or None
        Short-time objective intelligibility, of a voice only; at most 1.
    """

    si_sdr_db: float | None
    gain_db: float | None
    snr_db: float | None
    sdr_db: float | None = None
    sir_db: float | None = None
    sar_db: float | None = None
    bss_seconds: int | None = None
    stoi: float | None = None


def absent() -> dict[str, str]:
    """Return, for every library that cannot be used, a sentence on what is left out and why."""
    found = {}
    for package, (what, programs) in LIBRARIES.items():
        missing = [program for program in programs if shutil.which(program) is None]
        if find_spec(package) is None:
            why = f"{package} is not installed (pip install 'unstir[metrics]')"
        elif missing:
            why = f"{package} does not start without {' and '.join(missing)} on the path"
        else:
            continue
        found[package] = f"left out: {what}, since {why}"
    return found


def scores(
    references: Stems, estimates: Stems, mix: Waveform, *, sample_rate: int
) -> dict[str, Scores]:
    """Return what every stem of a method scores against the true stems.

    Parameters
    ----------
    references, estimates : dict of str to ndarray of float32, each of shape (channels, samples)
        The true stems and what a method made of the mix, under the same names.
    mix : ndarray of float32, shape (channels, samples)
        What the method was given.
    sample_rate : int
        In hertz.

    Returns
    -------
    dict of str to Scores
        One per reference. A figure is None where it is not defined, as for a stem that is
        silent here, and where its library is not installed.

    Raises
    ------
    AudioError
        If a reference and its estimate differ in shape.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((3, 1, 4000)).astype(np.float32)
    >>> voice, band, error = noise
    >>> found = scores({"vocals": voice}, {"vocals": voice + error}, voice + band, sample_rate=8000)
    >>> abs(found["vocals"].gain_db) < 0.5  # as far from the voice as the mix is
    True
    """
    separation = bss_eval(references, estimates, sample_rate=sample_rate)
    n_seconds = int(sounding_seconds(references, estimates, sample_rate=sample_rate).sum())
    found = {}
    for name, true in references.items():
        sdr, sir, sar = separation.get(name, (None, None, None))
        found[name] = Scores(
            _defined(si_sdr_db(true, estimates[name])),
            _defined(improvement(true, estimates[name], mix)),
            _defined(snr_db(true, estimates[name])),
            sdr,
            sir,
            sar,
            n_seconds if name in separation else None,
            stoi(true, estimates[name], sample_rate=sample_rate) if name in VOICES else None,
        )
    return found


def bss_eval(
    references: Stems, estimates: Stems, *, sample_rate: int
) -> dict[str, tuple[float | None, float | None, float | None]]:
    """Return SDR, SIR and SAR in dB by BSS Eval version 4 [1]_, as museval computes them.

    Parameters
    ----------
    references, estimates : dict of str to ndarray of float32, each of shape (channels, samples)
        Under the same names.
    sample_rate : int
        In hertz.

    Returns
    -------
    dict of str to tuple of float or None
        Per stem the medians over the seconds of `sounding_seconds`, None if there are none. Empty
        if museval cannot be used, and where nothing is defined: fewer than two stems, less
        than a window, or a stem or estimate whose channels add up to silence.

    References
    ----------
    .. [1] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation
       campaign", LVA/ICA 2018.
    """
    window = round(BSS_WINDOW_S * sample_rate)
    true, made = (_stacked(stems, list(references)) for stems in (references, estimates))
    # museval takes a stem whose channels cancel, such as L - R beside R - L, for a silent one.
    sounding = all(sound.sum(axis=2).any(axis=1).all() for sound in (true, made))
    if "museval" in absent() or len(true) < 2 or true.shape[1] < window or not sounding:
        return {}
    from museval.metrics import bss_eval as evaluate

    sdr, _, sir, sar, _ = evaluate(true, made, window=window, hop=window)
    counts = sounding_seconds(references, estimates, sample_rate=sample_rate)
    return {
        name: (_median(sdr[i, counts]), _median(sir[i, counts]), _median(sar[i, counts]))
        for i, name in enumerate(references)
    }


def sounding_seconds(references: Stems, estimates: Stems, *, sample_rate: int) -> NDArray[np.bool_]:
    """Return which seconds say something of a separation: those in which every stem sounds.

    BSS Eval leaves out a second in which any reference or estimate is silent, since nothing can
    be told apart there. museval takes only zeros for silence; then a second in which a reference is
    what a resampler leaves of it, at -100 dBFS, counts with -70 dB. So here a reference is
    also silent where its power is 60 dB below that of its own loudest second.

    Parameters
    ----------
    references, estimates : dict of str to ndarray of float32, each of shape (channels, samples)
        Under the same names.
    sample_rate : int
        In hertz.

    Returns
    -------
    ndarray of bool, shape (seconds,)
        Of the whole seconds; what is left at the end belongs to none.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((2, 1, 3000)).astype(np.float32)
    >>> noise[0, :, 1000:2000] *= 1e-4  # -80 dB
    >>> stems = {"vocals": noise[0], "accompaniment": noise[1]}
    >>> sounding_seconds(stems, stems, sample_rate=1000).tolist()
    [True, False, True]
    """
    true = _powers(references, list(references), sample_rate)
    # What a method gives may be as soft as it likes, but for zeros, of which there are no ratios.
    made = _powers(estimates, list(references), sample_rate)
    floors = true.max(axis=1, keepdims=True, initial=0) * 10 ** (SILENT_DB / 10)
    counts: NDArray[np.bool_] = ((true > floors) & (made > 0)).all(axis=0)
    return counts


def stoi(reference: Waveform, estimate: Waveform, *, sample_rate: int) -> float | None:
    """Return the short-time objective intelligibility of a voice [1]_, channels summed.

    Parameters
    ----------
    reference, estimate : ndarray of float32, shape (channels, samples)
        The true voice, and what a method made of it.
    sample_rate : int
        In hertz.

    Returns
    -------
    float or None
        At most 1. None if pystoi cannot be used or the voice sounds for less than the
        384 ms that the measure looks at together.

    References
    ----------
    .. [1] C. H. Taal, R. C. Hendriks, R. Heusdens and J. Jensen, "An algorithm for
       intelligibility prediction of time-frequency weighted noisy speech", IEEE Trans.
       Audio, Speech and Language Processing 19(7), 2011.
    """
    if "pystoi" in absent() or not reference.any():
        return None
    import warnings

    from pystoi import stoi as intelligibility

    with warnings.catch_warnings():
        # It warns, and gives 1e-5, where too little of the voice sounds.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(intelligibility(reference.mean(0), estimate.mean(0), sample_rate))
        except RuntimeWarning:
            return None


def loudness_lufs(
    waveform: Waveform, *, sample_rate: int, layout: tuple[str, ...] | None = None
) -> float | None:
    """Return the integrated loudness of sound in memory; parameters as in `Meter`.

    Returns
    -------
    float or None
        In LUFS; None for silence and for less than 400 ms.
    """
    meter = Meter(sample_rate, len(waveform), layout)
    meter.push(waveform)
    return meter.integrated_lufs()


def null_depth_db(mix: Waveform, stems: Mapping[str, Waveform]) -> float | None:
    """Return the largest error of the stems' sum, relative to the larger of 1 and the mix's peak.

    Parameters
    ----------
    mix : ndarray of float32, shape (channels, samples)
        What was taken apart.
    stems : mapping of str to ndarray of float32, each of the mix's shape
        What came out; summed in float64.

    Returns
    -------
    float or None
        In dB; None if the sum is the mix to the last bit.

    Examples
    --------
    >>> mix = np.full((1, 4), 0.5, np.float32)
    >>> null_depth_db(mix, {"a": mix})
    >>> round(null_depth_db(mix, {"a": 0.998 * mix}))
    -60
    """
    total = np.sum(list(stems.values()), axis=0, dtype=np.float64)
    error = float(np.abs(total - mix).max())
    peak = max(1.0, float(np.abs(mix).max()))
    return 20 * float(np.log10(error / peak)) if error else None


def _stacked(stems: Stems, names: list[str]) -> NDArray[np.float64]:
    """Return the stems as museval takes them, (stems, samples, channels)."""
    return np.stack([stems[name].T.astype(np.float64) for name in names])


def _powers(stems: Stems, names: list[str], sample_rate: int) -> NDArray[np.float64]:
    """Return the power of the channels' sum in every second, shape (stems, seconds)."""
    window = round(BSS_WINDOW_S * sample_rate)
    sums = _stacked(stems, names).sum(axis=2)  # as museval tells silence: (stems, samples)
    whole = sums[:, : sums.shape[1] // window * window].reshape(len(sums), -1, window)
    power: NDArray[np.float64] = np.square(whole).mean(axis=2)
    return power


def _median(values: NDArray[np.float64]) -> float | None:
    kept = values[~np.isnan(values)]
    return _defined(float(np.median(kept))) if kept.size else None


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
