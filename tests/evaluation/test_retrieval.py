"""Retrieval: ranks worked by hand; ties count against, equal texts do not count."""

import pytest
import torch

from chatwright.data.encoded.text_pairs import encode_text_pairs
from chatwright.data.rows import Location, TextPair
from chatwright.devices import generator
from chatwright.evaluation import retrieval as module
from chatwright.evaluation.retrieval import retrieval, retrieve_pairs
from chatwright.tokenizer import wordpiece

# Angles of candidates in degrees; queries lie at 0 and 90.
ANGLES = torch.tensor([10.0, 20.0, 80.0, 45.0]).deg2rad()
CANDIDATES = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
QUERIES = torch.tensor([[2.0, 0.0], [0.0, 0.5]])


def test_ranks_count_the_wrong_candidates_that_are_nearer() -> None:
    # From 0 degrees: 0, 1, 3, 2. From 90 degrees: 2, 3, 1, 0.
    assert retrieval(QUERIES, CANDIDATES, [(0, 0), (1, 2)]).ranks == (1, 1)
    assert retrieval(QUERIES, CANDIDATES, [(0, 3), (1, 0)]).ranks == (3, 4)
    # Of two right candidates the better one counts, and the other is not in its way.
    assert retrieval(QUERIES, CANDIDATES, [(0, 1), (0, 0), (1, 1), (1, 3)]).ranks == (1, 2)


def test_recall_and_mean_reciprocal_rank() -> None:
    found = retrieval(QUERIES, CANDIDATES, [(0, 3), (1, 2)])
    assert found.ranks == (3, 1)
    assert found.mean_reciprocal_rank == pytest.approx((1 / 3 + 1) / 2)
    assert [found.recall(k).value for k in (1, 2, 3)] == [0.5, 0.5, 1.0]
    assert found.n_candidate == 4


def test_equal_vectors_find_nothing() -> None:
    """A model whose vectors are all equal must not seem to work."""
    same = torch.ones(5, 3)
    assert retrieval(same, same, [(i, i) for i in range(5)]).ranks == (5,) * 5


def test_batches_of_queries_give_the_same_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = generator(0, "vectors")
    queries = torch.randn(30, 4, generator=draws)
    candidates = torch.randn(40, 4, generator=draws)
    right = [(i, i) for i in range(30)]
    whole = retrieval(queries, candidates, right)
    monkeypatch.setattr(module, "QUERIES_PER_BATCH", 7)
    assert retrieval(queries, candidates, right) == whole


def test_the_query_itself_among_the_candidates_does_not_count() -> None:
    """Pairs in both directions: every anchor is also the positive of another pair."""
    texts = [("cat", "dog"), ("dog", "cat"), ("log", "mat")]
    tokenizer = wordpiece.train(["cat dog log mat"] * 3, 40)
    rows = [TextPair(a, b, Location("toy"), "mat" if a == "dog" else None) for a, b in texts]
    pairs = encode_text_pairs(rows, tokenizer, 16)
    assert list(pairs.texts.index) == ["cat", "dog", "mat", "log"]
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.6, 0.4]])
    found = retrieve_pairs(pairs, vectors)
    # cat: dog before mat. dog: cat before mat. log: dog and cat are nearer than mat.
    assert found.ranks == (1, 1, 3)
    assert found.n_candidate == 3
