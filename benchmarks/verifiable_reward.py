"""Teach a starter by rewards that a rule checks (GRPO); it takes the exam before and after.

    python benchmarks/verifiable_reward.py runs/starter/sft OUT [--recipe NAME] [--seeds 3]
        [KEY=VALUE ...]

Each seed runs the recipe, tool-calls-grpo or arithmetic-grpo; KEY=VALUE are further settings of it,
such as grpo.loop.steps=50. The exam asks 300 held-out questions for each skill of the starter, and
makes 300 held-out requests for tools; both models answer all of them with their most probable
tokens, and the differences are paired. Prints a table of the seeds and one of the skills, and
writes OUT/results.json. What is finished in OUT is not repeated.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chatwright import starter
from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.data.rows import Location, PromptRow
from chatwright.evaluation.interval import wilson
from chatwright.evaluation.paired import PairedScores, paired_scores
from chatwright.evaluation.starter import is_right
from chatwright.pipeline.evaluate import EXAM_ITEMS_PER_SKILL, reply_greedily
from chatwright.starter.prompts import draw_tool_prompts
from chatwright.training.reward_sources import tool_call

TOOL_REQUESTS = "tool_requests"
LEARNED = {"tool-calls-grpo": TOOL_REQUESTS, "arithmetic-grpo": "arithmetic"}
"""The skill that each recipe teaches."""
LARGEST_FALL = 0.02
"""Other skills may lose at most this share of right answers."""


def take_exam(model: Path, record: Path) -> dict[str, list[bool]]:
    """Return which answers of each skill are right, and keep them in the file `record`."""
    if not record.exists():
        items = starter.exam_items(n_per_skill=EXAM_ITEMS_PER_SKILL)
        loaded, tokenizer = model_directory.load(model)
        requests = tool_requests()
        prompts = [item.messages for item in items] + [row.messages for row in requests]
        replies = reply_greedily(loaded, tokenizer, prompts)
        rights: dict[str, list[bool]] = {}
        for item, reply in zip(items, replies, strict=False):
            rights.setdefault(item.skill, []).append(is_right(item, reply))
        rights[TOOL_REQUESTS] = [
            tool_call(row, reply.message) == 1.0
            for row, reply in zip(requests, replies[len(items) :], strict=True)
        ]
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(rights), encoding="utf-8")
    found: dict[str, list[bool]] = json.loads(record.read_text(encoding="utf-8"))
    return found


def tool_requests() -> list[PromptRow]:
    """Return the held-out requests with the right calls."""
    rows = draw_tool_prompts(starter.make_fact_table(), EXAM_ITEMS_PER_SKILL, held_out=True)
    return [
        PromptRow((Message("user", row["prompt"]),), Location("held out"), row["answer"])
        for row in rows
    ]


def train(recipe: str, start: Path, out: Path, seed: int, settings: list[str]) -> Path:
    """Run the recipe unless it is finished; return the directory of its last stage."""
    command = [sys.executable, "-m", "chatwright", "run", recipe, "--from", str(start)]
    command += ["--out", str(out), f"grpo.loop.seed={seed}", *settings]
    subprocess.run(command, check=True)
    return out / "grpo"


def log_figures(run: Path) -> dict[str, float]:
    """Return seconds, shares of the time, and validation rewards of a finished run."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "generation_seconds" in row]
    evaluated = [row for row in rows if "validation_reward" in row]
    [rule] = {"validation_reward_right_number", "validation_reward_tool_call"} & {*evaluated[0]}
    seconds = steps[-1]["seconds"]
    shares = {
        name: sum(row[f"{name}_seconds"] for row in steps) / seconds
        for name in ("generation", "scoring")
    }
    return {
        "seconds": seconds,
        **shares,
        "update": 1 - sum(shares.values()),
        "sampled_before": evaluated[0][rule],
        "sampled_after": evaluated[-1][rule],
        "equal_groups": sum(row["equal_groups"] for row in steps) / len(steps),
        "kl": steps[-1]["kl"],
    }


def share(rights: list[bool]) -> str:
    """Return the share of right answers with its 95 % interval."""
    low, high = wilson(sum(rights), len(rights))
    return f"{sum(rights) / len(rights):.3f} ({low:.3f} to {high:.3f})"


def row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def print_tables(
    learned: str, before: dict[str, list[bool]], runs: dict[int, dict[str, Any]]
) -> None:
    """Print the table of the seeds and that of the skills."""
    row("seed", "exam before", "exam after", "sampled before, after", "seconds", "generation",
        "scoring", "update", "equal groups")  # fmt: skip
    row(*["---"] * 9)
    for seed, run in runs.items():
        figures = run["figures"]
        times = [f"{figures[name]:.0%}" for name in ("generation", "scoring", "update")]
        sampled = f"{figures['sampled_before']:.3f}, {figures['sampled_after']:.3f}"
        exam = [share(before[learned]), share(run["rights"][learned])]
        equal = f"{figures['equal_groups']:.0%}"
        row(seed, *exam, sampled, f"{figures['seconds']:.0f}", *times, equal)
    print()
    row("skill", "before", *(f"change, seed {seed}" for seed in runs))
    row(*["---"] * (2 + len(runs)))
    for skill, rights in before.items():
        row(skill, share(rights), *(change(rights, run["rights"][skill]) for run in runs.values()))


def change(before: list[bool], after: list[bool]) -> str:
    """Return the paired difference with its interval, marked if it is a fall beyond the limit."""
    scores: PairedScores = paired_scores(before, after)
    low, high = scores.interval
    mark = " **fell**" if scores.difference < -LARGEST_FALL else ""
    return f"{scores.difference:+.3f} ({low:+.3f} to {high:+.3f}){mark}"


def main() -> None:
    """Train every seed, take the exams and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", choices=LEARNED, default="tool-calls-grpo")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    arguments, settings = parser.parse_known_args()
    before = take_exam(arguments.start, arguments.out / "before.json")
    runs: dict[int, dict[str, Any]] = {}
    for seed in range(1, arguments.seeds + 1):
        out = arguments.out / f"seed-{seed}"
        run = train(arguments.recipe, arguments.start, out, seed, settings)
        runs[seed] = {"figures": log_figures(run), "rights": take_exam(run, out / "exam.json")}
    (arguments.out / "results.json").write_text(json.dumps(runs), encoding="utf-8")
    print_tables(LEARNED[arguments.recipe], before, runs)


if __name__ == "__main__":
    main()
