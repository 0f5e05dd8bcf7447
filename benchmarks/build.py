"""Measure the waiting times of `chatwright up`: page, first answer, finished model.

    python benchmarks/build.py OUT [--recipe recipes/starter.toml] [--command make up]

The script says "Hello!" to the model every 20 seconds, because a build shares the machine with a
conversation in real use. OUT must not exist yet. `--command`, followed by the rest of the line,
times another command, for example `make up` in a clean clone. That command must serve at --port
and build into OUT.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx

from chatwright.checkpoint.json_file import read_object
from chatwright.devices import environment
from chatwright.pipeline.packaged_recipes import packaged_recipe

SECONDS_BETWEEN_GREETINGS = 20.0
CHATWRIGHT = [sys.executable, "-m", "chatwright"]


@dataclass
class WaitingTimes:
    """Seconds since the command was started; None while an event has not happened."""

    page: float | None = None
    first_answer: float | None = None
    ready: float | None = None
    answers: list[float] = field(default_factory=list)
    """Seconds that each answer took."""


def main() -> None:
    """Start the command, watch it until the model is ready, and print the times."""
    arguments = parse_arguments()
    if arguments.out.exists():
        raise SystemExit(f"{arguments.out} exists already. Give a folder that does not exist.")
    started = time.perf_counter()
    build = subprocess.Popen(
        build_command(arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        times = watch(build, f"http://127.0.0.1:{arguments.port}", started)
    finally:
        if build.poll() is None:
            os.killpg(build.pid, signal.SIGINT)
        build.wait()
    report(times, arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to build into")
    parser.add_argument("--recipe", type=Path, default=packaged_recipe("starter"))
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--command", nargs=argparse.REMAINDER, help="command to time instead")
    return parser.parse_args()


def build_command(arguments: argparse.Namespace) -> list[str]:
    """Return the command to time."""
    if arguments.command:
        return list(arguments.command)
    options = ["--out", str(arguments.out), "--port", str(arguments.port)]
    return [*CHATWRIGHT, "up", str(arguments.recipe), *options]


def watch(build: "subprocess.Popen[bytes]", address: str, started: float) -> WaitingTimes:
    """Poll the server and greet the model until it is ready."""
    times = WaitingTimes()
    last_greeting = -SECONDS_BETWEEN_GREETINGS
    with httpx.Client(base_url=address, timeout=60.0) as client:
        while times.ready is None:
            if build.poll() is not None:
                raise SystemExit("The command ended before the model was ready. Run it by hand.")
            time.sleep(0.2)
            try:
                client.get("/").raise_for_status()
            except httpx.ConnectError:
                continue
            now = time.perf_counter()
            times.page = times.page or now - started
            status = client.get("/api/status").json()
            if status["state"] == "failed":
                raise SystemExit(f"The build failed: {status}")
            if status["can_chat"] and now - last_greeting > SECONDS_BETWEEN_GREETINGS:
                greet(client)
                last_greeting = time.perf_counter()
                times.first_answer = times.first_answer or last_greeting - started
                times.answers.append(last_greeting - now)
            if status["state"] == "ready":
                times.ready = now - started
    return times


def greet(client: httpx.Client) -> None:
    """Send "Hello!" to the served model and wait for the whole reply."""
    [model] = client.get("/v1/models").json()["data"]
    request = {"model": model["id"], "messages": [{"role": "user", "content": "Hello!"}]}
    client.post("/v1/chat/completions", json=request).raise_for_status()


def report(times: WaitingTimes, out: Path) -> None:
    """Print the waiting times and the seconds of training of each stage."""
    print(environment())
    print(f"page: {times.page:.1f} s")
    print(f"first answer: {times.first_answer:.1f} s")
    print(f"ready: {times.ready:.1f} s")
    for notes in sorted(out.glob("*/model/training.json")):
        print(f"{notes.parent.parent.name}: {read_object(notes)['seconds']:.0f} s of training")
    shortest = min(times.answers)
    longest = max(times.answers)
    median = statistics.median(times.answers)
    count = len(times.answers)
    print(f"{count} greetings answered in {shortest:.2f} to {longest:.2f} s, median {median:.2f} s")


if __name__ == "__main__":
    main()
