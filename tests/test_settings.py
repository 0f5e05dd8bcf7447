"""Descriptions of settings: dotted key, type in plain words, default, meaning."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from chatwright.settings import Setting, describe_type, dotted_keys, settings_of, table_of


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    learning_rate: float = 0.001
    """Peak learning rate."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """A class docstring is not the meaning of a field."""

    steps: int
    """Number of optimizer steps,
    over all passes."""
    kind: Literal["short", "long"] = "short"
    """Length of the run."""
    undocumented: bool = False
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """A method's docstring is not the meaning of a field either."""


@dataclass(frozen=True, kw_only=True)
class StageConfig(OptimizerConfig):
    data: str | tuple[str, ...] = ""
    """Files to read."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=7))
    teacher: OptimizerConfig | None = None
    """Learn from a teacher."""
    model: dict[str, Any] = field(
        default_factory=lambda: {"size": "tiny"},
        metadata=table_of(LoopConfig, size="Name of a preset."),
    )
    """Shape of the model."""


def test_all_keys_of_a_class_its_nested_classes_and_its_parents_are_listed() -> None:
    assert settings_of(StageConfig) == [
        Setting("data", "text or list of texts", '""', "Files to read."),
        Setting("loop.steps", "whole number", "7", "Number of optimizer steps, over all passes."),
        Setting("loop.kind", '"short" or "long"', '"short"', "Length of the run."),
        Setting("loop.undocumented", "true or false", "false", ""),
        Setting("loop.optimizer.learning_rate", "number", "0.001", "Peak learning rate."),
        Setting("teacher", "table", "not set", "Learn from a teacher."),
        Setting("teacher.learning_rate", "number", "0.001", "Peak learning rate."),
        Setting("model", "table", '{ size = "tiny" }', "Shape of the model."),
        Setting("model.size", "text", '"tiny"', "Name of a preset."),
        Setting(
            "model.steps", "whole number", "required", "Number of optimizer steps, over all passes."
        ),
        Setting("model.kind", '"short" or "long"', '"short"', "Length of the run."),
        Setting("model.undocumented", "true or false", "false", ""),
        Setting("model.optimizer.learning_rate", "number", "0.001", "Peak learning rate."),
        Setting("learning_rate", "number", "0.001", "Peak learning rate."),
    ]


def test_settings_of_and_dotted_keys_list_the_same_keys() -> None:
    sections = {"loop", "loop.optimizer", "model.optimizer"}
    listed = {setting.key for setting in settings_of(StageConfig)}
    assert set(dotted_keys(StageConfig)) == listed | sections


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "whole number"),
        (float | None, "number"),
        (Path, "path"),
        (tuple[int, int], "list of 2 whole numbers"),
        (tuple[str, ...], "list of texts"),
        (bool | tuple[Literal["qkv", "output"], ...], 'true or false or list of "qkv" or "output"'),
    ],
)
def test_types_are_described_in_plain_words(hint: Any, words: str) -> None:
    assert describe_type(hint) == words
