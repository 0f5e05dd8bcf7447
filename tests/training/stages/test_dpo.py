"""Preference losses against numbers worked by hand; a run learns what was preferred."""

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from small_run import LOOP, dpo_stage, log_of, run, small_model, with_optimizer

from chatwright.checkpoint import model_directory
from chatwright.training.checks import RunFailed
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.log_probs import reply_log_probs
from chatwright.training.stages.dpo import (
    PreferenceLoss,
    preference_loss,
    reward_metrics,
    start_loss,
)

KINDS = get_args(PreferenceLoss)
LEARNING = replace(
    with_optimizer(LOOP, kind="adamw", learning_rate=3e-3), steps=30, average_decay=0.0
)


def test_losses_equal_numbers_worked_by_hand() -> None:
    log_ratio = torch.tensor([0.0, 2.0, -4.0])
    # Rafailov et al. 2023, eq. 7, beta 0.5: ln(1 + exp(-0.5 h)) at h = 0, 2, -4.
    dpo = torch.tensor([0.6931472, 0.3132617, 2.1269280])
    torch.testing.assert_close(preference_loss(log_ratio, 0.5, "dpo"), dpo)
    # Azar et al. 2023, eq. 17, beta 0.5: (h - 1)^2.
    ipo = torch.tensor([1.0, 1.0, 25.0])
    torch.testing.assert_close(preference_loss(log_ratio, 0.5, "ipo"), ipo)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.05, 0.5])
def test_the_first_loss_is_that_of_equal_models(kind: PreferenceLoss, beta: float) -> None:
    model = small_model(context_length=64).eval()
    stage = dpo_stage(kind, beta)
    batch = stage.next_batch(model)
    loss = stage.check_start(model, batch, None)
    assert loss == pytest.approx(start_loss(beta, kind), rel=1e-4)
    assert loss == pytest.approx({"dpo": math.log(2), "ipo": 0.25 / beta**2}[kind], rel=1e-4)


def test_a_model_that_is_not_its_reference_is_refused_at_the_start() -> None:
    model = small_model(context_length=64).eval()
    stage = dpo_stage(beta=1.0)
    batch = stage.next_batch(model)
    with torch.no_grad():
        model.embedding.weight.mul_(3.0)
    with pytest.raises(RunFailed):
        stage.check_start(model, batch, None)


def test_sft_weight_adds_the_chosen_replies_loss_per_token() -> None:
    """Pang et al. 2024, eq. 1, written out pair by pair."""
    model = small_model(context_length=64, dropout=0.0).eval()
    stage = dpo_stage(beta=1.0)
    batch = stage.next_batch(model)
    [micro, *_] = batch.micro_batches
    alone = float(stage.loss(model, micro).sum.detach())
    n_pair = len(micro.pairs)
    log_probs = reply_log_probs(model, micro.texts)
    expected = 0.0
    for pair in range(n_pair):  # the first rows are the chosen replies
        n_token = int((micro.texts.targets[pair] != IGNORED).sum())
        expected -= float(log_probs[pair].detach()) / n_token
    stage.sft_weight = 0.5
    assert float(stage.loss(model, micro).sum.detach()) == pytest.approx(
        alone + 0.5 * expected, rel=1e-5
    )
    stage.check_start(model, batch, None)
    with torch.no_grad():
        model.embedding.weight.mul_(3.0)
    with pytest.raises(RunFailed):
        stage.check_start(model, batch, None)


def test_the_gradient_is_that_of_the_formula_written_out() -> None:
    """Autograd over the whole formula, without a stage, gives the same gradient."""
    model = small_model(context_length=64, dropout=0.0).eval()
    stage = dpo_stage(beta=0.3)
    [micro, *_] = stage.next_batch(model).micro_batches
    with torch.no_grad():
        model.embedding.weight.mul_(1.1)
    weights = [p for p in model.parameters() if p.requires_grad]
    actual = torch.autograd.grad(stage.loss(model, micro).sum, weights, allow_unused=True)

    n_pair = len(micro.pairs)
    log_probs = reply_log_probs(model, micro.texts)
    reference = stage.reference["train"][:, micro.pairs]
    total = torch.zeros(())
    for pair in range(n_pair):
        chosen = log_probs[pair] - reference[0, pair]
        rejected = log_probs[n_pair + pair] - reference[1, pair]
        total = total + torch.log1p(torch.exp(-0.3 * (chosen - rejected)))
    expected = torch.autograd.grad(total, weights, allow_unused=True)
    for a, b in zip(actual, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a.to_dense(), b.to_dense(), rtol=1e-4, atol=1e-6)


def test_a_pair_with_equal_rewards_counts_half() -> None:
    ratios = torch.tensor([[1.0, 0.0, 3.0, -1.0], [0.0, 0.0, 1.0, 1.0]])
    metrics = reward_metrics(ratios, 0.1)
    assert metrics["accuracy"] == 0.625
    assert metrics["chosen_reward"] == pytest.approx(0.075)
    assert metrics["rejected_reward"] == pytest.approx(0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_learns_to_prefer_the_shorter_replies(tmp_path: Path, kind: PreferenceLoss) -> None:
    """The chosen answer of each question is the shorter one; its probability must rise."""
    model = small_model(context_length=64)
    done = run(tmp_path / "run", LEARNING, dpo_stage(kind, beta=0.1, rows=4), model)
    records = [record for record in log_of(tmp_path / "run") if "validation_loss" in record]
    first = records[0]
    last = records[-1]
    assert first["accuracy"] == 0.5
    assert last["accuracy"] == 1.0
    assert last["validation_loss"] < 0.7 * first["validation_loss"]
    assert last["chosen_reward"] > last["rejected_reward"]
    assert model_directory.holds_model(done)
