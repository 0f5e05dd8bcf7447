"""Plan the stages of an improvement."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.checkpoint import adapter_directory
from chatwright.errors import InputError
from chatwright.pipeline.improve.methods import SMALL, FeedbackCounts, Method
from chatwright.pipeline.improve.settings import ImproveConfig
from chatwright.pipeline.recipe import GIVEN_MODEL, Recipe, plan_recipe

TRAINING_FILE = "feedback.jsonl"
"""The feedback to learn from."""
JUDGING_FILE = "judging.jsonl"
"""The feedback of the judging share, from which the judge of the comparison learns."""
PRACTICE_FILE = "practice.jsonl"
"""The prompts of the feedback to learn from, which ppo and grpo answer while they learn."""
PROMPTS_FILE = "prompts.jsonl"
"""The prompts of the judging share, on which the comparison is made."""
JUDGE = "judge"
"""The stage that trains the reward model of the comparison."""
REWARD = "reward"
MIN_JUDGING_PAIRS = 50
"""Pairs that a reward model needs to judge a comparison."""
ADAPTER = {"rank": 8}


def make_recipe(
    config: ImproveConfig,
    method: Method,
    counts: FeedbackCounts,
    folder: Path,
    parent: Path,
    trains_judge: bool,
) -> Recipe:
    """Return the stages: the judge and the reward model where they are needed, and the method.

    Args:
        config: The settings.
        method: The chosen method.
        counts: What the feedback for training holds.
        folder: The folder of the improvement, which holds the data of the stages.
        parent: The model to start from.
        trains_judge: Whether the comparison needs a reward model of its own.
    """
    stages: dict[str, dict[str, Any]] = {}
    if trains_judge:
        stages[JUDGE] = {"kind": REWARD, "data": str(folder / JUDGING_FILE)}
    if method.uses_reward_model:
        stages[REWARD] = {"data": str(folder / TRAINING_FILE)}
        data = config.practice or str(folder / PRACTICE_FILE)
        own = {"data": data, "reward": {"model": str(folder / REWARD)}}
    else:
        own = {"data": str(folder / TRAINING_FILE)}
    stages[method.name] = {"kind": method.kind, **method.settings, **own}
    is_small = method.n_examples(counts) < SMALL
    trains_adapter = is_small if config.adapter == "auto" else config.adapter == "always"
    if trains_adapter and not adapter_directory.is_adapter(parent):
        stages[method.name]["lora"] = ADAPTER
    _require_known(config.stages, stages, method)
    table: dict[str, Any] = {"stages": list(stages)}
    for name, settings in stages.items():
        given = config.stages.get(name, {})
        table[name] = config_files.merge({"from": GIVEN_MODEL, **settings}, given)
    return plan_recipe(table, folder / "recipe")


def stage_settings(recipe: Recipe) -> Mapping[str, Any]:
    """Return the settings of the stages, which the registry keeps, without paths of data."""
    tables: dict[str, Any] = {}
    for stage in recipe.stages:
        own = {key: value for key, value in stage.table.items() if key not in ("data", "reward")}
        tables[stage.name] = own
    return tables


def _require_known(given: Mapping[str, Any], stages: Mapping[str, Any], method: Method) -> None:
    unknown = sorted(given.keys() - stages.keys())
    if unknown:
        raise InputError(
            f"{unknown[0]} is no stage of this improvement by {method.name}; its stages are "
            f"{', '.join(stages)}.",
            remedy=f"Write for example {method.name}.loop.steps=100.",
            field=unknown[0],
            value=given[unknown[0]],
        )
