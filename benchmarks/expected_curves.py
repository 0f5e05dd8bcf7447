"""Write the expected curves of a recipe from finished runs of it.

    chatwright run recipes/NAME.toml --out runs/seed-1
    python benchmarks/expected_curves.py recipes/NAME.toml runs/seed-1 runs/seed-2

writes recipes/NAME.expected.json: the mean of the runs for reward, length and KL divergence of the
validation replies of stages of reinforcement learning, and for the validation loss of all others.
A figure's band is twice the largest distance of a run from the mean, and at least a tenth of the
curve's range.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from chatwright.pipeline.expected_curves import curves_file
from chatwright.pipeline.recipe import read_recipe
from chatwright.training import metrics

REWARD = "validation_reward"
FIGURES = (REWARD, "validation_reply_tokens", "validation_kl")
SMALLEST_BAND = 0.05

Curve = dict[int, float]


def main() -> None:
    """Read the runs and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    recipe = read_recipe(arguments.recipe)
    stages = [stage.name for stage in recipe.stages if stage.kind.trains]
    table = expected_table({s: [run / s for run in arguments.runs] for s in stages})
    table = {"recipe": recipe.settings_hash()} | table
    path = curves_file(arguments.recipe)
    path.write_text(json.dumps(table, indent=1) + "\n")
    print(path)


def expected_table(runs: dict[str, list[Path]]) -> dict[str, Any]:
    """Return losses and other figures of the runs of each stage."""
    losses: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    distances = [0.0]
    for stage, directories in runs.items():
        curves = read_curves(directories, "validation_loss")
        if curves:
            mean = mean_curve(curves)
            losses[stage] = points(mean)
            distances += [abs(c[step] / mean[step] - 1) for c in curves for step in mean]
        for name in FIGURES:
            curves = read_curves(directories, name)
            if curves:
                figures.setdefault(stage, {})[name] = with_band(curves)
    band = round(max(SMALLEST_BAND, 2 * max(distances)), 3)
    return {"band": band, "curves": losses, "figures": figures}


def with_band(curves: list[Curve]) -> dict[str, Any]:
    """Return the mean curve and its band in the figure's unit."""
    mean = mean_curve(curves)
    largest = max(abs(curve[step] - mean[step]) for curve in curves for step in mean)
    smallest = 0.1 * (max(mean.values()) - min(mean.values()))
    return {"band": round(max(2 * largest, smallest), 4), "curve": points(mean)}


def read_curves(runs: list[Path], name: str) -> list[Curve]:
    """Return the figure by step of each run; empty if the runs did not measure it."""
    records = [metrics.read(run / "metrics.jsonl") for run in runs]
    curves = [{r["step"]: float(r[name]) for r in rows if name in r} for rows in records]
    return [] if not all(curves) else curves


def mean_curve(curves: list[Curve]) -> Curve:
    """Average curves over the steps that all have."""
    steps = set.intersection(*(set(curve) for curve in curves))
    return {s: sum(curve[s] for curve in curves) / len(curves) for s in sorted(steps)}


def points(curve: Curve) -> list[list[float]]:
    """Return the curve as [[step, value], ...]."""
    return [[step, round(value, 4)] for step, value in curve.items()]


if __name__ == "__main__":
    main()
