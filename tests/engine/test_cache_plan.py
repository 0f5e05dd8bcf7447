"""The longest context and the number of replies are chosen by the memory that is free."""

import pytest

from chatwright.engine.cache_plan import MAX_PREFIX_BYTES, MemoryLimits, TokenMemory, plan_cache
from chatwright.errors import InputError

GB = 10**9
# SmolLM2-135M: 30 layers, 3 key/value heads of 64 numbers, 9 query heads, float32.
SMOLLM2 = TokenMemory(cache_bytes=46_080, step_bytes=15_360, block=512)
ROOMY = MemoryLimits()


def test_the_memory_of_a_conversation_is_that_of_the_issue() -> None:
    """30 layers x 3 heads x 64 numbers x keys and values x 2,048 tokens x 4 bytes are 94 MB."""
    only_cache = TokenMemory(cache_bytes=30 * 3 * 64 * 2 * 4, step_bytes=0, block=512)
    assert only_cache.total(2048, 1) == pytest.approx(94.4e6, rel=1e-3)


@pytest.mark.parametrize(
    ("limits", "model_context", "n_reply", "free", "expected"),
    [
        # Everything fits.
        (ROOMY, 8192, 8, 20 * GB, (8192, 8)),
        (ROOMY, 8192, 1, 2 * GB, (8192, 1)),
        (MemoryLimits(max_context=2048, max_replies=3), 8192, 8, 20 * GB, (2048, 3)),
        # First the context is shortened, in whole blocks ...
        (ROOMY, 131_072, 1, 5 * GB, (65_024, 1)),
        (ROOMY, 8192, 8, 3 * GB, (6144, 8)),
        # ... down to 4,096 tokens; then fewer replies run at once.
        (ROOMY, 131_072, 8, 2 * GB, (4096, 8)),
        (ROOMY, 131_072, 8, 1 * GB, (5120, 3)),
        (ROOMY, 131_072, 8, GB // 10, (1024, 1)),
        # What the user set stays.
        (MemoryLimits(max_replies=4), 131_072, 8, 1 * GB, (3584, 4)),
        (MemoryLimits(max_context=8192), 131_072, 8, 2 * GB, (8192, 3)),
        (MemoryLimits(cache_memory=GB // 2), 131_072, 1, 20 * GB, (7680, 1)),
    ],
)
def test_the_plan_is_the_largest_that_fits(
    limits: MemoryLimits,
    model_context: int,
    n_reply: int,
    free: int,
    expected: tuple[int, int],
) -> None:
    plan = plan_cache(limits, SMOLLM2, model_context, n_reply, free)
    assert (plan.context_length, plan.n_slot) == expected
    budget = limits.cache_memory or 0.8 * free
    assert SMOLLM2.total(plan.context_length, plan.n_slot) <= budget
    is_reduced = expected != (limits.max_context or model_context, limits.max_replies or n_reply)
    assert bool(plan.note) == is_reduced
    if is_reduced and limits.max_context is None and plan.context_length < model_context:
        assert SMOLLM2.total(plan.context_length + 512, plan.n_slot) > budget
    if is_reduced and limits.max_replies is None and plan.n_slot < n_reply:
        needed = limits.max_context or min(plan.context_length, 4096)
        assert SMOLLM2.total(needed, plan.n_slot + 1) > budget


@pytest.mark.parametrize("n_reply", [1, 8])
def test_every_plan_fits_in_the_memory(n_reply: int) -> None:
    for free in range(10**8, 9 * 10**9, 37 * 10**6):
        plan = plan_cache(ROOMY, SMOLLM2, 131_072, n_reply, free)
        assert SMOLLM2.total(plan.context_length, plan.n_slot) <= 0.8 * free
        assert plan.context_length % 512 == 0
        assert 1 <= plan.n_slot <= n_reply


def test_prefixes_get_what_the_replies_leave() -> None:
    for limits in (ROOMY, MemoryLimits(cache_memory=9 * 10**7)):
        for free in range(10**8, 9 * 10**9, 37 * 10**6):
            plan = plan_cache(limits, SMOLLM2, 2048, 2, free)
            total = SMOLLM2.total(plan.context_length, plan.n_slot) + plan.prefix_bytes
            assert 0 <= plan.prefix_bytes <= MAX_PREFIX_BYTES
            assert total <= (limits.cache_memory or 0.9 * free)
            is_small = plan.prefix_bytes < MAX_PREFIX_BYTES
            assert total > (limits.cache_memory or 0.9 * free) - 2 or not is_small


def test_the_note_names_the_numbers_and_the_options() -> None:
    note = plan_cache(ROOMY, SMOLLM2, 131_072, 1, 5 * GB).note
    assert "\n" not in note
    for part in ("65,024", "131,072", "4.0 GB", "--max-context", "--max-replies", "--cache-memory"):
        assert part in note


@pytest.mark.parametrize(
    ("limits", "free", "field", "remedy"),
    [
        (MemoryLimits(max_context=131_073), 99 * GB, "max_context", "--max-context 131072"),
        (MemoryLimits(max_context=131_072, max_replies=8), 5 * GB, "max_context", "10240"),
        (MemoryLimits(max_context=131_072), 5 * GB, "max_context", "--max-context 65024"),
        (MemoryLimits(max_replies=1000), 1 * GB, "max_replies", "--max-replies 33"),
        (MemoryLimits(cache_memory=2 * GB), 1 * GB, "cache_memory", ""),
        (MemoryLimits(cache_memory=10**6), 1 * GB, "cache_memory", "--cache-memory 32MB"),
        (MemoryLimits(), 10**6, "max_context", ""),
    ],
)
def test_what_does_not_fit_is_refused_with_a_value_that_does(
    limits: MemoryLimits, free: int, field: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        plan_cache(limits, SMOLLM2, 131_072, 8, free)
    assert caught.value.field == field
    assert caught.value.value == getattr(limits, field)
    assert remedy in caught.value.remedy
    assert caught.value.remedy


@pytest.mark.parametrize("field", ["max_context", "max_replies", "cache_memory"])
@pytest.mark.parametrize("value", [0, -1])
def test_values_below_one_are_refused(field: str, value: int) -> None:
    with pytest.raises(InputError) as caught:
        MemoryLimits(**{field: value})
    assert (caught.value.field, caught.value.value) == (field, value)
