"""Tokens drawn together equal those drawn one by one, to the last bit of the log-probability."""

import random

import pytest
import torch
from torch import Tensor

from chatwright.engine.batched_sampling import adjust_rows, sample_tokens
from chatwright.engine.messages import MAX_SEED, MIN_SEED, SamplingConfig
from chatwright.engine.philox import uniform, uniforms
from chatwright.engine.sampling import NO_TOKENS, Draw, adjust_logits, sample_token

SETTINGS: list[dict[str, object]] = [
    {"temperature": 0.0},
    {},
    {"temperature": 0.7},
    {"top_k": 1},
    {"top_k": 5, "temperature": 1.3},
    {"top_k": 1_000_000},
    {"top_p": 0.9},
    {"top_p": 1e-9},
    {"top_p": 0.9999999, "temperature": 2.0},
    {"min_p": 0.1},
    {"min_p": 1.0},
    {"typical_p": 0.3},
    {"typical_p": 0.9, "top_k": 7},
    {"frequency_penalty": 0.5},
    {"presence_penalty": 0.3, "temperature": 0.0},
    {"repetition_penalty": 1.1},
    {"repetition_penalty": 0.7, "frequency_penalty": -1.3, "top_log_probs": 3},
    {"logit_bias": {1: 1.7, 0: -100.0}},
    {"top_log_probs": 20, "temperature": 0.0},
    {
        "temperature": 0.6,
        "top_k": 40,
        "top_p": 0.8,
        "min_p": 0.02,
        "typical_p": 0.95,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "repetition_penalty": 1.2,
        "logit_bias": {0: 3.3},
    },
]


def draw(row: int, settings: dict[str, object], vocab_size: int) -> Draw:
    """Make a reply with the given settings; a third of the replies has banned ids."""
    ids = torch.Generator().manual_seed(row)
    prompt = torch.randint(vocab_size, (9,), generator=ids)
    generated = torch.randint(vocab_size, (row % 7,), generator=ids)
    is_banned = row % 3 == 0 and vocab_size > 2
    banned = torch.tensor([row % (vocab_size - 1)]) if is_banned else NO_TOKENS
    config = SamplingConfig(**settings)  # type: ignore[arg-type]
    return Draw(config, prompt, generated, banned, (1000 + row, len(generated), row))


def logits_of(n_row: int, vocab_size: int) -> Tensor:
    logits = 4 * torch.randn(n_row, vocab_size, generator=torch.Generator().manual_seed(n_row))
    logits[0, 1:] = -200.0  # a token that is almost certain
    if n_row > 2:
        logits[1] = logits[1].round()  # many equally probable tokens
        logits[2] = 0.0  # all equally probable
    return logits


@pytest.mark.parametrize("vocab_size", [2, 7, 61, 300, 4097, 50_000])
@pytest.mark.parametrize("n_repeat", [1, 3])
def test_tokens_equal_those_of_each_reply_alone(vocab_size: int, n_repeat: int) -> None:
    settings = SETTINGS * n_repeat
    random.Random(n_repeat).shuffle(settings)  # which settings meet which kind of logits
    draws = [draw(row, one, vocab_size) for row, one in enumerate(settings)]
    logits = logits_of(len(draws), vocab_size)
    expected = [sample_token(row, one) for row, one in zip(logits, draws, strict=True)]
    assert sample_tokens(logits, draws) == expected
    for count in (1, 2, 5):
        assert sample_tokens(logits[:count], draws[:count]) == expected[:count]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("vocab_size", [61, 1000])
def test_adjusted_logits_equal_those_of_each_reply_alone(
    settings: dict[str, object], vocab_size: int
) -> None:
    draws = [draw(row, settings if row % 2 else {}, vocab_size) for row in range(12)]
    logits = logits_of(len(draws), vocab_size)
    before = logits.clone()
    adjusted = adjust_rows(logits.double(), draws)
    for row, one in enumerate(draws):
        parts = (one.config, one.prompt_ids, one.generated_ids, one.banned_ids)
        assert torch.equal(adjusted[row], adjust_logits(logits[row], *parts)), row
    assert torch.equal(logits, before), "the caller's logits are not changed"


def test_top_p_beyond_the_candidates_equals_that_of_each_reply_alone() -> None:
    draws = [draw(row, {"top_p": 0.6 + 0.1 * row}, 4097) for row in range(4)]
    logits = torch.randn(4, 4097, generator=torch.Generator().manual_seed(5)) / 4
    assert adjust_rows(logits.double(), draws).isfinite().sum(dim=1).min() > 1000
    assert sample_tokens(logits, draws) == [
        sample_token(row, one) for row, one in zip(logits, draws, strict=True)
    ]


def test_random_numbers_equal_those_of_the_pure_python_form() -> None:
    draws = random.Random(1)
    seeds = [draws.randint(MIN_SEED, MAX_SEED) for _ in range(200)] + [MIN_SEED, MAX_SEED, 0, -1]
    positions = [draws.randrange(2**34) for _ in seeds]
    samples = [draws.randrange(1000) for _ in seeds]
    keys = zip(seeds, positions, samples, strict=True)
    assert uniforms(seeds, positions, samples).tolist() == [uniform(*key) for key in keys]
