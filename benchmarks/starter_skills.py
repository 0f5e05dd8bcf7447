"""Build the starter with several seeds and score the exam of each.

    python benchmarks/starter_skills.py OUT --seeds 1 2 3

prints the table in docs/RESULTS.md: one row for each skill of the exam, the held-out questions, and
beside the scores that of the lookup baseline, which repeats replies of the training data. Models
that OUT already has are not built again; building one takes about 12 minutes on two cores.
`--write-expected` also writes recipes/starter.expected.json, the mean loss curve that later builds
are compared with. `--curve` keeps every checkpoint of the first seed and prints its scores against
the minutes of training.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from chatwright import starter
from chatwright.checkpoint import model_directory
from chatwright.evaluation.starter import score_exam
from chatwright.pipeline.evaluate import evaluate, reply_greedily
from chatwright.pipeline.expected_curves import curves_file
from chatwright.pipeline.packaged_recipes import packaged_recipe
from chatwright.pipeline.recipe import Recipe, read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training.watcher import Watcher

AIMS = {
    "fact_closed": 0.9,
    "fact_open": 0.8,
    "follow_up": 0.8,
    "correction_right": 0.8,
    "correction_wrong": 0.8,
    "false_premise": 0.8,
    "refusal": 0.9,
    "command": 0.9,
    "command_reply": 0.9,
    "changing_fact": 0.8,
    "sentiment": 0.9,
    "passage_qa": 0.8,
    "arithmetic": 0.6,
    "repeat": 0.6,
    "stop": 0.99,
}
"""Aimed scores of skills, which the modules of `chatwright/starter/conversations` describe.

`command`: call the right tool; `command_reply`: reply with its result; `changing_fact`: call the
tool again when an old result may be out of date; `stop`: end a list at the right place.
"""
SMALLEST_BAND = 0.05
N_CURVE_ITEMS_PER_SKILL = 100

Curve = dict[int, float]


def main() -> None:
    """Build what is missing, score it, and print the tables."""
    arguments = parse_arguments()
    recipe = read_recipe(arguments.recipe)
    stages = [stage.name for stage in recipe.stages if stage.kind.is_servable]
    runs = [arguments.out / f"seed-{seed}" for seed in arguments.seeds]
    scores = []
    for seed, run in zip(arguments.seeds, runs, strict=True):
        overrides = [f"{stage}.loop.seed={seed}" for stage in stages if seed != 1]
        if arguments.curve and seed == arguments.seeds[0]:
            overrides += [f"{stage}.loop.keep=100" for stage in stages]
        seed_recipe = read_recipe(arguments.recipe, overrides)
        model = run_recipe(seed_recipe, run, None, Watcher(say=print))
        scores.append(score_model(model))
    seconds = [sum(training_seconds(run / stage) for stage in stages) for run in runs]
    print_table(arguments.seeds, scores, seconds)
    if arguments.curve:
        print_curve([runs[0] / stage for stage in stages])
    if arguments.write_expected:
        curves = {stage: [loss_curve(run / stage) for run in runs] for stage in stages}
        write_expected(recipe, curves)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for one run per seed")
    parser.add_argument("--recipe", type=Path, default=packaged_recipe("starter"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--write-expected", action="store_true", help="write the mean loss curve beside the recipe"
    )
    parser.add_argument(
        "--curve",
        action="store_true",
        help="print the scores of every checkpoint of the first seed",
    )
    return parser.parse_args()


def score_model(model: Path) -> dict[str, Any]:
    """Score the exam, or read the scores that an earlier call stored in the model's folder."""
    path = model / "starter_skills.json"
    if not path.exists():
        path.write_text(json.dumps(evaluate(model, "starter", None)))
    return dict(json.loads(path.read_text()))


def print_table(seeds: list[int], scores: list[dict[str, Any]], seconds: list[float]) -> None:
    """Print one row per skill and one column per seed."""
    print_row("skill", "aim", "lookup", *(f"seed {seed}" for seed in seeds))
    print("|---|---|---|" + "---|" * len(scores))
    for skill in scores[0]["skills"]:
        entries = [score["skills"][skill] for score in scores]
        cells = [f"{e['score']:.3f} ({e['low']:.3f}-{e['high']:.3f})" for e in entries]
        print_row(skill, AIMS.get(skill, ""), f"{entries[0]['lookup']:.2f}", *cells)
    bits_per_byte = [f"{score['bits_per_byte']:.3f}" for score in scores]
    print_row("bits per byte of unseen documents", "", "", *bits_per_byte)
    stopped = [f"{score['stopped']['score']:.4f}" for score in scores]
    print_row("replies that end by themselves", "", "", *stopped)
    print_row("seconds of training", 600, "", *(f"{number:.0f}" for number in seconds))


def print_row(*cells: object) -> None:
    """Print one row of a Markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |")


def print_curve(stages: list[Path]) -> None:
    """Print the scores of every checkpoint.

    The pretraining data contains conversations too, so its checkpoints can also take the exam.
    """
    items = starter.exam_items(n_per_skill=N_CURVE_ITEMS_PER_SKILL)
    skills = list(dict.fromkeys(item.skill for item in items))
    print_row("checkpoint", "minutes", *skills)
    print("|---|---|" + "---|" * len(skills))
    earlier_seconds = 0.0
    for stage in stages:
        seconds_at_step = {row["step"]: row["seconds"] for row in read_metrics(stage)}
        for checkpoint in sorted((stage / "checkpoints").glob("step-*")):
            step = int(checkpoint.name.rpartition("-")[2])
            minutes = (earlier_seconds + seconds_at_step[step]) / 60
            model, tokenizer = model_directory.load(checkpoint)
            scores = score_exam(partial(reply_greedily, model, tokenizer), items)["skills"]
            cells = [f"{scores[skill]['score']:.2f}" for skill in skills]
            print_row(f"{stage.name} {step}", f"{minutes:.1f}", *cells)
        earlier_seconds += training_seconds(stage)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Read the logged rows of a training."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def training_seconds(run: Path) -> float:
    """Read how long a training took."""
    return float(read_metrics(run)[-1]["seconds"])


def loss_curve(run: Path) -> Curve:
    """Read the validation loss by step."""
    rows = read_metrics(run)
    return {row["step"]: row["validation_loss"] for row in rows if "validation_loss" in row}


def write_expected(recipe: Recipe, curves: dict[str, list[Curve]]) -> None:
    """Write the mean curve of the seeds and a band around it.

    The band is twice the largest relative distance of any seed from the mean, and at least
    SMALLEST_BAND.
    """
    means = {stage: mean_curve(stage_curves) for stage, stage_curves in curves.items()}
    distances = [
        abs(loss / means[stage][step] - 1)
        for stage, stage_curves in curves.items()
        for curve in stage_curves
        for step, loss in curve.items()
    ]
    table = {
        "recipe": recipe.settings_hash(),
        "band": round(max(SMALLEST_BAND, 2 * max(distances)), 3),
        "curves": {
            stage: [[step, round(loss, 4)] for step, loss in mean.items()]
            for stage, mean in means.items()
        },
    }
    curves_file(recipe.path).write_text(json.dumps(table, indent=1) + "\n")


def mean_curve(curves: list[Curve]) -> Curve:
    """Average several loss curves with the same steps."""
    return {step: sum(curve[step] for curve in curves) / len(curves) for step in curves[0]}


if __name__ == "__main__":
    main()
