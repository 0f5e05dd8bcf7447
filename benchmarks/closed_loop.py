"""Measure DPO, PPO and GRPO from one SFT starter, by a judge that shares no rule with the reward.

    python benchmarks/closed_loop.py runs/starter/sft OUT [dpo grpo ppo]

The steps: prompts in three parts, feedback of simulated raters, a reward model, one training per
method, and a comparison of each with the start on held-out prompts. Every step that is finished is
kept in OUT, so a stopped measurement continues. The table is in OUT/table.md.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

N_RANKING = 2000
N_JUDGE_PROMPT = 320
METHODS: dict[str, list[str]] = {
    "dpo": ["loop.steps=200", "loop.optimizer.learning_rate=1e-4", "beta=0.1"],
    "grpo": ["loop.steps=100", "loop.optimizer.learning_rate=2e-4"],
    "ppo": ["loop.steps=100", "loop.optimizer.learning_rate=1e-4"],
}


def run(out: Path, name: str, *arguments: object) -> float:
    """Run a command unless its result is kept; return its seconds."""
    record = out / f"{name}.seconds"
    if record.exists():
        return float(record.read_text())
    command = ["chatwright", *map(str, arguments)]
    print("$", " ".join(command), flush=True)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", *command], check=True)
    seconds = time.monotonic() - began
    record.write_text(f"{seconds:.1f}")
    return seconds


def collect(out: Path, start: Path) -> None:
    """Write prompts and feedback, and train the reward model."""
    prompts = out / "prompts"
    run(out, "prompts", "feedback", "prompts", prompts, "--judge", N_JUDGE_PROMPT)
    simulate = ("feedback", "simulate", start)
    run(out, "feedback", *simulate, out / "feedback.jsonl", "--pairs", N_RANKING)
    reward = ("train", "reward", "--from", start, "--data", out / "feedback.jsonl")
    run(out, "reward", *reward, "--out", out / "reward")


def train(out: Path, start: Path, method: str) -> float:
    """Train one method; return its seconds."""
    data = [out / "feedback.jsonl"]
    reward = []
    if method != "dpo":
        data = [out / "prompts" / "training.jsonl"]
        reward = [f"reward.model={out / 'reward'}"]
    command = ("train", method, "--from", start, "--data", *data, "--out", out / method)
    return run(out, method, *command, *reward, *METHODS[method])


def compare(out: Path, start: Path, method: str) -> dict[str, Any]:
    """Compare a trained model with the start."""
    folder = out / f"compare-{method}"
    options = ("--prompts", out / "prompts" / "judge.jsonl", "--rules", "starter")
    options += ("--samples", "4", "--skills", "100", "--out", folder)
    run(out, f"compare-{method}", "compare", start, out / method, *options)
    result: dict[str, Any] = json.loads((folder / "comparison.json").read_text())
    return result


def main(start: Path, out: Path, methods: list[str]) -> None:
    """Measure and write the table."""
    out.mkdir(parents=True, exist_ok=True)
    collect(out, start)
    for method in methods:
        seconds = train(out, start, method)
        result = compare(out, start, method)
        with (out / "table.md").open("a") as table:
            table.write(f"{method}: {seconds:.0f} s\n{json.dumps(result, indent=1)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or list(METHODS))
