"""Feedback that prefers one of two answers which a small model gives equally often."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.data.preferences import Ranking, RatedReply, Thumb
from chatwright.data.snapshot import write_snapshot

# The answers share all tokens but one, so that learning them cannot damage the rest.
GOOD, BAD = "At 9.", "At 5."
N_PROMPT = 40
QUICK = (
    "dpo.loop.steps=20",
    "dpo.loop.evaluate_every=10",
    "dpo.loop.precision=float32",
    "dpo.loop.optimizer.learning_rate=0.001",
    "adapter=never",
    "dpo.sample_tokens=4",
    "samples.samples=2",
    "samples.max_tokens=12",
)


def question(number: int) -> str:
    return f"When does boat {number} leave?"


def feedback(
    folder: Path,
    ranks: Callable[[int], tuple[int, int]],
    name: str = "f",
    weights: str = "",
    copies: int = 1,
    prompts: range = range(N_PROMPT),
) -> Path:
    """Write a snapshot of rankings of the good and the bad answer to some of the questions."""
    weights = weights or model_directory.weights_hash(folder / "model")
    items = [
        Ranking(
            prompt=(Message("user", question(number)),),
            rater=f"rater {number % 2}",
            time=datetime(2026, 11, 30, tzinfo=UTC),
            replies=tuple(RatedReply(Message("assistant", x), weights) for x in (GOOD, BAD)),
            ranks=ranks(number),
        )
        for number in prompts
    ]
    path = folder / f"{name}.jsonl"
    write_snapshot(path, items * copies)
    return path


def thumbs(folder: Path, name: str = "thumbs") -> Path:
    """Write a snapshot of thumbs: up for the good answer, down for the bad one."""
    weights = model_directory.weights_hash(folder / "model")
    items = [
        Thumb(
            prompt=(Message("user", question(number)),),
            rater=f"rater {number % 2}",
            time=datetime(2026, 11, 30, tzinfo=UTC),
            reply=RatedReply(Message("assistant", answer), weights),
            is_up=answer == GOOD,
        )
        for number in range(N_PROMPT)
        for answer in (GOOD, BAD)
    ]
    path = folder / f"{name}.jsonl"
    write_snapshot(path, items)
    return path
