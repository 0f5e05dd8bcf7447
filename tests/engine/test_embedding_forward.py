"""Vectors of texts: bit-identical alone and in a batch, equal to the padded computation."""

from typing import Any

import pytest
import torch

from chatwright.devices import generator
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.model.linear import Linear
from chatwright.model.pooling import POOLING_KINDS
from chatwright.model.text_vectors import text_vectors

PAD = 0
SMALL: dict[str, Any] = {
    "n_layer": 2,
    "n_head": 2,
    "head_dim": 16,
    "d_model": 32,
    "d_ff": 48,
    "context_length": 70,
    "head": "none",
    "vocab_size": 90,
}
SHAPES: dict[str, dict[str, Any]] = {
    "bert-base": SMALL,
    "roberta-base": SMALL | {"position_offset": 2},
    "distilbert": SMALL,
    "albert-base": SMALL | {"embedding_size": 8},
    "mobilebert": SMALL | {"head_dim": 8, "embedding_size": 8, "bottleneck": 16},
    "nano": SMALL | {"ngrams": (2,), "ngram_rows": 64},
}


def encoder(size: str, **changes: Any) -> Encoder:
    model = Encoder(encoder_preset(size, **SHAPES[size] | changes))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(1, name)))
    return model


def texts(n: int, longest: int = 70) -> list[list[int]]:
    draws = generator(2, "texts")
    lengths = torch.randint(2, longest + 1, (n,), generator=draws).tolist()
    return [torch.randint(1, 90, (length,), generator=draws).tolist() for length in lengths]


@pytest.mark.parametrize(
    ("size", "pooling"),
    [*((size, "mean") for size in SHAPES), *(("bert-base", kind) for kind in POOLING_KINDS[1:])],
)
def test_a_vector_has_the_same_bits_alone_and_in_any_batch(size: str, pooling: str) -> None:
    rows = texts(60, longest=20) + texts(4)
    with EmbeddingForward(encoder(size, pooling=pooling, normalized_vectors=True)) as forward:
        together = forward.vectors(rows)
        backwards = forward.vectors(rows[::-1]).flip(0)
        halves = torch.cat([forward.vectors(rows[:7]), forward.vectors(rows[7:])])
        alone = torch.cat([forward.vectors([row]) for row in rows])
    for other in (backwards, halves, alone):
        assert torch.equal(together, other)


@pytest.mark.parametrize("size", SHAPES)
def test_vectors_equal_those_of_padded_texts(size: str) -> None:
    model = encoder(size).eval()
    with torch.no_grad():  # MobileBERT's trigrams read the padding after the last token
        model.embedding.weight[PAD].zero_()
    rows = texts(12)
    longest = max(map(len, rows))
    padded = torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])
    with torch.no_grad():
        expected = text_vectors(model, padded, torch.tensor([len(row) for row in rows]))
    with EmbeddingForward(model) as forward:
        torch.testing.assert_close(forward.vectors(rows), expected, atol=1e-5, rtol=1e-4)


def test_batches_are_limited_by_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwright.engine.embedding_forward.TOKENS_PER_BATCH", 64)
    model = encoder("bert-base")
    shapes: list[torch.Size] = []
    compute = model.hidden_states

    def observed(token_ids: torch.Tensor) -> torch.Tensor:
        shapes.append(token_ids.shape)
        return compute(token_ids)

    monkeypatch.setattr(model, "hidden_states", observed)
    rows = [[1] * 30] * 5 + [[1] * 70]
    with EmbeddingForward(model) as forward:
        forward.vectors(rows)
    assert [tuple(shape) for shape in shapes] == [(2, 30), (2, 30), (1, 30), (1, 70)]


def test_closing_restores_the_model_for_training() -> None:
    model = encoder("bert-base").train()
    with EmbeddingForward(model) as forward:
        assert not model.training
        assert forward.has_packed_kernels == any(
            module.packed is not None for module in model.modules() if isinstance(module, Linear)
        )
    assert model.training
    assert all(m.packed is None for m in model.modules() if isinstance(m, Linear))


def test_no_text_gives_no_vector() -> None:
    with EmbeddingForward(encoder("bert-base")) as forward:
        assert forward.vectors([]).shape == (0, 32)
