"""Alarms of reinforcement learning: stop a run that exploits its reward or collapses.

Each alarm compares a figure of the sampled replies with a limit, usually relative to the first
steps of the run. It fails the run after `steps` consecutive steps beyond the limit, so that one
unlucky batch does not. The checkpoints that were saved before stay.

    kl          the model is far from the reference, and still moving away
    negative_kl the estimate is negative: the replies are not samples of the trained model
    entropy     the model has become certain of every token; nothing new is tried
    short       replies of a token or two; losses per token explode on them
    long        replies grow: the reward may favor length
    repetition  replies repeat their own words
    distinct    all prompts get the same reply
    stop_rate   replies run into their limit instead of ending
    held_out    the reward rises, but a score that is not trained on falls
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from chatwright.training.checks import RunFailed
from chatwright.training.rollout_figures import RolloutFigures
from chatwright.training.setting_checks import require_setting


@dataclass(frozen=True, kw_only=True)
class AlarmConfig:
    """Limits of the alarms. A limit of 0 switches its alarm off."""

    is_on: bool = True
    """Whether the alarms can stop the run."""
    batches: int = 4
    """Consecutive batches of rollouts beyond a limit that stop the run."""
    start_batches: int = 3
    """First batches of rollouts; their means are the start that later ones are compared with."""
    kl: float = 60.0
    """Largest KL divergence from the reference, in nats per reply."""
    negative_kl: float = 1.0
    """Largest amount in nats per reply by which the estimated KL divergence may be negative."""
    entropy: float = 0.003
    """Smallest entropy of a token in nats; it must also be under a tenth of the start's."""
    short: float = 3.0
    """Smallest mean length of replies in tokens, or half the start's if that is less."""
    long: float = 2.0
    """Largest mean length of replies, as a multiple of the start's."""
    repetition: float = 0.2
    """Largest rise of the share of repeated n-grams over the start's."""
    distinct: float = 0.3
    """Smallest share of different n-grams over prompts, as a fraction of the start's."""
    stop_rate: float = 0.5
    """Smallest share of replies that end themselves, as a fraction of the start's."""
    held_out: float = 0.05
    """Largest fall of the held-out score from its best while the reward rises."""
    held_out_evaluations: int = 2
    """Consecutive evaluations with such a fall that stop the run."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "alarms")
        for name in ("batches", "start_batches", "held_out_evaluations"):
            require(name, getattr(self, name) >= 1, "must be at least 1")
        for name in ADVICE:
            value = getattr(self, name)
            require(name, math.isfinite(value) and value >= 0, "must be at least 0; 0: no alarm")


LOWER_REWARD = "Look at the samples in metrics.jsonl; the reward may favor such replies. Change it"
ADVICE = {
    "kl": "Lower the learning rate, or raise the weight of the KL divergence.",
    "negative_kl": "The replies' log-probabilities do not fit the trained weights. Lower the "
    "learning rate and the number of updates per rollout.",
    "entropy": "Lower the learning rate, raise the sampling temperature or take fewer steps.",
    "short": f"{LOWER_REWARD}, or add a reward for content.",
    "long": f"{LOWER_REWARD}, or subtract a penalty for length.",
    "repetition": f"{LOWER_REWARD}, or use a KL penalty.",
    "distinct": f"{LOWER_REWARD}, lower the learning rate, or use a KL penalty.",
    "stop_rate": f"{LOWER_REWARD}, raise the largest reply length, or add the rule stops.",
    "held_out": "The reward no longer measures what you want. Improve it with new feedback, or "
    "use the weights before the fall.",
}


@dataclass(frozen=True)
class Breach:
    """A figure beyond its limit."""

    figure: str
    value: float
    limit: float


@dataclass
class AlarmState:
    """What the alarms remember between steps; JSON values only."""

    start_sums: dict[str, float] = field(default_factory=dict)
    """Sums of the figures of the first steps."""
    n_start: int = 0
    """Number of first steps in the sums."""
    since: dict[str, int] = field(default_factory=dict)
    """Step at which each figure went beyond its limit, while it stays there."""
    streak: dict[str, int] = field(default_factory=dict)
    """Consecutive steps of each figure beyond its limit."""
    last_kl: list[float] = field(default_factory=list)
    """KL divergences of the last steps."""
    held_out: list[list[float]] = field(default_factory=list)
    """(step, reward, score) of every evaluation."""


class Alarms:
    """Watch the figures of a run's rollouts."""

    def __init__(self, config: AlarmConfig = AlarmConfig()) -> None:
        """Begin without memory; `load_state` continues that of an earlier run."""
        self.config = config
        self.memory = AlarmState()

    def check(self, step: int, figures: RolloutFigures) -> None:
        """Compare the figures of a new batch of rollouts with the limits.

        Args:
            step: The optimizer step for which the replies were sampled.
            figures: What is measured of the replies.

        Raises:
            RunFailed: A figure is beyond its limit for too many batches; `check` names the alarm.
        """
        if not self.config.is_on:
            return
        memory = self.memory
        is_start = memory.n_start < self.config.start_batches
        if is_start:
            _add(memory.start_sums, figures)
            memory.n_start += 1
        start = {name: total / memory.n_start for name, total in memory.start_sums.items()}
        memory.last_kl = [*memory.last_kl, figures.kl][-self.config.batches :]
        for alarm, breach in _breaches(self.config, figures, start, memory.last_kl).items():
            if self._watches(alarm):
                self._count(alarm, step, breach, self.config.batches, "batches of rollouts")

    def _watches(self, alarm: str) -> bool:
        return self.config.is_on and getattr(self.config, alarm) > 0

    def check_held_out(
        self, step: int, reward: float, score: float, standard_error: float = 0.0
    ) -> None:
        """Compare reward and held-out score of an evaluation with those of earlier ones.

        Args:
            step: The step of the evaluation.
            reward: Mean of the reward that is trained on; higher is better.
            score: Mean of a score that is not trained on; higher is better.
            standard_error: Of the score; a fall below twice this value is not counted.

        Raises:
            RunFailed: The score fell from its best while the reward rose.
        """
        if not self._watches("held_out"):
            return
        history = self.memory.held_out
        if history and history[-1][0] == step:  # a resumed run repeats its last evaluation
            return
        breach = None
        if history:
            _, best_reward, best = max(history, key=lambda entry: entry[2])
            limit = best - max(self.config.held_out, 2 * standard_error)
            if score < limit and reward > best_reward:
                breach = Breach("held-out score", score, limit)
        history.append([step, reward, score])
        n = self.config.held_out_evaluations
        self._count("held_out", step, breach, n, "evaluations")

    def _count(self, alarm: str, step: int, breach: Breach | None, limit: int, unit: str) -> None:
        memory = self.memory
        if breach is None:
            memory.streak.pop(alarm, None)
            memory.since.pop(alarm, None)
            return
        memory.streak[alarm] = memory.streak.get(alarm, 0) + 1
        since = memory.since.setdefault(alarm, step)
        if memory.streak[alarm] >= limit:
            raise RunFailed(
                f"step {step}, alarm {alarm}: the {breach.figure} is {breach.value:.4g}, beyond "
                f"the limit of {breach.limit:.4g} in {limit} {unit}, since step {since}. "
                f"{ADVICE[alarm]} Checkpoints saved before step {since} hold the weights before "
                f"it. alarms.{alarm}=0 switches this alarm off.",
                check=alarm,
            )

    def state(self) -> dict[str, Any]:
        """Return the memory as JSON values."""
        return asdict(self.memory)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state` returned."""
        self.memory = AlarmState(**deepcopy(dict(state)))


def _add(sums: dict[str, float], figures: RolloutFigures) -> None:
    for name, value in vars(figures).items():
        sums[name] = sums.get(name, 0.0) + value


def _breaches(
    config: AlarmConfig, figures: RolloutFigures, start: Mapping[str, float], kls: list[float]
) -> dict[str, Breach | None]:
    """Return each alarm's breach, or None.

    Args:
        config: The limits.
        figures: Figures of the step.
        start: Means of the figures over the first steps.
        kls: KL divergences of the last steps, the oldest first.
    """
    kl = "KL divergence per reply"
    length = "mean length of replies in tokens"
    # A KL divergence that falls back toward its limit does no harm.
    kl_limit = config.kl if figures.kl >= kls[0] else math.inf
    least_entropy = min(config.entropy, 0.1 * start["entropy"])
    least_length = min(config.short, 0.5 * start["length"])
    # An empty reply at the start would make every later one "longer": one token is the least.
    most_length = config.long * max(start["length"], 1.0)
    repetition = start["repetition"] + config.repetition
    distinct = config.distinct * start["distinct"]
    stop_rate = config.stop_rate * start["stop_rate"]
    return {
        "kl": _above(kl, figures.kl, kl_limit),
        "negative_kl": _below(kl, figures.kl, -config.negative_kl),
        "entropy": _below("entropy per token", figures.entropy, least_entropy),
        "short": _below(length, figures.length, least_length),
        "long": _above(length, figures.length, most_length),
        "repetition": _above("share of repeated n-grams", figures.repetition, repetition),
        "distinct": _below("share of different n-grams", figures.distinct, distinct),
        "stop_rate": _below("share of replies that stop", figures.stop_rate, stop_rate),
    }


def _above(figure: str, value: float, limit: float) -> Breach | None:
    """Return a breach if the value is above its limit; nan, a figure not measured, is none."""
    return Breach(figure, value, limit) if value > limit else None


def _below(figure: str, value: float, limit: float) -> Breach | None:
    return Breach(figure, value, limit) if value < limit else None
