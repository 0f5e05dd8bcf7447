"""Each step from logits to a token gives values computed by hand."""

import math

import pytest
import torch
from torch import Tensor

from chatwright.engine.messages import SamplingConfig
from chatwright.engine.philox import uniform
from chatwright.engine.sampling import (
    add_bias,
    adjust_logits,
    apply_frequency_and_presence_penalty,
    apply_repetition_penalty,
    choose_token,
    inverse_cdf,
    min_p,
    top_k,
    top_p,
    typical_p,
)
from chatwright.errors import InputError

PROBS = torch.tensor([0.3, 0.5, 0.05, 0.15], dtype=torch.float64)
NO_TOKENS = torch.tensor([], dtype=torch.int64)


def probabilities(logits: Tensor) -> Tensor:
    return logits.exp()


def assert_equal(actual: Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64))


def test_top_k_keeps_the_k_largest_logits_and_logits_equal_to_the_smallest_of_these() -> None:
    assert_equal(probabilities(top_k(PROBS.log(), 2)), [0.3, 0.5, 0, 0])
    assert_equal(top_k(torch.tensor([1.0, 3.0, 1.0, 2.0], dtype=torch.float64), 3), [1, 3, 1, 2])
    assert_equal(top_k(PROBS.log(), 9), PROBS.log().tolist())


def test_top_p_keeps_the_smallest_set_that_reaches_p() -> None:
    assert_equal(probabilities(top_p(PROBS.log(), 0.7)), [0.3, 0.5, 0, 0])
    assert_equal(probabilities(top_p(PROBS.log(), 0.81)), [0.3, 0.5, 0, 0.15])
    assert_equal(probabilities(top_p(PROBS.log(), 1e-9)), [0, 0.5, 0, 0])
    # Of equally probable tokens, those with lower ids are kept.
    assert_equal(top_p(torch.zeros(4, dtype=torch.float64), 0.5), [0, 0, -math.inf, -math.inf])


def test_min_p_keeps_tokens_by_their_ratio_to_the_most_probable() -> None:
    assert_equal(probabilities(min_p(PROBS.log(), 0.25)), [0.3, 0.5, 0, 0.15])
    assert_equal(probabilities(min_p(PROBS.log(), 0.4)), [0.3, 0.5, 0, 0])


def test_typical_p_keeps_tokens_whose_surprisal_is_near_the_entropy() -> None:
    # Surprisals 1.204, 0.693, 2.996, 1.897 and entropy 1.142: distances 0.062, 0.449, 1.854, 0.755.
    assert_equal(probabilities(typical_p(PROBS.log(), 0.2)), [0.3, 0, 0, 0])
    assert_equal(probabilities(typical_p(PROBS.log(), 0.7)), [0.3, 0.5, 0, 0])
    assert_equal(probabilities(typical_p(PROBS.log(), 0.81)), [0.3, 0.5, 0, 0.15])


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("mass", [0.1, 0.5, 0.9, 0.99])
def test_typical_p_equals_that_of_transformers(mass: float) -> None:
    from transformers import TypicalLogitsWarper

    logits = 3 * torch.randn(20, 200, generator=torch.Generator().manual_seed(0)).double()
    logits[:, 7] = -math.inf
    expected = TypicalLogitsWarper(mass)(torch.zeros(20, 1, dtype=torch.int64), logits)
    for row, kept in zip(logits, expected, strict=True):
        assert torch.equal(typical_p(row, mass).isfinite(), kept.isfinite())


def test_the_repetition_penalty_divides_positive_logits_and_multiplies_negative_ones() -> None:
    assert_equal(
        apply_repetition_penalty(
            torch.tensor([2.0, -2.0, 4.0, 1.0], dtype=torch.float64),
            torch.tensor([0, 1, 1, 0]),
            2.0,
        ),
        [1, -4, 4, 1],
    )


def test_the_frequency_penalty_counts_and_the_presence_penalty_does_not() -> None:
    logits = torch.zeros(4, dtype=torch.float64)
    assert_equal(
        apply_frequency_and_presence_penalty(logits, torch.tensor([1, 1, 3]), 0.5, 0.0),
        [0, -1, 0, -0.5],
    )
    assert_equal(
        apply_frequency_and_presence_penalty(logits, torch.tensor([1, 1, 3]), 0.0, 0.25),
        [0, -0.25, 0, -0.25],
    )


def test_logit_bias_is_added_by_token_id() -> None:
    assert_equal(add_bias(torch.zeros(3, dtype=torch.float64), {2: 1.5, 0: -100.0}), [-100, 0, 1.5])


def test_inverse_cdf_follows_the_order_of_ids() -> None:
    logits = PROBS.log()  # cumulative: 0.3, 0.8, 0.85, 1
    numbers = (0.0, 0.29, 0.31, 0.79, 0.81, 0.86, 1 - 2**-53)
    assert [inverse_cdf(logits, u) for u in numbers] == [0, 0, 1, 1, 2, 3, 3]
    excluded = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf], dtype=torch.float64)
    assert {inverse_cdf(excluded, u) for u in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53)} == {1, 3}


def test_draws_follow_the_probabilities() -> None:
    counts = torch.bincount(
        torch.tensor([inverse_cdf(PROBS.log(), uniform(5, position)) for position in range(4000)]),
        minlength=4,
    )
    # The limit is five standard deviations; that of a token's share is sqrt(p (1 - p) / 4000).
    assert ((counts / 4000 - PROBS).abs() < 5 * (PROBS * (1 - PROBS) / 4000).sqrt()).all()


def test_temperature_zero_takes_the_lowest_id_of_the_largest_logits_for_every_draw() -> None:
    config = SamplingConfig(temperature=0)
    logits = torch.zeros(5000)
    logits[[17, 3000, 4999]] = 2.0
    adjusted = adjust_logits(logits, config, NO_TOKENS, NO_TOKENS)
    assert {choose_token(adjusted, config, u) for u in (0.0, 0.5, 0.999)} == {17}


def test_penalties_bias_temperature_top_k_top_p_and_min_p_apply_in_this_order() -> None:
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
    logits = torch.tensor([0.5, 1.5, -0.5, 1.0, 0.8])
    prompt, generated = torch.tensor([1]), torch.tensor([4, 4])
    penalized = [0.5 + 0.7, 1.5 / 1.5, -0.5, 1.0, 0.8 / 1.5 - 0.2 - 0.2]
    scaled = torch.tensor(penalized, dtype=torch.float64) / 0.5
    expected = min_p(top_p(top_k(scaled, 3), 0.9), 0.01)
    adjusted = adjust_logits(logits, config, prompt, generated)
    torch.testing.assert_close(adjusted, expected, atol=1e-6, rtol=1e-6)
    assert logits[1] == 1.5, "the caller's logits are not changed"


def test_banned_ids_are_excluded_before_top_k() -> None:
    adjusted = adjust_logits(
        torch.tensor([3.0, 2.0, 1.0]),
        SamplingConfig(top_k=1),
        NO_TOKENS,
        NO_TOKENS,
        banned_ids=torch.tensor([0]),
    )
    assert_equal(adjusted, [-math.inf, 2, -math.inf])


def test_every_setting_changes_the_adjusted_logits() -> None:
    logits, ids = torch.linspace(-1, 1, 8), torch.tensor([7, 6])
    plain = adjust_logits(logits, SamplingConfig(), ids, ids)
    for change in (
        {"temperature": 0.7},
        {"top_k": 3},
        {"top_p": 0.5},
        {"min_p": 0.5},
        {"typical_p": 0.3},
        {"frequency_penalty": 0.5},
        {"presence_penalty": 0.5},
        {"repetition_penalty": 1.3},
        {"logit_bias": {1: 2.0}},
    ):
        assert not torch.equal(adjust_logits(logits, SamplingConfig(**change), ids, ids), plain), (
            change
        )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"min_p": 1.5}, "min_p"),
        ({"frequency_penalty": 3.0}, "frequency_penalty"),
        ({"presence_penalty": -3.0}, "presence_penalty"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"logit_bias": {3: math.inf}}, "logit_bias[3]"),
        ({"seed": 2**64}, "seed"),
        ({"n": 0}, "n"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_log_probs": 21}, "top_log_probs"),
        ({"stop": ("",)}, "stop"),
        ({"stop": "end"}, "stop"),
    ],
)
def test_wrong_values_are_refused_with_their_field(change: dict, field: str) -> None:
    with pytest.raises(InputError) as caught:
        SamplingConfig(**change)
    assert caught.value.field == field
    assert caught.value.remedy
