"""The table that /context shows: the tokens of each message that the model sees."""

from chatwright.chat.context_meter import ContextUse
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text

EXCERPT = 60
"""Characters shown of each message."""


def context_summary(use: ContextUse) -> str:
    """Return one line: tokens used and available."""
    return f"context {use.n_used} of {use.context_length} tokens"


def context_lines(use: ContextUse) -> list[str]:
    """Return one line per message, and how much is left."""
    lines = [f"The oldest {use.n_cut} messages are left out."] if use.n_cut else []
    for message, n_token in zip(use.messages, use.n_tokens, strict=True):
        text = " ".join(message_text(message).split())
        excerpt = text[:EXCERPT] + "..." if len(text) > EXCERPT else text
        lines.append(f"{turn_kind(message):9} {n_token:6} tokens  {excerpt}")
    if use.n_free:
        outlook = f"the next question may have {use.n_free} tokens before messages are left out"
    else:
        outlook = "with the next question the oldest messages are left out"
    n_left = max(use.context_length - use.n_used, 0)
    return [*lines, f"{context_summary(use)}, {n_left} left; {outlook}."]
