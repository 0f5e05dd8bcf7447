"""What is forgotten is bits per byte on the old texts, before and after: in the log, in the notes, resumed, and failing where asked."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_run import LOOP, TEXTS, model, pretrain_stage, run, state_bytes
from small_run import tokenizer as characters

from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from chatwright.evaluation.bits_per_byte import bits_per_byte
from chatwright.training.checks import RunFailed
from chatwright.training.stages import forgetting
from chatwright.training.stages.forgetting import ForgettingCheck
from chatwright.training.watcher import Stopped


def checked(old_texts: list[str] = TEXTS[2:]) -> ForgettingCheck:
    return ForgettingCheck(
        pretrain_stage(texts=TEXTS[:1] * 8), old_texts, characters(), torch.float32
    )


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(
        tmp_path_factory.mktemp("parent"),
        replace(LOOP, steps=40, average_decay=0.0),
        pretrain_stage(texts=TEXTS),
    )


def figures(out: Path) -> dict[str, float]:
    return json.loads((out / "model" / "training.json").read_text())["figures"]


def test_the_figures_are_the_parents_and_the_finished_models(tmp_path: Path, parent: Path) -> None:
    made, _ = model_directory.load(parent)
    finished = run(
        tmp_path / "out", replace(LOOP, average_decay=0.0), checked(), made, parent=parent
    )
    for directory, name in ((parent, "old_bits_per_byte_before"), (finished, "old_bits_per_byte")):
        loaded, tokenizer = model_directory.load(directory)
        expected = bits_per_byte(loaded, tokenizer, TEXTS[2:], 48).bits_per_byte
        assert figures(tmp_path / "out")[name] == pytest.approx(expected, rel=1e-6)
    found = figures(tmp_path / "out")
    assert found["forgotten"] == pytest.approx(
        found["old_bits_per_byte"] / found["old_bits_per_byte_before"] - 1
    )
    assert found["forgotten"] > 0, (
        "one text eight times over must push out the others, or the test proves nothing"
    )


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    run(tmp_path / "whole", stage=checked())
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        run(tmp_path / "parts", stage=checked(), should_stop=lambda: next(calls) >= 6)
    run(tmp_path / "parts", stage=checked())
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")


def test_a_limit_makes_the_run_fail_and_keeps_the_model(tmp_path: Path, parent: Path) -> None:
    made, _ = model_directory.load(parent)
    run(tmp_path / "out", stage=checked(), made=made, parent=parent)
    forgetting.check(tmp_path / "out", 0.0)  # only said
    forgetting.check(tmp_path / "out", 50.0)
    with pytest.raises(RunFailed, match="forgetting_limit"):
        forgetting.check(tmp_path / "out", 1e-6)
    assert (tmp_path / "out" / "model" / "model.safetensors").exists()


def test_other_old_texts_are_another_run(tmp_path: Path) -> None:
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        run(tmp_path / "out", stage=checked(), should_stop=lambda: next(calls) >= 3)
    with pytest.raises(InputError, match="data"):
        run(tmp_path / "out", stage=checked(TEXTS[1:]))


def test_long_old_texts_are_cut_to_what_can_be_measured_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forgetting, "MAX_BYTES", 10)
    assert list(forgetting._first_bytes(["four", "eight ch", "more"])) == ["four", "eight "]
    assert list(forgetting._first_bytes(["ééééééé"])) == ["ééééé"]
    assert model().config.vocab_size == characters().vocab_size
