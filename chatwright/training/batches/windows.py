"""Batches of windows cut from one stream, for long texts.

The documents follow one another in the stream, each opened by <|bos|>. A mask separates the
documents of a row, because neighbors in the stream are unrelated. A stream of one document (a book,
a play) needs no mask and trains faster. Windows often cut short documents; `PackedBatches` keeps
them whole.
"""

from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Windows
from chatwright.data.encoded.corpus import EncodedCorpus
from chatwright.training.stage import Batch, BatchConfig, MicroBatch


class WindowBatches:
    """Windows of a corpus in batches of `config.rows`."""

    def __init__(
        self,
        corpus: EncodedCorpus,
        bos: int,
        config: BatchConfig,
        context_length: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """Cut the corpus into windows.

        Args:
            corpus: The stream of token ids, and its description.
            bos: The id that opens a document.
            config: The shape of a step.
            context_length: Length of a window if the config does not set one.
            seed: Seed of offsets and order.
            device: Where the micro-batches go.
        """
        self.corpus = corpus
        self.bos = bos
        self.config = config
        self.device = device
        self.windows = Windows(corpus.stream, config.context_length or context_length, seed)
        self.has_borders = bool((corpus.stream[1:] == bos).any())

    def next_batch(self) -> Batch[MicroBatch]:
        """Return the next windows."""
        rows = self.windows.take(self.config.rows).to(self.device)  # (rows, T+1)
        micro_batches = [self._micro_batch(part) for part in rows.chunk(self.config.accumulate)]
        return Batch(micro_batches, rows[:, 1:].numel())

    def _micro_batch(self, rows: Tensor) -> MicroBatch:
        """Split (B, T+1) ids into inputs and targets, and number the documents of each row."""
        token_ids = rows[:, :-1].contiguous()  # (B, T)
        targets = rows[:, 1:].contiguous()  # (B, T)
        if not self.has_borders:
            return MicroBatch(token_ids, targets)
        is_start = token_ids == self.bos
        positions = torch.arange(token_ids.shape[1], device=rows.device).expand_as(token_ids)
        starts = torch.where(is_start, positions, 0).cummax(dim=1).values
        return MicroBatch(token_ids, targets, is_start.cumsum(dim=1), positions - starts)

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the corpus."""
        return describe_corpus(self.corpus)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the stream."""
        return self.windows.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.windows.load_state_dict(state)


def describe_corpus(corpus: EncodedCorpus) -> dict[str, Any]:
    """Return counts and the hash that identifies a corpus."""
    return {
        "documents": corpus.n_documents,
        "tokens": len(corpus.stream),
        "bytes": corpus.n_bytes,
        "sha256": corpus.sha256,
    }
