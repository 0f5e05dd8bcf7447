"""N-gram embeddings against a table filled token by token."""

import torch

from chatwright.devices import generator
from chatwright.model.ngram_embedding import NgramEmbedding, predecessors


def filled(vocab_size: int, orders: tuple[int, ...], n_rows: int) -> NgramEmbedding:
    module = NgramEmbedding(vocab_size, 4, orders, n_rows)
    with torch.no_grad():
        for table in module.tables:
            table.normal_(generator=generator(0, "table"))
    return module


def test_predecessors_stop_at_the_start_of_a_document() -> None:
    token_ids = torch.tensor([[5, 6, 7, 8, 9]])
    assert predecessors(token_ids, torch.tensor([[0, 1, 2, 0, 1]]), 2, 99)[0].tolist() == [[99, 99], [5, 99], [6, 5], [99, 99], [8, 99]]


def test_each_run_of_tokens_has_its_own_row_where_all_fit() -> None:
    module, seen = filled(5, (2,), 36), {}
    token_ids = torch.randint(5, (1, 400), generator=generator(1, "ids"))
    out = module(token_ids, predecessors(token_ids, None, 1, 5))
    for t, row in enumerate(out[0]):
        key = (token_ids[0, t - 1].item() if t else None, token_ids[0, t].item())
        assert torch.equal(seen.setdefault(key, row), row)
    assert len({tuple(row.tolist()) for row in seen.values()}) == len(seen) == 26


def test_orders_add_up_and_depend_only_on_their_run() -> None:
    both, token_ids = filled(50, (2, 4), 64), torch.randint(50, (1, 30), generator=generator(2, "ids"))
    out = both(token_ids, predecessors(token_ids, None, 3, 50))
    changed = token_ids.clone()
    changed[0, 10] = (changed[0, 10] + 1) % 50
    other = both(changed, predecessors(changed, None, 3, 50))
    differing = [t for t in range(30) if not torch.equal(out[0, t], other[0, t])]
    assert differing == [10, 11, 12, 13]
