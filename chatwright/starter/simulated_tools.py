"""Simulated tools for models trained on the starter corpus: weather, prices, opening hours.

The values are drawn from the name of the town, object or shop and, where they change daily, from
the date. The same call on the same day returns the same result. No network is used.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from chatwright.conversation import ToolCall
from chatwright.starter.word_lists import VALUES
from chatwright.tokenizer.tool_call_text import write_tool_call


@dataclass(frozen=True, kw_only=True)
class SimulatedTool:
    """One tool: its name, and the values in its result."""

    name: str
    patterns: str
    """The table of `patterns/tool_calls.toml` with the questions that need the tool."""
    result: str
    """A template with a slot for every value."""
    reply_values: tuple[str, ...]
    """The values that a good reply gives."""
    extra_value: str
    """A value of the result that a good reply leaves out."""
    changes_daily: bool = True

    def result_text(self, values: dict[str, str]) -> str:
        """Return the result as the tool writes it."""
        return f'{self.name}: "{self.result.format(**values)}"'


WEATHER = SimulatedTool(
    name="FETCH_WEATHER_DATA",
    patterns="weather",
    result="{temperature} F, {condition}, wind {wind} mph",
    reply_values=("temperature", "condition"),
    extra_value="wind",
)
PRICE = SimulatedTool(
    name="FETCH_PRICE",
    patterns="prices",
    result="{price} coins, {stock} in stock",
    reply_values=("price",),
    extra_value="stock",
)
OPENING_HOURS = SimulatedTool(
    name="FETCH_OPENING_HOURS",
    patterns="opening_hours",
    result="opens {opens}, closes {closes}, phone {phone}",
    reply_values=("opens", "closes"),
    extra_value="phone",
    changes_daily=False,
)
TOOLS = (WEATHER, PRICE, OPENING_HOURS)


def draw_values(rng: random.Random) -> dict[str, str]:
    """Draw values for every tool.

    The numbers in one tool's result differ, so that a reply shows which of them was read.
    """
    opening_hour = rng.randint(6, 11)
    values = {
        "temperature": str(rng.randint(5, 99)),
        "condition": rng.choice(VALUES["conditions"]),
        "wind": str(rng.randint(1, 30)),
        "price": str(rng.randint(2, 99)),
        "stock": str(rng.randint(1, 99)),
        "opens": f"{opening_hour}:{rng.choice(('00', '15', '30'))}",
        "closes": f"{rng.randint(13, 20)}:{rng.choice(('00', '15', '30'))}",
        "phone": str(rng.randint(1000, 9999)),
    }
    while values["stock"] == values["price"]:
        values["stock"] = str(rng.randint(1, 99))
    while values["wind"] == values["temperature"]:
        values["wind"] = str(rng.randint(1, 30))
    return values


class SimulatedTools:
    """The simulated tools, with the interface `chat.tools.Tools`."""

    def __init__(self, today: Callable[[], date] = date.today) -> None:
        """Use `today` to get the date, which the daily values depend on."""
        self.today = today

    def run(self, call: ToolCall) -> str:
        """Run a tool call and return its result.

        For an unknown tool or a call without an argument, the result lists the known tools.
        """
        name, _, argument = write_tool_call(call).removeprefix("COMMAND=").strip().partition(" ")
        argument = argument.strip()
        tool = next((tool for tool in TOOLS if tool.name == name), None)
        if tool is None or not argument:
            known = ", ".join(f"{tool.name} of something" for tool in TOOLS)
            return f'{name or "COMMAND"}: "not known here; what can be fetched is {known}"'
        day = self.today().isoformat() if tool.changes_daily else ""
        rng = random.Random(f"starter-outside {name} {argument.lower()} {day}")
        return tool.result_text(draw_values(rng))
