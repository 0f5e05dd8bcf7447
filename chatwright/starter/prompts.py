"""Prompts of the starter corpus whose answer a rule can check, for training on rewards."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatwright.starter.conversations.arithmetic import draw_prompt


def draw_prompts(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Draw rows with a question in digits and its number; none asks for a problem of the exam."""
    rng = random.Random(f"starter-prompts-{seed}")
    for _ in range(count):
        question, answer = draw_prompt(rng)
        yield {"prompt": question, "answer": answer, "kind": "arithmetic"}


def write_prompts(path: Path, count: int, seed: int = 0) -> None:
    """Write the rows of `draw_prompts` as JSON lines."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in draw_prompts(count, seed)]
    path.write_text("".join(lines), encoding="utf-8")
