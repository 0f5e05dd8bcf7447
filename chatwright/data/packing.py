"""Several short documents in one row, so that little is padded; a document id per token keeps them from seeing each other.

Best-fit decreasing: the longest document first, each into the fullest row that still has room. Nothing is cut here; what is longer than a
row is the caller's to cut or drop, and to report.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PADDING = -1  # document id of padding; each padding token sees only padding


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Rows of document indices, each row's lengths summing to at most `capacity`."""
    rows: list[list[int]] = []
    room: list[
        tuple[int, int]
    ] = []  # (free places, row), sorted: the fullest row with enough room is one bisection away
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
    """All (T,): inputs, targets (-100 where nothing is learned), the document each token belongs to, its place in that document."""

    token_ids: Tensor
    targets: Tensor
    document_ids: Tensor
    positions: Tensor


def pack_row(
    documents: Sequence[tuple[Sequence[int], Sequence[bool]]],
    length: int,
    pad: int,
    ignored: int = -100,
) -> PackedRow:
    """Documents of (token_ids, loss_mask), each shifted by one on its own, side by side in a row of `length` places."""
    token_ids = torch.full((length,), pad)
    targets = torch.full((length,), ignored)
    document_ids = torch.full((length,), PADDING)
    positions = torch.zeros(length, dtype=torch.long)
    start = 0
    for number, (ids, loss_mask) in enumerate(documents):
        n = len(ids) - 1
        here = slice(start, start + n)
        token_ids[here] = torch.tensor(ids[:-1])
        targets[here] = torch.tensor(ids[1:]).masked_fill(
            ~torch.tensor(loss_mask[1:], dtype=torch.bool), ignored
        )
        document_ids[here] = number
        positions[here] = torch.arange(n)
        start += n
    assert start <= length, "the documents of one row fit into it"
    return PackedRow(token_ids, targets, document_ids, positions)
