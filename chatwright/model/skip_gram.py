"""Skip-gram word vectors: predict the words around each word from its vector.

Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality".
There are two tables: `embedding` for a word itself (the result) and `context` for a word as a
neighbor. Both have sparse gradients, so the cost of a step does not grow with the vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.model import Model
from chatwright.model.setting_checks import require_at_least


@dataclass(frozen=True, kw_only=True)
class SkipGramConfig:
    """Settings of a skip-gram model."""

    vocab_size: int
    """Number of tokens in the vocabulary."""
    d_model: int = 100
    """Size of a word's vector."""
    context_length: int = 512
    """Largest number of words per row of a batch. Words in a row do not see each other."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "vocab_size", "d_model", "context_length")


class SkipGram(Model):
    """Two tables of word vectors. (B, T) -> (B, T, V)."""

    config: SkipGramConfig
    sparse_tables = ("embedding.", "context.")

    def __init__(self, config: SkipGramConfig) -> None:
        """Allocate the tables without values."""
        super().__init__()
        self.config = config
        self.embedding = _sparse_table(config)
        self.context = _sparse_table(config)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Score every word as a neighbor of each word. (B, T) -> (B, T, V)."""
        return F.linear(self.hidden_states(token_ids), self.context.weight)

    def hidden_states(self, token_ids: Tensor) -> Tensor:
        """Look up the words' vectors. (B, T) -> (B, T, D)."""
        vectors: Tensor = self.embedding(token_ids)
        return vectors


def _sparse_table(config: SkipGramConfig) -> nn.Embedding:
    shape = (config.vocab_size, config.d_model)
    # Give nn.Embedding its weight, or it draws one from torch's global generator.
    return nn.Embedding(*shape, sparse=True, _weight=torch.empty(shape))


def init_weights(model: SkipGram, generator: torch.Generator) -> None:
    """Draw `embedding` uniformly from +-1/(2 D) and set `context` to 0, as in word2vec."""
    with torch.no_grad():
        model.embedding.weight.uniform_(-0.5, 0.5, generator=generator).div_(model.config.d_model)
        model.context.weight.zero_()
