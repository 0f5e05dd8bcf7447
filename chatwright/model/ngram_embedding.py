"""Embeddings of the last few tokens together, added to each token's own: what came just before, without asking attention for it.

A table row for every run of n tokens, by hash where there are too many (Svenstrup et al. 2017; the idea is older: Mikolov et al.'s
hash-based n-gram features). Costs one gather per order and almost no compute, but n_rows x D weights per order, which a small corpus
can learn by heart. Other tools do not know these tables, so the default presets have none.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.dropout import Dropout

# Odd 32-bit constants spread neighbouring keys over a table (Knuth's multiplicative hashing).
MULTIPLIER = 2_654_435_761
MODULUS = 2**31 - 1


class NgramEmbedding(nn.Module):
    """(B, T) tokens, each with its predecessors -> (B, T, D)."""

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        orders: tuple[int, ...],
        n_rows: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.vocab_size, self.orders = vocab_size, orders
        # Each order is dropped by itself, so that the model learns to fall back on shorter runs when a longer one is new to it.
        self.dropout = Dropout(dropout)
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(min(n_rows, (vocab_size + 1) ** n), d_model)) for n in orders
        )

    @property
    def reach(self) -> int:
        """How many earlier tokens are looked at."""
        return max(self.orders) - 1

    def forward(self, token_ids: Tensor, predecessors: Tensor) -> Tensor:
        """predecessors (B, T, reach): the token before, the one before that, ...; vocab_size where there is none."""
        key, total = token_ids, torch.zeros((), device=token_ids.device)
        for n in range(2, max(self.orders) + 1):
            key = key + predecessors[..., n - 2] * (self.vocab_size + 1) ** (
                n - 1
            )  # wraps around for long runs; it is a hash
            if n in self.orders:
                table = self.tables[self.orders.index(n)]
                total = total + self.dropout.rows(
                    F.embedding(self._row(key, n, len(table)), table, sparse=True)
                )
        return total  # (B, T, D)

    def _row(self, key: Tensor, n: int, n_rows: int) -> Tensor:
        if (self.vocab_size + 1) ** n == n_rows:
            return key
        return (key * MULTIPLIER % MODULUS) % n_rows


def predecessors(token_ids: Tensor, positions: Tensor | None, reach: int, none: int) -> Tensor:
    """The `reach` tokens before each, within its document: position p has only p of them. (B, T) -> (B, T, reach)."""
    T = token_ids.shape[1]
    places = torch.arange(T, device=token_ids.device) if positions is None else positions
    shifted = [F.pad(token_ids, (k, 0), value=none)[:, :T] for k in range(1, reach + 1)]
    return torch.stack(
        [torch.where(places >= k, before, none) for k, before in enumerate(shifted, 1)], dim=-1
    )
