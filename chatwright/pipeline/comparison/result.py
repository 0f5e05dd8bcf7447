"""The result of a comparison: how the candidate does against the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from chatwright.data.rows import PromptRow
from chatwright.evaluation.judges import Outcome
from chatwright.evaluation.length_control import LengthControlled
from chatwright.evaluation.paired import PairedScores
from chatwright.evaluation.win_rate import EVEN, WinRate
from chatwright.pipeline.comparison.capabilities import BitsPerByte
from chatwright.pipeline.comparison.samples import Replies, SampleConfig

MIN_PROMPTS = 30
"""With fewer prompts the bootstrap interval covers less than 95 %, so nothing is decided."""
Verdict = Literal["better", "worse", "no difference shown"]
RULE = (
    f"the candidate is better if the 95 % interval of its win rate is above 50 %, on at least "
    f"{MIN_PROMPTS} prompts; worse if the interval is below 50 %."
)


@dataclass(frozen=True)
class Lengths:
    """Mean length of a model's replies."""

    tokens: float
    characters: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the candidate, such as a trained model, does against the baseline."""

    baseline: str
    """Directory of the model compared with, for example before training."""
    candidate: str
    judge: str
    win_rate: WinRate
    length_controlled: LengthControlled | None
    """None: nearly all replies of one model are the longer ones."""
    by_kind: dict[str, WinRate]
    without_rule: dict[str, WinRate]
    """The win rate without each single rule of the judge."""
    correctness: WinRate | None
    """The win rate by correctness alone, if the judge has such a rule."""
    lengths: tuple[Lengths, Lengths]
    n_equal: int
    """Comparisons of equal replies, which are ties."""
    n_unjudged: int
    """Comparisons that were not judged, which do not count."""
    n_overlap: int
    """Prompts that were left out because they are in the training data."""
    overlap_checked: bool
    """Whether training data were given to look for the prompts."""
    n_too_long: int
    """Prompts that were left out because one of the models cannot read them."""
    judge_counts: dict[str, int]
    skills: dict[str, PairedScores]
    bits_per_byte: BitsPerByte | None
    prompts: tuple[PromptRow, ...] = field(repr=False)
    replies: tuple[Replies, Replies] = field(repr=False)
    outcomes: list[list[Outcome]] = field(repr=False)
    """Of each prompt's comparisons: 1 where the candidate wins, 0.5 tie, 0 where it loses, None."""

    @property
    def verdict(self) -> Verdict:
        """Whether the interval of the win rate excludes 50 %, on enough prompts."""
        if self.win_rate.n_prompt >= MIN_PROMPTS:
            if self.win_rate.low > EVEN:
                return "better"
            if self.win_rate.high < EVEN:
                return "worse"
        return "no difference shown"


def to_json(
    comparison: Comparison, weights: Sequence[str], sampling: SampleConfig
) -> dict[str, Any]:
    """Return a comparison as JSON, without conversation text."""
    c = comparison
    controlled = c.length_controlled
    bits = c.bits_per_byte
    return {
        "baseline": {"directory": c.baseline, "weights": weights[0], **asdict(c.lengths[0])},
        "candidate": {"directory": c.candidate, "weights": weights[1], **asdict(c.lengths[1])},
        "judge": c.judge,
        "verdict": c.verdict,
        **c.win_rate.as_metrics(),
        "length_controlled": None if controlled is None else asdict(controlled),
        "correctness": None if c.correctness is None else c.correctness.as_metrics(),
        "by_kind": _as_metrics(c.by_kind),
        "without_rule": _as_metrics(c.without_rule),
        "equal_replies": c.n_equal,
        "unjudged": c.n_unjudged,
        "too_long_prompts": c.n_too_long,
        "overlapping_prompts": c.n_overlap if c.overlap_checked else None,
        "judge_counts": c.judge_counts,
        "skills": {name: _skill(scores) for name, scores in c.skills.items()},
        "bits_per_byte": None if bits is None else asdict(bits),
        "sampling": {field.name: getattr(sampling, field.name) for field in fields(SampleConfig)},
        "outcomes": c.outcomes,
    }


def _as_metrics(rates: Mapping[str, WinRate]) -> dict[str, Any]:
    return {name: rate.as_metrics() for name, rate in rates.items()}


def _skill(scores: PairedScores) -> dict[str, Any]:
    low, high = scores.interval
    return {
        "before": scores.before,
        "after": scores.after,
        "difference": scores.difference,
        "difference_low": low,
        "difference_high": high,
        "p_value": scores.p_value,
        "items": scores.n,
    }
