"""Metrics of a stage reach the log, and tensors of its state reach the checkpoints."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import (
    LOOP,
    log_of,
    pretrain_stage,
    run,
    sft_stage,
    small_model,
    state_bytes,
    stopped_run,
)
from torch import Tensor

from chatwright.checkpoint import safetensors_file
from chatwright.devices import generator
from chatwright.model.gpt import GPT
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.stage import Batch, BatchConfig, Loss, MicroBatch, StageState
from chatwright.training.stages.wrapped_stage import WrappedStage

SHORT = replace(LOOP, steps=3)


class MeanTarget(WrappedStage[GPT, MicroBatch]):
    """Log the mean id of the supervised targets, which the test can compute for a whole step."""

    def __init__(self, accumulate: int) -> None:
        config = BatchConfig(rows=2, context_length=48, accumulate=accumulate)
        super().__init__(sft_stage(config))
        self.batches: list[Batch[MicroBatch]] = []

    def next_batch(self, model: GPT) -> Batch[MicroBatch]:
        self.batches.append(super().next_batch(model))
        return self.batches[-1]

    def loss(self, model: GPT, micro_batch: MicroBatch) -> Loss:
        loss = super().loss(model, micro_batch)
        mean_target = float(supervised(micro_batch).double().mean())
        return replace(loss, metrics={"mean_target": mean_target})


def supervised(micro: MicroBatch) -> Tensor:
    return micro.targets[micro.targets != IGNORED]


def test_metrics_are_averaged_over_micro_batches_by_their_counts(tmp_path: Path) -> None:
    stage = MeanTarget(accumulate=2)
    run(tmp_path / "out", SHORT, stage)
    steps = [record for record in log_of(tmp_path / "out") if "gradient_norm" in record]
    assert len(steps) == len(stage.batches) == 3
    has_unequal_counts = False
    for record, batch in zip(steps, stage.batches, strict=True):
        parts = [supervised(micro) for micro in batch.micro_batches]
        assert len(parts) == 2
        has_unequal_counts |= len(parts[0]) != len(parts[1])
        assert record["mean_target"] == pytest.approx(float(torch.cat(parts).double().mean()))
    assert has_unequal_counts, "with equal counts, a plain mean of means would pass this test"


def test_metrics_do_not_depend_on_the_number_of_micro_batches(tmp_path: Path) -> None:
    logged = []
    for accumulate in (1, 2):
        out = tmp_path / str(accumulate)
        run(out, SHORT, MeanTarget(accumulate))
        logged.append([r["mean_target"] for r in log_of(out) if "mean_target" in r])
    assert logged[0] == pytest.approx(logged[1])
    assert len(logged[0]) == 3


class Rollouts(WrappedStage[GPT, MicroBatch]):
    """Train on the model's own samples, drawn every `EVERY` steps and kept in between.

    It is a small form of reinforcement learning. The samples depend on the weights of an earlier
    step, so they cannot be drawn again when the run is resumed.
    """

    EVERY = 3

    def __init__(self, kill_at: int = -1) -> None:
        super().__init__(pretrain_stage())
        self.kill_at = kill_at
        self.n_step = 0
        self.rollouts = torch.empty(0, 0, dtype=torch.long)

    def next_batch(self, model: GPT) -> Batch[MicroBatch]:
        if self.n_step == self.kill_at:
            raise KeyboardInterrupt
        if self.n_step % self.EVERY == 0:
            draws = generator(1, f"rollouts of step {self.n_step}")
            self.rollouts = sample_rollouts(model, draws)
        self.n_step += 1
        micro = MicroBatch(self.rollouts[:, :-1], self.rollouts[:, 1:])
        return Batch([micro], micro.targets.numel())

    def state(self) -> StageState:
        return StageState({"n_step": self.n_step}, {"rollouts": self.rollouts})

    def load_state(self, state: StageState) -> None:
        self.n_step = state.numbers["n_step"]
        self.rollouts = state.tensors["rollouts"]


class ForgetfulRollouts(Rollouts):
    """Draw new samples when the run is resumed."""

    def load_state(self, state: StageState) -> None:
        super().load_state(state)
        self.must_sample = True

    def next_batch(self, model: GPT) -> Batch[MicroBatch]:
        if getattr(self, "must_sample", False):
            self.rollouts = sample_rollouts(model, generator(1, "rollouts of the resumed run"))
            self.must_sample = False
        return super().next_batch(model)


@torch.no_grad()
def sample_rollouts(model: GPT, draws: torch.Generator) -> Tensor:
    """Return 4 random continuations (4, 12) of token 1."""
    model.eval()
    token_ids = torch.ones(4, 1, dtype=torch.long)
    while token_ids.shape[1] < 12:
        probs = model(token_ids)[:, -1].float().softmax(dim=-1)
        token_ids = torch.cat([token_ids, torch.multinomial(probs, 1, generator=draws)], dim=1)
    model.train()
    return token_ids


@pytest.mark.parametrize("steps", [1, 4, 5, 6])
def test_stopped_run_with_tensor_state_equals_uninterrupted_run(tmp_path: Path, steps: int) -> None:
    run(tmp_path / "uninterrupted", stage=Rollouts())
    stopped_run(tmp_path / "resumed", steps, stage=Rollouts())
    run(tmp_path / "resumed", stage=Rollouts())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


@pytest.mark.parametrize("kill_at", [5, 7, 10])
def test_killed_run_with_tensor_state_equals_uninterrupted_run(
    tmp_path: Path, kill_at: int
) -> None:
    """The run resumes from step 4 or 8; the rollouts in use are those of step 3 or 6."""
    run(tmp_path / "uninterrupted", stage=Rollouts())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "resumed", stage=Rollouts(kill_at))
    run(tmp_path / "resumed", stage=Rollouts())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


def test_a_stopped_run_that_samples_again_when_resumed_differs(tmp_path: Path) -> None:
    """Control of the tests above: they would notice rollouts that are not saved."""
    run(tmp_path / "uninterrupted", stage=Rollouts())
    stopped_run(tmp_path / "resumed", 4, stage=ForgetfulRollouts())
    run(tmp_path / "resumed", stage=ForgetfulRollouts())
    assert (
        state_bytes(tmp_path / "resumed")["model"]
        != state_bytes(tmp_path / "uninterrupted")["model"]
    )


def test_checkpoint_holds_the_tensors_of_the_stage(tmp_path: Path) -> None:
    stage: Any = Rollouts()
    run(tmp_path / "out", SHORT, stage, small_model())
    checkpoint = tmp_path / "out" / "checkpoints" / "step-00000003"
    tensors = safetensors_file.load(checkpoint / "train_state.safetensors")
    assert torch.equal(tensors["stage_state/rollouts"], stage.rollouts)
