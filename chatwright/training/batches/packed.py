"""Batches of whole documents (conversations, short texts), side by side in rows; each sees only itself.

Attention costs the square of a row's length, so documents that fit go into short rows where `short_rows` is given: a third of a step's time
for the starter. Every step takes its share of every length, so no step is made of long documents alone.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Shuffled
from chatwright.data.packing import best_fit, pack_row
from chatwright.devices import generator
from chatwright.tokenizer.chat_template import Rendered
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.stage import Batch, BatchConfig, MicroBatch

PACKED_AT_ONCE = 4096


@dataclass(frozen=True)
class Rows:
    """Packed rows of one length, each tensor (N, T)."""

    token_ids: Tensor
    targets: Tensor
    document_ids: Tensor
    positions: Tensor

    def __len__(self) -> int:
        return len(self.token_ids)

    def micro_batches(
        self, indices: Sequence[int], n: int, device: torch.device
    ) -> list[MicroBatch]:
        """The rows at `indices`, in at most `n` parts."""
        chosen = torch.tensor(indices, dtype=torch.long)
        parts = (
            t[chosen].to(device).chunk(n)
            for t in (self.token_ids, self.targets, self.document_ids, self.positions)
        )
        return [MicroBatch(*part) for part in zip(*parts, strict=True)]


class PackedBatches:
    """Every row once an epoch, in a new order each epoch. A step is `rows` x `context_length` tokens, whatever lengths its rows have."""

    def __init__(
        self,
        documents: Sequence[Rendered],
        pad: int,
        config: BatchConfig,
        context_length: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.config, self.seed, self.device = config, seed, device
        length = config.context_length or context_length
        self.described = _described(documents)
        self.pools = list(_pools(documents, length, config.short_rows, pad, seed))
        self.n_step = max(
            1, round(sum(rows.token_ids.numel() for rows in self.pools) / (config.rows * length))
        )
        self.steps = Shuffled(self.n_step, seed)  # the epoch, and how far in it

    def next_batch(self) -> Batch[MicroBatch]:
        epoch, step = self.steps.epoch, self.steps.position
        self.steps.take(1)
        micro_batches = []
        for number, rows in enumerate(self.pools):
            here = slice(step * len(rows) // self.n_step, (step + 1) * len(rows) // self.n_step)
            if indices := self._order(epoch, number)[here].tolist():
                micro_batches += rows.micro_batches(indices, self.config.accumulate, self.device)
        return Batch(micro_batches, sum(int((m.targets != IGNORED).sum()) for m in micro_batches))

    def _order(self, epoch: int, number: int) -> Tensor:
        return torch.randperm(
            len(self.pools[number]),
            generator=generator(self.seed, f"order of epoch {epoch}, pool {number}"),
        )

    def all_rows(self) -> Iterator[MicroBatch]:
        """Every row once, in order: what validation looks at."""
        for rows in self.pools:
            for some in torch.arange(len(rows)).split(self.config.rows):
                yield from rows.micro_batches(some.tolist(), 1, self.device)

    def describe(self) -> dict[str, Any]:
        return self.described

    def state_dict(self) -> dict[str, Any]:
        return self.steps.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps.load_state_dict(state)


def _pools(
    documents: Sequence[Rendered], length: int, short: int, pad: int, seed: int
) -> Iterator[Rows]:
    """Rows of `length`, and before them, where `short` is given, rows of that many tokens with all that fits into one."""
    if short:
        fitting = [document for document in documents if len(document.token_ids) - 1 <= short]
        documents = [document for document in documents if len(document.token_ids) - 1 > short]
        yield from filter(len, [_pack(fitting, short, pad, seed)])
    yield from filter(len, [_pack(documents, length, pad, seed)])


def _pack(documents: Sequence[Rendered], length: int, pad: int, seed: int) -> Rows:
    """Pack in shuffled portions: best-fit over everything would put all long documents into the same rows."""
    order = torch.randperm(len(documents), generator=generator(seed, "packing")).tolist()
    rows = []
    for start in range(0, len(order), PACKED_AT_ONCE):
        portion = [documents[i] for i in order[start : start + PACKED_AT_ONCE]]
        for members in best_fit([len(d.token_ids) - 1 for d in portion], length):
            rows.append(
                pack_row(
                    [(portion[i].token_ids, portion[i].loss_mask) for i in members],
                    length,
                    pad,
                    IGNORED,
                )
            )
    if not rows:
        empty = torch.empty(0, length, dtype=torch.long)
        return Rows(empty, empty, empty, empty)
    return Rows(
        *(
            torch.stack([getattr(row, name) for row in rows])
            for name in ("token_ids", "targets", "document_ids", "positions")
        )
    )


def _described(documents: Sequence[Rendered]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(repr((document.token_ids, document.loss_mask)).encode())
    supervised = sum(sum(d.loss_mask) for d in documents)
    return {
        "documents": len(documents),
        "tokens": sum(len(d.token_ids) for d in documents),
        "supervised_tokens": supervised,
        "sha256": digest.hexdigest(),
    }
