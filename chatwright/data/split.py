"""Which documents are kept for validation, decided by their content.

A document's place is decided by its hash, so the same data gives the same split in any order, and two copies of a document
never stand on both sides. Near-copies can; `contamination.py` finds those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def choose_validation(keys: Sequence[str], sizes: Sequence[int], fraction: float) -> list[bool]:
    """True for each entry kept for validation: in the order of the keys' hashes, what fits into `fraction` of the whole size.

    Equal keys go together. It never takes more than the fraction, so one huge document cannot leave training with crumbs;
    it takes nothing when every group is larger than that.
    """
    require_fraction(fraction)
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


def require_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(
            f"validation_fraction ({fraction}) must be between 0 and 1, for example 0.1"
        )
