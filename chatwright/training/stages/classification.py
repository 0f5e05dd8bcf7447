"""Classification: tell the label of a text off <cls> (Devlin et al. 2018, section 3.2), from scratch or from a pretrained encoder.

A text in several pieces is told by the mean of their log-probabilities.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.evaluation.classification import label_scores
from chatwright.model import masks
from chatwright.model.encoder import Encoder
from chatwright.model.masks import Mask
from chatwright.training.batches.labels import LabelBatches, LabelMicroBatch
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Batch, Loss, Stage

Tell = Callable[[Encoder], list[tuple[str, str]]]  # (text, label) pairs to show as the model learns


class Classification(Stage[Encoder, LabelMicroBatch]):
    name = "classify"

    def __init__(
        self,
        batches: LabelBatches,
        validation: LabelBatches,
        dtype: torch.dtype,
        has_fresh_head: bool = True,
        smoothing: float = 0.0,
        sampler: Tell = lambda _: [],
    ) -> None:
        self.batches, self.validation, self.dtype, self.smoothing, self.sampler = (
            batches,
            validation,
            dtype,
            smoothing,
            sampler,
        )
        self.has_fresh_head = has_fresh_head

    def next_batch(self) -> Batch[LabelMicroBatch]:
        return self.batches.next_batch()

    def fresh_loss(self, model: Encoder) -> float:
        return math.log(len(model.config.labels))

    def loss(self, model: Encoder, micro_batch: LabelMicroBatch) -> Loss:
        scores = label_logits(model, micro_batch, self.dtype)
        return Loss(
            F.cross_entropy(
                scores, micro_batch.labels, reduction="sum", label_smoothing=self.smoothing
            ),
            len(scores),
        )

    def outputs(self, model: Encoder, micro_batch: LabelMicroBatch) -> Outputs:
        head = model.label_head
        assert head is not None, "a model with labels is trained"
        assert head.labels is not None, "a model with labels is trained"
        hidden = model.hidden_states(micro_batch.token_ids, _mask(micro_batch), dtype=self.dtype)
        return Outputs(
            head.dropout(head.pooled(hidden[:, 0])),
            head.labels.weight,
            head.labels.bias,
            micro_batch.labels,
        )

    def evaluate(self, model: Encoder) -> dict[str, float]:
        log_probs = text_log_probs(model, self.validation, self.dtype)
        wanted = torch.tensor(self.validation.texts.labels)
        scores = label_scores(log_probs.argmax(1), wanted, len(model.config.labels))
        low, high = scores.accuracy.interval
        f1_low, f1_high = scores.macro_f1_interval
        return {
            "validation_loss": float(F.nll_loss(log_probs, wanted)),
            "accuracy": scores.accuracy.value,
            "accuracy_low": low,
            "accuracy_high": high,
            "macro_f1": scores.macro_f1,
            "macro_f1_low": f1_low,
            "macro_f1_high": f1_high,
        }

    def samples(self, model: Encoder) -> list[tuple[str, str]]:
        return self.sampler(model)

    def describe(self) -> dict[str, Any]:
        return {
            "train": self.batches.describe(),
            "validation": self.validation.describe(),
            "batches": vars(self.batches.config),
        }

    def state_dict(self) -> dict[str, Any]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state)


def label_logits(
    model: Encoder, batch: LabelMicroBatch, dtype: torch.dtype | None = None
) -> Tensor:
    """(B, L), in float32"""
    return model(batch.token_ids, _mask(batch), dtype=dtype).float()


def _mask(batch: LabelMicroBatch) -> Mask:
    T = batch.token_ids.shape[1]
    return None if int(batch.lengths.min()) == T else masks.padding(batch.lengths, T)


@torch.no_grad()
def text_log_probs(
    model: Encoder, batches: LabelBatches, dtype: torch.dtype | None = None
) -> Tensor:
    """Log-probabilities of every text's labels, the mean over its pieces, normed again. (N, L)"""
    n_text, n_label = len(batches.texts), len(model.config.labels)
    total, count = torch.zeros(n_text, n_label), torch.zeros(n_text, 1)
    for micro in batches.all_pieces():
        text = micro.text.cpu()
        total.index_add_(0, text, label_logits(model, micro, dtype).log_softmax(1).cpu())
        count.index_add_(0, text, torch.ones(len(text), 1))
    return (total / count).log_softmax(1)
