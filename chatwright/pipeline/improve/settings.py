"""Settings of `chatwright improve`."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from chatwright.evaluation.feedback_quality.quality import FeedbackQualityConfig
from chatwright.pipeline.comparison.samples import SampleConfig
from chatwright.pipeline.data_sources import DataSources
from chatwright.pipeline.improve.promotion import PromotionConfig
from chatwright.training.setting_checks import require_setting


@dataclass(frozen=True, kw_only=True)
class ImproveConfig:
    """What is trained, and how the result is compared with the model before."""

    method: str = "auto"
    """How the model learns: dpo, kto, ppo, grpo, or auto; `--explain` prints the rule of auto."""
    any_weights: bool = False
    """Whether feedback on replies of models that are not versions of this one is used."""
    judging_share: float = 0.3
    """Share of the feedback kept for the comparison, if that is given no prompts or no judge."""
    practice: DataSources = ""
    """Prompts that ppo and grpo answer while they learn; by default those of the feedback."""
    prompts: str = ""
    """Held-out prompts for the comparison; by default those of the judging share."""
    rules: str = ""
    """Rules that judge, with commas between; "starter" for the starter corpus."""
    reward_model: str = ""
    """Directory of a reward model that judges; by default one trained on the judging share."""
    votes: str = ""
    """Snapshot of people's rankings of both models' replies, which judge."""
    texts: str = ""
    """Texts on which bits per byte are compared; "" measures none."""
    skills: int = 0
    """Test questions of each skill of the starter's exam; 0 measures no skills."""
    adapter: Literal["auto", "always", "never"] = "auto"
    """Whether an adapter (LoRA) is trained; auto: with fewer than 500 pairs or thumbs."""
    quality: FeedbackQualityConfig = field(default_factory=FeedbackQualityConfig)
    samples: SampleConfig = field(default_factory=SampleConfig)
    promotion: PromotionConfig = field(default_factory=PromotionConfig)
    stages: dict[str, Any] = field(default_factory=dict)
    """Settings of the stages by kind, such as dpo.loop.steps."""

    @property
    def names_judge(self) -> bool:
        """Whether the user named a judge of the comparison."""
        return bool(self.rules or self.reward_model or self.votes)

    def __post_init__(self) -> None:
        share = self.judging_share
        require = partial(require_setting, self, "improve")
        require("judging_share", 0 < share < 1, "must be above 0 and below 1")
