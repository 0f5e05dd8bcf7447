"""Classify four public sets with an encoder of ours and with a bag of words: the table in docs/RESULTS.md.

    python recipes/classify_data.py ../shared/data SETS
    python benchmarks/classification.py SETS OUT                     # trains what is not there yet, a few minutes of one core a task
    python benchmarks/classification.py SETS OUT --tasks spam --without-pretraining

The bag of words is a linear model of scikit-learn's over tf-idf (punctuation counts as words): logistic regression or a support vector machine,
words alone or pairs too, at every strength of regularisation, whichever is best on the validation set, as the encoder's number of steps is. Both
learn from the same labeled rows. Each cell: accuracy on the test set with its 95 % Wilson interval. "apart" pairs the two on the same texts:
how many only one of them told right, and the exact two-sided p of so uneven a count were they equally good (McNemar 1947).
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from chatwright.checkpoint import model_directory
from chatwright.data.encoded_labels import encode_labeled
from chatwright.data.labeled_texts import read_labeled
from chatwright.data.rows import LabeledText
from chatwright.evaluation.classification import label_scores
from chatwright.evaluation.interval import Share
from chatwright.model.encoder import Encoder
from chatwright.pipeline.recipe import PlannedStage, Recipe, packaged_recipe, read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.tokenizer.tokenizer import encoder_tokens_of
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches
from chatwright.training.stages.classification import text_log_probs
from chatwright.training.watcher import Watcher

ALSO_LABELED = {
    "reviews": "sentiment"
}  # rows of another task that a recipe learns from first: the bag of words may have them too
TASKS = ("sentiment", "topics", "spam", "reviews")
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path, help="what recipes/classify_data.py wrote")
    parser.add_argument("out", type=Path, help="where the runs go")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--without-pretraining",
        action="store_true",
        help="also train each encoder from scratch, with the same settings",
    )
    arguments = parser.parse_args()
    print(
        "| task | test texts | bag of words | the best on validation | encoder | its macro-F1 | apart: encoder, bag, p | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for task in arguments.tasks:
        recipe = read_recipe(packaged_recipe(f"classify-{task}"))
        print_row(
            task,
            arguments.sets,
            seeded(recipe, arguments.seed),
            arguments.out / f"{task}-{arguments.seed}",
        )
        if arguments.without_pretraining:
            print_row(
                task,
                arguments.sets,
                seeded(from_scratch(recipe), arguments.seed),
                arguments.out / f"{task}-{arguments.seed}-scratch",
            )


def seeded(recipe: Recipe, seed: int) -> Recipe:
    stages = [
        PlannedStage(
            s.name,
            s.kind,
            s.table | ({"loop": s.table["loop"] | {"seed": seed}} if "loop" in s.table else {}),
            s.parent,
        )
        for s in recipe.stages
    ]
    return Recipe(recipe.path, tuple(stages))


def from_scratch(recipe: Recipe) -> Recipe:
    """The same vocabulary, shape and settings of the last stage, without what any stage before it taught."""
    classify = [s.table["model"] for s in recipe.stages if s.kind.name == "classify"]
    shape = (
        next(s.table["model"] for s in recipe.stages if s.kind.name == "masked-lm")
        | classify[0]
        | classify[-1]
    )
    first, last = recipe.stages[0], recipe.stages[-1]
    return Recipe(
        recipe.path, (first, PlannedStage(last.name, last.kind, last.table | {"model": shape}, ""))
    )


def print_row(task: str, sets: Path, recipe: Recipe, out: Path) -> None:
    run_recipe(recipe, out, sets, Watcher(say=lambda sentence: None))
    train, validation, test = (
        read_labeled(sets / task / f"{part}.jsonl") for part in ("train", "validation", "test")
    )
    wanted = [row.label for row in test]
    more = {
        f", and the rows of {other}": [*train, *read_labeled(sets / other / "train.jsonl")]
        for other in [ALSO_LABELED.get(task)]
        if other is not None
    }
    bag, chosen = bag_of_words({"": train} | more, validation, test)
    told, macro_f1 = encoder(out / recipe.stages[-1].name, test)
    only_encoder = sum(a == w != b for a, b, w in zip(told, bag, wanted, strict=True))
    only_bag = sum(b == w != a for a, b, w in zip(told, bag, wanted, strict=True))
    name = (
        task if any(s.kind.name == "masked-lm" for s in recipe.stages) else f"{task}, from scratch"
    )
    print(
        f"| {name} | {len(test):,} | {share(bag, wanted)} | {chosen} | {share(told, wanted)} | {macro_f1} | "
        f"{only_encoder}, {only_bag}, {sign_test(only_encoder, only_bag):.2g} | {seconds(recipe, out)} |",
        flush=True,
    )


def bag_of_words(
    train: Mapping[str, Sequence[LabeledText]],
    validation: Sequence[LabeledText],
    test: Sequence[LabeledText],
) -> tuple[list[str], str]:
    """What the linear model that is best on the validation set tells of the test set, and which one that is, of which training rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    best: tuple[float, list[str], str] = (-1.0, [], "")
    for (longest, what), (whose, rows) in product(
        ((1, "words"), (2, "words and pairs")), train.items()
    ):
        words = TfidfVectorizer(
            ngram_range=(1, longest), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"
        )
        features = words.fit_transform([row.text for row in rows])
        others = [words.transform([row.text for row in part]) for part in (validation, test)]
        for name, kind in (
            ("regression", partial(LogisticRegression, max_iter=2000)),
            ("SVM", partial(LinearSVC, max_iter=5000)),
        ):
            for strength in STRENGTHS:
                model: Any = kind(C=strength).fit(features, [row.label for row in rows])
                accuracy = float(model.score(others[0], [row.label for row in validation]))
                if accuracy > best[0]:
                    best = (
                        accuracy,
                        list(model.predict(others[1])),
                        f"{name}, {what}{whose}, C = {strength:g}: {accuracy:.1%}",
                    )
    return best[1], best[2]


def encoder(directory: Path, test: Sequence[LabeledText]) -> tuple[list[str], str]:
    """(labels told, macro-F1 with its interval)"""
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    texts = encode_labeled(test, tokenizer, model.config.labels, model.config.context_length)
    told = text_log_probs(
        model,
        LabelBatches(
            texts, encoder_tokens_of(tokenizer), LabelBatchConfig(), 0, torch.device("cpu")
        ),
    ).argmax(1)
    scores = label_scores(told, torch.tensor(texts.labels), len(texts.names))
    return [texts.names[i] for i in told.tolist()], "{:.3f} ({:.3f}-{:.3f})".format(
        scores.macro_f1, *scores.macro_f1_interval
    )


def share(told: Sequence[str], wanted: Sequence[str]) -> str:
    right = Share(sum(a == b for a, b in zip(told, wanted, strict=True)), len(wanted))
    return "{:.1%} ({:.1%}-{:.1%})".format(right.value, *right.interval)


def sign_test(one: int, other: int) -> float:
    """Two-sided: how probable a split at least as uneven is when each text is as likely to fall to either."""
    n = one + other
    return (
        min(1.0, 2 * sum(math.comb(n, k) for k in range(min(one, other) + 1)) / 2**n) if n else 1.0
    )


def seconds(recipe: Recipe, out: Path) -> str:
    """Of training, by stage."""
    notes = {
        s.name: json.loads((out / s.name / "model" / "training.json").read_text())
        for s in recipe.stages
        if s.kind != "tokenizer"
    }
    return " + ".join(f"{note['seconds']:.0f}" for note in notes.values())


if __name__ == "__main__":
    main()
