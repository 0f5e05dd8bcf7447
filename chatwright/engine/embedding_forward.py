"""Compute the vectors of texts from their token ids.

Texts of one length are computed together, without padding and so without a mask. On a CPU in
float32 the vector of a text is bit-identical whatever other texts are computed: packed linear
layers give a row the same bits among any number of rows, and torch's attention computes each text
by itself. Padding would break this, because sums over the keys would have other lengths.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from chatwright.engine.packed_model import PackedModel
from chatwright.model.encoder import Encoder
from chatwright.model.text_vectors import pooled_vectors

TOKENS_PER_BATCH = 4096
"""Largest number of tokens computed together; a longer text is computed alone."""


class EmbeddingForward(PackedModel[Encoder]):
    """Computes vectors of texts. Use it in a `with` statement, or call `close`."""

    def __init__(self, model: Encoder) -> None:
        """Pack the model (`packed_model.py`) and put it in eval mode."""
        super().__init__(model)
        self.config = model.config

    @property
    def max_length(self) -> int:
        """Longest text, in tokens, [CLS] and [SEP] included."""
        return self.config.text_length

    @torch.no_grad()
    def vectors(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Compute the vectors of texts as token ids. -> (N, D), float32, on the CPU."""
        vectors = torch.empty(len(texts), self.config.d_model)
        for indices in _batches(texts):
            token_ids = torch.tensor([list(texts[i]) for i in indices], device=self.device)
            hidden = self.model.hidden_states(token_ids)  # (B, T, D)
            # Text by text: a sum over a batch could add in an order that depends on its size.
            for row, index in enumerate(indices):
                vectors[index] = pooled_vectors(hidden[row : row + 1], None, self.config)[0]
        return vectors


def _batches(texts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield indices of texts of one length, at most TOKENS_PER_BATCH tokens together."""
    by_length: dict[int, list[int]] = {}
    for index, ids in enumerate(texts):
        by_length.setdefault(len(ids), []).append(index)
    for length, indices in sorted(by_length.items()):
        size = max(1, TOKENS_PER_BATCH // length)
        for start in range(0, len(indices), size):
            yield indices[start : start + size]
