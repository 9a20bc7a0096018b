"""Say how near the text encoder comes to its teacher, and what each costs.

    python scripts/report_text.py WORK --words /usr/share/dict/american-english --corpus CORPUS

The arguments are those of teach_text.py; sentences that it trained on are left out. Writes
benchmarks/text.json.
"""

import argparse
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from teach_text import (
    Recipe,
    corpus_labels,
    teacher_vectors,
    training_sentences,
    words_by_rank,
)
from text_queries import TRANSLATED, queries
from text_templates import TEMPLATES, descriptions, drawn, is_seen, unseen

from unstir.neural.text import WEIGHTS, TextEncoder, shipped_encoder

FIGURES = Path(__file__).resolve().parents[1] / "benchmarks" / "text.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder of the teacher's vectors")
    parser.add_argument("--words", type=Path, required=True, help="English words, one in a line")
    parser.add_argument("--corpus", type=Path, required=True, help="folder with MANIFEST.csv")
    options = parser.parse_args()
    recipe = Recipe()
    made = training_sentences(recipe, *words_by_rank(options.words), corpus_labels(options.corpus))
    held_out = held_out_sentences(recipe, set(made))
    names = [name for _, name in queries()]
    translated = [name for listed in TRANSLATED.values() for name in listed.split("; ")]
    wanted = [*itertools.chain(*held_out.values()), *names, *translated]
    vectors = teacher_vectors(options.work, wanted)
    report(held_out, vectors, shipped_encoder())


def held_out_sentences(recipe: Recipe, made: set[str]) -> dict[str, list[str]]:
    """Return what no training sees: new combinations, new words, and what people type."""
    rng = random.Random(recipe.seed + 100)
    combined = (s for s in descriptions(recipe.seed + 101, 12000) if is_seen(s) and s not in made)
    sources = [template for template in TEMPLATES if "{s}" in template]
    return {
        "new combinations": list(dict.fromkeys(combined))[-2000:],
        "new words": [
            drawn(rng, template, s=word)
            for word in sorted(unseen())
            for template in ("{s}", "a {s}", "the sound of a {s}", *rng.sample(sources, 12))
        ],
        "queries": [query for query, _ in queries()],
    }


def report(
    held_out: dict[str, list[str]], vectors: dict[str, NDArray[np.float16]], pupil: TextEncoder
) -> None:
    """Write how near the pupil comes to the teacher, and what it costs."""
    figures: dict[str, Any] = {"bytes": WEIGHTS.stat().st_size, "cosine": {}}
    for name, sentences in held_out.items():
        wanted = np.stack([vectors[sentence] for sentence in sentences]).astype(np.float32)
        cosine = (pupil(sentences) * wanted).sum(axis=1)
        figures["cosine"][name] = {
            "n": len(sentences),
            "mean": round(float(cosine.mean()), 4),
            "percentile_5": round(float(np.percentile(cosine, 5)), 4),
        }
    asked = [*dict.fromkeys(text for pair in queries() for text in pair)]
    by_pupil = dict(zip(asked, pupil(asked), strict=True))
    by_teacher = {text: vectors[text].astype(np.float32) for text in asked}
    figures["class_among_20"] = {
        "n_queries": len(queries()),
        "n_draws": 50,
        "pupil": retrieval(by_pupil),
        "teacher": retrieval(by_teacher),
    }
    figures["other_languages_class_among_20_by_teacher"] = {
        language: found_in_english(vectors, language) for language in ("German", "Spanish")
    }
    figures["start_up"] = {"pupil": start_up("encode"), "teacher": start_up("TeacherEncoder()")}
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def found_in_english(vectors: dict[str, NDArray[np.float16]], language: str) -> float:
    """Return the share of class names that are nearest to their own English name."""
    english, other = (
        np.stack([vectors[name] for name in TRANSLATED[which].split("; ")]).astype(np.float32)
        for which in ("English", language)
    )
    return float(np.mean((other @ english.T).argmax(axis=1) == np.arange(len(english))))


def start_up(maker: str) -> dict[str, float]:
    """Return what the first sentence costs in a new process, after torch, which all share."""
    # The peak is Linux's VmHWM: ru_maxrss goes on from the process that starts this one.
    code = f"""
import re, time
import torch
def peak_mib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
began, base = time.process_time(), peak_mib()
from unstir.neural.text import TeacherEncoder, encode
{maker}(["a dog barking"])
print(time.process_time() - began, peak_mib() - base, peak_mib())
"""
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        for _ in range(3)
    ]
    seconds, beside_torch, peak = np.median(
        [[float(x) for x in run.split()] for run in runs], axis=0
    )
    return {
        "import_and_first_sentence_cpu_s": round(float(seconds), 3),
        "memory_beside_torch_mib": round(float(beside_torch), 1),
        "peak_memory_mib": round(float(peak), 1),
    }


def retrieval(vectors: dict[str, NDArray[np.float32]]) -> float:
    """Return how often a query is nearest to its class among 19 drawn others."""
    rng = random.Random(1)
    names = sorted({name for _, name in queries()})
    hits = []
    for query, name in queries():
        others = [other for other in names if other != name]
        for _ in range(50):
            choices = [name, *rng.sample(others, 19)]
            scores = np.stack([vectors[choice] for choice in choices]) @ vectors[query]
            hits.append(int(np.argmax(scores)) == 0)
    return round(float(np.mean(hits)), 4)


if __name__ == "__main__":
    main()
