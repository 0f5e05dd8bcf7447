"""What lies outside the starter's model: weather, prices and opening hours, there to be fetched with COMMAND=... and never remembered.

A pretended outside, like the world itself: drawn from the target's name and, for what changes from day to day, the date. Nothing is asked of
any network, and the same question on the same day gets the same answer.
"""

import random
from collections.abc import Callable
from datetime import date

from chatwright.conversation import ToolCall
from chatwright.starter.conversations.commands import HOURS, SOURCES, Fetch, drawn_values
from chatwright.tokenizer.tool_call_text import write_tool_call


class Outside:
    """The starter's `chat.assistant.Tools`."""

    def __init__(self, today: Callable[[], date] = date.today) -> None:
        self.today = today

    def run(self, call: ToolCall) -> str:
        command = write_tool_call(call)
        name, _, target = command.removeprefix("COMMAND=").strip().partition(" ")
        source = next((source for source in SOURCES if source.name == name), None)
        if source is None or not target.strip():
            return f'{name or "COMMAND"}: "not known here; what can be fetched is {", ".join(f"{source.name} of something" for source in SOURCES)}"'
        day = "" if source is HOURS else self.today().isoformat()
        values = drawn_values(
            random.Random(f"starter-outside {name} {target.strip().lower()} {day}")
        )
        return Fetch(source, target.strip(), values).result.tool_results[0].content
