"""The laws of the encoder: padding and company change nothing, every token sees every other. Equality with transformers: tests/parity."""

from typing import Any

import pytest
import torch

from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.encoder import Encoder, EncoderConfig, init_weights


def batch(vocab: int = 97) -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows of 21, 30 and 13 tokens, padded with the token 1. (B, T), (B,)"""
    lengths = torch.tensor([21, 30, 13])
    token_ids = torch.randint(2, vocab, (3, 30), generator=generator(2, "tokens"))
    return token_ids.masked_fill(torch.arange(30) >= lengths[:, None], 1), lengths


OWN = {
    "vocab_size": 97,
    "n_layer": 2,
    "d_model": 32,
    "d_ff": 48,
    "n_head": 2,
    "head_dim": 16,
    "context_length": 64,
}
KINDS: list[dict[str, Any]] = [
    {},
    {"ngrams": (2, 3), "ngram_rows": 50},
    {
        "position": "sinusoidal",
        "norm_first": False,
        "norm": "layer",
        "bias": True,
        "embedding_norm": True,
    },
    {"embedding_width": 8, "n_block": 1},
    {"task": "classify", "labels": ("a", "b", "c"), "pooler": "tanh"},
    {"task": "embed"},
]


def make(**changes: Any) -> Encoder:
    model = Encoder(EncoderConfig(**(OWN | changes)))
    init_weights(model, generator(0, "weights"))
    with (
        torch.no_grad()
    ):  # weights that matter: those of a fresh model are too small for a forgotten part to show
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
            alone = model(token_ids[row : row + 1, :length])[0]
            there = padded[row] if model.config.task == "classify" else padded[row, :length]
            torch.testing.assert_close(there, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes", [kind for kind in KINDS if kind.get("task") != "classify"], ids=str
)
def test_packed_documents_equal_documents_alone(changes: dict[str, Any]) -> None:
    model, (token_ids, _) = make(**changes), batch()
    row = token_ids[1:2]
    ids, positions = torch.tensor([[0] * 11 + [1] * 19]), torch.tensor([[*range(11), *range(19)]])
    with torch.no_grad():
        packed = model(row, masks.same_document(ids), positions)
        torch.testing.assert_close(packed[:, :11], model(row[:, :11]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(packed[:, 11:], model(row[:, 11:]), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(
            packed, model(row), atol=1e-3
        )  # the control: without the mask they see each other


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_every_token_sees_every_other(changes: dict[str, Any]) -> None:
    model, (token_ids, _) = make(**changes), batch()
    other = token_ids.clone()
    other[:, 20] = (other[:, 20] + 1) % 97
    with torch.no_grad():
        difference = (model(token_ids) - model(other)).abs()
    assert bool((difference.amax(-1) > 0).all())


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_training_and_inference_paths_agree_and_every_weight_has_a_gradient(
    changes: dict[str, Any],
) -> None:
    model, (token_ids, lengths) = make(**changes), batch()
    with torch.no_grad():
        fused = model(token_ids, masks.padding(lengths, 30))
    out = model(token_ids, masks.padding(lengths, 30))
    torch.testing.assert_close(out, fused, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    assert [
        name for name, p in model.named_parameters() if p.requires_grad and p.grad is None
    ] == []


@pytest.mark.parametrize(
    "changes",
    [
        *KINDS,
        {
            "bottleneck": 16,
            "norm_first": False,
            "norm": "affine",
            "position": "learned",
            "bias": True,
        },
    ],
    ids=str,
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_first_token_alone_is_the_first_token_of_all(
    changes: dict[str, Any], packed: bool
) -> None:
    model, (token_ids, lengths) = make(**changes), batch()
    mask = (
        masks.same_document((torch.arange(30) >= lengths[:, None]).long())
        if packed
        else masks.padding(lengths, 30)
    )
    for grad in (False, True):  # both paths of attention
        with torch.set_grad_enabled(grad):
            whole, first = (
                model.hidden_states(token_ids, mask),
                model.hidden_states(token_ids, mask, first_only=True),
            )
        assert first.shape == (3, 1, 32)
        torch.testing.assert_close(first[:, 0], whole[:, 0], atol=1e-5, rtol=1e-5)


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_layer": 3, "n_block": 2}, r"n_layer \(3\) must be a multiple of n_block \(2\)"),
        ({"labels": ("a", "b")}, 'belong to task = "classify" and to no other'),
        ({"task": "classify"}, 'belong to task = "classify" and to no other'),
        ({"task": "classify", "labels": ("a", "a")}, "must be two or more different names"),
        ({"bottleneck": 16}, "goes with norm_first = false"),
        ({"n_feed_forward": 2}, "goes with a bottleneck"),
        ({"dropout": 1.0}, "must be at least 0 and below 1"),
    ],
    ids=str,
)
def test_wrong_settings_say_what_to_change(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderConfig(**(OWN | changes))
