"""Embeddings of token n-grams, added to each token's own embedding.

They tell each position its last few tokens without attention. Every n-gram has a row in a table;
if there are more n-grams than rows, they share rows by hash (Svenstrup et al. 2017).
Cost: one table lookup per n-gram length and almost no compute, but n_rows x D weights per length,
which can memorize a small corpus. Other tools cannot load these tables, so only the experimental
preset "speedrun" has them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.dropout import Dropout

# An odd 32-bit constant spreads neighboring keys over a table (Knuth's multiplicative hashing).
MULTIPLIER = 2_654_435_761
MODULUS = 2**31 - 1


class NgramEmbedding(nn.Module):
    """Sum of the n-gram embeddings at every position. (B, T) -> (B, T, D)."""

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        orders: tuple[int, ...],
        n_rows: int,
        dropout: float = 0.0,
    ) -> None:
        """Allocate one table of at most `n_rows` rows per n-gram length in `orders`."""
        super().__init__()
        self.vocab_size = vocab_size
        self.orders = orders
        # Each length is dropped independently, so that the model learns to use a shorter n-gram
        # where it has not seen the longer one.
        self.dropout = Dropout(dropout)
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(min(n_rows, (vocab_size + 1) ** n), d_model)) for n in orders
        )

    @property
    def reach(self) -> int:
        """Number of preceding tokens that `forward` needs."""
        return max(self.orders) - 1

    def forward(self, token_ids: Tensor, preceding: Tensor) -> Tensor:
        """Look up and add the embeddings. (B, T), (B, T, reach) -> (B, T, D).

        `preceding` holds the token before, the one before that, and so on; vocab_size where there
        is none.
        """
        key = token_ids
        total = torch.zeros((), device=token_ids.device)
        for n in range(2, max(self.orders) + 1):
            # The product may overflow for long n-grams; the overflowed number is still a hash.
            key = key + preceding[..., n - 2] * (self.vocab_size + 1) ** (n - 1)
            if n in self.orders:
                table = self.tables[self.orders.index(n)]
                rows = self._row_indices(key, n, len(table))
                total = total + self.dropout.drop_vectors(F.embedding(rows, table, sparse=True))
        return total  # (B, T, D)

    def _row_indices(self, key: Tensor, n: int, n_rows: int) -> Tensor:
        """Choose the row of each n-gram: its number if all n-grams have rows, else a hash."""
        if (self.vocab_size + 1) ** n == n_rows:
            return key
        return (key * MULTIPLIER % MODULUS) % n_rows


def predecessors(token_ids: Tensor, positions: Tensor | None, reach: int, no_token: int) -> Tensor:
    """Return the `reach` tokens before each token, within its document. (B, T) -> (B, T, reach).

    Position p has only p predecessors; the others are `no_token`.
    """
    T = token_ids.shape[1]
    if positions is None:
        positions = torch.arange(T, device=token_ids.device)
    shifted = [F.pad(token_ids, (lag, 0), value=no_token)[:, :T] for lag in range(1, reach + 1)]
    preceding = [torch.where(positions >= lag, ids, no_token) for lag, ids in enumerate(shifted, 1)]
    return torch.stack(preceding, dim=-1)
