"""Plots of the figures of a run's evaluations, with the values that its recipe expects.

The expected values are in `run/expected.json`, which a recipe with measured curves writes:

    {"validation_reward": {"curve": [[step, lowest, expected, highest], ...]}, ...}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatwright.checkpoint import json_file
from chatwright.training.html_page import new_figure, to_svg

EXPECTED_FILE = "expected.json"
REPLY_FIGURES = ("validation_reward", "validation_reply_tokens", "validation_kl")
"""Figures of the replies to validation prompts, which stages of reinforcement learning measure."""
COLUMNS = 3


def read_expected(run: Path) -> dict[str, list[tuple[float, ...]]]:
    """Return (step, lowest, expected, highest) by figure; {} if the recipe expects nothing."""
    file = run / EXPECTED_FILE
    table = json_file.read_object(file) if file.is_file() else {}
    return {name: [tuple(point) for point in entry["curve"]] for name, entry in table.items()}


def figure_curves(run: Path, records: Sequence[dict[str, Any]]) -> str:
    """Return the curves as one inline SVG, "" if there are none."""
    expected = read_expected(run)
    measured = {
        name: points
        for name in dict.fromkeys((*expected, *REPLY_FIGURES))
        if (points := [(r["step"], r[name]) for r in records if name in r])
    }
    if not measured:
        return ""
    n_row = -(-len(measured) // COLUMNS)
    figure = new_figure(9, 3.0 * n_row)
    for number, (name, points) in enumerate(measured.items(), 1):
        axes = figure.add_subplot(n_row, COLUMNS, number)
        if name in expected:
            steps, low, middle, high = zip(*expected[name], strict=True)
            axes.fill_between(steps, low, high, color="#ddd", label="expected band")
            axes.plot(steps, middle, "--", color="#888", linewidth=1.2, label="expected")
        axes.plot(*zip(*points, strict=True), "o-", markersize=3, linewidth=1.2, label="measured")
        axes.set(xlabel="step", title=name.removeprefix("validation_").replace("_", " "))
        axes.legend(frameon=False, fontsize="small")
    return to_svg(figure)
