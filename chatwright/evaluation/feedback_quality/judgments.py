"""Feedback as judgments that can be compared: each about one item, with one of few answers.

A ranking of K replies judges K (K - 1) / 2 items: each is a prompt with two of the replies, in an
order that does not depend on how they were shown. A thumb judges one item: a prompt with its reply.
A correction judges no item that another rater could judge too, since its text is new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from chatwright.conversation import Message
from chatwright.data.preferences import Correction, Feedback, Ranking
from chatwright.data.readers.feedback_json import message_to_json

Answer = Literal[-1, 0, 1]
"""Of two replies: 1 the first is better, -1 the second, 0 a tie. Of one reply: 1 good, -1 bad."""


@dataclass(frozen=True)
class Judgment:
    """What one rater said about one item."""

    item: str
    """Hash of the prompt and of the replies."""
    rater: str
    answer: Answer
    source: int
    """Index of the feedback that says it."""
    right: Answer | None = None
    """The known right answer of a gold question."""


def judgments_of(feedback: Sequence[Feedback]) -> list[Judgment]:
    """Return the judgments that the feedback states, in its order."""
    return [
        judgment for source, item in enumerate(feedback) for judgment in _judgments(item, source)
    ]


def _judgments(feedback: Feedback, source: int) -> list[Judgment]:
    if isinstance(feedback, Correction):
        return []
    prompt = content_hash(feedback.prompt)
    if not isinstance(feedback, Ranking):
        item = f"{prompt}:{content_hash((feedback.reply.message,))}"
        return [Judgment(item, feedback.rater, 1 if feedback.is_up else -1, source)]
    replies = [content_hash((reply.message,)) for reply in feedback.replies]
    order = sorted(range(len(replies)), key=lambda index: replies[index])
    judgments = []
    for first, second in combinations(order, 2):
        if replies[first] == replies[second]:
            continue  # the same text twice: there is nothing to prefer
        right = _answer(feedback.right_ranks, first, second) if feedback.is_gold else None
        item = f"{prompt}:{replies[first]}:{replies[second]}"
        answer = _answer(feedback.ranks, first, second)
        judgments.append(Judgment(item, feedback.rater, answer, source, right))
    return judgments


def _answer(ranks: Sequence[int], first: int, second: int) -> Answer:
    if ranks[first] == ranks[second]:
        return 0
    return 1 if ranks[first] < ranks[second] else -1


def content_hash(messages: Sequence[Message]) -> str:
    """Return a hash of messages: role, text, thinking and tool calls."""
    text = json.dumps([message_to_json(message) for message in messages], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
