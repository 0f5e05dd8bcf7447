"""One held-out test item: a conversation so far, a reference reply, and what a reply must and must not hold.

Plain data, so that it can be written to a file and read by anybody. How a check decides is in `evaluation/starter.py`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from chatwright.conversation import Message
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text

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
    return MistakenAnswer("assistant", content)


@dataclass(frozen=True, init=False)
class MistakenAnswer(Message):
    """An answer that training shows and does not learn."""


def old_role(message: Message) -> str:
    """The role that the corpus files write: they name tool calls `command`, results `result`."""
    return {"tool_call": "command", "tool": "result"}.get(turn_kind(message), message.role)


def to_json(item: Item) -> dict[str, Any]:
    """An item as the held-out file writes it."""

    def turn(message: Message) -> dict[str, Any]:
        is_learned = not isinstance(message, MistakenAnswer)
        return {
            "role": old_role(message),
            "content": message_text(message),
            "is_learned": is_learned,
        }

    fields = vars(item) | {
        "messages": [turn(message) for message in item.messages],
        "expected": turn(item.expected),
    }
    return fields
