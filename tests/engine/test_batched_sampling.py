"""Tokens drawn together equal those drawn one by one, to the last bit of the log-probability."""

import random

import pytest
import torch

from chatwright.engine.batched_sampling import draw_tokens, is_plain
from chatwright.engine.messages import MAX_SEED, MIN_SEED, RequestId, SamplingConfig
from chatwright.engine.philox import uniform, uniforms
from chatwright.engine.sequence import Sequence

NOTHING = torch.empty(0, dtype=torch.int64)


def sequence(seed: int, temperature: float, index: int, banned: torch.Tensor) -> Sequence:
    config = SamplingConfig(temperature=temperature, seed=seed)
    return Sequence(RequestId("r"), index, [1, 2, 3], config, seed, frozenset(), 100, banned)


@pytest.mark.parametrize("vocab_size", [2, 7, 61, 300, 4097])
@pytest.mark.parametrize("n_row", [1, 2, 5, 64])
def test_tokens_and_log_probs_equal_those_of_one_row_alone(vocab_size: int, n_row: int) -> None:
    draws = torch.Generator().manual_seed(n_row)
    logits = 4 * torch.randn(n_row, vocab_size, generator=draws)
    if vocab_size > 2:
        logits[0, 1:] = -200.0  # a token that is almost certain
    banned = [
        NOTHING if row % 3 else torch.tensor([row % (vocab_size - 1)]) for row in range(n_row)
    ]
    sequences = [
        sequence(1000 + row, (1.0, 0.7, 1.3)[row % 3], row, banned[row]) for row in range(n_row)
    ]
    tokens, log_probs = draw_tokens(
        logits,
        [s.sampling.temperature for s in sequences],
        [s.banned_ids for s in sequences],
        [s.random_key for s in sequences],
    )
    for row, one in enumerate(sequences):
        event = one.sample_token(logits[row])
        assert (tokens[row], log_probs[row]) == (event.token_id, event.log_prob)


def test_random_numbers_equal_those_of_the_pure_python_form() -> None:
    draws = random.Random(1)
    seeds = [draws.randint(MIN_SEED, MAX_SEED) for _ in range(200)] + [MIN_SEED, MAX_SEED, 0, -1]
    positions = [draws.randrange(2**34) for _ in seeds]
    samples = [draws.randrange(1000) for _ in seeds]
    keys = zip(seeds, positions, samples, strict=True)
    assert uniforms(seeds, positions, samples).tolist() == [uniform(*key) for key in keys]


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.0},
        {"top_k": 5},
        {"top_p": 0.9},
        {"min_p": 0.1},
        {"frequency_penalty": 0.5},
        {"presence_penalty": 0.5},
        {"repetition_penalty": 1.1},
        {"logit_bias": {1: 1.0}},
        {"top_log_probs": 2},
    ],
)
def test_other_settings_are_applied_row_by_row(changes: dict[str, object]) -> None:
    assert is_plain(SamplingConfig(temperature=0.7))
    assert not is_plain(SamplingConfig(**changes))  # type: ignore[arg-type]
