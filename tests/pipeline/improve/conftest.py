"""A small model that gives a good and a bad answer equally often."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipeline.improve.planted_preference import BAD, GOOD, N_PROMPT, question
from tests.pipeline.run_command import chatwright


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that gives a good and a bad answer equally often, and its prompts."""
    folder = tmp_path_factory.mktemp("improve")
    chat = [
        {"prompt": question(number), "completion": answer}
        for number in range(N_PROMPT)
        for answer in (GOOD, BAD)
    ]
    held_out = [{"prompt": question(n), "answer": "9"} for n in range(100, 132)]
    for name, rows in (("chat", chat), ("prompts", held_out)):
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    (folder / "texts").mkdir()
    for number in range(8):
        text = f"Boat {number}. When does the boat leave? {GOOD} {BAD} " * 20
        (folder / "texts" / f"{number}.txt").write_text(text)
    tiny = ["model.n_layer=1", "model.d_model=32", "model.d_ff=64", "model.context_length=64"]
    chatwright(
        "train", "pretrain", "--data", folder / "texts", "--out", folder / "base",
        "--vocab-size", 300, "model.size=nano", *tiny, "loop.steps=10", "loop.precision=float32",
    )  # fmt: skip
    chatwright(
        "train", "sft", "--from", folder / "base", "--data", folder / "chat.jsonl",
        "--out", folder / "model", "loop.steps=250", "loop.precision=float32", "batches.rows=4",
        "stop_prompts=4", "sample_tokens=4", "loop.evaluate_every=1000",
    )  # fmt: skip
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the model, so that each test begins without versions."""
    shutil.copytree(trained, tmp_path / "work")
    return tmp_path / "work"
