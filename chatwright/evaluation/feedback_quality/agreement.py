"""How far raters agree: Krippendorff's alpha, two raters on one item, one rater twice."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations, pairwise

from chatwright.evaluation.feedback_quality.judgments import Judgment
from chatwright.evaluation.interval import Share


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float:
    """Return alpha for nominal values: 1 full agreement, 0 as by chance, below 0 opposition.

    `units` holds for each item the answers of its raters, one for each. Items with one answer say
    nothing and are left out. NaN if no item has two answers, or if all answers are the same, since
    agreement by chance is then certain.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C:
    alpha = 1 - observed disagreement / expected disagreement, from the coincidence matrix.
    """
    coincidences: Counter[tuple[Hashable, Hashable]] = Counter()
    for answers in units:
        counts = Counter(answers)
        n_answer = counts.total()
        if n_answer < 2:
            continue
        for a in counts:
            for b in counts:
                pairs = counts[a] * (counts[b] - (a == b))
                coincidences[a, b] += pairs / (n_answer - 1)  # type: ignore[assignment]
    totals: Counter[Hashable] = Counter()
    for (a, _), count in coincidences.items():
        totals[a] += count
    n = totals.total()
    observed = sum(count for (a, b), count in coincidences.items() if a != b)
    expected = n * n - sum(count * count for count in totals.values())
    return 1 - (n - 1) * observed / expected if expected else math.nan


def answers_by_item(judgments: Iterable[Judgment]) -> dict[str, dict[str, list[Judgment]]]:
    """Return the judgments by item and by rater."""
    items: dict[str, dict[str, list[Judgment]]] = defaultdict(lambda: defaultdict(list))
    for judgment in judgments:
        items[judgment.item][judgment.rater].append(judgment)
    return items


def alpha_of(judgments: Iterable[Judgment]) -> float:
    """Return Krippendorff's alpha of the raters' first answers to each item."""
    items = answers_by_item(judgments).values()
    return krippendorff_alpha([said[0].answer for said in raters.values()] for raters in items)


def two_raters_agree(judgments: Iterable[Judgment]) -> Share:
    """Return how often two raters who both prefer a reply prefer the same one.

    Ties are left out. Each item with two or more raters counts once: the share of its pairs of
    raters that agree.
    """
    agreed = 0.0
    n_item = 0
    for raters in answers_by_item(judgments).values():
        answers = [said[0].answer for said in raters.values() if said[0].answer]
        pairs = list(combinations(answers, 2))
        if pairs:
            agreed += sum(a == b for a, b in pairs) / len(pairs)
            n_item += 1
    return Share(min(agreed, n_item), n_item)


def one_rater_agrees(judgments: Iterable[Judgment]) -> Share:
    """Return how often a rater who judges an item again gives the same answer; ties count."""
    agreed = 0
    n = 0
    for raters in answers_by_item(judgments).values():
        for said in raters.values():
            agreed += sum(a.answer == b.answer for a, b in pairwise(said))
            n += len(said) - 1
    return Share(agreed, n)
