"""Advantages and losses of policies that learn from groups of replies to one prompt.

grpo      mean over each reply, then over replies           Shao et al. 2024, eq. 3
dapo      mean over all tokens: long replies weigh more     Yu et al. 2025, section 3.3
dr_grpo   sum over each reply divided by a constant; advantages without the standard deviation
                                                            Liu et al. 2025, section 3.2
rloo      REINFORCE on whole replies; the baseline is the mean reward of the other replies
                                                            Ahmadian et al. 2024, section 3
"""

from typing import Literal

import torch
from torch import Tensor

PolicyLoss = Literal["grpo", "dapo", "dr_grpo", "rloo"]
EPSILON = 1e-4
"""Added to the standard deviation of a group's rewards, against division by zero."""


def group_advantages(rewards: Tensor, kind: PolicyLoss) -> Tensor:
    """Return how much better each reply is than the others of its group. (P, K) -> (P, K).

    A group of equal rewards gets zeros, and teaches nothing.
    """
    if kind == "rloo":
        n_other = rewards.shape[1] - 1
        return rewards - (rewards.sum(1, keepdim=True) - rewards) / n_other
    centered = rewards - rewards.mean(1, keepdim=True)
    if kind == "dr_grpo":
        return centered
    return centered / (rewards.std(1, keepdim=True) + EPSILON)


def have_spread(rewards: Tensor) -> Tensor:
    """Return which groups have different rewards. (P, K) -> (P,)."""
    return (rewards != rewards[:, :1]).any(1)


def clipped_objective(
    log_ratio: Tensor, advantages: Tensor, clip: float, clip_high: float
) -> Tensor:
    """Return min(r A, clip(r, 1 - clip, 1 + clip_high) A), where r = exp(log_ratio).

    Schulman et al. 2017, eq. 7; with an upper limit of its own as in DAPO.
    """
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip_high)
    return torch.minimum(ratio * advantages, clipped * advantages)


def is_clipped(log_ratio: Tensor, advantages: Tensor, clip: float, clip_high: float) -> Tensor:
    """Return where the ratio is beyond its limit, so that there is no gradient."""
    ratio = log_ratio.exp()
    too_low = (ratio < 1 - clip) & (advantages < 0)
    return too_low | ((ratio > 1 + clip_high) & (advantages > 0))


def kl_estimate(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Return p0 / p - log(p0 / p) - 1 of each token, never negative (Shao et al. 2024, eq. 4)."""
    log_ratio = reference - log_probs
    return log_ratio.exp() - log_ratio - 1


def loss_count(mask: Tensor, kind: PolicyLoss) -> int:
    """Return what divides the summed loss of these replies: tokens for dapo, else replies."""
    return int(mask.sum()) if kind == "dapo" else len(mask)


def summed_loss(objective: Tensor, mask: Tensor, kind: PolicyLoss, reply_tokens: int) -> Tensor:
    """Return minus the sum of the objective, to be divided by `loss_count`.

    Args:
        objective: (B, T), that of each token; rloo: (B, 1), that of each reply.
        mask: (B, T), True at the tokens of the replies.
        kind: The loss.
        reply_tokens: Longest reply, which divides the sums of dr_grpo.
    """
    if kind == "rloo":
        return -objective.sum()
    sums = torch.where(mask, objective, 0.0).sum(1)  # (B,)
    if kind == "grpo":
        sums = sums / mask.sum(1)
    elif kind == "dr_grpo":
        sums = sums / reply_tokens
    return -sums.sum()
