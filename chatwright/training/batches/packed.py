"""Batches of whole documents (conversations, short texts) packed side by side into rows.

Each document attends to itself only. The cost of attention grows with the square of a row's length.
With the setting `short_rows`, a length in tokens, there are rows of two lengths: short rows for the
documents that fit, and long rows for the others. For the starter corpus this saves a third of the
time per step. Every step has short and long rows in the same proportion.
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

DOCUMENTS_AT_ONCE = 4096
"""Documents packed together. See `_pack`."""


@dataclass(frozen=True)
class Rows:
    """Packed rows of one length; each tensor is (N, T)."""

    token_ids: Tensor
    targets: Tensor
    document_ids: Tensor
    positions: Tensor

    def __len__(self) -> int:
        return len(self.token_ids)

    def micro_batches(
        self, indices: Sequence[int], n: int, device: torch.device
    ) -> list[MicroBatch]:
        """Return the rows at `indices`, in at most `n` micro-batches."""
        chosen = torch.tensor(indices, dtype=torch.long)
        parts = (
            t[chosen].to(device).chunk(n)
            for t in (self.token_ids, self.targets, self.document_ids, self.positions)
        )
        return [MicroBatch(*part) for part in zip(*parts, strict=True)]


class PackedBatches:
    """Rows of packed documents. An epoch holds every row once, in a new order.

    A step holds about `rows` x `context_length` tokens, padding included.
    """

    def __init__(
        self,
        documents: Sequence[Rendered],
        pad: int,
        config: BatchConfig,
        context_length: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """Pack the documents.

        Args:
            documents: Token ids and loss masks.
            pad: The id that fills rows.
            config: The shape of a step.
            context_length: Length of a row if the config does not set one.
            seed: Seed of packing and order.
            device: Where the micro-batches go.
        """
        self.config = config
        self.seed = seed
        self.device = device
        length = config.context_length or context_length
        self.description = _describe(documents)
        self.rows_by_length = list(_by_length(documents, length, config.short_rows, pad, seed))
        """The short rows, if there are any, and then the long rows."""
        n_token = sum(rows.token_ids.numel() for rows in self.rows_by_length)
        self.n_step = max(1, round(n_token / (config.rows * length)))
        """Steps in an epoch."""
        self.counter = Shuffled(self.n_step, seed)
        """Counts epochs and steps; its order is not used."""

    def next_batch(self) -> Batch[MicroBatch]:
        """Return the next rows of every length."""
        epoch = self.counter.epoch
        step = self.counter.position
        self.counter.take(1)
        micro_batches = []
        for number, rows in enumerate(self.rows_by_length):
            start = step * len(rows) // self.n_step
            end = (step + 1) * len(rows) // self.n_step
            if indices := self._order(epoch, number)[start:end].tolist():
                micro_batches += rows.micro_batches(indices, self.config.accumulate, self.device)
        count = sum(int((micro.targets != IGNORED).sum()) for micro in micro_batches)
        return Batch(micro_batches, count)

    def _order(self, epoch: int, number: int) -> Tensor:
        """Return the order, in an epoch, of the rows of one length."""
        # The draws depend on this name, so changing it changes the results of every run.
        draws = generator(self.seed, f"order of epoch {epoch}, pool {number}")
        return torch.randperm(len(self.rows_by_length[number]), generator=draws)

    def all_rows(self) -> Iterator[MicroBatch]:
        """Yield every row once for validation, in an order that never changes."""
        for rows in self.rows_by_length:
            for indices in torch.arange(len(rows)).split(self.config.rows):
                yield from rows.micro_batches(indices.tolist(), 1, self.device)

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the documents."""
        return self.description

    def state_dict(self) -> dict[str, Any]:
        """Return epoch and step."""
        return self.counter.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.counter.load_state_dict(state)


def _by_length(
    documents: Sequence[Rendered], length: int, short_length: int, pad: int, seed: int
) -> Iterator[Rows]:
    """Yield short rows of the documents that fit into one, and long rows of the others."""
    if short_length:
        # The last token of a document has no successor, so it takes no position in a row.
        short = [d for d in documents if len(d.token_ids) - 1 <= short_length]
        documents = [d for d in documents if len(d.token_ids) - 1 > short_length]
        yield from filter(len, [_pack(short, short_length, pad, seed)])
    yield from filter(len, [_pack(documents, length, pad, seed)])


def _pack(documents: Sequence[Rendered], length: int, pad: int, seed: int) -> Rows:
    """Pack documents into rows, in shuffled portions.

    Best-fit over all documents at once would put all long documents into the same rows.
    """
    order = torch.randperm(len(documents), generator=generator(seed, "packing")).tolist()
    rows = []
    for start in range(0, len(order), DOCUMENTS_AT_ONCE):
        portion = [documents[i] for i in order[start : start + DOCUMENTS_AT_ONCE]]
        for members in best_fit([len(d.token_ids) - 1 for d in portion], length):
            sequences = [(portion[i].token_ids, portion[i].loss_mask) for i in members]
            rows.append(pack_row(sequences, length, pad, IGNORED))
    if not rows:
        empty = torch.empty(0, length, dtype=torch.long)
        return Rows(empty, empty, empty, empty)
    return Rows(
        token_ids=torch.stack([row.token_ids for row in rows]),
        targets=torch.stack([row.targets for row in rows]),
        document_ids=torch.stack([row.document_ids for row in rows]),
        positions=torch.stack([row.positions for row in rows]),
    )


def _describe(documents: Sequence[Rendered]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(repr((document.token_ids, document.loss_mask)).encode())
    return {
        "documents": len(documents),
        "tokens": sum(len(document.token_ids) for document in documents),
        "supervised_tokens": sum(sum(document.loss_mask) for document in documents),
        "sha256": digest.hexdigest(),
    }
