"""An adapter is trained by the one loop: resumed to the bit, its base untouched, its checkpoints small, and gone on from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_run import LOOP, model, run, sft_stage, state_bytes
from small_run import tokenizer as characters

from chatwright.checkpoint import adapter_directory, adapter_file, model_directory
from chatwright.devices import generator
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.lora import LoRAConfig
from chatwright.training.checks import mean_loss
from chatwright.training.watcher import Stopped


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("parent"), replace(LOOP, steps=30))


def adapted(parent: Path, **changes: object) -> GPT:
    model, _ = model_directory.load(parent)
    lora.attach(model, replace(LoRAConfig(rank=2, dropout=0.1), **changes), generator(1, "lora"))
    return model


def states(out: Path) -> dict[str, bytes]:
    """As of any run, with the adapter in the place of the model."""
    return state_bytes(out, adapter_file.WEIGHTS)


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, parent: Path) -> None:
    run(tmp_path / "whole", stage=sft_stage(), made=adapted(parent), parent=parent)
    for asked in (2, 5):
        calls = iter(range(1, 100))
        with pytest.raises(Stopped):
            run(
                tmp_path / "parts",
                stage=sft_stage(),
                made=adapted(parent),
                parent=parent,
                should_stop=lambda asked=asked, calls=calls: next(calls) >= asked,
            )
    run(tmp_path / "parts", stage=sft_stage(), made=adapted(parent), parent=parent)
    assert states(tmp_path / "parts") == states(tmp_path / "whole")


def test_the_base_stays_as_it_is_and_checkpoints_hold_the_adapter_alone(
    tmp_path: Path, parent: Path
) -> None:
    before = (parent / "model.safetensors").read_bytes()
    made = adapted(parent)
    run(tmp_path / "out", stage=sft_stage(), made=made, parent=parent)
    lora.remove(made)
    original, _ = model_directory.load(parent)
    assert all(
        torch.equal(p, q) for p, q in zip(made.parameters(), original.parameters(), strict=True)
    )
    assert (parent / "model.safetensors").read_bytes() == before
    newest = sorted((tmp_path / "out" / "checkpoints").iterdir())[-1]
    assert not (newest / "model.safetensors").exists()
    assert (newest / adapter_file.WEIGHTS).stat().st_size < len(before) / 4
    loaded, _ = model_directory.load(newest)  # a half-trained adapter can be talked to
    assert lora.lora_layers(loaded)
    notes = json.loads((tmp_path / "out" / "model" / "training.json").read_text())
    assert notes["trained_parameters"] < notes["parameters"] / 10


def test_an_adapter_is_gone_on_from(tmp_path: Path, parent: Path) -> None:
    first = run(tmp_path / "first", stage=sft_stage(), made=adapted(parent), parent=parent)
    model, _ = model_directory.load(first)
    assert not any(p.requires_grad for name, p in model.named_parameters() if "lora" not in name)
    second = run(tmp_path / "second", stage=sft_stage(seed=2), made=model, parent=first)
    assert adapter_directory.read(second).base.path == parent.resolve()
    assert characters().vocab_size == model_directory.load(second)[0].config.vocab_size


def test_an_adapter_learns_one_batch_almost_by_heart(tmp_path: Path) -> None:
    plain = run(
        tmp_path / "plain", replace(LOOP, steps=30), made=model(dropout=0.0, d_model=64, d_ff=128)
    )
    stage = sft_stage()
    batch = stage.next_batch(None)
    stage.next_batch = lambda _: batch
    made = adapted(plain, rank=16, dropout=0.0)
    before = mean_loss(made, stage, batch)
    loop = replace(LOOP, steps=150, average_decay=0.0, evaluate_every=1000, save_every=1000)
    run(tmp_path / "out", loop, stage, made, parent=plain)
    assert (
        mean_loss(made, stage, batch) < before / 3
    )  # not all of it: the base never saw the control tokens, and their embeddings are frozen
