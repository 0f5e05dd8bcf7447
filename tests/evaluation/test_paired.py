"""Paired tests equal numbers worked by hand, and find planted differences."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.evaluation.paired import PairedScores, paired_scores


def test_changes_are_counted_item_by_item() -> None:
    counted = paired_scores([True, True, False, False, True], [True, False, True, True, True])
    assert counted == PairedScores(n=5, n_right_before=3, n_gained=2, n_lost=1)
    assert counted.after == pytest.approx(0.8)
    assert counted.difference == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [
        (9, 1, 2 * (1 + 10) / 1024),
        (1, 9, 2 * (1 + 10) / 1024),
        (0, 5, 2 / 32),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemars_p_value_is_that_of_a_fair_coin(gained: int, lost: int, p_value: float) -> None:
    counted = PairedScores(n=100, n_right_before=50, n_gained=gained, n_lost=lost)
    assert counted.p_value == pytest.approx(p_value)


def test_the_interval_of_the_difference_equals_a_hand_worked_one() -> None:
    """One gained and one lost item are added (Bonett & Price 2012, eq. 4).

    Gained 9/52 = 0.17308, lost 3/52 = 0.05769: 0.11538 +- 1.96 sqrt(0.21745 / 52) = 0.12675.
    """
    low, high = PairedScores(n=50, n_right_before=20, n_gained=8, n_lost=2).interval
    assert low == pytest.approx(0.11538 - 0.12675, abs=1e-4)
    assert high == pytest.approx(0.11538 + 0.12675, abs=1e-4)


def test_two_models_with_equal_answers_differ_by_0_with_an_interval() -> None:
    counted = paired_scores([True] * 50, [True] * 50)
    assert (counted.difference, counted.p_value, counted.is_worse) == (0, 1, False)
    assert counted.interval[0] < 0 < counted.interval[1]


def test_the_interval_covers_the_true_difference_in_about_95_of_100_trials() -> None:
    """10 % of the items are gained and 5 % lost: the difference is 5 points."""
    draws = generator(0, "trials")
    n_covered = 0
    for _ in range(100):
        u = torch.rand(300, generator=draws)
        was_right = (u > 0.4).tolist()  # gained where u < 0.1, lost where u > 0.95
        is_right = ((u < 0.1) | ((u > 0.4) & (u < 0.95))).tolist()
        low, high = paired_scores(was_right, is_right).interval
        n_covered += low <= 0.05 <= high
    assert 90 <= n_covered <= 100


def test_only_a_loss_that_chance_does_not_explain_is_worse() -> None:
    assert PairedScores(n=300, n_right_before=200, n_gained=2, n_lost=20).is_worse
    assert not PairedScores(n=300, n_right_before=200, n_gained=20, n_lost=2).is_worse
    assert not PairedScores(n=300, n_right_before=200, n_gained=5, n_lost=7).is_worse
