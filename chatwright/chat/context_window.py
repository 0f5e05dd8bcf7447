"""Making a conversation fit: what the model cannot see any more is left out by whole exchanges, oldest first, and said.

An exchange is a user's message with all that answers it. The system message stays, and so does the last exchange: if those two
alone do not fit, that is an error with numbers, never a cut through the middle of a message.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.conversation import Conversation, Message
from chatwright.tokenizer.chat_template import render_prompt, require_order
from chatwright.tokenizer.tokenizer import Tokenizer


class ConversationTooLong(ValueError):
    """Even the last message alone does not fit the model's context."""


@dataclass(frozen=True)
class Fitted:
    token_ids: list[int]  # ready to sample after
    messages: list[Message]  # what they show
    n_cut: int  # messages left out


def fit(
    conversation: Conversation, tokenizer: Tokenizer, context_length: int, max_tokens: int | None
) -> Fitted:
    """The latest exchanges that leave room for the reply: max_tokens, or a quarter of the context where the reply may take what is left."""
    require_order(conversation)  # all of it: what is cut has to make sense too
    system, exchanges = _split(conversation)
    room = room_for_prompt(context_length, max_tokens)

    def without(n_exchange: int) -> Fitted:
        messages = [
            *system,
            *(message for exchange in exchanges[n_exchange:] for message in exchange),
        ]
        return Fitted(
            render_prompt(messages, tokenizer), messages, len(conversation) - len(messages)
        )

    # Halving, because every attempt encodes all that it keeps.
    low, high = 0, max(len(exchanges) - 1, 0)
    while low < high:
        middle = (low + high) // 2
        if len(without(middle).token_ids) <= room:
            high = middle
        else:
            low = middle + 1
    fitted = without(low)
    if len(fitted.token_ids) + (max_tokens or 1) > context_length:
        kept = (
            "the last message and the system message take" if system else "the last message takes"
        )
        reply = f"a reply of {max_tokens}" if max_tokens else "a reply"
        raise ConversationTooLong(
            f"{kept} {len(fitted.token_ids)} tokens, which with {reply} is more than the {context_length} "
            "the model can see. Shorten the message"
            + (" or the system message" if system else "")
            + (" or ask for a shorter reply." if max_tokens else ".")
        )
    return fitted


def room_for_prompt(context_length: int, max_tokens: int | None) -> int:
    """The tokens a conversation may have before something of it is left out."""
    return context_length - (max_tokens or context_length // 4)


def _split(conversation: Conversation) -> tuple[Sequence[Message], list[list[Message]]]:
    """System messages at the front, and exchanges: each begins with a user's message."""
    n_system = 1 if conversation and conversation[0].role == "system" else 0
    exchanges: list[list[Message]] = []
    for message in conversation[n_system:]:
        if message.role == "user" or not exchanges:
            exchanges.append([])
        exchanges[-1].append(message)
    return conversation[:n_system], exchanges
