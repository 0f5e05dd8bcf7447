"""report.html of a comparison: the decision, all metrics, and replies side by side."""

import html
from pathlib import Path

from chatwright.pipeline.comparison.result import Comparison
from chatwright.pipeline.comparison.samples import SampledReply
from chatwright.pipeline.comparison.summary import (
    Row,
    capability_rows,
    main_rows,
    model_rows,
    rate_rows,
    verdict_line,
)
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.training.html_page import page

N_SHOWN = 10
"""Prompts whose replies are shown: the first ones, not chosen by their replies."""
OUTCOMES = {1.0: "candidate", 0.5: "tie", 0.0: "baseline", None: "not judged"}


def write_report(path: Path, comparison: Comparison) -> None:
    """Write the page."""
    c = comparison
    parts = [
        f"<p><strong>{html.escape(verdict_line(c))}</strong></p>",
        _table([*model_rows(c), *main_rows(c)]),
        *_section("By kind of prompt", rate_rows(c.by_kind)),
        *_section("Win rate if the judge lacks one rule", rate_rows(c.without_rule)),
        *_section("Capabilities, baseline and candidate", capability_rows(c)),
        f"<h2>The first {min(N_SHOWN, len(c.prompts))} prompts, first sample</h2>",
        _replies(c),
    ]
    path.write_text(page("Comparison of two models", parts), encoding="utf-8")


def _section(title: str, rows: list[Row]) -> list[str]:
    return [f"<h2>{html.escape(title)}</h2>", _table(rows)] if rows else []


def _table(rows: list[Row]) -> str:
    lines = [
        f"<tr><td>{html.escape(name)}</td><td class=number>{html.escape(value)}</td></tr>"
        for name, value in rows
    ]
    return f"<table>{''.join(lines)}</table>"


def _replies(c: Comparison) -> str:
    lines = ["<tr><th>prompt</th><th>baseline</th><th>candidate</th><th>winner</th></tr>"]
    shown = zip(c.prompts[:N_SHOWN], *c.replies, c.outcomes, strict=False)
    for prompt, *replies, outcomes in shown:
        outcome = OUTCOMES.get(outcomes[0], str(outcomes[0]))
        texts = [_text(by_sample[0]) for by_sample in replies]
        cells = [message_text(prompt.messages[-1]), *texts, outcome]
        lines.append("".join(["<tr>", *(f"<td>{html.escape(x)}</td>" for x in cells), "</tr>"]))
    return f"<table>{''.join(lines)}</table>"


def _text(reply: SampledReply) -> str:
    ending = " [cut at the length limit]" if reply.reason == "length" else ""
    return f"{message_text(reply.message)}{ending}"
