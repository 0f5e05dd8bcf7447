"""Stop rate: the share of replies that end by themselves, with their mean length."""

from collections.abc import Sequence

import pytest

from chatwright.errors import InputError
from chatwright.evaluation.interval import wilson
from chatwright.evaluation.stop_rate import stop_rate

LIMIT = 6  # tokens


def count_down(prompts: Sequence[Sequence[int]]) -> list[tuple[list[int], bool]]:
    """Reply to each prompt with prompt[0], prompt[0] - 1, ..., 1, cut off after LIMIT tokens."""
    return [(list(range(prompt[0], 0, -1))[:LIMIT], prompt[0] <= LIMIT) for prompt in prompts]


def test_replies_that_end_by_themselves_are_counted() -> None:
    rate = stop_rate(count_down, [[3], [9], [0], [6]])
    assert (rate.share.successes, rate.share.n) == (3, 4)
    assert rate.share.interval == wilson(3, 4)
    assert (rate.mean_length, rate.n_empty) == ((3 + 6 + 0 + 6) / 4, 1)


def test_a_model_that_never_stops_has_a_rate_of_zero() -> None:
    rate = stop_rate(count_down, [[50]] * 100)
    assert rate.share.value == 0.0
    assert rate.share.interval[1] < 0.05


def test_no_prompts_and_fewer_replies_than_prompts_are_errors() -> None:
    with pytest.raises(InputError) as caught:
        stop_rate(count_down, [])
    assert caught.value.field == "prompts"
    with pytest.raises(AssertionError):
        stop_rate(lambda prompts: [([1], True)], [[1], [2]])
