"""What a model's embedding matrix says of words: the nearest ones, and arithmetic (king - man + woman; Mikolov et al. 2013).

Rows are compared by cosine. A word is looked up as one token; a word of several tokens has no row of its own and is refused by name. In a
model that writes, the matrix holds what its first layer needs, which is spelling and grammar as much as meaning: expect less of its arithmetic
than of vectors learned for nothing else (a stage of the kind "word-vectors").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model.model import Model
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.word_lookup import single_token_id, token_texts


@dataclass(frozen=True)
class Neighbour:
    word: str
    similarity: float  # cosine
    token_id: int


class Embeddings:
    def __init__(self, matrix: Tensor, tokenizer: Tokenizer) -> None:
        """matrix (V, D): a row for each of the tokenizer's ids."""
        self.matrix, self.tokenizer = F.normalize(matrix.detach().float()), tokenizer
        self.words = token_texts(tokenizer)
        self.spells = torch.tensor([bool(word) for word in self.words])

    @classmethod
    def of(cls, model: Model, tokenizer: Tokenizer) -> "Embeddings":
        embedding: Any = model.get_submodule("embedding")  # every architecture of ours calls it so
        return cls(embedding.weight, tokenizer)

    def row(self, word: str) -> int:
        token_id = single_token_id(self.tokenizer, word)
        if token_id is None:
            pieces = [piece for i in self.tokenizer.encode(word) if (piece := self.words[i])]
            cause = (
                f"is several tokens here ({' + '.join(pieces)})"
                if pieces
                else "is not in the vocabulary"
            )
            raise ValueError(
                f"{word!r} {cause}, so it has no row of its own in the embedding matrix. Try another word, or another form of it."
            )
        return token_id

    def nearest(self, vector: Tensor, k: int = 10, without: Sequence[str] = ()) -> list[Neighbour]:
        """The k tokens most like `vector` (D,). All spellings of the words in `without` are left out."""
        left_out = {word.lower() for word in without}
        allowed = self.spells & torch.tensor([word.lower() not in left_out for word in self.words])
        similarity = (self.matrix @ F.normalize(vector, dim=0)).masked_fill(~allowed, -2.0)
        values, found = similarity.topk(min(k, int(allowed.sum())))
        return [
            Neighbour(self.words[i], value, i)
            for value, i in zip(values.tolist(), found.tolist(), strict=True)
        ]

    def combined(self, expression: Sequence[str]) -> tuple[Tensor, list[str]]:
        """["king", "-", "man", "+", "woman"] -> (the sum of unit vectors, the words in it)"""
        total, words = torch.zeros(self.matrix.shape[1], device=self.matrix.device), list[str]()
        sign, wants_word = 1.0, True
        for place, part in enumerate(expression):
            if part in ("+", "-") and (not wants_word or place == 0):
                sign, wants_word = (1.0 if part == "+" else -1.0), True
            elif wants_word and part not in ("+", "-"):
                total, wants_word = total + sign * self.matrix[self.row(part)], False
                words.append(part)
            else:
                raise ValueError(
                    f"{' '.join(expression)}: write words with + or - between them, for example king - man + woman. See {part!r}."
                )
        if wants_word:
            raise ValueError(
                f"{' '.join(expression) or 'nothing given'}: a word is missing at the end. Write, for example, king - man + woman."
            )
        return total, words
