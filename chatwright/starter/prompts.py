"""Prompts whose answer a rule can check, for training on rewards: arithmetic and tool calls."""

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chatwright.starter.conversations import arithmetic, tool_calls
from chatwright.starter.fact_table import FactTable


def draw_prompts(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Draw rows with an arithmetic question and the number that answers it, both in digits.

    No row holds a problem that is held out for the exam, the evaluation set.
    """
    rng = random.Random(f"starter-prompts-{seed}")
    for _ in range(count):
        question, answer = arithmetic.draw_prompt(rng)
        yield {"prompt": question, "answer": answer, "kind": "arithmetic"}


def draw_tool_prompts(
    table: FactTable, count: int, seed: int = 0, held_out: bool = False
) -> Iterator[dict[str, Any]]:
    """Draw rows with a request for a tool and the right call.

    Args:
        table: The facts of the corpus; weather is asked about its towns, among others.
        count: Number of rows.
        seed: Seed of the requests.
        held_out: Draw wordings that no row for training has, and arguments of the calls (towns,
            goods, shops) that none has.
    """
    rng = random.Random(f"starter-tool-prompts-{seed}-{held_out}")
    for _ in range(count):
        request, call = tool_calls.draw_request(table, rng, held_out)
        yield {"prompt": request, "answer": call, "kind": "tool_call"}


def write_prompts(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
