"""Files of a training run, written as the training loop writes them."""

import json
import os
from pathlib import Path

from chatwright.checkpoint.lock import HOLDER_FILE
from chatwright.training.metrics import Metrics


def write_run(path: Path, steps: int, *, planned: int = 100, is_finished: bool = False) -> Path:
    """Write a run with `steps` logged steps of `planned`, and an evaluation every 10 steps."""
    path.mkdir(parents=True, exist_ok=True)
    settings = {"loop": {"steps": planned}, "data": {"train": {"documents": 7}}, "model": {}}
    (path / "run.json").write_text(json.dumps(settings))
    (path / "stage.json").write_text(json.dumps({"kind": "sft", "done": is_finished}))
    log = Metrics(path / "metrics.jsonl")
    for step in range(steps + 1):
        if step % 10 == 0:
            samples = [("Hello!", f"reply at {step}")]
            log.write(step, validation_loss=4.0 - step / 100, samples=samples, seconds=step * 2.0)
        if step:
            log.write(step, loss=5.0 - step / 100, tokens=step * 50, seconds=step * 2.0)
    log.close()
    if is_finished:
        (path / "model").mkdir()
        notes = {"stage": "sft", "figures": {"validation_loss": 3.0}, "first_loss": 4.1}
        notes |= {"weight_change": 0.2, "trained_tokens": 50 * steps, "outcome": None}
        (path / "model" / "training.json").write_text(json.dumps(notes))
    return path


def mark_as_running(path: Path) -> None:
    """Make a run look as one that this process is training."""
    (path / HOLDER_FILE).write_text(str(os.getpid()))
