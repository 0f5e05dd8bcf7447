"""Forgetting is measured as bits per byte on old texts, logged, resumed, and limited."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_run import (
    LOOP,
    TEXTS,
    character_tokenizer,
    pretrain_stage,
    run,
    state_bytes,
    stopped_run,
)

from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from chatwright.evaluation.bits_per_byte import bits_per_byte
from chatwright.training.checks import RunFailed
from chatwright.training.stages import forgetting
from chatwright.training.stages.forgetting import ForgettingCheck

OLD_TEXTS = TEXTS[2:]


def stage_with_old_texts(old_texts: list[str] = OLD_TEXTS) -> ForgettingCheck:
    """Return a stage that trains on one text and measures forgetting on other texts."""
    inner = pretrain_stage(texts=TEXTS[:1] * 8)
    return ForgettingCheck(inner, old_texts, character_tokenizer(), torch.float32)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parent")
    return run(out, replace(LOOP, steps=40, average_decay=0.0), pretrain_stage(texts=TEXTS))


def figures_of(out: Path) -> dict[str, float]:
    return json.loads((out / "model" / "training.json").read_text())["figures"]


def test_figures_before_and_after_are_those_of_the_parent_and_the_finished_model(
    tmp_path: Path, parent: Path
) -> None:
    model, tokenizer = model_directory.load(parent)
    before = bits_per_byte(model, tokenizer, OLD_TEXTS, 48).bits_per_byte
    loop = replace(LOOP, average_decay=0.0)
    finished = run(tmp_path / "out", loop, stage_with_old_texts(), model, parent=parent)
    model, tokenizer = model_directory.load(finished)
    after = bits_per_byte(model, tokenizer, OLD_TEXTS, 48).bits_per_byte
    figures = figures_of(tmp_path / "out")
    assert figures["old_bits_per_byte_before"] == pytest.approx(before, rel=1e-6)
    assert figures["old_bits_per_byte"] == pytest.approx(after, rel=1e-6)
    assert figures["forgotten"] == pytest.approx(after / before - 1)
    assert figures["forgotten"] > 0, "training on one text must increase the loss of the others"


def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path) -> None:
    run(tmp_path / "uninterrupted", stage=stage_with_old_texts())
    stopped_run(tmp_path / "resumed", 6, stage=stage_with_old_texts())
    run(tmp_path / "resumed", stage=stage_with_old_texts())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


def test_run_above_the_limit_fails_and_keeps_its_model(tmp_path: Path, parent: Path) -> None:
    model, _ = model_directory.load(parent)
    run(tmp_path / "out", stage=stage_with_old_texts(), model=model, parent=parent)
    forgetting.check(tmp_path / "out", 0.0)  # no limit
    forgetting.check(tmp_path / "out", 50.0)
    with pytest.raises(RunFailed) as failed:
        forgetting.check(tmp_path / "out", 1e-6)
    assert failed.value.check == "forgetting"
    assert (tmp_path / "out" / "model" / "model.safetensors").exists()


def test_run_with_other_old_texts_is_not_resumed(tmp_path: Path) -> None:
    stopped_run(tmp_path / "out", 3, stage=stage_with_old_texts())
    with pytest.raises(InputError) as caught:
        run(tmp_path / "out", stage=stage_with_old_texts(TEXTS[1:]))
    assert caught.value.field.startswith("data.old_texts.")


def test_old_texts_are_cut_at_max_bytes_but_never_inside_a_character() -> None:
    tokenizer = character_tokenizer()

    def kept(texts: list[str]) -> list[str]:
        return ForgettingCheck(pretrain_stage(), texts, tokenizer, torch.float32, 10).old_texts

    assert kept(["four", "eight ch", "more"]) == ["four", "eight "]
    assert kept(["ééééééé"]) == ["ééééé"]
    assert kept(["1234567é"]) == ["1234567é"]
    assert kept(["123456789é"]) == ["123456789"]
