"""Skip-gram: a vector for every word, from which the words around it can be guessed (Mikolov et al. 2013, "Distributed Representations").

Two tables: a word as it is itself (`embedding`, what is kept in the end) and as a neighbour (`context`). Both are looked up with sparse gradients:
a step costs by the words it touches, not by the vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.model import Model


@dataclass(frozen=True, kw_only=True)
class SkipGramConfig:
    vocab_size: int
    d_model: int = 100  # numbers per word
    context_length: int = 512  # words looked up at once; each sees only itself

    def __post_init__(self) -> None:
        for name in ("vocab_size", "d_model", "context_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")


class SkipGram(Model):
    config: SkipGramConfig
    sparse_tables = ("embedding.", "context.")

    def __init__(self, config: SkipGramConfig) -> None:
        super().__init__()
        self.config = config
        shape = (config.vocab_size, config.d_model)
        # nn.Embedding draws from torch's global generator when it is left to initialise itself.
        self.embedding, self.context = (
            nn.Embedding(*shape, sparse=True, _weight=torch.empty(shape)) for _ in range(2)
        )

    def forward(self, token_ids: Tensor) -> Tensor:
        """Scores of every word as a neighbour of each. (B, T) -> (B, T, V)."""
        return F.linear(self.hidden_states(token_ids), self.context.weight)

    def hidden_states(self, token_ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, D)."""
        found: Tensor = self.embedding(token_ids)
        return found


def init_weights(model: SkipGram, generator: torch.Generator) -> None:
    """Words uniform in +-1/(2 D), neighbours zero, as in word2vec: every score is zero at first."""
    with torch.no_grad():
        model.embedding.weight.uniform_(-0.5, 0.5, generator=generator).div_(model.config.d_model)
        model.context.weight.zero_()
