"""The settings that identify a run, and the rule for resuming it with changed ones.

A run resumes only with the settings and data it began with, because its result must be
bit-identical to that of an uninterrupted run. Two kinds of change are allowed:

- Settings of logging and saving (`loop_config.BOOKKEEPING`) do not change the result.
- `loop.steps` may change if the learning rates of the steps already done stay the same: with a
  constant schedule at any time, with "wsd" before its decay begins.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from chatwright.errors import InputError
from chatwright.training.loop_config import LoopConfig, without_bookkeeping

STEPS = "loop.steps"
LONGEST_VALUE = 60
"""Characters of a setting's value that a message shows."""


def identifying(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run without those of logging and saving."""
    return dict(settings) | {"loop": without_bookkeeping(settings["loop"])}


def require_resumable(
    saved: Mapping[str, Any], current: Mapping[str, Any], config: LoopConfig, step: int, run: str
) -> None:
    """Raise an error if the run began with other settings.

    Args:
        saved: Identifying settings in the checkpoint.
        current: Settings of this command.
        config: The loop settings of this command.
        step: Steps already done.
        run: The run's directory, for the message.

    Raises:
        InputError: Names every setting that differs, with both values.
    """
    before = dict(flatten(_as_json(saved)))
    after = dict(flatten(_as_json(identifying(current))))
    changed = sorted(
        key for key in before.keys() | after.keys() if before.get(key) != after.get(key)
    )
    if changed == [STEPS] and _same_schedule(config, int(before[STEPS]), step):
        return
    if not changed:
        return
    listed = "; ".join(
        f"{key} was {_short(before.get(key))}, is {_short(after.get(key))}" for key in changed
    )
    remedy = "Give the earlier values again, or another --out directory."
    if changed == [STEPS]:
        remedy = (
            "The learning rate of the steps already done depends on the number of steps. "
            "Give the earlier number, or another --out directory; "
            "loop.schedule=constant allows more steps at any time."
        )
    raise InputError(
        f"{run}: the run in this directory has other settings: {listed}.",
        remedy=remedy,
        field=changed[0],
        value=after.get(changed[0]),
    )


def _same_schedule(config: LoopConfig, steps_before: int, done: int) -> bool:
    """Whether the learning rates of the first `done` steps are equal for both numbers of steps."""

    def rates(steps: int) -> list[float]:
        return [config.rate_factor(step, steps) for step in range(done)]

    return done <= config.steps and rates(config.steps) == rates(steps_before)


def _as_json(settings: Mapping[str, Any]) -> Any:
    """Return the settings as JSON saves them: tuples as lists, paths as strings."""
    return json.loads(json.dumps(settings, default=str))


def flatten(table: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested tables: {"loop": {"steps": 100}} gives ("loop.steps", 100)."""
    if not isinstance(table, Mapping):
        yield prefix, table
        return
    for key, value in table.items():
        yield from flatten(value, f"{prefix}.{key}" if prefix else key)


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
