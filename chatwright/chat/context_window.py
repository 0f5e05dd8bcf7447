"""Fit a conversation into the model's context by leaving out its oldest exchanges.

An exchange is a user message with all messages that answer it. The system message and the last
exchange always stay; if they do not fit, `ConversationTooLong` is raised. No message is ever
shortened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.conversation import Conversation, Message, ToolDefinition
from chatwright.errors import InputError
from chatwright.tokenizer.chat_template import render_prompt, require_order
from chatwright.tokenizer.tokenizer import Tokenizer


class ConversationTooLong(InputError):
    """The system message and the last exchange do not fit into the model's context."""


@dataclass(frozen=True)
class FittedConversation:
    """The part of a conversation that the model sees."""

    token_ids: list[int]
    """Token ids of the rendered prompt."""
    messages: list[Message]
    """The messages in the prompt."""
    n_cut: int
    """Number of messages left out."""
    max_tokens: int | None
    """Longest reply: at most the room that the prompt leaves; None as in the request."""


def fit_to_context(
    conversation: Conversation,
    tokenizer: Tokenizer,
    context_length: int,
    max_tokens: int | None,
    thinking: bool | None = None,
    tools: Sequence[ToolDefinition] = (),
) -> FittedConversation:
    """Render the latest exchanges that leave room for a reply.

    The oldest exchanges are left out until `max_tokens`, or a quarter of the context if that is
    less or None, is free. A longer reply gets the room that is left, so it never costs a message.
    A prompt of the last exchange alone needs to leave room for `max_tokens`, or for one token if
    that is None. `thinking` and `tools` are those of `render_prompt`.

    Raises ConversationTooLong if the last exchange does not fit, and InputError for turns out of
    order.
    """
    require_order(conversation)  # also of the messages that are left out
    system, exchanges = _split(conversation)
    prompt_room = room_for_prompt(context_length, max_tokens)

    def leave_out(n_oldest: int) -> list[Message]:
        kept = (message for exchange in exchanges[n_oldest:] for message in exchange)
        return [*system, *kept]

    def render(messages: list[Message]) -> list[int]:
        return render_prompt(messages, tokenizer, thinking, tools)

    # Bisect, because each attempt encodes all the messages it keeps.
    low = 0
    last = max(len(exchanges) - 1, 0)
    high = last
    while low < high:
        middle = (low + high) // 2
        if len(render(leave_out(middle))) <= prompt_room:
            high = middle
        else:
            low = middle + 1
    messages = leave_out(low)
    token_ids = render(messages)
    room = context_length - len(token_ids)
    if (max_tokens or 1) > room:
        n_last = len(token_ids) if low == last else len(render(leave_out(last)))
        if n_last + (max_tokens or 1) > context_length:
            raise _too_long(n_last, context_length, max_tokens, has_system=bool(system))
    limit = None if max_tokens is None else min(max_tokens, room)
    return FittedConversation(token_ids, messages, len(conversation) - len(messages), limit)


def room_for_prompt(context_length: int, max_tokens: int | None) -> int:
    """Return how many tokens a prompt may have before exchanges are left out."""
    quarter = max(context_length // 4, 1)
    return context_length - min(max_tokens or quarter, quarter)


def _split(conversation: Conversation) -> tuple[Sequence[Message], list[list[Message]]]:
    """Return the system message, if there is one, and the exchanges."""
    n_system = 1 if conversation and conversation[0].role == "system" else 0
    exchanges: list[list[Message]] = []
    for message in conversation[n_system:]:
        if message.role == "user" or not exchanges:
            exchanges.append([])
        exchanges[-1].append(message)
    return conversation[:n_system], exchanges


def _too_long(
    n_tokens: int, context_length: int, max_tokens: int | None, has_system: bool
) -> ConversationTooLong:
    prompt = (
        "The last message and the system message take" if has_system else "The last message takes"
    )
    reply = f"a reply of {max_tokens} tokens" if max_tokens else "a reply"
    shorten = "Shorten the message or the system message" if has_system else "Shorten the message"
    return ConversationTooLong(
        f"{prompt} {n_tokens} tokens; with {reply} that is more than the model's context of "
        f"{context_length} tokens.",
        remedy=f"{shorten}, or allow a shorter reply." if max_tokens else f"{shorten}.",
        field="max_tokens" if n_tokens < context_length else "messages",
        value=max_tokens if n_tokens < context_length else n_tokens,
    )
