"""Figures of sampled replies against numbers worked by hand."""

import math
from dataclasses import dataclass

import pytest

from chatwright.training.rollout_figures import (
    distinct_share,
    repeated_share,
    rollout_figures,
)


@dataclass(frozen=True)
class Reply:
    reply_ids: list[int]
    log_probs: list[float]
    reason: str = "stop"


END = 0


def test_figures_of_two_prompts_equal_numbers_worked_by_hand() -> None:
    groups = [
        [Reply([5, 6, 7, END], [-1.0, -2.0, -3.0, 0.0])],
        [Reply([5, 6], [-4.0, -2.0], reason="length")],
    ]
    figures = rollout_figures(groups, kl=0.5, reward=2.0)
    assert figures.length == 2.5  # 3 and 2 tokens, without the end token
    assert figures.stop_rate == 0.5
    assert figures.entropy == 2.0  # 12 nats over 6 sampled tokens
    assert figures.repetition == 0.0
    assert figures.distinct == pytest.approx(2 / 3)  # (5 6), (6 7), (5 6)
    assert (figures.kl, figures.reward) == (0.5, 2.0)


def test_repeated_n_grams_are_counted() -> None:
    assert repeated_share([1, 2, 3, 1, 2, 3, 1, 2, 3], n=3) == pytest.approx(4 / 7)
    assert repeated_share([1, 2, 3, 4, 5], n=3) == 0.0
    assert repeated_share([1, 1], n=3) == 0.0, "too short for an n-gram"


def test_one_reply_for_all_prompts_is_less_varied_than_one_reply_for_each() -> None:
    same_for_all = [[[1, 2, 3]]] * 4
    one_for_each = [[[1, 2, 3]] * 2, [[4, 5, 6]] * 2, [[7, 8, 9]] * 2, [[10, 11, 12]] * 2]
    assert distinct_share(same_for_all) == pytest.approx(2 / 8)
    assert distinct_share(one_for_each) == 1.0, "equal replies to one prompt do not count"
    assert distinct_share([[[7]], [[7]], [[8]]]) == pytest.approx(2 / 3), "replies of one token"
    assert math.isnan(distinct_share([[[1, 2], [3, 4]]])), "one prompt cannot tell"


def test_no_replies_have_no_figures() -> None:
    assert math.isnan(rollout_figures([]).length)
