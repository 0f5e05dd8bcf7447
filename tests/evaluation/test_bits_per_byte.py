import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chatwright.evaluation.bits_per_byte import bits_per_byte, nats_per_token, windows
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from tests.evaluation.byte_tokenizer import ByteTokenizer

DOCUMENTS = ["The cat sat.", "", "Ünïcödé — 猫 🐈, twice.", "x", "a longer one, " * 5]


class PrefixModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.embed = nn.Parameter(torch.randn(258, 8, generator=generator))
        self.out = nn.Parameter(torch.randn(8, 258, generator=generator))

    def forward(self, token_ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return torch.tanh(self.embed[token_ids].cumsum(dim=1)) @ self.out


class UniformModel(nn.Module):
    def forward(self, token_ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return torch.zeros(*token_ids.shape, 258)


def slow_nats(model: nn.Module, stream: list[int], context_length: int) -> float:
    """Token by token: token t is predicted from the inputs of its window that come before it."""
    total = 0.0
    with torch.no_grad():
        for t in range(1, len(stream)):
            window_start = (t - 1) // context_length * context_length
            logits = model(torch.tensor([stream[window_start:t]]))[0, -1].double()
            total -= float(logits[stream[t]] - logits.logsumexp(dim=0))
    return total


@pytest.mark.parametrize("context_length", [1, 4, 16, 1000])
def test_equals_the_sum_over_single_tokens(context_length: int) -> None:
    model = PrefixModel()
    nats = sum(
        slow_nats(model, [256, *document.encode()], context_length) for document in DOCUMENTS
    )
    size = sum(len(document.encode()) for document in DOCUMENTS)
    score = bits_per_byte(model, ByteTokenizer(), DOCUMENTS, context_length)
    assert score.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert (score.n_byte, score.n_token, score.n_document) == (size, size, 4)


def test_equals_the_sum_over_single_tokens_with_the_real_model() -> None:
    model = GPT(
        GPTConfig(
            vocab_size=258,
            context_length=16,
            n_layer=2,
            n_head=2,
            n_kv_head=1,
            head_dim=8,
            d_model=16,
            d_ff=32,
        )
    )
    init_weights(model, torch.Generator().manual_seed(1))
    nats = sum(slow_nats(model, [256, *document.encode()], 16) for document in DOCUMENTS)
    assert bits_per_byte(model, ByteTokenizer(), DOCUMENTS, 16).nats == pytest.approx(
        nats, rel=1e-5
    )


def test_a_uniform_model_spends_log2_of_its_vocabulary_on_every_byte() -> None:
    assert bits_per_byte(
        UniformModel(), ByteTokenizer(), "any text 猫", 4
    ).bits_per_byte == pytest.approx(math.log2(258), rel=1e-6)


def test_a_string_is_one_document() -> None:
    model = PrefixModel()
    assert bits_per_byte(model, ByteTokenizer(), "abcdef", 4) == bits_per_byte(
        model, ByteTokenizer(), iter(["abcdef"]), 4
    )
    assert (
        bits_per_byte(model, ByteTokenizer(), ["abc", "def"], 4).nats
        != bits_per_byte(model, ByteTokenizer(), "abcdef", 4).nats
    )


def test_a_tokenizer_that_loses_bytes_is_refused() -> None:
    class Lossy(ByteTokenizer):
        def encode(self, text: str) -> Any:
            return list(text.encode("ascii", errors="ignore"))

    with pytest.raises(
        ValueError, match="document 1: its tokens stand for 4 bytes, the text has 6"
    ):
        bits_per_byte(PrefixModel(), Lossy(), ["plain", "naïve"], 4)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="every document is empty"):
        bits_per_byte(PrefixModel(), ByteTokenizer(), ["", ""], 4)
    with pytest.raises(ValueError, match="needs at least 2"):
        nats_per_token(PrefixModel(), [1], 4)
    with pytest.raises(ValueError, match=r"context_length \(0\)"):
        nats_per_token(PrefixModel(), [1, 2, 3], 0)


@pytest.mark.parametrize("context_length", [1, 3, 7, 8, 9, 50])
def test_nats_per_token_counts_every_token_but_the_first_once(context_length: int) -> None:
    model, stream = PrefixModel(), list(b"a stream of characters")
    expected = slow_nats(model, stream, context_length) / (len(stream) - 1)
    assert nats_per_token(model, stream, context_length) == pytest.approx(expected, rel=1e-5)
    assert nats_per_token(model, torch.tensor(stream), context_length) == nats_per_token(
        model, stream, context_length
    )


def test_windows_by_hand() -> None:
    assert windows([0, 1, 2, 3, 4, 5, 6], 3) == [[0, 1, 2, 3], [3, 4, 5, 6]]
    assert windows([0, 1, 2, 3, 4], 3) == [[0, 1, 2, 3], [3, 4]]
    assert windows([0], 3) == []
