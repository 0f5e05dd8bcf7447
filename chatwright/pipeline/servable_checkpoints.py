"""Checkpoints of an unfinished recipe that can already be chatted with."""

from pathlib import Path

from chatwright.checkpoint import run_directory
from chatwright.pipeline.recipe import Recipe


def servable_checkpoint(recipe: Recipe, out: Path, path: Path) -> str:
    """Describe a checkpoint below `out`; return "" if its stage does not learn to converse."""
    run = path.parent.parent
    for stage in recipe.stages:
        if run == out / stage.name and stage.learns_to_converse:
            step = run_directory.step_of(path)
            return f"step {step:,} of {stage.steps:,}, {stage.kind.label.lower()}"
    return ""


def newest_servable_checkpoint(recipe: Recipe, out: Path) -> Path | None:
    """Return the newest checkpoint of an unfinished build that can converse."""
    if (out / recipe.stages[-1].name / run_directory.MODEL).exists():
        return None
    for stage in reversed(recipe.stages):
        newest = run_directory.newest_checkpoint(out / stage.name)
        if newest is not None and stage.learns_to_converse:
            return newest
    return None
