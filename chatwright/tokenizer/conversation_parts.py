"""Lay out a conversation: its texts in order, with the separators of a chat format between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chatwright.conversation import Conversation, Message, ToolDefinition
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import (
    ANSWERS,
    BEGIN,
    END,
    LAST,
    THINKING,
    ChatFormat,
    Layout,
    Pieces,
    Separator,
    turn_kind,
)
from chatwright.tokenizer.encode_parts import NOBODY, Owner, Part
from chatwright.tokenizer.thinking import split_thinking
from chatwright.tokenizer.tool_call_text import message_text


@dataclass(frozen=True)
class _Unit:
    """One text of the conversation."""

    kind: str
    text: str | Pieces = ""
    owner: Owner = NOBODY

    @property
    def pieces(self) -> list[int | str]:
        """The text, with the control ids in it; it begins and ends with text."""
        return [self.text] if isinstance(self.text, str) else ["", *self.text, ""]


def conversation_parts(
    conversation: Conversation,
    chat_format: ChatFormat,
    learned: Sequence[bool] | None = None,
    *,
    thinking: bool | None = None,
    ending: str = END,
    tools: Sequence[ToolDefinition] = (),
) -> list[Part]:
    """Return the parts of a conversation, whose order is not checked.

    Args:
        conversation: The messages.
        chat_format: How they are marked up.
        learned: Whether each message is learned, if it is an answer; None: every answer is.
        thinking: Whether thinking is on; None is the model's default.
        ending: END, or PROMPT to end with what begins a reply.
        tools: The tools that the model may call. Formats without a `ToolFormat` do not show them.

    Raises InputError for a kind of turn that the format cannot write.
    """
    layout = chat_format.layout_for(thinking)
    if learned is None:
        learned = [True] * len(conversation)
    assert len(learned) == len(conversation), "one flag per message"
    shown = _with_system(conversation, chat_format, layout, tools)
    units = [_Unit(BEGIN), *_units(shown, chat_format, layout, learned, tools), _Unit(ending)]
    parts: list[Part] = []
    pieces: list[int | str] = [""]
    for left, right in pairwise(units):
        separator = layout.separator(left.kind, right.kind)
        parts += [Part(piece, left.owner) for piece in pieces[:-1]]
        parts.append(Part(separator.trimmed_before(str(pieces[-1])), left.owner))
        parts += _of_separator(separator, left.owner, right.owner)
        pieces = right.pieces
        pieces[0] = separator.trimmed_after(str(pieces[0]))
    return [part for part in parts if part.piece != ""]


def _of_separator(separator: Separator, left: Owner, right: Owner) -> Iterator[Part]:
    pieces: tuple[tuple[Pieces, Owner], ...] = (
        (separator.ends, left),
        (separator.middle, NOBODY),
        (separator.opens, right),
    )
    for group, owner in pieces:
        for piece in group:
            yield Part(piece, owner)


def _units(
    messages: Sequence[tuple[int, Message]],
    chat_format: ChatFormat,
    layout: Layout,
    learned: Sequence[bool],
    tools: Sequence[ToolDefinition],
) -> Iterator[_Unit]:
    last_user = max((index for index, m in messages if m.role == "user"), default=-1)
    for index, message in messages:
        kind = turn_kind(message)
        if chat_format.tools is not None:
            kind = {"tool_call": "assistant", "tool": "user"}.get(kind, kind)
        chat_format.require_kind(layout, kind)
        if kind not in ANSWERS:
            yield _Unit(kind, _question(message, chat_format, tools))
            continue
        is_after_last_user = last_user < index
        # An answer before the last one, such as a tool call, keeps its thinking until the next
        # user turn.
        keeps = index == len(learned) - 1 or bool(message.thinking)
        prefix = LAST if is_after_last_user and keeps else ""
        owner = Owner(index, learned[index])
        thinking, text = _thinking_and_text(message, chat_format)
        if thinking and _can_think(prefix, layout):
            yield _Unit(prefix + THINKING, thinking, owner)
        yield _Unit(prefix + kind, text, owner)


def _question(
    message: Message, chat_format: ChatFormat, tools: Sequence[ToolDefinition]
) -> str | Pieces:
    """Return the text of a message that is no answer: of the system, the user or a tool."""
    tool_format = chat_format.tools
    if message.tool_results and tool_format is not None:
        return tool_format.results(message)
    if message.role == "system" and tools and tool_format is not None:
        return tool_format.system(message.text, tools)
    return message_text(message)


def _thinking_and_text(message: Message, chat_format: ChatFormat) -> tuple[str, str | Pieces]:
    if message.tool_calls and chat_format.tools is not None:
        return message.thinking.strip("\n"), chat_format.tools.answer(message)
    text = message_text(message)
    if message.thinking:
        return message.thinking.strip("\n"), text
    return split_thinking(text, chat_format.thinking_tags)


def _can_think(prefix: str, layout: Layout) -> bool:
    """Whether the thinking of an answer is written; `prefix` is LAST if the answer is the last."""
    return any(right in (THINKING, prefix + THINKING) for _, right in layout.separators)


def _with_system(
    conversation: Conversation,
    chat_format: ChatFormat,
    layout: Layout,
    tools: Sequence[ToolDefinition] = (),
) -> list[tuple[int, Message]]:
    """Return the messages with their indices; the system message is where the format puts it.

    A system message that the format adds has the index -1.
    """
    messages = list(enumerate(conversation))
    has_system = bool(conversation) and conversation[0].role == "system"
    if tools and chat_format.tools is not None:
        if has_system:
            return messages
        return [(-1, Message("system", chat_format.system_text)), *messages]
    own = chat_format.system
    if conversation and not has_system and own is not None and (own or chat_format.default_system):
        messages.insert(0, (-1, Message("system", own)))
        has_system = True
    if not has_system:
        return messages
    system, *rest = messages
    if chat_format.empty_system != "text" and _is_empty(system[1].text, layout):
        _require_may_be_empty(chat_format)
        return rest
    questions = [index for index, (_, message) in enumerate(rest) if message.role == "user"]
    if chat_format.system_goes_last and questions:
        rest.insert(questions[-1], system)
        return rest
    return messages


def _is_empty(system: str, layout: Layout) -> bool:
    """Whether nothing is left of a system text after it is trimmed."""
    text = layout.separator(BEGIN, "system").trimmed_after(system)
    return not layout.separator("system", "user").trimmed_before(text)


def _require_may_be_empty(chat_format: ChatFormat) -> None:
    cannot_be_removed = chat_format.system == "" and chat_format.default_system
    if chat_format.empty_system == "refused" or cannot_be_removed:
        raise InputError(
            f"This model's chat format ({chat_format.name}) cannot write an empty system prompt.",
            remedy="Write a system prompt, or leave it out.",
            field="system",
            value="",
        )
