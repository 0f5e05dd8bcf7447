"""Copying the trunk of a model into a model with another head."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import encoder, gpt
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_presets import encoder_preset
from chatwright.model.gpt import GPT
from chatwright.model.presets import preset
from chatwright.model.transfer import copy_trunk

TOKENS = torch.arange(20).view(2, 10)


def decoder(seed: int, **changes: object) -> GPT:
    model = GPT(preset("nano", vocab_size=97, **changes))
    gpt.init_weights(model, generator(seed, "weights"))
    return model


def small_encoder(seed: int, **changes: object) -> Encoder:
    model = Encoder(encoder_preset("nano", vocab_size=97, **changes))
    encoder.init_weights(model, generator(seed, "weights"))
    return model


@pytest.mark.parametrize(
    ("changes", "not_copied"),
    [
        ({"head": "scalar"}, ["scalar_head.score.weight"]),
        ({"head": "labels", "labels": ("a", "b")}, ["label_head.labels.weight"]),
        ({"head": "none"}, []),
    ],
    ids=str,
)
@pytest.mark.parametrize("tied", [True, False])
def test_the_trunk_of_a_language_model_is_copied_into_a_model_with_another_head(
    changes: dict, not_copied: list[str], tied: bool
) -> None:
    language_model = decoder(0, tied=tied)
    model = decoder(1, tied=tied, **changes)
    assert copy_trunk(language_model, model) == not_copied
    assert torch.equal(model.hidden_states(TOKENS), language_model.hidden_states(TOKENS))


def test_a_value_model_starts_with_all_weights_of_the_reward_model() -> None:
    reward_model, value_model = decoder(0, head="scalar"), decoder(1, head="scalar")
    reward_model.scalar_head.score.weight.data.fill_(0.5)
    assert copy_trunk(reward_model, value_model) == []
    assert torch.equal(value_model(TOKENS), reward_model(TOKENS))


def test_label_scores_are_copied_only_if_the_labels_are_the_same() -> None:
    trained = small_encoder(0, head="labels", labels=("a", "b"), pooler="tanh")
    trained.label_head.labels.weight.data.fill_(0.5)
    same = small_encoder(1, head="labels", labels=("a", "b"), pooler="tanh")
    assert copy_trunk(trained, same) == []
    other = small_encoder(1, head="labels", labels=("c", "d"), pooler="tanh")
    assert copy_trunk(trained, other) == ["label_head.labels.weight", "label_head.labels.bias"]
    assert not other.label_head.labels.weight.any()
    assert torch.equal(other.label_head.dense.weight, trained.label_head.dense.weight)


def test_new_n_gram_tables_are_allowed_and_stay_zero() -> None:
    plain, model = small_encoder(0), small_encoder(1, ngrams=(2, 3))
    assert copy_trunk(plain, model) == ["ngrams.tables.0", "ngrams.tables.1"]
    assert torch.equal(model(TOKENS), plain(TOKENS))


@pytest.mark.parametrize(
    ("source", "target", "field"),
    [
        ({}, {"d_model": 32}, "embedding.weight"),
        ({}, {"qk_norm": True}, "blocks.0.attention.query_norm.weight"),
        ({"qk_norm": True}, {}, "blocks.0.attention.query_norm.weight"),
        ({"ngrams": (2,)}, {}, "ngrams.tables.0"),
    ],
    ids=str,
)
def test_a_copy_that_loses_weights_or_leaves_random_ones_is_refused(
    source: dict, target: dict, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        copy_trunk(small_encoder(0, **source), small_encoder(1, **target))
    assert caught.value.field == field
