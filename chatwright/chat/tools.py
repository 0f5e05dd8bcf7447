"""The interface of the tools that an assistant may run."""

from typing import Protocol

from chatwright.conversation import ToolCall

MAX_TOOL_CALLS = 4
"""Maximum number of tool calls run in one reply; some models would call tools forever."""


class Tools(Protocol):
    """The tools that an assistant may run."""

    def run(self, call: ToolCall) -> str:
        """Return the result as text. Report failures as text too, so that the model reads them."""
        ...
