"""What a reply may be: free text, text that follows a schema or a grammar, or calls of tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chatwright.conversation import ToolDefinition
from chatwright.engine.messages import Constraint

MAX_CALLS = 8
"""Most tool calls in one reply."""
ToolChoice = Literal["auto", "none", "required"]


@dataclass(frozen=True)
class ReplyForm:
    """What a reply may be. By default it is free text, or a tool call of the model's own choice."""

    constraint: Constraint | None = None
    """What the text of the answer may be; thinking before it is free."""
    tools: tuple[ToolDefinition, ...] = ()
    """The tools that the caller runs. Calls are of these tools, with arguments that fit them."""
    tool_choice: ToolChoice = "auto"
    """Whether the reply is text ("none"), calls ("required"), or what the model chooses."""
    tool_name: str = ""
    """The only tool that may be called; "" for any."""
    max_calls: int = MAX_CALLS
    """Most tool calls in the reply."""

    @property
    def callable_tools(self) -> tuple[ToolDefinition, ...]:
        """The tools that this reply may call."""
        if self.tool_choice == "none":
            return ()
        return tuple(tool for tool in self.tools if self.tool_name in ("", tool.name))


FREE = ReplyForm()
"""Any reply."""
