"""Format measured figures, each with its 95 % interval where it has one.

The bounds of the figure X are at X_low and X_high. Those of the first may be at low and high.
"""

from collections.abc import Mapping
from typing import Any


def figure_lines(figures: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Format each figure as one line of a table; those of inner tables get a dotted name."""
    lines: list[str] = []
    for name, value in without_bounds(figures).items():
        if isinstance(value, dict):
            lines += figure_lines(value, f"{prefix}{name}.")
            continue
        interval = interval_of(name, figures)
        shown = f"{value:.4f}" if isinstance(value, float) else value
        lines.append(f"{prefix + name:40} {shown}{f'  {interval}' if interval else ''}")
    return lines


def figures_in_one_line(figures: Mapping[str, float]) -> str:
    """Format the figures of an evaluation during training."""
    parts: list[str] = []
    for name, value in without_bounds(figures).items():
        interval = interval_of(name, figures)
        parts.append(f"{name.replace('_', ' ')} {value:.4f}{f' ({interval})' if interval else ''}")
    return "  ".join(parts)


def without_bounds(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures without the bounds that are shown beside them."""
    shown_beside = {bound for name in figures for bound in _bounds_of(name, figures)}
    return {name: value for name, value in figures.items() if name not in shown_beside}


def interval_of(name: str, figures: Mapping[str, Any]) -> str:
    """Format the 95 % interval of a figure; an empty text where it has none."""
    bounds = _bounds_of(name, figures)
    if not bounds:
        return ""
    low, high = (figures[bound] for bound in bounds)
    return f"95 % interval {low:.4f} to {high:.4f}"


def _bounds_of(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    candidates = [(f"{name}_low", f"{name}_high")]
    if name == next(iter(figures)):
        candidates.append(("low", "high"))
    for low, high in candidates:
        if low in figures and high in figures:
            return (low, high)
    return ()
