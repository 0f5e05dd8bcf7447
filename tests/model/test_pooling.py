"""Pooling: equal to a loop over the texts, whatever the padding holds."""

import pytest
import torch
from torch import Tensor

from chatwright.model.pooling import POOLING_KINDS, PoolingKind, pool

LENGTHS = torch.tensor([5, 1, 3])
HIDDEN = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))


def pooled_one_by_one(hidden: Tensor, lengths: Tensor, kind: PoolingKind) -> Tensor:
    rows = []
    for tokens, length in zip(hidden, lengths.tolist(), strict=True):
        columns = [[float(tokens[t, d]) for t in range(length)] for d in range(tokens.shape[1])]
        how = {"mean": lambda x: sum(x) / len(x), "cls": lambda x: x[0], "max": max}[kind]
        rows.append([how(column) for column in columns])
    return torch.tensor(rows)


@pytest.mark.parametrize("kind", POOLING_KINDS)
def test_padded_texts_are_pooled_as_a_loop_pools_each(kind: PoolingKind) -> None:
    expected = pooled_one_by_one(HIDDEN, LENGTHS, kind)
    torch.testing.assert_close(pool(HIDDEN, LENGTHS, kind), expected)


@pytest.mark.parametrize("kind", POOLING_KINDS)
def test_texts_without_padding_need_no_lengths(kind: PoolingKind) -> None:
    full = torch.full((3,), 5)
    torch.testing.assert_close(pool(HIDDEN, None, kind), pool(HIDDEN, full, kind))


@pytest.mark.parametrize("kind", POOLING_KINDS)
def test_padding_changes_neither_the_result_nor_the_gradient(kind: PoolingKind) -> None:
    is_padding = torch.arange(5) >= LENGTHS[:, None]
    first = HIDDEN.clone().requires_grad_()
    second = HIDDEN.masked_fill(is_padding[..., None], 1e6).requires_grad_()
    for hidden in (first, second):
        pool(hidden, LENGTHS, kind).square().sum().backward()
    assert torch.equal(pool(first, LENGTHS, kind), pool(second, LENGTHS, kind))
    assert first.grad is not None
    assert second.grad is not None
    assert torch.equal(first.grad, second.grad)
    assert not bool(first.grad[is_padding].any())
