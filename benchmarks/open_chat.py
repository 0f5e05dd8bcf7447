"""Measure how long `chatwright chat DIR` takes to its prompt, and how much memory it needs.

    python benchmarks/open_chat.py DIR [--tokens 2048] [--repeats 3] [OPTION ...]

Seconds are from the start of the program to the first text on the screen and to the prompt, in a
terminal of its own. Memory is the peak after one exchange that fills `--tokens` tokens of context,
by the counter VmHWM of Linux. Further options go to `chatwright chat`.
"""

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPLY_TOKENS = 64
GREETING = b"lists the commands"
SENTENCE = "The quick brown fox jumps over the lazy dog. "


def main() -> None:
    """Print the measurements of one model."""
    arguments, options = parse_arguments()
    program = [sys.executable, "-m", "chatwright", "chat", str(arguments.directory), *options]
    timings = [seconds_to_prompt(program) for _ in range(arguments.repeats)]
    for name, values in zip(("first text", "prompt"), zip(*timings, strict=True), strict=True):
        print(f"{name:12}{min(values):6.2f} s at best, {statistics.median(values):.2f} s median")
    n_token, seconds, peak = peak_of_exchange(program, arguments.tokens)
    print(f"{n_token} tokens of prompt and reply in {seconds:.1f} s")
    print(f"peak memory {peak / 1e6:,.0f} MB")


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; options that are not ours are those of `chatwright chat`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_known_args()


def seconds_to_prompt(program: list[str]) -> tuple[float, float]:
    """Start the program in a terminal; return the seconds to its first text and to its prompt."""
    screen, terminal = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(program, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown, first = b"", 0.0
    while GREETING not in shown:
        shown += os.read(screen, 4096)
        first = first or time.perf_counter() - began
    seconds = time.perf_counter() - began
    process.kill()
    process.wait()
    os.close(screen)
    return first, seconds


def peak_of_exchange(program: list[str], n_token: int) -> tuple[int, float, int]:
    """Fill the context by one exchange; return its tokens, its seconds and the peak in bytes."""
    settings = ["--json", f"max_tokens={REPLY_TOKENS}", "temperature=0", "seed=1"]
    with subprocess.Popen(
        [*program, *settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # The first, short exchange shows how many tokens a sentence takes.
        ask(process, SENTENCE)
        small = ask(process, "/new") and ask(process, SENTENCE * 11)
        ask(process, "/new")
        large = ask(process, SENTENCE * 21)
        per_sentence = (large["prompt_tokens"] - small["prompt_tokens"]) / 10
        n_more = int((n_token - REPLY_TOKENS - large["prompt_tokens"]) / per_sentence)
        ask(process, "/new")
        began = time.perf_counter()
        usage = ask(process, SENTENCE * (21 + n_more))
        seconds = time.perf_counter() - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.stdin.close()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return usage["prompt_tokens"] + usage["completion_tokens"], seconds, int(line.split()[1]) * 1024


def ask(process: subprocess.Popen[str], line: str) -> dict[str, int]:
    """Send one line; return the token counts of the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(line, file=process.stdin, flush=True)
    answer = json.loads(process.stdout.readline())
    if "error" in answer:
        raise SystemExit(answer["error"])
    usage: dict[str, int] = answer.get("usage", {"note": 0})
    return usage


if __name__ == "__main__":
    main()
