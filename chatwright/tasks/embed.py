"""Turn texts into vectors with an encoder, so that the cosine of two vectors compares the texts.

A text longer than the model reads loses its end, as in sentence-transformers; `TextVector` says how
many tokens. On a CPU a vector is bit-identical whatever else is embedded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch.nn.functional as F
from torch import Tensor

from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.tokenizer.encoder_tokens import N_SPECIAL_TOKENS
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of

TEXTS_PER_BATCH = 1024
"""Texts that are sorted by length and computed together."""


@dataclass(frozen=True, eq=False)
class TextVector:
    """The vector of one text."""

    text: str
    vector: Tensor
    """(D,), float32."""
    n_token: int
    """Number of tokens that the model read, [CLS] and [SEP] included."""
    n_left_out: int
    """Number of tokens at the end of the text that the model did not read."""


class Embedder:
    """Computes vectors of texts with one model."""

    def __init__(self, forward: EmbeddingForward, tokenizer: Tokenizer) -> None:
        """Take the prepared model and its tokenizer."""
        self.forward = forward
        self.tokenizer = tokenizer
        self.encoder_tokens = encoder_tokens_of(tokenizer)

    @property
    def max_length(self) -> int:
        """Longest text that is read whole, in tokens."""
        return self.forward.max_length

    @property
    def vector_size(self) -> int:
        """Number of numbers in a vector."""
        return self.forward.config.d_model

    def embed(self, texts: Sequence[str]) -> list[TextVector]:
        """Compute the vector of each text."""
        encoded = self.tokenizer.encode_batch(texts)
        max_length = self.forward.max_length
        read = [self.encoder_tokens.beginning(ids, max_length) for ids in encoded]
        vectors = self.forward.vectors(read)
        return [
            TextVector(text, vector, len(rows), len(ids) + N_SPECIAL_TOKENS - len(rows))
            for text, vector, rows, ids in zip(texts, vectors, read, encoded, strict=True)
        ]

    def embed_stream(
        self, texts: Iterable[str], batch: int = TEXTS_PER_BATCH
    ) -> Iterator[TextVector]:
        """Yield the vector of each text in order; at most `batch` texts are read ahead."""
        remaining = iter(texts)
        while chunk := list(islice(remaining, batch)):
            yield from self.embed(chunk)


def cosine(first: Tensor, second: Tensor) -> float:
    """Return the cosine of the angle between two vectors (D,), from -1 to 1."""
    return float(F.cosine_similarity(first.double(), second.double(), dim=0))
