"""Scores of a classifier equal numbers computed by hand; intervals cover the true value."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.evaluation.classification import label_scores


def test_accuracy_and_f1_equal_values_computed_by_hand() -> None:
    """F1 of the labels: 2*2 / (3+2) = 0.8, 2*1 / (2+2) = 0.5, 2*1 / (1+2) = 0.667."""
    labels, predicted = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 2, 2])
    scores = label_scores(predicted, labels, 3)
    assert (scores.accuracy.successes, scores.accuracy.n) == (4, 6)
    assert scores.f1 == pytest.approx((0.8, 0.5, 2 / 3))
    assert scores.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    low, high = scores.macro_f1_interval
    assert low < scores.macro_f1 < high


def test_macro_f1_leaves_out_a_label_that_is_neither_true_nor_predicted() -> None:
    scores = label_scores(torch.tensor([0, 1]), torch.tensor([0, 1]), 3)
    assert scores.macro_f1 == 1.0
    assert scores.f1 == (1.0, 1.0, 0.0)
    assert scores.macro_f1_interval == (1.0, 1.0)


def test_the_interval_of_macro_f1_covers_the_true_value_in_about_95_of_100_trials() -> None:
    """Predictions that are right with probability 0.8 on balanced labels have macro-F1 0.8."""
    draws = generator(3, "coin")
    n_covered = 0
    for _ in range(100):
        labels = torch.randint(2, (200,), generator=draws)
        is_right = torch.rand(200, generator=draws) < 0.8
        predicted = torch.where(is_right, labels, 1 - labels)
        low, high = label_scores(predicted, labels, 2).macro_f1_interval
        n_covered += low <= 0.8 <= high
    assert 88 <= n_covered <= 100


def test_equal_predictions_give_equal_intervals() -> None:
    predicted, labels = (torch.randint(4, (50,), generator=generator(i, "labels")) for i in (1, 2))
    assert label_scores(predicted, labels, 4) == label_scores(predicted, labels, 4)
