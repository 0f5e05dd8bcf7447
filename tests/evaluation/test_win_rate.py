"""Win rates equal hand-worked numbers, and their intervals hold what they promise."""

import math

import pytest
import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.evaluation.bootstrap import resample
from chatwright.evaluation.interval import wilson
from chatwright.evaluation.win_rate import win_rate


def as_lists(outcomes: Tensor) -> list[list[float]]:
    rows: list[list[float]] = outcomes.double().tolist()
    return rows


def test_a_tie_is_half_a_win_and_every_comparison_counts_equally() -> None:
    """(1 + 0.5 + 0 + 1 + 1 + 0.5) / 6 = 2/3 with 2 ties; a prompt without outcomes is left out."""
    measured = win_rate([[1, 0.5], [0], [], [1, 1, 0.5]])
    assert measured.value == pytest.approx(2 / 3)
    assert (measured.n_prompt, measured.n_comparison, measured.n_tie) == (3, 6, 2)
    assert measured.tie_rate == pytest.approx(1 / 3)


def test_a_model_against_itself_has_exactly_50_percent() -> None:
    measured = win_rate([[0.5] * 4] * 40)
    assert (measured.value, measured.low, measured.high, measured.tie_rate) == (0.5, 0.5, 0.5, 1.0)


def test_swapped_models_have_the_complement() -> None:
    draws = torch.randint(3, (60, 4), generator=generator(0, "outcomes")) / 2
    forward = win_rate(as_lists(draws))
    backward = win_rate(as_lists(1 - draws))
    assert backward.value == pytest.approx(1 - forward.value)
    assert backward.low == pytest.approx(1 - forward.high)
    assert forward.reversed().low == pytest.approx(backward.low)
    assert forward.reversed().n_tie == backward.n_tie


def test_the_interval_is_that_of_the_means_of_prompts() -> None:
    """With equal numbers of samples: mean +- 1.96 * standard deviation of the means / sqrt(n)."""
    draws = (torch.rand(400, 4, generator=generator(1, "outcomes")) < 0.6).double()
    means = draws.mean(1)
    half_width = 1.96 * float(means.std()) / math.sqrt(400)
    measured = win_rate(as_lists(draws))
    assert measured.low == pytest.approx(float(means.mean()) - half_width, abs=0.003)
    assert measured.high == pytest.approx(float(means.mean()) + half_width, abs=0.003)


def test_equal_replies_to_a_prompt_make_the_interval_wider() -> None:
    """Four copies of an outcome hold one prompt's information: the interval is twice as wide."""
    once = (torch.rand(300, 1, generator=generator(2, "outcomes")) < 0.6).double()
    single, copied = win_rate(as_lists(once)), win_rate(as_lists(once.repeat(1, 4)))
    assert (copied.low, copied.high) == (single.low, single.high)
    spread = win_rate(as_lists(once.repeat(4, 1)))
    assert (copied.high - copied.low) / (spread.high - spread.low) == pytest.approx(2, rel=0.05)


def test_the_interval_covers_the_true_rate_of_correlated_replies_in_about_95_of_100_trials() -> (
    None
):
    """Half of the prompts are won with probability 0.9, the others with 0.3: the truth is 0.6."""
    draws = generator(3, "trials")
    n_covered = 0
    for _ in range(100):
        is_easy = torch.rand(80, 1, generator=draws) < 0.5
        is_won = torch.rand(80, 4, generator=draws) < torch.where(is_easy, 0.9, 0.3)
        measured = win_rate(as_lists(is_won))
        n_covered += measured.low <= 0.6 <= measured.high
    assert 88 <= n_covered <= 100


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_but_wins_has_the_interval_of_that_many_prompts(value: float) -> None:
    measured = win_rate([[value] * 4] * 10)
    assert (measured.low, measured.high) == wilson(10 * value, 10)


def test_every_resample_draws_as_many_clusters_and_equal_seeds_draw_the_same() -> None:
    counts = resample(20, seed=5)
    assert bool((counts.sum(1) == 20).all())
    assert torch.equal(counts, resample(20, seed=5))
    assert not torch.equal(counts, resample(20, seed=6))
    # The number of draws of one cluster is binomial, with mean 1 and variance 1 - 1/20.
    assert float(counts.var()) == pytest.approx(0.95, rel=0.05)


@pytest.mark.parametrize("outcomes", [[], [[]], [[1.5]], [[float("nan")]]])
def test_missing_and_impossible_outcomes_are_refused(outcomes: list[list[float]]) -> None:
    with pytest.raises(InputError) as caught:
        win_rate(outcomes)
    assert caught.value.field == "outcomes"
