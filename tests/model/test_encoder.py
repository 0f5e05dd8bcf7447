"""The encoder equals transformers' BERT, RoBERTa, DistilBERT, ALBERT and MobileBERT with the same weights, in every branch; and its own laws."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from chatwright.checkpoint.families import albert, bert, distilbert, mobilebert, roberta
from chatwright.checkpoint.family import Family, to_ours
from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.encoder import Encoder, EncoderConfig, init_weights

SMALL = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
         "max_position_embeddings": 40, "initializer_range": 0.3}
DISTILLED = {"vocab_size": 97, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 40, "initializer_range": 0.3}
MOBILE = SMALL | {"embedding_size": 12, "intra_bottleneck_size": 16}
# family, class prefix, settings
CASES: list[tuple[Family, str, dict[str, Any]]] = [
    (bert.BERT, "Bert", SMALL),
    (bert.BERT, "Bert", SMALL | {"hidden_act": "gelu_new", "type_vocab_size": 3}),
    (roberta.ROBERTA, "Roberta", SMALL | {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    (distilbert.DISTILBERT, "DistilBert", DISTILLED),
    (distilbert.DISTILBERT, "DistilBert", DISTILLED | {"activation": "relu", "sinusoidal_pos_embds": True}),
    (albert.ALBERT, "Albert", SMALL | {"embedding_size": 12}),
    (albert.ALBERT, "Albert", SMALL | {"embedding_size": 12, "num_hidden_groups": 3, "hidden_act": "gelu"}),
    (mobilebert.MOBILEBERT, "MobileBert", MOBILE),
    (mobilebert.MOBILEBERT, "MobileBert", MOBILE | {"use_bottleneck_attention": True, "num_feedforward_networks": 1, "classifier_activation": False}),
    (mobilebert.MOBILEBERT, "MobileBert", MOBILE | {"trigram_input": False}),
]
HEADS = ["ForMaskedLM", "ForSequenceClassification", "Model"]


def theirs_and_ours(family: Family, name: str, settings: dict[str, Any]) -> tuple[Any, Encoder]:
    """A model of transformers with random weights, and ours with the same."""
    import transformers
    prefix = next(name.removesuffix(head) for head in HEADS if name.endswith(head))
    config = getattr(transformers, f"{prefix}Config")(**settings, num_labels=3)
    theirs = getattr(transformers, name)(config).eval()
    with torch.no_grad():    # biases and norms away from 0 and 1, so that a forgotten one shows
        for key, p in theirs.named_parameters():
            if p.ndim == 1:
                p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(1, key)))
    made = family.from_public(config.to_dict() | {"architectures": [name]})
    assert isinstance(made, EncoderConfig)
    ours = Encoder(made).eval()
    own = dict(ours.named_parameters())
    tensors = to_ours(family.weights(made), theirs.state_dict(), {key: p.shape for key, p in own.items()})
    assert tensors.keys() == own.keys()
    with torch.no_grad():
        for key, p in own.items():
            p.copy_(tensors[key])
    return theirs, ours


def batch(vocab: int = 97) -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows of 21, 30 and 13 tokens, padded with the token 1. (B, T), (B,)"""
    lengths = torch.tensor([21, 30, 13])
    token_ids = torch.randint(2, vocab, (3, 30), generator=generator(2, "tokens"))
    return token_ids.masked_fill(torch.arange(30) >= lengths[:, None], 1), lengths


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("family", "prefix", "settings"), CASES, ids=lambda case: getattr(case, "name", None))
def test_logits_equal_those_of_transformers(family: Family, prefix: str, settings: dict[str, Any], head: str) -> None:
    theirs, ours = theirs_and_ours(family, prefix + head, settings)
    token_ids, lengths = batch()
    exists = torch.arange(30) < lengths[:, None]
    types = {"token_type_ids": (torch.arange(30) > 9).long().expand(3, 30)} if settings.get("type_vocab_size", 2) > 1 else {}
    with torch.no_grad():
        wanted = theirs(input_ids=token_ids, attention_mask=exists.long(), **({} if prefix == "DistilBert" else types))
        given = ours(token_ids, masks.padding(lengths, 30), token_types=types.get("token_type_ids"))
    if head == "ForSequenceClassification":
        torch.testing.assert_close(given, wanted.logits, atol=1e-5, rtol=1e-5)
    else:
        expected = wanted.logits if head == "ForMaskedLM" else wanted.last_hidden_state
        torch.testing.assert_close(given[exists], expected[exists], atol=1e-5, rtol=1e-5)
    if head == "Model" and ours.label_head is not None:
        torch.testing.assert_close(ours.label_head.pooled(given), wanted.pooler_output, atol=1e-5, rtol=1e-5)


@pytest.mark.uses_global_rng
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("family", "prefix", "settings"), CASES, ids=lambda case: getattr(case, "name", None))
def test_a_config_survives_the_way_there_and_back(family: Family, prefix: str, settings: dict[str, Any], head: str) -> None:
    _, ours = theirs_and_ours(family, prefix + head, settings)
    every = (bert.BERT, roberta.ROBERTA, distilbert.DISTILBERT, albert.ALBERT, mobilebert.MOBILEBERT)
    assert [other.name for other in every if other.expresses(ours.config)] == [family.name]
    written = family.to_public(ours.config)
    assert written["architectures"] == [prefix + head]
    assert replace(family.from_public(written), embedding_dropout=ours.config.embedding_dropout) == ours.config


OWN = {"vocab_size": 97, "n_layer": 2, "width": 32, "hidden": 48, "n_head": 2, "head_dim": 16, "context_length": 64}
KINDS: list[dict[str, Any]] = [
    {}, {"ngrams": (2, 3), "ngram_rows": 50}, {"position": "sinusoidal", "norm_first": False, "norm": "layer", "bias": True, "embedding_norm": True},
    {"embedding_width": 8, "n_block": 1}, {"task": "classify", "labels": ("a", "b", "c"), "pooler": "tanh"}, {"task": "embed"}]


def make(**changes: Any) -> Encoder:
    model = Encoder(EncoderConfig(**(OWN | changes)))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():    # weights that matter: those of a fresh model are too small for a forgotten part to show
        for name, p in model.named_parameters():
            p.mul_(6)
            if p.ndim == 1 or name.startswith(("ngrams.", "label_head.labels.")):
                p.uniform_(0.5, 1.5, generator=generator(1, name))
    return model.eval()


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_padding_changes_nothing(changes: dict[str, Any]) -> None:
    model, (token_ids, lengths) = make(**changes), batch()
    with torch.no_grad():
        padded = model(token_ids, masks.padding(lengths, 30))
        for row, length in enumerate(lengths.tolist()):
            alone = model(token_ids[row: row + 1, :length])[0]
            there = padded[row] if model.config.task == "classify" else padded[row, :length]
            torch.testing.assert_close(there, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [kind for kind in KINDS if kind.get("task") != "classify"], ids=str)
def test_packed_documents_equal_documents_alone(changes: dict[str, Any]) -> None:
    model, (token_ids, _) = make(**changes), batch()
    row = token_ids[1:2]
    ids, positions = torch.tensor([[0] * 11 + [1] * 19]), torch.tensor([[*range(11), *range(19)]])
    with torch.no_grad():
        packed = model(row, masks.same_document(ids), positions)
        torch.testing.assert_close(packed[:, :11], model(row[:, :11]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(packed[:, 11:], model(row[:, 11:]), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(packed, model(row), atol=1e-3)    # the control: without the mask they see each other


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_every_token_sees_every_other(changes: dict[str, Any]) -> None:
    model, (token_ids, _) = make(**changes), batch()
    other = token_ids.clone()
    other[:, 20] = (other[:, 20] + 1) % 97
    with torch.no_grad():
        difference = (model(token_ids) - model(other)).abs()
    assert bool((difference.amax(-1) > 0).all())


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_training_and_inference_paths_agree_and_every_weight_has_a_gradient(changes: dict[str, Any]) -> None:
    model, (token_ids, lengths) = make(**changes), batch()
    with torch.no_grad():
        fused = model(token_ids, masks.padding(lengths, 30))
    out = model(token_ids, masks.padding(lengths, 30))
    torch.testing.assert_close(out, fused, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_gates_of_one_change_nothing_and_of_zero_remove_the_head() -> None:
    model, (token_ids, _) = make(), batch()
    gates = torch.ones(2, 2)
    with torch.no_grad():
        plain = model(token_ids)
        assert torch.equal(model(token_ids, head_gates=gates), plain)
        gates[1, 0] = 0
        gated = model(token_ids, head_gates=gates)
        model.blocks[1].attention.output.weight[:, :16] = 0
        torch.testing.assert_close(gated, model(token_ids))
    assert not torch.equal(gated, plain)


def test_a_shared_block_is_looked_at_once_a_layer() -> None:
    model, (token_ids, _) = make(n_block=1), batch()
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        plain = model(token_ids)
        stop = model.blocks[0].attention.observe(seen.append)
        assert torch.equal(model(token_ids), plain)
        stop()
    assert [tuple(weights.shape) for weights in seen] == [(3, 2, 30, 30)] * 2
    torch.testing.assert_close(seen[1].sum(-1), torch.ones(3, 2, 30))


def test_a_fresh_classifier_finds_every_label_equally_likely() -> None:
    model = Encoder(EncoderConfig(**OWN, task="classify", labels=("a", "b", "c", "d")))
    init_weights(model, generator(0, "weights"))
    assert torch.equal(model(batch()[0]).softmax(-1), torch.full((3, 4), 0.25))


@pytest.mark.parametrize(("changes", "message"), [
    ({"n_layer": 3, "n_block": 2}, r"n_layer \(3\) must be a multiple of n_block \(2\)"),
    ({"labels": ("a", "b")}, 'belong to task = "classify" and to no other'),
    ({"task": "classify"}, 'belong to task = "classify" and to no other'),
    ({"task": "classify", "labels": ("a", "a")}, "must be two or more different names"),
    ({"bottleneck": 16}, "goes with norm_first = false"),
    ({"n_feed_forward": 2}, "goes with a bottleneck"),
    ({"dropout": 1.0}, "must be at least 0 and below 1"),
], ids=str)
def test_wrong_settings_say_what_to_change(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderConfig(**(OWN | changes))
