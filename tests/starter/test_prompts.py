"""Prompts with a checkable answer: right, different, and never a problem of the exam."""

import json
import re
from pathlib import Path
from typing import Any

from chatwright.pipeline.prepared_stage import StageInputs
from chatwright.pipeline.stages.starter import StarterConfig, prepare
from chatwright.starter import make_fact_table
from chatwright.starter.prompts import draw_prompts, draw_tool_prompts, write_prompts
from chatwright.starter.simulated_tools import TOOLS
from chatwright.starter.split import is_held_out
from chatwright.tokenizer.tool_call_text import read_tool_call
from chatwright.training.watcher import Watcher


def problem_of(question: str) -> tuple[int, int]:
    first, second = map(int, re.findall(r"\d+", question))
    return first, second


def test_every_answer_is_the_sum_or_the_difference_of_the_two_numbers() -> None:
    for row in draw_prompts(2000):
        a, b = problem_of(row["prompt"])
        assert int(row["answer"]) in (a + b, abs(a - b))


def test_no_problem_is_held_out_for_the_exam() -> None:
    """The operation is that which gives the answer; where both do, one of them is not held out."""
    for row in draw_prompts(2000):
        smaller, larger = sorted(problem_of(row["prompt"]))
        answer = int(row["answer"])
        signs = [s for s, r in (("+", smaller + larger), ("-", larger - smaller)) if r == answer]
        is_free = [not is_held_out(f"{smaller}{sign}{larger}") for sign in signs]
        assert larger <= 9 or any(is_free)


def test_prompts_repeat_for_a_seed_and_differ_between_seeds(tmp_path: Path) -> None:
    first = list(draw_prompts(50, 1))
    assert list(draw_prompts(50, 1)) == first
    assert list(draw_prompts(50, 2)) != first
    write_prompts(tmp_path / "p.jsonl", first)
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == first


def test_the_stage_writes_them_beside_the_corpus_if_asked(tmp_path: Path) -> None:
    config = StarterConfig(size=0.01, prompts=20, tool_prompts=30)
    inputs = StageInputs(out=tmp_path, watcher=Watcher())
    prepare(config, inputs).run(tmp_path, Watcher())
    assert len((tmp_path / "world" / "prompts.jsonl").read_text().splitlines()) == 20
    assert len((tmp_path / "world" / "tools.jsonl").read_text().splitlines()) == 30


def argument_of(row: dict[str, Any]) -> str:
    return str(row["answer"].split(" ", 1)[1])


def test_held_out_requests_share_no_wording_and_no_target_with_training() -> None:
    table = make_fact_table(0.1)
    training = list(draw_tool_prompts(table, 2000))
    held_out = list(draw_tool_prompts(table, 500, held_out=True))
    assert not {argument_of(row) for row in training} & {argument_of(row) for row in held_out}

    def wordings(rows: list[dict[str, Any]]) -> set[str]:
        return {row["prompt"].lower().replace(argument_of(row).lower(), "") for row in rows}

    assert not wordings(training) & wordings(held_out)
    assert len(wordings(training)) > 30


def test_every_call_is_of_a_simulated_tool_and_names_what_the_request_asks_about() -> None:
    names = {tool.name for tool in TOOLS}
    for row in draw_tool_prompts(make_fact_table(0.1), 300):
        call = read_tool_call(row["answer"])
        assert call.name in names
        assert argument_of(row).lower() in row["prompt"].lower()
