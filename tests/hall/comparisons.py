"""A comparison made in memory, for the tests of the page."""

from dataclasses import replace

from tests.sounds import mixture_of, scene
from unstir.evaluate import improvement, si_sdr_db
from unstir.metrics import Scores, loudness_lufs, null_depth_db
from unstir.registry import find, make
from unstir.report import Comparison, Outcome
from unstir.types import Mixture, Stems

RATE = 8000


def comparison(name: str = "film.wav") -> Comparison:
    """Return what four cheap methods make of two seconds."""
    true: Stems = scene(2, RATE)
    mix = mixture_of(true)
    outcomes = []
    for method in ("mixture", "oracle", "invert", "midside"):
        options = {"references": true} if method == "oracle" else {}
        stems = make(method, **options).separate(Mixture(mix, RATE))
        outcomes.append(
            Outcome(
                method,
                find(method).kind,
                "cpu",
                stems,
                {stem: loudness_lufs(sound, sample_rate=RATE) for stem, sound in stems.items()},
                {
                    stem: Scores(
                        si_sdr_db(true[stem], sound), improvement(true[stem], sound, mix), None
                    )
                    for stem, sound in stems.items()
                },
                null_depth_db(mix, stems),
                seconds=0.5 + len(outcomes),
                peak_mb=None if method == "oracle" else 100.0 + len(outcomes),
            )
        )
    return Comparison(name, "film", RATE, mix.shape[1], 0, mix, true, tuple(outcomes))


def without_references(name: str = "film.wav") -> Comparison:
    """Return the same of a file whose true stems are not known."""
    known = comparison(name)
    outcomes = [replace(o, scores={}) for o in known.outcomes if o.method != "oracle"]
    return replace(known, references={}, outcomes=tuple(outcomes))
