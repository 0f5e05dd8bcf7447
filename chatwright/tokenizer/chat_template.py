"""Render a conversation as token ids and a loss mask, in the chat format of the tokenizer.

Training, evaluation, the terminal and the server all call this renderer, so their ids agree. Text
is encoded apart from the markers, so text of a user, a file or a tool never becomes a control
token. Rendering never shortens a conversation: `chat/context_window.py` and
`data/encoded/conversations.py` do that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.conversation import (
    Conversation,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolDefinition,
    ToolResult,
)
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import ANSWERS, PROMPT, ChatFormat, turn_kind
from chatwright.tokenizer.conversation_parts import conversation_parts
from chatwright.tokenizer.encode_parts import encode_parts
from chatwright.tokenizer.tokenizer import Tokenizer, chat_format_problem
from chatwright.tokenizer.tool_call_text import message_text

# For each kind of turn, the kinds it may follow; "" is the beginning of the conversation.
MAY_FOLLOW: dict[str, tuple[str, ...]] = {
    "system": ("",),
    "user": ("", "system", "assistant"),
    "assistant": ("user", "tool"),
    "tool_call": ("user", "tool"),
    "tool": ("tool_call",),
}
ORDER_REMEDY = {
    "system": "Move the system turn to the front, or join it with the first system turn.",
    "user": "Let a user turn come first or follow an assistant turn; join adjacent user turns.",
    "assistant": "Add the question before the answer, or join adjacent assistant turns.",
    "tool_call": "Add the user turn or the tool result that the tool call answers.",
    "tool": "Let each tool result follow the tool call it answers.",
}
ROLES_AWAITING_REPLY = ("user", "tool")
"""Roles of the messages to which the model replies."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as token ids, with its loss mask."""

    token_ids: list[int]
    """The whole conversation."""
    loss_mask: list[bool]
    """True for every token that the model learns to produce; as long as `token_ids`."""
    answers: tuple[tuple[int, int], ...] = ()
    """Start and end (exclusive) of each answer and its end token in `token_ids`, learned or not."""

    def __post_init__(self) -> None:
        """Check that the mask has one entry per token."""
        assert len(self.token_ids) == len(self.loss_mask), "the loss mask has another length"


def render(
    conversation: Conversation, tokenizer: Tokenizer, learned: Sequence[bool] | None = None
) -> Rendered:
    """Render a whole conversation for training: loss on the answers and on their end tokens.

    `learned` has one flag per message. An answer whose flag is False is shown without loss; the
    flags of other messages have no effect. None means that every answer is learned.

    Raises InputError for turns out of order, an empty answer, thinking that the model's format
    cannot hold, or nothing to learn.
    """
    require_order(conversation)
    has_tool_format = format_of(tokenizer).tools is not None
    for index, message in enumerate(conversation):
        if turn_kind(message) in ANSWERS and _is_empty(message, has_tool_format):
            raise InputError(
                f"turn {index} ({turn_kind(message)}) is empty, so it would teach empty answers.",
                remedy="Fill it or remove it.",
                field=f"messages[{index}].content",
            )
    _require_thinking_fits(conversation, format_of(tokenizer))
    rendered = render_turns(conversation, tokenizer, learned)
    if not any(rendered.loss_mask):
        raise InputError(
            f"none of the {len(conversation)} turns is an answer to be learned.",
            remedy="Add an assistant turn or a tool call, or remove the conversation.",
            field="messages",
        )
    return rendered


def render_scored(conversation: Conversation, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a conversation whose last reply is scored; a model may write an empty one.

    Raises InputError for turns out of order, or if the last turn is not a reply.
    """
    require_order(conversation)
    last = turn_kind(conversation[-1])
    if last not in ANSWERS:
        raise InputError(
            f"turn {len(conversation) - 1} ({last}) is the last, so there is no reply to score.",
            remedy="End the conversation with an assistant turn or a tool call.",
            field=f"messages[{len(conversation) - 1}].role",
            value=last,
        )
    return render_turns(conversation, tokenizer).token_ids


def render_prompt(
    conversation: Conversation,
    tokenizer: Tokenizer,
    thinking: bool | None = None,
    tools: Sequence[ToolDefinition] = (),
) -> list[int]:
    """Return the ids of a prompt: the conversation and what begins an answer.

    `thinking` switches the thinking of a reasoning model on or off; None is the model's default.
    `tools` are those that the model may call; Chatwright's own models are not told of them.

    Raises InputError for turns out of order, if the last turn is already an answer, or if the model
    cannot be switched that way.
    """
    require_order(conversation)
    last = turn_kind(conversation[-1])
    if last not in ROLES_AWAITING_REPLY:
        raise InputError(
            f"turn {len(conversation) - 1} ({last}) is the last, so there is nothing to answer.",
            remedy="End the conversation with a user turn or a tool result.",
            field=f"messages[{len(conversation) - 1}].role",
            value=last,
        )
    chat_format = format_of(tokenizer)
    require_text_only(conversation, has_tool_format=chat_format.tools is not None)
    parts = conversation_parts(
        conversation, chat_format, thinking=thinking, ending=PROMPT, tools=tools
    )
    return [token_id for token_id, _ in encode_parts(parts, tokenizer, chat_format)]


def format_of(tokenizer: Tokenizer) -> ChatFormat:
    """Return the tokenizer's chat format; InputError if it has none."""
    if tokenizer.chat_format is None:
        reason = chat_format_problem(tokenizer)
        raise InputError(
            reason or "This model has no chat format, so it can continue a text but not chat.",
            remedy=(
                "Use chatwright generate, fine-tune it on conversations (chatwright train sft), "
                "or import it again with --chat-format and the format it was trained with."
            ),
            field="chat_format",
        )
    return tokenizer.chat_format


def render_turns(
    conversation: Conversation, tokenizer: Tokenizer, learned: Sequence[bool] | None = None
) -> Rendered:
    """Render a conversation without checking the order of its turns; see `render`."""
    chat_format = format_of(tokenizer)
    require_text_only(conversation, has_tool_format=chat_format.tools is not None)
    parts = conversation_parts(conversation, chat_format, learned)
    tokens = encode_parts(parts, tokenizer, chat_format)
    ends: dict[int, tuple[int, int]] = {}
    for index, (_, owner) in enumerate(tokens):
        if owner.answer is not None:
            ends[owner.answer] = (ends.get(owner.answer, (index, 0))[0], index + 1)
    return Rendered(
        [token_id for token_id, _ in tokens],
        [owner.is_learned for _, owner in tokens],
        tuple(ends.values()),
    )


def _is_empty(message: Message, has_tool_format: bool) -> bool:
    if message.tool_calls and has_tool_format:
        return False
    return not message_text(message)


def _require_thinking_fits(conversation: Conversation, chat_format: ChatFormat) -> None:
    if chat_format.thinking_tags is not None:
        return
    for index, message in enumerate(conversation):
        if message.thinking:
            raise InputError(
                f"turn {index} holds thinking, which this model's chat format ({chat_format.name}) "
                "cannot hold.",
                remedy="Remove it, or train a model that thinks.",
                field=f"messages[{index}].reasoning_content",
            )


def require_order(conversation: Conversation) -> None:
    """Raise InputError that names the first turn which may not follow the turn before it."""
    if not conversation:
        raise InputError(
            "the conversation is empty.", remedy="Give at least one user turn.", field="messages"
        )
    previous = ""
    for index, message in enumerate(conversation):
        kind = turn_kind(message)
        field = f"messages[{index}].role"
        if kind not in MAY_FOLLOW:
            raise InputError(
                f"turn {index} has the unknown role {message.role!a}.",
                remedy="Use the roles system, user, assistant and tool.",
                field=field,
                value=message.role,
            )
        if previous not in MAY_FOLLOW[kind]:
            position = f"follows turn {index - 1} ({previous})" if previous else "is the first"
            raise InputError(
                f"turn {index} ({kind}) {position}, which is out of order.",
                remedy=ORDER_REMEDY[kind],
                field=field,
                value=kind,
            )
        previous = kind


def require_text_only(conversation: Conversation, has_tool_format: bool = False) -> None:
    """Raise InputError unless each message is text, one tool call or one tool result.

    Formats with a `ToolFormat` hold several calls, and text before them.
    """
    for index, message in enumerate(conversation):
        for part in message.parts:
            if not isinstance(part, Text | Thinking | ToolCall | ToolResult):
                kind = type(part).__name__.lower()
                raise InputError(
                    f"turn {index} ({message.role}) holds {_article(kind)} {kind}, "
                    "and this model reads text only.",
                    remedy=f"Remove the {kind}, or use a model that reads it.",
                    field=f"messages[{index}].parts",
                    value=kind,
                )
        has_tools = bool(message.tool_calls or message.tool_results)
        if has_tools and len(message.parts) > 1 and not has_tool_format:
            raise InputError(
                f"turn {index} ({message.role}) holds a tool call or a tool result beside other "
                "parts, and this model reads one tool call or one tool result in a turn.",
                remedy="Split the turn, or keep one part.",
                field=f"messages[{index}].parts",
            )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
