"""Chosen settings give way to the user's, and a resumed run takes the stored ones."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chatwright.checkpoint import run_directory
from chatwright.pipeline import chosen_settings
from chatwright.pipeline.chosen_settings import ChosenSettings, choices_of, replace_keys


@dataclass(frozen=True)
class Optimizer:
    kind: str = "muon"
    rate: float = 1.0


@dataclass(frozen=True)
class Loop:
    steps: int = 1000
    optimizer: Optimizer = field(default_factory=Optimizer)


@dataclass(frozen=True)
class Config:
    loop: Loop = field(default_factory=Loop)
    share: float = 0.5


WANTED = {"loop.steps": 3, "loop.optimizer.kind": "adamw", "share": 0.1}


def test_dotted_keys_replace_nested_values_and_keep_the_others() -> None:
    expected = Config(Loop(3, Optimizer("adamw", 1.0)), 0.1)
    assert replace_keys(Config(), WANTED) == expected


def test_a_setting_of_the_user_is_not_chosen() -> None:
    choices = ChosenSettings(given={"loop.steps"})
    chosen = choices.apply(Config(loop=Loop(steps=7)), WANTED)
    assert chosen == Config(Loop(7, Optimizer("adamw", 1.0)), 0.1)
    assert choices.chosen == {"loop.optimizer.kind": "adamw", "share": 0.1}


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_stored_choices_are_taken_only_by_a_run_that_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_checkpoint: bool
) -> None:
    checkpoint = tmp_path / "checkpoint" if has_checkpoint else None
    monkeypatch.setattr(run_directory, "newest_checkpoint", lambda _: checkpoint)
    chosen_settings.save(tmp_path, {"loop.steps": 5})
    choices = choices_of(tmp_path, ())
    assert choices.apply(Config(), WANTED).loop.steps == (5 if has_checkpoint else 3)
