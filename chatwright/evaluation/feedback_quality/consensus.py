"""The answer that the raters give together, and how often each rater agrees with it.

Every rater has one accuracy, and the answers of accurate raters count more (Dawid & Skene 1979,
with one accuracy for each rater in place of a table). A rater who mostly contradicts the others
gets an accuracy below one half, so the opposite of the answer counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from chatwright.evaluation.feedback_quality.agreement import answers_by_item
from chatwright.evaluation.feedback_quality.judgments import Judgment
from chatwright.evaluation.interval import Share

N_ROUND = 20
PRIOR = (4.0, 1.0)
"""Right and wrong answers that every rater is assumed to have given before."""
MOST = 0.99
"""Largest accuracy, so that the weight of a rater stays finite."""


def agreement_with_others(judgments: Iterable[Judgment]) -> dict[str, Share]:
    """Return for each rater how often an answer is that of the other raters together.

    Where the right answer is known, it takes the place of the others. Ties do not count.
    """
    votes = _votes(judgments)
    weights = _weights(votes)
    successes: dict[str, int] = defaultdict(int)
    totals: dict[str, int] = defaultdict(int)
    for answers, right in votes:
        for rater, answer in answers.items():
            others = _evidence(answers, right, weights, without=rater)
            if others:
                totals[rater] += 1
                successes[rater] += answer * others > 0
    return {rater: Share(successes[rater], n) for rater, n in totals.items()}


_Votes = list[tuple[dict[str, int], int]]
"""For each item: the answer (1 or -1) of each rater, and the right answer or 0."""


def _votes(judgments: Iterable[Judgment]) -> _Votes:
    votes = []
    for raters in answers_by_item(judgments).values():
        first = {rater: said[0] for rater, said in raters.items() if said[0].answer}
        right = next((j.right for j in first.values() if j.right), 0)
        answers: dict[str, int] = {rater: j.answer for rater, j in first.items()}
        if len(answers) > 1 or (answers and right):
            votes.append((answers, right))
    return votes


def _weights(votes: _Votes) -> dict[str, float]:
    """Return the log-odds that each rater's answer is right, by expectation-maximization."""
    weights: dict[str, float] = defaultdict(lambda: math.log(PRIOR[0] / PRIOR[1]))
    for _ in range(N_ROUND):
        right: dict[str, float] = defaultdict(lambda: PRIOR[0])
        n: dict[str, float] = defaultdict(lambda: sum(PRIOR))
        for answers, known in votes:
            for rater, answer in answers.items():
                # A rater's own answer is no evidence for the rater's accuracy.
                others = _evidence(answers, known, weights, without=rater)
                right[rater] += 1 / (1 + math.exp(-answer * max(-30.0, min(30.0, others))))
                n[rater] += 1
        for rater in n:
            accuracy = min(MOST, max(1 - MOST, right[rater] / n[rater]))
            weights[rater] = math.log(accuracy / (1 - accuracy))
    return weights


def _evidence(
    answers: dict[str, int], right: int, weights: dict[str, float], *, without: str
) -> float:
    """Return the log-odds that the answer is 1, from the right answer or the other raters."""
    if right:
        return right * 30.0
    return sum(weights[rater] * answer for rater, answer in answers.items() if rater != without)
