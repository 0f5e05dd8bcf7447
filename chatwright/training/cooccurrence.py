"""Initial embeddings from co-occurrence counts.

Words with similar neighbors get similar vectors before the first training step. The embeddings are
a truncated singular value decomposition of the positive pointwise mutual information (PPMI) of
words within a window. Levy & Goldberg 2014 show that word2vec approximates this factorization by
gradient descent. Context frequencies are smoothed by the power 0.75 (Levy et al. 2015). It costs
one pass over the text and a few products with a sparse matrix: a few seconds. The counts ignore
word order, which only training can learn.
"""

import torch
from torch import Tensor

from chatwright.devices import generator

SMOOTHING = 0.75
"""Exponent of the context frequencies."""
OVERSAMPLING = 32
POWER_ITERATIONS = 3
"""Settings of the randomized singular value decomposition (Halko et al. 2011, algorithm 4.4)."""
TOKENS_AT_ONCE = 2_000_000
"""Tokens whose pairs are counted at a time, which bounds the memory."""


def cooccurrence_embeddings(
    stream: Tensor,
    is_text: Tensor,
    vocab_size: int,
    d_model: int,
    window: int,
    size: float,
    seed: int,
) -> Tensor:
    """Return embeddings (V, D) for all tokens; tokens without a neighbor get zeros.

    Args:
        stream: Token ids of all documents, one after the other. (N,)
        is_text: False for control tokens, which are left out. (V,)
        vocab_size: V.
        d_model: D. Columns beyond V are zero.
        window: Largest distance of a neighbor, in tokens.
        size: Root mean square of the result, over tokens with neighbors.
        seed: Seed of the randomized decomposition.
    """
    keys, counts = _count_pairs(stream.long(), is_text, vocab_size, window)
    words = keys // vocab_size
    matrix = _ppmi(words, keys % vocab_size, counts, vocab_size)
    vectors, values = _left_singular(matrix, min(d_model, vocab_size), seed)
    seen = words.unique()
    embeddings = torch.zeros(vocab_size, d_model)
    embeddings[seen, : len(values)] = (vectors * values.sqrt())[seen]
    return embeddings * (size / embeddings[seen].square().mean().sqrt())


def _count_pairs(
    stream: Tensor, is_text: Tensor, vocab_size: int, window: int
) -> tuple[Tensor, Tensor]:
    """Count (word, context) pairs within the window, each weighted by 1 / distance.

    Returns:
        The pairs as word x V + context, and their counts.
    """
    keys = torch.empty(0, dtype=torch.long)
    counts = torch.empty(0, dtype=torch.double)
    for start in range(0, len(stream), TOKENS_AT_ONCE):
        portion = stream[max(0, start - window) : start + TOKENS_AT_ONCE]
        for distance in range(1, window + 1):
            # Pairs whose second word is in an earlier portion were counted there.
            new = portion[max(0, min(start, window) - distance) :]
            left = new[:-distance]
            right = new[distance:]
            both = is_text[left] & is_text[right]
            pairs = torch.cat(
                [left[both] * vocab_size + right[both], right[both] * vocab_size + left[both]]
            )
            unique, n = pairs.unique(return_counts=True)
            keys, counts = _sum_equal(
                torch.cat([keys, unique]), torch.cat([counts, n.double() / distance])
            )
    return keys, counts


def _sum_equal(keys: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return every key once, with the sum of its counts."""
    unique, index = keys.unique(return_inverse=True)
    return unique, torch.zeros(len(unique), dtype=torch.double).index_add_(0, index, counts)


def _ppmi(words: Tensor, contexts: Tensor, counts: Tensor, vocab_size: int) -> Tensor:
    """Return max(0, log p(w, c) / (p(w) p'(c))) with smoothed p', as a sparse (V, V) matrix."""
    total = torch.zeros(vocab_size, dtype=torch.double).index_add_(0, words, counts)
    smoothed = total**SMOOTHING / (total**SMOOTHING).sum()
    values = (counts / total[words] / smoothed[contexts]).log()
    is_positive = values > 0
    matrix = torch.sparse_coo_tensor(
        torch.stack([words[is_positive], contexts[is_positive]]),
        values[is_positive].float(),
        (vocab_size, vocab_size),
        check_invariants=True,
    )
    return matrix.coalesce()


def _left_singular(matrix: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the first n left singular vectors (V, n) and values (n,) of a (V, V) matrix."""
    q = min(n + OVERSAMPLING, matrix.shape[0])
    transposed = matrix.t().coalesce()
    draws = torch.randn(matrix.shape[0], q, generator=generator(seed, "co-occurrence"))
    basis = torch.linalg.qr(matrix @ draws)[0]
    for _ in range(POWER_ITERATIONS):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(transposed @ basis)[0])[0]
    projected = (transposed @ basis).T  # (q, V)
    vectors, values, _ = torch.linalg.svd(projected, full_matrices=False)
    return (basis @ vectors)[:, :n], values[:n]
