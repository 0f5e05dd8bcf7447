"""Vectors of texts follow the pooling of the settings; padding does not change them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.model.pooling import POOLING_KINDS
from chatwright.model.text_vectors import text_vectors

TEXTS = [[5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15]]
LENGTHS = torch.tensor([6, 2, 3])


def encoder(**settings: Any) -> Encoder:
    model = Encoder(encoder_preset("nano", vocab_size=50, context_length=12, **settings))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(1, name)))
    return model.eval()


def padded(filler: int) -> Tensor:
    return torch.tensor([[*ids, *[filler] * (6 - len(ids))] for ids in TEXTS])


@pytest.mark.parametrize("pooling", POOLING_KINDS)
@torch.no_grad()
def test_the_vector_of_a_padded_text_is_that_of_the_text_alone(pooling: str) -> None:
    model = encoder(head="none", pooling=pooling)
    together = text_vectors(model, padded(0), LENGTHS)
    for ids, vector in zip(TEXTS, together, strict=True):
        hidden = model(torch.tensor([ids]))[0]  # (T, D)
        pooled = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling]
        torch.testing.assert_close(vector, pooled, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(text_vectors(model, padded(3), LENGTHS), together)


@torch.no_grad()
def test_normalized_vectors_have_length_1_and_the_same_direction() -> None:
    plain = text_vectors(encoder(), padded(0), LENGTHS)
    unit = text_vectors(encoder(normalized_vectors=True), padded(0), LENGTHS)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(unit * plain.norm(dim=1, keepdim=True), plain)
    assert bool((plain.norm(dim=1) > 1.01).all())


@torch.no_grad()
def test_vectors_do_not_depend_on_the_head() -> None:
    vectors = text_vectors(encoder(), padded(0), LENGTHS)
    without_head = text_vectors(encoder(head="none"), padded(0), LENGTHS)
    torch.testing.assert_close(vectors, without_head)


def test_the_longest_text_is_the_setting_but_never_above_the_context() -> None:
    assert encoder().config.text_length == 12
    assert encoder(max_text_tokens=7).config.text_length == 7
    assert encoder(max_text_tokens=70).config.text_length == 12
    with pytest.raises(InputError) as caught:
        encoder(max_text_tokens=-1)
    assert (caught.value.field, caught.value.value) == ("max_text_tokens", -1)
