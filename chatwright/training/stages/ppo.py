"""Proximal policy optimization: raise the probability of replies that earned more than expected.

One batch of rollouts is sampled and scored, and then used for several updates:

- The reward of a token is -beta log p / p0 (p0: the model before training), and the last token also
  gets the reply's score, scaled by its running mean and deviation. beta follows a target (Ziegler
  et al. 2019, sections 2.2 and 2.3).
- A value head predicts the rewards to come at every token; advantages come from generalized
  advantage estimation (Schulman et al. 2016) and are whitened over the batch.
- The loss of a token is -min(r A, clip(r, 1 - eps, 1 + eps) A) with r = p / p_old (Schulman et al.
  2017, eq. 7), plus value_weight times half the squared, clipped error of the value.

p_old is computed by the training forward when the rollouts are sampled, so r is 1 before the first
update up to rounding. The engine's own log-probabilities differ a little; their spread is logged,
and truncated importance weights correct for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chatwright.model.gpt import GPT
from chatwright.model.heads import ScalarHead
from chatwright.training import checks
from chatwright.training.advantages import explained_variance, gae, whiten
from chatwright.training.alarms import Alarms
from chatwright.training.cross_entropy import IGNORED, next_token_outputs
from chatwright.training.log_probs import TargetLogProbs
from chatwright.training.policy_loss import clipped_objective
from chatwright.training.reward_shaping import KLController, RewardNormalizer
from chatwright.training.rollout_source import RolloutSource, ScoredRollouts
from chatwright.training.rollout_tables import (
    importance_weights,
    measure,
    parts_by_length,
    reply_mask,
    rollout_tables,
    select,
    spread_metrics,
    texts_of,
    without_dropout,
)
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch, Loss, MicroBatch
from chatwright.training.stages.rollout_stage import RolloutStage, kl_per_reply

RATIO_BAND = 0.02
"""Largest mean difference of the ratio from 1 before the first update; bfloat16 needs some."""


@dataclass(frozen=True, kw_only=True)
class PPOUpdateConfig:
    """How one batch of rollouts is used."""

    epochs: int = 2
    """Times that every reply of a batch of rollouts is used."""
    steps_per_epoch: int = 2
    """Optimizer steps in one epoch; each takes an equal share of the replies."""
    rows: int = 16
    """Largest number of replies in one forward pass."""
    clip: float = 0.2
    """Clip range of the probability ratio (epsilon in the paper)."""
    value_clip: float = 0.2
    """Clip range of a value around its old value."""
    value_weight: float = 0.1
    """Weight of the values' loss beside the policy's."""
    gamma: float = 1.0
    """Discount of rewards per token."""
    gae_lambda: float = 0.95
    """0 trusts the values fully, 1 the sampled rewards."""
    normalizes_rewards: bool = True
    """Whether scores are scaled by their running mean and standard deviation."""
    importance_cap: float = 2.0
    """Largest weight that corrects for the engine's rounding."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "update")
        for name in ("epochs", "steps_per_epoch", "rows"):
            require(name, getattr(self, name) >= 1, "must be at least 1")
        for name in ("clip", "value_clip"):
            require(name, getattr(self, name) > 0, "must be above 0")
        for name in ("gamma", "gae_lambda"):
            require(name, 0 <= getattr(self, name) <= 1, "must be from 0 to 1")
        require("value_weight", self.value_weight >= 0, "must be at least 0")
        require("importance_cap", self.importance_cap >= 1, "must be at least 1")


class Critic:
    """Estimate the rewards to come at every token of a reply."""

    def __init__(self, head: ScalarHead, model: GPT | None = None) -> None:
        """Use a head on the trained model, or on a `model` of its own that trains beside it."""
        self.head = head
        self.model = None if model is None else model.eval()  # no dropout, as in the policy

    def own_weights(self) -> dict[str, nn.Parameter]:
        """Return the head's weights, and those of a separate model."""
        weights = {f"value_head.{name}": p for name, p in self.head.named_parameters()}
        if self.model is not None:
            named = self.model.named_parameters()
            weights |= {f"value_model.{n}": p for n, p in named if p.requires_grad}
        return weights

    def values(self, features: Tensor, texts: MicroBatch, dtype: torch.dtype) -> Tensor:
        """Return the value before every target, (N,) in float32.

        features (N, D) are the last hidden states of the trained model at the targets.
        """
        if self.model is not None:
            hidden = self.model.hidden_states(texts.token_ids, dtype=dtype)
            features = hidden[texts.targets != IGNORED]
        values: Tensor = self.head(features.float())
        return values


def new_value_head(d_model: int, device: torch.device) -> ScalarHead:
    """Return a value head that predicts 0 everywhere."""
    head = ScalarHead(d_model).to(device)
    nn.init.zeros_(head.score.weight)
    return head


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Return half the larger squared error of a value and of its clipped version, per token.

    The clipped value moved at most `clip` from the old one (baselines' ppo2; the factor one half as
    in the paper's L^VF of eq. 9 times c_1 = 1/2).
    """
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square())


def token_rewards(tables: Mapping[str, Tensor], scores: Sequence[float], weight: float) -> Tensor:
    """Return the reward of every token: -weight log p / p0, plus the score at the last token.

    (N, T) from the tables old_log_probs and reference_log_probs (Ziegler et al. 2019, eq. 2).
    """
    mask = reply_mask(tables)
    rewards = -weight * (tables["old_log_probs"] - tables["reference_log_probs"])
    last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1)
    rows = torch.arange(len(mask), device=mask.device)
    rewards[rows, last] += torch.tensor(scores, dtype=rewards.dtype, device=mask.device)
    return torch.where(mask, rewards, 0.0)


class PPO(RolloutStage[dict[str, Tensor]]):
    """Learn from the rewards of the model's own replies, with a value head as baseline.

    A micro-batch is a set of tables (`rollout_tables`).
    """

    name = "ppo"

    def __init__(
        self,
        source: RolloutSource,
        reference: GPT,
        critic: Critic,
        config: PPOUpdateConfig,
        kl: KLController,
        alarms: Alarms,
        dtype: torch.dtype,
        seed: int,
    ) -> None:
        """Set up the stage.

        Args:
            source: Samples and scores replies.
            reference: The model before training, frozen.
            critic: Predicts rewards.
            config: How rollouts are used.
            kl: Weight of the divergence from the reference.
            alarms: Stop a run that exploits its reward.
            dtype: Number format of the forward pass.
            seed: Seed of the order of updates.
        """
        super().__init__(source, reference, config, alarms, dtype, seed)
        self.critic = critic
        self.config = config
        self.kl = kl
        self.normalizer = RewardNormalizer()

    def next_batch(self, model: GPT) -> Batch[dict[str, Tensor]]:
        """Return the replies of the next update; sample new ones when all updates are done."""
        update = self.position
        if update == 0:
            self._collect(model)
        rows = self.rows_of(update)
        parts = list(parts_by_length(self.tables, rows, self.config.rows))
        batch = [select(self.tables, part) for part in parts]
        self.n_update += 1
        return Batch(batch, sum(int(reply_mask(tables).sum()) for tables in batch))

    def _collect(self, model: GPT) -> None:
        """Sample and score replies, and measure everything that the updates need."""
        rollouts = self.source.next_rollouts(model)
        config = self.config
        pad = self.source.tokenizer.control.pad
        tables = rollout_tables(rollouts.rollouts, pad, model.device)
        with without_dropout(model):
            function = partial(self._measured, model)
            tables["old_log_probs"], tables["values"] = measure(tables, config.rows, function, 2)
        tables["reference_log_probs"] = self.log_probs(self.reference, tables)
        mask = reply_mask(tables)
        kl = kl_per_reply(tables["old_log_probs"], tables["reference_log_probs"], tables)
        rewards = token_rewards(tables, self._scores(rollouts), self.kl.weight)
        advantages, tables["returns"] = gae(
            rewards, tables["values"], mask, config.gamma, config.gae_lambda
        )
        tables["advantages"] = whiten(advantages, mask)
        tables["importance"] = importance_weights(
            tables, tables["old_log_probs"], config.importance_cap
        )
        metrics = {
            **rollouts.metrics(),
            "kl": kl,
            "kl_weight": self.kl.weight,
            "explained_variance": explained_variance(tables["values"], tables["returns"], mask),
            **spread_metrics(tables, tables["old_log_probs"]),
        }
        self.metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.kl.update(kl)
        self.tables = tables
        self.alarms.check(self.n_update, rollouts.figures(kl))

    def _scores(self, rollouts: ScoredRollouts) -> list[float]:
        scores = rollouts.rewards.total
        if not self.config.normalizes_rewards:
            return scores
        self.normalizer.add(scores)
        return self.normalizer.normalized(scores)

    def _measured(self, model: GPT, texts: MicroBatch) -> list[Tensor]:
        """Return log-probabilities and values of the targets, (B, T) each."""
        mask = texts.targets != IGNORED
        flat = self._log_probs_and_values(model, texts)
        return [
            torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, f.float())
            for f in flat
        ]

    def _log_probs_and_values(self, model: GPT, texts: MicroBatch) -> tuple[Tensor, Tensor]:
        """Return log-probability and value of every target, (N,) each, from one forward pass."""
        outputs = next_token_outputs(model, texts, self.dtype)
        bias = None if outputs.bias is None else outputs.bias.to(outputs.features.dtype)
        weight = outputs.weight.to(outputs.features.dtype)
        log_probs = TargetLogProbs.apply(outputs.features, weight, bias, outputs.targets)
        return log_probs, self.critic.values(outputs.features, texts, self.dtype)

    def loss(self, model: GPT, micro_batch: dict[str, Tensor]) -> Loss:
        """Return the summed loss of the tokens, with the figures of the rollouts as metrics."""
        config = self.config
        with without_dropout(model):
            log_probs, values = self._log_probs_and_values(model, texts_of(micro_batch))
        mask = reply_mask(micro_batch)
        old, advantages, old_values, returns, importance = (
            micro_batch[name][mask]
            for name in ("old_log_probs", "advantages", "values", "returns", "importance")
        )
        objective = clipped_objective(log_probs - old, advantages, config.clip, config.clip)
        policy = -objective * importance
        value = clipped_value_loss(values, old_values, returns, config.value_clip)
        total = policy.sum() + config.value_weight * value.sum()
        ratio = (log_probs.detach() - old).exp()
        metrics = {
            "policy_loss": float(policy.detach().mean()),
            "value_loss": float(value.detach().mean()),
            "clip_share": float(((ratio - 1).abs() > config.clip).float().mean()),
            "ratio_change": float((ratio - 1).abs().mean()),
        }
        return Loss(total, len(old), metrics | self.metrics)

    def check_start(
        self, model: GPT, batch: Batch[dict[str, Tensor]], parent: Path | None
    ) -> float:
        """Check that all probability ratios are 1 before the first update; return the loss."""
        with torch.no_grad():
            losses = [self.loss(model, micro) for micro in batch.micro_batches]
        change = sum(loss.metrics["ratio_change"] * loss.count for loss in losses) / batch.count
        if not change < RATIO_BAND:
            raise checks.RunFailed(
                f"step 0: the probabilities of the replies differ by {change:.1%} from those when "
                "they were sampled, but nothing was trained yet. Set loop.precision=float32.",
                check="ratio",
            )
        total = sum(float(loss.sum) for loss in losses) / batch.count
        checks.check_finite(total, "the loss", 0)
        return total

    def own_weights(self) -> dict[str, nn.Parameter]:
        """Return the critic's weights."""
        return self.critic.own_weights()

    def own_numbers(self) -> dict[str, Any]:
        """Return the scale of rewards and the weight of the KL divergence."""
        return {"normalizer": self.normalizer.state(), "kl": self.kl.state()}

    def load_own_numbers(self, numbers: Mapping[str, Any]) -> None:
        """Continue from what `own_numbers` returned."""
        self.normalizer.load_state(numbers["normalizer"])
        self.kl.load_state(numbers["kl"])
