"""Learning to translate: predict each token of the translation from the source and the tokens before it (Vaswani et al. 2017).

Training smooths its targets (Szegedy et al. 2016); validation does not, so its loss is the negative log-likelihood.
"""

from collections.abc import Callable
from typing import Any

import torch

from chatwright.model import masks
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.training.batches.pairs import PairBatches, PairMicroBatch
from chatwright.training.cross_entropy import IGNORED, head_loss
from chatwright.training.stage import Batch, Loss, Stage

Figures = Callable[[EncoderDecoder], dict[str, float]]
Samples = Callable[[EncoderDecoder], list[tuple[str, str]]]


class Translation(Stage[EncoderDecoder, PairMicroBatch]):
    name = "translation"

    def __init__(
        self,
        batches: PairBatches,
        validation: PairBatches,
        dtype: torch.dtype,
        smoothing: float = 0.1,
        sampler: Samples = lambda _: [],
        scorer: Figures = lambda _: {},
    ) -> None:
        """`scorer` adds figures to every evaluation (BLEU of the validation set, for one)."""
        self.batches, self.validation, self.dtype, self.smoothing = (
            batches,
            validation,
            dtype,
            smoothing,
        )
        self.sampler, self.scorer = sampler, scorer

    def next_batch(self) -> Batch[PairMicroBatch]:
        return self.batches.next_batch()

    def loss(self, model: EncoderDecoder, micro_batch: PairMicroBatch) -> Loss:
        return head_loss(
            model.head, self._hidden(model, micro_batch), micro_batch.targets, self.smoothing
        )

    def _hidden(self, model: EncoderDecoder, micro_batch: PairMicroBatch) -> torch.Tensor:
        padding = masks.padding(micro_batch.source_lengths, micro_batch.source_ids.shape[1])
        return model.hidden_states(
            micro_batch.source_ids, micro_batch.target_ids, padding, self.dtype
        )

    def evaluate(self, model: EncoderDecoder) -> dict[str, float]:
        """Loss and share of right guesses per token of the translations, each told the right tokens before it."""
        total, right, count = 0.0, 0, 0
        for micro in self.validation.all_pairs():
            wanted = micro.targets != IGNORED
            hidden, targets = self._hidden(model, micro)[wanted], micro.targets[wanted]
            total += float(head_loss(model.head, hidden, targets).sum)
            right += int((model.head(hidden).argmax(dim=-1) == targets).sum())
            count += len(targets)
        return {
            "validation_loss": total / count,
            "validation_accuracy": right / count,
        } | self.scorer(model)

    def samples(self, model: EncoderDecoder) -> list[tuple[str, str]]:
        return self.sampler(model)

    def describe(self) -> dict[str, Any]:
        return {
            "train": self.batches.describe(),
            "validation": self.validation.describe(),
            "batches": vars(self.batches.config),
            "label_smoothing": self.smoothing,
        }

    def state_dict(self) -> dict[str, Any]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state)
