"""A small assistant for tests of commands: it gives a short and a long answer equally often."""

import json
from pathlib import Path

from tests.pipeline.run_command import chatwright

N_PROMPT = 24
ANSWERS = ("At noon.", "I cannot say when, so please ask again.")


def train_small_assistant(folder: Path) -> Path:
    """Train it in `folder` and return its directory; prompts.jsonl lies beside it."""
    questions = [f"When does boat {i} leave?" for i in range(N_PROMPT)]
    rows = [{"prompt": q, "completion": answer} for q in questions for answer in ANSWERS]
    prompts = [{"prompt": q, "answer": "noon"} for q in questions]
    for name, content in (("chat", rows), ("prompts", prompts)):
        lines = [json.dumps(row) + "\n" for row in content]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    text = f"When does the boat leave? {ANSWERS[0]} {ANSWERS[1]} " * 20
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
        "--out", folder / "sft", "loop.steps=100", "loop.precision=float32", "batches.rows=4",
        "stop_prompts=4", "sample_tokens=4",
    )  # fmt: skip
    return folder / "sft"
