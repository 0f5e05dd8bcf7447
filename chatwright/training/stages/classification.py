"""Text classification from the <cls> token (Devlin et al. 2018, section 3.2).

A text longer than the model's context is cut into pieces. Its prediction is the mean of the pieces'
log-probabilities.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.evaluation.classification import label_scores
from chatwright.model import masks
from chatwright.model.encoder import Encoder
from chatwright.model.masks import Mask
from chatwright.training.batches.labels import LabelBatches, LabelMicroBatch
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Loss
from chatwright.training.stages.supervised import SupervisedStage, no_samples

LabelSampler = Callable[[Encoder], list[tuple[str, str]]]
"""Returns (text, predicted labels) pairs that show what the model has learned so far."""


class Classification(SupervisedStage[Encoder, LabelMicroBatch]):
    """Learn the labels of texts."""

    name = "classify"

    def __init__(
        self,
        batches: LabelBatches,
        validation: LabelBatches,
        dtype: torch.dtype,
        has_fresh_head: bool = True,
        smoothing: float = 0.0,
        sampler: LabelSampler = no_samples,
    ) -> None:
        super().__init__(batches, validation, dtype, sampler, has_fresh_head)
        self.smoothing = smoothing

    def fresh_loss(self, model: Encoder) -> float:
        """Return the loss of uniform predictions over the labels."""
        return math.log(len(model.config.labels))

    def loss(self, model: Encoder, micro_batch: LabelMicroBatch) -> Loss:
        """Return the summed cross-entropy of the labels."""
        logits = label_logits(model, micro_batch, self.dtype)
        total = F.cross_entropy(
            logits, micro_batch.labels, reduction="sum", label_smoothing=self.smoothing
        )
        return Loss(total, len(logits))

    def outputs(self, model: Encoder, micro_batch: LabelMicroBatch) -> Outputs:
        """Return pooled features and the weights of the labels, for distillation."""
        head = model.label_head
        assert head is not None, "classification needs a label head"
        assert head.labels is not None, "classification needs labels"
        hidden = model.hidden_states(micro_batch.token_ids, _mask(micro_batch), dtype=self.dtype)
        features = head.dropout(head.pooled(hidden[:, 0]))
        return Outputs(features, head.labels.weight, head.labels.bias, micro_batch.labels)

    def evaluate(self, model: Encoder) -> dict[str, float]:
        """Return validation loss, accuracy and macro-F1 with their 95 % intervals."""
        log_probs = text_log_probs(model, self.validation, self.dtype)
        labels = torch.tensor(self.validation.texts.labels)
        scores = label_scores(log_probs.argmax(1), labels, len(model.config.labels))
        low, high = scores.accuracy.interval
        f1_low, f1_high = scores.macro_f1_interval
        return {
            "validation_loss": float(F.nll_loss(log_probs, labels)),
            "accuracy": scores.accuracy.value,
            "accuracy_low": low,
            "accuracy_high": high,
            "macro_f1": scores.macro_f1,
            "macro_f1_low": f1_low,
            "macro_f1_high": f1_high,
        }


def label_logits(
    model: Encoder, batch: LabelMicroBatch, dtype: torch.dtype | None = None
) -> Tensor:
    """Return the logits of every row's labels in float32, (B, L)."""
    return model(batch.token_ids, _mask(batch), dtype=dtype).float()


def _mask(batch: LabelMicroBatch) -> Mask:
    T = batch.token_ids.shape[1]
    return None if int(batch.lengths.min()) == T else masks.padding(batch.lengths, T)


@torch.no_grad()
def text_log_probs(
    model: Encoder, batches: LabelBatches, dtype: torch.dtype | None = None
) -> Tensor:
    """Return every text's log-probabilities, the normalized mean over its pieces, (N, L)."""
    n_text, n_label = len(batches.texts), len(model.config.labels)
    total, count = torch.zeros(n_text, n_label), torch.zeros(n_text, 1)
    for micro in batches.all_pieces():
        text = micro.text.cpu()
        total.index_add_(0, text, label_logits(model, micro, dtype).log_softmax(1).cpu())
        count.index_add_(0, text, torch.ones(len(text), 1))
    return (total / count).log_softmax(1)
