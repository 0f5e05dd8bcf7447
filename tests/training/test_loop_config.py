"""Every setting of loop and optimizer has an effect; values out of range are errors."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import LOOP, pretrain_stage, run, state_bytes, with_optimizer

from chatwright import config as config_files
from chatwright.errors import InputError
from chatwright.pipeline.stages.pretrain import PretrainConfig
from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import OptimizerConfig

OTHER_VALUES = {
    "steps": 13,
    "precision": "bfloat16",
    "schedule": "cosine",
    "warmup": 6,
    "final_factor": 0.5,
    "decay_share": 0.9,
    "clip": 0.05,
    "average_decay": 0.5,
    "patience": 1,
    "log_every": 3,
    "evaluate_every": 3,
    "save_every": 3,
    "save_seconds": 1e-9,
    "keep": 3,
    "seed": 5,
    "optimizer.kind": "adamw",
    "optimizer.learning_rate": 1e-2,
    "optimizer.matrix_learning_rate": 5e-2,
    "optimizer.embedding_learning_rate": 1e-2,
    "optimizer.ngram_learning_rate": 1e-2,
    "optimizer.beta1": 0.5,
    "optimizer.beta2": 0.5,
    "optimizer.eps": 1e-2,
    "optimizer.sparse_kind": "adagrad",
    "optimizer.momentum": 0.5,
    "optimizer.weight_decay": 0.9,
}
NEEDS_ANOTHER_DEVICE = {"device"}  # tested in tests/other_device
NEEDS_PATIENCE = {"monitor", "higher_is_better"}  # tested in test_early_stopping.py

Result = tuple[dict[str, bytes], list[str]]
"""The files of a run, and the names of its checkpoints."""


def test_every_setting_is_tested() -> None:
    loop_settings = {field.name for field in dataclasses.fields(LoopConfig)} - {"optimizer"}
    optimizer_settings = {f"optimizer.{f.name}" for f in dataclasses.fields(OptimizerConfig)}
    tested = OTHER_VALUES.keys() | NEEDS_ANOTHER_DEVICE | NEEDS_PATIENCE
    assert loop_settings | optimizer_settings == tested


def result_of(out: Path) -> Result:
    states = state_bytes(out)
    states.pop("numbers")  # holds the settings, so it differs for every change
    return states, sorted(path.name for path in (out / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Result:
    out = tmp_path_factory.mktemp("unchanged") / "run"
    run(out)
    return result_of(out)


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_every_setting_has_an_effect(tmp_path: Path, name: str, unchanged: Result) -> None:
    value: Any = OTHER_VALUES[name]
    if name.startswith("optimizer."):
        loop = with_optimizer(LOOP, **{name.removeprefix("optimizer."): value})
    else:
        loop = replace(LOOP, **{name: value})
    dtype = torch.bfloat16 if name == "precision" else torch.float32
    run(tmp_path / "run", loop, pretrain_stage(dtype=dtype))
    assert result_of(tmp_path / "run") != unchanged


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("log_every", 0),
        ("evaluate_every", 0),
        ("save_every", 0),
        ("keep", 1),
        ("save_seconds", -1.0),
        ("patience", -1),
        ("average_decay", 1.0),
    ],
)
def test_loop_setting_out_of_range_is_an_error(name: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        LoopConfig(**{name: value})
    assert caught.value.field == f"loop.{name}"
    assert caught.value.value == value


@pytest.mark.parametrize("name", ["learning_rate", "matrix_learning_rate"])
def test_learning_rate_of_zero_is_an_error(name: str) -> None:
    with pytest.raises(InputError) as caught:
        OptimizerConfig(**{name: 0.0})
    assert caught.value.field == f"loop.optimizer.{name}"


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ({"loop": {"steps": 0}}, "loop.steps", 0),
        ({"loop": {"optimizer": {"learning_rate": 0.0}}}, "loop.optimizer.learning_rate", 0.0),
        ({"batches": {"rows": 0}}, "batches.rows", 0),
        ({"batches": {"short_rows": -1}}, "batches.short_rows", -1),
        ({"distillation": {"teacher": ""}}, "distillation.teacher", ""),
        ({"lora": {"rank": 0}}, "lora.rank", 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_error_in_a_recipe_does_not_repeat_the_table_in_the_field_name(
    table: dict[str, Any], name: str, value: object
) -> None:
    """Regression: the field of a wrong loop.steps was once "loop.loop.steps"."""
    with pytest.raises(InputError) as caught:
        config_files.build(PretrainConfig, {"data": "a"} | table, "recipe.toml")
    assert caught.value.field == name
    assert caught.value.value == value
