"""Embeddings from what stands near what: a few seconds of counting give words of one meaning one direction, before any step of training.

Positive pointwise mutual information of words within a window, factorised by singular values (Levy & Goldberg 2014, who show that word2vec does
nearly this by gradient descent). Words of the context are smoothed by the power 0.75 (Levy et al. 2015). Costs one pass over the text and a few
products with the sparse table; knows neither order nor context: that is what training adds.
"""

import torch
from torch import Tensor

from chatwright.devices import generator

SMOOTHING = 0.75
OVERSAMPLING, POWER_ITERATIONS = 32, 3  # Halko et al. 2011, algorithm 4.4
TOKENS_AT_ONCE = 2_000_000


def cooccurrence_embeddings(
    stream: Tensor,
    is_text: Tensor,
    vocab_size: int,
    d_model: int,
    window: int,
    size: float,
    seed: int,
) -> Tensor:
    """(V, D) with numbers of the given root mean square, from documents end to end in `stream` (N,); is_text (V,) leaves control tokens out.

    Tokens that were never seen beside another are zero.
    """
    keys, counts = _counts(stream.long(), is_text, vocab_size, window)
    table = _ppmi(keys // vocab_size, keys % vocab_size, counts, vocab_size)
    vectors, values = _left_singular(table, min(d_model, vocab_size), seed)
    seen = (keys // vocab_size).unique()
    embeddings = torch.zeros(vocab_size, d_model)
    embeddings[seen, : len(values)] = (vectors * values.sqrt())[seen]
    return embeddings * (size / embeddings[seen].square().mean().sqrt())


def _counts(stream: Tensor, is_text: Tensor, vocab_size: int, window: int) -> tuple[Tensor, Tensor]:
    """Pairs as one number, word * V + context, and how often each stands within the window, neighbours counting for more (1 / distance)."""
    keys, counts = torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.double)
    for start in range(0, len(stream), TOKENS_AT_ONCE):
        here = stream[max(0, start - window) : start + TOKENS_AT_ONCE]
        for distance in range(1, window + 1):
            new = here[max(0, min(start, window) - distance) :]  # pairs whose later word is new
            left, right = new[:-distance], new[distance:]
            both = is_text[left] & is_text[right]
            pairs = torch.cat(
                [left[both] * vocab_size + right[both], right[both] * vocab_size + left[both]]
            )
            found, n = pairs.unique(return_counts=True)
            keys, counts = _added(
                torch.cat([keys, found]), torch.cat([counts, n.double() / distance])
            )
    return keys, counts


def _added(keys: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    unique, place = keys.unique(return_inverse=True)
    return unique, torch.zeros(len(unique), dtype=torch.double).index_add_(0, place, counts)


def _ppmi(words: Tensor, contexts: Tensor, counts: Tensor, vocab_size: int) -> Tensor:
    """max(0, log p(w, c) / (p(w) p'(c))) as a sparse (V, V)."""
    total = torch.zeros(vocab_size, dtype=torch.double).index_add_(0, words, counts)
    smoothed = total**SMOOTHING / (total**SMOOTHING).sum()
    values = (counts / total[words] / smoothed[contexts]).log()
    kept = values > 0
    table = torch.sparse_coo_tensor(
        torch.stack([words[kept], contexts[kept]]),
        values[kept].float(),
        (vocab_size, vocab_size),
        check_invariants=True,
    )
    return table.coalesce()


def _left_singular(table: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """The first n left singular vectors (V, n) and values (n,), by a randomised range finder with draws of its own."""
    q = min(n + OVERSAMPLING, table.shape[0])
    turned = table.t().coalesce()
    basis = torch.linalg.qr(
        table @ torch.randn(table.shape[0], q, generator=generator(seed, "co-occurrence"))
    )[0]
    for _ in range(POWER_ITERATIONS):
        basis = torch.linalg.qr(table @ torch.linalg.qr(turned @ basis)[0])[0]
    vectors, values, _ = torch.linalg.svd((turned @ basis).T, full_matrices=False)  # of (q, V)
    return (basis @ vectors)[:, :n], values[:n]
