"""Direct preference optimization: raise the probability of chosen replies over rejected ones.

With h = log p(chosen) / p0(chosen) - log p(rejected) / p0(rejected), where p is the model and p0
the model before training (the reference):

- dpo: -log sigmoid(beta h)             Rafailov et al. 2023, eq. 7
- ipo: (h - 1 / (2 beta))^2             Azar et al. 2023, eq. 17

Both losses may lower the probability of the chosen reply, as long as that of the rejected one falls
further. `sft_weight` adds that much of the chosen reply's mean negative log-likelihood per token
(Pang et al. 2024, eq. 1), which keeps small models from unlearning how to write.

The reference's log-probabilities are computed once, before the first step, and are saved in every
checkpoint. So the reference needs no memory during training, and a resumed run has the same one.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.evaluation.interval import wilson
from chatwright.model.gpt import GPT
from chatwright.training import checks
from chatwright.training.batches.preferences import PreferenceBatches, PreferenceMicroBatch
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.log_probs import frozen_log_probs, reply_log_probs
from chatwright.training.stage import Batch, Loss, Stage, StageState
from chatwright.training.stages.supervised import no_samples

PreferenceLoss = Literal["dpo", "ipo"]


def preference_loss(log_ratio: Tensor, beta: float, kind: PreferenceLoss) -> Tensor:
    """Return the loss of each pair from its h (see the module). (B,) -> (B,)."""
    if kind == "dpo":
        return -F.logsigmoid(beta * log_ratio)
    return (log_ratio - 1 / (2 * beta)).square()


def chosen_loss(log_probs: Tensor, micro_batch: PreferenceMicroBatch) -> Tensor:
    """Return the mean negative log-likelihood per token of each chosen reply. (2, B) -> (B,)."""
    n_token = (micro_batch.texts.targets != IGNORED).sum(1).view(2, -1)[0]
    return -log_probs[0] / n_token


def start_loss(beta: float, kind: PreferenceLoss) -> float:
    """Return the loss of a model that equals its reference, h = 0."""
    return math.log(2) if kind == "dpo" else 1 / (4 * beta**2)


class DPO(Stage[GPT, PreferenceMicroBatch]):
    """Learn from pairs of replies, of which one was preferred."""

    name = "dpo"

    def __init__(
        self,
        batches: PreferenceBatches,
        validation: PreferenceBatches,
        dtype: torch.dtype,
        beta: float = 0.1,
        kind: PreferenceLoss = "dpo",
        sampler: Callable[[Any], list[tuple[str, str]]] = no_samples,
        sft_weight: float = 0.0,
    ) -> None:
        """Set up the stage.

        Args:
            batches: Pairs for training.
            validation: Pairs for validation.
            dtype: Number format of the forward pass.
            beta: Strength of the pull toward the reference; larger stays closer.
            kind: The loss.
            sampler: Returns the samples of an evaluation.
            sft_weight: Weight of the chosen reply's negative log-likelihood per token.
        """
        self.batches = batches
        self.validation = validation
        self.dtype = dtype
        self.beta = beta
        self.kind: PreferenceLoss = kind
        self.sampler = sampler
        self.sft_weight = sft_weight
        self.reference: dict[str, Tensor] = {}
        """Log-probabilities under the reference, "train" and "validation": (2, number of pairs)."""

    def next_batch(self, model: GPT) -> Batch[PreferenceMicroBatch]:
        """Return the next pairs. The first call measures the reference: the model as it is."""
        self._measure_reference(model)
        return self.batches.next_batch()

    def _measure_reference(self, model: GPT) -> None:
        if self.reference:
            return
        for name, batches in (("train", self.batches), ("validation", self.validation)):
            table = torch.empty(2, len(batches.preferences), device=model.device)
            for micro in batches.all_rows():
                table[:, micro.pairs] = self._log_probs(model, micro)
            self.reference[name] = table

    def _log_probs(self, model: GPT, micro: PreferenceMicroBatch) -> Tensor:
        """Return the log-probabilities of (chosen, rejected) without a gradient, (2, B)."""
        return frozen_log_probs(model, micro.texts, self.dtype).view(2, -1)

    def loss(self, model: GPT, micro_batch: PreferenceMicroBatch) -> Loss:
        """Return the summed loss of the pairs, with accuracy and rewards as metrics."""
        log_probs = reply_log_probs(model, micro_batch.texts, self.dtype).view(2, -1)
        ratios = log_probs - self.reference["train"][:, micro_batch.pairs]  # (2, B)
        total = preference_loss(ratios[0] - ratios[1], self.beta, self.kind).sum()
        if self.sft_weight:
            total = total + self.sft_weight * chosen_loss(log_probs, micro_batch).sum()
        return Loss(total, len(micro_batch.pairs), reward_metrics(ratios.detach(), self.beta))

    def check_start(
        self, model: GPT, batch: Batch[PreferenceMicroBatch], parent: Path | None
    ) -> float:
        """Check that the model equals its reference: the loss is ln 2, or 1 / (4 beta^2) of IPO.

        With `sft_weight`, the negative log-likelihood under the reference is added.
        """
        loss = checks.mean_loss(model, self, batch)
        checks.check_finite(loss, "the loss", 0)
        expected = start_loss(self.beta, self.kind)
        for micro in batch.micro_batches if self.sft_weight else ():
            reference = self.reference["train"][:, micro.pairs]
            expected += self.sft_weight * float(chosen_loss(reference, micro).sum()) / batch.count
        checks.check_fresh_loss(loss, expected)
        return loss

    def evaluate(self, model: GPT) -> dict[str, float]:
        """Return loss, accuracy with its interval, and mean rewards of the validation pairs.

        The loss is that of the preferences alone, without the term of `sft_weight`.
        """
        self._measure_reference(model)
        ratios = torch.empty_like(self.reference["validation"])
        for micro in self.validation.all_rows():
            reference = self.reference["validation"][:, micro.pairs]
            ratios[:, micro.pairs] = self._log_probs(model, micro) - reference
        metrics = reward_metrics(ratios, self.beta)
        n_pair = ratios.shape[1]
        low, high = wilson(metrics["accuracy"] * n_pair, n_pair)
        loss = preference_loss(ratios[0] - ratios[1], self.beta, self.kind).mean()
        return {
            "validation_loss": float(loss),
            **metrics,
            "accuracy_low": low,
            "accuracy_high": high,
        }

    def samples(self, model: GPT) -> list[tuple[str, str]]:
        """Return (prompt, reply) pairs from the sampler."""
        return self.sampler(model)

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the data, the loss and its beta."""
        return {
            "train": self.batches.describe(),
            "validation": self.validation.describe(),
            "batches": vars(self.batches.config),
            "loss": self.kind,
            "beta": self.beta,
            "sft_weight": self.sft_weight,
        }

    def state(self) -> StageState:
        """Return the position in the data and the reference's log-probabilities."""
        return StageState(self.batches.state_dict(), dict(self.reference))

    def load_state(self, state: StageState) -> None:
        """Continue from a state that `state` returned."""
        self.batches.load_state_dict(state.numbers)
        device = self.batches.device
        self.reference = {name: table.to(device) for name, table in state.tensors.items()}


def reward_metrics(ratios: Tensor, beta: float) -> dict[str, float]:
    """Return accuracy and mean implicit rewards, beta log p / p0.

    ratios (2, B): log p / p0 of the chosen and of the rejected replies. A pair with equal rewards
    counts half.
    """
    margin = ratios[0] - ratios[1]
    accuracy = (margin > 0).float().mean() + 0.5 * (margin == 0).float().mean()
    return {
        "accuracy": float(accuracy),
        "chosen_reward": float(beta * ratios[0].mean()),
        "rejected_reward": float(beta * ratios[1].mean()),
    }
