"""The loss on rated replies against numbers worked by hand, against trl, and in short runs."""

import math
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from small_run import LOOP, kto_stage, log_of, run, small_model, with_optimizer

from chatwright.evaluation.interval import wilson
from chatwright.training import checks
from chatwright.training.checks import RunFailed
from chatwright.training.log_probs import reply_log_probs
from chatwright.training.stages.kto import (
    ClassWeights,
    balanced_weights,
    kto_loss,
    mean_rewards,
    ranking_figures,
    reference_point,
)

LEARNING = replace(
    with_optimizer(LOOP, kind="adamw", learning_rate=3e-3), steps=30, average_decay=0.0
)
RATIOS = torch.tensor([1.0, 3.0, -1.0, 5.0])
IS_GOOD = torch.tensor([True, True, False, False])


def test_losses_equal_numbers_worked_by_hand() -> None:
    """Ethayarajh et al. 2024, eq. 8, with beta 0.5, z0 1, lambda_D 1 and lambda_U 1.5."""
    losses = kto_loss(RATIOS, IS_GOOD, torch.tensor(1.0), 0.5, ClassWeights(1.0, 1.5))
    # good: 1 - sigmoid(0.5 (r - 1)) at r = 1, 3: 1 - 1/2, 1 - e/(1 + e).
    # bad: 1.5 (1 - sigmoid(0.5 (1 - r))) at r = -1, 5: 1.5 / (1 + e), 1.5 e^2 / (1 + e^2).
    e = math.e
    expected = [0.5, 1 / (1 + e), 1.5 / (1 + e), 1.5 * e**2 / (1 + e**2)]
    torch.testing.assert_close(losses, torch.tensor(expected))


def test_the_reference_point_is_the_mean_of_the_mismatched_replies_and_never_negative() -> None:
    assert float(reference_point(torch.tensor([0.5, -0.1, 0.5]))) == pytest.approx(0.3)
    assert float(reference_point(torch.tensor([0.5, -3.0]))) == 0.0


def table_model(replies: torch.Tensor, mismatched: torch.Tensor) -> Callable[..., Any]:
    """Return what TRL calls a model: it looks the log-probabilities of tokens up, (B, T) each.

    Token 1 is in the replies, token 2 in the replies to other prompts.
    """

    def model(input_ids: torch.Tensor, **_: Any) -> SimpleNamespace:
        log_probs = replies if int(input_ids[0, 0]) == 1 else mismatched
        zeros = torch.zeros_like(log_probs)
        return SimpleNamespace(log_probs=log_probs, entropy=zeros, mean_logits=zeros)

    return model


@pytest.mark.parametrize("shift", [0.0, -2.0], ids=["z0 above 0", "z0 cut at 0"])
def test_losses_equal_those_of_trl(shift: float) -> None:
    """TRL computes its own loss from the same log-probabilities: six replies of five tokens."""
    trainer = pytest.importorskip("trl", reason="trl is not installed").KTOTrainer
    draws = torch.Generator().manual_seed(1)
    tables = -torch.rand(4, 6, 5, generator=draws)
    tables[3] -= shift + 0.5  # the reference of the mismatched replies, which moves z0
    is_good = torch.tensor([True, True, True, True, False, False])
    accelerator = SimpleNamespace(gather_for_metrics=lambda x: x, device=torch.device("cpu"))
    fake: Any = SimpleNamespace(
        model=SimpleNamespace(training=False),
        ref_model=table_model(tables[1], tables[3]),
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        beta=0.5,
        desirable_weight=1.25,
        undesirable_weight=1.5,
        loss_type="kto",
        calculate_KL=True,
        precompute_ref_logps=False,
        aux_loss_enabled=False,
        accelerator=accelerator,
        _total_train_tokens=0,
        _tp_size=1,
        _metrics=defaultdict(lambda: defaultdict(list)),
    )
    fake._compute_kl_logps = partial(trainer._compute_kl_logps, fake)
    texts = {"attention_mask": torch.ones(6, 6), "completion_mask": torch.ones(6, 6)}
    inputs = {"label": is_good, "input_ids": torch.ones(6, 6, dtype=torch.long), **texts}
    inputs |= {f"KL_{name}": value for name, value in texts.items()}
    inputs["KL_input_ids"] = torch.full((6, 6), 2)
    module = sys.modules[trainer.__module__]
    with (
        patch.object(module, "disable_gradient_checkpointing", lambda *_: nullcontext()),
        patch.object(module, "is_peft_model", lambda _: False),
    ):
        theirs = trainer._compute_loss(fake, table_model(tables[0], tables[2]), inputs, False)
    log_ratio = (tables[0] - tables[1]).sum(1)
    z0 = reference_point((tables[2] - tables[3]).sum(1))
    assert (float(z0) == 0.0) == (shift < 0)
    actual = kto_loss(log_ratio, is_good, z0, 0.5, ClassWeights(1.25, 1.5))
    torch.testing.assert_close(actual.mean(), theirs)


@pytest.mark.parametrize(
    ("n_good", "n_bad", "good", "bad"),
    [(10, 10, 1, 1), (4, 3, 1, 1), (10, 40, 4, 1), (40, 10, 1, 3), (7, 0, 1, 1), (0, 7, 1, 1)],
)
def test_weights_keep_the_ratio_of_the_paper(
    n_good: int, n_bad: int, good: float, bad: float
) -> None:
    """1 <= n_D lambda_D / (n_U lambda_U) <= 4/3, worked by hand for each row."""
    weights = balanced_weights(n_good, n_bad)
    assert (weights.good, weights.bad) == (pytest.approx(good), pytest.approx(bad))
    if n_good and n_bad:
        assert 1 <= n_good * weights.good / (n_bad * weights.bad) <= 4 / 3 + 1e-9


def test_auc_is_the_share_of_good_and_bad_replies_in_order() -> None:
    """Every good reply against every bad one, slowly; equal gains count half."""
    ratios = torch.tensor([1.0, 3.0, -1.0, 5.0, 1.0, 0.0])
    is_good = torch.tensor([True, True, True, False, False, False])
    points = [
        1.0 if good > bad else 0.5 if good == bad else 0.0
        for good in (1.0, 3.0, -1.0)
        for bad in (5.0, 1.0, 0.0)
    ]
    figures = ranking_figures(ratios, is_good)
    assert figures["auc"] == pytest.approx(sum(points) / 9)
    interval = wilson(figures["auc"] * 3, 3)
    assert (figures["auc_low"], figures["auc_high"]) == interval
    assert ranking_figures(ratios, torch.tensor([True] * 6)) == {}


def test_mean_rewards_leave_out_a_class_without_replies() -> None:
    assert mean_rewards(RATIOS, IS_GOOD, 0.5) == {"good_reward": 1.0, "bad_reward": 1.0}
    assert mean_rewards(RATIOS, torch.tensor([True] * 4), 0.5) == {"good_reward": 1.0}


@pytest.mark.parametrize("weights", [ClassWeights(), ClassWeights(3.0, 1.0)])
def test_the_first_loss_is_half_the_mean_weight(weights: ClassWeights) -> None:
    model = small_model(context_length=64).eval()
    stage = kto_stage(rows=8, weights=weights)
    loss = stage.check_start(model, stage.next_batch(model), None)
    assert loss == pytest.approx((weights.good + weights.bad) / 4, rel=1e-4)


def test_a_model_that_is_not_its_reference_is_refused_at_the_start() -> None:
    model = small_model(context_length=64).eval()
    stage = kto_stage(beta=1.0)
    batch = stage.next_batch(model)
    with torch.no_grad():
        model.embedding.weight.mul_(3.0)
    with pytest.raises(RunFailed) as caught:
        stage.check_start(model, batch, None)
    assert caught.value.check == "fresh_loss"


@pytest.mark.parametrize("accumulate", [1, 2, 5])
def test_the_loss_and_its_gradient_are_those_of_the_formula_written_out(accumulate: int) -> None:
    """Autograd over the whole formula gives the same, however the step is divided."""
    model = small_model(context_length=64, dropout=0.0).eval()
    stage = kto_stage(beta=0.3, rows=8, weights=ClassWeights(1.0, 2.0), accumulate=accumulate)
    stage.next_batch(model)  # measures the reference
    with torch.no_grad():
        model.embedding.weight.mul_(1.1)
    batch = stage.next_batch(model)
    weights = [p for p in model.parameters() if p.requires_grad]
    loss = sum((stage.loss(model, micro).sum for micro in batch.micro_batches), torch.zeros(()))
    actual = torch.autograd.grad(loss, weights, allow_unused=True)

    total = torch.zeros(())
    shifts = []
    [whole] = kto_stage(rows=8, accumulate=1).batches.next_batch().micro_batches  # all 8 replies
    reference = stage.reference["train"]
    with torch.no_grad():
        moved = reply_log_probs(model, whole.mismatched) - reference[1, whole.indices]
        shifts = [float(x) for x in moved]
    z0 = max(0.0, sum(shifts) / len(shifts))
    log_probs = reply_log_probs(model, whole.texts)
    for row, index in enumerate(whole.indices.tolist()):
        ratio = log_probs[row] - reference[0, index]
        if whole.is_good[row]:
            total = total + 1 - 1 / (1 + torch.exp(-0.3 * (ratio - z0)))
        else:
            total = total + 2 * (1 - 1 / (1 + torch.exp(-0.3 * (z0 - ratio))))
    torch.testing.assert_close(loss, total, rtol=1e-5, atol=1e-6)
    expected = torch.autograd.grad(total, weights, allow_unused=True)
    for a, b in zip(actual, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a.to_dense(), b.to_dense(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rating", [True, False], ids=["good", "bad"])
def test_a_batch_of_one_class_has_a_finite_loss_and_figures(rating: bool) -> None:
    """Trl #1447: the mean of an empty class is not a number."""
    model = small_model(context_length=64).eval()
    stage = kto_stage(ratings=(rating,))
    batch = stage.next_batch(model)
    assert {bool(x) for micro in batch.micro_batches for x in micro.replies.is_good} == {rating}
    assert math.isfinite(checks.mean_loss(model, stage, batch))
    for micro in batch.micro_batches:
        assert all(math.isfinite(x) for x in stage.loss(model, micro).metrics.values())
    figures = stage.evaluate(model)
    assert all(math.isfinite(x) for x in figures.values())
    assert ("good_reward" in figures) == rating
    assert ("bad_reward" in figures) == (not rating)


def test_a_run_learns_which_replies_are_good(tmp_path: Path) -> None:
    model = small_model(context_length=64)
    run(tmp_path / "run", LEARNING, kto_stage(rows=8), model)
    records = [record for record in log_of(tmp_path / "run") if "validation_loss" in record]
    first = records[0]
    last = records[-1]
    assert first["auc"] == 0.5
    assert first["reference_point"] == 0.0
    assert last["auc"] == 1.0
    assert last["validation_loss"] < 0.8 * first["validation_loss"]
    assert last["good_reward"] > last["bad_reward"]
