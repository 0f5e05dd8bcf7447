"""Build the starter with several seeds and examine every skill of each: the table in docs/RESULTS.md, and the curve that ships with the recipe.

python benchmarks/starter_skills.py OUT --seeds 1 2 3                    # builds what is not there yet, about 12 minutes a seed on two cores
python benchmarks/starter_skills.py OUT --seeds 1 2 3 --write-expected   # and writes recipes/starter.expected.json
python benchmarks/starter_skills.py OUT --seeds 1 --curve                # keeps every checkpoint and examines each: scores against minutes
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from chatwright import starter
from chatwright.checkpoint import model_directory
from chatwright.evaluation.starter import score
from chatwright.pipeline import expected
from chatwright.pipeline.evaluate import evaluate, reply_greedily
from chatwright.pipeline.recipe import (
    Recipe,
    packaged_recipe,
    read_recipe,
    run_recipe,
    settings_hash,
)
from chatwright.training.watcher import Watcher

AIMS = dict.fromkeys(("fact_closed", "command", "command_reply", "refusal", "sentiment"), 0.9)
AIMS |= dict.fromkeys(
    (
        "follow_up",
        "correction_right",
        "correction_wrong",
        "false_premise",
        "changing_fact",
        "fact_open",
        "passage_qa",
    ),
    0.8,
)
AIMS |= {"repeat": 0.6, "arithmetic": 0.6, "stop": 0.99}
SMALLEST_BAND = 0.05
CURVE_ITEMS = 100  # a skill, for each point of the curve


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", type=Path, default=packaged_recipe("starter"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--write-expected", action="store_true", help="write the mean loss curve beside the recipe"
    )
    parser.add_argument(
        "--curve",
        action="store_true",
        help="print every skill's score against the minutes of training, for the first seed",
    )
    arguments = parser.parse_args()
    plain = read_recipe(arguments.recipe)
    trained = [stage.name for stage in plain.stages if stage.kind in ("pretrain", "sft")]
    runs, figures = [], []
    for seed in arguments.seeds:
        changes = [f"{name}.loop.seed={seed}" for name in trained if seed != 1]
        if arguments.curve and seed == arguments.seeds[0]:
            changes += [f"{name}.loop.keep=100" for name in trained]
        recipe = read_recipe(arguments.recipe, changes)
        runs.append(arguments.out / f"seed-{seed}")
        last = run_recipe(recipe, runs[-1], None, Watcher(say=print))
        figures.append(examined(last))
    print_table(
        arguments.seeds, figures, [sum(seconds(run / name) for name in trained) for run in runs]
    )
    if arguments.curve:
        print_curve([runs[0] / name for name in trained])
    if arguments.write_expected:
        write_expected(plain, {name: [curve(run / name) for run in runs] for name in trained})


def examined(model: Path) -> dict[str, Any]:
    """The examination, kept beside the model it was made of."""
    kept = model / "starter_skills.json"
    if not kept.exists():
        kept.write_text(json.dumps(evaluate(model, "starter", None)))
    return dict(json.loads(kept.read_text()))


def print_table(
    seeds: list[int], figures: list[dict[str, Any]], trained_seconds: list[float]
) -> None:
    print("| skill | aim | lookup | " + " | ".join(f"seed {seed}" for seed in seeds) + " |")
    print("|---|---|---|" + "---|" * len(figures))
    for skill in figures[0]["skills"]:
        entries = [figure["skills"][skill] for figure in figures]
        cells = " | ".join(f"{e['score']:.3f} ({e['low']:.3f}-{e['high']:.3f})" for e in entries)
        print(f"| {skill} | {AIMS.get(skill, '')} | {entries[0]['lookup']:.2f} | {cells} |")
    print(
        "| bits per byte, unseen prose | | | "
        + " | ".join(f"{figure['bits_per_byte']:.3f}" for figure in figures)
        + " |"
    )
    print(
        "| replies that end by themselves | | | "
        + " | ".join(f"{figure['stopped']['score']:.4f}" for figure in figures)
        + " |"
    )
    print(
        "| seconds of training | 600 | | " + " | ".join(f"{s:.0f}" for s in trained_seconds) + " |"
    )


def print_curve(stages: list[Path]) -> None:
    """One row a checkpoint. Those of the first stage read conversations among the texts, so all of them can be examined."""
    rows, before, items = [], 0.0, starter.heldout_items(n_per_skill=CURVE_ITEMS)
    for stage in stages:
        at = {row["step"]: row["seconds"] for row in metrics(stage)}
        for place in sorted((stage / "checkpoints").glob("step-*")):
            step = int(place.name.rpartition("-")[2])
            model, tokenizer = model_directory.load(place)
            scores = score(partial(reply_greedily, model, tokenizer), items)["skills"]
            rows.append((f"{stage.name} {step}", before + at[step], scores))
        before += seconds(stage)
    skills = list(rows[0][2])
    print("| checkpoint | minutes | " + " | ".join(skills) + " |")
    print("|---|---|" + "---|" * len(skills))
    for name, second, scores in rows:
        print(
            f"| {name} | {second / 60:.1f} | "
            + " | ".join(f"{scores[skill]['score']:.2f}" for skill in skills)
            + " |"
        )


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def seconds(run: Path) -> float:
    return float(metrics(run)[-1]["seconds"])


def curve(run: Path) -> dict[int, float]:
    return {row["step"]: row["validation_loss"] for row in metrics(run) if "validation_loss" in row}


def write_expected(recipe: Recipe, curves: dict[str, list[dict[int, float]]]) -> None:
    """The mean of the seeds; the band is twice the widest distance any seed kept from it."""
    mean = {
        stage: {step: sum(c[step] for c in runs) / len(runs) for step in runs[0]}
        for stage, runs in curves.items()
    }
    widest = max(
        abs(c[step] / mean[stage][step] - 1)
        for stage, runs in curves.items()
        for c in runs
        for step in c
    )
    table = {
        "recipe": settings_hash(recipe),
        "band": round(max(SMALLEST_BAND, 2 * widest), 3),
        "curves": {
            stage: [[step, round(loss, 4)] for step, loss in points.items()]
            for stage, points in mean.items()
        },
    }
    expected.place(recipe.path).write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
