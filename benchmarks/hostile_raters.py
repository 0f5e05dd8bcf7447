"""Measure what hostile raters cost: the same replies, ranked with and without them.

    python benchmarks/hostile_raters.py runs/starter/sft OUT

20 simulated raters rank the same replies twice: all honest, and one of them (5 %) always reversing
the order. Each feedback trains a reward model and a policy (DPO). No rater is left out, which
`chatwright improve` would try. The reward models are measured on other prompts that honest raters
ranked without noise, the policies by win rate over the start. The result is in OUT/result.json.
"""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import tee
from pathlib import Path
from typing import Any

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.data.preferences import Ranking
from chatwright.data.snapshot import read_snapshot, write_snapshot
from chatwright.pipeline.collect import CollectConfig
from chatwright.pipeline.comparison.samples import open_engine
from chatwright.pipeline.improve.judge_check import judge_accuracy
from chatwright.pipeline.simulated_feedback import (
    SimulationConfig,
    rank_candidates,
    sample_candidates,
)
from chatwright.starter import make_fact_table
from chatwright.starter.feedback.raters import RaterSettings

HOSTILE = {"honest": 0.0, "hostile": 0.05}
N_RANKING = 1300
N_TEST = 200
N_RATER = 20
DPO = ("loop.steps=60", "loop.optimizer.learning_rate=1e-4", "batches.rows=64", "sft_weight=1")
"""A higher rate without `sft_weight` makes the replies worse (docs/LOG.md)."""


def sample_feedback(start: Path, out: Path) -> None:
    """Write the feedback of both groups of raters, and the feedback to test by."""
    if (out / "test.jsonl").exists():
        return
    model, tokenizer = model_directory.load(start)
    weights, table = model_directory.weights_hash(start), make_fact_table(1.0)
    config = SimulationConfig(
        n_ranking=N_RANKING, collect=CollectConfig(n_reply=8, n_attempt=1, temperature=1.0)
    )
    test = replace(
        config, n_ranking=N_TEST, part="validation", overlap=0.0, raters=RaterSettings(noise=0.0)
    )
    with open_engine(model, 64) as engine:
        assistant = Assistant(engine, tokenizer)
        copies = tee(sample_candidates(assistant, weights, table, config), len(HOSTILE))
        for sampled, (name, share) in zip(copies, HOSTILE.items(), strict=True):
            raters = RaterSettings(n_rater=N_RATER, hostile=share)
            found = rank_candidates(sampled, replace(config, raters=raters))
            write_snapshot(out / f"{name}.jsonl", found.rankings)
            print(f"{name}: {sum(len(r.pairs()) for r in found.rankings):,} pairs", flush=True)
        tested = rank_candidates(sample_candidates(assistant, weights, table, test), test)
        write_snapshot(out / "test.jsonl", tested.rankings)


def run(*arguments: object) -> None:
    """Run a command of Chatwright."""
    subprocess.run([sys.executable, "-m", "chatwright", *map(str, arguments)], check=True)


def main(start: Path, out: Path) -> None:
    """Sample, train twice, and compare."""
    out.mkdir(parents=True, exist_ok=True)
    sample_feedback(start, out)
    prompts = out / "prompts"
    if not prompts.exists():
        run("feedback", "prompts", prompts, "--judge", 300, "--training", 10)
    read = read_snapshot(out / "test.jsonl").feedback
    test = [item for item in read if isinstance(item, Ranking) and not item.is_tie]
    result: dict[str, Any] = {}
    for name in HOSTILE:
        data = ("--from", start, "--data", out / f"{name}.jsonl")
        # No rater is held out: else the hostile one may be, and both trainings read the same.
        run("train", "reward", *data, "--out", out / f"{name}-reward", "rater_share=0")
        run("train", "dpo", *data, "--out", out / f"{name}-dpo", *DPO)
        judged = ("--prompts", prompts / "judge.jsonl", "--rules", "starter")
        folder = out / f"{name}-compare"
        run("compare", start, out / f"{name}-dpo", *judged, "--out", folder)
        accuracy = judge_accuracy(out / f"{name}-reward", test)
        assert accuracy is not None, "the prompts of the starter fit into its context"
        result[name] = {
            "reward_accuracy": accuracy.as_metrics(),
            "win_rate": json.loads((folder / "comparison.json").read_text())["win_rate"],
        }
        print(json.dumps(result, indent=1), flush=True)
    (out / "result.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
