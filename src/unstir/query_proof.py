"""What the net that is asked is worth: mixes of two sounds, its answers, and the controls.

Every mix is asked several times: by the name of one of its sounds, by a paraphrase, by the other
encoder's vector, by a recording, for everything but the other sound; and, as controls, by a name of
something else and by nothing at all. The recordings are of families that nothing trained on.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unstir.evaluate import bootstrap_interval, si_sdr_db, snr_db
from unstir.finding import found_in
from unstir.hybrid.controls import Oracle
from unstir.journal import write_whole
from unstir.neural.captions import HELD_OUT, classes_of, other_captions
from unstir.neural.pack import SAMPLE_RATE, Clip, Pack
from unstir.neural.query import QuerySeparator, hear_mixture, wordless
from unstir.neural.query_net import QueryNet
from unstir.neural.query_scenes import Asked, QueryRecipe
from unstir.neural.query_train import two_sources
from unstir.neural.separator import gain_to_level_db, open_model
from unstir.queries import REST, TARGET
from unstir.separate import separate_with
from unstir.types import Mixture, Separator, Waveform

SEED = 3000
DURATION_S = 5.0
N_SEEN, N_HELD_OUT = 150, 60
N_NAMES, N_PER_NAME = 20, 5  # that a recording is to be put under, and recordings of each
PAIR = (TARGET, REST)
QUIET = np.float32(1e-6)  # of the mix in every estimate: silence has no SI-SDR


@dataclass(frozen=True)
class Case:
    """One mix of two sounds.

    Parameters
    ----------
    asked : Asked
        Its plan, and what is asked for.
    other : str
        What the other sound is called.
    wrong : str
        A class of which nothing is in the mix.
    family : str
        Of the recording that is asked for; intervals are drawn over it.
    target, mixture : ndarray of float32, shape (2, samples)
        At 44.1 kHz.
    """

    asked: Asked
    other: str
    wrong: str
    family: str
    target: Waveform
    mixture: Waveform


def cases(pack: Pack, *, held_out: bool, n: int) -> Iterator[Case]:
    """Yield mixes of the split that reports.

    Parameters
    ----------
    pack : Pack
        The packed corpus.
    held_out : bool
        Whether sounds are asked for of classes that nothing trained to answer to; of these there
        are so few that recordings of all splits ask, but none was ever a target.
    n : int
        How many.
    """
    recipe = QueryRecipe(pack, "report", film=0, targets=HELD_OUT if held_out else ())
    clips = {clip.path: clip for clip in pack.clips}
    for index in range(n):
        rng = np.random.default_rng([SEED, int(held_out), index])
        asked = recipe.draw(rng, int(DURATION_S * SAMPLE_RATE), full=True)
        absent = asked.absent
        sources = two_sources(asked, pack, clips).numpy()
        yield Case(
            asked,
            asked.sounds[1],
            absent[int(rng.integers(len(absent)))],
            clips[asked.scene.speech[0].pieces[0].clip].family,
            sources[0],
            np.asarray(sources.sum(axis=0), np.float32),
        )


def answers(model: str, case: Case) -> dict[str, Separator]:
    """Return the questions that a mix is asked, each as a separator of target and residual."""
    name = case.asked.name
    paraphrase = other_captions(name)[0]
    one = QuerySeparator(PAIR, model, (name,))
    truth = {TARGET: case.target, REST: case.mixture - case.target}
    return {
        "oracle": Oracle(PAIR, references=truth),
        "query": one,
        "paraphrase": replace(one, queries=(paraphrase,)),
        "wrong word": replace(one, queries=(case.wrong,)),
        "the other sound": replace(one, queries=(case.other,)),
        "not the other sound": replace(one, queries=(case.other,), is_negated=True),
    }


def improvement(estimate: Waveform, case: Case) -> dict[str, float]:
    """Return what an estimate of the target gains over the mix, by SI-SDR and SDR in dB."""
    estimate = estimate + case.mixture * QUIET
    return {
        "si_sdr_db": si_sdr_db(case.target, estimate) - si_sdr_db(case.target, case.mixture),
        "sdr_db": snr_db(case.target, estimate) - snr_db(case.target, case.mixture),
    }


def prove_queries(
    model: str,
    pack: Pack,
    *,
    n_scenes: int | None = None,
    tell: Callable[[str], None] = print,
    out: Path | None = None,
) -> dict[str, Any]:
    """Measure everything, and return it; ``out`` gets it as JSON, with a table beside it.

    Parameters
    ----------
    model : str
        The net's weights, as `unstir.weights.locate` takes them.
    pack : Pack
        The packed corpus.
    n_scenes : int, optional
        Only so many mixes of each kind.
    tell : callable
        Told how far it is, and the table.
    out : Path, optional
        A file that ends in ``.json``.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for kind, n in (("seen", N_SEEN), ("held out", N_HELD_OUT)):
        rows[kind] = []
        digest = hashlib.sha256()
        for number, case in enumerate(cases(pack, held_out=kind != "seen", n=n_scenes or n)):
            digest.update(json.dumps(asdict(case.asked), sort_keys=True).encode())
            mix = Mixture(case.mixture, SAMPLE_RATE)
            figures = {
                how: improvement(separate_with(one, mix)[TARGET], case)
                for how, one in answers(model, case).items()
            }
            figures["no words"] = improvement(wordless(model, mix), case)
            rows[kind].append(
                {
                    "name": case.asked.name,
                    "family": case.family,
                    "figures": figures,
                    "presence": _presence(model, case),
                }
            )
            if number % 20 == 19:
                tell(f"{kind}: {number + 1} of {n_scenes or n}")
        tell(f"{kind}: scenes {digest.hexdigest()[:16]}")
    report = {
        "model": model,
        "rows": rows,
        "summary": {kind: summary(part) for kind, part in rows.items()},
        "classes": by_class(rows["seen"]),
        "presence": presence(rows["seen"]),
        "retrieval": retrieval(model, pack),
    }
    text = table(report)
    tell(text)
    if out is not None:
        write_whole(out, (json.dumps(report, indent=1) + "\n").encode())
        write_whole(out.with_suffix(".md"), (text + "\n").encode())
    return report


def _presence(model: str, case: Case) -> dict[str, float]:
    """Return the scores of what is there and of what is not."""
    names = (case.asked.name, case.other, case.wrong)
    separator = QuerySeparator((*names, REST), model, names)
    mix = Mixture(case.mixture, SAMPLE_RATE)
    curves = separator.when(mix, gain_to_level_db([mix]))
    scores = [found_in(name, curve).score for name, curve in zip(names, curves, strict=True)]
    return dict(zip(("there", "other", "absent"), scores, strict=True))


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return means with 95 % intervals over families, of every way to ask and of differences."""
    families = [row["family"] for row in rows]
    found: dict[str, Any] = {}
    for how in rows[0]["figures"]:
        for key in ("si_sdr_db", "sdr_db"):
            values = [row["figures"][how][key] for row in rows]
            found.setdefault(how, {})[key] = _with_interval(values, families)
    for against in ("paraphrase", "wrong word", "no words"):
        values = [
            row["figures"]["query"]["si_sdr_db"] - row["figures"][against]["si_sdr_db"]
            for row in rows
        ]
        found[f"query over {against}"] = {"si_sdr_db": _with_interval(values, families)}
    return found


def _with_interval(values: Sequence[float], families: Sequence[str]) -> dict[str, Any]:
    low, high = bootstrap_interval(values, groups=families, seed=0)
    return {
        "mean": round(float(np.mean(values)), 2),
        "median": round(float(np.median(values)), 2),
        "interval": [round(low, 2), round(high, 2)],
    }


def by_class(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean improvement of every class that was asked for, best first."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        values[row["name"]].append(row["figures"]["query"]["si_sdr_db"])
    means = {name: (len(v), round(float(np.mean(v)), 1)) for name, v in values.items()}
    return dict(sorted(means.items(), key=lambda item: -item[1][1]))


def presence(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how well scores tell what is there from what is not."""
    there = np.array([row["presence"][key] for row in rows for key in ("there", "other")])
    absent = np.array([row["presence"]["absent"] for row in rows])
    edges = np.linspace(0.02, 0.98, 97)
    accuracy = [(np.mean(there > edge) + np.mean(absent <= edge)) / 2 for edge in edges]
    order = (there[:, None] > absent[None]).mean() + 0.5 * (there[:, None] == absent[None]).mean()
    return {
        "area_under_roc": round(float(order), 3),
        "best_threshold": round(float(edges[int(np.argmax(accuracy))]), 2),
        "best_balanced_accuracy": round(float(np.max(accuracy)), 3),
    }


def retrieval(model: str, pack: Pack) -> dict[str, Any]:
    """Return how often a recording alone is put under its own name among 20.

    By what it sounds like (`QueryNet.hear`) and by which name's presence is highest.
    """
    rng = np.random.default_rng(SEED)
    of_class: dict[str, list[Clip]] = defaultdict(list)
    for clip in pack.select("report", "speech", "singing", "music", "effects"):
        names = classes_of(clip.path)
        if names and not set(names) & set(HELD_OUT):
            of_class[names[-1]].append(clip)
    of_class.pop("sound effects", None)
    chosen = sorted(of_class, key=lambda name: -len(of_class[name]))[:N_NAMES]
    separator = QuerySeparator((*chosen, REST), model, tuple(chosen))
    net = open_model(model, separator.device).net
    assert isinstance(net, QueryNet)  # for the types
    right: dict[str, list[bool]] = {"by ear": [], "by presence": []}
    for name in chosen:
        clips = of_class[name]
        for index in rng.permutation(len(clips))[:N_PER_NAME]:
            clip = clips[int(index)]
            sound = pack.read(clip, 0, min(clip.n_samples, 5 * SAMPLE_RATE))
            mix = Mixture(sound, SAMPLE_RATE)
            curves = separator.when(mix, gain_to_level_db([mix]))
            scores = [found_in(one, c).score for one, c in zip(chosen, curves, strict=True)]
            right["by presence"].append(chosen[int(np.argmax(scores))] == name)
            likeness = separator.asked() @ hear_mixture(net, mix, separator.device)
            right["by ear"].append(chosen[int(likeness.argmax())] == name)
    return {
        "names": chosen,
        "recordings": len(right["by ear"]),
        **{how: round(float(np.mean(values)), 3) for how, values in right.items()},
    }


def table(report: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| asked | seen classes: SI-SDRi dB | SDRi dB | held out: SI-SDRi dB |",
        "|---|---:|---:|---:|",
    ]
    seen, held = report["summary"]["seen"], report["summary"]["held out"]
    for how, values in seen.items():
        cells = [_cell(values["si_sdr_db"]), _cell(values.get("sdr_db"))]
        lines.append(f"| {how} | {' | '.join(cells)} | {_cell(held[how]['si_sdr_db'])} |")
    return "\n".join(lines)


def _cell(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    low, high = value["interval"]
    return f"{value['mean']:+.1f} ({low:+.1f} to {high:+.1f})"
