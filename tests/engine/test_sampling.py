"""Each step of sampling against values worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from chatwright.engine.philox import uniform
from chatwright.engine.sampling import (
    SamplingConfig,
    adjust,
    biased,
    choose,
    frequency_and_presence,
    inverse_cdf,
    min_p,
    repetition,
    top_k,
    top_p,
)

PROBS = torch.tensor([0.3, 0.5, 0.05, 0.15], dtype=torch.float64)
NONE = torch.tensor([], dtype=torch.int64)


def probabilities(logits: Tensor) -> Tensor:
    return logits.exp()


def equal(found: Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_top_k_keeps_the_k_largest_and_ties_with_the_last() -> None:
    equal(probabilities(top_k(PROBS.log(), 2)), [0.3, 0.5, 0, 0])
    equal(top_k(torch.tensor([1.0, 3.0, 1.0, 2.0], dtype=torch.float64), 3), [1, 3, 1, 2])
    equal(top_k(PROBS.log(), 9), PROBS.log().tolist())


def test_top_p_keeps_the_smallest_set_that_reaches_p() -> None:
    equal(probabilities(top_p(PROBS.log(), 0.7)), [0.3, 0.5, 0, 0])
    equal(probabilities(top_p(PROBS.log(), 0.81)), [0.3, 0.5, 0, 0.15])
    equal(probabilities(top_p(PROBS.log(), 1e-9)), [0, 0.5, 0, 0])
    equal(
        top_p(torch.zeros(4, dtype=torch.float64), 0.5), [0, 0, -math.inf, -math.inf]
    )  # equals: the lower ids


def test_min_p_keeps_what_is_probable_enough_beside_the_best() -> None:
    equal(probabilities(min_p(PROBS.log(), 0.25)), [0.3, 0.5, 0, 0.15])
    equal(probabilities(min_p(PROBS.log(), 0.4)), [0.3, 0.5, 0, 0])


def test_repetition_divides_positive_logits_and_multiplies_negative_ones() -> None:
    equal(
        repetition(
            torch.tensor([2.0, -2.0, 4.0, 1.0], dtype=torch.float64),
            torch.tensor([0, 1, 1, 0]),
            2.0,
        ),
        [1, -4, 4, 1],
    )


def test_frequency_counts_and_presence_does_not() -> None:
    logits = torch.zeros(4, dtype=torch.float64)
    equal(frequency_and_presence(logits, torch.tensor([1, 1, 3]), 0.5, 0.0), [0, -1, 0, -0.5])
    equal(frequency_and_presence(logits, torch.tensor([1, 1, 3]), 0.0, 0.25), [0, -0.25, 0, -0.25])


def test_bias_is_added() -> None:
    equal(biased(torch.zeros(3, dtype=torch.float64), {2: 1.5, 0: -100.0}), [-100, 0, 1.5])


def test_inverse_cdf_lays_the_shares_out_in_the_order_of_ids() -> None:
    logits = PROBS.log()  # shares end at 0.3, 0.8, 0.85, 1
    assert [inverse_cdf(logits, u) for u in (0.0, 0.29, 0.31, 0.79, 0.81, 0.86, 1 - 2**-53)] == [
        0,
        0,
        1,
        1,
        2,
        3,
        3,
    ]
    hidden = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf], dtype=torch.float64)
    assert {inverse_cdf(hidden, u) for u in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53)} == {1, 3}


def test_draws_follow_the_probabilities() -> None:
    counts = torch.bincount(
        torch.tensor([inverse_cdf(PROBS.log(), uniform(5, position)) for position in range(4000)]),
        minlength=4,
    )
    # Five standard deviations of a share: sqrt(p (1 - p) / 4000).
    assert ((counts / 4000 - PROBS).abs() < 5 * (PROBS * (1 - PROBS) / 4000).sqrt()).all()


def test_greedy_takes_the_lowest_id_among_equals_whatever_is_drawn() -> None:
    config = SamplingConfig(temperature=0)
    logits = torch.zeros(5000)
    logits[[17, 3000, 4999]] = 2.0
    assert {choose(adjust(logits, config, NONE, NONE), config, u) for u in (0.0, 0.5, 0.999)} == {
        17
    }


def test_the_steps_run_in_the_stated_order() -> None:
    config = SamplingConfig(
        temperature=0.5,
        top_k=3,
        top_p=0.9,
        min_p=0.01,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        repetition_penalty=1.5,
        logit_bias={0: 0.7},
    )
    logits, prompt, generated = (
        torch.tensor([0.5, 1.5, -0.5, 1.0, 0.8]),
        torch.tensor([1]),
        torch.tensor([4, 4]),
    )
    by_hand = (
        torch.tensor([0.5 + 0.7, 1.5 / 1.5, -0.5, 1.0, 0.8 / 1.5 - 0.2 - 0.2], dtype=torch.float64)
        / 0.5
    )
    expected = min_p(top_p(top_k(by_hand, 3), 0.9), 0.01)
    torch.testing.assert_close(
        adjust(logits, config, prompt, generated), expected, atol=1e-6, rtol=1e-6
    )
    assert logits[1] == 1.5, "the caller's logits stay as they are"


def test_every_setting_changes_the_outcome() -> None:
    logits, ids = torch.linspace(-1, 1, 8), torch.tensor([7, 6])
    plain = adjust(logits, SamplingConfig(), ids, ids)
    for change in (
        {"temperature": 0.7},
        {"top_k": 3},
        {"top_p": 0.5},
        {"min_p": 0.5},
        {"frequency_penalty": 0.5},
        {"presence_penalty": 0.5},
        {"repetition_penalty": 1.3},
        {"logit_bias": {1: 2.0}},
    ):
        assert not torch.equal(adjust(logits, SamplingConfig(**change), ids, ids), plain), change  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": -1.0}, "temperature = -1.0: it must be at least 0.0"),
        ({"temperature": math.nan}, "temperature = nan"),
        ({"top_p": 0.0}, "top_p = 0.0: it must be above 0.0 and at most 1.0"),
        ({"top_k": -1}, "top_k = -1"),
        ({"min_p": 1.5}, "min_p = 1.5"),
        ({"frequency_penalty": 3.0}, "frequency_penalty = 3.0"),
        ({"presence_penalty": -3.0}, "presence_penalty = -3.0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty = 0.0"),
        ({"logit_bias": {3: math.inf}}, r"logit_bias\[3\] = inf"),
        ({"seed": 2**64}, "seed = 18446744073709551616"),
        ({"n": 0}, "n = 0"),
        ({"n": 3, "best_of": 2}, "best_of = 2: best_of must be at least n"),
        ({"max_tokens": 0}, "max_tokens = 0"),
        ({"top_log_probs": 21}, "top_log_probs = 21"),
        ({"stop": ("",)}, "stop"),
        ({"stop": "end"}, "stop = 'end': give a list"),
    ],
)
def test_wrong_values_are_named(change: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**change)
