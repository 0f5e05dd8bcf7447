"""Spearman's correlation: worked by hand, with ties, and its interval covers what it promises."""

import math

import pytest
import torch

from chatwright.devices import generator
from chatwright.evaluation.correlation import Correlation, mean_ranks, spearman


def test_spearman_without_ties_is_the_formula_of_squared_rank_differences() -> None:
    """Ranks (1, 2, 3, 4, 5) and (2, 1, 4, 3, 5): 1 - 6 * 4 / (5 * 24) = 0.8."""
    found = spearman([0.1, 0.2, 0.3, 0.4, 0.5], [20, 10, 40, 30, 50])
    assert found.value == pytest.approx(0.8)
    assert found.n == 5


def test_equal_numbers_share_their_mean_rank() -> None:
    ranks = mean_ranks(torch.tensor([5.0, 1.0, 5.0, 7.0, 5.0]))
    assert ranks.tolist() == [3.0, 1.0, 3.0, 5.0, 3.0]


def test_spearman_with_ties_equals_torchs_correlation_of_ranks_counted_one_by_one() -> None:
    draws = generator(0, "numbers")
    first = torch.randint(6, (40,), generator=draws).tolist()
    noise = torch.randint(9, (40,), generator=draws).tolist()
    second = [x + y for x, y in zip(first, noise, strict=True)]

    def rank(numbers: list[int], x: int) -> float:
        return sum(y < x for y in numbers) + (sum(y == x for y in numbers) + 1) / 2

    ranks = torch.tensor([[rank(numbers, x) for x in numbers] for numbers in (first, second)])
    expected = float(torch.corrcoef(ranks)[0, 1])
    assert spearman(first, second).value == pytest.approx(expected, abs=1e-6)


def test_any_increasing_transformation_leaves_it_unchanged() -> None:
    x = [0.3, 0.9, 0.1, 0.5, 0.7]
    y = [2.0, 1.0, 4.0, 3.0, 9.0]
    assert spearman([math.exp(9 * v) for v in x], y).value == pytest.approx(spearman(x, y).value)
    assert spearman(x, x).value == pytest.approx(1.0)
    assert spearman(x, [-v for v in x]).value == pytest.approx(-1.0)


def test_a_constant_list_has_no_correlation() -> None:
    found = spearman([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0])
    assert math.isnan(found.value)
    assert found.interval == (-1.0, 1.0)


def test_the_interval_is_that_of_bonett_and_wright() -> None:
    """R = 0.5, n = 103: z = 0.5493, half width 1.96 sqrt(1.125 / 100) = 0.2079."""
    low, high = Correlation(0.5, 103).interval
    assert low == pytest.approx(math.tanh(0.549306 - 0.207889), abs=1e-5)
    assert high == pytest.approx(math.tanh(0.549306 + 0.207889), abs=1e-5)
    assert Correlation(0.5, 3).interval == (-1.0, 1.0)
    assert Correlation(1.0, 30).interval == (1.0, 1.0)


def test_the_interval_covers_the_true_value_in_about_95_of_100_samples() -> None:
    """Of normal variables with correlation r, Spearman's is 6 / pi asin(r / 2)."""
    r = 0.6
    true = 6 / math.pi * math.asin(r / 2)
    draws = generator(0, "samples")
    n_inside = 0
    for _ in range(400):
        x, noise = torch.randn(2, 80, generator=draws, dtype=torch.double)
        low, high = spearman(x.tolist(), (r * x + math.sqrt(1 - r * r) * noise).tolist()).interval
        n_inside += low <= true <= high
    assert 0.92 <= n_inside / 400 <= 0.98
