"""Attention equals a worked example and torch's implementations."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.attention import Attention, attend, attention_weights

KEYS = torch.tensor([[1.0, 2.0], [2.0, 5.0], [0.0, 1.0]])
VALUES = torch.tensor([[5.0, 2.0, 1.0, 4.0], [0.0, 1.0, 0.0, 1.0], [8.0, 4.0, 2.0, 1.0]])
# A worked example from lecture slides. Each row: query, weights, result, the keys that a mask lets
# the query see (counted from 1), masked result. The slides misprint 0.0818 as 1.01 and 0.1070 as
# 1.11.
WORKED_EXAMPLE = [
    ((1, 1), (0.0551, 0.9316, 0.0134), (0.3824, 1.0952, 0.0818, 1.1652), {1}, (5, 2, 1, 4)),
    (
        (0, 1),
        (0.1017, 0.8482, 0.0501),
        (0.9094, 1.2521, 0.2019, 1.3050),
        {1, 2},
        (0.5352, 1.1070, 0.1070, 1.3211),
    ),
    (
        (1, 0),
        (0.2840, 0.5760, 0.1400),
        (2.5402, 1.7041, 0.5641, 1.8520),
        {1, 2, 3},
        (2.5402, 1.7041, 0.5641, 1.8520),
    ),
    (
        (2, 2),
        (0.0035, 0.9963, 0.0002),
        (0.0190, 1.0041, 0.0039, 1.0104),
        {2, 3},
        (0.0017, 1.0006, 0.0004, 1.0000),
    ),
    ((1, 2), (0.0070, 0.9921, 0.0008), (0.0419, 1.0096, 0.0087, 1.0211), {3}, (8, 4, 2, 1)),
]


def to_four_places(x: Tensor) -> list[float]:
    return [round(value, 4) for value in x.flatten().tolist()]


@pytest.mark.parametrize(
    ("query", "weights", "result", "visible", "masked_result"),
    WORKED_EXAMPLE,
    ids=[str(row[0]) for row in WORKED_EXAMPLE],
)
def test_attention_weights_equal_the_worked_example(  # type: ignore[no-untyped-def]
    query, weights, result, visible, masked_result
) -> None:
    q = torch.tensor(query, dtype=torch.float32).view(1, 1, 1, 2)
    mask = torch.tensor([number in visible for number in (1, 2, 3)]).view(1, 1, 1, 3)
    computed = attention_weights(q, KEYS[None, None])
    assert to_four_places(computed) == list(weights)
    assert to_four_places(computed @ VALUES) == list(result)
    masked = attention_weights(q, KEYS[None, None], mask) @ VALUES
    assert to_four_places(masked) == [float(number) for number in masked_result]


def identity_attention() -> Attention:
    """Make an Attention whose projections are the identity, for the example padded to size 4.

    The example scales by 1/sqrt(2) and a head of size 4 by 1/sqrt(4), so queries are multiplied by
    sqrt(2).
    """
    attention = Attention(d_model=4, n_head=1)
    with torch.no_grad():
        for linear in (attention.query, attention.key, attention.value, attention.output):
            linear.weight.copy_(torch.eye(4))
        attention.query.weight.mul_(math.sqrt(2))
    return attention


def test_the_attention_module_equals_the_worked_example_for_all_queries_together() -> None:
    queries = torch.tensor([row[0] for row in WORKED_EXAMPLE], dtype=torch.float32)
    queries = F.pad(queries, (0, 2))[None]  # (1, 5, 4)
    context = F.pad(KEYS, (0, 2))[None]
    visible = [[number in row[3] for number in (1, 2, 3)] for row in WORKED_EXAMPLE]
    mask = torch.tensor(visible)[None, None]
    with torch.no_grad():
        unmasked = identity_attention()(queries, context=context, values=VALUES[None])
        masked = identity_attention()(queries, context=context, values=VALUES[None], mask=mask)
    assert to_four_places(unmasked) == [number for row in WORKED_EXAMPLE for number in row[2]]
    assert to_four_places(masked) == [float(number) for row in WORKED_EXAMPLE for number in row[4]]


def make(**changes: object) -> Attention:
    attention = Attention(**{"d_model": 24, "n_head": 4, **changes})  # type: ignore[arg-type]
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            parameter.normal_(0, 0.4, generator=generator(1, name))
    return attention


def draw(*shape: int, name: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(2, name))


def test_self_and_cross_attention_equal_torch_multihead_attention() -> None:
    attention = make(bias=True)
    reference = nn.utils.skip_init(nn.MultiheadAttention, 24, 4, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(
            torch.cat([attention.query.weight, attention.key.weight, attention.value.weight])
        )
        biases = [part.bias for part in (attention.query, attention.key, attention.value)]
        reference.in_proj_bias.copy_(torch.cat(biases))
        reference.out_proj.weight.copy_(attention.output.weight)
        reference.out_proj.bias.copy_(attention.output.bias)
        x = draw(2, 5, 24)
        context = draw(2, 7, 24, name="context")
        values = draw(2, 7, 24, name="values")
        allowed = draw(5, 7, name="mask") > -1
        allowed[:, 0] = True
        torch.testing.assert_close(
            attention(x), reference(x, x, x, need_weights=False)[0], atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            attention(x, context, values, allowed[None, None]),
            reference(x, context, values, attn_mask=~allowed, need_weights=False)[0],
            atol=1e-5,
            rtol=1e-5,
        )


def test_values_are_computed_from_the_context_by_default() -> None:
    attention, x, context = make(), draw(2, 5, 24), draw(2, 7, 24, name="context")
    torch.testing.assert_close(
        attention(x, context), attention(x, context, context), atol=0, rtol=0
    )


@pytest.mark.parametrize("mask", [None, masks.CAUSAL, "documents"])
def test_attend_equals_weights_times_values(mask: masks.Mask) -> None:
    q, k, v = (draw(2, 4, 6, 8, name=name) for name in "qkv")
    if mask == "documents":
        mask = masks.causal_documents(torch.tensor([[0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 1]]))
    torch.testing.assert_close(attend(q, k, v, mask), attention_weights(q, k, mask) @ v)


@pytest.mark.parametrize("mask", [None, masks.CAUSAL])
def test_grouped_key_value_heads_equal_repeated_ones(mask: masks.Mask) -> None:
    q = draw(2, 6, 5, 8, name="q")
    k, v = (draw(2, 2, 5, 8, name=name) for name in "kv")
    repeated = attend(q, k.repeat_interleave(3, dim=1), v.repeat_interleave(3, dim=1), mask)
    torch.testing.assert_close(attend(q, k, v, mask), repeated)


@pytest.mark.parametrize("mask_kind", ["none", "causal", "tiled"])
def test_observing_the_weights_does_not_change_the_output(mask_kind: str) -> None:
    attention, x = make(n_kv_head=2, qk_norm=True), draw(2, 9, 24)
    mask = {
        "none": None,
        "causal": masks.CAUSAL,
        "tiled": masks.causal_tiles(torch.arange(9).expand(2, 9), 9, 4, 2),
    }[mask_kind]
    observed: list[Tensor] = []
    with torch.no_grad():
        unobserved = attention(x, mask=mask)
        stop = attention.observe(observed.append)
        assert torch.equal(attention(x, mask=mask), unobserved)
        stop()
        assert torch.equal(attention(x, mask=mask), unobserved)
    assert [tuple(weights.shape) for weights in observed] == [(2, 4, 9, 9)]
    torch.testing.assert_close(observed[0].sum(-1), torch.ones(2, 4, 9))
    if mask_kind != "none":
        assert torch.equal(observed[0], observed[0].tril())


def test_a_head_gate_of_zero_equals_zero_columns_of_the_output_projection() -> None:
    attention, x = make(), draw(2, 5, 24)
    with torch.no_grad():
        gated = attention(x, head_gates=torch.tensor([1.0, 1.0, 0.0, 1.0]))
        assert not torch.allclose(gated, attention(x))
        attention.output.weight[:, 2 * 6 : 3 * 6] = 0
        torch.testing.assert_close(gated, attention(x))


def test_later_tokens_do_not_change_earlier_outputs() -> None:
    attention, x = make(n_kv_head=2), draw(1, 12, 24)
    changed = x.clone()
    changed[:, 7:] += 1.0
    with torch.no_grad():
        before, after = attention(x, mask=masks.CAUSAL), attention(changed, mask=masks.CAUSAL)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.isclose(before[:, 7:], after[:, 7:]).all(dim=-1).any()


@pytest.mark.parametrize("kind", ["causal", "bool", "additive", "tiles"])
def test_every_kernel_multiplies_the_scores_by_the_given_scale(kind: str) -> None:
    q, k, v = (draw(1, 2, 6, 8, name=name) for name in "qkv")
    allowed = masks.causal(torch.arange(6)[None], 6)
    mask = {
        "causal": masks.CAUSAL,
        "bool": allowed,
        "additive": masks.additive(allowed, 6, q.dtype, q.device),
        "tiles": masks.causal_tiles(torch.arange(6)[None], 16, 2, 2),
    }[kind]
    scores = (q @ k.mT * 0.7).masked_fill(~allowed, float("-inf"))
    torch.testing.assert_close(attend(q, k, v, mask, 0.7), scores.softmax(-1) @ v)
    torch.testing.assert_close(attention_weights(q, k, allowed, 0.7), scores.softmax(-1))
