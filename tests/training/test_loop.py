"""The loop: runs repeat bit-identically, micro-batches change nothing, failed checks stop runs."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import (
    LOOP,
    character_tokenizer,
    log_of,
    pretrain_stage,
    run,
    sft_stage,
    small_model,
    state_bytes,
)

from chatwright.checkpoint import model_directory
from chatwright.training import loop as training_loop
from chatwright.training.checks import RunFailed
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.stage import Batch, BatchConfig, Loss, MicroBatch, Stage
from chatwright.training.watcher import Watcher
from chatwright.training.weight_average import use_weights

StageMaker = Callable[..., Stage[Any, Any]]
BOTH_STAGES = pytest.mark.parametrize(
    "make_stage", [pretrain_stage, sft_stage], ids=["pretrain", "sft"]
)


def test_two_runs_are_bit_identical(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b")
    assert state_bytes(tmp_path / "a") == state_bytes(tmp_path / "b")


def test_other_seed_gives_another_model(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", stage=pretrain_stage(seed=2))
    assert state_bytes(tmp_path / "a")["model"] != state_bytes(tmp_path / "b")["model"]


def test_save_seconds_adds_checkpoints_and_does_not_change_the_result(tmp_path: Path) -> None:
    def saved_steps(out: str, save_seconds: float) -> list[int]:
        steps: list[int] = []
        watcher = Watcher(saved=lambda path: steps.append(int(path.name.removeprefix("step-"))))
        loop = replace(LOOP, save_seconds=save_seconds)
        training_loop.train(
            tmp_path / out, small_model(), pretrain_stage(), character_tokenizer(), loop, watcher
        )
        return steps

    every_step = saved_steps("always late", 1e-9)
    assert every_step == list(range(1, LOOP.steps + 1))
    assert saved_steps("no limit", 0.0) == [4, 8, 12]
    assert saved_steps("never late", 1e9) == [4, 8, 12]
    late = state_bytes(tmp_path / "always late")["model"]
    assert late == state_bytes(tmp_path / "no limit")["model"]


@pytest.mark.parametrize(
    ("make_stage", "rows"), [(pretrain_stage, 8), (sft_stage, 2)], ids=["pretrain", "sft"]
)
def test_number_of_micro_batches_does_not_change_the_weights(
    tmp_path: Path, make_stage: StageMaker, rows: int
) -> None:
    weights = []
    for accumulate in (1, rows):
        model = small_model(dropout=0.0)
        stage = make_stage(BatchConfig(rows=rows, context_length=48, accumulate=accumulate))
        run(tmp_path / str(accumulate), replace(LOOP, steps=4), stage, model)
        weights.append(dict(model.named_parameters()))
    for name, p in weights[0].items():
        torch.testing.assert_close(p, weights[1][name], atol=1e-5, rtol=1e-5)


def test_padding_does_not_change_the_gradient() -> None:
    stage = sft_stage()
    model = small_model(dropout=0.0)
    [micro] = stage.next_batch(model).micro_batches
    padded = first_row(micro, micro.token_ids.shape[1])
    n_token = int((padded.document_ids >= 0).sum())
    assert n_token < padded.token_ids.shape[1], "the row has no padding, so nothing is tested"
    unpadded = first_row(micro, n_token)
    gradients = []
    for row in (padded, unpadded):
        loss = stage.loss(model, row)
        gradients.append(torch.autograd.grad(loss.sum, list(model.parameters())))
        assert loss.count == int((unpadded.targets != IGNORED).sum())
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a.to_dense(), b.to_dense(), atol=1e-5, rtol=1e-5)


def first_row(micro: MicroBatch, length: int) -> MicroBatch:
    """Return the first `length` tokens of the first row."""
    return MicroBatch(
        micro.token_ids[:1, :length],
        micro.targets[:1, :length],
        micro.document_ids[:1, :length],
        micro.positions[:1, :length],
    )


@BOTH_STAGES
def test_stage_can_overfit_one_batch(tmp_path: Path, make_stage: StageMaker) -> None:
    stage = make_stage(BatchConfig(rows=2, context_length=48))
    model = small_model(dropout=0.0, d_model=64, d_ff=128)
    batch = stage.next_batch(model)
    stage.next_batch = lambda _: batch
    loop = replace(LOOP, steps=120, average_decay=0.0, evaluate_every=1000, save_every=1000)
    run(tmp_path / "out", loop, stage, model)
    losses = [record["loss"] for record in log_of(tmp_path / "out") if "loss" in record]
    assert losses[-1] < 0.1


def test_result_is_the_average_and_use_weights_restores_the_models_weights(tmp_path: Path) -> None:
    model = small_model()
    run(tmp_path / "out", model=model)
    states = state_bytes(tmp_path / "out")
    assert states["model"] != states["weights"]
    weights = {name: p.clone() for name, p in model.named_parameters()}
    with use_weights(model, {name: torch.zeros_like(p) for name, p in weights.items()}):
        assert all((p == 0).all() for p in model.parameters())
    assert all(torch.equal(p, weights[name]) for name, p in model.named_parameters())


def test_batch_without_supervised_tokens_fails_the_run(tmp_path: Path) -> None:
    stage = pretrain_stage()
    stage.next_batch = lambda _: Batch([], 0)
    with pytest.raises(RunFailed, match="chatwright data show --mask") as failed:
        run(tmp_path / "out", stage=stage)
    assert failed.value.check == "supervised"


def test_loss_that_is_not_finite_fails_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    model = small_model()
    stage = pretrain_stage()
    finite_loss = stage.loss
    training_steps = iter(range(100))

    def loss_with_nan(model: Any, micro: MicroBatch) -> Loss:
        loss = finite_loss(model, micro)
        if torch.is_grad_enabled() and next(training_steps) == 6:
            return dataclasses.replace(loss, sum=loss.sum * float("nan"))
        return loss

    stage.loss = loss_with_nan
    with pytest.raises(RunFailed, match="step 6") as failed:
        run(tmp_path / "out", stage=stage, model=model)
    assert failed.value.check == "finite"
    assert [p.name for p in (tmp_path / "out" / "checkpoints").iterdir()] == ["step-00000004"]
    assert all(p.isfinite().all() for p in model.parameters())


def test_untrained_model_with_a_wrong_first_loss_fails_the_run(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.embedding.weight.mul_(100)
    with pytest.raises(RunFailed) as failed:
        run(tmp_path / "out", model=model)
    assert failed.value.check == "fresh_loss"


def test_continued_model_must_start_at_its_parents_loss(tmp_path: Path) -> None:
    parent = run(tmp_path / "parent", replace(LOOP, steps=60, evaluate_every=100, save_every=100))
    same, _ = model_directory.load(parent)
    run(tmp_path / "same", model=same, stage=sft_stage(), parent=parent)
    changed, _ = model_directory.load(parent)
    with torch.no_grad():
        changed.blocks[0].feed_forward.down.weight.mul_(-3)
    with pytest.raises(RunFailed) as failed:
        run(tmp_path / "changed", model=changed, stage=sft_stage(), parent=parent)
    assert failed.value.check == "continued_loss"
