"""TOML files and key=value settings become dataclasses; errors name field, value and remedy."""

import importlib
import pkgutil
import subprocess
import sys
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import chatwright
from chatwright import config
from chatwright.config import (
    RENAMED_KEYS,
    build,
    merge,
    parse_overrides,
    read_toml,
    table_of,
    to_table,
    unquoted,
)
from chatwright.errors import InputError


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    learning_rate: float = 0.001


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    steps: int = 10
    monitor: str = "loss"
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(
                f"steps is {self.steps}, but a run needs at least one.",
                remedy="Set steps=100.",
                field="steps",
                value=self.steps,
            )
        if self.monitor == "mood":
            raise ValueError("monitor (mood) is not a metric")


@dataclass(frozen=True, kw_only=True)
class ShapeConfig:
    n_layer: int = 2
    d_model: int = 8


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    data: str | tuple[str, ...] = ""
    loop: LoopConfig = field(default_factory=LoopConfig)
    model: dict[str, Any] = field(
        default_factory=dict, metadata=table_of(ShapeConfig, size="Name of a preset.")
    )


def test_a_table_and_overrides_become_one_dataclass() -> None:
    table = merge(
        {"data": ["a", "b"], "loop": {"steps": 5, "monitor": "accuracy"}},
        parse_overrides(["loop.steps=7", "loop.optimizer.learning_rate=1e-2", "model.size=tiny"]),
    )
    built = build(StageConfig, table, "recipe.toml")
    assert built == StageConfig(
        data=("a", "b"),
        loop=LoopConfig(steps=7, monitor="accuracy", optimizer=OptimizerConfig(learning_rate=0.01)),
        model={"size": "tiny"},
    )
    assert to_table(built)["loop"]["optimizer"] == {"learning_rate": 0.01}


def test_an_override_whose_value_is_not_toml_is_read_as_a_string() -> None:
    parsed = parse_overrides(["a=tiny", "b=3", "c=[1, 2]", 'd="x=y"', "e=x=y"])
    assert parsed == {"a": "tiny", "b": 3, "c": [1, 2], "d": "x=y", "e": "x=y"}


@pytest.mark.parametrize("pairs", [["steps"], ["=3"], ["loop=3", "loop.steps=3"]])
def test_malformed_overrides_are_refused(pairs: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_overrides(pairs)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("table", "unknown", "suggestion"),
    [
        ({"loop": {"stepz": 1}}, "loop.stepz", "loop.steps"),
        ({"loop": {"learning_rate": 1}}, "loop.learning_rate", "loop.optimizer.learning_rate"),
        ({"size": "tiny"}, "size", "model.size"),
        ({"model": {"n_layers": 3}}, "model.n_layers", "model.n_layer"),
        ({"dat": "x"}, "dat", "data"),
        ({"loop": {"qqqq": 1}}, "loop.qqqq", "Known keys: loop.monitor"),
    ],
)
def test_an_unknown_key_at_any_depth_suggests_the_nearest_known_key(
    table: dict[str, Any], unknown: str, suggestion: str
) -> None:
    with pytest.raises(InputError) as caught:
        build(StageConfig, table, "recipe.toml: [sft]")
    assert caught.value.field == unknown
    assert suggestion in caught.value.remedy
    assert str(caught.value).startswith("recipe.toml: [sft]: ")


@pytest.mark.parametrize(
    ("table", "wrong", "value"),
    [
        ({"loop": {"steps": "many"}}, "loop.steps", "many"),
        ({"loop": {"steps": -3}}, "loop.steps", -3),
        ({"loop": {"monitor": "mood"}}, "loop", {"monitor": "mood"}),
        ({"data": 3}, "data", 3),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_field(
    table: dict[str, Any], wrong: str, value: object
) -> None:
    with pytest.raises(InputError) as caught:
        build(StageConfig, table, "recipe.toml")
    assert (caught.value.field, caught.value.value) == (wrong, value)


def test_an_old_key_still_loads_with_a_deprecation_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = {"LoopConfig": {"judged_by": "monitor"}, "ShapeConfig": {"width": "d_model"}}
    monkeypatch.setattr(config, "RENAMED_KEYS", renamed)
    table = {"loop": {"judged_by": "accuracy"}, "model": {"width": 16}}
    with pytest.warns(DeprecationWarning, match="old.toml"):
        built = build(StageConfig, table, "old.toml")
    assert (built.loop.monitor, built.model) == ("accuracy", {"d_model": 16})
    with pytest.raises(InputError) as caught:
        build(StageConfig, {"loop": {"judged_by": "accuracy", "monitor": "loss"}}, "old.toml")
    assert caught.value.field == "judged_by"


def config_classes() -> dict[str, type]:
    """Return every dataclass of the package by its name."""
    found: dict[str, type] = {}
    for module in pkgutil.walk_packages(chatwright.__path__, "chatwright."):
        if not module.name.endswith("__main__"):
            names = vars(importlib.import_module(module.name))
            found |= {name: cls for name, cls in names.items() if is_dataclass(cls)}
    return found


def test_in_renamed_keys_every_new_name_is_a_field_and_no_old_name_is() -> None:
    classes = config_classes()
    for name, renamed in RENAMED_KEYS.items():
        keys = {field.name for field in fields(classes[name])}
        assert set(renamed.values()) <= keys, name
        assert not renamed.keys() & keys, name


# Builds a config with an old key twice: from a recipe, and from a file that the program wrote.
NOTES_PROGRAM = """
from dataclasses import dataclass
from chatwright.cli.app import show_renamed_settings
from chatwright import config

@dataclass(frozen=True)
class LoopConfig:
    monitor: str = "loss"

show_renamed_settings()
for source in ("recipe.toml: [sft]", "model/config.json"):
    config.build(LoopConfig, {"judged_by": "accuracy"}, source)
"""


def test_the_command_line_reports_old_keys_in_recipes_but_not_in_model_directories() -> None:
    program = [sys.executable, "-c", NOTES_PROGRAM]
    ran = subprocess.run(program, capture_output=True, text=True, check=True)
    assert ran.stderr == "note: recipe.toml: [sft]: judged_by is now called monitor.\n"


@pytest.mark.parametrize("content", [None, b"[", b"a = \xff"])
def test_an_unreadable_toml_file_is_refused_with_its_path(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "r.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_toml(file)
    assert caught.value.field == str(file)


def test_quotes_around_a_path_are_removed() -> None:
    assert [unquoted(text) for text in ("'a b'", '"a"', "a'", "''")] == ["a b", "a", "a'", "''"]
