"""The rule of promotion: better replies, and no skill that a paired test shows to have fallen."""

from dataclasses import replace

import pytest

from chatwright.errors import InputError
from chatwright.evaluation.paired import PairedScores
from chatwright.evaluation.win_rate import WinRate
from chatwright.pipeline.comparison.result import Comparison, Lengths
from chatwright.pipeline.improve.promotion import PromotionConfig, decide

BETTER = Comparison(
    baseline="a",
    candidate="b",
    judge="rules",
    win_rate=WinRate(0.6, 0.56, 0.64, 300, 1200, 500),
    length_controlled=None,
    by_kind={},
    without_rule={},
    correctness=None,
    lengths=(Lengths(10.0, 40.0), Lengths(10.0, 40.0)),
    n_equal=500,
    n_unjudged=0,
    n_overlap=0,
    overlap_checked=False,
    n_too_long=0,
    judge_counts={},
    skills={},
    bits_per_byte=None,
    prompts=(),
    replies=([], []),
    outcomes=[],
)


def with_skill(n: int, n_gained: int, n_lost: int) -> Comparison:
    scores = PairedScores(n=n, n_right_before=n // 2, n_gained=n_gained, n_lost=n_lost)
    return replace(BETTER, skills={"arithmetic": scores})


@pytest.mark.parametrize(
    ("n", "n_gained", "n_lost", "is_promoted"),
    [
        (300, 2, 12, False),  # 3.3 points, p = 0.013
        (300, 30, 40, True),  # 3.3 points, but 40 of 70 changes are chance
        (1000, 0, 20, True),  # 2.0 points, which are allowed
        (1000, 0, 21, False),
        (300, 12, 2, True),
    ],
)
def test_a_skill_may_fall_by_two_points_or_by_chance(
    n: int, n_gained: int, n_lost: int, is_promoted: bool
) -> None:
    decision = decide(with_skill(n, n_gained, n_lost), PromotionConfig())
    assert decision.is_promoted == is_promoted
    assert ("arithmetic fell" in decision.reason) == (not is_promoted)


def test_the_allowed_fall_is_a_setting() -> None:
    fallen = with_skill(300, 2, 12)
    assert decide(fallen, PromotionConfig(skill_fall=0.05)).is_promoted
    with pytest.raises(InputError) as refused:
        PromotionConfig(skill_fall=-0.1)
    assert refused.value.field == "promotion.skill_fall"
