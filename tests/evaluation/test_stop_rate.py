from collections.abc import Sequence

import pytest

from chatwright.evaluation.interval import wilson
from chatwright.evaluation.stop_rate import stop_rate

END, LIMIT = 99, 6


def counting_down(prompts: Sequence[Sequence[int]]) -> list[tuple[list[int], bool]]:
    """Says prompt[0], prompt[0] - 1, ... and stops at 0, if the limit lets it."""
    return [(list(range(prompt[0], 0, -1))[:LIMIT], prompt[0] <= LIMIT) for prompt in prompts]


def test_the_share_that_ended_by_themselves() -> None:
    rate = stop_rate(counting_down, [[3], [9], [0], [6]])
    assert (rate.share.successes, rate.share.n) == (3, 4)
    assert rate.share.interval == wilson(3, 4)
    assert (rate.mean_length, rate.n_empty) == ((3 + 6 + 0 + 6) / 4, 1)


def test_a_model_that_never_stops_is_seen() -> None:
    rate = stop_rate(counting_down, [[50]] * 100)
    assert rate.share.value == 0.0
    assert rate.share.interval[1] < 0.05


def test_no_prompts_and_lost_replies_are_errors() -> None:
    with pytest.raises(ValueError, match="no prompts"):
        stop_rate(counting_down, [])
    with pytest.raises(AssertionError, match="2 prompts came back as 1 replies"):
        stop_rate(lambda prompts: [([1], True)], [[1], [2]])
