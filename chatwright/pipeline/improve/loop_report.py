"""The report of several rounds: win rates and lengths by round, in a table and a plot."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory
from chatwright.training.html_page import new_figure, page, to_svg

RESULT_FILE = "rounds.json"
REPORT_FILE = "report.html"


def write_loop_report(
    folder: Path, rounds: Sequence[Mapping[str, Any]], final: Mapping[str, Any]
) -> Path:
    """Write folder/rounds.json and folder/report.html, and return the path of the report.

    Args:
        folder: The folder of the loop.
        rounds: The result of each round.
        final: Figures of the version after the last round against the one after the first; empty
            if they are the same version.
    """
    table = {"rounds": list(rounds), "last_against_first": dict(final)}
    directory.write_text(folder / RESULT_FILE, json.dumps(table, indent=1))
    parts = [
        _plot(rounds),
        _table(rounds),
        f"<p>{html.escape(last_line(final))}</p>",
    ]
    directory.write_text(folder / REPORT_FILE, page("Rounds of feedback", parts))
    return folder / REPORT_FILE


def last_line(final: Mapping[str, Any]) -> str:
    """Say how the version after the last round does against the one after the first."""
    if not final:
        return "No round after the first was promoted, so the last version is the first one."
    return (
        f"{final['last']} against {final['first']}: win rate {final['win_rate']:.1%}, 95 % "
        f"interval {final['win_rate_low']:.1%} to {final['win_rate_high']:.1%}."
    )


def _plot(rounds: Sequence[Mapping[str, Any]]) -> str:
    figure = new_figure(7, 3)
    rates, lengths = figure.subplots(1, 2)
    numbers = [result["round"] for result in rounds]
    metrics = [result["metrics"] for result in rounds]
    middle = [each["win_rate"] for each in metrics]
    below = [each["win_rate"] - each["win_rate_low"] for each in metrics]
    above = [each["win_rate_high"] - each["win_rate"] for each in metrics]
    rates.errorbar(numbers, middle, yerr=(below, above), fmt="o", capsize=4)
    rates.axhline(0.5, color="#999", linewidth=1)
    rates.set(title="win rate over the version before", xlabel="round", xticks=numbers)
    lengths.plot(numbers, [each["tokens_after"] for each in metrics], "o-")
    lengths.set(title="tokens per reply", xlabel="round", xticks=numbers)
    return to_svg(figure)


def _table(rounds: Sequence[Mapping[str, Any]]) -> str:
    header = "<tr><th>round</th><th>version</th><th>win rate</th><th>decision</th></tr>"
    return f"<table>{header}{''.join(map(_row, rounds))}</table>"


def _row(result: Mapping[str, Any]) -> str:
    metrics = result["metrics"]
    rate = (
        f"{metrics['win_rate']:.1%} ({metrics['win_rate_low']:.1%} to "
        f"{metrics['win_rate_high']:.1%})"
    )
    decision = "promoted" if result["is_promoted"] else f"refused: {result['reason']}"
    cells = (result["round"], result["version"], rate, decision)
    return f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>"
