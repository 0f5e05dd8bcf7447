"""Teach a starter arithmetic by rewards for right answers; it takes the exam before and after.

    python benchmarks/arithmetic_grpo.py runs/starter/sft OUT [--seeds 1 2 3] [KEY=VALUE ...]

Each seed runs the recipe arithmetic-grpo; KEY=VALUE are further settings of it, such as
grpo.loop.steps=50. The exam asks 300 held-out questions for each skill; both models answer all of
them with their most probable tokens, and the differences are paired. Prints one table of the seeds
and one of the skills, and writes OUT/results.json. What is finished in OUT is not repeated.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chatwright import starter
from chatwright.checkpoint import model_directory
from chatwright.evaluation.interval import wilson
from chatwright.evaluation.paired import PairedScores, paired_scores
from chatwright.evaluation.starter import is_right
from chatwright.pipeline.evaluate import EXAM_ITEMS_PER_SKILL, reply_greedily

ARITHMETIC = "arithmetic"
LARGEST_FALL = 0.02
"""Other skills may lose at most this share of right answers."""


def take_exam(model: Path, record: Path) -> dict[str, list[bool]]:
    """Return which answers of each skill are right, and keep them in the file `record`."""
    if not record.exists():
        items = starter.exam_items(n_per_skill=EXAM_ITEMS_PER_SKILL)
        loaded, tokenizer = model_directory.load(model)
        replies = reply_greedily(loaded, tokenizer, [item.messages for item in items])
        rights: dict[str, list[bool]] = {}
        for item, reply in zip(items, replies, strict=True):
            rights.setdefault(item.skill, []).append(is_right(item, reply))
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(rights), encoding="utf-8")
    found: dict[str, list[bool]] = json.loads(record.read_text(encoding="utf-8"))
    return found


def train(start: Path, out: Path, seed: int, settings: list[str]) -> Path:
    """Run the recipe unless it is finished; return the directory of its last stage."""
    command = [sys.executable, "-m", "chatwright", "run", "arithmetic-grpo", "--from", str(start)]
    command += ["--out", str(out), f"grpo.loop.seed={seed}", *settings]
    subprocess.run(command, check=True)
    return out / "grpo"


def log_figures(run: Path) -> dict[str, float]:
    """Return seconds, shares of the time, and validation rewards of a finished run."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "generation_seconds" in row]
    evaluated = [row for row in rows if "validation_reward_right_number" in row]
    seconds = steps[-1]["seconds"]
    shares = {
        name: sum(row[f"{name}_seconds"] for row in steps) / seconds
        for name in ("generation", "scoring")
    }
    return {
        "seconds": seconds,
        **shares,
        "update": 1 - sum(shares.values()),
        "sampled_before": evaluated[0]["validation_reward_right_number"],
        "sampled_after": evaluated[-1]["validation_reward_right_number"],
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


def print_tables(before: dict[str, list[bool]], runs: dict[int, dict[str, Any]]) -> None:
    """Print the table of the seeds and that of the skills."""
    row("seed", "exam before", "exam after", "sampled before, after", "seconds", "generation",
        "scoring", "update", "equal groups")  # fmt: skip
    row(*["---"] * 9)
    for seed, run in runs.items():
        figures = run["figures"]
        times = [f"{figures[name]:.0%}" for name in ("generation", "scoring", "update")]
        sampled = f"{figures['sampled_before']:.3f}, {figures['sampled_after']:.3f}"
        exam = [share(before[ARITHMETIC]), share(run["rights"][ARITHMETIC])]
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments, settings = parser.parse_known_args()
    before = take_exam(arguments.start, arguments.out / "before.json")
    runs: dict[int, dict[str, Any]] = {}
    for seed in arguments.seeds:
        out = arguments.out / f"seed-{seed}"
        run = train(arguments.start, out, seed, settings)
        runs[seed] = {"figures": log_figures(run), "rights": take_exam(run, out / "exam.json")}
    (arguments.out / "results.json").write_text(json.dumps(runs), encoding="utf-8")
    print_tables(before, runs)


if __name__ == "__main__":
    main()
