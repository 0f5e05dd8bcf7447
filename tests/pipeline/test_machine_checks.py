"""`chatwright doctor` checks a model's batch invariance."""

from pathlib import Path

import pytest
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.forward import Forward
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.machine_checks import (
    check_batch_invariance,
    check_log_probs,
    describe_formats,
)
from chatwright.tokenizer.byte_bpe import ByteBPE


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    tokenizer = ByteBPE.train(["the cat sat on the mat. " * 20], 300)
    model = GPT(preset("nano", vocab_size=tokenizer.vocab_size, context_length=64))
    init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "model", model, tokenizer)
    return tmp_path / "model"


@pytest.mark.parametrize("difference", ["", "a linear layer gives other bits"])
def test_the_check_fails_with_the_difference_that_the_engine_finds(
    directory: Path, difference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = "chatwright.engine.invariance_cache.find_difference"
    monkeypatch.setattr(finder, lambda *_: difference)
    check = check_batch_invariance(directory)
    assert check.is_met == (not difference)
    assert difference in check.value


def test_a_model_with_packed_kernels_is_batch_invariant(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_batch_invariance(directory).is_met
    monkeypatch.setattr("chatwright.engine.packed_model.pack_linears", lambda *_: False)
    assert not check_batch_invariance(directory).is_met


def test_every_format_of_weights_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("float32", "int8", "int4")
    assert all(describe_formats()[f"weights {name}"] for name in names)
    monkeypatch.setattr("chatwright.engine.formats.Int4.obstacle", lambda self: "no such kernel")
    assert "no such kernel" in describe_formats()["weights int4"]


def test_the_engine_has_the_log_probabilities_of_training(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_log_probs(directory).is_met
    head = Forward.head

    def shifted(self: Forward, hidden: Tensor) -> Tensor:
        return head(self, hidden).roll(1, dims=-1)

    monkeypatch.setattr(Forward, "head", shifted)
    assert not check_log_probs(directory).is_met
