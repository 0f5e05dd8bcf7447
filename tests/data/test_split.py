"""The split for validation depends on the content only and leaves most data for training."""

import hashlib
import random

import pytest

from chatwright.data.split import choose_validation, split


def split_of_earlier_versions(keys, sizes, fraction):
    """Return the split of earlier versions, which must stay the same for ordinary data."""
    groups: dict[bytes, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(hashlib.sha256(key.encode("utf-8")).digest(), []).append(index)
    left = fraction * sum(sizes)
    chosen = [False] * len(keys)
    for digest in sorted(groups):
        size = sum(sizes[index] for index in groups[digest])
        if size <= left:
            left -= size
            for index in groups[digest]:
                chosen[index] = True
    return chosen


@pytest.mark.parametrize("fraction", [0.01, 0.02, 0.05, 0.1, 0.4])
@pytest.mark.parametrize("seed", range(5))
def test_ordinary_data_is_split_as_by_earlier_versions(seed: int, fraction: float) -> None:
    draw = random.Random(seed)
    keys = [f"key {draw.randrange(400)}" for _ in range(500)]
    sizes = [int(draw.lognormvariate(6, 1.2)) for _ in keys]
    expected = split_of_earlier_versions(keys, sizes, fraction)
    assert choose_validation(keys, sizes, fraction) == expected
    assert not any(split(keys, sizes, fraction).is_dominant)


def test_equal_sizes_are_split_as_by_earlier_versions() -> None:
    keys = [f"text {i // 2}" for i in range(200)]
    assert choose_validation(keys, [1] * 200, 0.2) == split_of_earlier_versions(
        keys, [1] * 200, 0.2
    )


def test_validation_never_takes_more_than_its_fraction() -> None:
    sizes = [1, 1000, 2, 3, 500, 4, 1, 1, 7]
    for fraction in (0.01, 0.1, 0.5):
        chosen = choose_validation([str(i) for i in range(9)], sizes, fraction)
        assert sum(
            size for size, is_chosen in zip(sizes, chosen, strict=True) if is_chosen
        ) <= fraction * sum(sizes)


@pytest.mark.parametrize("n_small", [5, 50, 500])
@pytest.mark.parametrize("huge", [30_000, 1_000_000, 30_000_000])
def test_a_huge_group_does_not_push_all_others_into_validation(n_small: int, huge: int) -> None:
    keys = ["log", *(f"note {i}" for i in range(n_small))]
    parts = split(keys, [huge, *[100] * n_small], 0.02)
    n_chosen = sum(parts.is_validation)
    if n_small * 100 < 0.04 * huge:
        assert parts.is_dominant == [True, *[False] * n_small]
        assert n_chosen == int(0.02 * n_small)
    assert n_chosen <= max(0.25 * n_small, 1)


def test_a_split_with_a_huge_group_still_keeps_something_for_validation() -> None:
    keys = ["huge", "a", "b", "c"]
    chosen = choose_validation(keys, [100_000, 10, 10, 10], 0.05)
    assert chosen[0] is False
    assert any(chosen)
