"""How well a model predicts data kept out of training, measured the way the stage reads: windows of a stream, or whole documents."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from chatwright.data.encoded_corpus import EncodedCorpus
from chatwright.evaluation.bits_per_byte import nats_per_token
from chatwright.model.gpt import GPT
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.batches.windows import describe_corpus
from chatwright.training.cross_entropy import next_token_loss


class Validation(Protocol):
    def figures(self, model: GPT) -> dict[str, float]:
        """`validation_loss` in nats per supervised token, and `validation_bits_per_byte` where every token of a text is one."""
        ...

    def describe(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class StreamValidation:
    corpus: EncodedCorpus
    context_length: int
    dtype: torch.dtype

    def figures(self, model: GPT) -> dict[str, float]:
        nats = nats_per_token(model, self.corpus.stream, self.context_length, self.dtype)
        bits = nats / math.log(2) * len(self.corpus.stream) / max(1, self.corpus.n_bytes)
        return {"validation_loss": nats, "validation_bits_per_byte": bits}

    def describe(self) -> dict[str, Any]:
        return describe_corpus(self.corpus)


@dataclass(frozen=True)
class PackedValidation:
    """Nothing to measure is no figure, not a figure of zero."""

    batches: PackedBatches
    dtype: torch.dtype
    n_bytes: int = 0  # of the text that all tokens stand for; 0 where only answers count

    def figures(self, model: GPT) -> dict[str, float]:
        losses = [next_token_loss(model, micro, self.dtype) for micro in self.batches.all_rows()]
        nats, count = sum(float(loss.sum) for loss in losses), sum(loss.count for loss in losses)
        found = {"validation_loss": nats / count} if count else {}
        return found | (
            {"validation_bits_per_byte": nats / math.log(2) / self.n_bytes}
            if count and self.n_bytes
            else {}
        )

    def describe(self) -> dict[str, Any]:
        return self.batches.describe()
