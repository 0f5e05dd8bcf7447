"""Split rows into training and validation by the hash of their content.

The hash of a row's key decides, so the split does not depend on the order of the rows, and rows
with equal keys are always on the same side. Similar rows may be on different sides:
`contamination.py` finds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from chatwright.errors import InputError

RowType = TypeVar("RowType")

MOST_OF_SMALL_GROUPS = 0.25
"""Largest share of the small groups that validation may take, unless twice `fraction` is more.

Small groups are those that fit into validation.
"""


@dataclass(frozen=True)
class Split:
    """For each row, whether it is kept for validation."""

    is_validation: list[bool]
    is_dominant: list[bool]
    """True for rows too large for validation, if they are most of the data.

    Validation then takes its share of the other rows only.
    """


def choose_validation(keys: Sequence[str], sizes: Sequence[int], fraction: float) -> list[bool]:
    """Return True for each row that is kept for validation; see `split`.

    If `split` keeps no row because it leaves dominant rows out of account, the groups that fit into
    `fraction` of all data are kept.
    """
    chosen = split(keys, sizes, fraction).is_validation
    return chosen if any(chosen) else _in_groups(keys, _fitting(_sizes(keys, sizes), fraction))


def partition(
    rows: Sequence[RowType], is_validation: Sequence[bool]
) -> tuple[list[RowType], list[RowType]]:
    """Return the rows as (training, validation), each in its order."""
    pairs = list(zip(rows, is_validation, strict=True))
    training = [row for row, is_kept in pairs if not is_kept]
    validation = [row for row, is_kept in pairs if is_kept]
    return training, validation


def split(keys: Sequence[str], sizes: Sequence[int], fraction: float) -> Split:
    """Split rows by the hashes of their keys.

    Rows with equal keys form a group. In the order of the keys' hashes, validation takes the groups
    that fit into `fraction` of the total size. It never takes more than that, and nothing if every
    group is larger.

    If a huge group is most of the data, `fraction` of the total size could hold most of the other
    groups, and training would lose them. Then validation takes `fraction` of the other groups.
    """
    require_fraction(fraction)
    group_sizes = _sizes(keys, sizes)
    budget = fraction * sum(sizes)
    chosen = _fitting(group_sizes, fraction)
    small = {digest: size for digest, size in group_sizes.items() if size <= budget}
    limit = max(MOST_OF_SMALL_GROUPS, 2 * fraction) * sum(small.values())
    if len(small) == len(group_sizes) or sum(small[digest] for digest in chosen) <= limit:
        return Split(_in_groups(keys, chosen), [False] * len(keys))
    large = [digest for digest in group_sizes if digest not in small]
    return Split(_in_groups(keys, _fitting(small, fraction)), _in_groups(keys, large))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8")).digest()


def _sizes(keys: Sequence[str], sizes: Sequence[int]) -> dict[bytes, int]:
    """Return the size of each group of equal keys, by the hash of the key."""
    group_sizes: dict[bytes, int] = {}
    for key, size in zip(keys, sizes, strict=True):
        digest = _digest(key)
        group_sizes[digest] = group_sizes.get(digest, 0) + size
    return group_sizes


def _fitting(group_sizes: dict[bytes, int], fraction: float) -> list[bytes]:
    """Return, in the order of the hashes, the groups that fit into `fraction` of the total."""
    left = fraction * sum(group_sizes.values())
    fitting = []
    for digest in sorted(group_sizes):
        if group_sizes[digest] <= left:
            left -= group_sizes[digest]
            fitting.append(digest)
    return fitting


def _in_groups(keys: Sequence[str], digests: Sequence[bytes]) -> list[bool]:
    chosen = set(digests)
    return [_digest(key) in chosen for key in keys]


def require_fraction(fraction: float) -> None:
    """Raise InputError unless the fraction is between 0 and 1."""
    if not 0 < fraction < 1:
        raise InputError(
            f"validation_fraction ({fraction}) must be between 0 and 1.",
            remedy="0.1 keeps a tenth of the data for validation.",
            field="validation_fraction",
            value=fraction,
        )
