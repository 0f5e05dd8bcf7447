"""The thinking of a model before its answer: `<think>` text `</think>` answer.

Line ends around the thinking and before the answer belong to the chat format, not to the texts.
"""

from __future__ import annotations

TAGS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)
"""What begins and ends the thinking in the formats of known models."""


def split_thinking(text: str, tags: tuple[str, str] | None) -> tuple[str, str]:
    """Return the thinking that a text begins with ("" if it does not), and the answer after it."""
    if tags is None or not text.lstrip().startswith(tags[0]):
        return "", text
    before, close, answer = text.partition(tags[1])
    if not close:
        return "", text
    thinking = before.lstrip().removeprefix(tags[0])
    return thinking.strip("\n"), answer.lstrip("\n")
