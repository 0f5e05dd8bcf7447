"""Advantages against numbers worked by hand and the slow double sum."""

import math

import pytest
import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.training.advantages import explained_variance, gae, whiten


def slow_gae(
    rewards: Tensor, values: Tensor, lengths: list[int], gamma: float, lam: float
) -> Tensor:
    """Return sum_l (gamma lam)^l delta_{t+l} of every token, written out."""
    advantages = torch.zeros_like(values)
    for row, length in enumerate(lengths):
        for t in range(length):
            for u in range(t, length):
                following = values[row, u + 1] if u + 1 < length else 0.0
                delta = rewards[row, u] + gamma * following - values[row, u]
                advantages[row, t] += (gamma * lam) ** (u - t) * delta
    return advantages


def test_advantages_equal_numbers_worked_by_hand() -> None:
    """Schulman et al. 2016, eq. 16, gamma 0.9, lambda 0.5.

    delta_2 = 1 - 0.5 = 0.5; delta_1 = 0 + 0.9 x 0.5 - 0.2 = 0.25; delta_0 = 0.9 x 0.2 - 0.4 = -0.22
    A_2 = 0.5; A_1 = 0.25 + 0.45 x 0.5 = 0.475; A_0 = -0.22 + 0.45 x 0.475 = -0.00625
    """
    rewards = torch.tensor([[0.0, 0.0, 1.0]])
    values = torch.tensor([[0.4, 0.2, 0.5]])
    advantages, returns = gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), 0.9, 0.5)
    torch.testing.assert_close(advantages, torch.tensor([[-0.00625, 0.475, 0.5]]))
    torch.testing.assert_close(returns, torch.tensor([[0.39375, 0.675, 1.0]]))


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 0.0), (0.99, 1.0)])
def test_advantages_equal_the_double_sum(gamma: float, lam: float) -> None:
    draws = generator(1, "advantages")
    lengths = [7, 1, 4]
    rewards = torch.randn(3, 7, generator=draws)
    values = torch.randn(3, 7, generator=draws)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    expected = slow_gae(rewards, values, lengths, gamma, lam)
    torch.testing.assert_close(advantages, expected)
    torch.testing.assert_close(returns, torch.where(mask, expected + values, 0.0))


def test_with_lambda_1_the_return_is_the_sum_of_the_rewards_to_come() -> None:
    rewards = torch.tensor([[1.0, 2.0, 3.0]])
    values = torch.tensor([[9.0, -4.0, 0.5]])
    _, returns = gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), 1.0, 1.0)
    torch.testing.assert_close(returns, torch.tensor([[6.0, 5.0, 3.0]]))


def test_padding_and_tokens_before_the_reply_change_nothing() -> None:
    rewards = torch.tensor([[5.0, 0.0, 1.0, 7.0]])
    values = torch.tensor([[3.0, 0.2, 0.5, 9.0]])
    mask = torch.tensor([[False, True, True, False]])
    advantages, returns = gae(rewards, values, mask)
    inner, inner_returns = gae(rewards[:, 1:3], values[:, 1:3], mask[:, 1:3])
    torch.testing.assert_close(advantages[:, 1:3], inner)
    torch.testing.assert_close(returns[:, 1:3], inner_returns)
    assert not advantages[~mask].any()
    assert not returns[~mask].any()


def test_whitened_values_have_mean_0_and_variance_1() -> None:
    values = torch.tensor([[1.0, 2.0, 100.0], [3.0, 4.0, -9.0]])
    mask = torch.tensor([[True, True, False], [True, True, False]])
    # Mean 2.5, variance 1.25 of 1, 2, 3, 4.
    a = 1.5 / math.sqrt(1.25)
    b = 0.5 / math.sqrt(1.25)
    torch.testing.assert_close(whiten(values, mask), torch.tensor([[-a, -b, 0.0], [b, a, 0.0]]))
    alone = torch.tensor([[True, False, False], [False, False, False]])
    assert float(whiten(values, alone)[0, 0]) == 1.0, "one value has no variance"


def test_explained_variance_of_perfect_useless_and_worse_values() -> None:
    returns = torch.tensor([[1.0, 2.0, 3.0, 99.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert explained_variance(returns + 5, returns, mask) == pytest.approx(1.0)
    assert explained_variance(torch.zeros_like(returns), returns, mask) == pytest.approx(0.0)
    assert explained_variance(-returns, returns, mask) == pytest.approx(-3.0)
    assert math.isnan(explained_variance(returns, torch.ones_like(returns), mask))
