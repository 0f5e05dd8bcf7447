"""Short constructors for the messages of the starter's conversations."""

from chatwright.conversation import Message


def user(content: str) -> Message:
    """A message of the user."""
    return Message("user", content)


def assistant(content: str) -> Message:
    """A reply of the assistant."""
    return Message("assistant", content)


def wrong_reply(content: str) -> Message:
    """A wrong reply that the user corrects later. Training shows it without learning it."""
    return Message("assistant", content, is_learned=False)


def tool_call(name: str, target: str) -> Message:
    """A request of the assistant to run the tool `name` on `target`."""
    return Message("command", f"COMMAND={name} {target}")


def tool_result(content: str) -> Message:
    """The result of a tool call."""
    return Message("result", content)
