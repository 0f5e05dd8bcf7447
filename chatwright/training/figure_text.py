"""Figures of an evaluation as readable text, each with its interval."""

from collections.abc import Mapping


def figure_texts(figures: Mapping[str, float]) -> dict[str, str]:
    """Return every figure as text, with its 95 % interval where it has one.

    The bounds of a figure are the figures of the same name with `_low` and `_high`:
    {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.96} becomes
    {"accuracy": "0.9000 (95 % interval 0.8000 to 0.9600)"}.
    """
    texts: dict[str, str] = {}
    for name, value in figures.items():
        low = figures.get(f"{name}_low")
        high = figures.get(f"{name}_high")
        text = f"{value:.4f}"
        if low is not None and high is not None:
            text += f" (95 % interval {low:.4f} to {high:.4f})"
        if not _is_bound(name, figures):
            texts[name.replace("_", " ")] = text
    return texts


def _is_bound(name: str, figures: Mapping[str, float]) -> bool:
    """Whether a figure is a bound of another figure's interval."""
    figure = name.removesuffix("_low").removesuffix("_high")
    return figure != name and {figure, f"{figure}_low", f"{figure}_high"} <= figures.keys()
