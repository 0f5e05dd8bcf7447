"""Krippendorff's published examples; agreement of simulated raters with known noise."""

import math

import pytest
import torch

from chatwright.devices import generator
from chatwright.evaluation.feedback_quality.agreement import (
    krippendorff_alpha,
    one_rater_agrees,
    two_raters_agree,
)
from chatwright.evaluation.feedback_quality.judgments import judgments_of
from chatwright.evaluation.interval import Share
from chatwright.evaluation.noise_ceiling import largest_accuracy
from tests.data.feedback_examples import correction, ranking, thumb


def units(*observers: str) -> list[str]:
    """Return the answers by item; "." is a missing answer."""
    columns = zip(*(line.split() for line in observers), strict=True)
    return ["".join(answer for answer in column if answer != ".") for column in columns]


@pytest.mark.parametrize(
    ("observers", "alpha"),
    [
        # Krippendorff 2011, sections A (binary, Meg and Owen), B (nominal) and C (missing data)
        (("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"), 0.095),
        (("a a b b d c c c e d d a", "b a b b b c c c e d d d"), 0.692),
        (
            (
                "1 2 3 3 2 1 4 1 2 . . .",
                "1 2 3 3 2 2 4 1 2 5 . 3",
                ". 3 3 3 2 3 4 2 2 5 1 .",
                "1 2 3 3 2 4 4 1 2 5 1 .",
            ),
            0.743,
        ),
    ],
)
def test_alpha_is_that_of_the_published_examples(observers: tuple[str, ...], alpha: float) -> None:
    assert krippendorff_alpha(units(*observers)) == pytest.approx(alpha, abs=5e-4)


def test_alpha_is_one_for_full_agreement_and_negative_for_opposition() -> None:
    assert krippendorff_alpha(["aa", "bb", "aaa"]) == 1
    assert krippendorff_alpha(["ab", "ab"]) < 0
    assert math.isnan(krippendorff_alpha(["a", "b"]))
    assert math.isnan(krippendorff_alpha(["aa", "aa"]))


def test_a_ranking_is_judgments_of_pairs_however_it_is_shown() -> None:
    one = judgments_of([ranking("ann", "q", ("x", "y", "z"), (1, 2, 2))])
    other = judgments_of([ranking("ann", "q", ("z", "x", "y"), (5, 1, 5))])
    assert {(j.item, j.answer) for j in one} == {(j.item, j.answer) for j in other}
    assert len(one) == 3
    assert sum(j.answer == 0 for j in one) == 1


def test_equal_replies_and_corrections_are_not_judged_and_other_prompts_are_other_items() -> None:
    assert judgments_of([ranking("ann", "q", ("x", "x"), (1, 2))]) == []
    assert judgments_of([correction("ann", "q", "x", "y")]) == []
    items = {j.item for j in judgments_of([ranking("ann", "q"), ranking("ann", "r")])}
    assert len(items) == 2


def test_agreement_of_two_raters_and_of_one_rater_twice_by_hand() -> None:
    feedback = [
        ranking("ann", "q", ranks=(1, 2)),
        ranking("bob", "q", ranks=(1, 2)),
        ranking("cem", "q", ranks=(2, 1)),  # of three pairs of raters, one agrees
        ranking("ann", "r", ranks=(1, 2)),
        ranking("bob", "r", ranks=(1, 1)),  # a tie prefers none
        thumb("ann", "s", "x", True),
        thumb("bob", "s", "x", True),
        ranking("ann", "q", ranks=(1, 2)),
        ranking("ann", "q", ranks=(2, 1)),
    ]
    judgments = judgments_of(feedback)
    assert two_raters_agree(judgments) == Share(1 + 1 / 3, 2)
    assert one_rater_agrees(judgments) == Share(1, 2)


@pytest.mark.parametrize("right", [0.6, 0.8, 0.95])
def test_the_ceiling_is_the_accuracy_of_equally_good_raters(right: float) -> None:
    n_item = 2000
    draws = torch.rand(3, n_item, generator=generator(0, "raters")) < right
    feedback = [
        ranking(f"rater {r}", f"q{i}", ranks=(1, 2) if draws[r, i] else (2, 1))
        for r in range(3)
        for i in range(n_item)
    ]
    agreement = two_raters_agree(judgments_of(feedback))
    assert agreement.value == pytest.approx(right**2 + (1 - right) ** 2, abs=0.02)
    assert largest_accuracy(agreement.value) == pytest.approx(right, abs=0.04)


def test_the_ceiling_is_not_measurable_without_items_of_two_raters() -> None:
    assert math.isnan(largest_accuracy(Share(0, 0).value))
    assert largest_accuracy(Share(4, 10).value) == 0.5
