"""The verbs of `chatwright train`, one per kind of stage that trains, and their settings."""

import json
from pathlib import Path

import pytest

from chatwright.config import settings_of
from chatwright.pipeline.stage_kinds import STAGE_KINDS, StageKind
from tests.cli.conftest import Command

TRAINED_KINDS = [kind for kind in STAGE_KINDS if kind.trains]


@pytest.mark.parametrize("kind", TRAINED_KINDS, ids=lambda kind: kind.name)
def test_help_settings_lists_every_setting_with_default_and_meaning(
    kind: StageKind, command: Command
) -> None:
    outcome = command("train", kind.name, "--help-settings")
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    for setting in settings_of(kind.config_class()):
        position = lines.index(f"{setting.key} = {setting.default}   ({setting.type})")
        assert lines[position + 1].strip() == setting.meaning


@pytest.mark.parametrize("kind", TRAINED_KINDS, ids=lambda kind: kind.name)
def test_the_required_options_are_those_without_which_the_stage_cannot_start(
    kind: StageKind, command: Command
) -> None:
    outcome = command("train", kind.name, "--help")
    help_of_option = {
        block.split()[0]: " ".join(block.split()) for block in outcome.out.split("\n  --")[1:]
    }
    required = {name for name, text in help_of_option.items() if "[required]" in text}
    assert required == {"data"} | ({"from"} if kind.needs_parent else set())
    assert ("target" in help_of_option) == bool(kind.target_help)
    assert ("vocab-size" in help_of_option) == (kind.vocabulary is not None)


def test_a_run_without_a_named_directory_is_in_runs(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "the cat number {} sat on the mat and the dog on the log."
    rows = [json.dumps({"text": text.format(i)}) + "\n" for i in range(30)]
    (tmp_path / "texts.jsonl").write_text("".join(rows))
    smallest = ["model.size=nano", "model.context_length=64", "validation_share=0.3"]
    options = ["--data", "texts.jsonl", "--vocab-size", "270", "--smoke"]
    outcome = command("train", "pretrain", *options, *smallest, "loop.steps=2", "sample_tokens=2")
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "runs/pretrain-smoke/model/model.safetensors").is_file()


def test_a_run_without_its_data_is_refused(command: Command) -> None:
    outcome = command("train", "pretrain", "--out", "run")
    assert outcome.status == 2
    assert "--data" in outcome.err


@pytest.mark.parametrize("kind", STAGE_KINDS, ids=lambda kind: kind.name)
def test_every_setting_of_every_stage_has_a_meaning(kind: StageKind) -> None:
    settings = settings_of(kind.config_class())
    assert [setting.key for setting in settings if not setting.meaning] == []
