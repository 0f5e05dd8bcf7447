"""The win rate of a model in training over the model it started from, on held-out prompts.

    measure = HeldOutWinRate(parent, tokenizer, prompts, judge, run / "held_out.jsonl")
    measure(model) -> 0.62

A reward that rises while this win rate falls is being hacked (`training/alarms.py`). The replies of
the start are sampled once and kept in a file, so a resumed run compares with the same replies.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from chatwright.data.rows import PromptRow
from chatwright.evaluation.judges import Judge
from chatwright.evaluation.win_rate import WinRate, win_rate
from chatwright.model.gpt import GPT
from chatwright.pipeline.comparison.figures import judge_replies
from chatwright.pipeline.comparison.kept_results import KeptResults
from chatwright.pipeline.comparison.samples import (
    Replies,
    SampleConfig,
    sample_replies,
    sample_with,
)
from chatwright.tokenizer.tokenizer import Tokenizer

HELD_OUT = SampleConfig(samples=1, max_tokens=100)


class HeldOutWinRate:
    """Compares a model in training with the model it started from."""

    def __init__(
        self,
        parent: Path,
        tokenizer: Tokenizer,
        prompts: Sequence[PromptRow],
        judge: Judge,
        file: Path,
        config: SampleConfig = HELD_OUT,
    ) -> None:
        """Set up the comparison.

        Args:
            parent: Directory of the model that the training started from.
            tokenizer: The tokenizer of both models.
            prompts: Prompts that are not trained on.
            judge: A judge that shares no rule and no model with the reward.
            file: Where the replies of the start are kept.
            config: How replies are sampled.
        """
        self.parent = parent
        self.tokenizer = tokenizer
        self.prompts = prompts
        self.judge = judge
        self.file = file
        self.config = config

    @cached_property
    def before(self) -> Replies:
        """The replies of the model before training."""
        return sample_replies(self.parent, self.prompts, self.config, KeptResults(self.file))

    def measure(self, model: GPT) -> WinRate:
        """Return the win rate over the start, with its interval."""
        after = sample_with(model, self.tokenizer, self.prompts, self.config)
        outcomes = judge_replies(self.judge, self.prompts, self.before, after)
        return win_rate([[x for x in row if x is not None] for row in outcomes])

    def __call__(self, model: GPT) -> float:
        """Return the win rate over the start."""
        return self.measure(model).value
