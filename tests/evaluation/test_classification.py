"""Scores equal numbers worked out by hand, and their intervals hold what they promise."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.evaluation.classification import label_scores


def test_scores_equal_those_worked_out_by_hand() -> None:
    """Wanted 0 0 0 1 1 2, told 0 0 1 1 2 2: F1 = 2*2/(3+2) = .8, 2*1/(2+2) = .5, 2*1/(1+2) = .667."""
    scores = label_scores(torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 0, 0, 1, 1, 2]), 3)
    assert (scores.accuracy.successes, scores.accuracy.n) == (4, 6)
    assert scores.f1 == pytest.approx((0.8, 0.5, 2 / 3))
    assert scores.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    low, high = scores.macro_f1_interval
    assert low < scores.macro_f1 < high


def test_a_label_that_is_neither_there_nor_told_does_not_count() -> None:
    scores = label_scores(torch.tensor([0, 1]), torch.tensor([0, 1]), 3)
    assert scores.macro_f1 == 1.0
    assert scores.f1 == (1.0, 1.0, 0.0)
    assert scores.macro_f1_interval == (1.0, 1.0)


def test_the_interval_of_f1_holds_the_true_value_about_as_often_as_it_says() -> None:
    """A coin that is right with 0.8 on balanced labels has macro-F1 0.8."""
    draws = generator(3, "coin")
    held = 0
    for _ in range(100):
        wanted = torch.randint(2, (200,), generator=draws)
        told = torch.where(torch.rand(200, generator=draws) < 0.8, wanted, 1 - wanted)
        low, high = label_scores(told, wanted, 2).macro_f1_interval
        held += low <= 0.8 <= high
    assert 88 <= held <= 100


def test_the_same_answers_give_the_same_interval() -> None:
    told, wanted = (torch.randint(4, (50,), generator=generator(i, "labels")) for i in (1, 2))
    assert label_scores(told, wanted, 4) == label_scores(told, wanted, 4)
