"""Batches for long texts: the documents lie end to end in one stream, each opened by <|bos|>; rows are windows of it.

A mask keeps a row's documents apart, so that nothing is learned from a neighbour that is there by chance. A stream that is one document
(a book, a play) needs no mask and is faster. Short documents are often cut by a window's border: `packed_batches` keeps them whole.
"""

from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Windows
from chatwright.data.encoded_corpus import EncodedCorpus
from chatwright.training.stage import Batch, BatchConfig, MicroBatch


class WindowBatches:
    def __init__(
        self,
        corpus: EncodedCorpus,
        bos: int,
        config: BatchConfig,
        context_length: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.corpus, self.bos, self.config, self.device = corpus, bos, config, device
        self.windows = Windows(corpus.stream, config.context_length or context_length, seed)
        self.has_borders = bool((corpus.stream[1:] == bos).any())

    def next_batch(self) -> Batch[MicroBatch]:
        rows = self.windows.take(self.config.rows).to(self.device)  # (rows, T+1)
        micro_batches = [self._micro_batch(part) for part in rows.chunk(self.config.accumulate)]
        return Batch(micro_batches, rows[:, 1:].numel())

    def _micro_batch(self, rows: Tensor) -> MicroBatch:
        token_ids, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
        if not self.has_borders:
            return MicroBatch(token_ids, targets)
        is_start = token_ids == self.bos
        places = torch.arange(token_ids.shape[1], device=rows.device).expand_as(token_ids)
        starts = torch.where(is_start, places, 0).cummax(dim=1).values
        return MicroBatch(token_ids, targets, is_start.cumsum(dim=1), places - starts)

    def describe(self) -> dict[str, Any]:
        return describe_corpus(self.corpus)

    def state_dict(self) -> dict[str, Any]:
        return self.windows.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.windows.load_state_dict(state)


def describe_corpus(corpus: EncodedCorpus) -> dict[str, Any]:
    return {
        "documents": corpus.n_documents,
        "tokens": len(corpus.stream),
        "bytes": corpus.n_bytes,
        "sha256": corpus.sha256,
    }
