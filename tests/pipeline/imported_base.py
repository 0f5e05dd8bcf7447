"""A small decoder that knows something and counts as imported, for tests of fine-tuning."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from chatwright.checkpoint.origin import ORIGIN
from chatwright.pipeline.import_export import import_model
from tests.pipeline.imported_models import write
from tests.pipeline.run_command import chatwright

CONTEXT = 512
N_OLD = 60


def write_rows(file: Path, n: int, answer: Callable[[int], str], **fields: object) -> Path:
    """Write `n` conversations of one question and one answer."""
    rows = [{"prompt": f"When does boat {i} leave?", "completion": answer(i)} for i in range(n)]
    file.write_text("".join(json.dumps(row | fields) + "\n" for row in rows))
    return file


def write_imported_base(folder: Path, steps: int = 150) -> Path:
    """Return the directory of a model that was trained here and is then recorded as imported.

    With 150 steps the training takes seconds and teaches it one way to answer. Fewer are enough for
    tests in which the answers do not matter.
    """
    source = write(folder / "source", "qwen3", max_position_embeddings=CONTEXT, head_dim=16)
    import_model(str(source), folder / "random")
    data = write_rows(folder / "old.jsonl", N_OLD, lambda i: f"At {i} o'clock.")
    settings = [
        f"loop.steps={steps}",
        "batches.rows=2",
        "batches.context_length=256",
        "loop.precision=float32",
        "loop.optimizer.kind=adamw",
        "loop.optimizer.learning_rate=0.003",
        "loop.evaluate_every=1000",
        "loop.patience=0",
        "stop_prompts=0",
        "sample_tokens=2",
    ]
    run = folder / "run"
    chatwright("train", "sft", "--from", folder / "random", "--data", data, "--out", run, *settings)
    return as_imported(run, folder / "base")


def as_imported(run: Path, out: Path) -> Path:
    """Copy the model of a run to a directory that says that it was imported."""
    shutil.copytree(run / "model", out)
    (out / "MANIFEST.json").unlink()
    (out / "training.json").write_text(json.dumps({"imported_from": "somewhere"}))
    return out


def as_trained(base: Path, out: Path) -> Path:
    """Copy a model to a directory that says that it was trained here."""
    shutil.copytree(base, out)
    (out / "training.json").write_text(json.dumps({"stage": "sft", ORIGIN: "trained"}))
    return out
