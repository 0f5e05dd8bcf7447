"""Measure DPO, PPO and GRPO from one SFT starter, by a judge that shares no rule with the reward.

    python benchmarks/closed_loop.py runs/starter/sft OUT [dpo grpo ppo]

The steps: prompts in three parts, feedback of simulated raters, a reward model, one training per
method, and a comparison of each with the start on held-out prompts. Every step that is finished is
kept in OUT, so a stopped measurement continues. The table is in OUT/table.md.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from chatwright.pipeline.compare import KEPT_FILE
from chatwright.training import metrics

N_RANKING = 3000
N_REPLY = 6
N_JUDGE_PROMPT = 400
N_SKILL_ITEM = 100
METHODS: dict[str, list[str]] = {
    "dpo": [
        "loop.steps=200",
        "loop.optimizer.learning_rate=3e-4",
        "batches.rows=32",
        "sft_weight=1",
    ],
    "grpo": ["loop.steps=100", "loop.optimizer.learning_rate=2e-4", "rollouts.prompts=48"],
    "ppo": ["loop.steps=300", "loop.optimizer.learning_rate=5e-5", "rollouts.prompts=32"],
}
COLUMNS = (
    "method", "seconds", "sampled replies", "KL", "win rate", "ties", "length-controlled",
    "correctness alone", "least without one rule", "tokens", "skills that fell",
)  # fmt: skip


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
    sizes = ("--judge", N_JUDGE_PROMPT, "--training", 10_000)
    run(out, "prompts", "feedback", "prompts", prompts, *sizes)
    simulate = ("feedback", "simulate", start, out / "feedback.jsonl")
    run(out, "feedback", *simulate, "--pairs", N_RANKING, "--replies", N_REPLY)
    reward = ("train", "reward", "--from", start, "--data", out / "feedback.jsonl")
    run(out, "reward", *reward, "--out", out / "reward")


def train(out: Path, start: Path, method: str) -> float:
    """Train one method; return its seconds."""
    data = out / "feedback.jsonl"
    reward = []
    if method != "dpo":
        data = out / "prompts" / "training.jsonl"
        reward = [f"reward.model={out / 'reward'}"]
    command = ("train", method, "--from", start, "--data", data, "--out", out / method)
    return run(out, method, *command, *reward, *METHODS[method])


def compare(out: Path, start: Path, method: str) -> dict[str, Any]:
    """Compare a trained model with the start."""
    folder = out / f"compare-{method}"
    for other in out.glob(f"compare-*/{KEPT_FILE}"):
        if not (folder / KEPT_FILE).exists():  # the start's replies are sampled once
            folder.mkdir(exist_ok=True)
            shutil.copy(other, folder / KEPT_FILE)
    options = ("--prompts", out / "prompts" / "judge.jsonl", "--rules", "starter")
    options += ("--samples", "4", "--skills", N_SKILL_ITEM, "--out", folder)
    run(out, f"compare-{method}", "compare", start, out / method, *options)
    result: dict[str, Any] = json.loads((folder / "comparison.json").read_text())
    return result


def row(out: Path, method: str, seconds: float, result: dict[str, Any]) -> list[str]:
    """Return the cells of a method in the table."""
    without = min(result["without_rule"].items(), key=lambda item: item[1]["win_rate"])
    controlled = result["length_controlled"]
    fallen = [
        f"{name} {100 * scores['difference']:+.1f} (p = {scores['p_value']:.3f})"
        for name, scores in result["skills"].items()
        if scores["difference"] < -0.02
    ]
    return [
        method,
        f"{seconds:.0f}",
        str(_n_reply(out / method)),
        _last_kl(out / method),
        _rate(result),
        f"{result['tie_rate']:.1%}",
        "" if controlled is None else f"{controlled['value']:.1%}",
        _rate(result["correctness"]),
        f"{without[0]}: {_rate(without[1])}",
        f"{result['first']['tokens']:.1f} -> {result['second']['tokens']:.1f}",
        ", ".join(fallen) or "none",
    ]


def _rate(figures: dict[str, Any]) -> str:
    return f"{figures['win_rate']:.1%} ({figures['low']:.1%} to {figures['high']:.1%})"


def _records(run: Path) -> list[dict[str, Any]]:
    return metrics.read(run / "metrics.jsonl")


def _last_kl(run: Path) -> str:
    """Return the last KL divergence from the start in nats per reply, if the method measures it."""
    values = [r["validation_kl"] for r in _records(run) if "validation_kl" in r]
    return f"{values[-1]:.2f}" if values else "not measured"


def _n_reply(run: Path) -> int:
    """Return the number of replies that the model wrote during the training."""
    settings = json.loads((run / "run.json").read_text())["stage"]
    rollouts, update = settings.get("rollouts"), settings.get("update")
    if not rollouts or not update:
        return 0
    n_step = max(r["step"] for r in _records(run))
    n_batch = n_step // (update["epochs"] * update["steps_per_epoch"])
    return int(n_batch * rollouts["prompts"] * rollouts["samples"])


def main(start: Path, out: Path, methods: list[str]) -> None:
    """Measure and write the table."""
    out.mkdir(parents=True, exist_ok=True)
    collect(out, start)
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for method in methods:
        seconds = train(out, start, method)
        cells = row(out, method, seconds, compare(out, start, method))
        lines.append(f"| {' | '.join(cells)} |")
        (out / "table.md").write_text("\n".join(lines) + "\n")
        print(lines[-1], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or list(METHODS))
