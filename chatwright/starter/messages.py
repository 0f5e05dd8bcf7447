"""The messages of the starter's conversations, and how the corpus files write them."""

from chatwright.conversation import Message, ToolCall, ToolResult


class WrongReply(Message):
    """A wrong reply that the user corrects later. Training shows it without learning it."""


def user(text: str) -> Message:
    """A message of the user."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """A reply of the assistant."""
    return Message("assistant", text)


def wrong_reply(text: str) -> Message:
    """A reply that training does not learn."""
    return WrongReply("assistant", text)


def tool_call(name: str, target: str) -> Message:
    """A request of the assistant to run the tool `name` on `target`."""
    return Message("assistant", (ToolCall("", name, {"text": target}),))


def tool_result(content: str) -> Message:
    """The result of the tool call before it."""
    return Message("tool", (ToolResult("", content),))


def file_role(message: Message) -> str:
    """The role in the corpus files, which write tool calls and results as roles of their own."""
    if message.tool_calls:
        return "command"
    return "result" if message.tool_results else message.role
