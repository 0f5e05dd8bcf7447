"""Measure what a model forgets while it learns something new.

The measure is bits per byte on old texts, like those that the model was trained on before. It is
taken before the first step and at every evaluation, and logged with the other figures. A run that
forgot more than an optional limit fails. Its model is kept, so that you can inspect it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from chatwright.evaluation.bits_per_byte import bits_per_byte
from chatwright.model.gpt import GPT
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.checks import RunFailed
from chatwright.training.stage import MicroBatch, Stage, StageState
from chatwright.training.stages.wrapped_stage import WrappedStage

MAX_BYTES = 100_000
"""Bytes of old text that are measured by default: a few seconds for a small model."""
LONGEST_WINDOW = 1024
"""Tokens in a window, if the model's context allows; longer ones are slow and need gigabytes."""


class ForgettingCheck(WrappedStage[GPT, MicroBatch]):
    """A stage that also measures old texts at every evaluation."""

    def __init__(
        self,
        inner: Stage[GPT, MicroBatch],
        old_texts: Sequence[str],
        tokenizer: Tokenizer,
        dtype: torch.dtype,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__(inner)
        self.old_texts = list(_first_bytes(old_texts, max_bytes))
        self.tokenizer = tokenizer
        self.dtype = dtype
        self.before = 0.0
        """Bits per byte before the first step; 0: not measured yet."""

    def evaluate(self, model: GPT) -> dict[str, float]:
        """Return the inner stage's figures, and bits per byte on the old texts now and before."""
        window = min(model.config.context_length, LONGEST_WINDOW)
        score = bits_per_byte(model, self.tokenizer, self.old_texts, window, self.dtype)
        self.before = self.before or score.bits_per_byte
        return super().evaluate(model) | {
            "old_bits_per_byte_before": self.before,
            "old_bits_per_byte": score.bits_per_byte,
            "forgotten": score.bits_per_byte / self.before - 1,
        }

    def describe(self) -> dict[str, Any]:
        """Return the inner stage's description, and count and hash of the old texts."""
        digest = hashlib.sha256("\0".join(self.old_texts).encode()).hexdigest()
        old_texts = {"documents": len(self.old_texts), "sha256": digest}
        return super().describe() | {"old_texts": old_texts}

    def state(self) -> StageState:
        """Return the inner stage's state and the figure before the first step."""
        inner = super().state()
        return StageState({"inner": inner.numbers, "before": self.before}, inner.tensors)

    def load_state(self, state: StageState) -> None:
        """Continue from a state that `state` returned."""
        super().load_state(StageState(state.numbers["inner"], state.tensors))
        self.before = state.numbers["before"]


def _first_bytes(texts: Iterable[str], max_bytes: int) -> Iterator[str]:
    """Yield texts up to `max_bytes` in total; the last text may be cut."""
    room = max_bytes
    for text in texts:
        if part := text.encode()[:room].decode(errors="ignore"):
            yield part
        room = max(0, room - len(text.encode()))


def check(run: Path, limit: float) -> None:
    """Fail a finished run whose bits per byte on the old texts rose by more than `limit`.

    Args:
        run: Directory of the run.
        limit: Allowed relative increase; 0 checks nothing.
    """
    notes = json.loads((run / "model" / "training.json").read_text(encoding="utf-8"))
    figures = notes["figures"]
    if limit and figures["forgotten"] > limit:
        raise RunFailed(
            f"{run}: on the old texts the model went from "
            f"{figures['old_bits_per_byte_before']:.3f} to "
            f"{figures['old_bits_per_byte']:.3f} bits per byte, {figures['forgotten']:.1%} more. "
            f"forgetting_limit allows {limit:.1%}. Train for fewer steps or at a lower learning "
            "rate, add old texts to the training data (texts = ... in an sft stage), or train an "
            "adapter (lora.rank=8). The model was kept.",
            check="forgetting",
        )
