"""Pretraining: predict the next token of every text. The batches are windows of a long stream or whole short documents (`stage.Batches`)."""

from typing import Any

import torch

from chatwright.data.corpus import EncodedCorpus
from chatwright.evaluation.bits_per_byte import nats_per_token
from chatwright.model.gpt import GPT
from chatwright.training.cross_entropy import next_token_loss
from chatwright.training.stage import Batch, Batches, Loss, MicroBatch, Sampler
from chatwright.training.window_batches import described


class Pretrain:
    name = "pretrain"

    def __init__(self, batches: Batches, validation: EncodedCorpus, context_length: int, dtype: torch.dtype,
                 sampler: Sampler = lambda _: []) -> None:
        self.batches, self.validation, self.context_length = batches, validation, context_length
        self.dtype, self.sampler = dtype, sampler

    def next_batch(self) -> Batch:
        return self.batches.next_batch()

    def loss(self, model: GPT, micro_batch: MicroBatch) -> Loss:
        return next_token_loss(model, micro_batch, self.dtype)

    def evaluate(self, model: GPT) -> dict[str, float]:
        nats = nats_per_token(model, self.validation.stream, self.context_length, self.dtype)
        bits = nats / 0.6931471805599453 * len(self.validation.stream) / max(1, self.validation.n_bytes)
        return {"validation_loss": nats, "validation_bits_per_byte": bits}

    def samples(self, model: GPT) -> list[tuple[str, str]]:
        return self.sampler(model)

    def describe(self) -> dict[str, Any]:
        return {"train": self.batches.describe(), "validation": described(self.validation), "batches": vars(self.batches.config)}

    def state_dict(self) -> dict[str, Any]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state)
