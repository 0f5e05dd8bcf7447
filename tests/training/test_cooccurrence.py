"""Co-occurrence embeddings equal a direct computation; similar words get similar vectors."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.devices import generator
from chatwright.training import cooccurrence
from chatwright.training.cooccurrence import cooccurrence_embeddings

V = 40
SEPARATOR = 0
IS_TEXT = torch.arange(V) != SEPARATOR


def random_stream(n: int) -> Tensor:
    """Return random words, with a separator after every 16."""
    stream = torch.randint(1, V, (n,), generator=generator(1, "text"))
    stream[::17] = SEPARATOR
    return stream


def direct_ppmi(stream: Tensor, window: int) -> Tensor:
    """Return the PPMI matrix (V, V) by a loop over all pairs of positions."""
    counts = torch.zeros(V, V, dtype=torch.double)
    words = stream.tolist()
    for i, word in enumerate(words):
        for j in range(max(0, i - window), min(len(words), i + window + 1)):
            if i != j and word != SEPARATOR and words[j] != SEPARATOR:
                counts[word, words[j]] += 1 / abs(i - j)
    smoothed = counts.sum(1) ** 0.75 / (counts.sum(1) ** 0.75).sum()
    information = (counts / counts.sum(1, keepdim=True) / smoothed).log()
    return information.clamp(min=0).nan_to_num(0.0, 0.0, 0.0).float()


@pytest.mark.parametrize("tokens_at_once", [2_000_000, 137])
def test_embeddings_are_the_singular_vectors_of_the_directly_computed_matrix(
    monkeypatch: pytest.MonkeyPatch, tokens_at_once: int
) -> None:
    """E E^T equals U S U^T of torch's exact decomposition, with one portion and with several."""
    monkeypatch.setattr(cooccurrence, "TOKENS_AT_ONCE", tokens_at_once)
    stream = random_stream(1000)
    u, s, _ = torch.linalg.svd(direct_ppmi(stream, 3))
    expected = (u[:, :8] * s[:8]) @ u[:, :8].T
    embeddings = cooccurrence_embeddings(stream, IS_TEXT, V, d_model=8, window=3, size=1.0, seed=0)
    # The result is divided by its root mean square.
    root_mean_square = (u[:, :8] * s[:8].sqrt())[IS_TEXT].square().mean().sqrt()
    product = embeddings @ embeddings.T * root_mean_square**2
    torch.testing.assert_close(product, expected, atol=1e-3, rtol=1e-3)


def stream_of_two_groups() -> Tensor:
    """Return sentences in which 1 and 2 have the neighbors 10..19, and 3 and 4 have 20..29."""
    draws = generator(2, "sentences")
    tokens: list[int] = []
    for _ in range(600):
        is_first = torch.rand((), generator=draws) < 0.5
        words = (1, 2) if is_first else (3, 4)
        neighbors = range(10, 20) if is_first else range(20, 30)
        word = words[int(torch.randint(2, (), generator=draws))]
        chosen = [neighbors[int(i)] for i in torch.randint(10, (4,), generator=draws)]
        tokens += [SEPARATOR, *chosen[:2], word, *chosen[2:], SEPARATOR]
    return torch.tensor(tokens)


def embeddings_of(stream: Tensor, d_model: int = 6) -> Tensor:
    return cooccurrence_embeddings(stream, IS_TEXT, V, d_model, window=2, size=0.05, seed=0)


def test_words_with_the_same_neighbors_get_similar_vectors() -> None:
    embeddings = embeddings_of(stream_of_two_groups())
    unit = F.normalize(embeddings, dim=1)
    similarity = unit @ unit.T
    assert float(similarity[1, 2]) > 0.8
    assert float(similarity[3, 4]) > 0.8
    assert float(similarity[1, 3]) < 0.3


def test_control_tokens_get_zeros() -> None:
    embeddings = embeddings_of(stream_of_two_groups())
    assert bool((embeddings[SEPARATOR] == 0).all())


def test_same_seed_gives_bit_identical_embeddings() -> None:
    stream = stream_of_two_groups()
    assert torch.equal(embeddings_of(stream), embeddings_of(stream))


def test_columns_beyond_the_vocabulary_are_zero() -> None:
    embeddings = embeddings_of(random_stream(300), d_model=64)
    assert embeddings.shape == (V, 64)
    assert bool((embeddings[:, V:] == 0).all())
