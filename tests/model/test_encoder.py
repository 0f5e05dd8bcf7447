"""The encoder: outputs do not depend on padding or packing; every token sees every other.

tests/parity compares encoders with transformers.
"""

from typing import Any

import pytest
import torch

from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import masks
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_config import EncoderConfig


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Draw three rows of 21, 30 and 13 tokens, padded with token 1. (B, T), (B,)."""
    lengths = torch.tensor([21, 30, 13])
    token_ids = torch.randint(2, 97, (3, 30), generator=generator(2, "tokens"))
    return token_ids.masked_fill(torch.arange(30) >= lengths[:, None], 1), lengths


SMALL_SHAPE = {
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
    {"embedding_size": 8, "n_block": 1},
    {"head": "labels", "labels": ("a", "b", "c"), "pooler": "tanh"},
    {"head": "none"},
]


def make(**changes: Any) -> Encoder:
    model = Encoder(EncoderConfig(**(SMALL_SHAPE | changes)))
    init_weights(model, generator(0, "weights"))
    # The weights of a fresh model are so small that a missing part would not change the output.
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.mul_(6)
            if p.ndim == 1 or name.startswith(("ngrams.", "label_head.labels.")):
                p.uniform_(0.5, 1.5, generator=generator(1, name))
    return model.eval()


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_padding_does_not_change_the_output(changes: dict[str, Any]) -> None:
    model, (token_ids, lengths) = make(**changes), batch()
    with torch.no_grad():
        padded = model(token_ids, masks.padding(lengths, 30))
        for row, length in enumerate(lengths.tolist()):
            alone = model(token_ids[row : row + 1, :length])[0]
            in_batch = padded[row] if model.config.head == "labels" else padded[row, :length]
            torch.testing.assert_close(in_batch, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes", [kind for kind in KINDS if kind.get("head") != "labels"], ids=str
)
def test_documents_packed_into_one_row_equal_documents_alone(changes: dict[str, Any]) -> None:
    model, (token_ids, _) = make(**changes), batch()
    row = token_ids[1:2]
    ids, positions = torch.tensor([[0] * 11 + [1] * 19]), torch.tensor([[*range(11), *range(19)]])
    with torch.no_grad():
        packed = model(row, masks.same_document(ids), positions)
        torch.testing.assert_close(packed[:, :11], model(row[:, :11]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(packed[:, 11:], model(row[:, 11:]), atol=1e-5, rtol=1e-5)
        # Without the mask the documents see each other, so this comparison can fail.
        assert not torch.allclose(packed, model(row), atol=1e-3)


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_every_token_sees_every_other(changes: dict[str, Any]) -> None:
    model, (token_ids, _) = make(**changes), batch()
    other = token_ids.clone()
    other[:, 20] = (other[:, 20] + 1) % 97
    with torch.no_grad():
        difference = (model(token_ids) - model(other)).abs()
    assert bool((difference.amax(-1) > 0).all())


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_outputs_are_equal_with_and_without_gradients_and_every_weight_has_a_gradient(
    changes: dict[str, Any],
) -> None:
    model, (token_ids, lengths) = make(**changes), batch()
    with torch.no_grad():
        fused = model(token_ids, masks.padding(lengths, 30))
    out = model(token_ids, masks.padding(lengths, 30))
    torch.testing.assert_close(out, fused, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    without_gradient = [
        name for name, p in model.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert without_gradient == []


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
def test_first_only_gives_the_first_token_of_the_whole_output(
    changes: dict[str, Any], packed: bool
) -> None:
    model, (token_ids, lengths) = make(**changes), batch()
    mask = (
        masks.same_document((torch.arange(30) >= lengths[:, None]).long())
        if packed
        else masks.padding(lengths, 30)
    )
    for gradients in (False, True):  # inference and training use different attention code
        with torch.set_grad_enabled(gradients):
            whole = model.hidden_states(token_ids, mask)
            first = model.hidden_states(token_ids, mask, first_only=True)
        assert first.shape == (3, 1, 32)
        torch.testing.assert_close(first[:, 0], whole[:, 0], atol=1e-5, rtol=1e-5)


def test_a_head_gate_of_one_has_no_effect_and_one_of_zero_removes_the_attention_head() -> None:
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


def test_a_shared_block_reports_its_attention_once_per_layer() -> None:
    model, (token_ids, _) = make(n_block=1), batch()
    observed: list[torch.Tensor] = []
    with torch.no_grad():
        plain = model(token_ids)
        stop = model.blocks[0].attention.observe(observed.append)
        assert torch.equal(model(token_ids), plain)
        stop()
    assert [tuple(weights.shape) for weights in observed] == [(3, 2, 30, 30)] * 2
    torch.testing.assert_close(observed[1].sum(-1), torch.ones(3, 2, 30))


def test_a_fresh_classifier_gives_all_labels_equal_probabilities() -> None:
    model = Encoder(EncoderConfig(**SMALL_SHAPE, head="labels", labels=("a", "b", "c", "d")))
    init_weights(model, generator(0, "weights"))
    assert torch.equal(model(batch()[0]).softmax(-1), torch.full((3, 4), 0.25))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n_layer": 3, "n_block": 2}, "n_block"),
        ({"head": "language_model"}, "head"),
        ({"labels": ("a", "b")}, "labels"),
        ({"head": "labels"}, "labels"),
        ({"head": "labels", "labels": ("a", "a")}, "labels"),
        ({"bottleneck": 16}, "bottleneck"),
        ({"n_feed_forward": 2}, "n_feed_forward"),
        ({"trigram_input": True}, "trigram_input"),
        ({"dropout": 1.0}, "dropout"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_with_their_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        EncoderConfig(**(SMALL_SHAPE | changes))
    assert caught.value.field == field
    assert caught.value.remedy
