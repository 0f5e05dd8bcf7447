"""The length-controlled win rate removes a planted preference for length, and nothing else."""

import pytest
import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.evaluation.length_control import PENALTY, LengthControlled, length_controlled
from chatwright.evaluation.win_rate import win_rate

N_PROMPT, N_SAMPLE = 300, 4


def planted(quality: float, length: float, mean: float = 30.0) -> tuple[Tensor, Tensor]:
    """Outcomes of a judge with this quality and length term, and the differences of lengths."""
    draws = generator(7, "judge")
    d = (mean + 50 * torch.randn(N_PROMPT, N_SAMPLE, generator=draws)).double().round()
    p = torch.sigmoid(quality + length * torch.tanh(d / d.std()))
    return (torch.rand(N_PROMPT, N_SAMPLE, generator=draws) < p).double(), d


def controlled(outcomes: Tensor, differences: Tensor) -> LengthControlled:
    result = length_controlled(outcomes.tolist(), differences.tolist())
    assert result is not None
    return result


def test_a_judge_that_likes_only_length_gives_50_percent() -> None:
    _, d = planted(0, 0)
    outcomes = (d > 0).double() + 0.5 * (d == 0)
    assert win_rate(outcomes.tolist()).value > 0.65
    assert controlled(outcomes, d).value == pytest.approx(0.5, abs=0.04)


def test_a_noisy_preference_for_length_is_removed() -> None:
    outcomes, d = planted(0, 2)
    assert win_rate(outcomes.tolist()).low > 0.6
    result = controlled(outcomes, d)
    assert result.low < 0.5 < result.high


def test_quality_is_found_below_a_preference_for_length() -> None:
    """sigmoid(0.8) = 0.69."""
    result = controlled(*planted(0.8, 2))
    assert result.low < 0.69 < result.high
    assert result.low > 0.5


def test_a_judge_that_ignores_length_keeps_its_win_rate() -> None:
    outcomes, d = planted(0.8, 0)
    raw = win_rate(outcomes.tolist())
    result = controlled(outcomes, d)
    assert result.value == pytest.approx(raw.value, abs=0.02)


def test_equal_lengths_leave_the_win_rate_unchanged() -> None:
    outcomes, d = planted(0.8, 0)
    result = controlled(outcomes, torch.zeros_like(d))
    assert result.value == pytest.approx(float(outcomes.mean()), abs=1e-6)


def test_the_regression_equals_the_minimum_that_gradient_descent_finds() -> None:
    outcomes, d = planted(0.3, 1)
    y, x = outcomes.flatten(), torch.tanh(d.flatten() / d.flatten().std(correction=0))
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = weights[0] + weights[1] * x
        summed = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="sum")
        total = summed + PENALTY / 2 * weights[1] ** 2
        total.backward()
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    expected = float(torch.sigmoid(weights.detach()[0]))
    assert controlled(outcomes, d).value == pytest.approx(expected, 1e-5)


def test_swapped_models_have_the_complement() -> None:
    outcomes, d = planted(0.3, 1)
    forward, backward = controlled(outcomes, d), controlled(1 - outcomes, -d)
    assert forward.reversed().value == pytest.approx(backward.value, abs=1e-6)
    assert forward.reversed().low == pytest.approx(backward.low, abs=1e-6)


def test_there_is_no_result_when_one_model_is_always_longer() -> None:
    outcomes, d = planted(0.3, 1)
    assert length_controlled(outcomes.tolist(), (d.abs() + 1).tolist()) is None


def test_nothing_but_wins_stays_near_100_percent() -> None:
    outcomes, d = planted(0, 0, mean=0)
    assert controlled(torch.ones_like(outcomes), d).value > 0.99
