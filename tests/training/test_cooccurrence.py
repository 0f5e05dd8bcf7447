"""Counted embeddings equal the obvious computation, and words used alike lie together."""

import torch

from chatwright.devices import generator
from chatwright.training import cooccurrence
from chatwright.training.cooccurrence import cooccurrence_embeddings

V = 40


def text(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A stream in which 0 separates documents."""
    stream = torch.randint(1, V, (n,), generator=generator(1, "text"))
    stream[::17] = 0
    return stream, torch.arange(V) > 0


def obvious_table(stream: torch.Tensor, window: int) -> torch.Tensor:
    counts = torch.zeros(V, V, dtype=torch.double)
    words = stream.tolist()
    for i, word in enumerate(words):
        for j in range(max(0, i - window), min(len(words), i + window + 1)):
            if i != j and word and words[j]:
                counts[word, words[j]] += 1 / abs(i - j)
    smoothed = counts.sum(1) ** 0.75 / (counts.sum(1) ** 0.75).sum()
    return (
        (counts / counts.sum(1, keepdim=True) / smoothed)
        .log()
        .clamp(min=0)
        .nan_to_num(0.0, 0.0, 0.0)
        .float()
    )


def test_the_embeddings_give_back_the_table_as_well_as_so_many_numbers_can(monkeypatch) -> None:
    """E E^T is U S U^T: compared with that of torch's full singular values; in one piece and in several."""
    stream, is_text = text(1000)
    table = obvious_table(stream, 3)
    u, s, _ = torch.linalg.svd(table)
    wanted = (u[:, :8] * s[:8]) @ u[:, :8].T
    for at_once in (2_000_000, 137):
        monkeypatch.setattr(cooccurrence, "TOKENS_AT_ONCE", at_once)
        made = cooccurrence_embeddings(stream, is_text, V, 8, 3, 1.0, 0)
        scale = (u[:, :8] * s[:8].sqrt())[is_text].square().mean().sqrt()
        torch.testing.assert_close(made @ made.T * scale**2, wanted, atol=1e-3, rtol=1e-3)


def test_words_used_alike_lie_together_and_control_tokens_at_zero() -> None:
    """1 and 2 stand in the same company, 3 and 4 in another."""
    draws = generator(2, "sentences")
    rows = []
    for _ in range(600):
        first, company = (
            ((1, 2), range(10, 20))
            if torch.rand((), generator=draws) < 0.5
            else ((3, 4), range(20, 30))
        )
        word = first[int(torch.randint(2, (), generator=draws))]
        others = [company[int(i)] for i in torch.randint(10, (4,), generator=draws)]
        rows += [0, *others[:2], word, *others[2:], 0]
    made = cooccurrence_embeddings(torch.tensor(rows), torch.arange(V) > 0, V, 6, 2, 0.05, 0)
    near = torch.nn.functional.normalize(made, dim=1) @ torch.nn.functional.normalize(made, dim=1).T
    assert float(near[1, 2]) > 0.8
    assert float(near[3, 4]) > 0.8
    assert float(near[1, 3]) < 0.3
    assert bool((made[0] == 0).all())
    assert torch.equal(
        made, cooccurrence_embeddings(torch.tensor(rows), torch.arange(V) > 0, V, 6, 2, 0.05, 0)
    )


def test_more_width_than_words_is_filled_with_zeros() -> None:
    stream, is_text = text(300)
    made = cooccurrence_embeddings(stream, is_text, V, 64, 2, 0.05, 0)
    assert made.shape == (V, 64)
    assert bool((made[:, V:] == 0).all())
