"""Measure what one row costs to train, and estimate the time and memory of a run from it."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chatwright.devices import generator
from chatwright.model.dropout import set_dropout_generator
from chatwright.model.gpt import GPT
from chatwright.model.model import count_parameters
from chatwright.training.cross_entropy import next_token_loss
from chatwright.training.stage import MicroBatch

QUICK = 5.0
"""Seconds: a faster first measurement is repeated, because the first one also sets up kernels."""
PROGRAM_BYTES = 500e6
"""Memory of the program, its libraries and its data without a model, roughly."""
COPIES_OF_TRAINED = 5
"""Gradient, two moments of AdamW, the best weights, and the weights before training."""
WEIGHT_BYTES_PER_SECOND = 8e9
"""Generating one token reads all weights once; a usual processor reads them at this speed."""
FORWARD_SHARE = 0.35
"""Share of a forward pass in the time of a forward and a backward pass."""


@dataclass(frozen=True)
class RowCost:
    """The cost of the forward and backward pass of one row."""

    seconds: float
    n_byte: int
    """Tensors that the backward pass needs, without copies of weights."""
    n_fixed_byte: int
    """Copies of weights in the number format of training, whatever the number of rows."""


def measure_row(model: GPT, row: MicroBatch, dtype: torch.dtype, seed: int) -> RowCost:
    """Train on one row without an update, and return its cost. The model is not changed."""
    row = _unlike_weights(model, row)
    model.train()
    set_dropout_generator(model, generator(seed, "cost of a row", model.device))
    cost = _measure_once(model, row, dtype)
    if cost.seconds < QUICK:
        cost = _measure_once(model, row, dtype)
    return cost


def _unlike_weights(model: GPT, row: MicroBatch) -> MicroBatch:
    """Drop the last token if the number of tokens equals a width of the model.

    Activations of that shape would be taken for weights.
    """
    widths = {n for p in model.parameters() if p.ndim == 2 for n in p.shape}
    if row.token_ids.numel() not in widths:
        return row
    return MicroBatch(
        row.token_ids[:, :-1],
        row.targets[:, :-1],
        None if row.document_ids is None else row.document_ids[:, :-1],
        None if row.positions is None else row.positions[:, :-1],
    )


def _measure_once(model: GPT, row: MicroBatch, dtype: torch.dtype) -> RowCost:
    counter = _SavedTensors(model)
    began = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(counter.count, lambda tensor: tensor):
        loss = next_token_loss(model, row, dtype)
    loss.sum.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    float(gradients[0].flatten()[0])  # waits for the device
    seconds = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    return RowCost(seconds, counter.n_byte, counter.n_fixed_byte)


class _SavedTensors:
    """Counts the bytes that autograd keeps for the backward pass, each storage once."""

    def __init__(self, model: nn.Module) -> None:
        self.weights = {_storage_id(p) for p in model.parameters()}
        matrices = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
        self.weight_shapes = {*matrices, *(shape[::-1] for shape in matrices)}
        self.seen: set[int] = set()
        self.n_byte = 0
        self.n_fixed_byte = 0

    def count(self, tensor: Tensor) -> Tensor:
        storage: Any = tensor.untyped_storage()
        identity = _storage_id(tensor)
        if identity in self.weights or identity in self.seen:
            return tensor
        self.seen.add(identity)
        if tuple(tensor.shape) in self.weight_shapes:  # a copy in the number format of training
            self.n_fixed_byte += storage.nbytes()
        else:
            self.n_byte += storage.nbytes()
        return tensor


def _storage_id(tensor: Tensor) -> int:
    """Return a number that all views of a tensor share. Not every device gives an address."""
    storage: Any = tensor.untyped_storage()
    return int(storage._cdata)


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """The counts of a run that decide its cost."""

    steps: int
    rows: int
    """Rows in a step."""
    rows_at_once: int
    """Rows in a micro-batch."""
    validation_rows: int
    evaluations: int
    sampled_tokens: int
    """Largest number of tokens generated one after the other at an evaluation."""


@dataclass(frozen=True)
class RunCost:
    """Estimated time and memory of a run."""

    training_seconds: float
    evaluation_seconds: float
    n_byte: float

    def __str__(self) -> str:
        training = _minutes(self.training_seconds)
        evaluations = _minutes(self.evaluation_seconds)
        return (
            f"about {training} of training and {evaluations} of evaluations, "
            f"{self.n_byte / 1e9:.1f} GB of memory"
        )


def estimate(model: GPT, row: RowCost, plan: RunPlan) -> RunCost:
    """Return the estimated cost of a run."""
    n_weight_byte = 4 * sum(p.numel() for p in model.parameters())
    n_trained_byte = 4 * count_parameters(model)
    generating = plan.sampled_tokens * n_weight_byte / WEIGHT_BYTES_PER_SECOND
    validating = plan.validation_rows * row.seconds * FORWARD_SHARE
    # A second copy of the weights: the parent's, to check the first loss, later the packed one.
    n_byte = 2 * n_weight_byte + COPIES_OF_TRAINED * n_trained_byte + row.n_fixed_byte
    return RunCost(
        training_seconds=plan.steps * plan.rows * row.seconds,
        evaluation_seconds=plan.evaluations * (validating + generating),
        n_byte=n_byte + plan.rows_at_once * row.n_byte + PROGRAM_BYTES,
    )


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
