"""Non-negative matrix factorization with dictionaries that ship, a free part, or a score.

The magnitude of the mix, linked over the channels and pooled into bands, is written as templates
times activations, V = W H, at the least Kullback-Leibler divergence. The templates come from
recordings of speech, singing, music and effects (`unstir.hybrid.dictionaries`); in a window only
H is found. Each stem's part of W H, on all bins, gives its share of every cell.

Every frame is stacked upon the means of the frames around it, so that a template also says what
comes before and after: held notes and moving syllables look alike in one frame only.

**Stem sets.** film: speech is what the speech dictionary explains, music what music and singing
do, effects what effects do. song: vocals are singing and speech, accompaniment is music and
effects (drums look like effects to a dictionary).

**A free part** of ``n_free`` templates is learned in the survey beside the fixed dictionaries,
then frozen; each goes to the stem whose dictionaries explain most of it.

**A score** (a MIDI file) takes the place of the music dictionary: its notes go to music or to
accompaniment, and the remaining stems share the rest. A template per pitch, zero between its
harmonics, is learned in the survey and frozen; in a window a pitch may sound only where the score
has it [3]_. A score is taken to be complete: music that it does not hold goes to other stems.

References
----------
.. [1] D. D. Lee and H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2001.
.. [2] F. Weninger, J. Le Roux, J. R. Hershey and S. Watanabe, "Discriminative NMF and its
   application to single-channel source separation", Interspeech 2014.
.. [3] S. Ewert and M. Müller, "Using score-informed constraints for NMF-based source separation",
   ICASSP 2012.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unstir.errors import SettingsError
from unstir.hybrid.align import Alignment, align, aligned
from unstir.hybrid.dictionaries import (
    RELATIVE_WIDTH,
    band_centers_hz,
    band_starts,
    load_dictionaries,
    on_bins,
    pool,
    with_context,
)
from unstir.hybrid.score import (
    read_score,
    score_activations,
    score_templates,
    voices_of,
)
from unstir.spectral import Spectrum, analyze, binary_masks, cut, ratio_masks
from unstir.streaming import one_blas_thread
from unstir.types import FILM, SONG, Evidence, Mixture, State, Stems, Waveform

Matrix = NDArray[Any]  # two-dimensional, non-negative

EPSILON = float(np.finfo(np.float32).eps)  # as scikit-learn has it
KINDS_OF: Mapping[tuple[str, ...], Mapping[str, tuple[str, ...]]] = {
    FILM: {"speech": ("speech",), "music": ("music", "singing"), "effects": ("effects",)},
    SONG: {"vocals": ("singing", "speech"), "accompaniment": ("music", "effects")},
}
SCORED = {FILM: "music", SONG: "accompaniment"}  # the stem that a score's notes go to
SCORE_RELATIVE_WIDTH = 0.01  # bands narrow enough to tell semitones apart
SURVEY_FRAMES = 3000
BLOCK_CELLS = 2**18  # of V at a time: what fits the second-level cache
TINY = 1e-30  # less is zero: denormal numbers slow every product down
SURVEY_ITERATIONS = 60


def kl_nmf(
    V: Matrix,
    W: Matrix,
    H: Matrix,
    *,
    n_iter: int,
    update_w: bool | slice = True,
    weights: Matrix | None = None,
) -> tuple[Matrix, Matrix]:
    r"""Return the factors after multiplicative updates of the Kullback-Leibler divergence.

    With :math:`R = V / (W H)`, each iteration moves W, then H ([1]_, eq. 5):

    .. math:: W \leftarrow W \frac{R H^T}{1 H^T} \qquad H \leftarrow H \frac{W^T R}{W^T 1}

    The divergence never rises, and zeros in W or H stay zeros.

    Parameters
    ----------
    V : ndarray of float32 or float64, shape (rows, columns)
        Non-negative, at any scale.
    W : ndarray, shape (rows, components)
        Start of the templates.
    H : ndarray, shape (components, columns)
        Start of the activations.
    n_iter : int
        Number of iterations.
    update_w : bool or slice
        Whether the templates move, or which of them.
    weights : ndarray, shape (rows, columns), optional
        How much each cell counts, in [0, 1]; 0 where V was not observed.

    Returns
    -------
    W, H : ndarray of V's type
        New arrays.

    References
    ----------
    .. [1] D. D. Lee and H. S. Seung, "Algorithms for non-negative matrix factorization",
       NIPS 2001.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> V = rng.random((20, 2)) @ rng.random((2, 30))
    >>> W, H = kl_nmf(V, rng.random((20, 2)), rng.random((2, 30)), n_iter=500)
    >>> bool(np.abs(W @ H - V).max() < 0.01)
    True
    """
    # The guard against division by zero is absolute: it wants V near one.
    scale = float(np.mean(V, dtype=np.float64)) or 1.0
    # Frames lead, so that a block of them, and all that is computed on it, stays in the cache.
    v, h = np.ascontiguousarray((V / scale).T, V.dtype), np.array((H / scale).T, V.dtype, order="C")
    w = np.array(W, V.dtype, order="C")
    m = None if weights is None else np.ascontiguousarray(weights.T, V.dtype)
    if m is not None:
        v *= m
    step = max(1, BLOCK_CELLS // len(w))
    blocks = [slice(first, first + step) for first in range(0, len(v), step)]
    moving = update_w if isinstance(update_w, slice) else slice(None if update_w else 0)

    def divide(block: slice) -> Matrix:
        """Return V / (W H) on a block of frames."""
        out: Matrix = h[block] @ w.T
        np.maximum(out, EPSILON, out=out)
        np.divide(v[block], out, out=out)
        return out

    def pull(block: slice) -> Matrix:
        return np.asarray(divide(block).T @ h[block, moving], V.dtype)

    def push(block: slice) -> None:
        total = w.sum(axis=0) if m is None else m[block] @ w
        h[block] *= divide(block) @ w / np.where(total == 0, EPSILON, total)

    # Blocks share nothing, so they go to the cores whole; each product keeps to one thread, and
    # sums are taken in the order of the blocks: the bytes do not depend on the number of cores.
    with one_blas_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in range(n_iter):
            part = h[:, moving]
            if part.size:
                gain = sum(pool.map(pull, blocks))
                total = part.sum(axis=0) if m is None else m.T @ part
                w[:, moving] *= gain / np.where(total == 0, EPSILON, total)
                w[w < TINY] = 0
            list(pool.map(push, blocks))
            h[h < TINY] = 0
    return w, np.ascontiguousarray(h.T * scale, V.dtype)


@dataclass(frozen=True, slots=True)
class Nmf:
    """Separation by KL-NMF with dictionaries, a free part or a score.

    Parameters
    ----------
    stems : tuple of str
        FILM or SONG.
    seed : int
        Of the free templates' start.
    n_free : int
        Number of templates learned from the file itself. With a score there is no free part.
    n_iter : int
        Updates of the activations in each window.
    mask : {"ratio", "binary"}
        Whether cells are shared, or go whole to the loudest stem.
    score : str, optional
        Path of a MIDI file whose first tick is the recording's first sample.
    alignment : Alignment, optional
        When the recording plays the score, where they differ in timing; see `heard_in`. A survey
        keeps it in the state.

    Raises
    ------
    SettingsError
        If an option is outside its range.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)
    >>> stems = Nmf().separate(Mixture(noise, 16000))
    >>> bool(np.abs(sum(stems.values()) - noise).max() < 1e-5)
    True
    """

    stems: tuple[str, ...] = FILM
    seed: int = 0
    n_free: int = 0
    n_iter: int = 12
    mask: Literal["ratio", "binary"] = "ratio"
    score: str | None = None
    alignment: Alignment | None = None

    def __post_init__(self) -> None:
        if self.stems not in KINDS_OF:
            raise SettingsError(f"stems={self.stems} came; nmf gives {FILM} or {SONG}")
        if self.n_free < 0 or self.n_iter < 1:
            raise SettingsError(
                f"n_free={self.n_free} and n_iter={self.n_iter} came; at least 0 and 1 are wanted"
            )
        if self.mask not in ("ratio", "binary"):
            raise SettingsError(f"mask={self.mask!r} came; 'ratio' or 'binary' is wanted")
        if self.n_free and self.score is not None:
            raise SettingsError("n_free and a score came; they exclude each other, so leave one")

    def heard_in(self, blocks: Iterable[Waveform], sample_rate: int) -> "Nmf":
        """Return the method with its score aligned to a whole recording; itself without a score.

        Raises
        ------
        AudioError
            If the score cannot be read, or the two cannot be aligned.
        """
        if self.score is None:
            return self
        return replace(self, alignment=align(read_score(self.score), blocks, sample_rate))

    def survey(self, blocks: Iterable[Mixture], /) -> State | None:
        """Learn the free templates, or those of the score's pitches; None without either.

        Raises
        ------
        AudioError
            If the score cannot be read.
        """
        if self.score is None and not self.n_free:
            return None
        return _learn(self, [analyze(block) for block in blocks])

    def evidence(self, spectrum: Spectrum, state: State | None = None) -> Evidence:
        """Return a mask per stem, shape (1, bins, frames); validity is 1 where there is sound.

        Without a state, what a survey would learn is learned from this spectrum alone.

        Raises
        ------
        AudioError
            If the score cannot be read.
        """
        own = _learn(self, [spectrum]) if state is None else state
        bank = _bank(self, spectrum, own)
        V, H = _start(_observe(self, spectrum), bank, _allowed(self, spectrum, own))
        _, H = kl_nmf(V, bank.pooled, H, n_iter=self.n_iter, update_w=False)
        parts = {
            stem: (bank.bins[:, bank.owners == i] @ H[bank.owners == i])[None]
            for i, stem in enumerate(self.stems)
        }
        masks = (ratio_masks if self.mask == "ratio" else binary_masks)(parts)
        sounds = np.asarray(spectrum.magnitude.any(axis=0), np.float32)
        return Evidence(masks, sounds[None])

    def estimate(self, mix: Mixture, /, state: State | None = None) -> Evidence:
        """Return the evidence on the grid for the mix's sample rate."""
        return self.evidence(analyze(mix), state)

    def separate(self, mix: Mixture, /, state: State | None = None) -> Stems:
        """Return one waveform per stem, each of the mix's shape; they add up to the mix."""
        return cut(mix, self.evidence, state)


@dataclass(frozen=True, slots=True)
class _Bank:
    """Templates on one grid: pooled to find activations, on all bins to make masks."""

    pooled: NDArray[np.float32]  # (spans * bands, components)
    bins: NDArray[np.float32]  # (bins, components)
    owners: NDArray[np.intp]  # (components,) index of the stem


def _relative_width(method: Nmf) -> float:
    return SCORE_RELATIVE_WIDTH if method.score else RELATIVE_WIDTH


def _observe(method: Nmf, spectrum: Spectrum) -> NDArray[np.float32]:
    """Return the linked magnitude per band, upon its context unless a score says what sounds."""
    starts = band_starts(spectrum.frequencies_hz, _relative_width(method))
    level = pool(spectrum.magnitude, starts)
    if method.score:
        return level
    hop_s = spectrum.config.hop_length / spectrum.mix.sample_rate
    return with_context(level, load_dictionaries().spans_s, hop_s)


def _learn(method: Nmf, spectra: Sequence[Spectrum]) -> State | None:
    """Return the templates of the file's own that explain these spectra beside the shipped ones."""
    sounds = any(spectrum.magnitude.any() for spectrum in spectra)
    if not sounds or not (method.score or method.n_free):
        return None
    own = _first_templates(method, spectra[0])
    bank = _bank(method, spectra[0], own)
    V = np.concatenate([_observe(method, spectrum) for spectrum in spectra], axis=1)
    allowed = np.concatenate([_allowed(method, spectrum, own) for spectrum in spectra], axis=1)
    every = -(-V.shape[1] // SURVEY_FRAMES)
    V, H = _start(V[:, ::every], bank, allowed[:, ::every])
    n_shipped = len(H) - len(allowed)
    W, _ = kl_nmf(V, bank.pooled, H, n_iter=SURVEY_ITERATIONS, update_w=slice(n_shipped, None))
    learned, first = W[:, n_shipped:], bank.pooled[:, n_shipped:]
    total = learned.sum(axis=0)
    # A pitch that these spectra never play keeps its first template.
    learned = np.where(total > 0, learned / np.maximum(total, EPSILON), first)
    starts = band_starts(spectra[0].frequencies_hz, _relative_width(method))
    per_bin = learned.reshape(-1, len(starts) - 1, len(allowed)) / np.diff(starts)[:, None]
    return {
        "templates": np.asarray(per_bin, np.float32),
        "bands_hz": band_centers_hz(spectra[0].frequencies_hz, starts),
        "owners": own["owners"] if method.score else _owners(method, bank, learned),
        "alignment_s": own["alignment_s"],
    }


def _bank(method: Nmf, spectrum: Spectrum, own: State | None) -> _Bank:
    """Return the shipped templates and, last, the file's own."""
    shipped = load_dictionaries()
    owners: list[int] = []
    chosen = []
    for index, stem in enumerate(method.stems):
        if not (method.score and stem == SCORED[method.stems]):
            chosen += [shipped.templates[kind] for kind in KINDS_OF[method.stems][stem]]
            owners += [index] * (sum(t.shape[2] for t in chosen) - len(owners))
    templates = np.concatenate(chosen, axis=2)[: 1 if method.score else None]
    bank = _lay(method, spectrum, templates, shipped.bands_hz, np.asarray(owners, np.intp))
    if own is None:
        return bank
    last = _lay(method, spectrum, own["templates"], own["bands_hz"], own["owners"])
    return _Bank(
        np.hstack([bank.pooled, last.pooled]),
        np.hstack([bank.bins, last.bins]),
        np.concatenate([bank.owners, last.owners]),
    )


def _lay(
    method: Nmf,
    spectrum: Spectrum,
    templates: NDArray[np.float32],
    bands_hz: NDArray[np.float64],
    owners: NDArray[np.intp],
) -> _Bank:
    """Return templates of shape (spans, bands, components) on a spectrum's grid."""
    on_grid = on_bins(templates, bands_hz, spectrum.frequencies_hz)
    pooled = pool(on_grid, band_starts(spectrum.frequencies_hz, _relative_width(method)))
    return _Bank(pooled.reshape(-1, templates.shape[2]), on_grid[0], owners)


def _first_templates(method: Nmf, spectrum: Spectrum) -> State:
    """Return the file's own templates before they have heard anything, as `survey` gives them."""
    starts = band_starts(spectrum.frequencies_hz, _relative_width(method))
    bands_hz = band_centers_hz(spectrum.frequencies_hz, starts)
    if method.score:
        bin_hz = spectrum.mix.sample_rate / spectrum.config.n_fft
        templates = score_templates(voices_of(read_score(method.score)), bands_hz, bin_hz)[None]
        owner = method.stems.index(SCORED[method.stems])
    else:
        shape = (len(load_dictionaries().spans_s), len(bands_hz), method.n_free)
        rng = np.random.default_rng(method.seed)
        templates = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        owner = 0
    return {
        "templates": templates,
        "bands_hz": bands_hz,
        "owners": np.full(templates.shape[2], owner, np.intp),
        "alignment_s": np.array(
            (method.alignment.score_s, method.alignment.audio_s) if method.alignment else ((), ())
        ),
    }


def _allowed(method: Nmf, spectrum: Spectrum, own: State | None) -> NDArray[np.float32]:
    """Return where the file's own templates may sound, shape (components, frames)."""
    if own is None or not method.score:
        n_own = 0 if own is None else own["templates"].shape[2]
        return np.ones((n_own, spectrum.n_frames), np.float32)
    score_s, audio_s = own["alignment_s"].tolist()
    alignment = Alignment(tuple(score_s), tuple(audio_s), 0.0)
    notes = aligned(read_score(method.score), alignment)
    samples = spectrum.mix.start + spectrum.config.hop_length * np.arange(spectrum.n_frames)
    return score_activations(notes, voices_of(notes), samples / spectrum.mix.sample_rate)


def _start(
    V: NDArray[np.float32], bank: _Bank, allowed: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return V over its mean, and activations of which each explains the same part of a frame."""
    V = np.asarray(V / (float(V.mean(dtype=np.float64)) or 1.0), np.float32)
    total = bank.pooled.sum(axis=0, dtype=np.float64)[:, None]
    H = V.sum(axis=0, dtype=np.float64) / (len(total) * np.maximum(total, EPSILON))
    H[len(H) - len(allowed) :] *= allowed
    return V, np.asarray(H, np.float32)


def _owners(method: Nmf, bank: _Bank, learned: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the stem whose dictionaries explain most of each free template."""
    shipped = bank.pooled[:, : bank.pooled.shape[1] - learned.shape[1]]
    owners = bank.owners[: shipped.shape[1]]
    even = np.full((shipped.shape[1], learned.shape[1]), 1 / len(owners), np.float32)
    _, H = kl_nmf(learned, shipped, even, n_iter=method.n_iter, update_w=False)
    mass = H * shipped.sum(axis=0)[:, None]
    by_stem = [mass[owners == i].sum(axis=0) for i in range(len(method.stems))]
    return np.asarray(np.argmax(by_stem, axis=0))
