"""Read a whole reply from its token ids, and know which ids end one.

`chat/reply_stream.py` does the same for a reply that is still being sampled.
"""

from collections.abc import Sequence

from chatwright.conversation import Message, assistant_message
from chatwright.tokenizer.chat_format import ChatFormat
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import tool_call_message


def reply_stop_ids(tokenizer: Tokenizer, may_call_tool: bool = True) -> list[int]:
    """Return the ids that end a reply: every control token but those that belong into a reply.

    A model that writes the marker of a user turn would write the user's turn next.
    """
    chat_format = tokenizer.chat_format
    stop_ids = {*tokenizer.control.all(), *(chat_format.stop_ids if chat_format else ())}
    if chat_format and may_call_tool:
        calls = chat_format.tools.call_ids if chat_format.tools else ()
        stop_ids -= {chat_format.tool_call, *chat_format.thinking_ids, *calls}
    return sorted(stop_ids)


def read_reply(token_ids: Sequence[int], tokenizer: Tokenizer) -> Message:
    """Return the message that a reply's token ids stand for: a text or a tool call."""
    chat_format = tokenizer.chat_format
    assert chat_format is not None, "only a model with a chat format replies"
    is_tool_call = bool(token_ids) and token_ids[0] == chat_format.tool_call
    text = _text(token_ids[is_tool_call:], tokenizer, chat_format)
    if is_tool_call:
        return tool_call_message(text)
    return assistant_message(*_split_thinking(text, chat_format))


def _text(token_ids: Sequence[int], tokenizer: Tokenizer, chat_format: ChatFormat) -> str:
    """Decode up to the first token that ends the reply."""
    content = b""
    for token_id in token_ids:
        if token_id in chat_format.thinking_ids:
            content += chat_format.thinking_ids[token_id].encode()
        elif token_id in chat_format.stop_ids or tokenizer.control.name_of(token_id) is not None:
            break
        else:
            content += tokenizer.token_bytes(token_id)
    space = chat_format.layout.reply_space
    prefix = tokenizer.prefix if space is None else space
    return content.removeprefix(prefix.encode()).decode("utf-8", errors="replace")


def _split_thinking(text: str, chat_format: ChatFormat) -> tuple[str, str]:
    """Return (thinking, answer), without the line ends around the thinking."""
    if chat_format.thinking_tags is None:
        return "", text
    begin, end = chat_format.thinking_tags
    if not chat_format.layout.opens_thinking:
        if not text.lstrip().startswith(begin):
            return "", text
        text = text.lstrip().removeprefix(begin)
    thinking, _, answer = text.partition(end)
    return thinking.strip("\n"), answer.lstrip("\n")
