"""How long a person waits from `chatwright up` to the page, to the first answer and to the finished model, while they say hello every 20 seconds.

    python benchmarks/build.py OUT [--recipe recipes/starter.toml] [--command make up]

OUT must not hold a build yet. The hellos belong to it: a build that shares the machine with a conversation is what people have. With --command
(the rest of the line) another command is timed, for example `make up` in a clean clone; it must serve at the address of --port and build into OUT.
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
from chatwright.pipeline.recipe import packaged_recipe

SAID_EVERY = 20.0  # seconds
CHATWRIGHT = [sys.executable, "-m", "chatwright"]


@dataclass
class Waited:
    """Seconds since the command was given."""

    page: float | None = None
    answered: float | None = None
    ready: float | None = None
    replies: list[float] = field(default_factory=list)  # how long each answer took


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", type=Path, default=packaged_recipe("starter"))
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if arguments.out.exists():
        raise SystemExit(
            f"{arguments.out}: is there already, so there would be nothing to wait for. Give a folder that does not exist."
        )
    command = arguments.command or [
        *CHATWRIGHT,
        "up",
        str(arguments.recipe),
        "--out",
        str(arguments.out),
        "--port",
        str(arguments.port),
    ]
    began = time.perf_counter()
    up = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        waited = watch(up, f"http://127.0.0.1:{arguments.port}", began)
    finally:
        if up.poll() is None:
            os.killpg(up.pid, signal.SIGINT)
        up.wait()
    print(environment())
    for name in ("page", "answered", "ready"):
        print(f"{name}: {getattr(waited, name):.1f} s")
    for stage in sorted(arguments.out.glob("*/model/training.json")):
        print(f"{stage.parent.parent.name}: {read_object(stage)['seconds']:.0f} s of training")
    shortest, longest, middle = (
        min(waited.replies),
        max(waited.replies),
        statistics.median(waited.replies),
    )
    print(
        f"a hello, {len(waited.replies)} times: {shortest:.2f} to {longest:.2f} s, median {middle:.2f} s"
    )


def watch(up: "subprocess.Popen[bytes]", address: str, began: float) -> Waited:
    waited, said = Waited(), -SAID_EVERY
    with httpx.Client(base_url=address, timeout=60.0) as client:
        while waited.ready is None:
            if up.poll() is not None:
                raise SystemExit(
                    "the command ended before its model was ready; run it by itself to see why"
                )
            time.sleep(0.2)
            try:
                client.get("/").raise_for_status()
            except httpx.ConnectError:
                continue
            now = time.perf_counter()
            waited.page = waited.page or now - began
            status = client.get("/api/status").json()
            if status["state"] == "failed":
                raise SystemExit(f"the build failed: {status}")
            if status["can_chat"] and now - said > SAID_EVERY:
                [model] = client.get("/v1/models").json()["data"]
                hello = {"model": model["id"], "messages": [{"role": "user", "content": "Hello!"}]}
                client.post("/v1/chat/completions", json=hello).raise_for_status()
                said = time.perf_counter()
                waited.answered = waited.answered or said - began
                waited.replies.append(said - now)
            if status["state"] == "ready":
                waited.ready = now - began
    return waited


if __name__ == "__main__":
    main()
