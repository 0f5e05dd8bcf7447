"""Pretraining: predict the next token of plain text.

The documents lie end to end in one stream, each opened by <|bos|>; rows are windows of it. A mask keeps a row's documents apart, so that
nothing is learned from a neighbour that is there by chance. A stream that is one document (a book, a play) needs no mask and is faster.
"""

from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Windows
from chatwright.data.corpus import EncodedCorpus
from chatwright.evaluation.bits_per_byte import nats_per_token
from chatwright.model.gpt import GPT
from chatwright.training.cross_entropy import next_token_loss
from chatwright.training.stage import Batch, BatchConfig, Loss, MicroBatch, Sampler


class Pretrain:
    name = "pretrain"

    def __init__(self, train: EncodedCorpus, validation: EncodedCorpus, bos: int, batches: BatchConfig, context_length: int, seed: int,
                 dtype: torch.dtype, device: torch.device, sampler: Sampler = lambda _: []) -> None:
        self.train, self.validation, self.bos, self.batches = train, validation, bos, batches
        self.context_length = batches.context_length or context_length
        self.dtype, self.device, self.sampler = dtype, device, sampler
        self.windows = Windows(train.stream, self.context_length, seed)
        self.has_borders = bool((train.stream[1:] == bos).any())

    def next_batch(self) -> Batch:
        rows = self.windows.take(self.batches.rows).to(self.device)          # (rows, T+1)
        micro_batches = [self._micro_batch(part) for part in rows.chunk(self.batches.accumulate)]
        return Batch(micro_batches, rows[:, 1:].numel())

    def _micro_batch(self, rows: Tensor) -> MicroBatch:
        token_ids, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
        if not self.has_borders:
            return MicroBatch(token_ids, targets)
        is_start = token_ids == self.bos
        places = torch.arange(token_ids.shape[1], device=rows.device).expand_as(token_ids)
        starts = torch.where(is_start, places, 0).cummax(dim=1).values
        return MicroBatch(token_ids, targets, is_start.cumsum(dim=1), places - starts)

    def loss(self, model: GPT, micro_batch: MicroBatch) -> Loss:
        return next_token_loss(model, micro_batch, self.dtype)

    def evaluate(self, model: GPT) -> dict[str, float]:
        nats = nats_per_token(model, self.validation.stream, self.context_length, self.dtype)
        bits = nats / 0.6931471805599453 * len(self.validation.stream) / max(1, self.validation.n_bytes)
        return {"validation_loss": nats, "validation_bits_per_byte": bits}

    def samples(self, model: GPT) -> list[tuple[str, str]]:
        return self.sampler(model)

    def describe(self) -> dict[str, Any]:
        return {"train": _described(self.train), "validation": _described(self.validation), "batches": vars(self.batches)}

    def state_dict(self) -> dict[str, Any]:
        return self.windows.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.windows.load_state_dict(state)


def _described(corpus: EncodedCorpus) -> dict[str, Any]:
    return {"documents": corpus.n_documents, "tokens": len(corpus.stream), "bytes": corpus.n_bytes, "sha256": corpus.sha256}
