"""Pretraining: predict the next token of every text. The batches are windows of a long stream or whole short documents (`stage.Batches`)."""

from typing import Any

import torch

from chatwright.model.gpt import GPT
from chatwright.training.cross_entropy import next_token_loss, next_token_outputs
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Batch, Batches, Loss, MicroBatch, Sampler, Stage
from chatwright.training.validation import Validation


class Pretrain(Stage[GPT, MicroBatch]):
    name = "pretrain"

    def __init__(
        self,
        batches: Batches,
        validation: Validation,
        dtype: torch.dtype,
        sampler: Sampler = lambda _: [],
    ) -> None:
        self.batches, self.validation, self.dtype, self.sampler = (
            batches,
            validation,
            dtype,
            sampler,
        )

    def next_batch(self) -> Batch[MicroBatch]:
        return self.batches.next_batch()

    def loss(self, model: GPT, micro_batch: MicroBatch) -> Loss:
        return next_token_loss(model, micro_batch, self.dtype)

    def outputs(self, model: GPT, micro_batch: MicroBatch) -> Outputs:
        return next_token_outputs(model, micro_batch, self.dtype)

    def evaluate(self, model: GPT) -> dict[str, float]:
        return self.validation.figures(model)

    def samples(self, model: GPT) -> list[tuple[str, str]]:
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
