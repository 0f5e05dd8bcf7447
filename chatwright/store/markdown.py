"""A branch of a conversation as Markdown, for people to read and keep."""

from collections.abc import Sequence

from chatwright.conversation import File, Image, Part, Text, Thinking, ToolCall, ToolResult
from chatwright.store.messages import StoredMessage

TITLES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}


def branch_to_markdown(title: str, branch: Sequence[StoredMessage]) -> str:
    """Return the title and the messages, each under its role. Texts stay as they are."""
    pieces = [f"# {' '.join(title.split()) or 'Conversation'}"]
    for stored in branch:
        model = f" ({stored.origin.model})" if stored.origin.model else ""
        pieces.append(f"## {TITLES[stored.message.role]}{model}")
        pieces += [_part(part) for part in stored.message.parts]
    return "\n\n".join(pieces) + "\n"


def _part(part: Part) -> str:
    match part:
        case Text(text):
            return text
        case Thinking(text):
            return "\n".join(f"> {line}" for line in text.split("\n"))
        case ToolCall():
            return f"Tool call `{part.name}`:\n\n{_fenced(part.arguments)}"
        case ToolResult(_, content):
            return _fenced(content)
        case File(name, _, data):
            return f"File `{name}`, {len(data):,} bytes"
        case Image(data, media_type):
            return f"Image, {media_type}, {len(data):,} bytes"


def _fenced(text: str) -> str:
    """Return a text as a code block, with a fence that does not occur in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"
