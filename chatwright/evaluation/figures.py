"""Format figures (the numbers of an evaluation) with their 95 % intervals.

The bounds of a figure `x` are the entries `x_low` and `x_high`. For the first figure of a
dictionary, they may also be called `low` and `high`.
"""

from collections.abc import Mapping
from typing import Any


def without_bounds(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures without the bounds of their intervals."""
    bounds = {bound for name in figures for bound in _bounds_of(name, figures)}
    return {name: value for name, value in figures.items() if name not in bounds}


def interval_of(name: str, figures: Mapping[str, Any]) -> str:
    """Format the 95 % interval of a figure; return "" if the figure has none."""
    bounds = _bounds_of(name, figures)
    if not bounds:
        return ""
    low, high = (figures[bound] for bound in bounds)
    return f"95 % interval {low:.4f} to {high:.4f}"


def with_interval(name: str, figures: Mapping[str, float]) -> str:
    """Format a figure and, in parentheses, its interval: 0.9000 (95 % interval 0.8 to 0.96)."""
    interval = interval_of(name, figures)
    return f"{figures[name]:.4f} ({interval})" if interval else f"{figures[name]:.4f}"


def _bounds_of(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    candidates = [(f"{name}_low", f"{name}_high")]
    if name == next(iter(figures)):
        candidates.append(("low", "high"))
    for low, high in candidates:
        if low in figures and high in figures:
            return (low, high)
    return ()
