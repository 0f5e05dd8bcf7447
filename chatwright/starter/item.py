"""One held-out test item: a conversation so far, a reference reply, and what a reply must and must not hold.

Plain data, so that it can be written to a file and read by anybody. How a check decides is in `evaluation/starter.py`.
"""

from dataclasses import dataclass
from typing import Literal

from chatwright.conversation import Message

Check = Literal["contains", "command", "exact", "number", "joke"]
Book = Literal["closed", "open", ""]


@dataclass(frozen=True)
class Item:
    skill: str
    messages: tuple[Message, ...]  # the prompt; its last turn is the user's or a result
    expected: Message  # a reply that is right
    must: tuple[tuple[str, ...], ...] = ()  # of every group at least one
    forbid: tuple[str, ...] = ()  # competing answers: naming one makes the reply wrong
    deniable: tuple[str, ...] = ()  # wrong unless denied ("not a baker")
    max_words: int = 30
    check: Check = "contains"
    book: Book = ""  # closed: only the prose told it; open: the conversation tells it
    template: str = ""  # which held-out way of asking


def user(content: str) -> Message:
    return Message("user", content)


def assistant(content: str) -> Message:
    return Message("assistant", content)


def mistaken(content: str) -> Message:
    """An answer that is wrong, to be corrected and never imitated."""
    return Message("assistant", content, is_learned=False)
