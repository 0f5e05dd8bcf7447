"""Build the settings of an improvement from a table and KEY=VALUE overrides."""

from collections.abc import Iterable, Mapping
from typing import Any

from chatwright import config as config_files
from chatwright.commands import command_line
from chatwright.pipeline.improve.methods import METHODS
from chatwright.pipeline.improve.plan import JUDGE, REWARD
from chatwright.pipeline.improve.settings import ImproveConfig

STAGES = (JUDGE, REWARD, *(method.name for method in METHODS))
"""Names of tables that hold settings of a stage."""


def read_settings(table: Mapping[str, Any], overrides: Iterable[str] | None) -> ImproveConfig:
    """Return the settings; tables with the name of a stage are settings of that stage.

    Raises:
        InputError: A setting is unknown or wrong. Settings of stages are checked when the stages
            are planned.
    """
    merged = config_files.merge(table, config_files.parse_overrides(overrides or ()))
    stages = {name: merged.pop(name) for name in STAGES if isinstance(merged.get(name), dict)}
    merged["stages"] = config_files.merge(merged.get("stages", {}), stages)
    return config_files.build(ImproveConfig, merged, command_line("improve"))
