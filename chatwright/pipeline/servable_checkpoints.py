"""Find checkpoints of an unfinished recipe that you can already chat with."""

from pathlib import Path

from chatwright.checkpoint import run_directory
from chatwright.pipeline.recipe import Recipe


def servable_checkpoint(recipe: Recipe, out: Path, path: Path) -> str:
    """Describe the checkpoint `path`; return "" if its stage does not train on conversations."""
    run = path.parent.parent
    for stage in recipe.stages:
        if run == out / stage.name and stage.learns_to_converse:
            step = run_directory.step_of(path)
            return f"step {step:,} of {stage.steps:,}, {stage.kind.label.lower()}"
    return ""


def newest_servable_checkpoint(recipe: Recipe, out: Path) -> Path | None:
    """Return the newest checkpoint to chat with, or None if the recipe is finished or has none."""
    if (out / recipe.stages[-1].name / run_directory.MODEL).exists():
        return None
    for stage in reversed(recipe.stages):
        newest = run_directory.newest_checkpoint(out / stage.name)
        if newest is not None and stage.learns_to_converse:
            return newest
    return None
