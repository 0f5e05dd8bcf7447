"""Laws that hold for every kind of stage."""

import dataclasses
from typing import Any

import pytest

from chatwright import config as config_files
from chatwright.pipeline.stage_kinds import STAGE_KINDS, StageKind

TRAINED = [kind for kind in STAGE_KINDS if kind.trains]


def minimal_table(kind: StageKind) -> dict[str, Any]:
    """Return values for the settings that have no default."""
    fields = dataclasses.fields(kind.config_class())
    missing = dataclasses.MISSING
    return {
        field.name: {"rules": {"shorter": 1.0}} if field.name == "reward" else "data"
        for field in fields
        if field.default is missing and field.default_factory is missing
    } | {kind.data_key: "data"}


@pytest.mark.parametrize("kind", TRAINED, ids=lambda kind: kind.name)
def test_one_changed_setting_of_the_loop_leaves_the_other_defaults(kind: StageKind) -> None:
    """Defaults of a nested table belong to its class: a default instance would be lost here."""
    default = config_files.build(kind.config_class(), minimal_table(kind), "test").loop
    for changes, expected in (
        ({"steps": 7}, dataclasses.replace(default, steps=7)),
        (
            {"optimizer": {"beta1": 0.5}},
            dataclasses.replace(
                default, optimizer=dataclasses.replace(default.optimizer, beta1=0.5)
            ),
        ),
    ):
        table = minimal_table(kind) | {"loop": changes}
        assert config_files.build(kind.config_class(), table, "test").loop == expected
