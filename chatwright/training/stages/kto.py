"""Kahneman-Tversky optimization: learn from single replies that were judged good or bad.

With r = log p(reply) / p0(reply), where p is the model and p0 the model before training (the
reference), and z0 the mean of the same figure over replies to other prompts, at least 0:

- a good reply: good_weight * (1 - sigmoid(beta (r - z0)))      Ethayarajh et al. 2024, eq. 8
- a bad reply:  bad_weight * (1 - sigmoid(beta (z0 - r)))

z0 estimates how far the model has moved from its reference. It is measured without a gradient, once
per step over the whole batch, so the number of micro-batches does not change the result. That costs
a forward pass, about a third more time than the loss alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright.evaluation.interval import wilson
from chatwright.model.gpt import GPT
from chatwright.training import checks
from chatwright.training.batches.rated_replies import RatedMicroBatch, RatedReplyBatches
from chatwright.training.log_probs import frozen_log_probs, reply_log_probs
from chatwright.training.stage import Batch, Loss, Stage, StageState
from chatwright.training.stages.supervised import no_samples

LARGEST_RATIO = 4 / 3
"""Largest ratio of the total weight of good replies to that of bad replies; the smallest is 1."""


@dataclass(frozen=True)
class ClassWeights:
    """Weights of good and of bad replies: lambda_D and lambda_U."""

    good: float = 1.0
    bad: float = 1.0


def balanced_weights(n_good: int, n_bad: int) -> ClassWeights:
    """Return weights with 1 <= n_good good / (n_bad bad) <= 4/3; one of the two weights is 1.

    Ethayarajh et al. 2024, section 4.2. Without one of the classes both weights are 1.
    """
    if not n_good or not n_bad:
        return ClassWeights()
    ratio = n_good / n_bad
    if ratio < 1:
        return ClassWeights(good=1 / ratio)
    return ClassWeights(bad=max(1.0, ratio / LARGEST_RATIO))


def reference_point(mismatched: Tensor) -> Tensor:
    """Return z0, from log p / p0 of replies to other prompts. (B,) -> ()."""
    return mismatched.mean().clamp(min=0)


def kto_loss(
    log_ratio: Tensor, is_good: Tensor, z0: Tensor, beta: float, weights: ClassWeights
) -> Tensor:
    """Return the loss of each reply. log_ratio, is_good (B,), z0 () -> (B,)."""
    gain = torch.where(is_good, log_ratio - z0, z0 - log_ratio)
    weight = torch.where(is_good, weights.good, weights.bad)
    return weight * torch.sigmoid(-beta * gain)  # 1 - sigmoid(x) without cancellation


@dataclass(frozen=True)
class KTOMicroBatch:
    """Replies, and the reference point z0 () of the whole step."""

    replies: RatedMicroBatch
    z0: Tensor


class KTO(Stage[GPT, KTOMicroBatch]):
    """Learn from replies that were judged good or bad, each for itself."""

    name = "kto"

    def __init__(
        self,
        batches: RatedReplyBatches,
        validation: RatedReplyBatches,
        dtype: torch.dtype,
        beta: float = 0.1,
        weights: ClassWeights = ClassWeights(),
        sampler: Callable[[Any], list[tuple[str, str]]] = no_samples,
    ) -> None:
        """Set up the stage.

        Args:
            batches: Replies for training.
            validation: Replies for validation.
            dtype: Number format of the forward pass.
            beta: Strength of the pull toward the reference; larger stays closer.
            weights: Weights of good and of bad replies.
            sampler: Returns the samples of an evaluation.
        """
        self.batches = batches
        self.validation = validation
        self.dtype = dtype
        self.beta = beta
        self.weights = weights
        self.sampler = sampler
        self.reference: dict[str, Tensor] = {}
        """Log-probabilities under the reference, "train" and "validation": (2, number of replies).

        Row 0 holds the replies, row 1 the replies to other prompts.
        """

    def next_batch(self, model: GPT) -> Batch[KTOMicroBatch]:
        """Return the next replies. The first call measures the reference: the model as it is."""
        self._measure_reference(model)
        batch = self.batches.next_batch()
        table = self.reference["train"][1]
        mismatched = [
            frozen_log_probs(model, micro.mismatched, self.dtype) - table[micro.indices]
            for micro in batch.micro_batches
        ]
        z0 = reference_point(torch.cat(mismatched))
        return Batch([KTOMicroBatch(micro, z0) for micro in batch.micro_batches], batch.count)

    def _measure_reference(self, model: GPT) -> None:
        if not self.reference:
            for name, batches in (("train", self.batches), ("validation", self.validation)):
                self.reference[name] = self._all_log_probs(model, batches)

    def _all_log_probs(self, model: GPT, batches: RatedReplyBatches) -> Tensor:
        """Return the log-probabilities of all replies and of all mismatched ones, (2, n)."""
        table = torch.empty(2, len(batches.replies), device=model.device)
        for micro in batches.all_rows():
            for row, texts in enumerate((micro.texts, micro.mismatched)):
                table[row, micro.indices] = frozen_log_probs(model, texts, self.dtype)
        return table

    def loss(self, model: GPT, micro_batch: KTOMicroBatch) -> Loss:
        """Return the summed loss of the replies, with z0 as a metric."""
        replies = micro_batch.replies
        z0 = micro_batch.z0
        log_probs = reply_log_probs(model, replies.texts, self.dtype)
        ratios = log_probs - self.reference["train"][0, replies.indices]  # (B,)
        total = kto_loss(ratios, replies.is_good, z0, self.beta, self.weights).sum()
        return Loss(total, len(replies.indices), {"reference_point": float(z0)})

    def check_start(self, model: GPT, batch: Batch[KTOMicroBatch], parent: Path | None) -> float:
        """Check that the model equals its reference: each reply's loss is half its weight."""
        loss = checks.mean_loss(model, self, batch)
        checks.check_finite(loss, "the loss", 0)
        is_good = torch.cat([micro.replies.is_good for micro in batch.micro_batches])
        n_good = int(is_good.sum())
        n_bad = len(is_good) - n_good
        total = n_good * self.weights.good + n_bad * self.weights.bad
        checks.check_fresh_loss(loss, total / len(is_good) / 2)
        return loss

    def evaluate(self, model: GPT) -> dict[str, float]:
        """Return loss, accuracy with its interval, and mean rewards of the validation replies."""
        self._measure_reference(model)
        own, mismatched = self._all_log_probs(model, self.validation) - self.reference["validation"]
        is_good = self.validation.is_good
        z0 = reference_point(mismatched)
        loss = kto_loss(own, is_good, z0, self.beta, self.weights).mean()
        return {
            "validation_loss": float(loss),
            **ranking_figures(own, is_good),
            **mean_rewards(own, is_good, self.beta),
            "reference_point": float(z0),
        }

    def samples(self, model: GPT) -> list[tuple[str, str]]:
        """Return (prompt, reply) pairs from the sampler."""
        return self.sampler(model)

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the data, the loss, its beta and its weights."""
        return {
            "train": self.batches.describe(),
            "validation": self.validation.describe(),
            "batches": vars(self.batches.config),
            "loss": "kto",
            "beta": self.beta,
            "weights": vars(self.weights),
        }

    def state(self) -> StageState:
        """Return the position in the data and the reference's log-probabilities."""
        return StageState(self.batches.state_dict(), dict(self.reference))

    def load_state(self, state: StageState) -> None:
        """Continue from a state that `state` returned."""
        self.batches.load_state_dict(state.numbers)
        device = self.batches.device
        self.reference = {name: table.to(device) for name, table in state.tensors.items()}


def ranking_figures(ratios: Tensor, is_good: Tensor) -> dict[str, float]:
    """Return the area under the ROC curve (AUC) of good against bad replies by their log ratios.

    It is the share of pairs of a good and a bad reply in which the good one has gained more.

    Equal gains count half. The interval takes as many pairs as the smaller class has replies, since
    pairs with a reply in common are not independent. Without one of the classes there is no figure.

    ratios (B,): log p / p0 of the replies.
    """
    good = ratios[is_good]
    bad = ratios[~is_good].sort().values
    n = min(len(good), len(bad))
    if not n:
        return {}
    below = torch.searchsorted(bad, good) + torch.searchsorted(bad, good, right=True)
    share = float(below.sum()) / (2 * len(good) * len(bad))
    low, high = wilson(share * n, n)
    return {"auc": share, "auc_low": low, "auc_high": high}


def mean_rewards(ratios: Tensor, is_good: Tensor, beta: float) -> dict[str, float]:
    """Return the mean implicit rewards beta log p / p0 of the classes that have replies."""
    classes = {"good_reward": ratios[is_good], "bad_reward": ratios[~is_good]}
    return {name: float(beta * part.mean()) for name, part in classes.items() if len(part)}
