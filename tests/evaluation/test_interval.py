import math

import pytest

from chatwright.evaluation.interval import Share, wilson


def test_published_values() -> None:
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
def test_its_ends_are_the_shares_that_the_score_test_only_just_accepts(
    successes: float, n: int
) -> None:
    z = 1.96
    for end in wilson(successes, n, z):
        if 0 < end < 1:  # at a clipped end the test has no variance
            assert abs(successes / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(z)


def test_no_trials_say_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("successes", "n", "z"), [(3, 2, 1.96), (-1, 2, 1.96), (1, 2, 0.0), (math.nan, 2, 1.96)]
)
def test_impossible_counts_are_refused(successes: float, n: int, z: float) -> None:
    with pytest.raises(ValueError, match="must"):
        wilson(successes, n, z)


def test_a_share_carries_its_count() -> None:
    assert str(Share(7.5, 10)) == "75.0% (44.2% to 91.9%, n = 10)"
    assert math.isnan(Share(0, 0).value)
    with pytest.raises(ValueError, match="must lie between"):
        Share(3, 2)
