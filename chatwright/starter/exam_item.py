"""One item of the exam (the held-out evaluation set): a prompt and the rule for a right reply.

`evaluation/starter.py` applies the rule.
"""

from dataclasses import dataclass
from typing import Any, Literal

from chatwright.conversation import Message
from chatwright.starter.messages import file_role
from chatwright.tokenizer.tool_call_text import message_text

Check = Literal["contains", "command", "exact", "number", "joke"]
Setting = Literal["closed", "open", ""]
CLOSED_BOOK: Setting = "closed"
OPEN_BOOK: Setting = "open"
PhraseGroups = tuple[tuple[str, ...], ...]
"""Groups of phrases, of which a reply must contain one from each group."""


@dataclass(frozen=True)
class ExamItem:
    """A prompt, and what a reply must and must not contain to be right."""

    skill: str
    messages: tuple[Message, ...]
    """The prompt. Its last message is the user's or a tool result."""
    expected: Message
    """A right reply."""
    required: PhraseGroups = ()
    """Groups of phrases: a right reply contains at least one phrase of every group."""
    forbidden: tuple[str, ...] = ()
    """Competing answers: a reply that contains one is wrong."""
    forbidden_unless_denied: tuple[str, ...] = ()
    """Phrases that a reply may only contain in a denial, such as "not a baker"."""
    max_words: int = 30
    check: Check = "contains"
    """`contains` compares phrases, `exact` the whole reply, `command` a tool call,
    `number` the numbers, and `joke` also requires a new and complete joke."""
    setting: Setting = ""
    """CLOSED_BOOK: only training documents state the answer. OPEN_BOOK: the prompt does."""
    template: str = ""
    """The exam question with its slots unfilled. Each template also has a score of its own."""

    def as_row(self) -> dict[str, Any]:
        """Return a row of heldout.jsonl, whose keys differ from the names of the fields."""
        return {
            "skill": self.skill,
            "messages": [_message_row(message) for message in self.messages],
            "expected": _message_row(self.expected),
            "must": self.required,
            "forbid": self.forbidden,
            "deniable": self.forbidden_unless_denied,
            "max_words": self.max_words,
            "check": self.check,
            "book": self.setting,
            "template": self.template,
        }


def _message_row(message: Message) -> dict[str, Any]:
    return {"role": file_role(message), "content": message_text(message), "is_learned": True}
