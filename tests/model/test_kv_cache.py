"""The KV cache stores and returns the right positions; cached logits equal uncached ones."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.kv_cache import DenseCache
from chatwright.model.presets import preset


def test_append_returns_stored_keys_at_their_positions() -> None:
    cache = DenseCache(n_layer=2, n_slot=4, n_kv_head=1, head_dim=2, capacity=5)
    for slots in ([1, 2], [3, 0]):  # consecutive slots are read as a view, others as a copy
        keys = torch.arange(12.0).view(2, 1, 3, 2) + 1
        cache.start_step(torch.tensor(slots), torch.tensor([[0, 1, 2], [2, 3, -1]]))
        got_keys, got_values = cache.layer(1).append(keys, -keys)
        assert got_keys.shape == (2, 1, 5, 2)
        expected = torch.zeros(2, 1, 5, 2)
        expected[0, :, 0:3] = keys[0]
        expected[1, :, 2:4] = keys[1, :, :2]  # the third token is padding
        assert torch.equal(got_keys, expected)
        assert torch.equal(got_values, -expected)
    assert not cache.keys[0].any(), "the other layer is unchanged"


def test_append_returns_as_many_keys_as_start_step_requests() -> None:
    cache = DenseCache(1, 1, 1, 2, capacity=8)
    cache.start_step(torch.tensor([0]), torch.tensor([[0]]), n_keys=4)
    keys, _ = cache.layer(0).append(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2))
    assert keys.shape == (1, 1, 4, 2)


def test_select_copies_keys_values_and_tokens_between_slots() -> None:
    cache = DenseCache(n_layer=2, n_slot=3, n_kv_head=1, head_dim=2, capacity=5)
    keys = torch.arange(12.0).view(3, 1, 2, 2) + 1
    cache.start_step(torch.arange(3), torch.tensor([[0, 1]] * 3))
    cache.layer(1).append(keys, -keys)
    cache.predecessors(torch.tensor([[1, 2], [3, 4], [5, 6]]), 1, no_token=9)
    cache.select(torch.tensor([2, 0]), n_token=2)
    cache.start_step(torch.arange(2), torch.tensor([[2], [2]]), n_keys=3)
    got_keys, got_values = cache.layer(1).append(
        torch.full((2, 1, 1, 2), 7.0), torch.zeros(2, 1, 1, 2)
    )
    assert torch.equal(got_keys, torch.cat([keys[[2, 0]], torch.full((2, 1, 1, 2), 7.0)], dim=2))
    assert torch.equal(got_values[:, :, :2], -keys[[2, 0]])
    assert cache.predecessors(torch.tensor([[7], [8]]), 2, no_token=9).tolist() == [
        [[6, 5]],
        [[2, 1]],
    ]


def test_copying_a_slot_makes_room_and_copies_the_first_tokens() -> None:
    cache = DenseCache(n_layer=1, n_slot=4, n_kv_head=1, head_dim=2, capacity=5)
    keys = torch.arange(6.0).view(1, 1, 3, 2) + 1
    cache.start_step(torch.tensor([0]), torch.tensor([[0, 1, 2]]), n_keys=3)
    cache.layer(0).append(keys, -keys)
    cache.predecessors(torch.tensor([[4, 5, 6]]), 1, no_token=9)
    cache.copy_slot(0, 2, n_token=2, n_slot=4)
    assert len(cache.keys[0]) == 4
    cache.start_step(torch.tensor([2]), torch.tensor([[2]]), n_keys=3)
    new = torch.full((1, 1, 1, 2), 7.0)
    got_keys, got_values = cache.layer(0).append(new, new)
    assert torch.equal(got_keys, torch.cat([keys[:, :, :2], new], dim=2))
    assert torch.equal(got_values, torch.cat([-keys[:, :, :2], new], dim=2))
    assert cache.predecessors(torch.tensor([[7]]), 2, no_token=9).tolist() == [[[5, 4]]]


def test_clearing_a_slot_leaves_the_others_unchanged() -> None:
    cache = DenseCache(1, 2, 1, 2, capacity=3)
    cache.start_step(torch.tensor([0, 1]), torch.tensor([[0], [0]]))
    cache.layer(0).append(torch.full((2, 1, 1, 2), float("nan")), torch.ones(2, 1, 1, 2))
    cache.clear_slot(0)
    assert not cache.keys[0][0].any()
    assert not cache.values[0][0].any()
    assert cache.values[0][1].any()


def test_shrinking_keeps_the_first_slots_and_gives_the_memory_of_the_others_back() -> None:
    cache = whole(2, 4, 1, 2, capacity=5)
    keys = torch.arange(16.0).view(4, 1, 2, 2)
    for layer in range(2):
        cache.start_step(torch.arange(4), torch.tensor([[0, 1]] * 4))
        cache.layer(layer).append(keys, -keys)
    n_byte = cache.nbytes
    cache.shrink(2)
    cache.shrink(3)
    assert cache.nbytes == n_byte / 2
    for (stored, values), expected in zip(cache.slot_parts(1, 0, 2), [keys[1]] * 2, strict=True):
        assert torch.equal(stored, expected)
        assert torch.equal(values, -expected)


def whole(n_layer: int, n_slot: int, n_kv_head: int, head_dim: int, capacity: int) -> DenseCache:
    """Return a cache whose memory is allocated at once, as if a step had used all of it."""
    cache = DenseCache(n_layer, n_slot, n_kv_head, head_dim, capacity)
    cache.start_step(torch.arange(n_slot), torch.full((n_slot, 1), -1))
    for layer in range(n_layer):
        cache.layer(layer)
    return cache


def test_a_cache_grows_to_the_slots_and_keys_that_steps_need() -> None:
    cache = DenseCache(n_layer=2, n_slot=4, n_kv_head=3, head_dim=2, capacity=16)
    sizes = []
    for slot, n_keys in ((0, 4), (0, 4), (2, 4), (1, 8), (0, 4)):
        cache.start_step(torch.tensor([slot]), torch.tensor([[0]]), n_keys)
        for layer in range(2):
            cache.layer(layer).append(torch.ones(1, 3, 1, 2), torch.ones(1, 3, 1, 2))
        sizes.append(cache.nbytes)
    one_position = 2 * 2 * 3 * 2 * 4  # keys and values, layers, heads, numbers, bytes
    slots_and_lengths = [(1, 4), (1, 4), (3, 4), (3, 8), (3, 8)]
    assert sizes == [n_slot * (n + 1) * one_position for n_slot, n in slots_and_lengths]
    assert whole(2, 4, 3, 2, 16).nbytes == 4 * 17 * one_position
    cache.clear()
    assert cache.nbytes == 0


def test_a_growing_cache_returns_the_same_numbers_as_one_allocated_whole() -> None:
    random = generator(0, "steps")
    growing, complete = DenseCache(2, 3, 2, 4, capacity=24), whole(2, 3, 2, 4, capacity=24)
    n_read = [0, 0, 0]
    for _ in range(30):
        slots = torch.randperm(3, generator=random)[
            : int(torch.randint(1, 4, (1,), generator=random))
        ]
        lengths = torch.randint(1, 4, (len(slots),), generator=random).tolist()
        for slot in slots.tolist():
            if n_read[slot] + 3 > 24:  # the text is finished, and the slot is used again
                n_read[slot] = 0
                growing.clear_slot(slot)
                complete.clear_slot(slot)
        positions = torch.tensor(
            [
                [n_read[slot] + t if t < length else -1 for t in range(3)]
                for slot, length in zip(slots.tolist(), lengths, strict=True)
            ]
        )
        n_keys = -(-(int(positions.max()) + 1) // 8) * 8
        new = torch.randn(2, 2, len(slots), 2, 3, 4, generator=random)
        token_ids = torch.randint(9, (len(slots), 3), generator=random)
        results = []
        for cache in (growing, complete):
            cache.start_step(slots, positions, n_keys)
            got = [cache.layer(layer).append(*new[layer]) for layer in range(2)]
            preceding = cache.predecessors(token_ids, 2, no_token=9)[positions >= 0]
            results.append([*(part for pair in got for part in pair), preceding])
        for ours, expected in zip(*results, strict=True):
            assert torch.equal(ours, expected)
        for slot, length in zip(slots.tolist(), lengths, strict=True):
            n_read[slot] += length
    assert growing.nbytes == complete.nbytes, "in the end everything was used"


def test_slots_and_keys_beyond_the_limits_are_a_bug() -> None:
    cache = DenseCache(1, 2, 1, 2, capacity=4)
    with pytest.raises(AssertionError):
        cache.start_step(torch.tensor([2]), torch.tensor([[0]]))
    with pytest.raises(AssertionError):
        cache.start_step(torch.tensor([0]), torch.tensor([[4]]), n_keys=5)


def logits_with_cache(
    model: GPT, token_ids: torch.Tensor, cuts: list[int], shift: int = 0
) -> torch.Tensor:
    """Compute all logits of a text in pieces.

    `shift` is subtracted from the positions of all pieces but the first. The logits must then be
    wrong.
    """
    cache = DenseCache(
        model.config.n_layer, 1, model.config.n_kv_head, model.config.head_dim, token_ids.shape[1]
    )
    pieces = []
    for start, end in zip([0, *cuts], [*cuts, token_ids.shape[1]], strict=True):
        positions = torch.arange(start, end)[None] - (shift if start else 0)
        cache.start_step(torch.tensor([0]), positions)
        pieces.append(
            model(
                token_ids[:, start:end],
                masks.causal(positions, token_ids.shape[1]),
                positions,
                cache,
            )
        )
    return torch.cat(pieces, dim=1)


def test_cached_logits_equal_uncached_ones_unless_positions_are_off_by_one() -> None:
    for changes in (
        {},
        {"position": "learned"},
        {"position": "sinusoidal", "norm": "layer", "activation": "gelu"},
    ):
        model = GPT(preset("nano", vocab_size=50, context_length=32, **changes)).eval()
        init_weights(model, generator(0, "weights"))
        token_ids = torch.randint(50, (1, 20), generator=generator(1, "tokens"))
        with torch.no_grad():
            whole = model(token_ids)
            for cuts in ([7], [1, 2, 3, 19], list(range(1, 20))):
                torch.testing.assert_close(
                    logits_with_cache(model, token_ids, cuts), whole, atol=1e-5, rtol=1e-4
                )
            assert (logits_with_cache(model, token_ids, [7], shift=1) - whole).abs().max() > 1e-3
