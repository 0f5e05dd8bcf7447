"""What a model forgets while it learns something new: bits per byte on texts of what it knew, before the first step and at every evaluation.

The figures go where all others go: the log, training.json and the report. A limit makes a run that forgot more than it end as failed; the
model is kept, so that it can be looked at.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from chatwright.evaluation.bits_per_byte import bits_per_byte
from chatwright.model.gpt import GPT
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.checks import RunFailed
from chatwright.training.stage import MicroBatch, Stage
from chatwright.training.stages.wrapped_stage import WrappedStage

MOST_BYTES = 100_000  # a few seconds an evaluation


class ForgettingCheck(WrappedStage[GPT, MicroBatch]):
    def __init__(
        self,
        inner: Stage[GPT, MicroBatch],
        old_texts: Sequence[str],
        tokenizer: Tokenizer,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(inner)
        self.old_texts, self.tokenizer, self.dtype = list(_first_bytes(old_texts)), tokenizer, dtype
        self.before = 0.0  # measured before the first step

    def evaluate(self, model: GPT) -> dict[str, float]:
        score = bits_per_byte(
            model, self.tokenizer, self.old_texts, model.config.context_length, self.dtype
        )
        self.before = self.before or score.bits_per_byte
        return super().evaluate(model) | {
            "old_bits_per_byte_before": self.before,
            "old_bits_per_byte": score.bits_per_byte,
            "forgotten": score.bits_per_byte / self.before - 1,
        }

    def describe(self) -> dict[str, Any]:
        digest = hashlib.sha256("\0".join(self.old_texts).encode()).hexdigest()
        return super().describe() | {
            "old_texts": {"documents": len(self.old_texts), "sha256": digest}
        }

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"before": self.before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.before = state["before"]


def _first_bytes(texts: Iterable[str]) -> Iterable[str]:
    """As much as there is room for; the last text is cut."""
    room = MOST_BYTES
    for text in texts:
        if part := text.encode()[:room].decode(errors="ignore"):
            yield part
        room = max(0, room - len(text.encode()))


def check(run: Path, limit: float) -> None:
    """Raise where the finished run forgot more than `limit`, a share of the bits per byte before; 0 asks nothing."""
    figures = json.loads((run / "model" / "training.json").read_text())["figures"]
    if limit and figures["forgotten"] > limit:
        raise RunFailed(
            f"{run}: on the old texts the model went from {figures['old_bits_per_byte_before']:.3f} to "
            f"{figures['old_bits_per_byte']:.3f} bits per byte, {figures['forgotten']:.1%} more; forgetting_limit allows {limit:.1%}. "
            "Train less or at a lower learning rate, let it read old texts again (texts = ... in an sft stage), or train an adapter "
            "(lora.rank=8). The model was kept."
        )
