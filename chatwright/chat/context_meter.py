"""Measure how much of the model's context a conversation takes.

The counts come from the renderer that makes the prompt, so they equal what the model reads.
"""

from dataclasses import dataclass
from itertools import pairwise

from chatwright.chat.context_window import fit_to_context, room_for_prompt
from chatwright.conversation import Conversation, Message
from chatwright.tokenizer.chat_template import ANSWERED, render_prompt, render_turns
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class ContextUse:
    """Tokens of the context by message."""

    messages: list[Message]
    """The messages that the model sees, with the system message."""
    n_tokens: list[int]
    """Tokens of each of these messages."""
    n_around: int
    """Tokens before every conversation."""
    n_cut: int
    """Number of messages left out."""
    context_length: int
    """Tokens that the model can read, prompt and reply together."""
    n_free: int
    """Longest next user message, in tokens, for which no message must be left out."""

    @property
    def n_used(self) -> int:
        """Tokens of the whole conversation."""
        return self.n_around + sum(self.n_tokens)


def measure_context(
    conversation: Conversation, tokenizer: Tokenizer, context_length: int, max_tokens: int | None
) -> ContextUse:
    """Measure the conversation as the last reply saw it, and that reply.

    Raises ConversationTooLong if the conversation is too long for any reply.
    """
    answered = [index for index, message in enumerate(conversation) if message.role in ANSWERED]
    seen = list(conversation)
    n_cut = 0
    if answered:
        n_prompt = answered[-1] + 1  # messages in the prompt of the last reply
        fitted = fit_to_context(conversation[:n_prompt], tokenizer, context_length, max_tokens)
        seen = [*fitted.messages, *conversation[n_prompt:]]
        n_cut = fitted.n_cut
    lengths = [len(render_turns(seen[:n], tokenizer).token_ids) for n in range(1, len(seen) + 1)]
    n_around = len(render_turns([], tokenizer).token_ids)
    n_tokens = [after - before for before, after in pairwise([n_around, *lengths])]
    n_empty_question = len(render_prompt([Message("user", "")], tokenizer)) - n_around
    n_room = room_for_prompt(context_length, max_tokens)
    n_free = n_room - (n_around + sum(n_tokens)) - n_empty_question
    return ContextUse(seen, n_tokens, n_around, n_cut, context_length, max(n_free, 0))
