"""Supervised fine-tuning: learn the replies of example conversations.

Ouyang et al. 2022, step 1. Whole conversations are packed side by side into rows. Each conversation
attends to itself only, and only the assistant's messages carry loss.
"""

from collections.abc import Callable

import torch

from chatwright.model.gpt import GPT
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.cross_entropy import next_token_loss, next_token_outputs
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Loss, MicroBatch
from chatwright.training.stages.supervised import SupervisedStage, no_figures, no_samples
from chatwright.training.validation import PackedValidation

ReplyFigures = Callable[[GPT], dict[str, float]]
"""Measures replies, for example the share that end by themselves."""


ReplySampler = Callable[[GPT], list[tuple[str, str]]]
"""Returns (prompt, reply) pairs that show what the model has learned so far."""


class SFT(SupervisedStage[GPT, MicroBatch]):
    """Learn to reply from example conversations."""

    name = "sft"

    def __init__(
        self,
        batches: PackedBatches,
        validation: PackedValidation,
        dtype: torch.dtype,
        sampler: ReplySampler = no_samples,
        stop_rate: ReplyFigures = no_figures,
        exact_match: ReplyFigures = no_figures,
    ) -> None:
        super().__init__(batches, validation, dtype, sampler)
        self.stop_rate = stop_rate
        self.exact_match = exact_match

    def loss(self, model: GPT, micro_batch: MicroBatch) -> Loss:
        """Return the summed cross-entropy of the replies' tokens."""
        return next_token_loss(model, micro_batch, self.dtype)

    def outputs(self, model: GPT, micro_batch: MicroBatch) -> Outputs:
        """Return hidden states and head weights at the supervised tokens, for distillation."""
        return next_token_outputs(model, micro_batch, self.dtype)

    def evaluate(self, model: GPT) -> dict[str, float]:
        """Return the validation loss and the figures of the replies."""
        return self.validation.figures(model) | self.stop_rate(model) | self.exact_match(model)
