"""Advantages of sampled tokens: generalized advantage estimation and whitening.

Tables are (B, T): one reply per row, padded at its end. A mask is true at the reply's tokens.
"""

import torch
from torch import Tensor


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float = 1.0, lam: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Return advantages and returns of every token, (B, T) each; 0 where the mask is false.

    delta_t = r_t + gamma V_{t+1} - V_t, A_t = sum_l (gamma lam)^l delta_{t+l}
    (Schulman et al. 2016, eq. 12 and 16). The value after the last token of a reply is 0, also for
    a reply that was cut at its longest length. The returns A_t + V_t are the targets of the values.

    Args:
        rewards: (B, T) reward after each token.
        values: (B, T) estimated value before each token.
        mask: (B, T) true at tokens of the reply, false at the padding behind it.
        gamma: Discount per token; 1 leaves rewards as they are.
        lam: 0 trusts the values fully, 1 the sampled rewards.
    """
    is_token = mask.to(values.dtype)
    advantages = torch.zeros_like(values)
    next_value = torch.zeros_like(values[:, 0])
    following = torch.zeros_like(next_value)
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        # Padding resets both, so that a short reply ends at its own last token.
        following = (delta + gamma * lam * following) * is_token[:, t]
        next_value = values[:, t] * is_token[:, t]
        advantages[:, t] = following
    return advantages, (advantages + values) * is_token


def whiten(values: Tensor, mask: Tensor, eps: float = 1e-8) -> Tensor:
    """Return the values with mean 0 and variance 1 over the mask; 0 where the mask is false."""
    chosen = values[mask]
    if len(chosen) < 2:
        return torch.where(mask, values, 0.0)
    centered = values - chosen.mean()
    scale = (chosen.var(unbiased=False) + eps).rsqrt()
    return torch.where(mask, centered * scale, 0.0)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Return 1 - Var(returns - values) / Var(returns) over the mask; nan if returns are equal."""
    chosen = returns[mask]
    variance = float(chosen.var(unbiased=False))
    if variance == 0.0:
        return float("nan")
    return 1 - float((chosen - values[mask]).var(unbiased=False)) / variance
