"""How much of what the model can see a conversation takes, counted with the renderer that serves the reply."""

from dataclasses import dataclass
from itertools import pairwise

from chatwright.chat.context_window import fit, room_for_prompt
from chatwright.conversation import Conversation, Message
from chatwright.tokenizer.chat_template import render_prompt, render_turns
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text

EXCERPT = 60  # characters of a message that `lines` shows


@dataclass(frozen=True)
class ContextUse:
    messages: list[Message]  # what the model sees, the system message among it
    n_tokens: list[int]  # of each of them
    n_around: int  # of what stands before every conversation
    n_cut: int  # messages left out
    context_length: int
    n_free: int  # tokens of a next question that would push nothing out

    @property
    def used(self) -> int:
        return self.n_around + sum(self.n_tokens)

    def __str__(self) -> str:
        return f"context {self.used} of {self.context_length} tokens"

    def lines(self) -> list[str]:
        """What is seen, message by message, and how much is left."""
        shown = [f"The oldest {self.n_cut} messages are left out."] if self.n_cut else []
        for message, n_token in zip(self.messages, self.n_tokens, strict=True):
            text = " ".join(message_text(message).split())
            shown.append(
                f"{message.role:9} {n_token:6} tokens  {text[:EXCERPT] + '...' if len(text) > EXCERPT else text}"
            )
        left = (
            f"a question of up to {self.n_free} tokens pushes nothing out"
            if self.n_free
            else "the next question pushes the oldest out"
        )
        return [*shown, f"{self}; {max(self.context_length - self.used, 0)} are left: {left}."]


def measure(
    conversation: Conversation, tokenizer: Tokenizer, context_length: int, max_tokens: int | None
) -> ContextUse:
    """The conversation as the last reply saw it, and that reply. ConversationTooLong where there could be none."""
    n_asked = 1 + max(
        (index for index, message in enumerate(conversation) if message.role in ("user", "tool")),
        default=-1,
    )
    seen, n_cut = list(conversation), 0
    if n_asked:
        fitted = fit(conversation[:n_asked], tokenizer, context_length, max_tokens)
        seen, n_cut = [*fitted.messages, *conversation[n_asked:]], fitted.n_cut
    lengths = [len(render_turns(seen[:n], tokenizer).token_ids) for n in range(1, len(seen) + 1)]
    n_around = len(render_turns([], tokenizer).token_ids)
    n_tokens = [after - before for before, after in pairwise([n_around, *lengths])]
    around_a_question = len(render_prompt([Message("user", "")], tokenizer)) - n_around
    n_free = (
        room_for_prompt(context_length, max_tokens) - (n_around + sum(n_tokens)) - around_a_question
    )
    return ContextUse(seen, n_tokens, n_around, n_cut, context_length, max(n_free, 0))
