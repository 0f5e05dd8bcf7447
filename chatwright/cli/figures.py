"""Format measured figures for the terminal, each with its 95 % interval where it has one."""

from collections.abc import Mapping
from typing import Any

from chatwright.evaluation.figures import interval_of, with_interval, without_bounds


def figure_lines(figures: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Format each figure as one line of a table; a figure of a nested table gets a dotted name."""
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
    return "  ".join(
        f"{name.replace('_', ' ')} {with_interval(name, figures)}"
        for name in without_bounds(figures)
    )
