"""Translation training: predict each target token from the source and the tokens before it.

Vaswani et al. 2017. Training smooths its targets (Szegedy et al. 2016). Validation does not, so its
loss is the negative log-likelihood.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from chatwright.model import masks
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.training.batches.pairs import PairBatches, PairMicroBatch
from chatwright.training.cross_entropy import IGNORED, head_loss
from chatwright.training.stage import Loss
from chatwright.training.stages.supervised import SupervisedStage, no_figures, no_samples

Scorer = Callable[[EncoderDecoder], dict[str, float]]
"""Adds figures to an evaluation, such as the BLEU of the validation set."""
TranslationSampler = Callable[[EncoderDecoder], list[tuple[str, str]]]


class Translation(SupervisedStage[EncoderDecoder, PairMicroBatch]):
    """Learn to translate from sentence pairs."""

    name = "translation"

    def __init__(
        self,
        batches: PairBatches,
        validation: PairBatches,
        dtype: torch.dtype,
        smoothing: float = 0.1,
        sampler: TranslationSampler = no_samples,
        scorer: Scorer = no_figures,
    ) -> None:
        super().__init__(batches, validation, dtype, sampler)
        self.smoothing = smoothing
        self.scorer = scorer

    def loss(self, model: EncoderDecoder, micro_batch: PairMicroBatch) -> Loss:
        """Return the summed cross-entropy of the target tokens."""
        hidden = self._hidden_states(model, micro_batch)
        return head_loss(model.head, hidden, micro_batch.targets, self.smoothing)

    def _hidden_states(self, model: EncoderDecoder, micro_batch: PairMicroBatch) -> Tensor:
        padding = masks.padding(micro_batch.source_lengths, micro_batch.source_ids.shape[1])
        return model.hidden_states(
            micro_batch.source_ids, micro_batch.target_ids, padding, self.dtype
        )

    def evaluate(self, model: EncoderDecoder) -> dict[str, float]:
        """Return loss and accuracy per target token, predicted from the true tokens before it."""
        total = 0.0
        n_right = 0
        count = 0
        for micro in self.validation.all_pairs():
            is_target = micro.targets != IGNORED
            hidden = self._hidden_states(model, micro)[is_target]
            targets = micro.targets[is_target]
            total += float(head_loss(model.head, hidden, targets).sum)
            n_right += int((model.head(hidden).argmax(dim=-1) == targets).sum())
            count += len(targets)
        figures = {"validation_loss": total / count, "validation_accuracy": n_right / count}
        return figures | self.scorer(model)

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the data, and the label smoothing."""
        return super().describe() | {"label_smoothing": self.smoothing}
