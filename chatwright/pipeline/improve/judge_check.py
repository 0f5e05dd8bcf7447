"""Check that the judge of an improvement orders replies as people do, on feedback new to it."""

from collections.abc import Sequence
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.data.encoded.rankings import encode_rankings
from chatwright.data.preferences import Feedback, Ranking, feedback_row
from chatwright.data.rows import RankedRow
from chatwright.engine.reward_forward import RewardForward
from chatwright.errors import InputError
from chatwright.evaluation.ranked_pairs import ranked_pairs
from chatwright.evaluation.win_rate import EVEN, WinRate

MAX_RANKING = 300
"""Rankings that are scored; with more, the interval hardly becomes narrower."""

REMEDY = "Name a judge with rules=…, reward_model=DIR or votes=SNAPSHOT, or collect more feedback."
"""What to do if the feedback gives no judge."""


def judge_accuracy(judge: Path, rankings: Sequence[Ranking]) -> WinRate | None:
    """Return the share of the rankings' pairs that a reward model orders as the raters did.

    Args:
        judge: The run of the reward model.
        rankings: Rankings of prompts on which the reward model was not trained.

    Returns:
        The share with its interval, or None if no pair fits into the reward model's context.
    """
    model, tokenizer = model_directory.load(judge)
    rows = [row for row in map(feedback_row, rankings) if isinstance(row, RankedRow)]
    encoded = encode_rankings(rows, tokenizer, model.config.context_length).rankings
    replies = [reply for ranking in encoded for reply in ranking.replies]
    if not replies:
        return None
    with RewardForward(model) as forward:
        scores = iter(forward.scores(replies).tolist())
    by_ranking = [[next(scores) for _ in ranking.replies] for ranking in encoded]
    return ranked_pairs(encoded, by_ranking).accuracy


def require_judge(judge: Path, training: Sequence[Feedback]) -> WinRate | None:
    """Return the judge's accuracy on the feedback that trains the policy, not the judge.

    None: that feedback holds no pair to measure on.

    Raises:
        InputError: The accuracy cannot be told from chance, so the judge cannot decide.
    """
    rankings = [item for item in training if isinstance(item, Ranking) and not item.is_tie]
    accuracy = judge_accuracy(judge, rankings[:MAX_RANKING]) if rankings else None
    if accuracy is None or accuracy.low > EVEN:
        return accuracy
    raise InputError(
        f"Nothing can judge the result: the reward model of the feedback kept for judging orders "
        f"{accuracy.value:.1%} of {accuracy.n_comparison:,} other pairs as the raters did (95 % "
        f"interval {accuracy.low:.1%} to {accuracy.high:.1%}), which cannot be told from chance.",
        remedy=REMEDY,
        field="rules",
        value=accuracy.value,
    )
