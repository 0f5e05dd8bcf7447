"""Feedback as rows of TRL: preferences (chosen and rejected) and unpaired preferences (labels).

The columns are those of TRL's dataset formats, with conversational messages. Our readers read both
shapes too (`readers/chat_rows.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from chatwright.conversation import Message
from chatwright.data.preferences import Correction, Feedback, Ranking, preference_rows
from chatwright.data.readers.feedback_json import message_to_json

TRLFormat = Literal["trl-preference", "trl-unpaired"]


def trl_lines(feedback: Sequence[Feedback], layout: TRLFormat) -> list[str]:
    """Return the JSON lines that the feedback states; empty if it states none."""
    rows = _preferences(feedback) if layout == "trl-preference" else _unpaired(feedback)
    return [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]


def _preferences(feedback: Sequence[Feedback]) -> Iterator[dict[str, Any]]:
    """Yield a row for each pair; thumbs and ties state none."""
    for item in feedback:
        for row in preference_rows(item):
            yield {
                "prompt": _messages(row.prompt),
                "chosen": _messages(row.chosen),
                "rejected": _messages(row.rejected),
            }


def _unpaired(feedback: Sequence[Feedback]) -> Iterator[dict[str, Any]]:
    """Yield a row for each reply that is good or bad.

    Of a ranking, the best replies are good and the worst are bad, and those between are left out.
    If the rater found all bad, all are bad. A tie says neither.
    """
    for item in feedback:
        for message, is_good in _labeled(item):
            yield {
                "prompt": _messages(item.prompt),
                "completion": _messages((message,)),
                "label": is_good,
            }


def _labeled(item: Feedback) -> list[tuple[Message, bool]]:
    if isinstance(item, Correction):
        return [(item.better, True), (item.reply.message, False)]
    if not isinstance(item, Ranking):
        return [(item.reply.message, item.is_up)]
    messages = [reply.message for reply in item.replies]
    if item.are_all_bad:
        return [(message, False) for message in messages]
    best, worst = min(item.ranks), max(item.ranks)
    if best == worst:
        return []
    ranked = zip(messages, item.ranks, strict=True)
    return [(message, rank == best) for message, rank in ranked if rank in (best, worst)]


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [message_to_json(message) for message in messages]
