"""Embedding texts: order, cut texts, cosines and nearest texts, each by a slower computation."""

import math

import pytest
import torch
import torch.nn.functional as F

from chatwright.devices import generator
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.tasks.embed import Embedder, TextVector, cosine
from chatwright.tasks.nearest_texts import TextIndex
from chatwright.tokenizer import wordpiece

LONG = "the log and the dog and the cat and the mat"
TEXTS = ["the cat sat on the mat", "a dog", "", LONG, "cat"]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    tokenizer = wordpiece.train(TEXTS * 3, 60)
    model = Encoder(
        encoder_preset(
            "nano",
            vocab_size=tokenizer.vocab_size,
            context_length=40,
            max_text_tokens=10,
            head="none",
        )
    )
    init_weights(model, generator(0, "weights"))
    return Embedder(EmbeddingForward(model), tokenizer)


def test_each_text_gets_its_own_vector_in_order(embedder: Embedder) -> None:
    together = embedder.embed(TEXTS)
    assert [vector.text for vector in together] == TEXTS
    for found in together:
        [alone] = embedder.embed([found.text])
        assert torch.equal(found.vector, alone.vector)
        assert (found.n_token, found.n_left_out) == (alone.n_token, alone.n_left_out)
    assert len({tuple(found.vector.tolist()) for found in together}) == len(TEXTS)


def test_a_stream_is_read_only_as_far_as_its_batches(embedder: Embedder) -> None:
    n_read = 0

    def stream() -> object:
        nonlocal n_read
        for text in TEXTS:
            n_read += 1
            yield text

    found = embedder.embed_stream(stream(), batch=2)  # type: ignore[arg-type]
    read = [(next(found).text, n_read) for _ in range(3)]
    assert read == [(TEXTS[0], 2), (TEXTS[1], 2), (TEXTS[2], 4)]
    assert [vector.text for vector in found] == TEXTS[3:]


@torch.no_grad()
def test_a_text_longer_than_the_model_reads_loses_its_end(embedder: Embedder) -> None:
    ids = embedder.tokenizer.encode(TEXTS[3])
    assert len(ids) > 8
    [found] = embedder.embed([TEXTS[3]])
    assert (found.n_token, found.n_left_out) == (10, len(ids) - 8)
    control = embedder.encoder_tokens
    hidden = embedder.forward.model(torch.tensor([[control.cls, *ids[:8], control.sep]]))
    torch.testing.assert_close(found.vector, hidden[0].mean(0), atol=1e-5, rtol=1e-5)


def test_a_text_that_just_fits_loses_nothing(embedder: Embedder) -> None:
    text = "cat " * 8
    assert len(embedder.tokenizer.encode(text)) == 8
    [found] = embedder.embed([text])
    assert (found.n_token, found.n_left_out) == (10, 0)


def test_cosine_of_vectors_worked_out_by_hand() -> None:
    assert cosine(torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0])) == pytest.approx(1.0)
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])) == 0.0
    # cos of 135 degrees
    expected = -math.sqrt(0.5)
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([-5.0, 5.0])) == pytest.approx(expected)


def test_nearest_texts_are_those_of_a_full_comparison() -> None:
    vectors = torch.randn(50, 8, generator=generator(3, "vectors"))
    index = TextIndex(TextVector(str(i), vector, 3, 0) for i, vector in enumerate(vectors))
    query = 7.0 * vectors[17] + 0.1
    expected = sorted(
        range(50), key=lambda i: -float(F.cosine_similarity(vectors[i], query, dim=0))
    )
    found = index.nearest(query, 6)
    assert [int(near.text) for near in found] == expected[:6]
    assert [near.number for near in found] == [i + 1 for i in expected[:6]]
    assert found[0].cosine == pytest.approx(cosine(vectors[17], query), abs=1e-6)


def test_equal_texts_come_in_their_order_and_n_may_exceed_their_number() -> None:
    vector = torch.tensor([1.0, 1.0])
    index = TextIndex(TextVector(text, vector, 3, 0) for text in "abc")
    assert [near.text for near in index.nearest(vector, 10)] == ["a", "b", "c"]
