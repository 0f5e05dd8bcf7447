"""N-gram embeddings: one row per n-gram; each position depends only on its own n-grams."""

import torch

from chatwright.checkpoint.build_model import build
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.ngram_embedding import NgramEmbedding, predecessors


def random_embedding(vocab_size: int, orders: tuple[int, ...], n_rows: int) -> NgramEmbedding:
    module = NgramEmbedding(vocab_size, 4, orders, n_rows)
    with torch.no_grad():
        for table in module.tables:
            table.normal_(generator=generator(0, "table"))
    return module


def test_predecessors_stop_at_the_start_of_a_document() -> None:
    token_ids = torch.tensor([[5, 6, 7, 8, 9]])
    assert predecessors(token_ids, torch.tensor([[0, 1, 2, 0, 1]]), 2, 99)[0].tolist() == [
        [99, 99],
        [5, 99],
        [6, 5],
        [99, 99],
        [8, 99],
    ]


def test_every_bigram_has_its_own_row_if_the_table_is_large_enough() -> None:
    module, row_of = random_embedding(5, (2,), 36), {}
    token_ids = torch.randint(5, (1, 400), generator=generator(1, "ids"))
    out = module(token_ids, predecessors(token_ids, None, 1, 5))
    for t, row in enumerate(out[0]):
        key = (token_ids[0, t - 1].item() if t else None, token_ids[0, t].item())
        assert torch.equal(row_of.setdefault(key, row), row)
    assert len({tuple(row.tolist()) for row in row_of.values()}) == len(row_of) == 26


def test_a_token_changes_the_embeddings_of_the_n_grams_that_contain_it() -> None:
    module = random_embedding(50, (2, 4), 64)
    token_ids = torch.randint(50, (1, 30), generator=generator(2, "ids"))
    out = module(token_ids, predecessors(token_ids, None, 3, 50))
    changed = token_ids.clone()
    changed[0, 10] = (changed[0, 10] + 1) % 50
    other = module(changed, predecessors(changed, None, 3, 50))
    differing = [t for t in range(30) if not torch.equal(out[0, t], other[0, t])]
    assert differing == [10, 11, 12, 13]


def test_preceding_tokens_are_added_through_one_table_per_distance() -> None:
    """Compare the input of the first block with a sum written out token by token.

    Row 11 of a table means "no token": it is used before the beginning of a document.
    """
    config = GPTConfig(
        vocab_size=11,
        d_model=8,
        n_layer=1,
        n_head=1,
        n_kv_head=1,
        head_dim=8,
        d_ff=8,
        context_length=8,
        n_previous=2,
    )
    model = build(GPT, config)
    init_weights(model, generator(3, "weights"))
    with torch.no_grad():
        for table in model.previous:
            table.normal_(generator=generator(4, "table"))
    inputs_of_block = []
    model.blocks[0].register_forward_pre_hook(lambda _, inputs: inputs_of_block.append(inputs[0]))
    token_ids, positions = torch.tensor([[3, 1, 4, 1, 5]]), torch.tensor([[0, 1, 2, 0, 1]])
    model(token_ids, positions=positions)
    expected = [
        model.embedding.weight[t] + model.previous[0][one] + model.previous[1][two]
        for t, one, two in [(3, 11, 11), (1, 3, 11), (4, 1, 3), (1, 11, 11), (5, 1, 11)]
    ]
    assert torch.equal(inputs_of_block[0][0], torch.stack(expected))
