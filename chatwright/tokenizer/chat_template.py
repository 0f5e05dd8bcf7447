"""Render a conversation as token ids and a loss mask, in the chat format of the tokenizer.

Training, evaluation, the terminal and the server all call this renderer, so their ids agree. Text
is encoded apart from the markers, so text of a user, a file or a tool never becomes a control
token. Rendering never shortens a conversation: `chat/context_window.py` and
`data/encoded/conversations.py` do that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.conversation import Conversation, Message, Text, ToolCall, ToolResult
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import ChatFormat, turn_kind
from chatwright.tokenizer.tokenizer import Tokenizer
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
ANSWERS = ("assistant", "tool_call")
"""Kinds of turns that the model writes."""
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

    Raises InputError for turns out of order, an empty answer, or nothing to learn.
    """
    require_order(conversation)
    for index, message in enumerate(conversation):
        if turn_kind(message) in ANSWERS and not message_text(message):
            raise InputError(
                f"turn {index} ({turn_kind(message)}) is empty, so it would teach empty answers.",
                remedy="Fill it or remove it.",
                field=f"messages[{index}].content",
            )
    rendered = render_turns(conversation, tokenizer, learned)
    if not any(rendered.loss_mask):
        raise InputError(
            f"none of the {len(conversation)} turns is an answer to be learned.",
            remedy="Add an assistant turn or a tool call, or remove the conversation.",
            field="messages",
        )
    return rendered


def render_prompt(conversation: Conversation, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a prompt: the conversation and the marker that begins an answer.

    Raises InputError for turns out of order, or if the last turn is already an answer.
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
    return [
        *render_turns(conversation, tokenizer).token_ids,
        *chat_format.turn("assistant").before,
        *chat_format.before_last,
    ]


def format_of(tokenizer: Tokenizer) -> ChatFormat:
    """Return the tokenizer's chat format; InputError if it has none."""
    if tokenizer.chat_format is None:
        raise InputError(
            "This model has no chat format, so it can continue a text but not chat.",
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
    require_text_only(conversation)
    if learned is None:
        learned = [True] * len(conversation)
    assert len(learned) == len(conversation), "one flag per message"
    token_ids: list[int] = []
    loss_mask: list[bool] = []
    answers: list[tuple[int, int]] = []

    def append(ids: Sequence[int], is_learned: bool) -> None:
        token_ids.extend(ids)
        loss_mask.extend([is_learned] * len(ids))

    append(chat_format.begin, False)
    messages = with_system(conversation, chat_format)
    # `with_system` adds or removes messages at the front only, so flags are aligned at the end.
    n_added = len(messages) - len(conversation)
    for index, message in enumerate(messages):
        kind = turn_kind(message)
        turn = chat_format.turn(kind)
        append(turn.before, False)
        is_answer = kind in ANSWERS
        if is_answer and index == len(messages) - 1:
            append(chat_format.before_last, False)
        start = len(token_ids)
        content = [*turn.opens, *tokenizer.encode(message_text(message)), *turn.after]
        append(content, is_answer and learned[index - n_added])
        if is_answer:
            answers.append((start, len(token_ids)))
        append(turn.between, False)
    return Rendered(token_ids, loss_mask, tuple(answers))


def with_system(conversation: Conversation, chat_format: ChatFormat) -> Conversation:
    """Return the conversation with its system text where the format puts it.

    The system text becomes a separate turn or the beginning of a user turn. A separate turn holds
    the format's default if the conversation has no system message.
    """
    has_system = bool(conversation) and conversation[0].role == "system"
    system_text = conversation[0].text if has_system else chat_format.default_system
    rest = conversation[1:] if has_system else conversation
    before, after = chat_format.around_system or ("", "")
    text = f"{before}{system_text}{after}"
    if chat_format.system_in is None:
        return [Message("system", text), *rest] if text or has_system else conversation
    if not has_system:
        return conversation
    user_turns = [index for index, message in enumerate(rest) if message.role == "user"]
    if not user_turns:
        return [Message("user", text), *rest]
    index = user_turns[chat_format.system_in]
    with_text = Message("user", text + rest[index].text)
    return [*rest[:index], with_text, *rest[index + 1 :]]


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


def require_text_only(conversation: Conversation) -> None:
    """Raise InputError unless each message is text, one tool call or one tool result."""
    for index, message in enumerate(conversation):
        for part in message.parts:
            if not isinstance(part, Text | ToolCall | ToolResult):
                kind = type(part).__name__.lower()
                raise InputError(
                    f"turn {index} ({message.role}) holds {_article(kind)} {kind}, "
                    "and this model reads text only.",
                    remedy=f"Remove the {kind}, or use a model that reads it.",
                    field=f"messages[{index}].parts",
                    value=kind,
                )
        if (message.tool_calls or message.tool_results) and len(message.parts) > 1:
            raise InputError(
                f"turn {index} ({message.role}) holds a tool call or a tool result beside other "
                "parts, and this model reads one tool call or one tool result in a turn.",
                remedy="Split the turn, or keep one part.",
                field=f"messages[{index}].parts",
            )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
