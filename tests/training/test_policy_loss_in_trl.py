"""The losses equal those of TRL's GRPOTrainer on the same tensors. Skipped where TRL is missing."""

import warnings
from collections import defaultdict
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch

from chatwright.training.policy_loss import (
    PolicyLoss,
    clipped_objective,
    group_advantages,
    kl_estimate,
    loss_count,
    summed_loss,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    trl = pytest.importorskip("trl")
    GRPOTrainer = trl.GRPOTrainer

B, T, LONGEST = 6, 9, 12
CLIP, CLIP_HIGH = 0.2, 0.28


def trl_loss(kind: str, beta: float, tensors: dict[str, torch.Tensor]) -> float:
    """Call TRL's own loss with an object that has the attributes it reads."""
    accelerator = MagicMock(num_processes=1)
    accelerator.gather = accelerator.gather_for_metrics = lambda x: x
    accelerator.reduce = lambda x, reduction: x
    trainer: Any = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (
            tensors["log_probs"],
            torch.zeros(B, T),
            None,
        ),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=beta,
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        loss_type=kind,
        epsilon_low=CLIP,
        epsilon_high=CLIP_HIGH,
        use_vllm=False,
        model=SimpleNamespace(training=False),
        max_completion_length=LONGEST,
        accelerator=accelerator,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
    )
    inputs = {
        "prompt_ids": torch.zeros(B, 1, dtype=torch.long),
        "prompt_mask": torch.ones(B, 1),
        "completion_ids": torch.zeros(B, T, dtype=torch.long),
        "completion_mask": tensors["mask"].int(),
        "advantages": tensors["advantages"],
        "old_per_token_logps": tensors["old"],
        "ref_per_token_logps": tensors["reference"],
        "num_items_in_batch": tensors["mask"].sum(),
    }
    return float(GRPOTrainer._compute_loss(trainer, None, inputs))


def random_tensors() -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    lengths = torch.tensor([9, 1, 4, 7, 2, 9])
    log_probs = -torch.rand(3, B, T, generator=draws)
    return {
        "log_probs": log_probs[0],
        "old": log_probs[1],
        "reference": log_probs[2],
        "advantages": torch.randn(B, generator=draws),
        "mask": torch.arange(T) < lengths[:, None],
    }


@pytest.mark.parametrize("kind", ["grpo", "dapo", "dr_grpo"])
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_the_loss_equals_trls(kind: PolicyLoss, beta: float) -> None:
    tensors = random_tensors()
    log_ratio = tensors["log_probs"] - tensors["old"]
    objective = clipped_objective(log_ratio, tensors["advantages"][:, None], CLIP, CLIP_HIGH)
    penalty = beta * kl_estimate(tensors["log_probs"], tensors["reference"])
    total = summed_loss(objective - penalty, tensors["mask"], kind, LONGEST)
    loss = float(total) / loss_count(tensors["mask"], kind)
    assert loss == pytest.approx(trl_loss(kind, beta, tensors), rel=1e-5)


def test_advantages_equal_trls_formula() -> None:
    """(r - mean) / (std + 1e-4), with the sample standard deviation, as in GRPOTrainer."""
    rewards = torch.tensor([[0.0, 1.0, 1.0, 3.0], [2.0, 2.0, 5.0, 2.0]])
    expected = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    torch.testing.assert_close(group_advantages(rewards, "grpo"), expected)
