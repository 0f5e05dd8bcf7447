"""Group-relative policy optimization: learn which of several own replies are better than the rest.

The model writes several replies to each prompt. A reply's advantage is its reward compared with the
other replies to the same prompt, so no value function is needed. `policy_loss.py` has the losses.

The ratios of a batch start at exactly 1: the old log-probabilities are those of the training
forward before the first update. Where the engine, which sampled the replies, computed slightly
different ones, truncated importance weights correct the loss (`old_log_probs="training"`). With
"engine" the ratios start at training over engine, and there are no weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from chatwright.model.gpt import GPT
from chatwright.training import checks
from chatwright.training.alarms import Alarms
from chatwright.training.log_probs import token_log_probs
from chatwright.training.policy_loss import (
    PolicyLoss,
    clipped_objective,
    group_advantages,
    have_spread,
    is_clipped,
    kl_estimate,
    loss_count,
    summed_loss,
)
from chatwright.training.rollout_source import RolloutSource
from chatwright.training.rollout_tables import (
    parts_by_length,
    reply_mask,
    rollout_tables,
    select,
    spread_metrics,
    texts_of,
    without_dropout,
)
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch, Loss
from chatwright.training.stages.rollout_stage import RolloutStage, kl_per_reply

SPREAD_BAND = 0.1
"""Largest mean difference of the engine's log-probabilities from training's, in nats."""


@dataclass(frozen=True, kw_only=True)
class GRPOUpdateConfig:
    """How one batch of rollouts is used."""

    loss: PolicyLoss = "dapo"
    """grpo, dapo (each token counts the same), dr_grpo or rloo."""
    beta: float = 0.0
    """Weight of the KL divergence from the model before training; 0: none."""
    clip: float = 0.2
    """Largest fall of a token's probability ratio that is still rewarded."""
    clip_high: float = 0.28
    """Largest rise of a token's probability ratio that is still rewarded."""
    epochs: int = 1
    """Times that every reply of a batch of rollouts is used."""
    steps_per_epoch: int = 1
    """Optimizer steps in one epoch; each takes an equal share of the replies."""
    rows: int = 32
    """Largest number of replies in one forward pass."""
    old_log_probs: Literal["training", "engine"] = "training"
    """Whose log-probabilities the ratios start from; with training they start at exactly 1."""
    importance_cap: float = 2.0
    """Largest weight that corrects for a difference of engine and training."""
    measured_replies: int = 16
    """Replies of a batch on which KL divergence and the engine's spread are measured; 0: all."""
    no_signal_steps: int = 20
    """Batches in a row without different rewards for any prompt that end the run."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "update")
        for name in ("epochs", "steps_per_epoch", "rows", "no_signal_steps"):
            require(name, getattr(self, name) >= 1, "must be at least 1")
        require("beta", self.beta >= 0, "must be at least 0")
        require("clip", 0 < self.clip < 1, "must be above 0 and below 1")
        require("clip_high", self.clip_high > 0, "must be above 0")
        require("importance_cap", self.importance_cap >= 1, "must be at least 1")
        require("measured_replies", self.measured_replies >= 0, "must be at least 0")

    @property
    def updates(self) -> int:
        """Optimizer steps for each batch of rollouts."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class GRPOMicroBatch:
    """B replies of one update."""

    tables: Mapping[str, Tensor]
    """Their tables; see `rollout_tables`."""
    count: int
    """Their share of the batch's count."""
    is_first: bool
    """Whether the model is still the one that wrote the replies."""


class GRPO(RolloutStage[GRPOMicroBatch]):
    """Learn from the rewards of groups of the model's own replies."""

    name = "grpo"

    def __init__(
        self,
        source: RolloutSource,
        reference: GPT,
        config: GRPOUpdateConfig,
        alarms: Alarms,
        dtype: torch.dtype,
        seed: int,
    ) -> None:
        """Set up the stage.

        Args:
            source: Samples and scores replies.
            reference: The model before training, frozen.
            config: How rollouts are used.
            alarms: Stop a run that exploits its reward.
            dtype: Number format of the forward pass.
            seed: Seed of the order of updates.
        """
        super().__init__(source, reference, config, alarms, dtype, seed)
        self.config = config
        self.n_no_signal = 0
        """Batches of rollouts in a row in which no prompt had different rewards."""

    def next_batch(self, model: GPT) -> Batch[GRPOMicroBatch]:
        """Return the replies of the next update; sample new ones when all updates are done."""
        update = self.position
        if update == 0:
            self._collect(model)
        rows = self.rows_of(update)
        count = loss_count(reply_mask(self.tables)[rows], self.config.loss)
        self.n_update += 1
        rows = self._with_gradient(rows)
        return Batch(self._micro_batches(rows, count, is_first=update == 0), count)

    def _with_gradient(self, rows: list[int]) -> list[int]:
        """Leave out replies with advantage 0, which change nothing without a KL divergence."""
        if self.config.beta:
            return rows
        advantages = self.tables["advantages"][:, 0].tolist()
        return [row for row in rows if advantages[row] != 0.0] or rows[:1]

    def _micro_batches(
        self, rows: Sequence[int], count: int, is_first: bool
    ) -> list[GRPOMicroBatch]:
        parts = list(parts_by_length(self.tables, rows, self.config.rows))
        batches: list[GRPOMicroBatch] = []
        for index, part in enumerate(parts):
            # The counts weight the metrics, so they must add up to that of the batch.
            share = count * len(part) // len(rows)
            if index == len(parts) - 1:
                share = count - sum(batch.count for batch in batches)
            batches.append(GRPOMicroBatch(select(self.tables, part), share, is_first))
        return batches

    def _collect(self, model: GPT) -> None:
        """Sample and score replies, and measure what the updates need."""
        rollouts = self.source.next_rollouts(model)
        device = model.device
        tables = rollout_tables(rollouts.rollouts, self.source.tokenizer.control.pad, device)
        rewards = torch.tensor(rollouts.rewards.total, device=device).view(
            len(rollouts.groups), -1
        )  # (prompts, samples)
        tables["advantages"] = group_advantages(rewards, self.config.loss).reshape(-1, 1)
        kl = self._measure(model, tables)
        has_spread = have_spread(rewards)
        self.metrics = {
            **rollouts.metrics(),
            "kl": kl,
            "equal_groups": 1 - float(has_spread.float().mean()),
            **self.metrics,
        }
        self.tables = tables
        self._require_signal(bool(has_spread.any()))
        self.alarms.check(self.n_update, rollouts.figures(kl))

    def _measure(self, model: GPT, tables: dict[str, Tensor]) -> float:
        """Add old and reference log-probabilities where updates need them; return the KL.

        The divergence is that from the model before training, in nats per reply. Engine and
        training are compared on the same replies.
        """
        config = self.config
        n_row = len(tables["targets"])
        stride = max(1, n_row // (config.measured_replies or n_row))
        sample = select(tables, range(0, n_row, stride))
        if config.beta:
            tables["reference_log_probs"] = self.log_probs(self.reference, tables)
            reference = select(tables, range(0, n_row, stride))["reference_log_probs"]
        else:
            reference = self.log_probs(self.reference, sample)
        if config.old_log_probs == "training" and config.updates > 1:
            tables["old_log_probs"] = self.log_probs(model, tables)
            old = select(tables, range(0, n_row, stride))["old_log_probs"]
        else:
            old = self.log_probs(model, sample)
        self.metrics = spread_metrics(sample, old)
        return kl_per_reply(old, reference, sample)

    def _require_signal(self, has_signal: bool) -> None:
        """Raise RunFailed if no prompt had different rewards for too many batches."""
        self.n_no_signal = 0 if has_signal else self.n_no_signal + 1
        if self.n_no_signal >= self.config.no_signal_steps:
            raise checks.RunFailed(
                f"step {self.n_update}: in the last {self.n_no_signal} batches, all replies to a "
                "prompt had the same reward, so there was nothing to learn. Use prompts of which "
                "the model answers some right, more samples, or a reward with more steps.",
                check="no_signal",
            )

    def loss(self, model: GPT, micro_batch: GRPOMicroBatch) -> Loss:
        """Return the summed loss of the replies, with the figures of the rollouts as metrics."""
        config = self.config
        tables = micro_batch.tables
        mask = reply_mask(tables)
        with without_dropout(model):
            log_probs = token_log_probs(model, texts_of(tables), self.dtype)  # (B, T)
        log_ratio, weights = self._ratio_and_weights(log_probs, micro_batch)
        advantages = tables["advantages"]  # (B, 1)
        objective = weights * clipped_objective(
            log_ratio, advantages, config.clip, config.clip_high
        )
        kind = config.loss
        total = summed_loss(objective, mask, kind, self.source.config.reply_tokens)
        if config.beta:
            divergence = kl_estimate(log_probs, tables["reference_log_probs"])
            if kind == "rloo":  # its objective has one number for each reply
                divergence = torch.where(mask, divergence, 0.0).sum(1, keepdim=True)
            penalty = summed_loss(-divergence, mask, kind, self.source.config.reply_tokens)
            total = total + config.beta * penalty
        metrics = self._ratio_metrics(log_ratio.detach(), advantages, mask)
        return Loss(total, micro_batch.count, metrics | self.metrics)

    def _ratio_and_weights(
        self, log_probs: Tensor, micro_batch: GRPOMicroBatch
    ) -> tuple[Tensor, Tensor]:
        """Return log p / p_old and the importance weights; (B, T), or (B, 1) for rloo.

        The weights are min(p_old / p_engine, cap): truncated importance sampling (Ionides 2008).
        """
        tables = micro_batch.tables
        mask = reply_mask(tables)
        sampled = tables["sampled_log_probs"]
        if self.config.old_log_probs == "engine":
            old = sampled
        elif micro_batch.is_first:
            old = log_probs.detach()
        else:
            old = tables["old_log_probs"]
        log_ratio = (log_probs - old) * mask
        gap = (old - sampled) * mask
        if self.config.loss == "rloo":
            log_ratio = log_ratio.sum(1, keepdim=True)
            gap = gap.sum(1, keepdim=True)
        return log_ratio, gap.exp().clamp(max=self.config.importance_cap)

    def _ratio_metrics(
        self, log_ratio: Tensor, advantages: Tensor, mask: Tensor
    ) -> dict[str, float]:
        clipped = is_clipped(log_ratio, advantages, self.config.clip, self.config.clip_high)
        change = (log_ratio.exp() - 1).abs()
        if self.config.loss != "rloo":
            clipped = clipped[mask]
            change = change[mask]
        return {
            "clip_share": float(clipped.float().mean()),
            "ratio_change": float(change.mean()),
        }

    def check_start(self, model: GPT, batch: Batch[GRPOMicroBatch], parent: Path | None) -> float:
        """Check that engine and training agree on the replies; return the first loss."""
        spread = self.metrics["spread_mean"]
        if not spread < SPREAD_BAND:
            raise checks.RunFailed(
                f"step 0: the engine's log-probabilities differ by {spread:.3f} nats from those of "
                "the training forward, but nothing was trained yet. Set loop.precision=float32.",
                check="spread",
            )
        loss = checks.mean_loss(model, self, batch)
        checks.check_finite(loss, "the loss", 0)
        return loss

    def own_numbers(self) -> dict[str, Any]:
        """Return how many batches in a row taught nothing."""
        return {"n_no_signal": self.n_no_signal}

    def load_own_numbers(self, numbers: Mapping[str, Any]) -> None:
        """Continue from what `own_numbers` returned."""
        self.n_no_signal = int(numbers["n_no_signal"])
