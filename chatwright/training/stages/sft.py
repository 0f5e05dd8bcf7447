"""Supervised fine-tuning: learn the answers of example conversations (Ouyang et al. 2022, step 1).

Whole conversations are packed side by side; each sees only itself, and only what the assistant says carries loss.
"""

from collections.abc import Callable
from typing import Any

import torch

from chatwright.model.gpt import GPT
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.cross_entropy import next_token_loss, next_token_outputs
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Batch, Loss, MicroBatch, Sampler, Stage
from chatwright.training.validation import PackedValidation

StopRate = Callable[[GPT], dict[str, float]]


class SFT(Stage[GPT, MicroBatch]):
    name = "sft"

    def __init__(
        self,
        batches: PackedBatches,
        validation: PackedValidation,
        dtype: torch.dtype,
        sampler: Sampler = lambda _: [],
        stop_rate: StopRate = lambda _: {},
    ) -> None:
        self.batches, self.validation, self.dtype = batches, validation, dtype
        self.sampler, self.stop_rate = sampler, stop_rate

    def next_batch(self) -> Batch[MicroBatch]:
        return self.batches.next_batch()

    def loss(self, model: GPT, micro_batch: MicroBatch) -> Loss:
        return next_token_loss(model, micro_batch, self.dtype)

    def outputs(self, model: GPT, micro_batch: MicroBatch) -> Outputs:
        return next_token_outputs(model, micro_batch, self.dtype)

    def evaluate(self, model: GPT) -> dict[str, float]:
        return self.validation.figures(model) | self.stop_rate(model)

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
