"""Measure how much of the model's context a conversation takes.

The counts come from the function that renders prompts, so they equal the real prompt lengths.
"""

from dataclasses import dataclass
from itertools import pairwise

from chatwright.chat.context_window import fit_to_context, room_for_prompt
from chatwright.conversation import Conversation, Message
from chatwright.tokenizer.chat_template import (
    ROLES_AWAITING_REPLY,
    format_of,
    render_prompt,
    render_turns,
)
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class ContextUse:
    """The number of tokens of each message in the context."""

    messages: list[Message]
    """The messages that the model sees, with the system message."""
    n_tokens: list[int]
    """Number of tokens of each of these messages."""
    n_before: int
    """Number of tokens that the chat format puts before every conversation."""
    n_cut: int
    """Number of messages left out."""
    context_length: int
    """Maximum number of tokens of prompt and reply together."""
    n_free: int
    """Maximum length, in tokens, of a next user message for which no message is left out."""

    @property
    def n_used(self) -> int:
        """Number of tokens of all messages, with those before the conversation."""
        return self.n_before + sum(self.n_tokens)


def with_default_system(conversation: Conversation, tokenizer: Tokenizer) -> Conversation:
    """Return the conversation with the system message that the chat format adds to it, if any."""
    text = format_of(tokenizer).system_text
    has_system = bool(conversation) and conversation[0].role == "system"
    if has_system or not text:
        return conversation
    return [Message("system", text), *conversation]


def measure_context(
    conversation: Conversation, tokenizer: Tokenizer, context_length: int, max_tokens: int | None
) -> ContextUse:
    """Measure the messages in the prompt of the last reply, and that reply.

    Raises ConversationTooLong if the last exchange of the prompt does not fit.
    """
    conversation = with_default_system(conversation, tokenizer)
    questions = [
        index for index, message in enumerate(conversation) if message.role in ROLES_AWAITING_REPLY
    ]
    seen = list(conversation)
    n_cut = 0
    if questions:
        n_prompt_message = questions[-1] + 1  # of the last reply
        fitted = fit_to_context(
            conversation[:n_prompt_message], tokenizer, context_length, max_tokens
        )
        seen = [*fitted.messages, *conversation[n_prompt_message:]]
        n_cut = fitted.n_cut
    lengths = [len(render_turns(seen[:n], tokenizer).token_ids) for n in range(1, len(seen) + 1)]
    n_before = len(render_turns([], tokenizer).token_ids)
    n_tokens = [after - before for before, after in pairwise([n_before, *lengths])]
    n_system = sum(n_tokens[:1]) if seen and seen[0].role == "system" else 0
    question = [*seen[: bool(n_system)], Message("user", "")]
    n_empty_question = len(render_prompt(question, tokenizer)) - n_before - n_system
    n_room = room_for_prompt(context_length, max_tokens)
    n_free = n_room - (n_before + sum(n_tokens)) - n_empty_question
    return ContextUse(seen, n_tokens, n_before, n_cut, context_length, max(n_free, 0))
