"""Advantages and losses against numbers worked by hand from the papers' equations."""

import math

import pytest
import torch

from chatwright.training.policy_loss import (
    EPSILON,
    PolicyLoss,
    clipped_objective,
    group_advantages,
    have_spread,
    is_clipped,
    kl_estimate,
    loss_count,
    summed_loss,
)

# Two groups of three replies: the first has the mean 1 and the sample standard deviation 1.
REWARDS = torch.tensor([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
# Two replies, of three tokens and of one token.
MASK = torch.tensor([[True, True, True, False], [False, True, False, False]])
OBJECTIVE = torch.tensor([[1.0, 2.0, 6.0, 100.0], [100.0, 5.0, 100.0, 100.0]])


def test_advantages_of_grpo_are_rewards_in_standard_deviations_from_the_mean() -> None:
    """Shao et al. 2024, section 4.1.2: (r - mean) / std."""
    expected = torch.tensor([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]) / (1 + EPSILON)
    for kind in ("grpo", "dapo"):
        torch.testing.assert_close(group_advantages(REWARDS, kind), expected)


def test_advantages_of_dr_grpo_are_not_divided() -> None:
    expected = torch.tensor([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    assert group_advantages(REWARDS, "dr_grpo").tolist() == expected.tolist()


def test_the_baseline_of_rloo_is_the_mean_of_the_others() -> None:
    """Ahmadian et al. 2024: 0 - (1 + 2) / 2, 1 - (0 + 2) / 2, 2 - (0 + 1) / 2."""
    expected = [[-1.5, 0.0, 1.5], [0.0, 0.0, 0.0]]
    assert group_advantages(REWARDS, "rloo").tolist() == expected


def test_groups_of_equal_rewards_have_no_spread() -> None:
    assert have_spread(REWARDS).tolist() == [True, False]


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "clipped"),
    [
        (1.0, 2.0, 2.0, False),
        (1.5, 2.0, 2.56, True),  # limited to 1.28
        (1.25, 2.0, 2.5, False),
        (0.5, 2.0, 1.0, False),  # worse than before: not limited
        (0.5, -2.0, -1.6, True),  # limited to 0.8
        (1.5, -2.0, -3.0, False),  # worse than before: not limited
    ],
)
def test_the_objective_is_clipped_only_where_it_improved(
    ratio: float, advantage: float, objective: float, clipped: bool
) -> None:
    """Schulman et al. 2017, eq. 7, with limits 0.8 and 1.28."""
    log_ratio = torch.tensor([math.log(ratio)], dtype=torch.float64)
    advantages = torch.tensor([advantage], dtype=torch.float64)
    assert clipped_objective(log_ratio, advantages, 0.2, 0.28).item() == pytest.approx(objective)
    assert is_clipped(log_ratio, advantages, 0.2, 0.28).tolist() == [clipped]


def test_the_divergence_of_a_token_is_never_negative() -> None:
    """Shao et al. 2024, eq. 4 at p0 / p = 2, 1, 1/2: 2 - ln 2 - 1, 0, 1/2 + ln 2 - 1."""
    reference = torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64).log()
    actual = kl_estimate(torch.zeros(3, dtype=torch.float64), reference)
    expected = [1 - math.log(2), 0.0, math.log(2) - 0.5]
    assert actual.tolist() == pytest.approx(expected)
    assert bool((actual >= 0).all())


@pytest.mark.parametrize(
    ("kind", "mean"),
    [
        ("grpo", -((1 + 2 + 6) / 3 + 5) / 2),  # mean over a reply, then over replies
        ("dapo", -(1 + 2 + 6 + 5) / 4),  # mean over tokens
        ("dr_grpo", -((1 + 2 + 6) / 10 + 5 / 10) / 2),  # divided by the longest reply, 10
    ],
)
def test_losses_of_tokens_worked_by_hand(kind: PolicyLoss, mean: float) -> None:
    total = summed_loss(OBJECTIVE, MASK, kind, reply_tokens=10)
    assert float(total) / loss_count(MASK, kind) == pytest.approx(mean)


def test_rloo_takes_the_mean_over_whole_replies() -> None:
    total = summed_loss(torch.tensor([[3.0], [4.0]]), MASK, "rloo", reply_tokens=10)
    assert float(total) / loss_count(MASK, "rloo") == -3.5
