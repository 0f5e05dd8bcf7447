"""Pack several short documents into one row, so that little is padding.

Best-fit decreasing: the longest document first, each into the fullest row that still has room. A
document id per token keeps documents from attending to each other. Documents longer than a row must
be cut or left out before.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PADDING = -1
"""Document id of padding: padding tokens attend to padding only."""


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return rows of document indices; the lengths in a row sum to at most `capacity`."""
    rows: list[list[int]] = []
    # (free tokens, row), sorted, so that bisection finds the fullest row with enough room.
    room: list[tuple[int, int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        assert length <= capacity, f"document {index} has {length} tokens, a row {capacity}"
        at = bisect.bisect_left(room, (length, -1))
        if at == len(room):
            rows.append([index])
            bisect.insort(room, (capacity - length, len(rows) - 1))
        else:
            free, row = room.pop(at)
            rows[row].append(index)
            bisect.insort(room, (free - length, row))
    return rows


@dataclass(frozen=True)
class PackedRow:
    """One row of packed documents; every tensor is (T,)."""

    token_ids: Tensor
    targets: Tensor
    """-100 where nothing is learned."""
    document_ids: Tensor
    """Number of the document that each token belongs to."""
    positions: Tensor
    """Position of each token in its document."""


def pack_row(
    documents: Sequence[tuple[Sequence[int], Sequence[bool]]],
    length: int,
    pad: int,
    ignored: int = -100,
) -> PackedRow:
    """Pack documents of (token_ids, loss_mask) into a row of `length` tokens.

    Inputs and targets of each document are shifted against each other by one token.
    """
    token_ids = torch.full((length,), pad)
    targets = torch.full((length,), ignored)
    document_ids = torch.full((length,), PADDING)
    positions = torch.zeros(length, dtype=torch.long)
    start = 0
    for number, (ids, loss_mask) in enumerate(documents):
        n = len(ids) - 1
        span = slice(start, start + n)
        is_ignored = ~torch.tensor(loss_mask[1:], dtype=torch.bool)
        token_ids[span] = torch.tensor(ids[:-1])
        targets[span] = torch.tensor(ids[1:]).masked_fill(is_ignored, ignored)
        document_ids[span] = number
        positions[span] = torch.arange(n)
        start += n
    assert start <= length, f"{start} tokens do not fit into a row of {length}"
    return PackedRow(token_ids, targets, document_ids, positions)
