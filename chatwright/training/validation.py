"""Validation of a decoder, on held-out data in the same form as the training data.

The form is windows of a stream (`StreamValidation`) or packed documents (`PackedValidation`).
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from chatwright.data.encoded.corpus import EncodedCorpus
from chatwright.evaluation.bits_per_byte import nats_per_token
from chatwright.model.gpt import GPT
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.batches.windows import describe_corpus
from chatwright.training.cross_entropy import next_token_loss


class Validation(Protocol):
    """Validation data of a decoder."""

    def figures(self, model: GPT) -> dict[str, float]:
        """Return `validation_loss` in nats per supervised token.

        If all tokens of the texts are supervised, `validation_bits_per_byte` is added.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the data."""
        ...


@dataclass(frozen=True)
class StreamValidation:
    """Texts as one stream, cut into windows of `context_length` tokens."""

    corpus: EncodedCorpus
    context_length: int
    dtype: torch.dtype
    """Number format of the forward pass."""

    def figures(self, model: GPT) -> dict[str, float]:
        """Return the loss in nats per token, and bits per byte."""
        nats = nats_per_token(model, self.corpus.stream, self.context_length, self.dtype)
        bits = nats / math.log(2) * len(self.corpus.stream) / max(1, self.corpus.n_bytes)
        return {"validation_loss": nats, "validation_bits_per_byte": bits}

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the texts."""
        return describe_corpus(self.corpus)


@dataclass(frozen=True)
class PackedValidation:
    """Whole documents, packed into rows."""

    batches: PackedBatches
    dtype: torch.dtype
    """Number format of the forward pass."""
    n_bytes: int = 0
    """Size of the texts in bytes; 0 if only some of their tokens are supervised."""

    def figures(self, model: GPT) -> dict[str, float]:
        """Return the loss in nats per supervised token, and bits per byte if `n_bytes` is set.

        Without supervised tokens there are no figures.
        """
        losses = [next_token_loss(model, micro, self.dtype) for micro in self.batches.all_rows()]
        nats = sum(float(loss.sum) for loss in losses)
        count = sum(loss.count for loss in losses)
        if not count:
            return {}
        figures = {"validation_loss": nats / count}
        if self.n_bytes:
            figures["validation_bits_per_byte"] = nats / math.log(2) / self.n_bytes
        return figures

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the documents."""
        return self.batches.describe()
