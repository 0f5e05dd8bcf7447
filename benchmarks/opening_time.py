"""Measure the time from starting a process to the first token of a reply, and its memory.

    python benchmarks/opening_time.py DIR [--rounds 5] [--weights float32 int8 int4] [--cold]

Each measurement is a process of its own; the programs alternate. "imports" ends when the program's
libraries are imported, "opened" when the model can take a request. The prompt has 32 tokens. Our
engine opens as `chatwright serve` opens it, with the check of batch invariance; `--cold` makes the
whole check in each process instead of remembering it. Memory is the largest that the process held.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMPT = list(range(1000, 1032))
KINDS = ("imports", "opened", "first token")


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", nargs="+", default=["float32", "int8", "int4"])
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.directory, arguments.measure)))
        return
    programs = [*arguments.weights, "transformers"]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for index in range(arguments.rounds + 1):  # the first round fills the caches
            for name, results in runs.items():
                cache = Path(folder) / (str(index) if arguments.cold else "kept")
                results.append(measure_in_new_process(arguments.directory, name, cache))
    for name, results in runs.items():
        medians = {key: statistics.median(run[key] for run in results[1:]) for key in results[0]}
        times = ", ".join(f"{kind} {medians[kind]:.2f} s" for kind in KINDS)
        print(f"{name:14}{times}, {medians['memory']:.2f} GB at most")


def measure_in_new_process(directory: Path, name: str, cache: Path) -> dict[str, float]:
    """Run one measurement; times count from before the process starts."""
    began = time.time()
    run = subprocess.run(
        [sys.executable, __file__, str(directory), "--measure", name],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "CHATWRIGHT_CACHE": str(cache)},
    )
    times: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return {key: value - began if key in KINDS else value for key, value in times.items()}


def measure(directory: Path, name: str) -> dict[str, float]:
    """Open the model and generate one token; return the clock at each point."""
    times = transformers(directory) if name == "transformers" else chatwright(directory, name)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {**dict(zip(KINDS, times, strict=True)), "memory": peak}


def chatwright(directory: Path, weights: str) -> list[float]:
    """Open our engine as the server does."""
    from chatwright.engine.cache_plan import MemoryLimits
    from chatwright.engine.messages import Request, SamplingConfig
    from chatwright.pipeline.open_engine import open_text_model

    times = [time.time()]
    limits = MemoryLimits(weights=weights)
    engine = open_text_model(directory, limits, 8, lambda text: None, lambda text: None)
    times.append(time.time())
    engine.submit(Request(PROMPT, SamplingConfig(temperature=0, max_tokens=1)))
    while engine.has_work:
        engine.step()
    return [*times, time.time()]


def transformers(directory: Path) -> list[float]:
    """Open the model in transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    times = [time.time()]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    times.append(time.time())
    with torch.no_grad():
        model(input_ids=torch.tensor([PROMPT])).logits[:, -1].argmax().item()
    return [*times, time.time()]


if __name__ == "__main__":
    main()
