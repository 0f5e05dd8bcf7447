"""The simulated tools answer every call in the training data, in the form of its results."""

import random
import re
from datetime import date
from pathlib import Path

import pytest

from chatwright.conversation import ToolCall
from chatwright.pipeline.starter_corpus import starter_corpus
from chatwright.starter import SimulatedTools, make_fact_table, write_corpus
from chatwright.starter.conversations.tool_calls import draw_call
from chatwright.tokenizer.tool_call_text import read_tool_call

MONDAY = date(2026, 11, 23)
TUESDAY = date(2026, 11, 24)
RESULT_PATTERNS = {
    "FETCH_WEATHER_DATA": r'FETCH_WEATHER_DATA: "\d+ F, [a-z ]+, wind \d+ mph"',
    "FETCH_PRICE": r'FETCH_PRICE: "\d+ coins, \d+ in stock"',
    "FETCH_OPENING_HOURS": (r'FETCH_OPENING_HOURS: "opens \d+:\d\d, closes \d+:\d\d, phone \d{4}"'),
}


def test_every_call_in_the_training_data_gets_a_result_of_the_same_form() -> None:
    table, rng = make_fact_table(size=0.2, seed=0), random.Random(1)
    for _ in range(300):
        call = draw_call(table, rng, for_exam=rng.random() < 0.5)
        pattern = RESULT_PATTERNS[call.tool.name]
        assert re.fullmatch(pattern, SimulatedTools(lambda: MONDAY).run(call.message.tool_calls[0]))
        assert re.fullmatch(pattern, call.result_message.tool_results[0].content)


@pytest.mark.parametrize(
    ("tool", "changes_daily"),
    [("FETCH_WEATHER_DATA", True), ("FETCH_PRICE", True), ("FETCH_OPENING_HOURS", False)],
)
def test_weather_and_prices_change_daily_and_opening_hours_do_not(
    tool: str, changes_daily: bool
) -> None:
    def results(day: date) -> list[str]:
        tools = SimulatedTools(lambda: day)
        return [tools.run(ToolCall("", tool, {"text": f"Town{i}"})) for i in range(20)]

    assert results(MONDAY) == results(MONDAY)
    assert (results(MONDAY) != results(TUESDAY)) is changes_daily
    assert len(set(results(MONDAY))) > 15


def test_letter_case_and_spaces_of_the_argument_do_not_change_the_result() -> None:
    tools = SimulatedTools(lambda: MONDAY)
    calls = [ToolCall("", "FETCH_PRICE", {"text": name}) for name in ("the Lamp ", "the lamp")]
    assert tools.run(calls[0]) == tools.run(calls[1])


@pytest.mark.parametrize(
    "command", ["COMMAND=FETCH_NEWS today", "COMMAND=", "", "COMMAND=FETCH_PRICE"]
)
def test_the_result_of_an_unknown_or_incomplete_call_says_so(command: str) -> None:
    assert "not known here" in SimulatedTools().run(read_tool_call(command))


def test_only_models_in_a_run_with_a_starter_corpus_get_the_simulated_tools(tmp_path: Path) -> None:
    runs = tmp_path / "home" / "runs"  # deep enough that the folders of other tests are not found
    write_corpus(runs / "starter" / "world" / "world", size=0.02, seed=0, n_per_skill=1)
    for path in ("sft", "sft/model", "pretrain/checkpoints/step-00000200"):
        assert starter_corpus(runs / "starter" / path)
    assert starter_corpus(runs / "mine" / "sft") is None
