"""Attention against the lecture's numbers, torch's own implementations and its laws."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.attention import Attention, attend, attend_tiled, attention_weights

KEYS = torch.tensor([[1.0, 2.0], [2.0, 5.0], [0.0, 1.0]])
VALUES = torch.tensor([[5.0, 2.0, 1.0, 4.0], [0.0, 1.0, 0.0, 1.0], [8.0, 4.0, 2.0, 1.0]])
# query, its weights, the result, the keys it may see when masked (counted from 1), the masked result.
# The slides print 0.0818 as 1.01 and 0.1070 as 1.11.
LECTURE = [
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
    LECTURE,
    ids=[str(row[0]) for row in LECTURE],
)
def test_the_lecture_by_attention_weights(query, weights, result, visible, masked_result) -> None:  # type: ignore[no-untyped-def]
    q = torch.tensor(query, dtype=torch.float32).view(1, 1, 1, 2)
    mask = torch.tensor([number in visible for number in (1, 2, 3)]).view(1, 1, 1, 3)
    found = attention_weights(q, KEYS[None, None])
    assert to_four_places(found) == list(weights)
    assert to_four_places(found @ VALUES) == list(result)
    assert to_four_places(attention_weights(q, KEYS[None, None], mask) @ VALUES) == [
        float(number) for number in masked_result
    ]


def lecture_attention() -> Attention:
    """Identity projections. Keys two wide in heads four wide: the query is scaled so that the scale is still 1/sqrt(2)."""
    attention = Attention(d_model=4, n_head=1)
    with torch.no_grad():
        for linear in (attention.query, attention.key, attention.value, attention.output):
            linear.weight.copy_(torch.eye(4))
        attention.query.weight.mul_(math.sqrt(2))
    return attention


def test_the_lecture_by_the_attention_module_all_queries_at_once() -> None:
    queries = F.pad(torch.tensor([row[0] for row in LECTURE], dtype=torch.float32), (0, 2))[
        None
    ]  # (1, 5, 4)
    mask = torch.tensor([[number in row[3] for number in (1, 2, 3)] for row in LECTURE])[None, None]
    with torch.no_grad():
        free = lecture_attention()(queries, context=F.pad(KEYS, (0, 2))[None], values=VALUES[None])
        masked = lecture_attention()(
            queries, context=F.pad(KEYS, (0, 2))[None], values=VALUES[None], mask=mask
        )
    assert to_four_places(free) == [number for row in LECTURE for number in row[2]]
    assert to_four_places(masked) == [float(number) for row in LECTURE for number in row[4]]


def make(**changes: object) -> Attention:
    attention = Attention(**{"d_model": 24, "n_head": 4, **changes})  # type: ignore[arg-type]
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            parameter.normal_(0, 0.4, generator=generator(1, name))
    return attention


def numbers(*shape: int, name: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(2, name))


def test_equals_torch_multihead_attention_self_and_cross() -> None:
    ours = make(bias=True)
    theirs = nn.utils.skip_init(nn.MultiheadAttention, 24, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
        )
        theirs.in_proj_bias.copy_(
            torch.cat(
                [part.bias for part in (ours.query, ours.key, ours.value) if part.bias is not None]
            )
        )
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(
            ours.output.bias if ours.output.bias is not None else torch.zeros(24)
        )
        x, context, values = (
            numbers(2, 5, 24),
            numbers(2, 7, 24, name="context"),
            numbers(2, 7, 24, name="values"),
        )
        allowed = numbers(5, 7, name="mask") > -1
        allowed[:, 0] = True
        torch.testing.assert_close(
            ours(x), theirs(x, x, x, need_weights=False)[0], atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            ours(x, context, values, allowed[None, None]),
            theirs(x, context, values, attn_mask=~allowed, need_weights=False)[0],
            atol=1e-5,
            rtol=1e-5,
        )


def test_cross_attention_without_values_takes_them_from_the_context() -> None:
    attention, x, context = make(), numbers(2, 5, 24), numbers(2, 7, 24, name="context")
    torch.testing.assert_close(
        attention(x, context), attention(x, context, context), atol=0, rtol=0
    )


@pytest.mark.parametrize("mask", [None, masks.CAUSAL, "documents"])
def test_attend_equals_the_weights_written_out(mask: masks.Mask) -> None:
    q, k, v = (
        numbers(2, 4, 6, 8, name="q"),
        numbers(2, 4, 6, 8, name="k"),
        numbers(2, 4, 6, 8, name="v"),
    )
    if mask == "documents":
        mask = masks.documents(torch.tensor([[0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 1]]))
    torch.testing.assert_close(attend(q, k, v, mask), attention_weights(q, k, mask) @ v)


@pytest.mark.parametrize("mask", [None, masks.CAUSAL])
def test_grouped_heads_equal_repeated_ones(mask: masks.Mask) -> None:
    q, k, v = (
        numbers(2, 6, 5, 8, name="q"),
        numbers(2, 2, 5, 8, name="k"),
        numbers(2, 2, 5, 8, name="v"),
    )
    repeated = attend(q, k.repeat_interleave(3, dim=1), v.repeat_interleave(3, dim=1), mask)
    torch.testing.assert_close(attend(q, k, v, mask), repeated)


@pytest.mark.parametrize(("n_head", "n_kv_head"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize("length", [1, 3, 8, 17])
def test_tiled_equals_causal(n_head: int, n_kv_head: int, length: int) -> None:
    # Laid out as heads come out of a projection: (B, T, H, Dh) in memory.
    q, k, v = (
        numbers(2, length, heads, 8, name=name).transpose(1, 2)
        for heads, name in ((n_head, "q"), (n_kv_head, "k"), (n_kv_head, "v"))
    )
    positions = torch.arange(length).expand(2, length)
    tiled = attend_tiled(q, k, v, masks.tiled(positions, 32, n_head, n_kv_head))
    torch.testing.assert_close(tiled, attend(q, k, v, masks.causal(positions, length)))


@pytest.mark.parametrize(("n_head", "n_kv_head"), [(4, 4), (6, 2)])
@pytest.mark.parametrize("length", [1, 4, 9])
def test_any_mask_in_tiles_equals_the_mask_in_one_piece(
    n_head: int, n_kv_head: int, length: int
) -> None:
    shapes = {"q": (3, length, n_head, 8), "k": (3, 32, n_kv_head, 8), "v": (3, 32, n_kv_head, 8)}
    q, k, v = (numbers(*shape, name=name).transpose(1, 2) for name, shape in shapes.items())
    allowed = masks.padding(torch.tensor([32, 7, 1]), 32).expand(-1, -1, length, -1)
    tiled = masks.tiles(allowed, n_head, n_kv_head)
    torch.testing.assert_close(attend(q, k, v, tiled), attend(q, k, v, allowed))
    assert torch.equal(masks.explicit(tiled, length, 32, q.device), allowed)


@pytest.mark.parametrize("mask_kind", ["none", "causal", "tiled"])
def test_looking_never_changes_the_output(mask_kind: str) -> None:
    attention, x = make(n_kv_head=2, qk_norm=True), numbers(2, 9, 24)
    mask = {
        "none": None,
        "causal": masks.CAUSAL,
        "tiled": masks.tiled(torch.arange(9).expand(2, 9), 9, 4, 2),
    }[mask_kind]
    seen: list[Tensor] = []
    with torch.no_grad():
        unseen = attention(x, mask=mask)
        stop = attention.observe(seen.append)
        assert torch.equal(attention(x, mask=mask), unseen)
        stop()
        assert torch.equal(attention(x, mask=mask), unseen)
    assert [tuple(weights.shape) for weights in seen] == [(2, 4, 9, 9)]
    torch.testing.assert_close(seen[0].sum(-1), torch.ones(2, 4, 9))
    if mask_kind != "none":
        assert torch.equal(seen[0], seen[0].tril())


def test_gating_a_head_equals_zeroing_its_part_of_the_output_projection() -> None:
    attention, x = make(), numbers(2, 5, 24)
    with torch.no_grad():
        gated = attention(x, head_gates=torch.tensor([1.0, 1.0, 0.0, 1.0]))
        assert not torch.allclose(gated, attention(x))
        attention.output.weight[:, 2 * 6 : 3 * 6] = 0
        torch.testing.assert_close(gated, attention(x))


def test_a_later_token_changes_nothing_before_it() -> None:
    attention, x = make(n_kv_head=2), numbers(1, 12, 24)
    changed = x.clone()
    changed[:, 7:] += 1.0
    with torch.no_grad():
        before, after = attention(x, mask=masks.CAUSAL), attention(changed, mask=masks.CAUSAL)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.isclose(before[:, 7:], after[:, 7:]).all(dim=-1).any()
