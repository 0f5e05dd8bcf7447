"""The starter's outside answers what its model was taught to ask for, in the words it was taught to read."""

import random
import re
from datetime import date
from pathlib import Path

import pytest

from chatwright.cli.load_model import is_starter
from chatwright.starter import Outside, make_world, write
from chatwright.starter.conversations.commands import draw
from chatwright.tokenizer.tool_call_text import read_tool_call

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def test_every_command_that_is_taught_gets_a_result_of_the_taught_form() -> None:
    world, rng = make_world(0.2, 0), random.Random(1)
    for _ in range(300):
        fetch = draw(world, rng, held_out=rng.random() < 0.5)
        found = Outside(lambda: MONDAY).run(fetch.command.tool_calls[0])
        pattern = {
            "FETCH_WEATHER_DATA": r'FETCH_WEATHER_DATA: "\d+ F, [a-z ]+, wind \d+ mph"',
            "FETCH_PRICE": r'FETCH_PRICE: "\d+ coins, \d+ in stock"',
            "FETCH_OPENING_HOURS": r'FETCH_OPENING_HOURS: "opens \d+:\d\d, closes \d+:\d\d, phone \d{4}"',
        }[fetch.source.name]
        assert re.fullmatch(pattern, found)
        assert re.fullmatch(pattern, fetch.result.tool_results[0].content)


def test_a_day_has_one_weather_and_the_next_another_while_shops_keep_their_hours() -> None:
    towns = [f"Town{i}" for i in range(20)]
    for name, changes in (
        ("FETCH_WEATHER_DATA", True),
        ("FETCH_PRICE", True),
        ("FETCH_OPENING_HOURS", False),
    ):
        monday, again, tuesday = (
            [
                Outside(lambda day=day: day).run(read_tool_call(f"COMMAND={name} {town}"))
                for town in towns
            ]  # type: ignore[misc]
            for day in (MONDAY, MONDAY, TUESDAY)
        )
        assert monday == again
        assert (monday != tuesday) is changes
        assert len(set(monday)) > 15
    simulated_tools = Outside(lambda: MONDAY)
    lamps = ["COMMAND=FETCH_PRICE the Lamp ", "COMMAND=FETCH_PRICE the lamp"]
    assert len({simulated_tools.run(read_tool_call(lamp)) for lamp in lamps}) == 1


@pytest.mark.parametrize(
    "command", ["COMMAND=FETCH_NEWS today", "COMMAND=", "", "COMMAND=FETCH_PRICE"]
)
def test_what_is_not_known_is_said_as_a_result(command: str) -> None:
    assert "not known here" in Outside().run(read_tool_call(command))


def test_only_what_a_starter_recipe_built_has_this_outside(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "starter" / "world" / "world", 0.02, 0, n_per_skill=1)
    for place in ("sft", "sft/model", "pretrain/checkpoints/step-00000200"):
        assert is_starter(tmp_path / "runs" / "starter" / place)
    assert not is_starter(tmp_path / "runs" / "mine" / "sft")
