"""What a class knew before and after the lessons, from its answers to their questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatwright.evaluation.paired import paired_scores
from chatwright.store.lesson_answers import LessonAnswer


def class_effect(
    answers: Mapping[str, Sequence[LessonAnswer]], right: Mapping[str, int]
) -> dict[str, Any]:
    """Return the answers of a class without names, and what changed in each lesson.

    Only answers of learners who answered both times count in `lessons`. `interval` is the 95 %
    interval of the difference of the two shares, and `p_value` that of McNemar's exact test.

    Args:
        answers: The answers of each user.
        right: Number of the right option, by lesson.
    """
    rows = [_row(given, right) for _, given in sorted(answers.items())]
    lessons = []
    for lesson in right:
        pairs = [(row[lesson]["before"], row[lesson]["after"]) for row in rows if lesson in row]
        lessons.append({"lesson": lesson, **_change([pair for pair in pairs if None not in pair])})
    learners = [{"learner": number, "answers": row} for number, row in enumerate(rows, 1)]
    return {"chatwright_class": 1, "lessons": lessons, "learners": learners}


def _row(given: Sequence[LessonAnswer], right: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return whether one learner's answers are right, by lesson; null: not answered."""

    def is_right(lesson: str, option: int | None) -> bool | None:
        return None if option is None else option == right[lesson]

    return {
        answer.lesson: {
            "before": is_right(answer.lesson, answer.before),
            "after": is_right(answer.lesson, answer.after),
            "checked": answer.has_checked,
        }
        for answer in given
        if answer.lesson in right
    }


def _change(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    if not pairs:
        return {"n": 0}
    scores = paired_scores([before for before, _ in pairs], [after for _, after in pairs])
    return {
        "n": scores.n,
        "right_before": scores.n_right_before,
        "right_after": scores.n_right_before + scores.n_gained - scores.n_lost,
        "gained": scores.n_gained,
        "lost": scores.n_lost,
        "interval": list(scores.interval),
        "p_value": scores.p_value,
    }
