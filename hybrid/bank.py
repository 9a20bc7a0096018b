"""All priors of a window at once, on one grid, each with how far it may be trusted.

Every classical method looks at the same spectrum; the pitch is tracked on the voice that a
first separation found, where there is one, since it is far clearer there than in the mix [1]_.
Two priors are made here, of whole frames: how much of a frame is voice, and how much of it has
just begun. One looks at nothing but what the first separation gave
(`unstir.hybrid.backfit`).

What a prior says is reduced to planes: the masks that are its own (of masks that share what is
left evenly, one says all), less an even share and times the validity, then the validity. So a
prior that has nothing to say is zero throughout, and leaving one out is the same as its silence.

References
----------
.. [1] C.-L. Hsu, D. Wang, J.-S. R. Jang, K. Hu, "A tandem algorithm for singing pitch extraction
   and voice separation from music accompaniment", IEEE TASLP 20(5), 2012: pitch and
   separation in turns.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.hybrid.backfit import alike
from unstir.hybrid.harmonic import Harmonic, track, voice_evidence
from unstir.hybrid.hpss import Hpss
from unstir.hybrid.midside import MidSide
from unstir.hybrid.nmf import Nmf
from unstir.hybrid.panning import Panning
from unstir.hybrid.repet import Repet
from unstir.spectral import Spectrum, everywhere
from unstir.types import FILM, SONG, Evidence, Mixture, Plane, State, nested, part_of

# The stems on which each prior has an opinion of its own.
TELLS: Mapping[tuple[str, ...], Mapping[str, tuple[str, ...]]] = {
    FILM: {
        "midside": ("speech",),
        "panning": ("speech", "music"),
        "hpss": ("speech", "music"),
        "nmf": ("speech", "music"),
        "harmonic": ("speech",),
        "repet": ("speech",),
        "activity": ("speech",),
        "onset": ("effects",),
        "alike": ("speech", "music"),
    },
    SONG: dict.fromkeys(
        (
            "midside",
            "panning",
            "hpss",
            "nmf",
            "harmonic",
            "repet",
            "activity",
            "onset",
            "alike",
        ),
        ("vocals",),
    ),
}
OF_STEMS = ("harmonic", "activity", "alike")  # what looks at a separation
ONSET_DB = 20.0  # a rise by so much within two frames is an onset beyond doubt
QUIET = 1e-4  # -80 dB of full scale per bin: below, rises are noise


@dataclass(frozen=True)
class Bank:
    """Every prior of a stem set.

    Parameters
    ----------
    stems : tuple of str
        A stem set.
    seed : int
        For the priors that draw random numbers.
    priors : tuple of str
        Those that are asked, in the order of `TELLS`; all if none is named.

    Examples
    --------
    >>> from unstir.spectral import analyze
    >>> sound = np.random.default_rng(0).standard_normal((2, 22050)).astype(np.float32)
    >>> mix = Mixture(sound, 22050)
    >>> bank = Bank()
    >>> found = bank.evidence(analyze(mix), bank.survey([mix]))
    >>> list(found)[:3], bank.planes(found).shape[0] == len(bank.names)
    (['midside', 'panning', 'hpss'], True)
    """

    stems: tuple[str, ...] = FILM
    seed: int = 0
    priors: tuple[str, ...] = ()

    @property
    def tells(self) -> Mapping[str, tuple[str, ...]]:
        """The stems of which each prior has planes, in order."""
        every = TELLS[self.stems]
        return {name: own for name, own in every.items() if not self.priors or name in self.priors}

    @property
    def names(self) -> tuple[str, ...]:
        """What each plane is: ``"prior stem"`` or ``"prior validity"``, in order."""
        return tuple(
            f"{prior} {part}" for prior, own in self.tells.items() for part in (*own, "validity")
        )

    def survey(self, blocks: Iterable[Mixture], /) -> State:
        """Return what the priors learn of the whole recording, keys prefixed by their names."""
        kept = list(blocks)
        return nested({name: prior.survey(kept) for name, prior in self._methods().items()}) or {}

    def evidence(
        self,
        spectrum: Spectrum,
        state: State,
        separated: Mapping[str, Spectrum] | None = None,
        *,
        without: Collection[str] = (),
    ) -> dict[str, Evidence]:
        """Return what every prior says.

        Parameters
        ----------
        spectrum : Spectrum
            The mix.
        state : mapping
            What `survey` learned.
        separated : mapping of str to Spectrum, optional
            Estimates of the stems on the same grid; without them, the pitch is tracked on the
            mix, and priors that look at nothing else have nothing to say.
        without : collection of str
            Priors that are not asked.

        Returns
        -------
        dict of str to Evidence
            By prior, in the order of `names`.
        """
        voice = (
            separated[self.stems[0]]
            if separated and {"harmonic", "activity"} & self.tells.keys()
            else None
        )
        # The slowest first, so that the others fill the gaps.
        asked: dict[str, Callable[[], Evidence]] = {
            "harmonic": lambda: self._harmonic(spectrum, voice or spectrum)
        }
        for name, prior in sorted(self._methods().items(), key=lambda item: item[0] != "repet"):
            asked[name] = partial(prior.evidence, spectrum, part_of(state, name))
        asked["activity"] = lambda: self._activity(spectrum, voice)
        asked["onset"] = lambda: self._onset(spectrum)
        asked["alike"] = lambda: alike(separated) if separated else self._nothing(spectrum)
        asked = {k: ask for k, ask in asked.items() if k in self.tells and k not in without}
        if len(asked) == 1:  # no memory for a second thread's heap
            return {name: ask() for name, ask in asked.items()}
        with ThreadPoolExecutor(2) as pool:
            waiting = {name: pool.submit(ask) for name, ask in asked.items()}
            found = {name: job.result() for name, job in waiting.items()}
        return {name: found[name] for name in self.tells if name in found}

    def planes(self, evidence: Mapping[str, Evidence]) -> NDArray[np.float32]:
        """Return what the priors say as planes.

        Parameters
        ----------
        evidence : mapping of str to Evidence
            From `evidence`; a prior that is missing counts as one with nothing to say.

        Returns
        -------
        ndarray of float32, shape (planes, frames, bins)
            In [-1, 1]; the order is that of `names`.
        """
        some = next(iter(evidence.values()))
        n_bins, n_frames = next(iter(some.masks.values())).shape[1:]
        planes = np.zeros((len(self.names), n_frames, n_bins), np.float32)
        share = np.float32(1 / len(self.stems))
        index = 0
        for name, own in self.tells.items():
            found = evidence.get(name)
            for stem in own:
                if found is not None:
                    mask = found.masks[stem].mean(axis=0)
                    planes[index] = ((mask - share) * found.validity).T
                index += 1
            if found is not None:
                planes[index] = found.validity.T
            index += 1
        return planes

    def _methods(self) -> dict[str, Any]:
        every: dict[str, Any] = {
            "midside": MidSide(self.stems),
            "panning": Panning(self.stems),
            "hpss": Hpss(self.stems),
            "nmf": Nmf(self.stems, self.seed),
            "repet": Repet(self.stems),
        }
        return {name: method for name, method in every.items() if name in self.tells}

    def _harmonic(self, spectrum: Spectrum, voice: Spectrum) -> Evidence:
        """Return the comb of the voice's pitch, laid on the mix."""
        rate = spectrum.mix.sample_rate
        kind = Harmonic(self.stems, epochs=False).voice
        pitch = track(voice, kind)
        mask, validity = voice_evidence(spectrum.magnitude, pitch, spectrum.config, rate, kind)
        return self._shared(mask, self.stems[0], validity)

    def _nothing(self, spectrum: Spectrum) -> Evidence:
        return self._shared(
            np.zeros(spectrum.magnitude.shape, np.float32),
            self.stems[0],
            np.zeros((1, spectrum.n_frames), np.float32),
        )

    def _activity(self, spectrum: Spectrum, voice: Spectrum | None) -> Evidence:
        """Return how much of every frame is voice, smoothed over a tenth of a second."""
        if voice is None:
            return self._nothing(spectrum)
        whole = np.square(spectrum.magnitude).sum(axis=0)
        own = np.square(voice.magnitude).sum(axis=0)
        n = max(1, round(0.1 * spectrum.mix.sample_rate / spectrum.config.hop_length))
        kernel = np.ones(n) / n
        # The middle, as mode "same" has it, but of the sound even where that is the shorter one.
        whole, own = (
            np.convolve(level, kernel)[(n - 1) // 2 :][: len(level)] for level in (whole, own)
        )
        share = np.divide(own, whole, out=np.zeros_like(own), where=whole > 0)
        mask = np.broadcast_to(
            np.sqrt(np.clip(share, 0, 1)).astype(np.float32), spectrum.magnitude.shape
        )
        return self._shared(mask, self.stems[0], everywhere(spectrum))

    def _onset(self, spectrum: Spectrum) -> Evidence:
        """Return how far every frame rises above the one two before it, bin by bin on average."""
        level_db = 20 * np.log10(spectrum.magnitude + np.float32(QUIET * spectrum.config.n_fft))
        rise_db = np.maximum(level_db[:, 2:] - level_db[:, :-2], 0)
        rise_db = np.pad(rise_db.mean(axis=0), (1, 1))[: spectrum.n_frames]
        mask = np.broadcast_to(
            np.clip(rise_db / ONSET_DB, 0, 1).astype(np.float32), spectrum.magnitude.shape
        )
        stem = self.stems[-1] if self.stems == FILM else self.stems[0]
        return self._shared(mask, stem, everywhere(spectrum))

    def _shared(self, mask: NDArray[np.float32], stem: str, validity: Plane) -> Evidence:
        rest = (1 - mask[None]) / np.float32(len(self.stems) - 1)
        return Evidence(dict.fromkeys(self.stems, rest) | {stem: mask[None]}, validity)
