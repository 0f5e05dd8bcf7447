"""A small assistant for tests of commands: it gives two answers equally often."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.pipeline.run_command import chatwright

N_PROMPT = 24
QUESTIONS = tuple(f"When does boat {i} leave?" for i in range(N_PROMPT))
ANSWERS = ("At noon.", "I cannot say when, so please ask again.")


def train_small_assistant(
    folder: Path, answers: tuple[str, str] = ANSWERS, answer: str | int = "noon", steps: int = 100
) -> Path:
    """Train it in `folder` for `steps` and return its directory.

    prompts.jsonl beside it has its questions with `answer` as the right one.
    """
    chat = [{"prompt": q, "completion": reply} for q in QUESTIONS for reply in answers]
    write_rows(folder / "chat.jsonl", chat)
    write_rows(folder / "prompts.jsonl", [{"prompt": q, "answer": answer} for q in QUESTIONS])
    text = f"When does the boat leave? {answers[0]} {answers[1]} " * 20
    (folder / "texts").mkdir()
    for i in range(8):
        (folder / "texts" / f"{i}.txt").write_text(f"Boat {i}. {text}")
    tiny = ["model.n_layer=1", "model.d_model=32", "model.d_ff=64", "model.context_length=64"]
    chatwright(
        "train", "pretrain", "--data", folder / "texts", "--out", folder / "base",
        "--vocab-size", 300, "model.size=nano", *tiny, "loop.steps=10", "loop.precision=float32",
    )  # fmt: skip
    chatwright(
        "train", "sft", "--from", folder / "base", "--data", folder / "chat.jsonl",
        "--out", folder / "sft", f"loop.steps={steps}", "loop.precision=float32",
        "batches.rows=4", "stop_prompts=4", "sample_tokens=4", "loop.evaluate_every=1000",
    )  # fmt: skip
    return folder / "sft"


def write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
