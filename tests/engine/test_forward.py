"""A forward pass whose cache grows, and whose weights were released, computes the same bits."""

import random
from collections.abc import Callable

import pytest
import torch

from chatwright.engine.forward import Forward, token_memory
from chatwright.model import masks
from chatwright.model.gpt import GPT
from chatwright.model.kv_cache import DenseCache
from chatwright.model.presets import preset

MakeModel = Callable[..., GPT]
SEVERAL_KEY_BLOCKS: dict[str, object] = {"context_length": 1600, "n_layer": 2}


def whole_cache(forward: Forward, n_slot: int) -> DenseCache:
    """Return a cache whose memory is allocated at once."""
    cache = forward.make_cache(n_slot)
    cache.start_step(torch.arange(n_slot), torch.full((n_slot, 1), -1))
    for layer in range(forward.config.n_layer):
        cache.layer(layer)
    return cache


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_head": 3, "n_kv_head": 3, "head_dim": 16},
        {"window": 700, "unwindowed_layers": (1,)},
        {"ngrams": (2, 3), "ngram_rows": 500, "n_previous": 2},
    ],
    ids=str,
)
def test_logits_with_a_growing_cache_equal_those_with_a_cache_allocated_whole(
    make_model: MakeModel, changes: dict[str, object]
) -> None:
    choose = random.Random(1)
    with Forward(make_model(**SEVERAL_KEY_BLOCKS, **changes)) as forward:
        growing, complete = forward.make_cache(3), whole_cache(forward, 3)
        texts = [[choose.randrange(61) for _ in range(n)] for n in (1590, 30, 700)]
        n_read, n_compared = [0, 0, 0], 0
        while any(n < len(text) for n, text in zip(n_read, texts, strict=True)):
            slots = [slot for slot in range(3) if n_read[slot] < len(texts[slot])]
            slots = sorted(choose.sample(slots, choose.randint(1, len(slots))))
            length = choose.choice([1, 1, 60, 200])
            chunks = [texts[slot][n_read[slot] : n_read[slot] + length] for slot in slots]
            starts = [n_read[slot] for slot in slots]
            ours, expected = (
                forward.logits(chunks, starts, cache, slots) for cache in (growing, complete)
            )
            assert torch.equal(ours, expected)
            n_compared += len(slots)
            for slot, chunk in zip(slots, chunks, strict=True):
                n_read[slot] += len(chunk)
        assert n_compared > 20
        assert growing.nbytes == complete.nbytes


def test_a_short_text_takes_one_block_of_a_long_context(make_model: MakeModel) -> None:
    with Forward(make_model(context_length=131_072)) as forward:
        cache = forward.make_cache(8)
        forward.logits([[1, 2, 3]], [0], cache, [0])
        assert cache.nbytes == 129 * token_memory(forward.model, 256).cache_bytes


def test_the_planned_memory_is_that_of_a_full_cache(make_model: MakeModel) -> None:
    model = make_model(context_length=1100)
    memory = token_memory(model, chunk=0)
    with Forward(model) as forward:
        assert whole_cache(forward, 3).nbytes == memory.total(1100, 3)


@pytest.mark.parametrize(("n_head", "n_kv_head"), [(9, 3), (8, 8), (8, 1)])
def test_the_planned_memory_covers_the_masks_of_a_prompt(n_head: int, n_kv_head: int) -> None:
    config = preset("nano", vocab_size=61, n_head=n_head, n_kv_head=n_kv_head, context_length=4096)
    positions = torch.arange(4096 - 256, 4096)[None]
    mask = masks.causal_tiles(positions, 4096, n_head, n_kv_head)
    n_byte = mask.bias.nbytes + mask.allowed.nbytes
    planned = token_memory(GPT(config), chunk=256).step_bytes * 4096
    assert 0.25 * planned < n_byte < planned, "bool masks and results of blocks come on top"


def test_logits_do_not_change_when_the_weights_are_released(make_model: MakeModel) -> None:
    for changes in ({}, {"tied": False, "bias": True}):
        model = make_model(**changes)
        with Forward(model) as forward:
            if not forward.has_packed_kernels:
                pytest.skip("this torch build has no packed linear kernel")
            expected = forward.logits([[1, 2, 3]], [0])
        with Forward(model, keeps_weights=False) as forward:
            assert torch.equal(forward.logits([[1, 2, 3]], [0]), expected)
            kept = {name for name, weight in model.named_parameters() if not weight.is_meta}
        assert "embedding.weight" in kept
        assert not {name for name in kept if name.startswith("blocks.") and "_proj" in name}
        assert not any(name.endswith(("query.weight", "up.weight")) for name in kept)
