"""GRPO: ratios start at exactly 1, gradients are those of the formula, and replies get shorter."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from small_reinforcement import (
    LOOP,
    REPLY_TOKENS,
    grpo_stage,
    small_policy,
)
from small_run import log_of, run, state_bytes, stopped_run

from chatwright.model.gpt import GPT
from chatwright.training.checks import RunFailed
from chatwright.training.log_probs import token_log_probs
from chatwright.training.policy_loss import PolicyLoss
from chatwright.training.reward_sources import RewardConfig
from chatwright.training.rollout_tables import reply_mask, texts_of
from chatwright.training.stage import Loss
from chatwright.training.stages.grpo import GRPO

KINDS = get_args(PolicyLoss)


def losses_of(stage: GRPO, model: GPT) -> tuple[list[Loss], int]:
    batch = stage.next_batch(model)
    return [stage.loss(model, micro) for micro in batch.micro_batches], batch.count


def changed(model: GPT, factor: float = 1.05) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epochs", [1, 2])
def test_the_ratio_before_the_first_update_is_exactly_1(kind: PolicyLoss, epochs: int) -> None:
    model = small_policy()
    losses, _ = losses_of(grpo_stage(model, loss=kind, epochs=epochs, rows=5), model)
    assert [loss.metrics["ratio_change"] for loss in losses] == [0.0] * len(losses)
    assert [loss.metrics["clip_share"] for loss in losses] == [0.0] * len(losses)


def test_ratios_that_start_from_the_engine_differ_by_its_rounding() -> None:
    model = small_policy()
    losses, _ = losses_of(grpo_stage(model, old_log_probs="engine"), model)
    assert 0 < losses[0].metrics["ratio_change"] < 1e-5
    assert losses[0].metrics["spread_max"] < 1e-4


def test_the_second_epoch_compares_with_the_first() -> None:
    model = small_policy(dropout=0.0)
    stage = grpo_stage(model, epochs=2)
    stage.next_batch(model)
    changed(model, 2.0)
    losses, _ = losses_of(stage, model)
    assert losses[0].metrics["ratio_change"] > 0.1
    assert losses[0].metrics["clip_share"] > 0


def test_engine_and_training_that_disagree_are_noticed_at_the_start() -> None:
    model = small_policy()
    stage = grpo_stage(model)
    batch = stage.next_batch(model)
    stage.check_start(model, batch, None)
    stage.metrics["spread_mean"] = 0.2
    with pytest.raises(RunFailed) as caught:
        stage.check_start(model, batch, None)
    assert caught.value.check == "spread"


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_gradient_is_that_of_the_policy_gradient_written_out(kind: PolicyLoss) -> None:
    """At ratio 1 the gradient is the advantage times that of log p (Williams 1992)."""
    model = small_policy(dropout=0.0)
    stage = grpo_stage(model, loss=kind)
    weights = [p for p in model.parameters() if p.requires_grad]
    losses, count = losses_of(stage, model)
    mean = torch.stack([loss.sum for loss in losses]).sum() / count
    actual = torch.autograd.grad(mean, weights, allow_unused=True)
    tables = stage.tables
    log_probs = token_log_probs(model.eval(), texts_of(tables))
    advantages = tables["advantages"][:, 0]
    lengths = reply_mask(tables).sum(1)
    divisor = {
        "grpo": lengths * len(lengths),
        "dapo": lengths.sum(),
        "dr_grpo": torch.tensor(REPLY_TOKENS * len(lengths)),
        "rloo": torch.tensor(len(lengths)),
    }[kind]
    surrogate = -(advantages * log_probs.sum(1) / divisor).sum()
    expected = torch.autograd.grad(surrogate, weights, allow_unused=True)
    for a, b in zip(actual, expected, strict=True):
        if a is not None and b is not None:
            torch.testing.assert_close(a.to_dense(), b.to_dense(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_micro_batches_does_not_change_the_loss(kind: PolicyLoss) -> None:
    totals = []
    for rows in (3, 32):
        model = small_policy(dropout=0.0)
        losses, count = losses_of(grpo_stage(model, loss=kind, beta=0.1, rows=rows), model)
        assert sum(loss.count for loss in losses) == count
        totals.append(sum(loss.sum.item() for loss in losses) / count)
    assert totals[0] == pytest.approx(totals[1], rel=1e-4, abs=1e-5)


def test_the_divergence_pulls_back_to_the_start() -> None:
    """At the start it is 0 with gradient 0; away from it, it adds beta x divergence."""
    losses = []
    for beta in (0.0, 0.5):
        model = small_policy(dropout=0.0)
        stage = grpo_stage(model, loss="grpo", beta=beta)
        changed(model)
        terms, count = losses_of(stage, model)
        losses.append(sum(loss.sum.item() for loss in terms) / count)
        assert terms[0].metrics["kl"] != 0.0
    assert losses[1] > losses[0]


def test_replies_without_an_advantage_are_left_out_of_the_forward_pass() -> None:
    model = small_policy(dropout=0.0)
    stage = grpo_stage(model)
    batch = stage.next_batch(model)
    whole = sum(stage.loss(model, micro).sum.item() for micro in batch.micro_batches)
    stage.tables["advantages"][:4] = 0.0
    stage.n_update = 0
    part = stage._micro_batches(stage._with_gradient(stage.rows_of(0)), batch.count, True)
    assert sum(len(micro.tables["targets"]) for micro in part) <= 12
    assert sum(micro.count for micro in part) == batch.count
    assert whole != 0.0


def test_a_run_without_different_rewards_fails() -> None:
    model = small_policy()
    stage = grpo_stage(model, reward=RewardConfig(rules={"format": 1.0}, format="never"),
                       no_signal_steps=3)  # fmt: skip
    stage.next_batch(model)
    stage.next_batch(model)
    assert stage.metrics["equal_groups"] == 1.0
    with pytest.raises(RunFailed) as caught:
        stage.next_batch(model)
    assert caught.value.check == "no_signal"


@pytest.mark.parametrize(
    "kind",
    ["grpo", *(pytest.param(kind, marks=pytest.mark.ci) for kind in KINDS if kind != "grpo")],
)
def test_the_reward_for_shorter_replies_makes_them_shorter(
    tmp_path: Path, kind: PolicyLoss
) -> None:
    """The positive control: with a known answer, the loop must find it."""
    model = small_policy()
    run(tmp_path, replace(LOOP, steps=20, evaluate_every=20), grpo_stage(model, loss=kind), model)
    lengths = [record["reply_tokens"] for record in log_of(tmp_path) if "reply_tokens" in record]
    assert sum(lengths[-3:]) < 0.7 * sum(lengths[:3])


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_run_stopped_at_any_step_and_resumed_equals_an_uninterrupted_one(
    tmp_path: Path, epochs: int
) -> None:
    """With two epochs, half of the stops are in the middle of a batch of rollouts."""

    def parts() -> dict[str, Any]:
        model = small_policy()
        return {"model": model, "stage": grpo_stage(model, epochs=epochs, beta=0.1)}

    loop = replace(LOOP, steps=7)
    run(tmp_path / "uninterrupted", loop, **parts())
    for steps in (1, 2, 1):
        stopped_run(tmp_path / "resumed", steps, loop, **parts())
    run(tmp_path / "resumed", loop, **parts())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")
