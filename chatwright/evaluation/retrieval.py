"""Retrieval: how often the text that belongs to a query is the nearest of all candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.data.encoded.text_pairs import EncodedTextPairs
from chatwright.evaluation.interval import Share

QUERIES_PER_BATCH = 512

IndexPairs = Sequence[tuple[int, int]]
"""Pairs (query, candidate)."""


@dataclass(frozen=True)
class Retrieval:
    """For each query, the rank of its first right candidate."""

    ranks: tuple[int, ...]
    """Counted from 1, among all wrong candidates and the best right one."""
    n_candidate: int

    def recall(self, k: int) -> Share:
        """Return the share of queries with a right candidate among the k nearest."""
        return Share(sum(rank <= k for rank in self.ranks), len(self.ranks))

    @property
    def mean_reciprocal_rank(self) -> float:
        """The mean of 1 / rank."""
        return sum(1 / rank for rank in self.ranks) / len(self.ranks)


def retrieval(
    queries: Tensor, candidates: Tensor, right: IndexPairs, left_out: IndexPairs = ()
) -> Retrieval:
    """Rank the candidates of each query by cosine.

    A wrong candidate as near as the right one counts as nearer, so equal vectors find nothing.

    Args:
        queries: (Q, D).
        candidates: (C, D).
        right: Pairs that belong together; every query has one or more.
        left_out: Pairs that do not count, such as a query and the same text among the candidates.
    """
    is_right = _marks(right, len(queries), len(candidates))
    is_wrong = ~(is_right | _marks(left_out, len(queries), len(candidates)))
    assert bool(is_right.any(dim=1).all()), "every query needs a right candidate"
    candidates = F.normalize(candidates)
    ranks: list[int] = []
    for start in range(0, len(queries), QUERIES_PER_BATCH):
        rows = slice(start, start + QUERIES_PER_BATCH)
        cosines = F.normalize(queries[rows]) @ candidates.T  # (B, C)
        best_right = cosines.masked_fill(~is_right[rows], -torch.inf).amax(dim=1, keepdim=True)
        n_nearer = ((cosines >= best_right) & is_wrong[rows]).sum(dim=1)
        ranks += (1 + n_nearer).tolist()
    return Retrieval(tuple(ranks), len(candidates))


def _marks(pairs: IndexPairs, n_query: int, n_candidate: int) -> Tensor:
    marks = torch.zeros(n_query, n_candidate, dtype=torch.bool)
    for query, candidate in pairs:
        marks[query, candidate] = True
    return marks


def retrieve_pairs(pairs: EncodedTextPairs, vectors: Tensor) -> Retrieval:
    """Find the positives of every anchor among all positives and negatives.

    Args:
        pairs: The pairs; their anchors, positives and negatives are rows of `vectors`.
        vectors: (N, D), the vectors of the distinct texts.
    """
    queries = list(dict.fromkeys(pairs.anchors))
    negatives = [negative for negative in pairs.negatives if negative is not None]
    candidates = list(dict.fromkeys([*pairs.positives, *negatives]))
    column = {text: i for i, text in enumerate(candidates)}
    right = [
        (row, column[positive])
        for row, anchor in enumerate(queries)
        for positive in pairs.positives_of[anchor]
    ]
    itself = [
        (row, column[anchor])
        for row, anchor in enumerate(queries)
        if anchor in column and anchor not in pairs.positives_of[anchor]
    ]
    return retrieval(vectors[queries], vectors[candidates], right, itself)
