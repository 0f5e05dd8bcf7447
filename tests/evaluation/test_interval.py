"""The Wilson interval equals published values, and impossible counts are refused."""

import math

import pytest

from chatwright.errors import InputError
from chatwright.evaluation.interval import Share, wilson


def test_intervals_equal_published_values() -> None:
    # Newcombe 1998, Table I, method 3 (Wilson, no continuity correction).
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (3, 10), (7.5, 10), (10, 10), (500, 1000)]
)
def test_the_score_statistic_at_both_ends_of_the_interval_equals_z(
    successes: float, n: int
) -> None:
    z = 1.96
    for end in wilson(successes, n, z):
        if 0 < end < 1:  # at 0 and 1 the statistic divides by zero
            assert abs(successes / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(z)


def test_without_trials_the_interval_is_from_0_to_1() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("successes", "n", "z", "field"),
    [
        (3, 2, 1.96, "successes"),
        (-1, 2, 1.96, "successes"),
        (math.nan, 2, 1.96, "successes"),
        (1, 2, 0.0, "z"),
    ],
)
def test_impossible_counts_and_a_z_of_zero_are_refused(
    successes: float, n: int, z: float, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        wilson(successes, n, z)
    assert caught.value.field == field


def test_a_share_prints_its_interval_and_number_of_items() -> None:
    assert str(Share(7.5, 10)) == "75.0% (44.2% to 91.9%, n = 10)"
    assert math.isnan(Share(0, 0).value)
    with pytest.raises(InputError):
        Share(3, 2)
