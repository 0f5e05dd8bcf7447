"""Pretraining: predict the next token of every text.

The batches are windows of one long stream of tokens (`batches/windows.py`) or whole short documents
packed into rows (`batches/packed.py`).
"""

from chatwright.model.gpt import GPT
from chatwright.training.cross_entropy import next_token_loss, next_token_outputs
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Loss, MicroBatch
from chatwright.training.stages.supervised import SupervisedStage


class Pretrain(SupervisedStage[GPT, MicroBatch]):
    """Learn to predict the next token of texts."""

    name = "pretrain"

    def loss(self, model: GPT, micro_batch: MicroBatch) -> Loss:
        """Return the summed next-token cross-entropy."""
        return next_token_loss(model, micro_batch, self.dtype)

    def outputs(self, model: GPT, micro_batch: MicroBatch) -> Outputs:
        """Return hidden states and head weights at the supervised tokens, for distillation."""
        return next_token_outputs(model, micro_batch, self.dtype)

    def evaluate(self, model: GPT) -> dict[str, float]:
        """Return the validation loss, and bits per byte if all tokens carry loss."""
        return dict(self.validation.figures(model))
