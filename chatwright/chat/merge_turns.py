"""Join the neighboring turns of a conversation that models read as one turn.

OpenAI's API takes several system messages, in any place, and several messages of one role in a row.
Chat formats have one system text at the beginning, and their questions and answers alternate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatwright.conversation import Conversation, Message, Part, Text, Thinking

BETWEEN = "\n\n"
"""What is put between joined texts."""


def merge_turns(conversation: Conversation) -> list[Message]:
    """Return the conversation with joined turns: one system text, then turns that alternate.

    System texts are joined at the beginning. Neighboring messages of the user, of the assistant, or
    of tools become one message; nothing follows a tool call in its message.
    """
    system = [message.text for message in conversation if message.role == "system"]
    merged = [Message("system", BETWEEN.join(system))] if system else []
    for message in conversation:
        if message.role == "system":
            continue
        if merged and _belongs_to(message, merged[-1]):
            parts = (*merged[-1].parts, *message.parts)
            merged[-1] = Message(message.role, parts if message.tool_results else _joined(parts))
        else:
            merged.append(message)
    return merged


def _belongs_to(message: Message, previous: Message) -> bool:
    return message.role == previous.role and not previous.tool_calls


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Join all texts, and all thinking; calls come last."""
    thinking = _text_of(part.text for part in parts if isinstance(part, Thinking))
    text = _text_of(part.text for part in parts if isinstance(part, Text))
    others = [part for part in parts if not isinstance(part, Text | Thinking)]
    texts = [Text(text)] if text or not others else []
    return (*([Thinking(thinking)] if thinking else []), *texts, *others)


def _text_of(texts: Iterable[str]) -> str:
    return BETWEEN.join(text for text in texts if text)
