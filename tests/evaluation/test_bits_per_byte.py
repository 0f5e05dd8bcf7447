"""Bits per byte equal a token-by-token computation, whatever the windows."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.evaluation.bits_per_byte import bits_per_byte, nats_per_token, windows
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from tests.evaluation.byte_tokenizer import ByteTokenizer

DOCUMENTS = ["The cat sat.", "", "Ünïcödé — 猫 🐈, twice.", "x", "a longer one, " * 5]


class PrefixModel(nn.Module):
    """A causal model whose logits depend on all tokens so far."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.embed = nn.Parameter(torch.randn(258, 8, generator=generator))
        self.out = nn.Parameter(torch.randn(8, 258, generator=generator))

    def forward(self, token_ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return torch.tanh(self.embed[token_ids].cumsum(dim=1)) @ self.out


class UniformModel(nn.Module):
    """A model that gives every token the same probability."""

    def forward(self, token_ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return torch.zeros(*token_ids.shape, 258)


def slow_nats(model: nn.Module, stream: list[int], context_length: int) -> float:
    """Add up the loss of each token, predicted from the preceding inputs of its window."""
    total = 0.0
    with torch.no_grad():
        for t in range(1, len(stream)):
            window_start = (t - 1) // context_length * context_length
            logits = model(torch.tensor([stream[window_start:t]]))[0, -1].double()
            total -= float(logits[stream[t]] - logits.logsumexp(dim=0))
    return total


@pytest.mark.parametrize("context_length", [1, 4, 16, 1000])
def test_the_score_equals_the_sum_over_single_tokens(context_length: int) -> None:
    model = PrefixModel()
    nats = sum(
        slow_nats(model, [256, *document.encode()], context_length) for document in DOCUMENTS
    )
    size = sum(len(document.encode()) for document in DOCUMENTS)
    score = bits_per_byte(model, ByteTokenizer(), DOCUMENTS, context_length)
    assert score.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert (score.n_byte, score.n_token, score.n_document) == (size, size, 4)


def test_the_score_of_a_gpt_equals_the_sum_over_single_tokens() -> None:
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
    score = bits_per_byte(model, ByteTokenizer(), DOCUMENTS, 16)
    assert score.nats == pytest.approx(nats, rel=1e-5)


def test_a_uniform_model_needs_log2_of_its_vocabulary_per_byte() -> None:
    score = bits_per_byte(UniformModel(), ByteTokenizer(), "any text 猫", 4)
    assert score.bits_per_byte == pytest.approx(math.log2(258), rel=1e-6)


def test_a_string_is_one_document() -> None:
    model, tokenizer = PrefixModel(), ByteTokenizer()
    score = bits_per_byte(model, tokenizer, "abcdef", 4)
    assert score == bits_per_byte(model, tokenizer, iter(["abcdef"]), 4)
    assert score.nats != bits_per_byte(model, tokenizer, ["abc", "def"], 4).nats


def test_a_tokenizer_that_loses_bytes_of_a_document_is_refused() -> None:
    class ASCIITokenizer(ByteTokenizer):
        def encode(self, text: str) -> Any:
            return list(text.encode("ascii", errors="ignore"))

    with pytest.raises(InputError) as caught:
        bits_per_byte(PrefixModel(), ASCIITokenizer(), ["plain", "naïve"], 4)
    assert (caught.value.field, caught.value.value) == ("documents", 1)


@pytest.mark.parametrize(
    ("stream", "context_length", "field"),
    [([1], 4, "stream"), ([1, 2, 3], 0, "context_length")],
)
def test_a_stream_of_one_token_or_a_context_of_zero_is_refused(
    stream: list[int], context_length: int, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        nats_per_token(PrefixModel(), stream, context_length)
    assert caught.value.field == field


def test_documents_that_are_all_empty_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        bits_per_byte(PrefixModel(), ByteTokenizer(), ["", ""], 4)
    assert caught.value.field == "documents"


@pytest.mark.parametrize("context_length", [1, 3, 7, 8, 9, 50])
def test_nats_per_token_is_the_mean_loss_of_all_tokens_but_the_first(context_length: int) -> None:
    model, stream = PrefixModel(), list(b"a stream of characters")
    expected = slow_nats(model, stream, context_length) / (len(stream) - 1)
    assert nats_per_token(model, stream, context_length) == pytest.approx(expected, rel=1e-5)
    from_tensor = nats_per_token(model, torch.tensor(stream), context_length)
    assert from_tensor == nats_per_token(model, stream, context_length)


def test_the_last_target_of_a_window_is_the_first_input_of_the_next() -> None:
    assert windows([0, 1, 2, 3, 4, 5, 6], 3) == [[0, 1, 2, 3], [3, 4, 5, 6]]
    assert windows([0, 1, 2, 3, 4], 3) == [[0, 1, 2, 3], [3, 4]]
    assert windows([0], 3) == []
