"""Supervised fine-tuning: learn the answers of example conversations (Ouyang et al. 2022, step 1).

Whole conversations are packed side by side; each sees only itself, and only what the assistant says carries loss.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Shuffled
from chatwright.data.packing import best_fit, pack_row
from chatwright.devices import generator
from chatwright.model.gpt import GPT
from chatwright.tokenizer.chat_template import Rendered
from chatwright.training.cross_entropy import IGNORED, next_token_loss
from chatwright.training.stage import Batch, BatchConfig, Loss, MicroBatch, Sampler

StopRate = Callable[[GPT], dict[str, float]]
PACKED_AT_ONCE = 4096


class SFT:
    name = "sft"

    def __init__(self, train: Sequence[Rendered], validation: Sequence[Rendered], pad: int, batches: BatchConfig, context_length: int,
                 seed: int, dtype: torch.dtype, device: torch.device, sampler: Sampler = lambda _: [],
                 stop_rate: StopRate = lambda _: {}) -> None:
        self.pad, self.batches, self.dtype, self.device = pad, batches, dtype, device
        self.sampler, self.stop_rate = sampler, stop_rate
        self.context_length = batches.context_length or context_length
        self.described = {"train": _described(train), "validation": _described(validation), "batches": vars(batches)}
        self.train_rows = _pack(train, self.context_length, pad, seed)
        self.validation_rows = _pack(validation, self.context_length, pad, seed)
        self.shuffled = Shuffled(len(self.train_rows.token_ids), seed)

    def next_batch(self) -> Batch:
        rows = self.train_rows.select(torch.tensor(self.shuffled.take(self.batches.rows))).to(self.device)
        micro_batches = rows.chunk(self.batches.accumulate)
        return Batch(micro_batches, sum(int((m.targets != IGNORED).sum()) for m in micro_batches))

    def loss(self, model: GPT, micro_batch: MicroBatch) -> Loss:
        return next_token_loss(model, micro_batch, self.dtype)

    def evaluate(self, model: GPT) -> dict[str, float]:
        total, count = 0.0, 0
        for start in range(0, len(self.validation_rows.token_ids), self.batches.rows):
            indices = torch.arange(start, min(start + self.batches.rows, len(self.validation_rows.token_ids)))
            [micro] = self.validation_rows.select(indices).to(self.device).chunk(1)
            loss = self.loss(model, micro)
            total, count = total + float(loss.sum), count + loss.count
        return {"validation_loss": total / count} | self.stop_rate(model) if count else self.stop_rate(model)

    def samples(self, model: GPT) -> list[tuple[str, str]]:
        return self.sampler(model)

    def describe(self) -> dict[str, Any]:
        return self.described

    def state_dict(self) -> dict[str, Any]:
        return self.shuffled.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.shuffled.load_state_dict(state)


@dataclass(frozen=True)
class Rows:
    """Packed rows, each tensor (N, T)."""

    token_ids: Tensor
    targets: Tensor
    document_ids: Tensor
    positions: Tensor

    def select(self, indices: Tensor) -> "Rows":
        return Rows(self.token_ids[indices], self.targets[indices], self.document_ids[indices], self.positions[indices])

    def to(self, device: torch.device) -> "Rows":
        return Rows(self.token_ids.to(device), self.targets.to(device), self.document_ids.to(device), self.positions.to(device))

    def chunk(self, n: int) -> list[MicroBatch]:
        parts = zip(self.token_ids.chunk(n), self.targets.chunk(n), self.document_ids.chunk(n), self.positions.chunk(n), strict=True)
        return [MicroBatch(*part) for part in parts]


def _pack(conversations: Sequence[Rendered], length: int, pad: int, seed: int) -> Rows:
    """Pack in shuffled portions: best-fit over everything would put all long conversations into the same rows."""
    order = torch.randperm(len(conversations), generator=generator(seed, "packing")).tolist()
    rows = []
    for start in range(0, len(order), PACKED_AT_ONCE):
        portion = [conversations[i] for i in order[start: start + PACKED_AT_ONCE]]
        for members in best_fit([len(c.token_ids) - 1 for c in portion], length):
            rows.append(pack_row([(portion[i].token_ids, portion[i].loss_mask) for i in members], length, pad, IGNORED))
    if not rows:
        empty = torch.empty(0, length, dtype=torch.long)
        return Rows(empty, empty, empty, empty)
    return Rows(*(torch.stack([getattr(row, name) for row in rows]) for name in ("token_ids", "targets", "document_ids", "positions")))


def _described(conversations: Sequence[Rendered]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for conversation in conversations:
        digest.update(repr(conversation.token_ids).encode())
    supervised = sum(sum(c.loss_mask) for c in conversations)
    return {"conversations": len(conversations), "tokens": sum(len(c.token_ids) for c in conversations),
            "supervised_tokens": supervised, "sha256": digest.hexdigest()}
