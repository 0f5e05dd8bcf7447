"""Compare the speed of decoding with other programs, in one run, by medians of paired rounds.

    python benchmarks/decode_speed.py DIR [--batches 1 8 32] [--contexts 64 1024] [--tokens 16]
        [--rounds 3] [--threads 1 2 0] [--shape gpt2] [--only NAME ...] [--json FILE]

DIR is a model directory of the Llama family, such as a fetched smollm2-135m-instruct. With
`--shape gpt2`, all programs get a model of GPT-2's shape with random weights and DIR's tokenizer.

In each round every program generates `--tokens` tokens after distinct prompts, which are cut out of
this project's documents. Seconds count from the first generated token to the last, so reading the
prompts is left out. For each batch size, every program first runs with each number of threads (0:
its own choice) at the shortest context, and keeps the fastest. Batches whose prompts have over
16,384 tokens together get one round, because CTranslate2 reads them again in each.

The programs are Chatwright with float32, int8, int4 and gguf weights (Q8_0 and Q4_0; not for
`--shape gpt2`), transformers, CTranslate2 (float32 and int8; the extra `bench`), llama.cpp (Q8_0
and Q4_0, batch 1; the extra `dev`) and openvino-genai (Q8_0 and Q4_0, not for `--shape gpt2`; the
extra `bench`). The token ids of every program are compared with those of the first one.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from decode_programs import (
    Decode,
    Ids,
    OpenProgram,
    has_gpt2,
    make_programs,
    takes_batches,
    uses_torch_threads,
)
from peer_files import real_prompts, write_gpt2

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
MANY_TOKENS = 16_384
"""Prompts with more tokens than this together are measured in one round."""
N_TRIAL_TOKEN = 8


def main() -> None:
    """Print tokens per second, and ratios to the first program."""
    arguments = parse_arguments()
    results = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        directory = arguments.directory
        if arguments.shape == "gpt2":
            directory = write_gpt2(directory, Path(folder) / "gpt2")
        programs = make_programs(directory, Path(folder), max(arguments.contexts) + 64)
        wanted = {n: p for n, p in programs.items() if not arguments.only or n in arguments.only}
        if arguments.shape == "gpt2":
            wanted = {n: p for n, p in wanted.items() if has_gpt2(n)}
        for batch in arguments.batches:
            fitting = {n: p for n, p in wanted.items() if batch == 1 or takes_batches(n)}
            opened: dict[str, tuple[int, Decode]] = {}
            for context in sorted(arguments.contexts):
                prompts = real_prompts(arguments.directory, batch, context)
                opened = opened or open_fastest(fitting, prompts, arguments)
                results.append(compare(opened, prompts, arguments))
                seconds = time.perf_counter() - began
                print(f"{table(results[-1])}\n  after {seconds:.0f} s", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--contexts", type=int, nargs="+", default=[64, 1024])
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 0])
    parser.add_argument("--shape", choices=["own", "gpt2"], default="own")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def open_fastest(
    programs: dict[str, OpenProgram], prompts: Ids, arguments: argparse.Namespace
) -> dict[str, tuple[int, Decode]]:
    """Open each program with the number of threads at which it is fastest."""
    fastest = {}
    for name, open_program in programs.items():
        trials = []
        for threads in arguments.threads:
            if (
                uses_torch_threads(name)
                and threads == 0
                and torch.get_num_threads() in arguments.threads
            ):
                continue  # measured already
            decode = open_program(threads)
            with torch_threads(threads):
                speed, _ = decode(prompts, N_TRIAL_TOKEN, CLOCKS[arguments.clock])
            trials.append((speed, threads, decode))
        _, threads, decode = max(trials, key=lambda trial: trial[0])
        fastest[name] = (threads, decode)
    return fastest


def compare(
    opened: dict[str, tuple[int, Decode]], prompts: Ids, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Run all programs in paired rounds."""
    clock = CLOCKS[arguments.clock]
    speeds: dict[str, list[float]] = {name: [] for name in opened}
    tokens: dict[str, Ids] = {}
    n_round = 1 if len(prompts) * len(prompts[0]) > MANY_TOKENS else arguments.rounds
    for _ in range(n_round):
        for name, (threads, decode) in opened.items():
            with torch_threads(threads):
                speed, tokens[name] = decode(prompts, arguments.tokens, clock)
            speeds[name].append(speed)
    first = next(iter(opened))
    return {
        "batch": len(prompts),
        "context": len(prompts[0]),
        "rounds": n_round,
        "programs": {
            name: {
                "threads": opened[name][0],
                "tokens_per_second": statistics.median(values),
                "first_to_this": statistics.median(
                    a / b for a, b in zip(speeds[first], values, strict=True)
                ),
                "equal_tokens": agreement(tokens[first], tokens[name]),
            }
            for name, values in speeds.items()
        },
    }


def agreement(expected: Ids, actual: Ids) -> float:
    """Return the share of replies that are equal; NaN where a program reports no token ids."""
    if not any(actual):
        return float("nan")
    equal = [a[: len(b)] == b[: len(a)] for a, b in zip(expected, actual, strict=True)]
    return sum(equal) / len(equal)


def table(result: dict[str, Any]) -> str:
    """Write the result of one batch size and context."""
    lines = [f"batch {result['batch']}, context {result['context']}, {result['rounds']} rounds"]
    lines += [
        f"  {name:20}{one['tokens_per_second']:8.1f} tokens/s{one['first_to_this']:7.2f} "
        f"threads {one['threads']}  equal replies {one['equal_tokens']:.0%}"
        for name, one in result["programs"].items()
    ]
    return "\n".join(lines)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Set torch's number of threads for a while; 0 leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    yield
    torch.set_num_threads(before)


if __name__ == "__main__":
    main()
