"""What the last line of a training says about the result: better or worse than before."""

from collections.abc import Iterable
from pathlib import Path

from chatwright.checkpoint import json_file, model_directory, run_directory
from chatwright.pipeline.recipe import Recipe
from chatwright.training.run_notes import read_outcome


def closing_note(runs: Iterable[Path]) -> str:
    """Return the warnings about finished runs, and what a run that continued a model achieved."""
    parts: list[str] = []
    for run in runs:
        outcome = read_outcome(run)
        if outcome is None:
            continue
        if outcome.warning:
            parts.append(outcome.warning)
        elif _has_parent(run):
            parts.append(f"{outcome.summary[0].upper()}{outcome.summary[1:]}.")
        if outcome.note:
            parts.append(outcome.note)
    return " ".join(parts)


def recipe_note(recipe: Recipe, out: Path) -> str:
    """Return the closing note of a recipe: of its last stage that trained, and every warning."""
    trained = [out / stage.name for stage in recipe.stages if stage.kind.trains]
    outcomes = [(run, read_outcome(run)) for run in trained]
    worth_saying = [run for run, outcome in outcomes[:-1] if outcome and outcome.warning]
    return closing_note([*worth_saying, *trained[-1:]])


def warnings_of(recipe: Recipe, out: Path) -> str:
    """Return the warnings about the results of a recipe's stages."""
    trained = [out / stage.name for stage in recipe.stages if stage.kind.trains]
    outcomes = filter(None, map(read_outcome, trained))
    return " ".join(outcome.warning for outcome in outcomes if outcome.warning)


def _has_parent(run: Path) -> bool:
    file = run / run_directory.MODEL / model_directory.TRAINING_FILE
    return json_file.read_object(file).get("parent") is not None
