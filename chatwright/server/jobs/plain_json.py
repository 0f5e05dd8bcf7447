"""Replace numbers that JSON does not have by null."""

from __future__ import annotations

import math
from typing import Any


def plain_json(value: Any) -> Any:
    """Return the value with None for NaN and infinity, also inside lists and objects."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return value
