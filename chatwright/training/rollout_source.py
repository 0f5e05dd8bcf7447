"""Sampled and scored replies for the stages of reinforcement learning.

One engine serves the whole run. It opens at the first use, when the model is on its device, and is
refreshed with the model's weights before each batch.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.data.encoded.prompts import EncodedPrompts
from chatwright.model.gpt import GPT
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.training.batches.prompts import PromptBatches
from chatwright.training.reward_sources import Rewards, RewardScores
from chatwright.training.rollout_figures import RolloutFigures, rollout_figures
from chatwright.training.rollouts import Rollout, RolloutConfig, RolloutEngine

EVALUATION = -1
"""Number of the batch that is evaluated: its replies have the same seeds at every evaluation."""
N_SAMPLE_SHOWN = 4


@dataclass(frozen=True)
class ScoredRollouts:
    """Replies to several prompts, and their rewards."""

    groups: list[list[Rollout]]
    """For each prompt, its replies."""
    rewards: RewardScores
    """One reward for each reply, prompt by prompt."""
    seconds: dict[str, float]
    """Time of generation and of scoring."""

    @property
    def rollouts(self) -> list[Rollout]:
        """All replies, prompt by prompt."""
        return [rollout for group in self.groups for rollout in group]

    def metrics(self) -> dict[str, float]:
        """Return the mean rewards, the figures of the replies, and the seconds."""
        figures = rollout_figures(self.groups)
        by_source = self.rewards.by_source
        metrics = {
            **mean_and_std("reward", self.rewards.total),
            **{f"reward_{name}": math.fsum(s) / len(s) for name, s in by_source.items()},
            "reply_tokens": figures.length,
            "stop_rate": figures.stop_rate,
            "entropy": figures.entropy,
            "repetition": figures.repetition,
            "distinct": figures.distinct,
            **{f"{name}_seconds": round(value, 3) for name, value in self.seconds.items()},
        }
        return {name: value for name, value in metrics.items() if not math.isnan(value)}

    def figures(self, kl: float) -> RolloutFigures:
        """Return the figures for the alarms; `kl` is the divergence in nats per reply."""
        rewards = self.rewards.total
        return rollout_figures(self.groups, kl, math.fsum(rewards) / len(rewards))


class RolloutSource:
    """Samples replies to the prompts of a run and scores them."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        batches: PromptBatches,
        validation: EncodedPrompts,
        rewards: Rewards,
        config: RolloutConfig,
        seed: int,
        held_out: Rewards | None = None,
    ) -> None:
        """Set up the source.

        Args:
            tokenizer: The model's tokenizer, with a chat format.
            batches: Prompts for training.
            validation: Prompts for evaluations.
            rewards: Scores the replies.
            config: How replies are sampled.
            seed: Seed of the run.
            held_out: A score that is not trained on, measured at evaluations.
        """
        self.tokenizer = tokenizer
        self.batches = batches
        self.validation = validation
        self.rewards = rewards
        self.config = config
        self.seed = seed
        self.held_out = held_out
        self._engine: RolloutEngine | None = None
        self.evaluated: list[Rollout] = []
        """The replies of the last evaluation, one to each validation prompt."""
        self._shown: list[tuple[str, str]] = []

    def next_rollouts(self, model: GPT) -> ScoredRollouts:
        """Sample and score replies of the model to the next prompts."""
        number = self.batches.n_taken
        indices = self.batches.next_indices()
        return self._sample(model, self.batches.prompts, indices, self.config.samples, number)

    def evaluate(self, model: GPT) -> dict[str, float]:
        """Sample one reply to each validation prompt and return their figures.

        `held_out_score` and its standard error are among them if there is such a score.
        """
        prompts = self.validation
        scored = self._sample(model, prompts, range(len(prompts)), 1, EVALUATION)
        rewards = scored.rewards
        figures = scored.figures(math.nan)
        mean, error = mean_and_error(rewards.total)
        result = {
            "validation_reward": mean,
            "validation_reward_low": mean - 1.96 * error,
            "validation_reward_high": mean + 1.96 * error,
            "validation_reply_tokens": figures.length,
            "validation_stop_rate": figures.stop_rate,
        }
        for name, scores in rewards.by_source.items():
            result[f"validation_reward_{name}"] = mean_and_error(scores)[0]
        if self.held_out is not None:
            scores = self.held_out.scores(prompts.rows, scored.rollouts).total
            result["held_out_score"], result["held_out_error"] = mean_and_error(scores)
        self._keep_samples(prompts, scored.rollouts)
        self.evaluated = scored.rollouts
        return result

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the prompts, and the hashes of models that score."""
        held_out = {} if self.held_out is None else self.held_out.describe()
        return {
            "train": self.batches.describe(),
            "validation": self.validation.describe(),
            "rewards": self.rewards.describe(),
            "held_out": held_out,
        }

    def samples(self) -> list[tuple[str, str]]:
        """Return (prompt, reply) pairs of the last evaluation."""
        return self._shown

    def _keep_samples(self, prompts: EncodedPrompts, rollouts: Sequence[Rollout]) -> None:
        pairs = list(zip(prompts.rows, rollouts, strict=True))[:N_SAMPLE_SHOWN]
        self._shown = [
            (message_text(row.messages[-1]), message_text(rollout.message(self.tokenizer)))
            for row, rollout in pairs
        ]

    def _sample(
        self, model: GPT, prompts: EncodedPrompts, indices: Sequence[int], n: int, batch: int
    ) -> ScoredRollouts:
        began = time.perf_counter()
        if self._engine is None:
            ids = [*self.batches.prompts.token_ids, *self.validation.token_ids]
            longest = max(map(len, ids))
            self._engine = RolloutEngine(model, self.tokenizer, self.config, longest)
        self._engine.refresh()
        ids = [prompts.token_ids[index] for index in indices]
        groups = self._engine.sample(ids, n, self.seed, batch)
        sampled = time.perf_counter()
        rows = [prompts.rows[index] for index in indices for _ in range(n)]
        rewards = self.rewards.scores(rows, [r for group in groups for r in group])
        seconds = {"generation": sampled - began, "scoring": time.perf_counter() - sampled}
        return ScoredRollouts(groups, rewards, seconds)


def mean_and_std(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return the mean as `name` and the standard deviation as `name`_std."""
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    return {name: mean, f"{name}_std": math.sqrt(variance)}


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error, for independent values."""
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / max(n - 1, 1)
    return mean, math.sqrt(variance / n)
