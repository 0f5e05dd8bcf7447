"""Prompts with a checkable answer: right, different, and never a problem of the exam."""

import json
import re
from pathlib import Path

from chatwright.pipeline.prepared_stage import StageInputs
from chatwright.pipeline.stages.starter import StarterConfig, prepare
from chatwright.starter.prompts import draw_prompts, write_prompts
from chatwright.starter.split import is_held_out
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
    write_prompts(tmp_path / "p.jsonl", 50, 1)
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == first


def test_the_stage_writes_them_beside_the_corpus_if_asked(tmp_path: Path) -> None:
    config = StarterConfig(size=0.01, prompts=20)
    inputs = StageInputs(out=tmp_path, watcher=Watcher())
    prepare(config, inputs).run(tmp_path, Watcher())
    assert len((tmp_path / "world" / "prompts.jsonl").read_text().splitlines()) == 20
