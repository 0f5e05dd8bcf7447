"""What a reply may be: free text, or text that follows a schema or a grammar."""

from __future__ import annotations

from dataclasses import dataclass

from chatwright.engine.messages import Constraint


@dataclass(frozen=True)
class ReplyForm:
    """What a reply may be. By default it is free text, or a tool call of the model's own choice."""

    constraint: Constraint | None = None
    """What the text of the answer may be; thinking before it is free."""


FREE = ReplyForm()
"""Any reply."""
