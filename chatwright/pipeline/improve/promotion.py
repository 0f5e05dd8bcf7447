"""The rule by which an improved model is promoted or refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chatwright.evaluation.win_rate import EVEN, WinRate
from chatwright.pipeline.comparison.result import MIN_PROMPTS, Comparison
from chatwright.training.setting_checks import require_setting


@dataclass(frozen=True, kw_only=True)
class PromotionConfig:
    """What a model must reach to be promoted."""

    win_rate: float = EVEN
    """The lower bound of the win rate's 95 % interval must be above this."""
    skill_fall: float = 0.02
    """A skill may fall by at most this share of its questions; a larger fall must be shown."""
    bits_per_byte_rise: float = 0.02
    """Bits per byte may rise by at most this share."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "promotion")
        require("win_rate", 0 <= self.win_rate < 1, "must be at least 0 and below 1")
        require("skill_fall", 0 <= self.skill_fall < 1, "must be at least 0 and below 1")
        require("bits_per_byte_rise", self.bits_per_byte_rise >= 0, "must be at least 0")


@dataclass(frozen=True)
class Decision:
    """Whether the model is promoted, why, and the metrics behind it."""

    is_promoted: bool
    reason: str
    metrics: Mapping[str, Any] = field(default_factory=dict)


def decide(
    comparison: Comparison, config: PromotionConfig, judge: WinRate | None = None
) -> Decision:
    """Apply the rule: better replies, no worse skill, and texts predicted as well as before.

    Args:
        comparison: The trained model against the one before.
        config: The limits.
        judge: The accuracy of the reward model that judged, which is kept with the metrics.
    """
    refusals = [
        *_win_rate_refusals(comparison, config),
        *_skill_refusals(comparison, config),
        *_text_refusals(comparison, config),
    ]
    metrics = decision_metrics(comparison)
    if judge is not None:
        metrics["judge_accuracy"] = judge.value
        metrics["judge_accuracy_low"] = judge.low
        metrics["judge_accuracy_high"] = judge.high
    rate = comparison.win_rate
    shown = f"win rate {rate.value:.1%}, 95 % interval {rate.low:.1%} to {rate.high:.1%}"
    if refusals:
        return Decision(False, f"{'; '.join(refusals)} ({shown})", metrics)
    measured = ["its replies win"]
    if comparison.skills:
        measured.append("no skill fell too far")
    if comparison.bits_per_byte:
        measured.append("its bits per byte are within the limit")
    return Decision(True, f"{', '.join(measured)} ({shown})", metrics)


def _win_rate_refusals(comparison: Comparison, config: PromotionConfig) -> list[str]:
    rate = comparison.win_rate
    if rate.n_prompt < MIN_PROMPTS:
        return [f"only {rate.n_prompt} prompts were judged, and {MIN_PROMPTS} are needed"]
    if rate.low <= config.win_rate:
        return [f"the win rate is not shown to be above {config.win_rate:.0%}"]
    return []


def _skill_refusals(comparison: Comparison, config: PromotionConfig) -> list[str]:
    """Name each skill that fell too far.

    The fall alone is no reason: of 50 questions, one is 2 points. McNemar's test must show it too.
    """
    return [
        f"the skill {name} fell by {-100 * scores.difference:.1f} points (p = "
        f"{scores.p_value:.3f}), and at most {100 * config.skill_fall:.1f} are allowed"
        for name, scores in comparison.skills.items()
        if scores.is_worse and -scores.difference > config.skill_fall
    ]


def _text_refusals(comparison: Comparison, config: PromotionConfig) -> list[str]:
    bits = comparison.bits_per_byte
    if not bits or bits.change.value <= config.bits_per_byte_rise:
        return []
    return [
        f"bits per byte rose by {bits.change.value:.1%}, and at most "
        f"{config.bits_per_byte_rise:.1%} are allowed"
    ]


def decision_metrics(comparison: Comparison) -> dict[str, Any]:
    """Return the metrics that the registry keeps, each interval with its bounds."""
    rate, lengths = comparison.win_rate, comparison.lengths
    metrics: dict[str, Any] = {
        "win_rate": rate.value,
        "win_rate_low": rate.low,
        "win_rate_high": rate.high,
        "tie_rate": rate.tie_rate,
        "prompts": rate.n_prompt,
        "comparisons": rate.n_comparison,
        "tokens_before": lengths[0].tokens,
        "tokens_after": lengths[1].tokens,
        "judge": comparison.judge,
    }
    if comparison.length_controlled is not None:
        metrics["length_controlled"] = comparison.length_controlled.value
    if comparison.correctness is not None:
        metrics["correctness"] = comparison.correctness.value
        metrics["correctness_low"] = comparison.correctness.low
        metrics["correctness_high"] = comparison.correctness.high
    if comparison.skills:
        metrics["skills"] = {
            name: {"before": scores.before, "after": scores.after, "p_value": scores.p_value}
            for name, scores in comparison.skills.items()
        }
    if comparison.bits_per_byte:
        bits = comparison.bits_per_byte
        metrics["bits_per_byte_before"] = bits.before
        metrics["bits_per_byte_after"] = bits.after
    return metrics
