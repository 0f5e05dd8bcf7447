"""Adapter training: exact resume, checkpoints without the base, an unchanged base."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import (
    LOOP,
    character_tokenizer,
    run,
    sft_stage,
    small_model,
    state_bytes,
    stopped_run,
)

from chatwright.checkpoint import adapter_directory, adapter_file, model_directory
from chatwright.devices import generator
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.lora import LoRAConfig
from chatwright.training.checks import mean_loss


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("parent"), replace(LOOP, steps=30))


def with_adapter(parent: Path, **changes: Any) -> GPT:
    """Return the model in directory `parent` with a fresh adapter."""
    model, _ = model_directory.load(parent)
    lora.attach(model, replace(LoRAConfig(rank=2, dropout=0.1), **changes), generator(1, "lora"))
    return model


def adapter_bytes(out: Path) -> dict[str, bytes]:
    """Return the files of a run; its weights are those of the adapter."""
    return state_bytes(out, adapter_file.WEIGHTS)


def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path, parent: Path) -> None:
    run(tmp_path / "uninterrupted", stage=sft_stage(), model=with_adapter(parent), parent=parent)
    for steps in (2, 5):
        parts = {"stage": sft_stage(), "model": with_adapter(parent), "parent": parent}
        stopped_run(tmp_path / "resumed", steps, **parts)
    run(tmp_path / "resumed", stage=sft_stage(), model=with_adapter(parent), parent=parent)
    assert adapter_bytes(tmp_path / "resumed") == adapter_bytes(tmp_path / "uninterrupted")


def test_base_is_unchanged_and_checkpoints_hold_only_the_adapter(
    tmp_path: Path, parent: Path
) -> None:
    base_weights = (parent / "model.safetensors").read_bytes()
    model = with_adapter(parent)
    run(tmp_path / "out", stage=sft_stage(), model=model, parent=parent)
    lora.remove(model)
    base, _ = model_directory.load(parent)
    for p, original in zip(model.parameters(), base.parameters(), strict=True):
        assert torch.equal(p, original)
    assert (parent / "model.safetensors").read_bytes() == base_weights
    newest = sorted((tmp_path / "out" / "checkpoints").iterdir())[-1]
    assert not (newest / "model.safetensors").exists()
    assert (newest / adapter_file.WEIGHTS).stat().st_size < len(base_weights) / 4
    notes = json.loads((tmp_path / "out" / "model" / "training.json").read_text())
    assert notes["trained_parameters"] < notes["parameters"] / 10


def test_checkpoint_of_an_adapter_opens_as_a_model(tmp_path: Path, parent: Path) -> None:
    run(tmp_path / "out", stage=sft_stage(), model=with_adapter(parent), parent=parent)
    newest = sorted((tmp_path / "out" / "checkpoints").iterdir())[-1]
    loaded, _ = model_directory.load(newest)
    assert lora.lora_layers(loaded)


def test_finished_adapter_can_be_trained_further(tmp_path: Path, parent: Path) -> None:
    first = run(tmp_path / "first", stage=sft_stage(), model=with_adapter(parent), parent=parent)
    model, _ = model_directory.load(first)
    assert not any(p.requires_grad for name, p in model.named_parameters() if "lora" not in name)
    second = run(tmp_path / "second", stage=sft_stage(seed=2), model=model, parent=first)
    assert adapter_directory.read(second).base.path == parent.resolve()
    loaded, _ = model_directory.load(second)
    assert loaded.config.vocab_size == character_tokenizer().vocab_size


def test_adapter_reduces_the_loss_of_one_batch_to_a_third(tmp_path: Path) -> None:
    """It cannot reach 0: the base never saw the control tokens, and their embeddings are frozen."""
    base = small_model(dropout=0.0, d_model=64, d_ff=128)
    parent = run(tmp_path / "parent", replace(LOOP, steps=30), model=base)
    stage = sft_stage()
    model = with_adapter(parent, rank=16, dropout=0.0)
    batch = stage.next_batch(model)
    stage.next_batch = lambda _: batch
    first_loss = mean_loss(model, stage, batch)
    loop = replace(LOOP, steps=150, average_decay=0.0, evaluate_every=1000, save_every=1000)
    run(tmp_path / "out", loop, stage, model, parent=parent)
    assert mean_loss(model, stage, batch) < first_loss / 3
