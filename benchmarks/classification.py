"""Compare our encoder with a bag of words on four public classification tasks.

    python recipes/classify_data.py PUBLIC_SETS SETS
    python benchmarks/classification.py SETS OUT
    python benchmarks/classification.py SETS OUT --tasks spam --without-pretraining

Models that OUT does not have yet are trained first, a few minutes of one core for each task. The
script needs scikit-learn, which no extra of Chatwright installs.

The bag of words is a linear model of scikit-learn over tf-idf, where punctuation counts as words.
It is logistic regression or a support vector machine, on words or on words and pairs, at each of
several strengths of regularization. The validation set chooses among them, as it chooses the
encoder's number of steps. Both learn from the same labeled rows.

Each share is an accuracy on the test set with its 95 % Wilson interval. The last columns compare
both on the same texts: how many only one of them predicted right, and the exact two-sided p-value
of that split if both were equally good (McNemar 1947).
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from chatwright.checkpoint import model_directory
from chatwright.config import build
from chatwright.data.encoded.labels import encode_labeled
from chatwright.data.readers.labeled_texts import read_labeled
from chatwright.data.rows import LabeledText
from chatwright.evaluation.classification import label_scores
from chatwright.evaluation.interval import Share
from chatwright.model.encoder import Encoder
from chatwright.pipeline.packaged_recipes import packaged_recipe
from chatwright.pipeline.recipe import Recipe, read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.tokenizer.tokenizer import encoder_tokens_of
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches
from chatwright.training.stages.classification import text_log_probs
from chatwright.training.watcher import Watcher

TASKS = ("sentiment", "topics", "spam", "reviews")
# Tasks whose rows a recipe learns from first. The bag of words may use these rows, too.
FIRST_TASK = {"reviews": "sentiment"}
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
HEADER = (
    "| task | test texts | bag of words | the best on validation | encoder | its macro-F1 "
    "| only encoder right, only bag right, p | seconds of training |\n" + "|---" * 8 + "|"
)


@dataclass(frozen=True)
class BagOfWords:
    """The bag of words that is best on the validation set."""

    accuracy: float
    """On the validation set."""
    predictions: list[str]
    """On the test set."""
    description: str


def main() -> None:
    """Train what is missing and print one table row for each model."""
    arguments = parse_arguments()
    print(HEADER)
    for task in arguments.tasks:
        recipe = read_with_seed(packaged_recipe(f"classify-{task}"), arguments.seed)
        out = arguments.out / f"{task}-{arguments.seed}"
        print_row(task, task, arguments.sets, recipe, out)
        if arguments.without_pretraining:
            name = f"{task}, from scratch"
            scratch = out.with_name(f"{out.name}-scratch")
            print_row(name, task, arguments.sets, from_scratch(recipe), scratch)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path, help="folder that recipes/classify_data.py wrote")
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--without-pretraining",
        action="store_true",
        help="also train each encoder from scratch, with the same settings",
    )
    return parser.parse_args()


def read_with_seed(path: Path, seed: int) -> Recipe:
    """Read a recipe with another seed in every stage that trains."""
    trained = [stage.name for stage in read_recipe(path).stages if stage.kind.trains]
    return read_recipe(path, [f"{name}.loop.seed={seed}" for name in trained])


def from_scratch(recipe: Recipe) -> Recipe:
    """Return a recipe with the same vocabulary, shape and last stage, and nothing between them."""
    shape: dict[str, Any] = {}
    for stage in recipe.stages:
        shape |= stage.table.get("model", {})
    last = recipe.stages[-1]
    table = last.table | {"model": shape}
    config = build(last.kind.config_class(), table, f"{recipe.path}: [{last.name}]")
    fresh = replace(last, config=config, table=table, parent="")
    return Recipe(recipe.path, (recipe.stages[0], fresh))


def print_row(name: str, task: str, sets: Path, recipe: Recipe, out: Path) -> None:
    """Train the recipe, predict the test set with both models, and print their scores."""
    run_recipe(recipe, out, sets, Watcher(say=lambda line: None))
    test = read_labeled(sets / task / "test.jsonl")
    labels = [row.label for row in test]
    bag = best_bag_of_words(sets, task, test)
    predictions, macro_f1 = predict(out / recipe.stages[-1].name, test)
    triples = list(zip(predictions, bag.predictions, labels, strict=True))
    only_encoder = sum(a == label != b for a, b, label in triples)
    only_bag = sum(b == label != a for a, b, label in triples)
    p = sign_test(only_encoder, only_bag)
    cells = (
        name,
        f"{len(test):,}",
        accuracy(bag.predictions, labels),
        bag.description,
        accuracy(predictions, labels),
        macro_f1,
        f"{only_encoder}, {only_bag}, {p:.2g}",
        training_seconds(recipe, out),
    )
    print(f"| {' | '.join(cells)} |", flush=True)


def best_bag_of_words(sets: Path, task: str, test: Sequence[LabeledText]) -> BagOfWords:
    """Return the bag of words that is best on the validation set."""
    validation = read_labeled(sets / task / "validation.jsonl")
    train = read_labeled(sets / task / "train.jsonl")
    candidates = list(bags_of_words("", train, validation, test))
    if first_task := FIRST_TASK.get(task):
        more = [*train, *read_labeled(sets / first_task / "train.jsonl")]
        candidates += bags_of_words(f", and the rows of {first_task}", more, validation, test)
    return max(candidates, key=lambda bag: bag.accuracy)


def bags_of_words(
    suffix: str,
    train: Sequence[LabeledText],
    validation: Sequence[LabeledText],
    test: Sequence[LabeledText],
) -> Iterator[BagOfWords]:
    """Fit a bag of words of every kind and strength on the training rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    kinds = {
        "regression": partial(LogisticRegression, max_iter=2000),
        "SVM": partial(LinearSVC, max_iter=5000),
    }
    labels = [row.label for row in train]
    validation_labels = [row.label for row in validation]
    for longest, features_used in ((1, "words"), (2, "words and pairs")):
        vectorizer = TfidfVectorizer(
            ngram_range=(1, longest), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"
        )
        features = vectorizer.fit_transform([row.text for row in train])
        validation_features = vectorizer.transform([row.text for row in validation])
        test_features = vectorizer.transform([row.text for row in test])
        for kind, make in kinds.items():
            for strength in STRENGTHS:
                model: Any = make(C=strength).fit(features, labels)
                score = float(model.score(validation_features, validation_labels))
                description = f"{kind}, {features_used}{suffix}, C = {strength:g}: {score:.1%}"
                yield BagOfWords(score, list(model.predict(test_features)), description)


def predict(directory: Path, test: Sequence[LabeledText]) -> tuple[list[str], str]:
    """Return the encoder's predictions, and its macro-F1 with its interval as text."""
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    texts = encode_labeled(test, tokenizer, model.config.labels, model.config.context_length)
    tokens = encoder_tokens_of(tokenizer)
    batches = LabelBatches(texts, tokens, LabelBatchConfig(), 0, torch.device("cpu"))
    predicted = text_log_probs(model, batches).argmax(1)
    scores = label_scores(predicted, torch.tensor(texts.labels), len(texts.names))
    low, high = scores.macro_f1_interval
    names = [texts.names[index] for index in predicted.tolist()]
    return names, f"{scores.macro_f1:.3f} ({low:.3f}-{high:.3f})"


def accuracy(predictions: Sequence[str], labels: Sequence[str]) -> str:
    """Return the accuracy with its interval as text."""
    n_right = sum(a == b for a, b in zip(predictions, labels, strict=True))
    share = Share(n_right, len(labels))
    low, high = share.interval
    return f"{share.value:.1%} ({low:.1%}-{high:.1%})"


def sign_test(n_first: int, n_second: int) -> float:
    """Return the two-sided p-value of so uneven a split, if both sides are equally likely."""
    n = n_first + n_second
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(min(n_first, n_second) + 1)) / 2**n
    return min(1.0, 2 * tail)


def training_seconds(recipe: Recipe, out: Path) -> str:
    """Return the seconds of training of each stage: "6 + 40"."""
    notes = [
        json.loads((out / stage.name / "model" / "training.json").read_text())
        for stage in recipe.stages
        if stage.kind.trains
    ]
    return " + ".join(f"{note['seconds']:.0f}" for note in notes)


if __name__ == "__main__":
    main()
