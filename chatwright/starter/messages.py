"""Create the messages of the starter corpus, and name their roles in the corpus files."""

from chatwright.conversation import Message, ToolCall, ToolResult


class WrongReply(Message):
    """A wrong reply that the user corrects later. Training shows it without learning it."""


def user(text: str) -> Message:
    """Return a message of the user."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """Return a reply of the assistant."""
    return Message("assistant", text)


def wrong_reply(text: str) -> Message:
    """Return a wrong reply, which training shows but does not learn."""
    return WrongReply("assistant", text)


def tool_call(name: str, argument: str) -> Message:
    """Return the assistant's call of the tool `name` with the text `argument`."""
    return Message("assistant", (ToolCall("", name, {"text": argument}),))


def tool_result(content: str) -> Message:
    """Return the result of the tool call before it."""
    return Message("tool", (ToolResult("", content),))


def file_role(message: Message) -> str:
    """Return the role in the corpus files: "command" for a tool call, "result" for its result."""
    if message.tool_calls:
        return "command"
    return "result" if message.tool_results else message.role
