"""Words in a model's embedding matrix: nearest words, and sums such as king - man + woman.

Rows are compared by cosine (Mikolov et al. 2013). Only a word that is a single token has a row. In
a model that generates text, the matrix also encodes spelling and grammar, so sums of words work
less well than with word vectors, which the training stage "word-vectors" learns.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.errors import InputError
from chatwright.model.model import Model
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.word_lookup import single_token_id, token_texts

EXAMPLE = "king - man + woman"


@dataclass(frozen=True)
class Neighbor:
    """A word near a vector."""

    word: str
    similarity: float
    """Cosine of the angle between the word's vector and the given one."""
    token_id: int


class Embeddings:
    """The words of an embedding matrix."""

    def __init__(self, matrix: Tensor, tokenizer: Tokenizer) -> None:
        """Take a matrix (V, D) with one row for each of the tokenizer's ids."""
        self.matrix = F.normalize(matrix.detach().float())
        self.tokenizer = tokenizer
        self.words = token_texts(tokenizer)
        self.is_word = torch.tensor([bool(word) for word in self.words])

    @classmethod
    def of(cls, model: Model, tokenizer: Tokenizer) -> "Embeddings":
        """Take the embedding matrix of a model."""
        embedding: Any = model.get_submodule("embedding")  # the name in every architecture
        return cls(embedding.weight, tokenizer)

    def row(self, word: str) -> int:
        """Return the row of a word.

        Raises:
            InputError: The word is not a single token.
        """
        token_id = single_token_id(self.tokenizer, word)
        if token_id is not None:
            return token_id
        pieces = [self.words[i] for i in self.tokenizer.encode(word) if self.words[i]]
        cause = "is not in the vocabulary"
        if pieces:
            cause = f"is several tokens ({' + '.join(pieces)})"
        raise InputError(
            f"{word!r} {cause}, so it has no row in the embedding matrix.",
            remedy="Try another word, or another form of it.",
            field="word",
            value=word,
        )

    def nearest(self, vector: Tensor, k: int = 10, without: Sequence[str] = ()) -> list[Neighbor]:
        """Find the k words most similar to a vector (D,), except `without` in any letter case."""
        excluded = {word.lower() for word in without}
        is_allowed = self.is_word & torch.tensor(
            [word.lower() not in excluded for word in self.words]
        )
        similarity = (self.matrix @ F.normalize(vector, dim=0)).masked_fill(~is_allowed, -2.0)
        values, rows = similarity.topk(min(k, int(is_allowed.sum())))
        return [
            Neighbor(self.words[row], value, row)
            for value, row in zip(values.tolist(), rows.tolist(), strict=True)
        ]

    def combined(self, expression: Sequence[str]) -> tuple[Tensor, list[str]]:
        """Add and subtract unit vectors of words, for example ["king", "-", "man"].

        Returns the sum (D,) and the words in it.

        Raises:
            InputError: The expression does not alternate words and signs.
        """
        total = torch.zeros(self.matrix.shape[1], device=self.matrix.device)
        words: list[str] = []
        sign, expects_word = 1.0, True
        for i, part in enumerate(expression):
            is_sign = part in ("+", "-")
            if is_sign and (not expects_word or i == 0):
                sign, expects_word = (1.0 if part == "+" else -1.0), True
            elif expects_word and not is_sign:
                total, expects_word = total + sign * self.matrix[self.row(part)], False
                words.append(part)
            else:
                raise _bad_expression(expression, f"{part!r} is in the wrong place")
        if expects_word:
            raise _bad_expression(expression, "a word is missing at the end")
        return total, words

    def answer(self, expression: Sequence[str], k: int) -> dict[str, Any]:
        """Return the k words nearest to a sum of words, as JSON; the sum's words are left out.

        Raises:
            InputError: The expression is malformed, or a word is not a single token.
        """
        total, words = self.combined(expression)
        return {"words": [asdict(near) for near in self.nearest(total, k, words)]}


def _bad_expression(expression: Sequence[str], reason: str) -> InputError:
    text = " ".join(expression)
    return InputError(
        f"The expression {text!r} cannot be computed: {reason}.",
        remedy=f"Write words with + or - between them, for example {EXAMPLE}.",
        field="expression",
        value=text,
    )
